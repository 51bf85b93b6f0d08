"""What generated functions call: reading records, transformers that take absence, networks."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from engine.event import Event
from engine.fields import Field
from engine.jsontext import text
from engine.transformers import TRANSFORMERS, concat, count, getopt, join, length, lower
from engine.values import in_network

UNSET = type("Unset", (), {"__repr__": lambda self: "UNSET"})()
"""Held by a local variable whose value was not asked for yet; None means absent."""

_EMPTY: dict[str, Any] = {}


def read_path(event: Event, path: Sequence[str]) -> str | None:
    """Return the text at a path of an event's record, as a field with ``path`` answers."""
    here: Any = event.record
    for key in path:
        here = here.get(key) if type(here) is dict else None
    return text(here)


def field_getter(row: Field) -> Callable[..., Any]:
    """Return the function that answers a field; one that is always absent when the source is not there."""
    if row.path is not None:
        path = row.path
        return lambda event: read_path(event, path)
    if row.get is not None:
        return row.get
    return lambda event, arg=None: None


def any_network(address: bytes, networks: Iterable[tuple[int, int, int]]) -> bool:
    """Tell whether an address lies in one of several networks."""
    return any(in_network(address, net) for net in networks)


def _lift(apply: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else apply(value)


def _lift_each(apply: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Apply to each element of a list, leaving out those without a result, so that they cannot hide the others."""

    def each(values: Any) -> Any:
        if values is None:
            return None
        done = [result for value in values if (result := apply(value)) is not None]
        return done or None

    return each


def _join(separator: str | None, values: Any) -> str | None:
    return None if separator is None or values is None else join(separator, values)


def _concat(*values: str | None) -> str | None:
    return None if None in values else concat(*values)  # type: ignore[arg-type]  # none of them is None


def _getopt(argv: Any, options: str | None, selector: str | None) -> Any:
    return None if argv is None or options is None or None in argv else getopt(argv, options, selector)


_SINGLE = {row.name: _lift(row.apply) for row in TRANSFORMERS.values() if row.elementwise}
_EACH = {row.name: _lift_each(row.apply) for row in TRANSFORMERS.values() if row.elementwise}
_SEVERAL: dict[str, Callable[..., Any]] = {"join": _join, "concat": _concat, "getopt": _getopt}
_LENGTH, _COUNT = _lift(length), _lift(count)


def transformer(name: str, takes_list: bool) -> Callable[..., Any]:
    """
    Return the function of a transformer, which gives None when an argument is None.

    Args:
        name: As conditions spell it.
        takes_list: Whether the argument of a transformer that takes one is a list.
    """
    if name == "len":
        return _COUNT if takes_list else _LENGTH
    return _SEVERAL[name] if name in _SEVERAL else (_EACH if takes_list else _SINGLE)[name]


BUILTINS: dict[str, Any] = {
    "UNSET": UNSET,
    "EMPTY": _EMPTY,
    "TEXT": text,
    "PATH": read_path,
    "LOWER": lower,
    "NET": in_network,
    "NETS": any_network,
}
"""What every generated function may name."""
