"""The field catalogue told to people and programs: text, Markdown, and JSON in the shape of Falco's ``--list``."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.fields import Arg, Field, FieldCatalog, Type

_WIDTH = 100
_FALCO_TYPES = {
    Type.STRING: "CHARBUF",
    Type.BYTES: "BYTEBUF",
    Type.INT: "INT64",
    Type.UINT: "UINT64",
    Type.PORT: "PORT",
    Type.DOUBLE: "DOUBLE",
    Type.BOOL: "BOOL",
    Type.ABSTIME: "ABSTIME",
    Type.RELTIME: "RELTIME",
    Type.IPADDR: "IPADDR",
    Type.IPNET: "IPNET",
}
_ARGUMENT_KINDS = {
    Arg.INDEX: ["INDEX"],
    Arg.KEY: ["KEY"],
    Arg.INDEX_OR_KEY: ["INDEX", "KEY"],
}


@dataclass(frozen=True, slots=True)
class FieldClass:
    """
    Fields that share the first word of their names and the sources that answer them.

    Attributes:
        name: That word.
        doc: One sentence.
        sources: Names of the event sources.
        fields: In the order of the catalogue.
    """

    name: str
    doc: str
    sources: tuple[str, ...]
    fields: Sequence[Field]


def field_classes(catalog: FieldCatalog, source: str = "") -> list[FieldClass]:
    """Return the fields of a source, or of all, in classes; hidden, deprecated and removed ones are left out."""
    sources: dict[str, list[str]] = {}
    rows: dict[str, Field] = {}
    for name, table in catalog.tables.items():
        for row in table.fields.values():
            if not (row.hidden or row.deprecated or row.removed):
                sources.setdefault(row.name, []).append(name)
                rows.setdefault(row.name, row)
    grouped: dict[tuple[str, tuple[str, ...]], list[Field]] = {}
    for row in rows.values():
        answering = tuple(sources[row.name])
        if source in ("", *answering):
            grouped.setdefault((row.name.split(".")[0], answering), []).append(row)
    return [FieldClass(word, _doc(catalog, names), names, found) for (word, names), found in grouped.items()]


def _doc(catalog: FieldCatalog, sources: tuple[str, ...]) -> str:
    if len(sources) == 1:
        return catalog.tables[sources[0]].doc
    every = len(sources) == len(catalog.tables)
    return "Answered by every event source." if every else f"Answered by {' and '.join(sources)}."


def as_json(classes: Sequence[FieldClass]) -> dict[str, Any]:
    """Return the classes as Falco's ``--list --format json`` has them."""
    return {"fieldclasses": [_class_json(found) for found in classes]}


def _class_json(found: FieldClass) -> dict[str, Any]:
    return {
        "name": found.name,
        "desc": found.doc,
        "event_sources": list(found.sources),
        "fields": [_field_json(row) for row in found.fields],
    }


def _field_json(row: Field) -> dict[str, Any]:
    argument = None
    if row.arg is not Arg.NONE:
        argument = {"required": row.arg_required, "type": _ARGUMENT_KINDS[row.arg]}
    return {
        "name": row.name,
        "type": _FALCO_TYPES[row.type],
        "desc": row.doc,
        "is_list": row.is_list,
        "argument": argument,
    }


def as_text(classes: Sequence[FieldClass]) -> Iterator[str]:
    """Yield lines for a terminal."""
    for found in classes:
        yield f"{found.name}.*   for {', '.join(found.sources)}"
        yield from textwrap.wrap(found.doc, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        for row in found.fields:
            yield f"\n  {spelled(row)}   {_kind(row)}"
            yield from textwrap.wrap(row.doc, _WIDTH, initial_indent="      ", subsequent_indent="      ")
        yield ""


def as_markdown(classes: Sequence[FieldClass]) -> Iterator[str]:
    """Yield the lines of a page."""
    for found in classes:
        yield f"## `{found.name}.*` for {', '.join(f'`{name}`' for name in found.sources)}\n"
        yield f"{found.doc}\n"
        yield "| field | type | meaning |\n|---|---|---|"
        for row in found.fields:
            yield f"| `{spelled(row)}` | {_kind(row)} | {row.doc.replace('|', '&#124;')} |"
        yield ""


def spelled(row: Field) -> str:
    """Return a field with its argument as a rule writes it: ``ka.req.pod.host_ipc``, ``json.value[KEY]``."""
    if row.arg is Arg.NONE:
        return row.name
    argument = "[" + " or ".join(_ARGUMENT_KINDS[row.arg]) + "]"
    return row.name + (argument if row.arg_required else f"({argument})")


def _kind(row: Field) -> str:
    return f"list of {row.type}" if row.is_list else str(row.type)
