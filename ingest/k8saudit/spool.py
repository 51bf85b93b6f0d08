"""
The spool: requests on disk, answered already and not evaluated yet, in the order in which they came.

A folder of segment files, each a row of records: length and CRC-32 of the payload, then the payload, which is a line of
JSON (cluster, origin) and the body. Beside them the file ``position`` names the first record that is not settled. An
append is synced; the position is not, so a power failure may repeat requests and loses none. This module blocks.
"""

import contextlib
import fcntl
import json
import logging
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("lanner.k8saudit")

_HEADER = struct.Struct(">II")
_SEGMENTS = 16  # files that a full spool consists of; a file is removed when all of it is settled


class SpoolFull(Exception):
    """There is no room for another request."""


class Spooled(NamedTuple):
    """A request: the cluster that the sender stands for, where it came from, its body, and the place after it."""

    cluster: str
    origin: str
    body: bytes
    end: tuple[int, int]


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """
    Where requests are kept.

    Attributes:
        path: Of the folder, which is made; "" keeps none.
        max_bytes: Bytes on disk beyond which requests are refused.
    """

    path: str = ""
    max_bytes: int = 1 << 30


class Spool:
    """
    One spool folder, used by one process and one thread at a time.

    Raises:
        OSError: The folder cannot be used, or another process uses it.
    """

    def __init__(self, options: SpoolOptions) -> None:
        self._path = Path(options.path)
        self._most = options.max_bytes
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(self._path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise OSError("another lanner uses it") from None
        self._sizes = {int(file.stem): file.stat().st_size for file in sorted(self._path.glob("*.spool"))}
        self._at = self._position()
        self._out = -1  # what was there before is only read: its end may be half a record

    def append(self, cluster: str, origin: str, body: bytes) -> None:
        """
        Keep a request; it is safe when this returns.

        Raises:
            SpoolFull: Evaluation is too far behind.
            OSError: It cannot be written, such as on a full disk; nothing of it is kept.
        """
        payload = json.dumps([cluster, origin]).encode() + b"\n" + body
        data = _HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        if sum(self._sizes.values()) + len(data) > self._most:
            raise SpoolFull(f"the spool holds {sum(self._sizes.values())} bytes that are not evaluated; no more fit")
        if self._out < 0 or self._sizes[self._last()] > self._most // _SEGMENTS:
            self._begin()
        number = self._last()
        size = self._sizes[number]
        try:
            _write_all(self._out, data)
            os.fdatasync(self._out)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._out, size)
            raise
        self._sizes[number] = size + len(data)

    def next(self) -> Spooled | None:
        """Return the first request that is not settled; None when there is none."""
        while True:
            number, offset = self._at
            if offset < self._sizes.get(number, 0):
                if found := self._read(number, offset):
                    return found
                log.error(
                    "%s: the request at byte %d is damaged, or a crash cut it off; the rest of the file is lost",
                    *(self._file(number), offset),
                )
            elif number == self._last() and self._out >= 0:
                return None
            later = [other for other in self._sizes if other > number]
            self._remove(number)
            if not later:
                return None
            self._at = (min(later), 0)

    def done(self, spooled: Spooled) -> None:
        """Note that a request is settled, which ``next`` returned last."""
        self._at = spooled.end
        temporary = self._path / "position.new"
        temporary.write_text("{} {}".format(*self._at))
        temporary.replace(self._path / "position")

    def close(self) -> None:
        """Close all files."""
        if self._out >= 0:
            os.close(self._out)
        os.close(self._lock)

    def _position(self) -> tuple[int, int]:
        with contextlib.suppress(OSError, ValueError):
            number, offset = map(int, (self._path / "position").read_text().split())
            return number, offset
        return 0, 0

    def _last(self) -> int:
        return max(self._sizes, default=self._at[0])

    def _file(self, number: int) -> Path:
        return self._path / f"{number:016d}.spool"

    def _begin(self) -> None:
        """Begin a new file."""
        number = self._last() + 1
        out = os.open(self._file(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        if self._out >= 0:
            os.close(self._out)
        self._out, self._sizes[number] = out, 0
        folder = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _read(self, number: int, offset: int) -> Spooled | None:
        """Return the record at a place, None when it is damaged or not whole."""
        with self._file(number).open("rb") as file:
            file.seek(offset)
            header = file.read(_HEADER.size)
            if len(header) < _HEADER.size:
                return None
            length, crc = _HEADER.unpack(header)
            if length > self._sizes[number] - offset:
                return None
            payload = file.read(length)
        if len(payload) < length or zlib.crc32(payload) != crc:
            return None
        note, _, body = payload.partition(b"\n")
        cluster, origin = json.loads(note)
        return Spooled(cluster, origin, body, (number, offset + _HEADER.size + length))

    def _remove(self, number: int) -> None:
        if number not in self._sizes:
            return
        if number == self._last() and self._out >= 0:
            os.close(self._out)
            self._out = -1
        del self._sizes[number]
        self._file(number).unlink(missing_ok=True)
        self._at = (number, 1 << 62)  # numbers go on from here, though no file is left


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
