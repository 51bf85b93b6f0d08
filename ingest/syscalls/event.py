"""Host events as the engine takes them."""

from typing import Any

from engine.event import Event
from ingest.syscalls.call import Call

SOURCE = "syscall"
"""Name of the event source."""


class HostEvent(Event):
    """An event whose record is a call."""

    __slots__ = ()

    record: Call  # type: ignore[assignment]  # the engine leaves records to the fields of their source


def host_event(call: Call, origin: str = "") -> HostEvent:
    """
    Return the event of a call that the state engine has taken in.

    Args:
        call: The call.
        origin: Where it came from, for people.
    """
    event = HostEvent(SOURCE, call.time_ns, call, _uid, origin)  # type: ignore[arg-type]  # as above
    event.num = call.num or 1
    return event


def _uid(call: Any) -> str:
    return f"{call.time_ns}:{call.tid}:{call.cpu}:{call.num}:{call.name}"
