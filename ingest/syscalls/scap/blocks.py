"""
The container of a capture file: little-endian blocks one after another, the whole possibly compressed with gzip.

A block is u32 type, u32 length of the whole block, body, padding to 4, the length once more (spec: host-agent 7).
Nothing a file says is trusted: a length beyond what its kind of block may have ends the reading with an error.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import BinaryIO, NamedTuple, cast

SECTION = 0x0A0D0D0A
BYTE_ORDER = 0x1A2B3C4D
GZIP = b"\x1f\x8b"

PROCESSES = (0x202, 0x207, 0x209, 0x210, 0x211, 0x212, 0x213, 0x214, 0x215)
"""Lists of processes, oldest version first; in the last one each entry tells its length."""


class Kind(IntEnum):
    """Types of blocks; of those with an old and a new type, entries of the new one tell their length."""

    MACHINE = 0x201
    DESCRIPTORS_OLD = 0x203
    EVENT_OLD = 0x204
    INTERFACES_OLD = 0x205
    USERS_OLD = 0x206
    EVENT_OLD_FLAGS = 0x208
    PROCESSES = 0x215
    EVENT = 0x216
    EVENT_FLAGS = 0x217
    DESCRIPTORS = 0x218
    INTERFACES = 0x219
    USERS = 0x220
    EVENT_LARGE = 0x221
    EVENT_LARGE_FLAGS = 0x222


INTERNAL = {
    0x8000ABCD: 0x201,
    0x8000ABCE: 0x202,
    0x8000ABCF: 0x203,
    0x8000ABD0: 0x204,
    0x8000ABD1: 0x205,
    0x8000ABD2: 0x206,
    0x8000ABD3: 0x207,
    0x8000ABD4: 0x208,
    0x8000ABD5: 0x209,
    0x8000ABD6: 0x210,
    0x8000ABD7: 0x211,
}
"""Types in files of the first years, and what they are today."""

EVENTS = frozenset(kind for kind in Kind if kind.name.startswith("EVENT"))

MAX_EVENT = (1 << 17) + 64
MAX_LARGE = 1 << 26
MAX_LIST = 1 << 27
MAX_SKIPPED = 1 << 27
"""Bytes that blocks of a kind may have; a list may hold all processes of a big host with their environments."""

CHUNK = 1 << 20


class CaptureError(Exception):
    """A capture file that cannot be read, or not further; the text says what is wrong and where."""


class Block(NamedTuple):
    """
    One block.

    Attributes:
        kind: Its type, as of today.
        body: Its body, padding included.
        offset: Where it begins in the uncompressed file, bytes.
    """

    kind: int
    body: bytes
    offset: int


def is_capture(head: bytes) -> bool:
    """Tell from the first bytes of a file (512 are enough) whether it is a capture."""
    if head[:2] == GZIP:
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, 16)
        except zlib.error:
            return False
    return head[:4] == SECTION.to_bytes(4, "little") and head[8:12] in _ORDERS


_ORDERS = (BYTE_ORDER.to_bytes(4, "little"), BYTE_ORDER.to_bytes(4, "big"))


def read_blocks(stream: BinaryIO) -> Iterator[Block]:
    """
    Yield the blocks of an open capture file, without those of unknown types.

    Raises:
        CaptureError: The file is no capture, is damaged or ends in the middle of a block. What was yielded before
            stays valid.
    """
    file = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
    if file.peek(2)[:2] == GZIP:
        yield from _read(_Input(gzip.GzipFile(fileobj=file)))
    else:
        yield from _read(_Input(file))


class _Input:
    """Bytes of the uncompressed file, counted."""

    def __init__(self, stream: io.BufferedReader | gzip.GzipFile) -> None:
        self._stream = stream
        self._held = b""
        self._at = 0
        self.offset = 0

    def take(self, size: int) -> bytes:
        """Return ``size`` bytes, fewer at the end of the file."""
        start, end = self._at, self._at + size
        if end > len(self._held):
            return self._gather(size)
        self._at = end
        self.offset += size
        return self._held[start:end]

    def _gather(self, size: int) -> bytes:
        parts = [self._held[self._at :]]
        size -= len(parts[0])
        self.offset += len(parts[0])
        while size > 0:
            self._held = self._next()
            part = self._held[:size]
            self._at = len(part)
            if not part:
                break
            parts.append(part)
            size -= len(part)
            self.offset += len(part)
        return b"".join(parts)

    def _next(self) -> bytes:
        """Return what one reading gives: what comes before damage is not lost with it."""
        try:
            return self._stream.read1(CHUNK)
        except EOFError:
            raise CaptureError(f"its compressed data ends early, after byte {self.offset} of the content") from None
        except (zlib.error, gzip.BadGzipFile) as error:
            raise CaptureError(f"the compressed data is damaged after byte {self.offset}: {error}") from None


def _read(file: _Input) -> Iterator[Block]:
    _check_section(_block(file))
    while (block := _block(file)) is not None:
        if block.kind == SECTION:
            _check_section(block)
        elif block.body:
            yield block


def _check_section(block: Block | None) -> None:
    """Refuse a file that does not begin as a capture."""
    if block is None or block.kind != SECTION or len(block.body) < 8:
        raise CaptureError("it does not begin as a capture file")
    order, major, minor = struct.unpack_from("<IHH", block.body)
    if order != BYTE_ORDER:
        raise CaptureError("it was written by a machine of the other byte order; such captures are not read")
    if major != 1:
        raise CaptureError(f"its format has version {major}.{minor}; versions 1.x are read")


def _block(file: _Input) -> Block | None:
    """Read one block; one of an unknown type comes without its body. None at the end of the file."""
    offset = file.offset
    head = file.take(8)
    if not head:
        return None
    kind, length = struct.unpack("<II", head) if len(head) == 8 else (0, 0)
    kind = INTERNAL.get(kind, kind)
    if offset == 0 and kind != SECTION:
        raise CaptureError("it does not begin as a capture file")
    if len(head) == 8 and not 12 <= length <= _limit(kind) + 12:
        raise CaptureError(f"the block at byte {offset} says it has {length} bytes, which no block of its kind has")
    size = length - 12 + -length % 4
    body = file.take(size) if kind in _KNOWN else _skip(file, size)
    tail = file.take(4)
    if len(tail) < 4 or (kind in _KNOWN and len(body) < size):
        raise CaptureError(f"it ends in the middle of the block at byte {offset}")
    if struct.unpack("<I", tail)[0] != length:
        raise CaptureError(f"the block at byte {offset} is damaged: its two lengths differ")
    return Block(kind, body, offset)


_KNOWN = frozenset({SECTION, *PROCESSES, *Kind})


def _limit(kind: int) -> int:
    if kind in (Kind.EVENT_LARGE, Kind.EVENT_LARGE_FLAGS):
        return MAX_LARGE
    if kind in EVENTS:
        return MAX_EVENT
    return MAX_LIST if kind in _KNOWN else MAX_SKIPPED


def _skip(file: _Input, size: int) -> bytes:
    while size > 0 and (part := file.take(min(size, CHUNK))):
        size -= len(part)
    return b""
