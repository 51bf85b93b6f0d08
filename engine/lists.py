"""
Named lists to constants: lists of lists are opened to any depth, on constants and never by text.

Source: spec rule-language 3.4.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from engine.definitions import ListDef, Scalar
from engine.diagnostics import Diagnostic, Report, SourceText, Span
from engine.order import dependencies_first, loop
from engine.parser import parse_item
from engine.syntax import ParseFailure
from engine.tree import Literal, Values

VALIDATE = "LOAD_ERR_VALIDATE"
MAX_ITEMS = 5_000_000
"""Constants that all lists, and all conditions that name lists, may open to; lists of lists grow without bound."""


class Unresolved(Exception):
    """A definition that cannot be used because it, or something it uses, is wrong; the report says what."""


@dataclass(slots=True)
class Lists:
    """
    Opens lists, each once.

    Attributes:
        definitions: The lists by name.
        report: Where findings go.
        used: Names that something refers to.
    """

    definitions: Mapping[str, ListDef]
    report: Report
    used: set[str] = field(default_factory=set)
    _opened: dict[str, tuple[Literal, ...]] = field(default_factory=dict)
    _left: int = MAX_ITEMS

    def __contains__(self, name: str) -> bool:
        return name in self.definitions

    def items(self, name: str) -> tuple[Literal, ...]:
        """Return the constants of a list; empty for one that is wrong, which the report tells."""
        if name not in self._opened:
            for here, waiting in dependencies_first(name, self._needs):
                self._opened[here] = self._open(self.definitions[here], waiting)
        return self._opened[name]

    def _needs(self, name: str) -> list[str]:
        values = (scalar.value for scalar in self.definitions[name].items)
        return [value for value in values if value in self.definitions and value not in self._opened]

    def _open(self, definition: ListDef, waiting: Collection[str]) -> tuple[Literal, ...]:
        item = ("list", definition.name)
        parts = [self._item(scalar, definition, waiting) for scalar in definition.items]
        if not self._fits(sum(map(len, parts)), definition.at.span, item):
            return ()
        return tuple(literal for part in parts for literal in part)

    def _item(self, scalar: Scalar, owner: ListDef, waiting: Collection[str]) -> tuple[Literal, ...]:
        if scalar.value in self.definitions:
            self.used.add(scalar.value)
            if scalar.value not in self._opened:
                message = f"list '{owner.name}' contains itself, through {loop(owner.name, scalar.value, waiting)}"
                item = ("list", owner.name)
                hint = f"take '{scalar.value}' out of it"
                self.report.add(Diagnostic("list-loop", VALIDATE, message, scalar.at.span, hint=hint, item=item))
            return self._opened.get(scalar.value, ())
        try:
            return (constant(scalar),)
        except ParseFailure as failure:
            self.report.add(replace(failure.diagnostic, item=("list", owner.name)))
            return ()

    def _fits(self, count: int, span: Span, item: tuple[str, str]) -> bool:
        """Take from what lists may open to; once it does not suffice, the report says so and nothing fits any more."""
        if self._left >= count:
            self._left -= count
            return True
        if self._left >= 0:
            message = f"the lists open to more than {MAX_ITEMS} items, in {item[0]} '{item[1]}'"
            self.report.add(Diagnostic("too-large", VALIDATE, message, span, item=item))
        self._left = -1
        return False

    def open(self, values: Values, item: tuple[str, str]) -> Values:
        """
        Replace the names of lists among constants by their items.

        Raises:
            Unresolved: They are too many.
        """
        if not any(literal.kind == "bare" and literal.value in self.definitions for literal in values.items):
            return values if values.name is None else Values(values.items, None, values.at)
        parts = [self._named(literal) for literal in values.items]
        if not self._fits(sum(map(len, parts)), values.at.span, item):
            raise Unresolved
        return Values(tuple(literal for part in parts for literal in part), None, values.at)

    def _named(self, literal: Literal) -> tuple[Literal, ...]:
        if literal.kind != "bare" or literal.value not in self.definitions:
            return (literal,)
        self.used.add(literal.value)
        return self.items(literal.value)


def whole(scalar: Scalar) -> SourceText:
    """Return a scalar as a text of its own that knows its places."""
    at = scalar.at
    if at.text.text == scalar.value:
        return at.text
    file, line, col = at.text.place(at.start)
    return SourceText(scalar.value, (0,), ((file, line, col),))


def has_blank(text: str) -> bool:
    """Tell whether a text has blanks and does not begin with a quote, so that it is one constant as it stands."""
    return any(c.isspace() for c in text) and text[0] not in "\"'"


def constant(scalar: Scalar) -> Literal:
    """
    Read a list item: text with quotes around it is unquoted, anything else is taken as it stands.

    Raises:
        ParseFailure: It begins with a quote but is no quoted string.
    """
    text = scalar.value
    if text[:1] in ("'", '"') and len(text) > 1:
        return replace(parse_item(whole(scalar)), at=scalar.at)
    return Literal(text, "bare" if text and not has_blank(text) else "quoted", scalar.at)
