"""What the fields ``proc.*`` and ``thread.*`` answer (spec: fields 6.2)."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from engine.fields import Getter
from ingest.syscalls.call import UNKNOWN, Call, Thread
from ingest.syscalls.host_event import HostEvent
from ingest.syscalls.words import capability_names, type_word

MAX_ENV_ANCESTORS = 20
EXE_WRITABLE, EXE_UPPER_LAYER, EXE_FROM_MEMFD, EXE_LOWER_LAYER = 1, 2, 4, 8
_KB = 1024

names_of_capabilities = lru_cache(maxsize=256)(capability_names)
Fact = Callable[[Thread], Any]


def _own(fact: Fact) -> Getter:
    def get(event: HostEvent) -> Any:
        thread = event.record.thread
        return None if thread is None else fact(thread)

    return get


def _attribute(name: str) -> Getter:
    def get(event: HostEvent) -> Any:
        thread = event.record.thread
        return None if thread is None else getattr(thread, name)

    return get


def _parent(fact: Fact) -> Getter:
    def get(event: HostEvent) -> Any:
        found = parent_of(event.record)
        return None if found is None else fact(found)

    return get


def parent_of(call: Call) -> Thread | None:
    """Return the main thread of the parent process of a call's."""
    if call.thread is None or call.table is None:
        return None
    found: Thread | None = call.table.parent(call.thread, call.time_ns)
    return found


def ancestors_of(call: Call) -> Iterable[Thread]:
    """Return the ancestors of a call's process, the parent first."""
    if call.thread is None or call.table is None:
        return ()
    found: Iterable[Thread] = call.table.ancestors(call.thread, call.time_ns)
    return found


def _nth(call: Call, number: int) -> Thread | None:
    if number == 0 and call.thread is not None and call.table is not None:
        found: Thread | None = call.table.main(call.thread, call.time_ns)
        return found
    return next((found for at, found in enumerate(ancestors_of(call), 1) if at == number), None)


def _ancestors(fact: Fact) -> Getter:
    def get(event: HostEvent, number: int | None = None) -> Any:
        call = event.record
        if number is None:
            return tuple(fact(found) for found in ancestors_of(call)) or None
        chosen = _nth(call, number)
        return None if chosen is None else fact(chosen)

    return get


def shown_ancestors(found: str | tuple[str, ...]) -> str:
    """Return values of ancestors as outputs show them: joined by blanks, from the first that is not empty."""
    return found if isinstance(found, str) else " ".join(found).lstrip(" ")


# Facts of a thread


def arguments(thread: Thread) -> str:
    """Return the arguments after the program's name, joined by blanks."""
    return " ".join(thread.args)


def command_line(thread: Thread) -> str:
    """Return the name and the arguments."""
    return f"{thread.comm} {' '.join(thread.args)}" if thread.args else thread.comm


def _program_line(thread: Thread) -> str:
    return f"{thread.exe} {' '.join(thread.args)}"


def environment(thread: Thread) -> str:
    """Return the environment, joined by blanks."""
    return " ".join(thread.env)


def _known(number: int) -> int | None:
    return None if number == UNKNOWN else number


def _directory(thread: Thread) -> str:
    return thread.cwd if thread.cwd.endswith("/") or not thread.cwd else f"{thread.cwd}/"


def _argument(event: HostEvent, index: int | None = None) -> str | None:
    thread: Thread | None = event.record.thread
    if thread is None:
        return None
    if index is None:
        return arguments(thread)
    return thread.args[index] if index < len(thread.args) else ""


def variable(thread: Thread, name: str) -> str | None:
    """Return an environment variable; None when it is not set."""
    start = f"{name}="
    return next((text[len(start) :].strip(" ") for text in thread.env if text.startswith(start)), None)


def _variable(event: HostEvent, name: str | None = None) -> str | None:
    thread: Thread | None = event.record.thread
    if thread is None:
        return None
    return environment(thread) if name is None else variable(thread, name)


def _ancestor_variable(event: HostEvent, which: int | str | None = None) -> Any:
    if not isinstance(which, str):
        return _environments(event, which)
    for _, found in zip(range(MAX_ENV_ANCESTORS), ancestors_of(event.record), strict=False):
        value = variable(found, which)
        if value:
            return value
    return None


_environments = _ancestors(environment)


def _login_shell(event: HostEvent) -> int | None:
    call = event.record
    if call.thread is None:
        return None
    shells = [found.pid for found in (call.thread, *ancestors_of(call)) if found.comm.endswith("sh")]
    return shells[-1] if shells else None


# Leaders of sessions and groups


def _in_root_namespace(thread: Thread) -> bool:
    return thread.vtid in (thread.tid, UNKNOWN)


def _leader(call: Call, number: str, looked_up: bool) -> Thread | None:
    """
    Return the leader of a session or group.

    Args:
        call: The call.
        number: Attribute with the id, ``sid``, ``vpgid`` or ``pgid``.
        looked_up: Whether the id is one of the host's namespace, or None if that is to be asked of the thread.
    """
    thread = call.thread
    if thread is None or call.table is None:
        return None
    wanted: int = getattr(thread, number)
    if wanted <= 0:
        return None
    found: Thread | None = call.table.find(wanted, call.time_ns) if looked_up or _in_root_namespace(thread) else None
    if found is not None:
        return found
    leader = thread if wanted == thread.vpid else None
    for ancestor in ancestors_of(call):
        if getattr(ancestor, number) != wanted:
            break
        leader = ancestor
    return leader


def _of_leader(number: str, fact: str, looked_up: bool = False) -> Getter:
    def get(event: HostEvent) -> str | None:
        call = event.record
        if call.thread is None:
            return None
        found = _leader(call, number, looked_up)
        return "" if found is None else str(getattr(found, fact))

    return get


# Times


def _age(call: Call, thread: Thread | None) -> int | None:
    if thread is None or not thread.start_ns:
        return None
    return max(0, call.time_ns - thread.start_ns)


def _duration(event: HostEvent) -> int | None:
    return _age(event.record, event.record.thread)


def _parent_duration(event: HostEvent) -> int | None:
    return _age(event.record, parent_of(event.record))


def _file_age_at_start(thread: Thread) -> int | None:
    if not thread.exe_ctime_ns or not thread.start_ns or thread.start_ns < thread.exe_ctime_ns:
        return None
    return thread.start_ns - thread.exe_ctime_ns


def _file_after_namespace(thread: Thread) -> int | None:
    if not thread.pidns_start_ns or thread.exe_ctime_ns <= thread.pidns_start_ns:
        return None
    return thread.exe_ctime_ns - thread.pidns_start_ns


def _flag(bit: int) -> Getter:
    return _own(lambda thread: bool(thread.exe_flags & bit))


# Descriptors and threads of the process


def _open_count(call: Call) -> int | None:
    thread = call.thread
    if thread is None or call.table is None:
        return None
    count: int | None = call.table.descriptor_count(thread)
    if count is None or call.table.is_live:
        return count
    closed = call.fd is not None and call.fd.num >= 0 and call.fd.num not in thread.descriptors
    return count + closed


def _fd_count(event: HostEvent) -> int | None:
    return _open_count(event.record)


def _fd_usage(event: HostEvent) -> float | None:
    call = event.record
    count = _open_count(call)
    if count is None or call.thread is None:
        return None
    return count * 100.0 / call.thread.fd_limit if call.thread.fd_limit > 0 else 0.0


def _standard(num: int, fact: Callable[[Any], str]) -> Getter:
    def get(event: HostEvent) -> str | None:
        call = event.record
        if call.thread is None or call.table is None:
            return None
        found = call.table.descriptor(call.thread, num)
        return None if found is None else fact(found)

    return get


def _threads(event: HostEvent) -> int | None:
    call = event.record
    if call.thread is None or call.table is None:
        return None
    return int(call.table.thread_count(call.thread, call.time_ns))


def _other_threads(event: HostEvent) -> int | None:
    found = _threads(event)
    return None if found is None else max(0, found - 1)


def _of_main_thread(name: str, unit: int = 1) -> Getter:
    return _own(lambda thread: getattr(thread, name) * unit if thread.tid == thread.pid else 0)


def _cgroups(thread: Thread) -> str | None:
    return " ".join(f"{name}={path}" for name, path in thread.cgroups) or None


def _cgroup(event: HostEvent, subsystem: str) -> str | None:
    thread: Thread | None = event.record.thread
    if thread is None:
        return None
    return next((path for name, path in thread.cgroups if name == subsystem), None)


def _name(fd: Any) -> str:
    return str(fd.name)


PROCESS_GETTERS: dict[str, Getter] = {
    "proc.exe": _attribute("exe"),
    "proc.pexe": _parent(lambda thread: thread.exe),
    "proc.aexe": _ancestors(lambda thread: thread.exe),
    "proc.exepath": _attribute("exe_path"),
    "proc.pexepath": _parent(lambda thread: thread.exe_path),
    "proc.aexepath": _ancestors(lambda thread: thread.exe_path),
    "proc.name": _attribute("comm"),
    "proc.pname": _parent(lambda thread: thread.comm),
    "proc.aname": _ancestors(lambda thread: thread.comm),
    "proc.args": _argument,
    "proc.aargs": _ancestors(arguments),
    "proc.cmdline": _own(command_line),
    "proc.pcmdline": _parent(command_line),
    "proc.acmdline": _ancestors(command_line),
    "proc.cmdnargs": _own(lambda thread: len(thread.args)),
    "proc.cmdlenargs": _own(lambda thread: sum(map(len, thread.args))),
    "proc.exeline": _own(_program_line),
    "proc.env": _variable,
    "proc.aenv": _ancestor_variable,
    "proc.cwd": _own(_directory),
    "proc.loginshellid": _login_shell,
    "proc.tty": _attribute("tty"),
    "proc.pid": _attribute("pid"),
    "proc.ppid": _parent(lambda thread: thread.pid),
    "proc.apid": _ancestors(lambda thread: thread.pid),
    "proc.vpid": _own(lambda thread: _known(thread.vpid)),
    "proc.pvpid": _parent(lambda thread: _known(thread.vpid)),
    "proc.sid": _attribute("sid"),
    "proc.sname": _of_leader("sid", "comm"),
    "proc.sid.exe": _of_leader("sid", "exe"),
    "proc.sid.exepath": _of_leader("sid", "exe_path"),
    "proc.vpgid": _attribute("vpgid"),
    "proc.vpgid.name": _of_leader("vpgid", "comm"),
    "proc.vpgid.exe": _of_leader("vpgid", "exe"),
    "proc.vpgid.exepath": _of_leader("vpgid", "exe_path"),
    "proc.pgid": _attribute("pgid"),
    "proc.pgid.name": _of_leader("pgid", "comm", looked_up=True),
    "proc.pgid.exe": _of_leader("pgid", "exe", looked_up=True),
    "proc.pgid.exepath": _of_leader("pgid", "exe_path", looked_up=True),
    "proc.duration": _duration,
    "proc.ppid.duration": _parent_duration,
    "proc.pid.ts": _own(lambda thread: thread.start_ns or None),
    "proc.ppid.ts": _parent(lambda thread: thread.start_ns or None),
    "proc.is_exe_writable": _flag(EXE_WRITABLE),
    "proc.is_exe_upper_layer": _flag(EXE_UPPER_LAYER),
    "proc.is_exe_lower_layer": _flag(EXE_LOWER_LAYER),
    "proc.is_exe_from_memfd": _flag(EXE_FROM_MEMFD),
    "proc.is_sid_leader": _own(lambda thread: thread.sid == thread.vpid),
    "proc.is_vpgid_leader": _own(lambda thread: thread.vpgid == thread.vpid),
    "proc.is_pgid_leader": _own(lambda thread: thread.pgid == thread.pid),
    "proc.exe_ino": _own(lambda thread: thread.exe_ino or None),
    "proc.exe_ino.ctime": _own(lambda thread: thread.exe_ctime_ns or None),
    "proc.exe_ino.mtime": _own(lambda thread: thread.exe_mtime_ns or None),
    "proc.exe_ino.ctime_duration_proc_start": _own(_file_age_at_start),
    "proc.exe_ino.ctime_duration_pidns_start": _own(_file_after_namespace),
    "proc.pidns_init_start_ts": _own(lambda thread: thread.pidns_start_ns or None),
    "proc.fdopencount": _fd_count,
    "proc.fdlimit": _attribute("fd_limit"),
    "proc.fdusage": _fd_usage,
    "proc.vmsize": _attribute("vm_size"),
    "proc.vmrss": _attribute("vm_rss"),
    "proc.vmswap": _attribute("vm_swap"),
    "proc.nthreads": _threads,
    "proc.nchilds": _other_threads,
    "proc.stdin.type": _standard(0, type_word),
    "proc.stdout.type": _standard(1, type_word),
    "proc.stderr.type": _standard(2, type_word),
    "proc.stdin.name": _standard(0, _name),
    "proc.stdout.name": _standard(1, _name),
    "proc.stderr.name": _standard(2, _name),
    "thread.cap_permitted": _own(lambda thread: names_of_capabilities(thread.caps[1])),
    "thread.cap_inheritable": _own(lambda thread: names_of_capabilities(thread.caps[0])),
    "thread.cap_effective": _own(lambda thread: names_of_capabilities(thread.caps[2])),
    "thread.pfmajor": _attribute("faults_major"),
    "thread.pfminor": _attribute("faults_minor"),
    "thread.tid": lambda event: event.record.tid,
    "thread.ismain": _own(lambda thread: thread.tid == thread.pid),
    "thread.vtid": _own(lambda thread: _known(thread.vtid)),
    "thread.nametid": _own(lambda thread: f"{thread.comm}{thread.tid}"),
    "thread.cgroups": _own(_cgroups),
    "thread.cgroup": _cgroup,
    "thread.vmsize": _of_main_thread("vm_size"),
    "thread.vmrss": _of_main_thread("vm_rss"),
    "thread.vmsize.b": _of_main_thread("vm_size", _KB),
    "thread.vmrss.b": _of_main_thread("vm_rss", _KB),
}
"""What the fields of processes and threads answer, by name."""
