"""A host event as the engine takes it."""

from typing import Any, cast

from engine.event import Event
from ingest.syscalls.call import Call

SOURCE = "syscall"


def host_event(call: Call, origin: str = "") -> Event:
    """Return an event whose ``record`` is the call, which the fields of the source read."""
    return Event(SOURCE, call.time_ns, cast("dict[str, Any]", call), _uid, origin)


def _uid(record: Any) -> str:
    """Return the identity of a call: no thread enters two calls at one time."""
    return f"{record.tid}/{record.time_ns}/{record.num}/{record.name}"
