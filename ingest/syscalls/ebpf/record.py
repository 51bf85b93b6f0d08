"""
One record of the ring taken apart: the header and what the program found out about arguments, descriptors, memory.

The numbers are those of kernel/common.c.
"""

import struct
from typing import NamedTuple

from ingest.syscalls.ebpf.header import Header

HEADER = struct.Struct("<QQQQqQQQQQQQ13IHBBHH16s4x")
_PART = struct.Struct("<BBH")
_FD = struct.Struct("<Q8I")
_SOCKET = struct.Struct("<QQII6H16s16s4x")
EXEC = struct.Struct("<15Q4I")
FORK = struct.Struct("<10Q6I")

TEXT, BYTES, FD, PATH, SOCKET, UNIX, UNIX_PEER, ARGV, ENV, CGROUP, EXEC_INFO, FORK_INFO, NAME = (
    tag << 8 for tag in range(1, 14)
)
"""Keys of parts: the tag, to which the index of the argument is added."""

RET, CWD, EXE = 7, 8, 9
"""Indexes beside those of the arguments: the result, the working directory, the executable."""

SENDER, CONTROL = 16, 32
"""Added to the index of a message for its address and its control data."""

_DELETED = 0x80
_UNREACHED = 0x40
_GROUPS = CGROUP
_SAME, _NEW = 0x20, 0x10


class FdInfo(NamedTuple):
    """What the kernel knows of an open file; flags and device in the kernel's own numbering."""

    ino: int
    num: int
    mode: int
    dev: int
    flags: int
    fmode: int
    magic: int
    layer: int
    rdev: int


class SocketInfo(NamedTuple):
    """What the kernel knows of a socket; the remote port in network order, ``sk`` and ``peer`` kernel addresses."""

    sk: int
    peer: int
    backlog: int
    backlog_max: int
    family: int
    type: int
    protocol: int
    state: int
    local_port: int
    remote_port: int
    local: bytes
    remote: bytes


class ExecInfo(NamedTuple):
    """Facts of a program that was started; sizes in pages."""

    cap_inheritable: int
    cap_permitted: int
    cap_effective: int
    ino: int
    ctime_s: int
    ctime_ns: int
    mtime_s: int
    mtime_ns: int
    total_vm: int
    rss: int
    swap: int
    faults_major: int
    faults_minor: int
    fd_limit: int
    pidns_start: int
    tty: int
    pgid: int
    vpgid: int
    flags: int


class ForkInfo(NamedTuple):
    """Facts of a thread or process that was made; sizes in pages, ``flags`` as the kernel numbers them."""

    thread_start: int
    start: int
    pidns_start: int
    flags: int
    total_vm: int
    rss: int
    swap: int
    faults_major: int
    faults_minor: int
    fd_limit: int
    tid: int
    tgid: int
    vtid: int
    vpid: int
    pidns: int
    unused: int


class Record:
    """
    A record.

    Attributes:
        head: The header.
        args: The arguments of the call.
        parts: What follows it, by key.
        cgroups: Indexes and names of the parts that tell cgroups, in order.
    """

    __slots__ = ("_infos", "args", "cgroups", "head", "parts")

    def __init__(self, batch: bytes, at: int, head: Header) -> None:
        """Take apart what follows a header that begins at a place of a batch."""
        self.head = head
        self.args: tuple[int, ...] = head[5:11]
        parts: dict[int, bytes] = {}
        self.parts = parts
        self.cgroups: list[tuple[int, bytes]] = []
        self._infos: dict[int, FdInfo | None] = {}
        at += HEADER.size
        end = at + head.size
        unpack = _PART.unpack_from
        while at + _PART.size <= end:
            tag, index, size = unpack(batch, at)
            at += 4
            value = batch[at : at + size]
            at += size
            key = tag << 8
            if key == PATH and index & (_DELETED | _UNREACHED):
                value = value + b" (deleted)" if index & _DELETED else b"..." + value
                index &= 0x3F
            elif key == _GROUPS:
                self.cgroups.append((index, value))
                continue
            parts[key + index] = value

    def path(self, index: int) -> str | None:
        """Return a path that the kernel resolved, None when it was not asked to."""
        found = self.parts.get(PATH + index)
        return None if found is None else found.decode("utf-8", "surrogateescape") or "/"

    def text(self, index: int) -> str | None:
        """Return a text argument, None when it could not be read."""
        found = self.parts.get(TEXT + index)
        return None if found is None else found.decode("utf-8", "surrogateescape")

    def bytes(self, index: int) -> bytes | None:
        """Return a buffer or structure, None when it could not be read."""
        return self.parts.get(BYTES + index)

    def fd(self, index: int) -> FdInfo | None:
        """Return what a descriptor argument is, None when it is none."""
        try:
            return self._infos[index]
        except KeyError:
            found = self.parts.get(FD + index)
            whole = found is not None and len(found) == _FD.size
            info = self._infos[index] = FdInfo._make(_FD.unpack(found)) if found and whole else None
            return info

    def socket(self, index: int) -> SocketInfo | None:
        """Return which socket a descriptor argument is, None when it is none."""
        found = self.parts.get(SOCKET + index)
        return SocketInfo._make(_SOCKET.unpack(found)) if found and len(found) == _SOCKET.size else None

    def cgroup_paths(self) -> list[tuple[int, str]]:
        """Return the number of each subsystem (in ``offsets.SUBSYSTEMS``) and its path."""
        found: list[tuple[int, str]] = []
        names: list[str] = []
        for index, value in self.cgroups:
            if index & _SAME:
                found.append((index & 0xF, found[-1][1] if found else "/"))
            elif index & _NEW:
                names = []
                found.append((index & 0xF, "/"))
            else:
                names.insert(0, value.decode("utf-8", "surrogateescape"))
                found[-1] = (index & 0xF, "/" + "/".join(names))
        return found
