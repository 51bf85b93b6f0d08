"""A host event as the engine takes it."""

from engine.event import Event
from ingest.syscalls.call import Call
from ingest.syscalls.layouts import layout

SOURCE = "syscall"


class HostEvent(Event):
    """An event whose ``record`` is a call, which the fields of the source read."""

    __slots__ = ()

    record: Call  # type: ignore[assignment]  # the engine leaves records to the fields of their source


def host_event(call: Call, origin: str = "") -> HostEvent:
    """Return the event of a call."""
    return HostEvent(SOURCE, call.time_ns, call, _uid, origin)  # type: ignore[arg-type]  # as above


def _uid(record: Call) -> str:
    """Return the identity of a call: no thread enters two calls at one time."""
    return f"{record.tid}/{record.time_ns}/{record.num}/{record.name}"


def changes_state(call: Call) -> bool:
    """Tell whether a call may change what is known of threads and descriptors."""
    known = layout(call.name)
    return known is None or "state" in known.traits
