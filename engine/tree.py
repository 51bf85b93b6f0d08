"""
The syntax tree of a condition: node classes, walking, printing.

Nodes are immutable and know the piece of text they were read from. The parser makes trees with ``MacroRef``; after
``resolve`` each is a ``Macro`` that holds the macro's own tree, shared by all that use it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from engine.diagnostics import SourceText, Span

MAX_LEVELS = 200
"""Levels that a tree may have, operands and written-out macros included; what walks one calls itself for each level."""


@dataclass(frozen=True, slots=True, eq=False)
class At:
    """A piece of a source text: offsets of its first character and of the first one after it."""

    text: SourceText
    start: int
    end: int

    @property
    def span(self) -> Span:
        """Where the piece stands in its file."""
        return self.text.span(self.start, self.end)


NOWHERE = At(SourceText(""), 0, 0)
"""Where nothing that was written stands."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant. ``kind`` is ``bare``, ``quoted`` or ``number``; ``value`` has its escapes decoded."""

    value: str
    kind: str
    at: At = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class FieldRef:
    """``name`` or ``name[arg]``; ``arg`` is None when no bracket was written."""

    name: str
    arg: str | None
    at: At = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Transform:
    """``tolower(x)``; for ``getopt`` maybe with a selector in brackets."""

    name: str
    args: "tuple[Operand | Items, ...]"
    selector: str | None
    at: At = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Items:
    """A parenthesised list as a transformer argument: ``join("-", (a.b, "c"))``."""

    items: "tuple[Operand, ...]"
    at: At = field(compare=False, repr=False)


Operand = FieldRef | Transform | Literal


@dataclass(frozen=True, slots=True)
class Values:
    """
    The constants on the right of ``in (a, b)``.

    ``name`` is set while the source wrote one bare identifier without parentheses (``in my_list``).
    """

    items: tuple[Literal, ...]
    name: str | None
    at: At = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Compare:
    """
    One comparison.

    Attributes:
        left: A field or transformed field.
        op: ``=`` (also for ``==``), ``!=``, ``<``, ``contains``, ``in``, ``exists`` ...
        modifier: ``oneof``, ``anyof``, ``allof`` or "".
        right: A constant, a list of constants, ``val(field)`` as FieldRef, a transformer, or None for ``exists``.
    """

    left: FieldRef | Transform
    op: str
    modifier: str
    right: Literal | Values | FieldRef | Transform | None
    at: At = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class MacroRef:
    """A macro by name, before ``resolve``."""

    name: str
    at: At = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Macro:
    """A macro with its resolved tree, after ``resolve``."""

    name: str
    body: "Node"
    at: At = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    item: "Node"
    at: At = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class And:
    """All of two or more."""

    items: "tuple[Node, ...]"
    at: At = field(compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Or:
    """Any of two or more."""

    items: "tuple[Node, ...]"
    at: At = field(compare=False, repr=False)


Node = And | Or | Not | Compare | MacroRef | Macro


def children(node: Node) -> tuple[Node, ...]:
    """Return the boolean parts of a node; none for a comparison or an unresolved macro."""
    match node:
        case And(items) | Or(items):
            return items
        case Not(item):
            return (item,)
        case Macro(_, body):
            return (body,)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """Yield a node and all below it once each, macro bodies included, parents first."""
    seen: set[int] = set()
    stack: list[Node] = [node]
    while stack:
        here = stack.pop()
        if id(here) in seen:
            continue
        seen.add(id(here))
        yield here
        stack.extend(reversed(children(here)))


def _inner(part: "Node | Operand | Items | Values | None") -> "tuple[Node | Operand | Items, ...]":
    match part:
        case Compare(left, _, _, FieldRef() | Transform() as right):
            return (left, right)
        case Compare(left):
            return (left,)
        case Transform(_, parts) | Items(parts):
            return parts
        case And() | Or() | Not() | Macro():
            return children(part)
        case _:
            return ()


def operand_levels(node: Compare) -> int:
    """Count the levels of a comparison with its operands."""
    levels = 0
    row: list[Node | Operand | Items] = [node]
    while row:
        levels += 1
        row = [inner for part in row for inner in _inner(part)]
    return levels


def below(tree: "Node | Operand | Values", levels: int) -> "Node | Operand | Items | None":
    """Return a part of an unresolved tree that stands below a number of levels, or None."""
    row: list[Any] = [tree]
    for _ in range(levels):
        row = [inner for part in row for inner in _inner(part)]
    return row[0] if row else None


_QUOTE_IF = frozenset(" \t\r\n\b\f\v=\\\"'\0")


def _text(value: str) -> str:
    return f'"{value}"' if any(c in _QUOTE_IF for c in value) else value


def _argument(arg: str) -> str:
    if arg and not any(c in "[]\"'" or c.isspace() for c in arg):
        return arg
    escaped = arg.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def operand_text(operand: Operand | Items) -> str:
    """Print a field, transformer, constant or list as conditions spell it."""
    match operand:
        case Literal(value):
            return _text(value)
        case FieldRef(name, arg):
            return name if arg is None else f"{name}[{_argument(arg)}]"
        case Transform(name, args, selector):
            shown = f"{name}({','.join(map(operand_text, args))})"
            return shown if selector is None else f"{shown}[{_argument(selector)}]"
        case Items(items):
            return f"({','.join(map(operand_text, items))})"


def _right_text(right: Literal | Values | FieldRef | Transform) -> str:
    match right:
        case Values(items):
            return f"({', '.join(_text(item.value) for item in items)})"
        case FieldRef():
            return f"val({operand_text(right)})"
        case _:
            return operand_text(right)


def node_text(node: Node) -> str:
    """Print a tree in Falco's canonical form (spec: rule-language 1.3); macros by their bodies."""
    match node:
        case And(items):
            return f"({' and '.join(map(node_text, items))})"
        case Or(items):
            return f"({' or '.join(map(node_text, items))})"
        case Not(item):
            return f"not {node_text(item)}"
        case Macro(_, body):
            return node_text(body)
        case MacroRef(name):
            return name
        case Compare(left, op, _, None):
            return f"{operand_text(left)} {op}"
        case Compare(left, op, modifier, right):
            assert right is not None
            words = [operand_text(left), op, modifier, _right_text(right)]
            return " ".join(word for word in words if word)
