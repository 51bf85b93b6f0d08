"""
What a capture tells before its events: the machine, its interfaces and accounts, processes and open descriptors.

Entries of the newest lists tell their length and may have fields at their end that nobody knew when this was written;
those of older lists have the fields that their version had (spec: host-agent 7).
"""

from collections.abc import Iterator
from typing import NamedTuple

from ingest.syscalls.call import Address, Descriptor, Ends, Thread
from ingest.syscalls.interfaces import Interface
from ingest.syscalls.scap.blocks import PROCESSES, Kind
from ingest.syscalls.scap.packed import Fields, Short
from ingest.syscalls.scap.values import INET, INET6, UNIX
from ingest.syscalls.users import User

MAX_ENTRIES = 1 << 18
"""Entries of a list that are read."""


class Machine(NamedTuple):
    """
    Where a capture was made.

    Attributes:
        cpus: Number of processors.
        memory: Bytes.
        hostname: Its name.
        boot_ns: When it was started, nanoseconds since the epoch; 0 in older files.
    """

    cpus: int = 0
    memory: int = 0
    hostname: str = ""
    boot_ns: int = 0


def read_machine(body: bytes) -> Machine:
    """Read the block about the machine; raises Short when it is cut."""
    fields = Fields(body)
    cpus, memory, _ = fields.number(4), fields.number(8), fields.number(8)
    hostname = fields.take(128).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")
    return Machine(cpus, memory, hostname, fields.number(8) if fields.left >= 8 else 0)


def _entries(body: bytes, own_length: bool, counts_itself: bool = True) -> Iterator[Fields]:
    """Yield a cursor for each entry; entries without a length share one, and the reader moves it."""
    fields = Fields(body)
    for _ in range(MAX_ENTRIES):
        if fields.left < 4:
            return
        if not own_length:
            yield fields
        else:
            size = fields.number(4) - (4 if counts_itself else 0)
            if size <= 0:
                return
            yield fields.part(size)


def read_interfaces(body: bytes, kind: int) -> Iterator[Interface]:
    """Yield the addresses of a list of interfaces; raises Short when it is cut."""
    for fields in _entries(body, kind == Kind.INTERFACES, counts_itself=False):
        version, name = fields.number(2), fields.number(2)
        width = {1: 4, 2: 16, 3: 4, 4: 16}.get(version)
        if width is None:
            return
        ip, mask, _ = fields.take(width), fields.take(width), fields.take(width)
        fields.take((8 if version <= 2 else 0) + name)
        yield Interface(ip, int.from_bytes(mask, "big").bit_count())


def read_accounts(body: bytes, kind: int) -> Iterator[tuple[int, User | str]]:
    """Yield users, and groups as their names, with their ids; raises Short when the list is cut."""
    for fields in _entries(body, kind == Kind.USERS):
        is_group, number = fields.number(1), fields.number(4)
        if is_group:
            yield number, fields.text()
        else:
            fields.number(4)
            yield number, User(fields.text(), fields.text(), fields.text())


def read_processes(body: bytes, kind: int) -> Iterator[Thread]:
    """Yield the threads of a list of processes; raises Short when it is cut."""
    version = PROCESSES.index(kind) + 1
    for fields in _entries(body, kind == Kind.PROCESSES):
        yield _thread(fields, version)


def _thread(fields: Fields, version: int) -> Thread:
    thread = Thread(fields.number(8), fields.number(8), ptid=fields.number(8, signed=True))
    if version >= 6:
        thread.sid = fields.number(8, signed=True)
    if version >= 8:
        thread.vpgid = fields.number(8, signed=True)
    thread.comm, thread.exe = fields.text(), fields.text()
    if version >= 7:
        thread.exe_path = fields.text()
    thread.args = split_texts(fields.buffer())
    thread.cwd = _directory(fields.text())
    thread.fd_limit, _ = fields.number(8, signed=True), fields.number(4)
    thread.uid, thread.gid = fields.number(4), fields.number(4)
    if version >= 2:
        thread.vm_size, thread.vm_rss, thread.vm_swap = fields.number(4), fields.number(4), fields.number(4)
        thread.faults_major, thread.faults_minor = fields.number(8), fields.number(8)
    if version >= 3:
        thread.env = split_texts(fields.buffer())
    if version >= 4:
        thread.vtid, thread.vpid = fields.number(8, signed=True), fields.number(8, signed=True)
        thread.cgroups = split_cgroups(fields.buffer())
    if version >= 5:
        thread.root = fields.text() or "/"
    if version >= 9:
        _newer(thread, fields)
    return thread


_WITHOUT_NAMESPACE = 29
# Bytes of the login uid, whether the executable can be written, and capabilities.


def _newer(thread: Thread, fields: Fields) -> None:
    """
    Read what was added to entries that tell their length, as far as this one has it.

    The start of the pid namespace and the terminal were put in before what was there already; entries too short to
    have them begin with the login uid.
    """
    try:
        if fields.left > _WITHOUT_NAMESPACE:
            thread.pidns_start_ns = fields.number(8)
            thread.tty = fields.number(4)
        thread.login_uid = fields.number(4, signed=True)
        thread.exe_flags = fields.number(1) & 1
        inheritable, permitted, effective = fields.number(8), fields.number(8), fields.number(8)
        thread.caps = (inheritable, permitted, effective)
        thread.exe_flags |= 2 * (fields.number(1) & 1)
        thread.exe_ino, thread.exe_ctime_ns, thread.exe_mtime_ns = fields.number(8), fields.number(8), fields.number(8)
        thread.exe_flags |= 4 * (fields.number(1) & 1)
        thread.exe_flags |= 8 * (fields.number(1) & 1)
        thread.pgid = fields.number(8, signed=True)
    except Short:
        pass


def _directory(path: str) -> str:
    return path.rstrip("/") or "/"


def split_texts(data: bytes) -> tuple[str, ...]:
    """Return the texts of a buffer in which a NUL ends each of them; one NUL alone is no text, as in Falco."""
    parts = data.split(b"\0")
    if parts and not parts[-1]:
        del parts[-1]
    if parts == [b""]:
        return ()
    return tuple(part.decode("utf-8", "surrogateescape") for part in parts)


def split_cgroups(data: bytes) -> tuple[tuple[str, str], ...]:
    """Return subsystems and paths of a buffer of SUBSYSTEM=PATH texts; the last "=" before the path divides."""
    found = []
    for part in split_texts(data):
        at = part.find("=/")
        name, path = (part[:at], part[at + 1 :]) if at >= 0 else (part, "")
        found.append((name, path))
    return tuple(found)


TYPECHARS = {
    1: "f", 2: "d", 3: "4", 4: "6", 5: "4", 6: "6", 7: "p", 8: "u", 9: "e", 10: "X", 11: "s", 12: "l", 13: "i", 14: "t",
    15: "n", 16: "f", 17: "b", 18: "u", 19: "r", 20: "m", 21: "P",
}  # fmt: skip
"""Characters of ``fd.typechar`` by the number of a descriptor's type."""

_FILE_WITH_FLAGS, _USERFAULTFD, _UNIX = 16, 18, 8
_LISTENING = {5: (INET, 4), 6: (INET6, 16)}
_CONNECTED = {3: (INET, 4), 4: (INET6, 16)}
_LAYER_4 = {1: "tcp", 2: "udp", 3: "icmp", 4: "raw"}


def read_descriptors(body: bytes, kind: int, most: int = MAX_ENTRIES) -> tuple[int, list[Descriptor]]:
    """
    Return the thread id that a list of descriptors belongs to, and the descriptors.

    Args:
        body: Of the block.
        kind: Of the block.
        most: Descriptors that are read.

    Raises:
        Short: The list is cut.
    """
    tid = Fields(body).number(8)
    found: list[Descriptor] = []
    for fields in _entries(body[8:], kind == Kind.DESCRIPTORS):
        if fields.left < 17 or len(found) >= most:
            break
        found.append(_descriptor(fields, kind == Kind.DESCRIPTORS))
    return tid, found


def _descriptor(fields: Fields, own_length: bool) -> Descriptor:
    num, ino, kind = fields.number(8, signed=True), fields.number(8), fields.number(1)
    found = Descriptor(num, TYPECHARS.get(kind, "o"), ino=ino)
    if kind in _CONNECTED:
        _connected(found, fields, *_CONNECTED[kind])
    elif kind in _LISTENING:
        _listening(found, fields, *_LISTENING[kind])
    elif kind == _UNIX:
        source, destination = fields.number(8), fields.number(8)
        found.name = fields.text()
        found.ends = Ends(UNIX, Address(UNIX), Address(UNIX, path=found.name), source, destination)
    elif kind == _FILE_WITH_FLAGS:
        found.flags, found.name = fields.number(4), fields.text()
        found.dev = fields.number(4) if own_length and fields.left >= 4 else 0
    else:
        found.kind = "userfaultfd" if kind == _USERFAULTFD else ""
        found.name = fields.text()
    return found


def _connected(found: Descriptor, fields: Fields, family: int, width: int) -> None:
    source, destination = fields.take(width), fields.take(width)
    source_port, destination_port = fields.number(2), fields.number(2)
    found.l4 = _LAYER_4.get(fields.number(1), "")
    found.ends = Ends(family, Address(family, source, source_port), Address(family, destination, destination_port))


def _listening(found: Descriptor, fields: Fields, family: int, width: int) -> None:
    ip, port = fields.take(width), fields.number(2)
    found.l4 = _LAYER_4.get(fields.number(1), "")
    found.address = Address(family, ip, port)
    found.server = found.listening = True
