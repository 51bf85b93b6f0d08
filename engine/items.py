"""
The elements of a rule file as mappings with keys that are read by kind: text, flag, number, names.

Everything wrong is reported where it stands; a reader that cannot answer raises ``Invalid`` after the report, so that
the caller goes on with the next key.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from engine.definitions import Scalar
from engine.diagnostics import ERROR, WARNING, Diagnostic, Report, SourceText, Span
from engine.priority import Priority
from engine.similar import near
from engine.sourcefile import SourceFile, trimmed
from engine.tree import At
from engine.yamlnodes import VALIDATE as YAML_VALIDATE
from engine.yamlnodes import MappingNode, Node, ScalarNode, SequenceNode
from engine.yamltext import scalar_text

VALIDATE = "LOAD_ERR_VALIDATE"
"""The code for what the structure allows but the meaning does not."""
_TRUE = frozenset(form for word in ("true", "yes", "on", "y") for form in (word, word.upper(), word.capitalize()))
_FALSE = frozenset(form for word in ("false", "no", "off", "n") for form in (word, word.upper(), word.capitalize()))
_MAX_UINT32 = 2**32 - 1

T = TypeVar("T")


class Invalid(Exception):
    """A key cannot be read; the report says why."""


_LONGEST_SHOWN = 120
_TAG = re.compile(r"![^!\s]\S*")
_IN_QUOTES = "put text that begins with '!' or '&' in quotes"


@dataclass(slots=True, eq=False)
class Item:
    """
    A mapping of a rule file: an element of the file, or an entry within one.

    Attributes:
        file, report: Where it stands, and where findings go.
        node: The mapping.
        keys, values: Nodes of the keys and values by key.
        kind, name: For diagnostics; the name is "" until it is known.
        owner: What it is part of, as messages call it; "" for an element of the file.
        subject: The node to point at when something is missing: that of the name, once it is known.
    """

    file: SourceFile
    report: Report
    node: MappingNode
    keys: dict[str, ScalarNode]
    values: dict[str, Node]
    subject: Node
    kind: str = ""
    name: str = ""
    owner: str = ""

    @property
    def title(self) -> str:
        """How messages call it: ``rule 'Root used'``."""
        name = self.name if len(self.name) <= _LONGEST_SHOWN else f"{self.name[:_LONGEST_SHOWN]}..."
        title = f"{self.kind} '{name}'" if name else self.kind
        return f"{title} of {self.owner}" if self.owner else title

    def called(self, key: str) -> str:
        """How messages call a key: ``'output' of rule 'Root used'``."""
        return f"'{key}'" if key == self.kind else f"'{key}' of {self.title}"

    def span(self, node: Node) -> Span:
        """Where a node stands; of a sequence or mapping only its first part."""
        while not isinstance(node, ScalarNode) and node.items and node.items[0].start == node.start:
            node = node.items[0]
        return self.file.span(node.start, node.end)

    def report_at(
        self,
        where: Node | str | Span,
        slug: str,
        message: str,
        code: str = YAML_VALIDATE,
        hint: str = "",
        severity: str = ERROR,
    ) -> None:
        """Report a finding at a node, or at a key of this item (at its subject when it has no such key)."""
        if isinstance(where, str):
            where = self.keys.get(where, self.subject)
        span = where if isinstance(where, Span) else self.span(where)
        self.report.add(Diagnostic(slug, code, message, span, severity, hint, item=(self.kind, self.name)))

    def refuse(
        self, where: Node | str | Span, slug: str, message: str, code: str = YAML_VALIDATE, hint: str = ""
    ) -> Invalid:
        """Report an error and return the exception to raise."""
        self.report_at(where, slug, message, code, hint)
        return Invalid()

    def warn(self, where: Node | str | Span, slug: str, message: str, code: str, hint: str = "") -> None:
        """Report a warning."""
        self.report_at(where, slug, message, code, hint, WARNING)

    def named(self, key: str) -> "Item":
        """
        Read the name of the item, which later findings carry.

        Raises:
            Invalid: There is no name.
        """
        node = self.values.get(key)
        if isinstance(node, ScalarNode) and (node.is_null or not node.value):
            raise self.refuse(key, "empty-value", f"this {self.title} has no name")
        node = scalar_node(self, key)
        self.name, self.subject = node.value, node
        return self

    def read(self, reader: Callable[["Item", str], T], key: str) -> T | None:
        """Read a key; None when it cannot be read, which the report tells."""
        try:
            return reader(self, key)
        except Invalid:
            return None

    def read_or(self, reader: Callable[["Item", str], T], key: str, default: T) -> T:
        """Read a key, with a value for when it is not there or cannot be read."""
        value = self.read(reader, key) if key in self.values else None
        return default if value is None else value

    def at(self, node: ScalarNode) -> At:
        """Return where the text of a scalar stands."""
        text = scalar_text(node, self.file)
        return At(text, 0, len(text.text))

    def scalar(self, node: ScalarNode) -> Scalar:
        """Return a scalar with its place."""
        return Scalar(node.value, self.at(node))

    def warn_unknown(self, known: Collection[str]) -> None:
        """Warn of keys that mean nothing here."""
        for key, node in self.keys.items():
            if key not in known:
                hint = "merge keys are not part of the format; write the keys out" if key == "<<" else near(key, known)
                message = f"{self.title} knows no key '{key}', it is ignored"
                self.warn(node, "unknown-key", message, "LOAD_UNKNOWN_KEY", hint)


def open_item(file: SourceFile, report: Report, node: MappingNode, kind: str = "", owner: str = "") -> Item:
    """Make an item of a mapping. Of equal keys the first counts, as in Falco, and the others are warned of."""
    item = Item(file, report, node, {}, {}, node, kind, "", owner)
    for key, value in node.pairs:
        if not isinstance(key, ScalarNode):
            item.report_at(key, "odd-key", "a key must be plain text", hint="put text that begins with '{' in quotes")
        elif key.value in item.keys:
            message = f"'{key.value}' occurs twice, only the first one counts"
            item.warn(key, "duplicate-key", message, "LOAD_UNKNOWN_KEY")
        else:
            item.keys[key.value] = key
            item.values[key.value] = value
    return item


def node_kind(node: Node) -> str:
    """Name what a node is, for messages."""
    if isinstance(node, ScalarNode):
        return "nothing" if node.is_null else "text"
    return "a sequence" if isinstance(node, SequenceNode) else "a mapping"


def null_hint(node: Node) -> str:
    """Return a hint for a word that YAML takes for nothing; "" for anything else."""
    word = node.value if isinstance(node, ScalarNode) and node.is_null else ""
    return f"put {word} in quotes when the word itself is meant" if word else ""


def present(item: Item, key: str) -> Node:
    """
    Return the node of a key.

    Raises:
        Invalid: The key is missing.
    """
    if key not in item.values:
        others = [other for other in item.keys if near(other, [key])]
        hint = f"is '{others[0]}' meant to be '{key}'?" if others else ""
        raise item.refuse(item.subject, "missing-key", f"{item.title} has no '{key}'", hint=hint or f"add '{key}: ...'")
    return item.values[key]


def scalar_node(item: Item, key: str) -> ScalarNode:
    """
    Return the scalar of a key.

    Raises:
        Invalid: The key is missing, or holds nothing or no scalar.
    """
    node = present(item, key)
    if not isinstance(node, ScalarNode):
        begins = item.file.text[node.start]
        hint = f"put text that begins with '{begins}' in quotes" if begins in "[{" else ""
        raise item.refuse(node, "not-text", f"{item.called(key)} must be text, not {node_kind(node)}", hint=hint)
    if node.is_null or not node.value:
        hint = _IN_QUOTES if node.properties else "write something behind it, or leave the key away"
        raise item.refuse(key, "empty-value", f"{item.called(key)} is empty", hint=hint)
    if (tag := _TAG.match(item.file.text, node.start)) is not None:
        message = f"'{tag[0]}' is a tag in YAML and no part of the text"
        item.warn(item.file.span(*tag.span()), "yaml-tag", message, "LOAD_WARNING_EXTENSION", _IN_QUOTES)
    return node


def word(item: Item, key: str) -> str:
    """Read a text without its places."""
    return scalar_node(item, key).value


def text(item: Item, key: str) -> SourceText:
    """Read a text."""
    return scalar_text(scalar_node(item, key), item.file)


def trimmed_text(item: Item, key: str) -> SourceText:
    """Read a text without blanks at its ends."""
    return trimmed(text(item, key))


def flag(item: Item, key: str) -> bool:
    """Read a boolean in one of YAML's spellings, quoted or not."""
    node = scalar_node(item, key)
    if node.value not in _TRUE and node.value not in _FALSE:
        raise item.refuse(node, "bad-boolean", f"{item.called(key)} must be true or false, not '{node.value}'")
    return node.value in _TRUE


def milliseconds(item: Item, key: str) -> int:
    """Read a duration: an integer of 32 bits."""
    node = scalar_node(item, key)
    if not (node.value.isascii() and node.value.isdigit() and len(node.value) <= 10 and int(node.value) <= _MAX_UINT32):
        message = f"{item.called(key)} must be a number of milliseconds, not '{node.value}'"
        raise item.refuse(node, "bad-number", message)
    return int(node.value)


def priority(item: Item, key: str) -> Priority:
    """Read a priority."""
    node = scalar_node(item, key)
    try:
        return Priority.parse(node.value)
    except ValueError:
        known = [level.label for level in Priority]
        hint = near(node.value.capitalize(), [*known, "Info"]) or f"one of {', '.join(known)}"
        raise item.refuse(node, "bad-priority", f"'{node.value}' is no priority", hint=hint) from None


def sequence(item: Item, key: str) -> list[Node]:
    """
    Return the elements of a sequence.

    Raises:
        Invalid: The key is missing or holds no sequence.
    """
    node = present(item, key)
    if not isinstance(node, SequenceNode):
        plain = isinstance(node, ScalarNode) and not node.is_null and key in ("tags", "items")
        hint = f"write [{node.value}]" if isinstance(node, ScalarNode) and plain else "begin each element with '- '"
        message = f"{item.called(key)} must be a sequence, not {node_kind(node)}"
        raise item.refuse(key, "not-a-sequence", message, hint=hint)
    return node.items


def scalars(item: Item, key: str) -> tuple[Scalar, ...]:
    """Read a sequence of scalars; an element that is none is reported and left out."""
    return tuple(item.scalar(node) for node in map_scalars(item, key))


def map_scalars(item: Item, key: str) -> list[ScalarNode]:
    """Return the elements of a sequence that are scalars; others are reported."""
    found: list[ScalarNode] = []
    for node in sequence(item, key):
        if isinstance(node, ScalarNode) and not node.is_null:
            found.append(node)
        else:
            message = f"an element of {item.called(key)} must be text, not {node_kind(node)}"
            item.report_at(node, "not-text", message, hint=null_hint(node))
    return found


def names(item: Item, key: str) -> tuple[str, ...]:
    """Read a set of names, in the order they are written."""
    return tuple(dict.fromkeys(node.value for node in map_scalars(item, key)))
