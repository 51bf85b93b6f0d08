"""Types of host events that rules can name, for people and in the shape of Falco's ``--list-events``."""

from collections.abc import Iterator
from typing import Any

from ingest.syscalls.events import META, SYSCALLS, TRACEPOINTS, UNDECODED
from ingest.syscalls.layouts import layout

_GROUPS = {
    "syscall_events": ("System calls", SYSCALLS | UNDECODED),
    "tracepoint_events": ("Tracepoints", TRACEPOINTS),
    "metaevents": ("Made in user space", META),
}


def as_json() -> dict[str, list[dict[str, Any]]]:
    """Return all types by group: name, direction, whether they come unasked, and their parameters."""
    return {group: [_event(name) for name in sorted(names)] for group, (_, names) in _GROUPS.items()}


def as_text() -> Iterator[str]:
    """Yield lines: a type with its parameters; + says that it comes without a rule that names it."""
    told = as_json()
    for group, (title, _) in _GROUPS.items():
        yield f"{title}:"
        for event in told[group]:
            params = ", ".join(f"{param['type']} {param['name']}" for param in event["params"])
            yield f"  {'+' if event['available'] else ' '} {event['name']}({params})"


def on_demand() -> list[str]:
    """Return the types that come only when a rule names them: mere input and output."""
    return [event["name"] for events in as_json().values() for event in events if not event["available"]]


def _event(name: str) -> dict[str, Any]:
    known = layout(name)
    if known is None:
        return {"name": name, "dir": "<", "available": True, "params": []}
    params = [{"type": param.type, "name": param.name} for param in known.params]
    direction = ">" if known.entry else "<"
    return {"name": name, "dir": direction, "available": "ignored" not in known.traits, "params": params}
