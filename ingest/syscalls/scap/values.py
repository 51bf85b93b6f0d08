"""Values of parameters as capture files hold them: bytes to and from what ``Call`` holds (spec: fields 5.4, 5.5)."""

import struct
from collections.abc import Callable, Sequence
from typing import Any

from ingest.syscalls.call import Address, Ends

UNIX, INET, INET6 = 1, 2, 10

WIDTHS = {
    **dict.fromkeys(("int8", "uint8", "flags8", "enumflags8", "sigtype"), 1),
    **dict.fromkeys(("int16", "uint16", "flags16", "enumflags16"), 2),
    **dict.fromkeys(("int32", "uint32", "flags32", "enumflags32", "uid", "gid", "mode", "sigset"), 4),
    **dict.fromkeys(("int64", "uint64", "errno", "fd", "pid", "reltime", "abstime"), 8),
}
"""Bytes of a number, by type."""

SIGNED = frozenset({"int8", "int16", "int32", "int64", "errno", "fd", "pid"})
TEXTS = frozenset({"charbuf", "fspath", "fsrelpath"})


def decode(kind: str, data: bytes) -> Any:
    """
    Return a value; None for an empty one, and for an address that is cut short.

    A list of descriptors becomes pairs of number and events; buffers and dynamic values stay bytes. A number may have
    had another width in old files.
    """
    if not data:
        return None
    if kind in WIDTHS:
        return int.from_bytes(data[:8], "little", signed=kind in SIGNED)
    if kind in TEXTS:
        return text(data)
    reader = _READERS.get(kind)
    return reader(data) if reader is not None else data


def text(data: bytes) -> str:
    """Return a text up to its NUL; bytes that are no UTF-8 become surrogate escapes."""
    return data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _address(data: bytes) -> Address | None:
    family = data[0]
    if family == UNIX:
        return Address(UNIX, path=text(data[1:]))
    size = {INET: 4, INET6: 16}.get(family)
    if size is None:
        return Address(family)
    return None if len(data) < 3 + size else Address(family, data[1 : 1 + size], _port(data, 1 + size))


def _ends(data: bytes) -> Ends | None:
    family = data[0]
    if family == UNIX and len(data) >= 17:
        source, destination = struct.unpack_from("<QQ", data, 1)
        return Ends(UNIX, Address(UNIX), Address(UNIX, path=text(data[17:])), source, destination)
    size = {INET: 4, INET6: 16}.get(family)
    if size is None:
        return None if family == UNIX else Ends(family, Address(family), Address(family))
    if len(data) < 5 + 2 * size:
        return None
    source_end = Address(family, data[1 : 1 + size], _port(data, 1 + size))
    return Ends(family, source_end, Address(family, data[3 + size : 3 + 2 * size], _port(data, 3 + 2 * size)))


def _port(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


_POLLED = struct.Struct("<qH")
_MOST_POLLED = 6_000


def _polled(data: bytes) -> tuple[tuple[int, int], ...]:
    count = min(int.from_bytes(data[:2], "little"), (len(data) - 2) // _POLLED.size)
    return tuple(_POLLED.iter_unpack(data[2 : 2 + max(count, 0) * _POLLED.size]))


_READERS: dict[str, Callable[[bytes], Any]] = {"sockaddr": _address, "socktuple": _ends, "fdlist": _polled}


def encode(kind: str, value: Any) -> bytes:
    """Return the bytes of a value; none for None and for what has no form in a file."""
    if value is None:
        return b""
    if kind in WIDTHS:
        width = WIDTHS[kind]
        return (int(value) & ((1 << 8 * width) - 1)).to_bytes(width, "little")
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return encode_text(value) + b"\0"
    if isinstance(value, Address):
        return _encode_address(value)
    if isinstance(value, Ends):
        return _encode_ends(value)
    return _encode_polled(value) if kind == "fdlist" else b""


def encode_text(value: str) -> bytes:
    """Return the bytes of a text, without a NUL in or after it."""
    return value.replace("\0", "").encode("utf-8", "surrogateescape")


def _encode_address(address: Address) -> bytes:
    family = bytes([address.family & 0xFF])
    if address.family == UNIX:
        return family + encode_text(address.path) + b"\0"
    if address.family in (INET, INET6):
        return family + address.ip + address.port.to_bytes(2, "little")
    return family


def _encode_ends(ends: Ends) -> bytes:
    family = bytes([ends.family & 0xFF])
    if ends.family == UNIX:
        ids = struct.pack("<QQ", ends.source_id, ends.destination_id)
        return family + ids + encode_text(ends.destination.path) + b"\0"
    return family + _encode_address(ends.source)[1:] + _encode_address(ends.destination)[1:]


def _encode_polled(value: Sequence[tuple[int, int]]) -> bytes:
    value = value[:_MOST_POLLED]
    return struct.pack("<H", len(value)) + b"".join(_POLLED.pack(num, events & 0xFFFF) for num, events in value)
