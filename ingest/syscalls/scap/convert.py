"""
Events of a capture of any age in the form of today: one event when a call returns, with all of today's parameters.

Until 2025 a call had two events, and its arguments were told on entry. Such an entry is kept until the exit of the
same thread, and its parameters go to those of the same name that today's exit has; a parameter that nobody told is
empty (spec: host-agent 7; fields 5.2).
"""

import json
from collections import Counter
from typing import Any

from ingest.syscalls.call import Call
from ingest.syscalls.ebpf.numbers import EVENTS as NATIVE
from ingest.syscalls.layouts import Layout, layout
from ingest.syscalls.lifecycle import BIRTHS, EXECS
from ingest.syscalls.scap.codes import CALLS, UNDECODED, Code, codes
from ingest.syscalls.scap.events import Event
from ingest.syscalls.scap.values import decode, text

MAX_PENDING = 65_536
"""Entries without an exit that are kept; the oldest makes room."""

MAX_PENDING_BYTES = 1 << 26
"""Bytes of parameters of all of them together."""

MAX_OF_PROGRAM = 4096
"""Bytes of arguments, of environment and of each other text of a program, as drivers tell them (spec: fields 5.5)."""

_PROGRAMS = BIRTHS | EXECS

_SHOWN_ENTRIES = frozenset({"open", "openat", "openat2", "creat", "connect", "execve", "execveat"})
_RENAMED = {("dup", "fd"): "oldfd"}

ZERO = {
    "socket": ("flags",),
    "fcntl": ("arg",),
    "accept": ("queuelen", "queuemax"),
    "accept4": ("queuelen", "queuemax"),
    "seccomp": ("flags",),
}
"""Parameters that old events had not and that are 0 in them, as in Falco, by event; all others are empty."""


class Converter:
    """
    Makes calls of events.

    Attributes:
        skipped: Events that no rule will see and why, as counts by reason.
    """

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self._pending: dict[int, Event] = {}
        self._bytes = 0
        self._position = 0

    def convert(self, event: Event) -> Call | None:
        """
        Return the call that an event completes; None for entries and for events that are not read.

        A note about a container comes as a call with ``num`` 0: it tells the state something, and no rule.
        """
        code = codes()[event.code] if event.code < len(codes()) else None
        if code is None:
            self.skipped["unknown-event"] += 1
            return None
        if code.entry:
            self._keep(event, code)
            return None
        self._position += 1
        entry = self._drop(event.tid) if event.code % 2 else None
        if entry is not None and entry.code != event.code - 1:
            entry = None
        call = self._call(event, code, entry)
        call.num = 0 if code.name == "container" else self._position
        return call

    def _keep(self, event: Event, code: Code) -> None:
        if code.name in _SHOWN_ENTRIES:
            self._position += 1
        self._drop(event.tid)
        self._pending[event.tid] = event
        self._bytes += sum(map(len, event.params))
        while len(self._pending) > MAX_PENDING or self._bytes > MAX_PENDING_BYTES:
            self._drop(next(iter(self._pending)))

    def _drop(self, tid: int) -> Event | None:
        event = self._pending.pop(tid, None)
        if event is not None:
            self._bytes -= sum(map(len, event.params))
        return event

    def _call(self, event: Event, code: Code, entry: Event | None) -> Call:
        if event.code == UNDECODED + 1:
            call = Call(_undecoded(event, entry), (), event.time_ns, event.tid, event.cpu)
            call.extra = {"evt.category": "other"}
            return call
        if code.name == "asyncevent" and len(event.params) == _ASYNC_PARAMS and (note := _note(event)) is not None:
            return note
        shape = layout(code.name)
        if code.name in _PROGRAMS:
            event = event._replace(params=tuple(data[:MAX_OF_PROGRAM] for data in event.params))
        params = _params(event, code, entry, shape) if shape is not None else ()
        return Call(code.name, params, event.time_ns, event.tid, event.cpu)


_ASYNC_PARAMS = 3


def _note(event: Event) -> Call | None:
    """Return what the container plugin tells in an event that a plugin made; None when it is of another kind."""
    _, name, data = event.params
    known = text(name)
    if known == "container":
        params: tuple[str, ...] = (text(data),)
    elif known == "container_removed":
        params = ()
    else:
        return None
    return Call(known, params, event.time_ns, event.tid, event.cpu)


def _undecoded(event: Event, entry: Event | None) -> str:
    """Return the name of a call without parameters: its number in captures, or the kernel's where that says nothing."""
    told = event.params if len(event.params) > 1 or entry is None else entry.params
    number = int.from_bytes(told[0], "little") if told else 0
    name = CALLS[number] if number < len(CALLS) else "-"
    if name == "-" and len(told) > 1:
        name = NATIVE.get(int.from_bytes(told[1], "little"), "-")
    return name if name != "-" else "unknown"


def _params(event: Event, code: Code, entry: Event | None, shape: Layout) -> tuple[Any, ...]:
    """Return the values of today's parameters."""
    if code.params is None and (len(event.params) >= len(shape.params) or shape.entry):
        return tuple(decode(param.type, data) for param, data in zip(shape.params, event.params, strict=False))
    if code.name == "container" and len(event.params) == len(code.params or ()) == 4:
        return (_container(event.params),)
    told = _by_name(entry, shape) if entry is not None else {}
    if code.params is None:
        told |= {param.name: data for param, data in zip(shape.params, event.params, strict=False)}
    else:
        told |= _named(code, event, shape)
    if not told:
        return ()
    for name in ZERO.get(code.name, ()):
        told.setdefault(name, b"\0")
    return tuple(decode(param.type, told.get(param.name, b"")) for param in shape.params)


def _by_name(entry: Event, shape: Layout) -> dict[str, bytes]:
    code = codes()[entry.code]
    return _named(code, entry, shape) if code is not None else {}


def _named(code: Code, event: Event, shape: Layout) -> dict[str, bytes]:
    names = code.params or ()
    named = {_RENAMED.get((code.name, name), name): data for name, data in zip(names, event.params, strict=False)}
    if not code.entry and event.params and shape.params:
        named[shape.params[0].name] = event.params[0]
    return named


def _container(params: tuple[bytes, ...]) -> str:
    """Return the note about a container as it is written today, of one that had four parameters."""
    kind = int.from_bytes(params[1], "little")
    note = {"id": text(params[0]), "type": kind, "name": text(params[2]), "image": text(params[3])}
    return json.dumps(note, separators=(",", ":"))
