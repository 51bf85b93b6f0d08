"""
Threads and descriptors of the live host, read from procfs: those that were there before the first event, and few later.

Everything here can be gone or changed by the time it is read; what cannot be read is left out. Nothing is opened or
asked for that could make the reader wait: links are read, never followed.
"""

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ingest.syscalls.call import UNKNOWN, Address, Descriptor, Ends, Thread
from ingest.syscalls.flags import from_linux
from ingest.syscalls.interfaces import Interfaces, read_interfaces
from ingest.syscalls.lifecycle import subsystem_name
from ingest.syscalls.sockets import AF_UNIX, TYPECHARS, show_address, show_ends
from ingest.syscalls.threads import DELETED, ThreadTable
from ingest.syscalls.users import Accounts

MAX_TEXT = 4096
"""Bytes of arguments and of environment that are kept, as of an exec."""

MAX_TABLE = 4 << 20
"""Bytes of a list of sockets that are read."""

CGROUPS = ("cpuset", "cpu", "cpuacct", "blkio", "memory")
"""Subsystems that are told for a cgroup of version 2, which has one path for all."""

INTERFACES_S = 30.0
"""Seconds between two looks at the host's addresses."""

EXE_WRITABLE, EXE_FROM_MEMFD = 1, 4
_MEMFD = "/memfd:"
_NOBODY = 0xFFFFFFFF
_ANONYMOUS = {
    "[eventfd]": "e",
    "[signalfd]": "s",
    "[eventpoll]": "l",
    "inotify": "i",
    "[timerfd]": "t",
    "[userfaultfd]": "u",
    "[io_uring]": "r",
    "[pidfd]": "P",
    **dict.fromkeys(("bpf-map", "bpf-prog", "bpf_link"), "b"),
}
_SECOND = 1_000_000_000


@cache
def _tick_ns() -> int:
    return _SECOND // os.sysconf("SC_CLK_TCK")


@cache
def boot_ns() -> int:
    """Return when the machine started, nanoseconds since the epoch."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Procfs:
    """
    A procfs that is read.

    Attributes:
        root: Where it is mounted.
    """

    def __init__(self, root: str = "/proc") -> None:
        self.root = root
        self._namespaces: dict[str, int] = {}

    # Threads

    def processes(self) -> Iterator[Thread]:
        """Yield the main threads of all processes."""
        for name in os.listdir(self.root):
            if name.isdecimal() and (thread := self.thread(int(name))) is not None:
                yield thread

    def thread(self, tid: int) -> Thread | None:
        """Return a thread; None when it is gone."""
        folder = f"{self.root}/{tid}"
        status = _status(_read(f"{folder}/status"))
        numbers = _read(f"{folder}/stat").rpartition(b")")[2].split()
        if len(numbers) < 22 or "Tgid" not in status:
            return None
        thread = Thread(tid, int(status["Tgid"]), ptid=int(status["PPid"]))
        thread.comm = _comm(_read(f"{folder}/comm"))
        _from_stat(thread, numbers)
        _from_status(thread, status)
        self._from_files(thread, folder)
        self._program(thread, folder)
        thread.pidns_start_ns = self._namespace_start(thread, folder)
        return thread

    def _from_files(self, thread: Thread, folder: str) -> None:
        arguments = _texts(_read(f"{folder}/cmdline", MAX_TEXT))
        thread.exe, thread.args = (arguments[0], arguments[1:]) if arguments else ("", ())
        thread.env = _texts(_read(f"{folder}/environ", MAX_TEXT))
        thread.cwd = _link(f"{folder}/cwd") or "/"
        thread.root = _link(f"{folder}/root") or "/"
        thread.cgroups = tuple(_cgroups(_read(f"{folder}/cgroup")))
        login = _read(f"{folder}/loginuid").strip()
        thread.login_uid = int(login) if login.isdigit() and int(login) != _NOBODY else UNKNOWN
        thread.fd_limit = _open_files(_read(f"{folder}/limits"))

    def _program(self, thread: Thread, folder: str) -> None:
        path = _link(f"{folder}/exe")
        if path.startswith(_MEMFD):
            thread.exe_flags |= EXE_FROM_MEMFD
            path = path.removeprefix("/")
        thread.exe_path = path.removesuffix(DELETED)
        with contextlib.suppress(OSError):
            found = os.stat(f"{folder}/exe")
            thread.exe_ino, thread.exe_ctime_ns, thread.exe_mtime_ns = (
                found.st_ino,
                found.st_ctime_ns,
                found.st_mtime_ns,
            )
            thread.exe_flags |= EXE_WRITABLE * _writable(found, thread)

    def _namespace_start(self, thread: Thread, folder: str) -> int:
        """Return when the first process of a pid namespace started, as far as it has been seen."""
        name = _link(f"{folder}/ns/pid")
        if thread.vpid == 1:
            self._namespaces[name] = thread.start_ns if thread.pid != 1 else boot_ns()
        return self._namespaces.get(name, boot_ns() if thread.vpid == thread.pid else 0)

    def thread_count(self, pid: int) -> int | None:
        """Count the threads of a process; None when it is gone."""
        return _entries(f"{self.root}/{pid}/task")

    # Descriptors

    def descriptor_count(self, pid: int) -> int | None:
        """Count the open descriptors of a process; None when it is gone."""
        return _entries(f"{self.root}/{pid}/fd")

    def descriptor(self, pid: int, num: int) -> Descriptor | None:
        """Return an open descriptor of a process; None when it is gone."""
        target = _link(f"{self.root}/{pid}/fd/{num}")
        if not target:
            return None
        new = Descriptor(num, *_kind(target))
        if target.startswith("socket:["):
            return self._socket(pid, num, int(target[8:-1]))
        for line in _read(f"{self.root}/{pid}/fdinfo/{num}").split(b"\n"):
            key, _, value = line.partition(b":\t")
            if key == b"flags":
                new.flags = from_linux("file_flags", int(value, 8))
            elif key == b"ino":
                new.ino = int(value)
        if new.typechar == "f" and new.flags & _O_DIRECTORY:
            new.typechar = "d"
        return new

    def _socket(self, pid: int, num: int, ino: int) -> Descriptor:
        for _ in range(_TRIES):
            found = self._listed(pid, num, ino)
            if found is not None:
                return found
        return Descriptor(num, ino=ino)

    def _listed(self, pid: int, num: int, ino: int) -> Descriptor | None:
        """Return a socket from the kernel's lists; one can be missed while others come and go."""
        for name, family, l4 in _SOCKET_TABLES:
            for line in _read(f"{self.root}/{pid}/net/{name}", MAX_TABLE).split(b"\n")[1:]:
                words = line.split()
                if len(words) > 9 and words[9] == b"%d" % ino:
                    return _inet(num, ino, family, l4, words)
        for line in _read(f"{self.root}/{pid}/net/unix", MAX_TABLE).split(b"\n")[1:]:
            words = line.split(maxsplit=7)
            if len(words) > 6 and words[6] == b"%d" % ino:
                path = os.fsdecode(words[7]) if len(words) > 7 else ""
                return Descriptor(num, "u", path, ino=ino, address=Address(AF_UNIX, path=path))
        return None


_TRIES = 3
_O_DIRECTORY = 1024
_SOCKET_TABLES = (("tcp", 2, "tcp"), ("tcp6", 10, "tcp"), ("udp", 2, "udp"), ("udp6", 10, "udp"), ("raw", 2, "raw"))
_LISTEN = b"0A"


def _inet(num: int, ino: int, family: int, l4: str, words: list[bytes]) -> Descriptor:
    local, remote = _address(family, words[1]), _address(family, words[2])
    new = Descriptor(num, TYPECHARS[family], ino=ino, l4=l4)
    if words[3] == _LISTEN or not remote.port:
        new.address, new.name, new.listening = local, show_address(local), words[3] == _LISTEN
        return new
    # Which side began is not told; the one with the lower port is taken for the server.
    new.server = local.port < remote.port
    new.ends = Ends(family, remote, local) if new.server else Ends(family, local, remote)
    new.name, new.connected = show_ends(new.ends, l4), True
    return new


def _address(family: int, text: bytes) -> Address:
    """Read an address of /proc/net: words in the machine's byte order as hexadecimal digits."""
    ip, _, port = text.partition(b":")
    raw = bytes.fromhex(ip.decode("ascii"))
    words = (raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return Address(family, b"".join(words), int(port, 16))


def _kind(target: str) -> tuple[str, str]:
    """Return the character of the type, and the name, of what a descriptor's link tells."""
    if target.startswith("pipe:["):
        return "p", target
    if target.startswith("anon_inode:"):
        return _ANONYMOUS.get(target.removeprefix("anon_inode:"), "o"), ""
    if target.startswith(_MEMFD):
        return "m", target.removeprefix(_MEMFD).removesuffix(DELETED)
    return ("f", target.removesuffix(DELETED)) if target.startswith("/") else ("o", "")


# Files of a thread


def _read(path: str, limit: int = MAX_TABLE) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        parts = [os.read(fd, limit)]
        while parts[-1] and sum(map(len, parts)) < limit:
            parts.append(os.read(fd, limit))
        return b"".join(parts)[:limit]
    except OSError:
        return b""
    finally:
        os.close(fd)


def _entries(path: str) -> int | None:
    try:
        return len(os.listdir(path))
    except OSError:
        return None


def _link(path: str) -> str:
    try:
        return os.fsdecode(os.readlink(os.fsencode(path)))
    except OSError:
        return ""


def _texts(data: bytes) -> tuple[str, ...]:
    text = data.removesuffix(b"\0").decode("utf-8", "surrogateescape")
    return tuple(text.split("\0")) if text else ()


def _comm(data: bytes) -> str:
    return data.removesuffix(b"\n").decode("utf-8", "surrogateescape")


def _status(data: bytes) -> dict[str, str]:
    lines = data.decode("utf-8", "surrogateescape").split("\n")
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _from_stat(thread: Thread, numbers: list[bytes]) -> None:
    """Take over what /proc/TID/stat tells after the name."""
    thread.pgid = int(numbers[2])
    thread.tty = max(0, int(numbers[4]))
    thread.faults_minor, thread.faults_major = int(numbers[7]), int(numbers[9])
    thread.start_ns = boot_ns() + int(numbers[19]) * _tick_ns()


def _from_status(thread: Thread, status: dict[str, str]) -> None:
    thread.uid, thread.gid = int(status["Uid"].split()[1]), int(status["Gid"].split()[1])
    thread.vtid, thread.vpid = _innermost(status, "NSpid", thread.tid), _innermost(status, "NStgid", thread.pid)
    thread.sid, thread.vpgid = _innermost(status, "NSsid", UNKNOWN), _innermost(status, "NSpgid", UNKNOWN)
    inheritable, permitted, effective = (int(status.get(key, "0"), 16) for key in ("CapInh", "CapPrm", "CapEff"))
    thread.caps = (inheritable, permitted, effective)
    thread.vm_size, thread.vm_rss, thread.vm_swap = (
        int(status.get(key, "0").split()[0]) for key in ("VmSize", "VmRSS", "VmSwap")
    )


def _innermost(status: dict[str, str], key: str, default: int) -> int:
    """Return an id as the thread's own namespace numbers it."""
    words = status.get(key, "").split()
    return int(words[-1]) if words else default


def _cgroups(data: bytes) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    unified = ""
    for line in data.decode("utf-8", "surrogateescape").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            unified = path
        else:
            found.update((subsystem_name(name), path) for name in controllers.split(","))
    if unified:
        found = dict.fromkeys(CGROUPS, unified) | found
    return list(found.items())


def _open_files(limits: bytes) -> int:
    line = next((line for line in limits.split(b"\n") if line.startswith(b"Max open files")), b"")
    words = line.split()
    return int(words[3]) if len(words) > 3 and words[3].isdigit() else 0


def _writable(found: os.stat_result, thread: Thread) -> bool:
    """Tell whether the thread's user may change its program, by owner and mode."""
    if thread.uid in (0, found.st_uid):
        return True
    return bool(found.st_mode & stat.S_IWOTH) or (thread.gid == found.st_gid and bool(found.st_mode & stat.S_IWGRP))


# A table of the live host


class LiveInterfaces(Interfaces):
    """The addresses of this host, read again now and then, since they come and go."""

    def __init__(self, proc: Path) -> None:
        super().__init__()
        self._proc = proc
        self._next = 0.0

    def is_local(self, ip: bytes) -> bool:
        """Tell whether an address belongs to the host."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + INTERFACES_S
            self.replace(read_interfaces(self._proc))
        return super().is_local(ip)


def live_table(procfs: Procfs | None = None) -> ThreadTable:
    """Return an empty table that looks unknown threads, descriptors and accounts up on this host."""
    procfs = procfs or Procfs()
    table = ThreadTable(procfs)
    table.accounts = Accounts(live=True, proc=procfs.root)
    table.interfaces = LiveInterfaces(Path(procfs.root))
    return table


def scan(table: ThreadTable, procfs: Procfs | None = None) -> int:
    """
    Take the processes of this host into a table and return how many there were.

    Threads other than the main ones are derived from those when their first event comes.
    """
    procfs = procfs or Procfs()
    found = sorted(procfs.processes(), key=lambda thread: thread.start_ns)
    table.fill(thread for thread in found if table.get(thread.tid) is None)
    return len(found)
