"""The loop over events: read the discriminators, look up the function for them, call it. The hottest code there is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engine.fields import Field
from engine.generate import Writer, define
from engine.runtime import BUILTINS


def generate_scan(fields: Sequence[Field], classes: Sequence[Mapping[Any, Any]]) -> Callable[..., Any]:
    """
    Compile the loop that finds the function for each event of one source and calls it.

    The loop reads plain paths without looking at types: a record of an odd shape raises, and ``failed`` answers for it.

    Args:
        fields: The discriminators.
        classes: For each the mapping from its value, or None, to its part of the key.

    Returns:
        ``scan(events, functions, failed, match)``: the list of ``match(payload, event)`` for all that holds.
        ``functions`` maps keys to functions or None, ``failed(event)`` answers for an event whose evaluation raised.
    """
    writer = Writer(dict(BUILTINS))
    parents: dict[tuple[str, ...], str] = {}
    keys = [
        f"{writer.constant(of, 'S')}[{_read(row, writer, parents)}], " for row, of in zip(fields, classes, strict=True)
    ]
    lines = [
        "def scan(events, functions, failed, match):",
        "    found = []",
        "    for e in events:",
        "        try:",
        "            r = e.head",
        *[f"            {_parent(path, name, writer, parents)}" for path, name in parents.items()],
        f"            call = functions[{''.join(keys) or '()'}]",
        "            if call is None: continue",
        "            hits = call(e)",
        "        except Exception:",
        "            hits = failed(e)",
        "        for hit in hits: found.append(match(hit, e))",
        "    return found",
    ]
    return define("\n".join(lines), writer.names, "scan")


def _read(row: Field, writer: Writer, parents: dict[tuple[str, ...], str]) -> str:
    if row.path is None:
        return "None" if row.get is None else f"{writer.constant(row.get, 'get')}(e)"
    for end in range(1, len(row.path)):
        parents.setdefault(row.path[:end], f"p{len(parents)}")
    return f"{parents.get(row.path[:-1], 'r')}.get({writer.constant(row.path[-1])})"


def _parent(path: tuple[str, ...], name: str, writer: Writer, parents: dict[tuple[str, ...], str]) -> str:
    return f"{name} = {parents.get(path[:-1], 'r')}.get({writer.constant(path[-1])}) or EMPTY"
