"""What /proc tells of a stopped thread, in the form in which the records of the eBPF program tell it."""

import os
import struct
from pathlib import Path
from typing import Any, NamedTuple

from ingest.syscalls.ebpf.offsets import SUBSYSTEMS
from ingest.syscalls.ebpf.record import (
    ARGV,
    CGROUP,
    CWD,
    ENV,
    EXE,
    EXEC,
    EXEC_INFO,
    FORK,
    FORK_INFO,
    PATH,
)

_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_UNSET = 0xFFFFFFFF
_MOST = 4096
_NEW_GROUP = 0x10
_DAC_OVERRIDE = 1 << 1
_WRITABLE, _IN_MEMORY = 1, 4
_STAT_PPID, _STAT_PGRP, _STAT_TTY, _STAT_MINOR, _STAT_MAJOR, _STAT_START = 1, 2, 4, 7, 9, 19
# Places in /proc/PID/stat after the name and the state.


class Thread(NamedTuple):
    """
    Who a thread is; the names are those of the header of a record.

    Attributes:
        status: Lines of /proc/TID/status by name.
        stat: Words of /proc/TID/stat after the name.
        start: When the thread started, nanoseconds since boot.
        process_start, parent_start: When its process and its parent's did.
        login_uid, session: Of the audit system, 2**32-1 when unset.
        pidns: Number of its pid namespace.
    """

    status: dict[str, str]
    stat: list[str]
    start: int
    process_start: int
    parent_start: int
    login_uid: int
    session: int
    pidns: int

    def number(self, name: str, place: int = 0) -> int:
        """Return one of the numbers of a line of the status, 0 when it has none."""
        words = self.status.get(name, "").split()
        return int(words[place]) if words else 0

    @property
    def comm(self) -> bytes:
        """The thread's name."""
        return self.status.get("Name", "").encode("utf-8", "surrogateescape")[:15]


def read_thread(tid: int) -> Thread:
    """Read a thread; raises OSError when it is gone."""
    status = _status(tid)
    stat = _stat(tid)
    ppid = int(stat[_STAT_PPID])
    tgid = int(status.get("Tgid", tid))
    return Thread(
        status,
        stat,
        _start(stat),
        _start_of(tgid) if tgid != tid else _start(stat),
        _start_of(ppid),
        _audit(tid, "loginuid"),
        _audit(tid, "sessionid"),
        _namespace(tid),
    )


def _text(path: str) -> str:
    return Path(path).read_text("utf-8", "surrogateescape")


def _status(tid: int) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in _text(f"/proc/{tid}/status").split("\n") if ":\t" in line)


def _stat(tid: int) -> list[str]:
    return _text(f"/proc/{tid}/stat").rpartition(") ")[2].split()


def _start(stat: list[str]) -> int:
    return int(stat[_STAT_START]) * _TICK


def _start_of(pid: int) -> int:
    try:
        return _start(_stat(pid))
    except (OSError, IndexError):
        return 0


def _audit(tid: int, name: str) -> int:
    try:
        return int(_text(f"/proc/{tid}/{name}"))
    except (OSError, ValueError):
        return _UNSET


def _namespace(tid: int) -> int:
    try:
        return os.stat(f"/proc/{tid}/ns/pid").st_ino & 0xFFFFFFFF
    except OSError:
        return 0


def link(path: str) -> bytes:
    """Return where a link of /proc leads; b"" when it cannot be read."""
    try:
        return os.readlink(os.fsencode(path))
    except OSError:
        return b""


def _bytes(path: str, limit: int = _MOST) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(limit)
    except OSError:
        return b""


class Sizes(NamedTuple):
    """Memory of a process in pages, and its page faults and limit of descriptors."""

    total: int
    resident: int
    swap: int
    major: int
    minor: int
    descriptors: int


def _sizes(thread: Thread, tid: int) -> Sizes:
    words = _bytes(f"/proc/{tid}/statm").split()
    total, resident = (int(words[0]), int(words[1])) if len(words) > 1 else (0, 0)
    limits = _bytes(f"/proc/{tid}/limits").partition(b"Max open files")[2].split()
    descriptors = int(limits[0]) if limits and limits[0].isdigit() else 0
    major, minor = int(thread.stat[_STAT_MAJOR]), int(thread.stat[_STAT_MINOR])
    return Sizes(total, resident, thread.number("VmSwap") // 4, major, minor, descriptors)


Parts = list[tuple[int, bytes]]


def started(thread: Thread, tid: int) -> Parts:
    """Return the parts that tell of a program that a thread has just started."""
    sizes = _sizes(thread, tid)
    about = _stat_of(f"/proc/{tid}/exe")
    exe = link(f"/proc/{tid}/exe")
    caps = [int(thread.status.get(name, "0").strip(), 16) for name in ("CapInh", "CapPrm", "CapEff")]
    times = (0,) * 5
    flags = 0
    if about is not None:
        times = (about.st_ino, *divmod(about.st_ctime_ns, 10**9), *divmod(about.st_mtime_ns, 10**9))
        flags = _WRITABLE * _may_write(thread, about, caps[2]) | _IN_MEMORY * exe.startswith(b"/memfd:")
    groups = (int(thread.stat[_STAT_TTY]) & _UNSET, int(thread.stat[_STAT_PGRP]), _last(thread, "NSpgid"), flags)
    info = EXEC.pack(*caps, *times, *sizes, 0, *groups)
    return [
        (EXEC_INFO, info),
        (ARGV, _bytes(f"/proc/{tid}/cmdline")),
        (ENV, _bytes(f"/proc/{tid}/environ")),
        (PATH + CWD, link(f"/proc/{tid}/cwd")),
        (PATH + EXE, exe),
        *_cgroups(tid),
    ]


def _stat_of(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except OSError:
        return None


def _may_write(thread: Thread, about: os.stat_result, effective: int) -> bool:
    """Tell whether the thread's user may write to its program."""
    if effective & _DAC_OVERRIDE:
        return True
    if about.st_uid == thread.number("Uid", 1):
        return bool(about.st_mode & 0o200)
    groups = {thread.number("Gid", 1), *map(int, thread.status.get("Groups", "").split())}
    return bool(about.st_mode & (0o020 if about.st_gid in groups else 0o002))


def _last(thread: Thread, name: str) -> int:
    """Return the number in the thread's own namespace: the last of a line."""
    words = thread.status.get(name, "").split()
    return int(words[-1]) if words else 0


def own_ids(thread: Thread) -> tuple[int, int, int]:
    """Return thread, process and session id in the thread's own pid namespace."""
    return _last(thread, "NSpid"), _last(thread, "NStgid"), _last(thread, "NSsid")


_FORMER = {"io": "blkio"}


def _cgroups(tid: int) -> Parts:
    """Return the paths of the control groups, each as the record has it: from the leaf to the root."""
    paths: dict[str, str] = {}
    for line in _bytes(f"/proc/{tid}/cgroup").decode("utf-8", "surrogateescape").split("\n"):
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        paths.update((name, path) for name in names.split(",") if path)
    found: Parts = []
    for index, name in enumerate(SUBSYSTEMS):
        place = paths.get(name) or paths.get(_FORMER.get(name, "")) or paths.get("")
        if not place:
            continue
        found.append((CGROUP + index + _NEW_GROUP, b""))
        parts = [part for part in place.split("/") if part]
        found += [(CGROUP + index, part.encode("utf-8", "surrogateescape")) for part in reversed(parts)]
    return found


def made(parent: Thread, parent_tid: int, child: Thread, child_tid: int, flags: int) -> Parts:
    """Return the parts that tell of a thread that another has just made; ``flags`` as the kernel numbers them."""
    vtid, vpid, _ = own_ids(child)
    sizes = _sizes(parent, parent_tid)
    ids = (child_tid, child.number("Tgid"), vtid, vpid, child.pidns, 0)
    info = FORK.pack(child.start, child.process_start, 0, flags, *sizes, *ids)
    return [(FORK_INFO, info), (PATH + CWD, link(f"/proc/{parent_tid}/cwd")), *_cgroups(parent_tid)]


def pack_part(key: int, data: bytes) -> bytes:
    """Return a part as it stands in a record; longer data is cut to what a record can hold."""
    data = data[:_MOST]
    return struct.pack("<BBH", key >> 8, key & 0xFF, len(data)) + data


def header_fields(thread: Thread, tid: int) -> dict[str, Any]:
    """Return the fields of a record's header that tell who the thread is."""
    vtid, vpid, sid = own_ids(thread)
    return {
        "thread_start_boot_ns": thread.start,
        "start_boot_ns": thread.process_start,
        "parent_start_boot_ns": thread.parent_start,
        "tid": tid,
        "tgid": thread.number("Tgid"),
        "ppid": int(thread.stat[_STAT_PPID]),
        "vtid": vtid,
        "vpid": vpid,
        "sid": sid,
        "uid": thread.number("Uid", 0),
        "euid": thread.number("Uid", 1),
        "gid": thread.number("Gid", 0),
        "egid": thread.number("Gid", 1),
        "login_uid": thread.login_uid,
        "session": thread.session,
        "pidns": thread.pidns,
        "comm": thread.comm,
    }
