"""
YAML to nodes that know their place.

LibYAML reads the syntax; here its events become nodes. Nothing is constructed: no tags, no types, no merge keys. A file
cannot make us use more memory than some multiple of its size: nesting and what aliases stand for are bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from engine.diagnostics import Diagnostic, Report
from engine.sourcefile import SourceFile

PARSE = "LOAD_ERR_YAML_PARSE"
VALIDATE = "LOAD_ERR_YAML_VALIDATE"
MAX_DEPTH = 64
"""Levels of nesting; rules need nine."""
MAX_ALIASED = 100_000
"""Nodes that the aliases of a file may stand for, beyond the nodes that are written; eight characters count as one."""

_LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_CLOSED_WITH = {"[": "']'", "{": "'}'", '"': '"', "'": "'"}
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True, eq=False)
class ScalarNode:
    """
    A scalar.

    Attributes:
        value: The decoded text.
        style: "" for plain, else the character it begins with: ``'``, ``"``, ``|`` or ``>``.
        start, end: Offsets in the file; anchor and tag included.
        properties: Whether there is an anchor or tag.
        size: What it counts when aliases are bounded.
    """

    value: str
    style: str
    start: int
    end: int
    properties: bool = False
    size: int = 1

    @property
    def is_null(self) -> bool:
        """Whether nothing or one of the words for nothing is written."""
        return not self.style and self.value in _NULLS


@dataclass(slots=True, eq=False)
class SequenceNode:
    """A sequence; ``size`` counts the nodes in it with aliases written out, ``end`` is that of its first token."""

    start: int
    end: int
    items: "list[Node]" = field(default_factory=list)
    size: int = 1


@dataclass(slots=True, eq=False)
class MappingNode:
    """A mapping, as pairs of key and value; ``size`` and ``end`` as for a sequence."""

    start: int
    end: int
    items: "list[Node]" = field(default_factory=list)
    size: int = 1

    @property
    def pairs(self) -> "Iterator[tuple[Node, Node]]":
        """Keys and values in order, duplicates included."""
        return zip(self.items[::2], self.items[1::2], strict=True)


Node = ScalarNode | SequenceNode | MappingNode


class _Refused(Exception):
    """The text is not taken; carries the diagnostic."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def compose(file: SourceFile, report: Report) -> list[Node]:
    """Return the root of each document of a file; what is no YAML gives one error in the report and no document."""
    composer = _Composer(file)
    try:
        composer.run()
    except _Refused as refused:
        report.add(refused.diagnostic)
        return []
    except yaml.YAMLError as error:
        report.add(_syntax_error(file, error))
        return []
    return composer.documents


@dataclass(slots=True)
class _Composer:
    """Turns events into nodes with a stack of its own, so that deep nesting is an error and not a crash."""

    file: SourceFile
    documents: list[Node] = field(default_factory=list)
    _open: list[tuple[SequenceNode | MappingNode, str | None]] = field(default_factory=list)
    _anchors: dict[str, Node | None] = field(default_factory=dict)
    _written: int = 0
    _finished: int = 0

    def run(self) -> None:
        loader = _LOADER(self.file.text)
        try:
            while loader.check_event():
                self._event(loader.get_event())
        finally:
            loader.dispose()

    def _event(self, event: yaml.Event) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.SequenceStartEvent() | yaml.MappingStartEvent():
                self._begin(event)
            case yaml.CollectionEndEvent():
                node, anchor = self._open.pop()
                self._place(node, anchor)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent():
                self._anchors.clear()

    def _scalar(self, event: Any) -> None:
        size = 1 + len(event.value) // 8
        self._written += size
        style = event.style if event.style in ("'", '"', "|", ">") else ""
        named = event.anchor is not None or event.tag is not None
        node = ScalarNode(event.value, style, event.start_mark.index, event.end_mark.index, named, size)
        self._place(node, event.anchor)

    def _begin(self, event: Any) -> None:
        self._written += 1
        start = event.start_mark.index
        end = max(start + 1, event.end_mark.index)
        if len(self._open) >= MAX_DEPTH:
            raise self._refused("too-deep", f"nested more than {MAX_DEPTH} levels deep", start, end)
        kind = SequenceNode if isinstance(event, yaml.SequenceStartEvent) else MappingNode
        self._open.append((kind(start, end), event.anchor))
        if event.anchor is not None:
            self._anchors[event.anchor] = None

    def _alias(self, event: Any) -> None:
        start, end = event.start_mark.index, event.end_mark.index
        if event.anchor not in self._anchors:
            hint = "'*' begins an alias in YAML; put text that begins with it in quotes"
            raise self._refused("unknown-alias", f"there is no anchor '&{event.anchor}' before this", start, end, hint)
        node = self._anchors[event.anchor]
        if node is None:
            raise self._refused("alias-loop", f"'*{event.anchor}' stands inside of what it stands for", start, end)
        self._place(node, None)

    def _place(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self.documents.append(node)
            self._finished += node.size
            return
        parent = self._open[-1][0]
        parent.items.append(node)
        parent.size += node.size
        if parent.size + self._finished > self._written + MAX_ALIASED:
            message = f"the aliases stand for more than {MAX_ALIASED} nodes"
            raise self._refused("alias-bomb", message, parent.start, parent.end)

    def _refused(self, slug: str, message: str, start: int, end: int, hint: str = "") -> _Refused:
        code = PARSE if slug == "unknown-alias" else VALIDATE
        return _Refused(Diagnostic(slug, code, message, self.file.span(start, end), hint=hint))


def _syntax_error(file: SourceFile, error: yaml.YAMLError) -> Diagnostic:
    problem = str(getattr(error, "problem", None) or error)
    context = getattr(error, "context", None)
    mark = getattr(error, "problem_mark", None)
    last = max(0, len(file.text.rstrip()) - 1)
    at_end = mark is not None and mark.index > last
    if context and ("quoted scalar" in context or "simple key" in context or (at_end and "flow" in context)):
        mark = error.context_mark or mark  # type: ignore[attr-defined]  # an open quote, not the end of the file
    index = min(mark.index, last) if mark else 0
    message = f"not YAML: {problem}" + (f", {context}" if context else "")
    hint = _syntax_hint(file, index, problem)
    if context and "flow" in context and mark is not error.context_mark:  # type: ignore[attr-defined]
        line, col = file.place(error.context_mark.index)  # type: ignore[attr-defined]
        hint = f"the bracket in line {line}, column {col} is not closed, or a comma is missing"
    return Diagnostic("yaml-syntax", PARSE, message, file.span(index, index + 1), hint=hint)


def _syntax_hint(file: SourceFile, index: int, problem: str) -> str:
    here = file.text[index : index + 1]
    if here.isspace() and not here.isascii():
        return f"U+{ord(here):04X} only looks like a blank; type it again"
    if "tab" in problem or here == "\t":
        return "indent with blanks, not tabs"
    if "cannot start any token" in problem:
        return f"put text that begins with '{here}' in quotes"
    if "mapping values are not allowed" in problem:
        return "put text that contains ': ' in quotes, or check the indentation"
    if "could not find expected ':'" in problem:
        return "a key ends with ': ', and a text of several lines is indented deeper than its key"
    if "expected '-' indicator" in problem:
        return "check the indentation: lists, macros and rules begin with '- ', all in the same column"
    if "alphabetic or numeric character" in problem:
        return "put text that begins with '&' or '*' in quotes"
    if here in _CLOSED_WITH:
        return f"close it with {_CLOSED_WITH[here]}"
    if "comment or line break" in problem:
        return "the text begins in the line below '|' or '>'"
    if "did not find expected" in problem:
        return "check the indentation and the quotes here and in the lines before"
    return ""
