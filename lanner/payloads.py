"""
Files as payloads: finding them, and reading them in pieces that hold whole records.

A file of one record per line can be of any size and is read a few megabytes at a time; any other file is read whole,
up to the bound that ``ingest.payload`` has.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import IO

from isal import isal_zlib

from ingest.payload import MAX_BYTES, PayloadError, decode_json, inflate

STDIN = "-"

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".log", ".scap")
_NO_RECORDS = "CloudTrail-Digest"
_READ = 1 << 20
_PIECE = 8 << 20
_GZIP = b"\x1f\x8b"
_LAYERS = 2  # Firehose can compress what CloudWatch has compressed already
_STEP = 16384  # input per inflate call; what one call gives is lost when its input is damaged
_InflateError: type[Exception] = isal_zlib.IsalError  # type: ignore[assignment]  # its stub says instance, not class


@dataclass(frozen=True, slots=True)
class Payload:
    """
    A file to read.

    Attributes:
        path: Of the file; ``-`` for standard input.
        size: Bytes as stored; 0 when it cannot be known.
    """

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Piece:
    """
    Whole records of a file.

    Attributes:
        data: Plain bytes.
        line: Number of its first line in the file, from 1.
    """

    data: bytes
    line: int


def find(paths: Iterable[str]) -> list[Payload]:
    """
    Return the files that paths stand for; a folder stands for those below it that may hold events, sorted by path.

    Folders below that cannot be looked into come last, so that whoever opens them learns why.

    Raises:
        FileNotFoundError: A path is not there.
    """
    return [payload for path in paths for payload in _expand(path)]


def _expand(path: str) -> Iterator[Payload]:
    if path == STDIN:
        yield Payload(STDIN, 0)
    elif not os.path.isdir(path):
        yield Payload(path, os.stat(path).st_size)
    else:
        yield from _below(path)


def _below(path: str) -> Iterator[Payload]:
    closed: list[str] = []
    for folder, folders, names in os.walk(path, onerror=lambda error: closed.append(error.filename)):
        folders[:] = sorted(name for name in folders if name != _NO_RECORDS)
        for name in sorted(names):
            file = os.path.join(folder, name)
            if name.removesuffix(".gz").endswith(_SUFFIXES) and os.path.isfile(file):
                yield Payload(file, os.path.getsize(file))
    yield from (Payload(folder, 0) for folder in closed)


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """
    Open a file for reading; ``-`` is standard input, and stays open.

    Raises:
        OSError: It cannot be opened.
    """
    if path == STDIN:
        # Not Python's own, whose lock a thread that waits for input would hold when the interpreter ends.
        with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as stream:
            yield stream
    else:
        with open(path, "rb") as stream:
            yield stream


def pieces(stream: IO[bytes], advance: Callable[[int], object]) -> Iterator[Piece]:
    """
    Read a file in pieces of whole records.

    Args:
        stream: The bytes as stored; gzip is told by its magic number.
        advance: Called with the number of stored bytes whenever some were read.

    Raises:
        PayloadError: The rest cannot be read; what could be was yielded before.
        OSError: Reading failed.
    """
    cutter = _Cutter()
    try:
        for chunk in _plain(_stored(stream, advance)):
            yield from cutter.add(chunk)
    except PayloadError:
        yield from cutter.rest()
        raise
    yield from cutter.rest()


@dataclass(slots=True)
class _Cutter:
    """Collects bytes and cuts them where a record ends."""

    held: bytearray = field(default_factory=bytearray)
    line: int = 1
    by_line: bool | None = None  # not known before the first line has ended
    end: int = 0  # of the last line that has one
    searched: int = 0  # bytes that were looked through for ends of lines

    def add(self, chunk: bytes) -> Iterator[Piece]:
        self.held += chunk
        if len(self.held) < _PIECE:
            return
        if self.by_line is None and (first := self.held.find(b"\n", self.searched) + 1):
            self.by_line = _is_record(bytes(self.held[:first]))
        self.end = self.held.rfind(b"\n", self.searched) + 1 or self.end
        self.searched = len(self.held)
        if self.by_line and self.end:
            yield Piece(bytes(self.held[: self.end]), self.line)
            self.line += self.held.count(b"\n", 0, self.end)
            del self.held[: self.end]
            self.end, self.searched = 0, len(self.held)
        elif len(self.held) > MAX_BYTES:
            self.held.clear()
            raise PayloadError("too-large", f"more than {MAX_BYTES >> 20} MiB, and not one record per line")

    def rest(self) -> Iterator[Piece]:
        if self.held:
            yield Piece(inflate(bytes(self.held)), self.line)


def _stored(stream: IO[bytes], advance: Callable[[int], object]) -> Iterator[bytes]:
    while chunk := stream.read(_READ):
        advance(len(chunk))
        yield chunk


def _plain(chunks: Iterator[bytes]) -> Iterator[bytes]:
    for _ in range(_LAYERS):
        first = next(chunks, b"")
        chunks = chain([first], chunks)
        if first[:2] != _GZIP:
            break
        chunks = _inflated(chunks)
    return chunks


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Inflate all members of a gzip stream; zeros after a member are padding."""
    member, read, begun = isal_zlib.decompressobj(31), 0, False
    for part in (chunk[at : at + _STEP] for chunk in chunks for at in range(0, len(chunk), _STEP)):
        left = part
        while left := left if begun else left.lstrip(b"\0"):
            try:
                yield member.decompress(left)
            except _InflateError as error:
                raise PayloadError("bad-gzip", f"{error}, near byte {read}") from None
            begun, left = not member.eof, member.unused_data
            if member.eof:
                member = isal_zlib.decompressobj(31)
        read += len(part)
    if begun:
        raise PayloadError("truncated-gzip", f"the gzip data ends early, at byte {read}")


def _is_record(line: bytes) -> bool:
    try:
        return isinstance(decode_json(line), dict)
    except ValueError:
        return False
