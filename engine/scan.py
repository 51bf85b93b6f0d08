"""The loop over events: follow the values of the discriminators to a function, call it. The hottest code there is."""

from collections.abc import Callable, Sequence
from itertools import groupby
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
        ``scan(events, root, failed, match, other)``: the list of ``match(payload, event)`` for all that holds. ``root``
        maps a value of the first discriminator to what maps values of the next, at the last to a function, or to None
        where the event can be left; ``failed(event)`` answers for an event whose evaluation raised, ``other(event)``
        gives the whole answer for one of another source than the first event.
    """
    writer = Writer(dict(BUILTINS))
    parents: dict[tuple[str, ...], str] = {}
    groups = [(path, list(rows)) for path, rows in groupby(fields, _parent)]
    steps = [_steps(path, rows, writer, parents, not at) for at, (path, rows) in enumerate(groups)]
    lines = [
        "def scan(events, root, failed, match, other):",
        "    found = []",
        "    source = events[0].source",
        "    absent = root",
        "    for e in events:",
        "        if e.source is not source:",
        "            found += other(e)",
        "            continue",
        "        try:",
        "            r, n = e.head, root",
        *[f"            {line}" for step in steps for line in step],
        "            hits = n(e)",
        "        except Exception:",
        "            hits = failed(e)",
        "        for hit in hits: found.append(match(hit, e))",
        "    return found",
    ]
    return define("\n".join(lines), writer.names, "scan")


def _parent(row: Field) -> tuple[str, ...]:
    """Return the path of the object that holds the value; () when it is the record, or a getter's secret."""
    return () if row.path is None else row.path[:-1]


def _steps(
    parent: tuple[str, ...], rows: Sequence[Field], writer: Writer, parents: dict[tuple[str, ...], str], first: bool
) -> list[str]:
    """Return the lines that follow the values of discriminators from one object; its absence is that of them all."""
    if not parent:
        return [line for row in rows for line in _follow(f"n[{_read(row, writer, 'r')}]")]
    absent = _first_absent(len(rows)) if first else [line for _ in rows for line in _follow("n[None]")]
    opened = _opened(parent, writer, parents)
    present = [line for row in rows for line in _follow(f"n[{_read(row, writer, parents[parent])}]")]
    return [*opened, f"if {parents[parent]}:", *_indented(present), "else:", *_indented(absent)]


def _first_absent(depth: int) -> list[str]:
    """Return the lines for the absence of the first object: what it leads to is followed once a batch."""
    once = ["if n is not None: n = n[None]"] * depth
    return ["if absent is root:", *_indented([*once, "absent = n"]), *_follow("absent")]


def _follow(branch: str) -> list[str]:
    return [f"n = {branch}", "if n is None: continue"]


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]


def _opened(path: tuple[str, ...], writer: Writer, parents: dict[tuple[str, ...], str]) -> list[str]:
    """Return the lines that read the objects of a path, unless an earlier discriminator did."""
    lines = []
    for end in range(1, len(path) + 1):
        if path[:end] not in parents:
            parent = f"({parents[path[: end - 1]]} or EMPTY)" if end > 1 else "r"
            name = parents[path[:end]] = f"p{len(parents)}"
            lines.append(f"{name} = {parent}.get({writer.constant(path[end - 1])})")
    return lines


def _read(row: Field, writer: Writer, parent: str) -> str:
    if row.path is not None:
        return f"{parent}.get({writer.constant(row.path[-1])})"
    return "None" if row.get is None else f"{writer.constant(row.get, 'get')}(e)"
