"""The frame of an event in a capture file: who, when, which event, and its parameters as bytes."""

import struct
from typing import NamedTuple

from ingest.syscalls.scap.blocks import Kind
from ingest.syscalls.scap.codes import LARGE_CODES

_HEADER = struct.Struct("<QQIH")
_WITH_FLAGS = frozenset({Kind.EVENT_OLD_FLAGS, Kind.EVENT_FLAGS, Kind.EVENT_LARGE_FLAGS})
_WITHOUT_COUNT = frozenset({Kind.EVENT_OLD, Kind.EVENT_OLD_FLAGS})

MAX_PARAMS = 64
"""Parameters that an event may have."""


class Event(NamedTuple):
    """
    One event as it stands in the file.

    Attributes:
        code: Number of the event.
        time_ns: Nanoseconds since the epoch.
        tid, cpu: Where it happened.
        params: Its parameters; an empty one has no bytes.
    """

    code: int
    time_ns: int
    tid: int
    cpu: int
    params: tuple[bytes, ...]


def read_event(kind: int, body: bytes) -> Event | None:
    """Return the event of a block; None when its lengths contradict each other."""
    start = 6 if kind in _WITH_FLAGS else 2
    if len(body) < start + _HEADER.size + 4:
        body = body.ljust(start + _HEADER.size + 4, b"\0") if len(body) >= start + _HEADER.size else b""
    if not body:
        return None
    cpu = body[0] | body[1] << 8
    time_ns, tid, size, code = _HEADER.unpack_from(body, start)
    end = start + size
    if end > len(body):
        return None
    width = 4 if code in LARGE_CODES else 2
    at = start + _HEADER.size
    if kind in _WITHOUT_COUNT:
        sizes = _found_sizes(body, at, end, width)
    else:
        count = int.from_bytes(body[at : at + 4], "little")
        at += 4
        sizes = _sizes(body, at, count, width) if count <= MAX_PARAMS else None
    if sizes is None or at + len(sizes) * width + sum(sizes) > end:
        return None
    return Event(code, time_ns, tid, cpu, _cut(body, at + len(sizes) * width, sizes))


def _sizes(body: bytes, at: int, count: int, width: int) -> tuple[int, ...] | None:
    if at + count * width > len(body):
        return None
    return struct.unpack_from(f"<{count}{'I' if width == 4 else 'H'}", body, at)


def _found_sizes(body: bytes, at: int, end: int, width: int) -> tuple[int, ...] | None:
    """Return the lengths of an event that does not tell how many there are: only one number fills it exactly."""
    sizes: list[int] = []
    for _ in range(MAX_PARAMS):
        filled = at + len(sizes) * width + sum(sizes)
        if filled == end:
            return tuple(sizes)
        here = at + len(sizes) * width
        if filled > end or here + width > end:
            return None
        sizes.append(int.from_bytes(body[here : here + width], "little"))
    return None


def _cut(body: bytes, at: int, sizes: tuple[int, ...]) -> tuple[bytes, ...]:
    params = []
    for size in sizes:
        params.append(body[at : at + size])
        at += size
    return tuple(params)
