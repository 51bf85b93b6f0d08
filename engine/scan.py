"""The loop over events: follow the values of the discriminators to a function, call it. The hottest code there is."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.fields import Field
from engine.generate import Writer, define
from engine.runtime import BUILTINS


def generate_scan(fields: Sequence[Field]) -> Callable[..., Any]:
    """
    Compile the loop that finds the function for each event of one source and calls it.

    The loop reads plain paths without looking at types: a record of an odd shape raises, and ``failed`` answers for it.

    Args:
        fields: The discriminators, in the order in which they are asked.

    Returns:
        ``scan(events, root, failed, match)``: the list of ``match(payload, event)`` for all that holds. ``root`` maps
        a value of the first discriminator to what maps values of the next, at the last to a function, or to None
        where the event can be left; ``failed(event)`` answers for an event whose evaluation raised.
    """
    writer = Writer(dict(BUILTINS))
    parents: dict[tuple[str, ...], str] = {}
    lines = [
        "def scan(events, root, failed, match):",
        "    found = []",
        "    for e in events:",
        "        try:",
        "            r = e.head",
        "            n = root",
        *[f"            {line}" for row in fields for line in _step(row, writer, parents)],
        "            hits = n(e)",
        "        except Exception:",
        "            hits = failed(e)",
        "        for hit in hits: found.append(match(hit, e))",
        "    return found",
    ]
    return define("\n".join(lines), writer.names, "scan")


def _step(row: Field, writer: Writer, parents: dict[tuple[str, ...], str]) -> list[str]:
    """Return the lines that follow the value of one discriminator."""
    opened = [] if row.path is None else _opened(row.path, writer, parents)
    return [*opened, f"n = n[{_read(row, writer, parents)}]", "if n is None: continue"]


def _opened(path: tuple[str, ...], writer: Writer, parents: dict[tuple[str, ...], str]) -> list[str]:
    """Return the lines that read the objects on the way to a path, unless an earlier discriminator did."""
    lines = []
    for end in range(1, len(path)):
        if path[:end] not in parents:
            parent = parents.get(path[: end - 1], "r")
            name = parents[path[:end]] = f"p{len(parents)}"
            lines.append(f"{name} = {parent}.get({writer.constant(path[end - 1])}) or EMPTY")
    return lines


def _read(row: Field, writer: Writer, parents: dict[tuple[str, ...], str]) -> str:
    if row.path is None:
        return "None" if row.get is None else f"{writer.constant(row.get, 'get')}(e)"
    return f"{parents.get(row.path[:-1], 'r')}.get({writer.constant(row.path[-1])})"
