"""
Reads the API server's audit log as it grows: whole lines only, through renamed, truncated and missing files.

kube-apiserver renames a full log to ``NAME-<time>.EXT`` beside it and starts a new one; the times sort as text. A
position is a file (told by inode and its first bytes, as inodes are used again) and an offset behind a whole line.
"""

import glob
import os
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import IO

import msgspec

CHUNK = 1 << 20
"""Bytes read at a time."""
MAX_LINE = 64 << 20
"""Bytes of a line beyond which it is left out."""

_HEAD = 256


class Position(msgspec.Struct, frozen=True):
    """
    How far a log was read.

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


class LogFile:
    """
    A log and its renamed predecessors, read one after the other.

    Attributes:
        missed: How often a position or a successor could not be found, so that lines may be missing.
        too_long: Lines that were left out.
    """

    def __init__(self, path: str, position: Position | None, from_start: bool) -> None:
        self.path = path
        self.missed = 0
        self.too_long = 0
        self._file: IO[bytes] | None = None
        self._rest = b""  # the begun line at the end
        self._skipping = False  # inside a line that is too long
        self._resume(position, from_start)

    def read(self) -> Chunk | None:
        """Return the next lines, None when there are none yet. Raises OSError."""
        while self._file or self._open(self.path):
            assert self._file
            data = self._file.read(CHUNK)
            if data:
                lines = self._whole_lines(data)
                if lines:
                    return self._chunk(lines)
            elif self._was_truncated():
                self._file.seek(0)
                self._rest = b""
            elif not self._is_over():
                return None
            else:
                return self._last_chunk()
        return None

    def close(self) -> None:
        """Close the open file."""
        if self._file:
            self._file.close()
            self._file = None

    def _resume(self, position: Position | None, from_start: bool) -> None:
        if position is None:
            if self._open(self.path) and self._file and not from_start:
                self._file.seek(0, os.SEEK_END)
            return
        for name in self._names():
            if self._open(name) and self._file and self._matches(position):
                self._file.seek(position.offset)
                return
            self.close()
        self.missed += 1

    def _matches(self, position: Position) -> bool:
        assert self._file
        stat = os.fstat(self._file.fileno())
        same = stat.st_ino == position.inode and stat.st_size >= position.offset
        return same and _head(self._file, position.offset) == position.head

    def _open(self, name: str) -> bool:
        try:
            self._file = Path(name).open("rb")  # noqa: SIM115 - open until its successor is
        except FileNotFoundError:
            return False
        self._rest = b""
        return True

    def _names(self) -> list[str]:
        """Return the renamed logs from the oldest on, then the log itself."""
        stem, extension = os.path.splitext(self.path)
        return [*sorted(glob.glob(f"{glob.escape(stem)}-*{glob.escape(extension)}")), self.path]

    def _whole_lines(self, data: bytes) -> bytes:
        end = data.rfind(b"\n") + 1
        if not end:
            self._rest += data
            if len(self._rest) > MAX_LINE:
                self._rest, self._skipping = b"", True
            return b""
        lines, self._rest = self._rest + data[:end], data[end:]
        if self._skipping:
            self._skipping = False
            self.too_long += 1
            lines = lines[lines.index(b"\n") + 1 :]
        return lines

    def _chunk(self, lines: bytes) -> Chunk:
        assert self._file
        offset = self._file.tell() - len(self._rest)
        return Chunk(lines, Position(os.fstat(self._file.fileno()).st_ino, offset, _head(self._file, offset)))

    def _last_chunk(self) -> Chunk | None:
        """Return what a finished file ends with, and go on to its successor."""
        rest, self._rest = self._rest, b""
        chunk = self._chunk(rest) if rest else None
        self._open_successor()
        return chunk or self.read()

    def _was_truncated(self) -> bool:
        assert self._file
        return os.fstat(self._file.fileno()).st_size < self._file.tell()

    def _is_over(self) -> bool:
        """Whether another file has taken the log's name; a name that nobody has yet means waiting."""
        assert self._file
        try:
            return os.stat(self.path).st_ino != os.fstat(self._file.fileno()).st_ino
        except FileNotFoundError:
            return False

    def _open_successor(self) -> None:
        assert self._file
        names = self._names()
        inodes = [_inode(name) for name in names]
        inode = os.fstat(self._file.fileno()).st_ino
        self.close()
        if inode in inodes[:-1]:
            self._open(names[inodes.index(inode) + 1])
        else:
            self.missed += 1
            self._open(self.path)


def _inode(name: str) -> int:
    try:
        return os.stat(name).st_ino
    except OSError:
        return 0


def _head(file: IO[bytes], offset: int) -> str:
    """Return the hash of the first bytes of a file, leaving the place of reading."""
    return blake2b(os.pread(file.fileno(), min(offset, _HEAD), 0), digest_size=8).hexdigest()
