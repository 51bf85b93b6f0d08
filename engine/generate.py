"""
Checked conditions to Python functions.

One function holds the conditions of several rules and returns the rules that match. A field becomes a local variable
that is filled on first use, a macro used twice likewise, constants are reached by name. Nothing of a rule's text enters
the generated text: names are made here, and every constant is passed by reference. The text grows linearly with the
conditions, and nests less deep than Python's compiler allows, whatever the rules are.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import CodeType
from typing import Any, cast

from engine.comparisons import with_constants, with_field, with_list
from engine.event import Event
from engine.fields import Match
from engine.runtime import BUILTINS, field_getter, transformer
from engine.typed import (
    All,
    Checked,
    Const,
    ConstValue,
    Either,
    FieldValue,
    ListValue,
    Negation,
    OperandValue,
    Shared,
    Test,
    TransformValue,
    operands,
    parts,
    walk,
)

MAX_EXPRESSION = 30
"""Levels of conditions in one Python expression; deeper ones go on in a helper function."""

MAX_OPERAND = 12
"""Levels of transformers in one Python expression; deeper ones go on in a helper function."""

MAX_PATH = 8
"""Keys of a path that is read in place."""

MAX_REPEATED = 5000
"""Parts of macros that are written out anew where they are used again; further macros get a function of their own."""

_SHORT = 4000
"""Characters of a generated text whose code object is remembered: few conditions are unlike all others in shape."""


Predicate = Callable[[Event], bool]


@dataclass(slots=True)
class Function:
    """
    A generated function.

    Attributes:
        source: Its Python text, for people.
        constants: What the names in it stand for.
        call: ``call(event)``: a tuple of the payloads of the conditions that hold.
    """

    source: str
    constants: dict[str, Any]
    call: Callable[[Event], tuple[Any, ...]]


def generate(
    conditions: Sequence[tuple[Any, Checked]], first: bool = False, early: frozenset[str] = frozenset()
) -> Function:
    """
    Compile conditions into one function.

    Args:
        conditions: (payload, condition); the function returns the payloads of those that hold, in order.
        first: Whether to stop at the first that holds.
        early: Keys of the record that ``Event.early`` has; conditions that read no others read that.
    """
    names = dict(BUILTINS)
    writer = Writer(names, early)
    source = writer.function("matches", [(f"R{i}", node) for i, (_, node) in enumerate(conditions)], first)
    names.update({f"R{i}": (payload,) for i, (payload, _) in enumerate(conditions)})
    text = "\n".join([*writer.helpers, source])
    return Function(text, names, define(text, names, "matches"))


def predicate(node: Checked, macros: dict[int, Predicate] | None = None) -> Predicate:
    """
    Return a condition as a function of the event, made of one generated function a comparison.

    Slower to call than what ``generate`` makes, but cheap to make: comparisons of one shape share their code.

    Args:
        node: The condition.
        macros: Functions of macros by identity, shared by the conditions of one call.
    """
    macros = {} if macros is None else macros
    match node:
        case Test():
            return comparison(node)
        case Const(value):
            return lambda _event: value
        case Negation(item):
            inner = predicate(item, macros)
            return lambda event: not inner(event)
        case Shared(_, body):
            if id(body) not in macros:
                macros[id(body)] = predicate(body, macros)
            return macros[id(body)]
        case All(items) | Either(items):
            inners = [predicate(item, macros) for item in items]
            decides = isinstance(node, Either)
            return lambda event: _decided(inners, event, decides)


def _decided(inners: Sequence[Predicate], event: Event, decides: bool) -> bool:
    for inner in inners:
        if inner(event) is decides:
            return decides
    return not decides


def comparison(test: Test) -> Predicate:
    """Compile one comparison into a function of the event."""
    writer = Writer(dict(BUILTINS))
    lines = ["r = e.record", f"return bool({_Body(writer, Counter()).test(test)})"]
    return writer.define("holds", "e", lines)


def value_test(test: Test) -> Callable[[str], bool]:
    """Compile a comparison with constants into a function of the left value, which is present."""
    writer = Writer(dict(BUILTINS))
    return writer.define("holds", "x", [f"return bool({with_constants(test, 'x', writer)[0]})"])


def value_getter(operand: FieldValue | TransformValue) -> Callable[[Event], Any]:
    """Return the function that gives an operand's value for an event, or None."""
    if isinstance(operand, FieldValue):
        getter, arg = field_getter(operand.field), operand.arg
        return getter if arg is None else lambda event: getter(event, arg)
    writer = Writer(dict(BUILTINS))
    return writer.define("value", "e", ["r = e.record", f"return {_Body(writer, Counter()).value(operand)}"])


def values_getter(operands: Sequence[FieldValue | TransformValue]) -> Callable[[Event], tuple[Any, ...]]:
    """Return the function that gives the values of several operands for an event, what they share read once."""
    writer = Writer(dict(BUILTINS))
    body = _Body(writer, Counter(use for operand in operands for use in _operand_uses(operand)))
    values = [body.value(operand) for operand in operands]
    lines = [*body.opening(), f"return ({''.join(f'{value}, ' for value in values)})"]
    return writer.define("values", "e", ["r = e.record", *lines])


def define(text: str, names: Mapping[str, Any], name: str) -> Callable[..., Any]:
    """Return a function from its text and what the names in it stand for."""
    scope = dict(names)
    code = _remembered(text) if len(text) <= _SHORT else _code(text)
    exec(code, scope)  # noqa: S102 - the text holds names made here and no rule text
    return cast("Callable[..., Any]", scope[name])


def _code(text: str) -> CodeType:
    return compile(text, "<rules>", "exec")


_remembered = lru_cache(maxsize=1024)(_code)


@dataclass(slots=True)
class Writer:
    """
    The state of one generation.

    Attributes:
        names: Constants by name, shared by the function and its helpers.
        early: Keys of the record that ``Event.early`` has.
        helpers: Texts of helper functions.
    """

    names: dict[str, Any]
    early: frozenset[str] = frozenset()
    helpers: list[str] = field(default_factory=list)
    _known: dict[Any, str] = field(default_factory=dict)
    _macros: dict[int, str] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict)
    _repeated: int = 0

    def constant(self, value: Any, prefix: str = "C") -> str:
        """Return the name of a constant."""
        key = (type(value), value) if isinstance(value, str | bytes | int | float | frozenset | tuple) else id(value)
        if key not in self._known:
            self._known[key] = f"{prefix}{len(self._known)}"
            self.names[self._known[key]] = value
        return self._known[key]

    def function(self, name: str, conditions: Sequence[tuple[str, Checked]], first: bool) -> str:
        """Return the text of a function over several conditions."""
        body = _Body(self, Counter(_uses(node for _, node in conditions)))
        lines: list[str] = []
        for payload, node in conditions:
            body.certain = True
            hit = f"return {payload}" if first else f"found += {payload}"
            if isinstance(node, Const):
                lines += [hit] if node.value else []
            else:
                lines.append(f"if {body.boolean(node)}: {hit}")
        result = "return ()" if first else "return found"
        record = (
            "early" if self.early and self.early.issuperset(_top_keys(node for _, node in conditions)) else "record"
        )
        return _text(name, "e", [f"r = e.{record}", *body.opening(), "found = ()", *lines, result])

    def define(self, name: str, parameter: str, lines: Iterable[str]) -> Callable[..., Any]:
        """Return a function of these lines and the helpers they call."""
        return define("\n".join([*self.helpers, _text(name, parameter, lines)]), self.names, name)

    def condition_helper(self, node: Checked) -> str:
        """Write a condition as a function of its own and return the call."""
        body = _Body(self, Counter(_uses([node])))
        return self._helper(body, body.boolean(node))

    def macro_helper(self, macro: Checked) -> str:
        """Return the call of the function that a macro's condition has of its own."""
        if id(macro) not in self._macros:
            self._macros[id(macro)] = self.condition_helper(macro)
        return self._macros[id(macro)]

    def value_helper(self, operand: TransformValue) -> str:
        """Write an operand as a function of its own and return the call."""
        body = _Body(self, Counter(_operand_uses(operand)))
        return self._helper(body, body.value(operand))

    def _helper(self, body: "_Body", expression: str) -> str:
        name = f"h{len(self.helpers)}"
        self.helpers.append(_text(name, "e, r", [*body.opening(), f"return {expression}"]))
        return f"{name}(e, r)"

    def repeat(self, macro: Checked) -> None:
        """Take note that a macro is written out once more."""
        if id(macro) not in self._sizes:
            self._sizes[id(macro)] = sum(1 for _ in walk(macro))
        self._repeated += self._sizes[id(macro)]

    @property
    def full(self) -> bool:
        """Whether macros get functions of their own from here on."""
        return self._repeated > MAX_REPEATED


def _text(name: str, parameters: str, lines: Iterable[str]) -> str:
    return f"def {name}({parameters}):\n" + "\n".join(f"    {line}" for line in lines)


_Key = str | int | tuple[str, ...]
"""What a local variable holds: an operand by its key, a macro by its identity, an object of the record by its path."""


def _uses(nodes: Iterable[Checked]) -> Iterable[_Key]:
    """Yield what a function will ask for, as often as it will."""
    seen: set[int] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if isinstance(node, Shared):
            yield id(node.body)
            if id(node.body) in seen:
                continue
            seen.add(id(node.body))
        if isinstance(node, Test):
            yield from _operand_uses(node.left)
            if node.right is not None:
                yield from _operand_uses(node.right)
        stack.extend(parts(node))


def _operand_uses(operand: OperandValue | ListValue) -> Iterable[_Key]:
    stack: list[OperandValue | ListValue] = [operand]
    while stack:
        match stack.pop():
            case FieldValue() as row:
                yield row.key
                path = _in_place(row) or ()
                yield from (path[:end] for end in range(1, len(path)))
            case TransformValue(_, inner) as call:
                yield call.key
                stack += inner
            case ListValue(inner):
                stack += inner


def _top_keys(nodes: Iterable[Checked]) -> set[str]:
    """Return the keys of the record that conditions read in place."""
    sides = (side for node in walk(*nodes) if isinstance(node, Test) for side in (node.left, node.right) if side)
    return {path[0] for side in sides for operand in operands(side) if (path := _in_place(operand))}


def _in_place(operand: FieldValue) -> tuple[str, ...] | None:
    path = operand.path
    return path if path is not None and len(path) <= MAX_PATH else None


@dataclass(slots=True)
class _Body:
    """
    Local variables and expressions of one generated function, made in the order in which they are evaluated.

    Attributes:
        certain: Whether what is made next is evaluated whenever the function gets that far. What comes after may rely
            on the variables that it fills.
    """

    writer: Writer
    uses: Counter[_Key]
    certain: bool = True
    _locals: dict[_Key, str] = field(default_factory=dict)
    _lazy: list[str] = field(default_factory=list)
    _filled_for_sure: set[_Key] = field(default_factory=set)

    def opening(self) -> list[str]:
        """Return the statement that empties the variables which are filled on first use."""
        return [f"{' = '.join(self._lazy)} = UNSET"] if self._lazy else []

    def _filled(self, key: _Key, prefix: str, expression: Callable[[], str]) -> str:
        """Return the expression for a value that may be asked for several times."""
        if key in self._filled_for_sure:
            return self._locals[key]
        certain, known, again = self.certain, key in self._locals, self.uses[key] > 1
        text = expression()
        name = self._locals.setdefault(key, f"{prefix}{len(self._locals)}")
        if certain and again:
            self._filled_for_sure.add(key)
        if not again or (certain and not known):
            return f"({name} := {text})"
        if not known:
            self._lazy.append(name)
        return f"({name} if {name} is not UNSET else ({name} := {text}))"

    # Booleans

    def boolean(self, node: Checked, depth: int = 0) -> str:
        """Return a Python expression for a condition."""
        if isinstance(node, Shared) and self.uses[id(node.body)] > 1:
            return self._filled(id(node.body), "m", partial(self._macro, node.body, depth))
        if isinstance(node, Shared) and self.writer.full:
            return self.writer.macro_helper(node.body)
        if depth > MAX_EXPRESSION and not isinstance(node, Test | Const):
            return self.writer.condition_helper(node)
        match node:
            case Const(value):
                return str(value)
            case Test():
                return self.test(node)
            case Negation(item):
                return f"(not {self.boolean(item, depth + 1)})"
            case All(items):
                return f"({' and '.join(self._in_turn(items, depth + 1))})"
            case Either(items):
                return f"({' or '.join(self._in_turn(items, depth + 1))})"
            case Shared(_, body):
                return self.boolean(body, depth + 1)

    def _in_turn(self, items: Sequence[Checked], depth: int) -> Iterable[str]:
        """Yield the expressions of conditions of which the first is evaluated, and the others perhaps."""
        for item in items:
            yield self.boolean(item, depth)
            self.certain = False

    def _macro(self, body: Checked, depth: int) -> str:
        if id(body) in self._locals:
            self.writer.repeat(body)
        if depth > MAX_EXPRESSION or self.writer.full:
            return self.writer.macro_helper(body)
        return self.boolean(body, depth + 2)

    # Values

    def value(self, operand: OperandValue | ListValue, depth: int = 0) -> str:
        """Return a Python expression for an operand: its value or None."""
        match operand:
            case ConstValue(value):
                return self.writer.constant(value)
            case ListValue(items):
                return f"({''.join([f'{self.value(item, depth + 1)}, ' for item in items])})"
            case FieldValue():
                return self._filled(operand.key, "v", partial(self._read, operand))
            case TransformValue() if depth > MAX_OPERAND:
                return self._filled(operand.key, "v", partial(self.writer.value_helper, operand))
            case TransformValue():
                return self._filled(operand.key, "v", partial(self._transformed, operand, depth + 1))

    def _read(self, operand: FieldValue) -> str:
        row = operand.field
        path = _in_place(operand)
        if path is not None:
            return self._read_path(path)
        if operand.path is not None:
            return f"PATH(e, {self.writer.constant(operand.path)})"
        if row.get is None:
            return "None"
        getter = self.writer.constant(row.get, "get")
        arg = "" if operand.arg is None else f", {self.writer.constant(operand.arg)}"
        return f"{getter}(e{arg})"

    def _read_path(self, path: tuple[str, ...]) -> str:
        parent = self._filled(path[:-1], "p", partial(self._read_object, path[:-1])) if len(path) > 1 else "r"
        return f"(t if type(t := {parent}.get({self.writer.constant(path[-1])})) is str or t is None else TEXT(t))"

    def _read_object(self, path: tuple[str, ...]) -> str:
        parent = self._filled(path[:-1], "p", partial(self._read_object, path[:-1])) if len(path) > 1 else "r"
        return f"(t if type(t := {parent}.get({self.writer.constant(path[-1])})) is dict else EMPTY)"

    def _transformed(self, node: TransformValue, depth: int) -> str:
        args = [self.value(arg, depth) for arg in node.args]
        if node.name == "getopt":
            args.append("None" if node.selector is None else self.writer.constant(node.selector))
        first = node.args[0]
        takes_list = isinstance(first, FieldValue | TransformValue) and first.is_list
        return f"{self.writer.constant(transformer(node.name, takes_list), 'f')}({', '.join(args)})"

    # Tests

    def test(self, test: Test) -> str:
        """Return a Python expression for a comparison; absence makes it false."""
        if test.op != "exists" and test.right is None and not test.constants:
            return "False"  # before anything of it counts as read: this text is all that runs
        value = self.value(test.left)
        name = self._locals[test.left.key]
        if test.op == "exists":
            return f"({value} is not None)"
        if test.right is not None:
            self.certain = False
            right = self.value(test.right)
            compared = with_field(test, name, self._locals[test.right.key], self.writer)
            return f"({value} is not None and {right} is not None and {compared})"
        return self._with_constants(test, value, name)

    def _with_constants(self, test: Test, value: str, name: str) -> str:
        match = test.left.match if isinstance(test.left, FieldValue) else Match.ONE
        if match is not Match.ONE:
            each, _ = with_constants(test, "x", self.writer)
            quantifier = "all" if match is Match.ENDPOINT and test.op == "!=" else "any"
            return f"({value} is not None and {quantifier}({each} for x in {name}))"
        if test.left.is_list:
            return f"({value} is not None and {with_list(test, name, self.writer)})"
        compared, null_safe = with_constants(test, name, self.writer)
        if null_safe:
            return f"({value}{compared.removeprefix(name)})"
        return f"({value} is not None and {compared})"
