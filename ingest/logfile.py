"""
Files of lines read as they grow: whole lines only, through renamed, truncated and missing files.

A position is a file (told by inode and its first bytes, as inodes are used again) and an offset behind a whole line.
"""

import glob
import os
import re
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO

import msgspec

CHUNK = 1 << 20
"""Bytes read at a time."""
MAX_LINE = 64 << 20
"""Bytes of a line beyond which it is left out, unless told otherwise."""

_HEAD = 256
_NUMBERED = re.compile(r"\.(\d+)$")


class Position(msgspec.Struct, frozen=True):
    """
    How far a file was read.

    Attributes:
        inode: Of the file.
        offset: Bytes read of it.
        head: Hash of its first bytes, as many as were read, at most 256.
    """

    inode: int
    offset: int
    head: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines, and the position behind them."""

    data: bytes
    position: Position


class Tail:
    """
    One open file of lines.

    Args:
        file: Read from where it stands.
        max_line: Bytes of a line beyond which it is left out.

    Attributes:
        too_long: Lines that were left out.
    """

    def __init__(self, file: IO[bytes], max_line: int | None = None) -> None:
        self.file = file
        self.too_long = 0
        self._max_line = max_line or MAX_LINE
        self._rest = bytearray()  # the begun line at the end
        self._skipping = False  # inside a line that is too long

    def lines(self) -> Chunk | None:
        """Return the next whole lines, None when there are none yet. Raises OSError."""
        while data := self.file.read(CHUNK):
            if lines := self._whole_lines(data):
                return self._chunk(lines)
        return None

    def begun(self) -> bytes:
        """Return the line that has no end yet, b"" when there is none."""
        return bytes(self._rest)

    def last(self) -> Chunk | None:
        """Return the line that has no end as if it had one, None when there is none."""
        rest = self.begun()
        self._rest.clear()
        return self._chunk(rest) if rest else None

    def was_truncated(self) -> bool:
        """Whether the file is shorter than what was read of it."""
        return os.fstat(self.file.fileno()).st_size < self.file.tell()

    def restart(self) -> None:
        """Read the file from its start."""
        self._rest.clear()
        self._skipping = False
        self.file.seek(0)

    def go_on(self, offset: int) -> None:
        """Read the file from an offset behind a whole line, unless that is where it is read from already."""
        if self.file.tell() - len(self._rest) != offset:
            self.restart()
            self.file.seek(offset)

    def _whole_lines(self, data: bytes) -> bytes:
        end = data.rfind(b"\n") + 1
        if not end:
            self._begin(data)
            return b""
        lines = bytes(self._rest) + data[:end]
        self._rest = bytearray(data[end:])
        if self._skipping:
            self._skipping = False
            self.too_long += 1
            lines = lines[lines.index(b"\n") + 1 :]
        return lines

    def _begin(self, data: bytes) -> None:
        if self._skipping:
            return
        self._rest += data
        if len(self._rest) > self._max_line:
            self._rest.clear()
            self._skipping = True

    def _chunk(self, lines: bytes) -> Chunk:
        return Chunk(lines, position(self.file, self.file.tell() - len(self._rest)))


def position(file: IO[bytes], offset: int) -> Position:
    """Return the position of an offset in an open file, leaving the place of reading."""
    return Position(os.fstat(file.fileno()).st_ino, offset, head(file, offset))


def head(file: IO[bytes], offset: int) -> str:
    """Return the hash of the first bytes of a file before an offset, leaving the place of reading."""
    return blake2b(os.pread(file.fileno(), min(offset, _HEAD), 0), digest_size=8).hexdigest()


def continues(file: IO[bytes], known: Position) -> bool:
    """Whether an open file is the one that a position is of, with all that was read of it."""
    stat = os.fstat(file.fileno())
    return stat.st_ino == known.inode and stat.st_size >= known.offset and head(file, known.offset) == known.head


class LogFile:
    """
    A log and its renamed predecessors, read one after the other.

    A full log is renamed to ``NAME-<time>.EXT`` (as kube-apiserver does; the times sort as text) or ``NAME.EXT.1`` (as
    logrotate does; the highest number is the oldest) beside it, and a new one started.

    Attributes:
        missed: How often a position or a successor could not be found, so that lines may be missing.
        too_long: Lines that were left out.
    """

    def __init__(self, path: str, position: Position | None, from_start: bool) -> None:
        self.path = path
        self.missed = 0
        self._tail: Tail | None = None
        self._too_long = 0  # of files that are closed
        self._resume(position, from_start)

    @property
    def too_long(self) -> int:
        """Lines that were left out."""
        return self._too_long + (self._tail.too_long if self._tail else 0)

    def read(self) -> Chunk | None:
        """Return the next lines, None when there are none yet. Raises OSError."""
        while tail := self._tail or self._open(self.path):
            chunk = tail.lines()
            if chunk:
                return chunk
            if tail.was_truncated():
                tail.restart()
            elif not self._is_over(tail):
                return None
            else:
                last = tail.last()
                self._open_successor(tail)
                if last:
                    return last
        return None

    def close(self) -> None:
        """Close the open file."""
        if self._tail:
            self._too_long += self._tail.too_long
            self._tail.file.close()
            self._tail = None

    def _resume(self, known: Position | None, from_start: bool) -> None:
        if known is None:
            tail = self._open(self.path)
            if tail and not from_start:
                tail.file.seek(0, os.SEEK_END)
            return
        for name in self._names():
            tail = self._open(name)
            if tail and continues(tail.file, known):
                tail.file.seek(known.offset)
                return
            self.close()
        self.missed += 1

    def _open(self, name: str) -> Tail | None:
        try:
            self._tail = Tail(Path(name).open("rb"))  # noqa: SIM115 - open until its successor is
        except FileNotFoundError:
            return None
        return self._tail

    def _names(self) -> list[str]:
        """Return the renamed logs from the oldest on, then the log itself."""
        stem, extension = os.path.splitext(self.path)
        numbered = [(int(found[1]), name) for name in _beside(f"{self.path}.", "") if (found := _NUMBERED.search(name))]
        dated = sorted(_beside(f"{stem}-", extension))
        return [*(name for _, name in sorted(numbered, reverse=True)), *dated, self.path]

    def _is_over(self, tail: Tail) -> bool:
        """Whether another file has taken the log's name; a name that nobody has yet means waiting."""
        try:
            return os.stat(self.path).st_ino != os.fstat(tail.file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def _open_successor(self, tail: Tail) -> None:
        names = self._names()
        inodes = [_inode(name) for name in names]
        inode = os.fstat(tail.file.fileno()).st_ino
        self.close()
        if inode in inodes[:-1]:
            self._open(names[inodes.index(inode) + 1])
        else:
            self.missed += 1
            self._open(self.path)


def _beside(start: str, end: str) -> list[str]:
    return glob.glob(f"{glob.escape(start)}*{glob.escape(end)}")


def _inode(name: str) -> int:
    try:
        return os.stat(name).st_ino
    except OSError:
        return 0
