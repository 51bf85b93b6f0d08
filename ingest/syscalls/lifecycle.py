"""What calls tell of threads: births, new programs, ends, identities, directories (spec: fields 5.7)."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from ingest.syscalls.call import UNKNOWN, Call, Descriptor, Thread
from ingest.syscalls.containers import identify
from ingest.syscalls.descriptors import O_CLOEXEC, value
from ingest.syscalls.paths import absolute, resolved, working_directory
from ingest.syscalls.threads import DELETED, ThreadTable, changed

CLONE_FILES = 1
CLONE_THREAD = 8192
CLONE_NEWUSER = 1_048_576
CLONE_CHILD_IN_PIDNS = 536_870_912
NOBODY = 0xFFFFFFFF
NAMELESS = "<NA>"
ALL_CAPABILITIES = (1 << 41) - 1
RLIMIT_NOFILE = 7
PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 15, 36
COMM_BYTES = 15
MAX_ARGUMENTS = 65_536

Handler = Callable[[ThreadTable, Call, Thread], None]


def texts(found: Any) -> tuple[str, ...]:
    """Return the NUL-separated texts of a buffer; one NUL alone is no text, as in Falco."""
    if not found:
        return ()
    if isinstance(found, str):
        found = found.encode("utf-8", "surrogateescape")
    text = found.removesuffix(b"\0")[:MAX_ARGUMENTS].decode("utf-8", "surrogateescape")
    return tuple(text.split("\0")) if text else ()


@lru_cache(maxsize=512)
def environment(found: bytes) -> tuple[str, ...]:
    """Return the texts of an environment, the same ones for programs that have the same."""
    return texts(found)


@lru_cache(maxsize=1024)
def cgroup_pairs(found: bytes) -> tuple[tuple[str, str], ...]:
    """Return the subsystems and paths of a ``cgroups`` parameter, names as Falco writes them."""
    pairs = (text.partition("=") for text in texts(found))
    return tuple((subsystem_name(name), path) for name, _, path in pairs)


_SUBSYSTEMS = {"perf": "perf_event", "mem": "memory", "io": "blkio"}


def subsystem_name(name: str) -> str:
    """Return the name of a cgroup subsystem as ``thread.cgroup`` takes it."""
    name = name.removesuffix("_cgroup")
    return _SUBSYSTEMS.get(name, name)


# Births


def born(table: ThreadTable, call: Call, thread: Thread | None) -> None:
    """Note a new thread or process: clone, clone3, fork, vfork, on the side of the maker and of the child."""
    res = value(call.params, 0, -1)
    if res == 0:
        call.thread = _child(table, call)
    elif res > 0 and thread is not None and not _numbered_elsewhere(call, thread):
        _announce(table, call, thread, res)


def _numbered_elsewhere(call: Call, thread: Thread) -> bool:
    """Tell whether the maker sees the child under another number than the host does."""
    flags = value(call.params, 15, 0)
    return bool(flags & CLONE_CHILD_IN_PIDNS) or thread.vtid not in (thread.tid, UNKNOWN)


def _announce(table: ThreadTable, call: Call, maker: Thread, tid: int) -> None:
    """Make the child of what its maker is; what the child itself reports comes on top."""
    known = table.get(tid)
    if known is not None and known.start_ns and known.since_ns >= call.time_ns - _SOON_NS and not known.exited_ns:
        return
    new = _inherited(call, maker, tid, value(call.params, 15, 0))
    _memory(new, call.params, 8)
    table.put(new)


_SOON_NS = 1_000_000_000


def _inherited(call: Call, maker: Thread, tid: int, flags: int) -> Thread:
    is_thread = bool(flags & CLONE_THREAD)
    root_namespace = maker.vtid == maker.tid
    shared = is_thread or flags & CLONE_FILES
    return Thread(
        tid,
        maker.pid if is_thread else tid,
        start_ns=call.time_ns,
        ptid=maker.ptid if is_thread else maker.tid,
        comm=maker.comm,
        exe=maker.exe,
        exe_path=maker.exe_path,
        args=maker.args,
        cwd=maker.cwd,
        uid=maker.uid,
        gid=maker.gid,
        login_uid=maker.login_uid,
        sid=maker.sid,
        pgid=maker.pgid,
        vpgid=maker.vpgid,
        vtid=tid if root_namespace else UNKNOWN,
        vpid=(maker.vpid if is_thread else tid) if root_namespace else UNKNOWN,
        tty=maker.tty,
        caps=maker.caps,
        cgroups=maker.cgroups,
        root=maker.root,
        env=maker.env,
        exe_flags=maker.exe_flags,
        exe_ino=maker.exe_ino,
        exe_ctime_ns=maker.exe_ctime_ns,
        exe_mtime_ns=maker.exe_mtime_ns,
        pidns_start_ns=maker.pidns_start_ns,
        fd_limit=maker.fd_limit,
        vm_size=maker.vm_size,
        vm_rss=maker.vm_rss,
        vm_swap=maker.vm_swap,
        container_id=maker.container_id,
        since_ns=call.time_ns,
        descriptors=maker.descriptors if shared else dict(maker.descriptors),
    )


def _child(table: ThreadTable, call: Call) -> Thread:
    params = call.params
    tid, pid = value(params, 3, call.tid), value(params, 4, call.tid)
    ptid, flags = value(params, 5, 0), value(params, 15, 0)
    maker = table.find(pid if flags & CLONE_THREAD else ptid, call.time_ns)
    new = _inherited(call, maker or Thread(ptid, ptid), tid, flags)
    known = table.get(tid)
    if call.seen is not None:
        new.start_ns = call.seen.start_ns
    elif known is not None and not known.exited_ns and call.time_ns - known.start_ns < _SOON_NS:
        new.start_ns = known.start_ns
    new.pid, new.ptid = pid, ptid
    new.exe, new.comm = value(params, 1, new.exe), value(params, 13, new.comm)
    new.args = texts(params[2]) if value(params, 2) is not None else new.args
    new.cwd = _directory(value(params, 6, new.cwd))
    _memory(new, params, 8)
    new.fd_limit = value(params, 7, new.fd_limit)
    new.uid, new.gid = value(params, 16, new.uid), value(params, 17, new.gid)
    new.vtid, new.vpid = value(params, 18, new.vtid), value(params, 19, new.vpid)
    new.pidns_start_ns = value(params, 20, new.pidns_start_ns)
    _set_cgroups(new, value(params, 14))
    return table.put(new)


def _memory(new: Thread, params: tuple[Any, ...], at: int) -> None:
    """Take over page faults and sizes, which events list one after the other."""
    new.faults_major, new.faults_minor = value(params, at, new.faults_major), value(params, at + 1, new.faults_minor)
    new.vm_size, new.vm_rss = value(params, at + 2, new.vm_size), value(params, at + 3, new.vm_rss)
    new.vm_swap = value(params, at + 4, new.vm_swap)


def _set_cgroups(new: Thread, found: Any) -> None:
    if found:
        new.cgroups = cgroup_pairs(found)
        new.container_id = identify(new.cgroups).id


def _directory(path: str) -> str:
    return path.rstrip("/") or ("/" if path else "")


# New programs


def executed(table: ThreadTable, call: Call, thread: Thread | None) -> None:
    """Note a new program: execve and execveat; of a thread that nobody knew it tells all there is to know."""
    params = call.params
    if value(params, 0, -1) != 0 or len(params) < 15:
        return
    thread = thread or stranger(call)
    new = changed(thread, call.time_ns)
    new.exe, new.comm = value(params, 1, ""), value(params, 13, new.comm)
    new.args = texts(params[2])
    new.tid = call.tid
    new.pid, new.ptid = value(params, 4, new.pid), value(params, 5, new.ptid)
    new.cwd = _directory(value(params, 6, new.cwd))
    new.fd_limit = value(params, 7, new.fd_limit)
    _memory(new, params, 8)
    _set_cgroups(new, value(params, 14))
    new.env = environment(value(params, 15) or b"")
    new.tty = value(params, 16, new.tty)
    new.vpgid = value(params, 17, new.vpgid)
    new.login_uid = signed(value(params, 18, new.login_uid))
    new.exe_flags = value(params, 19, 0)
    new.caps = tuple(value(params, at, old) for at, old in enumerate(new.caps, 20))
    new.exe_ino = value(params, 23, 0)
    new.exe_ctime_ns, new.exe_mtime_ns = value(params, 24, 0), value(params, 25, 0)
    if thread.vtid == UNKNOWN:
        new.vtid, new.vpid = new.tid, new.pid
    new.uid = value(params, 26, new.uid)
    new.exe_path = _program(call, value(params, 27), value(params, 30))
    new.pgid = value(params, 28, new.pgid)
    new.gid = value(params, 29, new.gid)
    new.descriptors = {num: fd for num, fd in thread.descriptors.items() if not _closes_on_exec(fd)}
    table.drop_others(new)
    call.thread = table.put(new)


def stranger(call: Call) -> Thread:
    """Return what stands for a thread of which a capture tells no more than that it made a call, as in Falco."""
    return Thread(
        call.tid,
        UNKNOWN,
        comm=NAMELESS,
        exe=NAMELESS,
        cwd="",
        uid=NOBODY,
        gid=NOBODY,
        container_id="",
        since_ns=call.time_ns,
    )


def _closes_on_exec(fd: Descriptor) -> bool:
    return bool(fd.flags & O_CLOEXEC)


def _program(call: Call, trusted: str | None, given: str | None) -> str:
    if trusted:
        return trusted.removesuffix(DELETED)
    return resolved(call, given) if given else ""


def signed(uid: int) -> int:
    """Return an id with "nobody has set it" as -1."""
    return UNKNOWN if uid == NOBODY else uid


# Ends and changes


def exited(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note the end of a thread; parameters status, ret, sig, core, reaper_tid."""
    call.thread = table.exit(thread, call.time_ns, value(call.params, 4, 0))


def _change(table: ThreadTable, call: Call, thread: Thread, **facts: Any) -> None:
    if any(getattr(thread, name) != found for name, found in facts.items()):
        call.thread = table.change(thread, call.time_ns, **facts)


def _successful(call: Call) -> bool:
    return bool(value(call.params, 0, -1) == 0)


def changed_directory(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a working directory: chdir(res, path), getcwd(res, path)."""
    path = value(call.params, 1)
    if path and value(call.params, 0, -1) >= 0:
        known = call.extra.get("proc.cwd") if call.extra else None  # a driver's answer is from the end of the call
        _change(table, call, thread, cwd=_directory(known or resolved(call, path)))


def changed_directory_by_descriptor(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a working directory; parameters res, fd."""
    found = call.fd or thread.descriptors.get(value(call.params, 1))
    if _successful(call) and found is not None and found.name:
        _change(table, call, thread, cwd=_directory(found.name))


def changed_root(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a root directory; parameters res, path."""
    path = value(call.params, 1)
    if _successful(call) and path:
        inside = absolute(working_directory(call), path)
        root = inside if thread.root == "/" else absolute("", thread.root + inside)
        _change(table, call, thread, root=_directory(root))


def new_session(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a new session, of which the process leads also the one group; parameters res."""
    sid = value(call.params, 0, -1)
    if sid > 0:
        _change(table, call, thread, sid=sid, vpgid=sid, pgid=thread.pid)


def new_group(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a process group, as far as its number can be told in the host's namespace; parameters res, pid, pgid."""
    if not _successful(call):
        return
    pid, pgid = value(call.params, 1, 0), value(call.params, 2, 0)
    in_root = thread.vpid in (thread.pid, UNKNOWN)
    target = thread if pid in (0, thread.vpid) else table.at(pid, call.time_ns) if in_root else None
    if target is None:
        return
    group = pgid or target.vpid
    host_group = target.pid if group == target.vpid else group if in_root else UNKNOWN
    new = table.change(target, call.time_ns, vpgid=group, pgid=host_group)
    if target is thread:
        call.thread = new


def changed_ids(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note effective ids: setuid, setgid, setresuid, setresgid, setreuid, setregid."""
    if not _successful(call):
        return
    at = 1 if call.name in ("setuid", "setgid") else 2
    found = value(call.params, at, NOBODY)
    if found not in (NOBODY, UNKNOWN):
        _change(table, call, thread, **{"uid" if "uid" in call.name else "gid": found})


def changed_capabilities(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note capabilities; parameters res, inheritable, permitted, effective."""
    if _successful(call) and len(call.params) >= 4:
        _change(table, call, thread, caps=tuple(found or 0 for found in call.params[1:4]))


def changed_namespace(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note what new namespaces bring: unshare(res, flags), setns(res, fd, nstype)."""
    flags = value(call.params, 2 if call.name == "setns" else 1, 0)
    if not _successful(call):
        return
    if flags & CLONE_NEWUSER:
        _change(table, call, thread, caps=(ALL_CAPABILITIES,) * 3)
    if flags & CLONE_FILES and call.name == "unshare":
        call.thread = table.change(call.thread or thread, call.time_ns, descriptors=dict(thread.descriptors))


def process_control(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a name or a reaper; parameters res, option, arg2_str, arg2_int."""
    option = value(call.params, 1)
    if not _successful(call):
        return
    if option == PR_SET_CHILD_SUBREAPER:
        _change(table, call, thread, subreaper=bool(value(call.params, 3, 0)))
    elif option == PR_SET_NAME and value(call.params, 2):
        _change(table, call, thread, comm=shortened(call.params[2]))


def shortened(name: str) -> str:
    """Return as much of a name as the kernel keeps."""
    return name.encode("utf-8", "surrogateescape")[:COMM_BYTES].decode("utf-8", "surrogateescape")


def changed_limit(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note how many descriptors may be open: setrlimit and prlimit."""
    params = call.params
    if not _successful(call):
        return
    if call.name == "setrlimit":
        target, resource = 0, value(params, 3)
    else:
        target, resource = value(params, 5, 0), value(params, 6)
    if resource == RLIMIT_NOFILE and target in (0, thread.vpid) and value(params, 1, -1) >= 0:
        _change(table, call, thread, fd_limit=params[1])


_SIZES = ("vm_size", "vm_rss", "vm_swap")


def changed_memory(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note sizes: brk, mmap and munmap tell them after the result, in kB."""
    if value(call.params, 1) is not None:
        _change(table, call, thread, **_named(_SIZES, call.params[1:4]))


def switched(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note page faults of a thread that gives up its processor, and sizes of its process."""
    if len(call.params) < 6:
        return
    _change(table, call, thread, **_named(("faults_major", "faults_minor"), call.params[1:3]))
    sizes = _named(_SIZES, call.params[3:6])
    main = table.get(thread.pid)
    if main is None or thread.tid == thread.pid:
        _change(table, call, call.thread or thread, **sizes)
    elif any(getattr(main, name) != number for name, number in sizes.items()):
        table.change(main, call.time_ns, **sizes)


def _named(names: Iterable[str], found: Iterable[Any]) -> dict[str, int]:
    return {name: number or 0 for name, number in zip(names, found, strict=True)}


HANDLERS: dict[str, Handler] = {
    "procexit": exited,
    "chdir": changed_directory,
    "getcwd": changed_directory,
    "fchdir": changed_directory_by_descriptor,
    "chroot": changed_root,
    "setsid": new_session,
    "setpgid": new_group,
    **dict.fromkeys(("setuid", "setgid", "setresuid", "setresgid", "setreuid", "setregid"), changed_ids),
    "capset": changed_capabilities,
    "unshare": changed_namespace,
    "setns": changed_namespace,
    "prctl": process_control,
    "setrlimit": changed_limit,
    "prlimit": changed_limit,
    **dict.fromkeys(("brk", "mmap", "mmap2", "munmap"), changed_memory),
    "switch": switched,
}
"""What an event does to its thread, by event name, but for births and execs, which may be of an unknown thread."""

EXECS = frozenset({"execve", "execveat"})
BIRTHS = frozenset({"clone", "clone3", "fork", "vfork"})
