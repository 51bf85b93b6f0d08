"""
Files below paths, read as they come and grow.

A file of one record per line is read line by line as it grows, also after it was renamed or cut short; any other file
is read whole once nobody writes to it any more, and again when it changes.
"""

import os
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ingest.base import Content
from ingest.logfile import Chunk, Position, Tail, continues, head
from ingest.payload import MAX_BYTES, decode_json
from lanner.files import Unreadable, read_events, stamped, why_unknown
from lanner.formats import FORMATS, Format, tell
from lanner.marks import Mark, Marks, key_of
from lanner.payloads import find

_OPEN = 64  # files of lines that stay open, so that what is added before they are removed is read
_PEEK = 64 << 10
_LINES = 20
_WITHIN = (b"{", b"[", b",", b":")
_QUIET = 1_000_000_000  # nanoseconds without a change after which a file that is not read by lines is complete


@dataclass(frozen=True, slots=True)
class Reading:
    """
    A piece of a file.

    Attributes:
        path: Of the file.
        decoded: What it held.
        mark: How far the file is read with it; None when that is not to be remembered yet.
        error: Why the file cannot be read, or not to its end; "" when it can.
    """

    path: str
    decoded: Content = field(default_factory=Content)
    mark: Mark | None = None
    error: str = ""


@dataclass(slots=True)
class _Lines:
    """A file of lines that is open."""

    tail: Tail
    known: Format | None
    too_long: int = 0


class Follower:
    """
    Reads what is new, at each look.

    Args:
        paths: Files, which need not be there, and folders.
        source: Event source of all records; "" to tell it by the content.
        marks: How far files were read; those of a first look without any are replays.
    """

    def __init__(self, paths: Sequence[str], source: str, marks: Marks) -> None:
        self._paths = paths
        self._source = source
        self._marks = marks
        self._replay = marks.fresh
        self._open: OrderedDict[tuple[int, int], _Lines] = OrderedDict()
        self._changing: dict[tuple[int, int], tuple[int, int]] = {}
        self._told: dict[str, str] = {}

    def look(self) -> Iterator[Reading]:
        """
        Yield what is new since the last look; the next is to be asked for only when one is done with.

        Raises:
            SourceError: A mark cannot be written.
        """
        seen: set[tuple[int, int]] = set()
        for path in self._paths:
            for name in self._names(path):
                yield from self._found(name, seen)
        for mark in self._marks.missing(seen):
            yield from self._moved(mark)
        self._replay = False

    def done(self, reading: Reading) -> None:
        """Remember that a reading needs no more. Raises SourceError when that fails."""
        if reading.mark:
            self._marks.set(reading.mark)

    def close(self) -> None:
        """Close all files."""
        for lines in self._open.values():
            lines.tail.file.close()
        self._marks.close()

    def _names(self, path: str) -> list[str]:
        try:
            return [payload.path for payload in find([path])]
        except OSError:  # it comes, or comes again
            return []

    def _found(self, path: str, seen: set[tuple[int, int]]) -> Iterator[Reading]:
        """Read what is new in a file that is there, each file once."""
        try:
            stat = os.stat(path)
        except OSError:
            return
        key = key_of(stat)
        if key in seen:
            return
        seen.add(key)
        mark = self._marks.find(stat)
        if stat.st_size and not (mark and mark.is_of(stat)):
            yield from self._changed(path, stat, mark)

    def _changed(self, path: str, stat: os.stat_result, mark: Mark | None) -> Iterator[Reading]:
        try:
            lines = self._open.get(key_of(stat)) or self._opened(path, stat)
            if lines:
                yield from self._lines(lines, path, mark)
            elif self._is_complete(stat):
                yield from self._whole(path, stat)
        except OSError as error:
            yield from self._unreadable(path, error.strerror or str(error))

    def _unreadable(self, path: str, why: str) -> Iterator[Reading]:
        """Say once that a file cannot be read."""
        if self._told.get(path) != why:
            self._told[path] = why
            yield Reading(path, error=f"{path}: {why}")

    def _moved(self, mark: Mark) -> Iterator[Reading]:
        """Read the rest of a file that has no name any more that is looked for; forget one that is gone."""
        lines = self._open.get(mark.key)
        if lines:
            yield from self._lines(lines, mark.path, mark)
            if not os.fstat(lines.tail.file.fileno()).st_nlink:
                self._close(mark.key)
                self._marks.forget(mark)
            return
        try:
            beside = {key_of(entry.stat()): entry.path for entry in os.scandir(Path(mark.path).parent)}
        except OSError:  # such as a volume that is not mounted
            return
        if mark.key in beside:
            yield from self._found(beside[mark.key], set())
        else:
            self._marks.forget(mark)

    # Files of lines

    def _opened(self, path: str, stat: os.stat_result) -> _Lines | None:
        """Open a file that is read by lines; None when it is read whole."""
        file = Path(path).open("rb")  # noqa: SIM115 - kept open while it grows
        if not _has_lines(file):
            file.close()
            return None
        lines = self._open[key_of(stat)] = _Lines(Tail(file, MAX_BYTES), FORMATS.get(self._source))
        if len(self._open) > _OPEN:
            self._close(next(iter(self._open)))
        return lines

    def _close(self, key: tuple[int, int]) -> None:
        self._open.pop(key).tail.file.close()

    def _lines(self, lines: _Lines, path: str, mark: Mark | None) -> Iterator[Reading]:
        tail = lines.tail
        stat = os.fstat(tail.file.fileno())
        self._open.move_to_end(key_of(stat))
        _place(tail, mark)
        while chunk := tail.lines() or _complete_last(tail):
            decoded = self._decoded(lines, path, chunk)
            position = chunk.position
            yield Reading(path, decoded, Mark.of(path, stat, position.head, position.offset, whole=False))
        offset = tail.file.tell() - len(tail.begun())
        self._marks.set(Mark.of(path, stat, head(tail.file, offset), offset, whole=True))

    def _decoded(self, lines: _Lines, path: str, chunk: Chunk) -> Content:
        known = FORMATS.get(self._source) or tell(chunk.data) or lines.known
        if known:
            lines.known = known
            decoded = self._stamped(known.decode(chunk.data, path))
        else:
            why = why_unknown(chunk.data)
            decoded = Content(skipped=[("unknown-format", why)] if why else [])
        missed, lines.too_long = lines.tail.too_long - lines.too_long, lines.tail.too_long
        decoded.skipped += [("too-long", f"a line has more than {MAX_BYTES >> 20} MiB")] * missed
        return decoded

    def _stamped(self, decoded: Content) -> Content:
        return stamped(decoded, self._replay)

    # Files that are read whole

    def _is_complete(self, stat: os.stat_result) -> bool:
        """Whether a file is as it was at the last look, or long enough."""
        state, key = (stat.st_size, stat.st_mtime_ns), key_of(stat)
        if self._changing.get(key) == state or 0 <= stat.st_mtime_ns < time.time_ns() - _QUIET:
            self._changing.pop(key, None)
            return True
        self._changing[key] = state
        return False

    def _whole(self, path: str, stat: os.stat_result) -> Iterator[Reading]:
        error = ""
        try:
            for decoded in read_events(path, self._source):
                yield Reading(path, self._stamped(decoded))
        except Unreadable as unreadable:
            error = str(unreadable)
        yield Reading(path, mark=Mark.of(path, stat, "", stat.st_size, whole=True), error=error)


def _has_lines(file: IO[bytes]) -> bool:
    """
    Whether a file holds a JSON value on one of its first lines; a line whose end is far away counts as one.

    A line that ends within a value begins a file of another form, in which lines may look like values too.
    """
    start = os.pread(file.fileno(), _PEEK, 0).lstrip(b"\xef\xbb\xbf \t\r\n")
    first, end, _ = start.partition(b"\n")
    if not end and len(start) > _PEEK // 2:
        return first.startswith((b"{", b"["))
    return not first.rstrip().endswith(_WITHIN) and any(map(_is_value, start.split(b"\n", _LINES)[:_LINES]))


def _is_value(line: bytes) -> bool:
    if not line.rstrip().endswith((b"}", b"]")):
        return False
    try:
        value = decode_json(line)
    except ValueError:
        return False
    return bool(value) and isinstance(value, dict | list)


def _place(tail: Tail, mark: Mark | None) -> None:
    """Let a file be read from where it was read to, or from its start when that was another one's content."""
    known = mark and Position(os.fstat(tail.file.fileno()).st_ino, mark.offset, mark.head)
    if known and continues(tail.file, known):
        tail.go_on(known.offset)
    else:
        tail.restart()


def _complete_last(tail: Tail) -> Chunk | None:
    """Return the last line, which nobody has ended, when it is whole all the same."""
    return tail.last() if _is_value(tail.begun()) else None
