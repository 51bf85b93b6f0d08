"""Descriptors as the kernel itself resolved them at the time of the event."""

import socket
from functools import lru_cache

from ingest.syscalls.call import Address, Descriptor, Ends
from ingest.syscalls.ebpf.record import UNIX, UNIX_PEER, FdInfo, Record, SocketInfo
from ingest.syscalls.flags import from_linux
from ingest.syscalls.sockets import TYPECHARS, show_address, show_ends

_FORMAT, _SOCKET, _DIRECTORY, _FIFO = 0xF000, 0xC000, 0x4000, 0x1000
_ANONYMOUS_FS, _PID_FS = 0x09041934, 0x50494446
_CREATED = 0x100000
_F_CREATED, _UPPER, _LOWER = 16384, 32768, 65536
_LISTENING = 10
_EPHEMERAL = 32768
_PROTOCOLS = {1: "icmp", 58: "icmp", 6: "tcp", 17: "udp", 255: "raw"}
_ANONYMOUS = {
    "[eventfd]": "e",
    "[eventpoll]": "l",
    "[signalfd]": "s",
    "[timerfd]": "t",
    "inotify": "i",
    "[io_uring]": "r",
    "[userfaultfd]": "u",
    "[pidfd]": "P",
    "bpf-map": "b",
    "bpf-prog": "b",
    "bpf_link": "b",
    "bpf-link": "b",
    "btf": "b",
}


@lru_cache(4096)
def falco_flags(table: str, value: int) -> int:
    """Return flags of the kernel in Falco's numbering; the same few come again and again."""
    return from_linux(table, value)


def device(dev: int) -> int:
    """Return a device number of the kernel as user space has it: minor, major, rest of minor."""
    minor = dev & 0xFFFFF
    return (minor & 0xFF) | (dev >> 20) << 8 | (minor & ~0xFF) << 12


def open_flags(info: FdInfo | None, flags: int) -> int:
    """Return the flags of an open in Falco's numbering, with what the kernel knows of its result."""
    found = falco_flags("file_flags", flags & 0xFFFFFFFF)
    if info is not None:
        if info.fmode & _CREATED:
            found |= _F_CREATED
        if info.layer:
            found |= _UPPER if info.layer == 1 else _LOWER
    return found


def descriptor(record: Record, index: int, role: str = "") -> Descriptor | None:
    """
    Return what a descriptor is.

    Args:
        record: The event.
        index: Of the argument.
        role: "client" or "server" where the call says so.
    """
    info = record.fd(index)
    if info is None:
        return None
    if info.mode & _FORMAT == _SOCKET:
        found = record.socket(index)
        return Descriptor(info.num, "o", ino=info.ino) if found is None else _socket(record, index, info, found, role)
    path = record.path(index) or ""
    char, name = _kind(info, path)
    new = Descriptor(info.num, char, name, name, path, open_flags(info, info.flags), device(info.dev), info.ino)
    new.upper_layer, new.lower_layer = info.layer == 1, info.layer == 2
    if char == "u":
        new.kind = "userfaultfd"
    return new


def _kind(info: FdInfo, path: str) -> tuple[str, str]:
    """Return the character of the type, and the name."""
    if info.magic in (_ANONYMOUS_FS, _PID_FS):
        return ("P" if info.magic == _PID_FS else _ANONYMOUS.get(path, "o")), ""
    if path.startswith("memfd:"):
        return "m", path.removeprefix("memfd:")
    kind = info.mode & _FORMAT
    if kind == _FIFO:
        return "p", path if path.startswith("/") and path != "/" else ""
    return ("d" if kind == _DIRECTORY else "f"), path


def _socket(record: Record, index: int, info: FdInfo, found: SocketInfo, role: str) -> Descriptor:
    new = Descriptor(info.num, TYPECHARS.get(found.family, "o"), ino=info.ino, dev=device(info.dev))
    new.flags = open_flags(None, info.flags) & 4096
    if found.family == socket.AF_UNIX:
        _unix(new, record, index, found, role)
    elif found.family in (socket.AF_INET, socket.AF_INET6):
        new.l4 = _PROTOCOLS.get(found.protocol, "")
        _inet(new, found, role)
    return new


def _unix(new: Descriptor, record: Record, index: int, found: SocketInfo, role: str) -> None:
    own = unix_address(record.parts.get(UNIX + index, b""))
    far = unix_address(record.parts.get(UNIX_PEER + index, b""))
    if found.peer:
        new.server = role == "server" or (role != "client" and bool(own.path) and not far.path)
        if new.server:
            new.ends = Ends(socket.AF_UNIX, far, own, found.peer, found.sk)
        else:
            new.ends = Ends(socket.AF_UNIX, own, far, found.sk, found.peer)
        new.connected, new.name_changed = True, bool(role)
        new.name = show_ends(new.ends)
    elif own.path:
        new.address, new.name = own, own.path
        new.listening = found.state == _LISTENING


def unix_address(path: bytes) -> Address:
    """Return the address of a UNIX socket from its path; an abstract one begins with a NUL."""
    text = "@" + path[1:].decode("utf-8", "surrogateescape") if path[:1] == b"\0" else _up_to_nul(path)
    return Address(socket.AF_UNIX, path=text)


def _up_to_nul(path: bytes) -> str:
    return path.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def inet_ends(found: SocketInfo) -> tuple[Address, Address]:
    """Return the local and the remote end; the remote one has port 0 when there is none."""
    size = 4 if found.family == socket.AF_INET else 16
    remote_port = socket.ntohs(found.remote_port)
    return (
        plain(Address(found.family, found.local[:size], found.local_port)),
        plain(Address(found.family, found.remote[:size], remote_port)),
    )


_MAPPED = b"\0" * 10 + b"\xff\xff"


def plain(address: Address) -> Address:
    """Return an IPv4 address that is written as an IPv6 one as what it is."""
    if len(address.ip) == 16 and address.ip.startswith(_MAPPED):
        return Address(socket.AF_INET, address.ip[12:], address.port)
    return address


def _inet(new: Descriptor, found: SocketInfo, role: str) -> None:
    here, there = inet_ends(found)
    if there.port or (any(there.ip) and new.l4 not in ("tcp", "udp")):
        set_ends(new, here, there, role)
    elif here.port:
        new.address, new.listening, new.name = here, True, show_address(here)


def set_ends(new: Descriptor, here: Address, there: Address, role: str) -> None:
    """Make a descriptor a connection; who is the server is guessed from the ports where nobody said."""
    if len(here.ip) != len(there.ip):
        here = Address(there.family, b"\0" * len(there.ip), here.port)
    server = role == "server" or (not role and _serves(here.port, there.port))
    new.ends = Ends(there.family, there, here) if server else Ends(there.family, here, there)
    new.server, new.connected, new.name_changed = server, True, bool(role)
    new.typechar = TYPECHARS.get(there.family, new.typechar)
    new.name = show_ends(new.ends, new.l4)


def _serves(own_port: int, far_port: int) -> bool:
    """Guess from the ports: those that the kernel hands out are clients'."""
    if (own_port >= _EPHEMERAL) != (far_port >= _EPHEMERAL):
        return far_port >= _EPHEMERAL
    return own_port < far_port


def address(raw: bytes | None) -> Address | None:
    """Return a ``struct sockaddr`` as an address; None for none."""
    if not raw or len(raw) < 2:
        return None
    family = int.from_bytes(raw[:2], "little")
    if family == socket.AF_INET and len(raw) >= 8:
        return Address(family, raw[4:8], int.from_bytes(raw[2:4], "big"))
    if family == socket.AF_INET6 and len(raw) >= 24:
        return plain(Address(family, raw[8:24], int.from_bytes(raw[2:4], "big")))
    if family == socket.AF_UNIX:
        return unix_address(raw[2:])
    return Address(family)
