"""
Fields: what a rule may ask of an event, with type, argument, documentation and the function that answers.

One row serves the checker, the compiler, ``lanner fields`` and the reference pages. Rows live with their source; this
module knows none of them by name.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

Getter = Callable[..., Any]
"""``get(event)`` for a field without argument, else ``get(event, arg)``: arg is an int (index), a str (key) or None."""


class Type(StrEnum):
    """
    What a value is, and how it is held in Python (spec: rule-language 2.1).

    STRING: ``str`` (bytes that are no UTF-8 as surrogate escapes). BYTES: ``bytes``. INT, UINT, PORT: ``int``. ABSTIME,
    RELTIME: ``int`` nanoseconds. DOUBLE: ``float``. BOOL: ``bool``. IPADDR, IPNET: packed address, ``bytes`` of length
    4 or 16 (an IPNET field holds an address that is compared with networks).
    """

    STRING = "string"
    BYTES = "bytes"
    INT = "int64"
    UINT = "uint64"
    PORT = "port"
    DOUBLE = "double"
    BOOL = "bool"
    ABSTIME = "abstime"
    RELTIME = "reltime"
    IPADDR = "ipaddr"
    IPNET = "ipnet"


class Arg(StrEnum):
    """Whether a field takes a bracket argument, and of which kind."""

    NONE = "none"
    INDEX = "index"
    KEY = "key"
    INDEX_OR_KEY = "index or key"


class Match(StrEnum):
    """
    How a comparison treats the several values that a getter returns as a tuple (spec: rule-language 2.8).

    ONE: the value is the value. ANY: some element satisfies it (ancestors). ENDPOINT: as ANY, but ``!=`` wants all.
    """

    ONE = "one"
    ANY = "any"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class Field:
    """
    One field.

    A getter answers ``None`` for "absent": when there is no honest answer. It never raises on an odd record and
    never returns an empty list. A list field returns a list or tuple of values of ``type``.

    Attributes:
        name: As rules spell it, ``ct.name``.
        type: Type of the value, or of the elements of a list.
        doc: One sentence for the reference.
        get: The function that answers; None when only the name is known (a source not compiled in).
        path: Set when the value is the text at this path of the record, so that the compiler can read it in place.
        path_for: Gives that path for an argument; None where the getter must be asked (``json.value[/a/0]``).
        is_list: Whether the value is a list.
        arg: Kind of bracket argument.
        arg_required: Whether the argument must be given.
        arg_domain: All keys the argument may be (an index is always one); None for any.
        dotted: Whether more dotted words after the name are its argument, ``evt.arg.flags`` for ``evt.arg[flags]``.
        match: How comparisons treat a tuple of values.
        domain: All values a literal may name; None for any. A literal outside is an "unknown event type" error.
        synonyms: Literals that stand for another, as ``pread64`` for ``pread``; replaced when a rule is loaded.
        hidden, deprecated, removed: Left out of lists; warned of; always absent and warned of.
        no_rhs, no_transformer, filter_only: Not comparable with a field; not transformable; not printable.
        text: Rendering for output where it is not the plain value: "hex", "pad9" or "time".
        display: Turns a value into output text; wins over ``text``.
        minimum: Least value a number can have; comparisons that it decides are decided when rules are loaded.
        always: Whether every event has a value.
        never: Texts that the value never is.
        not_na: Whether comparing with the text ``<NA>`` is a mistake that deserves a warning.
        suggested: Whether ``suggested_output`` appends the field.
        own: Whether Falco has no such field, so that rules with it load in Lanner only.
    """

    name: str
    type: Type
    doc: str
    get: Getter | None = None
    path: tuple[str, ...] | None = None
    path_for: Callable[[str], tuple[str, ...] | None] | None = None
    is_list: bool = False
    arg: Arg = Arg.NONE
    arg_required: bool = False
    arg_domain: frozenset[str] | None = None
    dotted: bool = False
    match: Match = Match.ONE
    domain: frozenset[str] | None = None
    synonyms: Mapping[str, str] = field(default_factory=dict, hash=False)
    hidden: bool = False
    deprecated: bool = False
    removed: bool = False
    no_rhs: bool = False
    no_transformer: bool = False
    filter_only: bool = False
    text: str = ""
    display: Callable[[Any], str] | None = None
    minimum: int | None = None
    always: bool = False
    never: frozenset[str] = frozenset()
    not_na: bool = False
    suggested: bool = False
    own: bool = False


def ours(rows: Iterable[Field]) -> list[Field]:
    """Return rows marked as Lanner's own."""
    return [replace(row, own=True) for row in rows]


@dataclass(frozen=True, slots=True)
class FieldTable:
    """
    The fields of one source.

    Attributes:
        source: Name of the event source.
        fields: By name.
        discriminators: Names of the string fields that tell events apart best, most telling first; the plan indexes
            rules by them.
        aliases: Discriminator spellings that always hold the same value as another, alias to name.
        doc: One sentence about the source.
        early: Keys of the record that ``Event.early`` has too, for sources whose events decode the rest later.
    """

    source: str
    fields: Mapping[str, Field]
    discriminators: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    doc: str = ""
    early: frozenset[str] = frozenset()

    def find(self, name: str) -> tuple[Field, str | None] | None:
        """Return the field of this name, or that of its longest dotted start with the rest as argument; else None."""
        if name in self.fields:
            return self.fields[name], None
        start, dot, rest = name.rpartition(".")
        while dot:
            row = self.fields.get(start)
            if row is not None and row.dotted:
                return row, rest
            start, dot, word = start.rpartition(".")
            rest = f"{word}.{rest}"
        return None

    def near(self, name: str) -> str | None:
        """Return the field name most like a mistyped one, or None."""
        found = difflib.get_close_matches(name, self.fields, n=1, cutoff=0.75)
        return found[0] if found else None


def table(
    source: str,
    *groups: Iterable[Field],
    discriminators: tuple[str, ...] = (),
    aliases: Mapping[str, str] | None = None,
    doc: str = "",
    early: Iterable[str] = (),
) -> FieldTable:
    """
    Build the table of a source from groups of rows.

    Raises:
        ValueError: Two rows have one name, or a discriminator is no plain string field of the table.
    """
    rows: dict[str, Field] = {}
    for row in (row for group in groups for row in group):
        if row.name in rows:
            raise ValueError(f"{source}: field {row.name} is listed twice")
        rows[row.name] = row
    for name in (*discriminators, *(aliases or {})):
        row = rows[name]
        if row.type is not Type.STRING or row.is_list or row.arg is not Arg.NONE:
            raise ValueError(f"{source}: {name} cannot be a discriminator")
    return FieldTable(source, rows, discriminators, aliases or {}, doc, frozenset(early))


@dataclass(frozen=True, slots=True)
class FieldCatalog:
    """
    What rules can build on.

    Attributes:
        tables: The fields of all sources, by source name.
        plugins: Versions of what ``required_plugin_versions`` of rule files may ask for, by plugin name.
    """

    tables: Mapping[str, FieldTable]
    plugins: Mapping[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all sources."""
        return tuple(self.tables)
