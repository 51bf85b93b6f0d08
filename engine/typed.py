"""
The checked tree: conditions whose fields, operators and constants are known to fit one source.

``check`` makes it from the syntax tree, ``plan`` reduces it, ``generate`` turns it into Python.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.fields import Field, Match, Type
from engine.patterns import Predicate
from engine.tree import At
from engine.values import Constant


@dataclass(frozen=True, slots=True, eq=False)
class FieldValue:
    """A field with its bracket argument as the getter takes it."""

    field: Field
    arg: int | str | None

    @property
    def type(self) -> Type:
        """Type of the value or of its elements."""
        return self.field.type

    @property
    def is_list(self) -> bool:
        """Whether the value is a list; a list field with an index gives one element's value as a list still."""
        return self.field.is_list

    @property
    def path(self) -> tuple[str, ...] | None:
        """The place in the record whose text is the value; None when only the getter knows."""
        if isinstance(self.arg, str):
            return self.field.path_for(self.arg) if self.field.path_for is not None else None
        return self.field.path if self.arg is None else None

    @property
    def match(self) -> Match:
        """How comparisons treat the value; an argument picks one of several."""
        return self.field.match if self.arg is None else Match.ONE

    @property
    def key(self) -> str:
        """The text that two equal operands share."""
        return self.field.name if self.arg is None else f"{self.field.name}[{self.arg!r}]"


@dataclass(frozen=True, slots=True, eq=False)
class ConstValue:
    """A constant among transformer arguments."""

    value: str | int
    type: Type
    is_list = False

    @property
    def key(self) -> str:
        """The text that two equal operands share."""
        return repr(self.value)


@dataclass(frozen=True, slots=True, eq=False)
class ListValue:
    """A list written among transformer arguments."""

    items: "tuple[OperandValue, ...]"

    @property
    def key(self) -> str:
        """The text that two equal operands share."""
        return f"({','.join(item.key for item in self.items)})"


@dataclass(frozen=True, slots=True, eq=False)
class TransformValue:
    """A transformer applied to operands; ``type`` and ``is_list`` are those of its result."""

    name: str
    args: "tuple[OperandValue | ListValue, ...]"
    selector: str | None
    type: Type
    is_list: bool

    @property
    def key(self) -> str:
        """The text that two equal operands share."""
        shown = f"{self.name}({','.join(arg.key for arg in self.args)})"
        return shown if self.selector is None else f"{shown}[{self.selector!r}]"


OperandValue = FieldValue | ConstValue | TransformValue


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """
    One comparison.

    Attributes:
        left: What is compared.
        op, modifier: As in ``tree.Compare``.
        constants: Typed constants: one for a scalar operator, any number for a list; () with a right-hand operand.
        prepared: What is made of all constants together: their set for ``in``, a predicate for ``pmatch``; else None.
        right: A right-hand field or transformer, or None.
    """

    __test__ = False  # not a test case, whatever pytest may think of the name

    left: FieldValue | TransformValue
    op: str
    modifier: str
    constants: tuple[Constant, ...]
    prepared: frozenset[Constant] | Predicate | None
    right: FieldValue | TransformValue | None
    at: At

    @property
    def key(self) -> str:
        """The text that two equal tests share."""
        right = "" if self.right is None else self.right.key
        return f"{self.left.key} {self.op} {self.modifier} {self.constants!r} {right}"


@dataclass(frozen=True, slots=True, eq=False)
class Const:
    """A condition that is decided."""

    value: bool


@dataclass(frozen=True, slots=True, eq=False)
class Negation:
    """Not."""

    item: "Checked"


@dataclass(frozen=True, slots=True, eq=False)
class All:
    """And, of two or more."""

    items: "tuple[Checked, ...]"


@dataclass(frozen=True, slots=True, eq=False)
class Either:
    """Or, of two or more."""

    items: "tuple[Checked, ...]"


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """A macro: one body, the same object for all its users, so that it is evaluated once an event."""

    name: str
    body: "Checked"


Checked = Test | Const | Negation | All | Either | Shared

TRUE, FALSE = Const(True), Const(False)


def parts(node: Checked) -> tuple[Checked, ...]:
    """Return the boolean parts of a node."""
    match node:
        case All(items) | Either(items):
            return items
        case Negation(item):
            return (item,)
        case Shared(_, body):
            return (body,)
        case _:
            return ()


def walk(*nodes: Checked) -> Iterator[Checked]:
    """Yield nodes and all below them once each."""
    seen: set[int] = set()
    stack = list(reversed(nodes))
    while stack:
        here = stack.pop()
        if id(here) not in seen:
            seen.add(id(here))
            yield here
            stack.extend(reversed(parts(here)))


def operands(operand: OperandValue | ListValue) -> Iterator[FieldValue]:
    """Yield the fields inside an operand."""
    match operand:
        case FieldValue():
            yield operand
        case TransformValue(_, args):
            for arg in args:
                yield from operands(arg)
        case ListValue(items):
            for item in items:
                yield from operands(item)
        case _:
            return
