"""
Takes a payload that cannot be decoded apart at its brackets, so that a bad entry costs itself alone.

Only the structure around the entries is read here, never the inside of one: an object that a client has put into a
request must not pass for an event. A value nested too deeply is cut out of its entry and stands there as null.
"""

import re
from dataclasses import dataclass, field

MAX_DEPTH = 200
"""Nesting at which an entry that could not be decoded whole is cut."""
MAX_BYTES = 16 << 20
"""Size of a payload beyond which it is not taken apart: that takes about half a microsecond for a bracket."""

_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{},]', re.DOTALL)  # a text without end goes to the end: linear time
_LIST_FOLLOWS = re.compile(rb"\s*:\s*\[")
_OPENING, _CLOSING = b"[{", b"]}"


@dataclass(slots=True)
class Entry:
    """Bytes of one entry and whether something was cut out of it."""

    data: bytes
    cut: bool


@dataclass(slots=True)
class _Cutter:
    """Collects the parts of the entry that is being read."""

    data: bytes
    start: int
    parts: list[bytes] = field(default_factory=list)

    def leave_out(self, begin: int, end: int) -> None:
        self.parts += (self.data[self.start : begin], b"null")
        self.start = end

    def finish(self, end: int, next_start: int) -> Entry:
        entry = Entry(b"".join((*self.parts, self.data[self.start : end])), bool(self.parts))
        self.start, self.parts = next_start, []
        return entry


def entries(data: bytes, most: int) -> list[Entry] | None:
    """
    Split a payload into the elements of its array, the items of its EventList, or itself.

    Returns:
        The entries, no more than ``most``; None when the brackets do not close, more than blanks follow, or the payload
        is too large.
    """
    if len(data) > MAX_BYTES:
        return None
    begin = _list_start(data)
    cutter = _Cutter(data, begin)
    found: list[Entry] = []
    depth = cut_from = 0
    for token in _TOKEN.finditer(data, begin):
        mark = token[0]
        if mark in _OPENING:
            depth += 1
            if depth == MAX_DEPTH:
                cut_from = token.start()
        elif mark in _CLOSING:
            if depth == MAX_DEPTH:
                cutter.leave_out(cut_from, token.end())
            depth -= 1
            if depth < 0 or (depth == 0 and begin == 0):
                found.append(cutter.finish(token.start() if depth < 0 else token.end(), token.end()))
                return _whole(data, token.end(), found[:most], begin)
        elif mark == b"," and depth == 0 and len(found) < most:
            found.append(cutter.finish(token.start(), token.end()))
    return None


def last_member_end(data: bytes) -> int:
    """Return where the last whole member of an object that was cut off ends, 0 when it has none."""
    depth = end = 0
    for token in _TOKEN.finditer(data):
        mark = token[0]
        depth += (mark in _OPENING) - (mark in _CLOSING)
        if mark == b"," and depth == 1:
            end = token.start()
    return end


def _whole(data: bytes, end: int, found: list[Entry], begin: int) -> list[Entry] | None:
    """Return what was found if nothing but closing brackets of an object follows the list."""
    rest = data[end:].strip()
    if begin == 0 or data[:begin].strip() == b"[":
        return None if rest else found
    return found if _closes(rest) else None


def _closes(rest: bytes) -> bool:
    depth = 1
    for token in _TOKEN.finditer(rest):
        depth += (token[0] in _OPENING) - (token[0] in _CLOSING)
        if depth == 0:
            return token.end() == len(rest)
    return False


def _list_start(data: bytes) -> int:
    """Return where the first element of the payload's list begins, 0 when it is no list."""
    depth = 0
    for token in _TOKEN.finditer(data):
        mark = token[0]
        if mark == b"[" and depth == 0:
            return token.end()
        if mark == b'"items"' and depth == 1 and (opened := _LIST_FOLLOWS.match(data, token.end())):
            return opened.end()
        depth += (mark in _OPENING) - (mark in _CLOSING)
        if depth <= 0:
            return 0
    return 0
