"""
Checked conditions to Python functions.

One function holds the conditions of several rules and returns the rules that match. A field becomes a local variable
that is filled on first use, a macro used twice likewise, constants are reached by name. Nothing of a rule's text enters
the generated text: names are made here, and every constant is passed by reference.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from engine.event import Event
from engine.fields import Field, Match, Type
from engine.jsontext import text
from engine.patterns import glob, pmatch, regex, simple_glob
from engine.transformers import TRANSFORMERS, concat, count, getopt, join, lower
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
    parts,
)
from engine.values import in_network

UNSET = type("Unset", (), {"__repr__": lambda self: "UNSET"})()
"""Held by a local variable whose value was not asked for yet; None means absent."""

MAX_EXPRESSION = 40
"""Levels of one Python expression; deeper conditions go on in a helper function."""


_EMPTY: dict[str, Any] = {}
BUILTINS: dict[str, Any] = {"UNSET": UNSET, "EMPTY": _EMPTY, "TEXT": text, "LOWER": lower, "NET": in_network}


def read_path(event: Event, path: Sequence[str]) -> str | None:
    """Return the text at a path of an event's record, as a field with ``path`` answers."""
    here: Any = event.record
    for key in path:
        here = here.get(key) if type(here) is dict else None
    return text(here)


def field_getter(row: Field) -> Callable[..., Any]:
    """Return the function that answers a field; one that is always absent when the source is not there."""
    if row.path is not None:
        path = row.path
        return lambda event: read_path(event, path)
    if row.get is not None:
        return row.get
    return lambda event, arg=None: None


def value_getter(operand: FieldValue | TransformValue) -> Callable[[Event], Any]:
    """Return the function that gives an operand's value for an event, or None."""
    if isinstance(operand, FieldValue):
        getter, arg = field_getter(operand.field), operand.arg
        return getter if arg is None else lambda event: getter(event, arg)
    names = dict(BUILTINS)
    body = _Body(Writer(names), Counter())
    text = f"def value(e):\n    r = e.record\n    return {body.value(operand)}"
    return define(text, names, "value")


def any_network(address: bytes, networks: Iterable[tuple[int, int, int]]) -> bool:
    """Tell whether an address lies in one of several networks."""
    return any(in_network(address, net) for net in networks)


def _lift(apply: Callable[[Any], Any], is_list: bool) -> Callable[[Any], Any]:
    """Make a one-argument transformer take absence, and a list element by element."""
    if not is_list:
        return lambda value: None if value is None else apply(value)

    def each(values: Any) -> Any:
        if values is None:
            return None
        done = [result for value in values if (result := apply(value)) is not None]
        return done or None

    return each


def _all_present(apply: Callable[..., Any]) -> Callable[..., Any]:
    """Make a transformer of several arguments absent when one of them is."""
    return lambda *args: None if None in args else apply(*args)


def _join(separator: str | None, values: Any) -> str | None:
    return None if separator is None or values is None else join(separator, values)


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


def generate(conditions: Sequence[tuple[Any, Checked]], first: bool = False) -> Function:
    """
    Compile conditions into one function.

    Args:
        conditions: (payload, condition); the function returns the payloads of those that hold, in order.
        first: Whether to stop at the first that holds.
    """
    names = dict(BUILTINS)
    writer = Writer(names)
    source = writer.function("matches", [(f"R{i}", node) for i, (_, node) in enumerate(conditions)], first)
    names.update({f"R{i}": payload for i, (payload, _) in enumerate(conditions)})
    text = "\n".join([*writer.helpers, source])
    return Function(text, names, define(text, names, "matches"))


def value_test(test: Test) -> Callable[[str], bool]:
    """Compile a comparison with constants into a function of the left value, which is present."""
    writer = Writer(dict(BUILTINS))
    expression, _ = _scalar(test, "x", writer)
    return cast("Callable[[str], bool]", define(f"def holds(x): return bool({expression})", writer.names, "holds"))


def define(text: str, names: Mapping[str, Any], name: str) -> Callable[..., Any]:
    """Return a function from its text and what the names in it stand for."""
    scope = dict(names)
    exec(compile(text, "<rules>", "exec"), scope)  # noqa: S102 - the text holds names made here and no rule text
    return cast("Callable[[Event], Any]", scope[name])


@dataclass(slots=True)
class Writer:
    """
    The state of one generation.

    Attributes:
        names: Constants by name, shared by the function and its helpers.
        helpers: Texts of helper functions.
    """

    names: dict[str, Any]
    helpers: list[str] = field(default_factory=list)
    _known: dict[Any, str] = field(default_factory=dict)

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
            hit = f"return ({payload},)" if first else f"found += ({payload},)"
            if isinstance(node, Const):
                lines += [hit] if node.value else []
            else:
                lines.append(f"if {body.boolean(node, 0)}: {hit}")
        result = "return ()" if first else "return found"
        return self._text(f"{name}(e)", ["r = e.record", *body.opening(), "found = ()", *lines, result])

    def helper(self, node: Checked) -> str:
        """Write a condition as a function of its own and return the call."""
        body = _Body(self, Counter(_uses([node])))
        expression = body.boolean(node, 0)
        name = f"h{len(self.helpers)}"
        self.helpers.append(self._text(f"{name}(e, r)", [*body.opening(), f"return {expression}"]))
        return f"{name}(e, r)"

    def _text(self, signature: str, lines: Iterable[str]) -> str:
        return f"def {signature}:\n" + "\n".join(f"    {line}" for line in lines)


def _uses(nodes: Iterable[Checked]) -> Iterable[str | int]:
    """Yield the key of every operand and the identity of every macro as often as a function will ask for it."""
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


def _operand_uses(operand: OperandValue | ListValue) -> Iterable[str]:
    if isinstance(operand, FieldValue | TransformValue):
        yield operand.key
        if isinstance(operand, FieldValue) and operand.path is not None:
            for end in range(1, len(operand.path)):
                yield "/".join(operand.path[:end])
    for part in operand.args if isinstance(operand, TransformValue) else ():
        yield from _operand_uses(part)
    for part in operand.items if isinstance(operand, ListValue) else ():
        yield from _operand_uses(part)


@dataclass(slots=True)
class _Body:
    """Local variables and expressions of one generated function."""

    writer: Writer
    uses: Counter[str | int]
    _locals: dict[str | int, str] = field(default_factory=dict)
    _lazy: list[str] = field(default_factory=list)

    def opening(self) -> list[str]:
        """Return the statement that empties the variables which are filled on first use."""
        return [f"{' = '.join(self._lazy)} = UNSET"] if self._lazy else []

    def _local(self, key: str | int, prefix: str) -> str:
        if key not in self._locals:
            self._locals[key] = f"{prefix}{len(self._locals)}"
            if self.uses[key] > 1:
                self._lazy.append(self._locals[key])
        return self._locals[key]

    def _filled(self, key: str | int, prefix: str, expression: str) -> str:
        """Return the expression for a value that may be asked for several times."""
        name = self._local(key, prefix)
        if self.uses[key] > 1:
            return f"({name} if {name} is not UNSET else ({name} := {expression}))"
        return f"({name} := {expression})"

    # Booleans

    def boolean(self, node: Checked, depth: int) -> str:
        """Return a Python expression for a condition."""
        if depth > MAX_EXPRESSION and not isinstance(node, Test | Const):
            return self.writer.helper(node)
        match node:
            case Const(value):
                return str(value)
            case Test():
                return self.test(node)
            case Negation(item):
                return f"(not {self.boolean(item, depth + 1)})"
            case All(items):
                return f"({' and '.join([self.boolean(item, depth + 1) for item in items])})"
            case Either(items):
                return f"({' or '.join([self.boolean(item, depth + 1) for item in items])})"
            case Shared(_, body):
                if self.uses[id(body)] < 2:
                    return self.boolean(body, depth + 1)
                return self._shared(body, depth)

    def _shared(self, body: Checked, depth: int) -> str:
        name = self._local(id(body), "m")
        return f"({name} if {name} is not UNSET else ({name} := {self.boolean(body, depth + 1)}))"

    # Values

    def value(self, operand: OperandValue | ListValue) -> str:
        """Return a Python expression for an operand: its value or None."""
        match operand:
            case ConstValue(value):
                return self.writer.constant(value)
            case ListValue(items):
                return f"({''.join([f'{self.value(item)}, ' for item in items])})"
            case FieldValue():
                return self._filled(operand.key, "v", self._read(operand))
            case TransformValue():
                return self._filled(operand.key, "v", self._transformed(operand))

    def _read(self, operand: FieldValue) -> str:
        row = operand.field
        if operand.path is not None:
            return self._read_path(operand.path)
        if row.get is None:
            return "None"
        getter = self.writer.constant(row.get, "get")
        arg = "" if operand.arg is None else f", {self.writer.constant(operand.arg)}"
        return f"{getter}(e{arg})"

    def _read_path(self, path: Sequence[str]) -> str:
        parent = "r"
        for end in range(1, len(path)):
            key = self.writer.constant(path[end - 1])
            inner = f"(t if type(t := {parent}.get({key})) is dict else EMPTY)"
            parent = self._filled("/".join(path[:end]), "p", inner)
        key = self.writer.constant(path[-1])
        return f"(t if type(t := {parent}.get({key})) is str or t is None else TEXT(t))"

    def _transformed(self, node: TransformValue) -> str:
        args = [self.value(arg) for arg in node.args]
        constant = self.writer.constant
        match node.name:
            case "len":
                arg = node.args[0]
                apply = count if isinstance(arg, FieldValue | TransformValue) and arg.is_list else None
                return f"{constant(_LENGTHS[apply is not None], 'f')}({args[0]})"
            case "join":
                return f"{constant(_join, 'f')}({', '.join(args)})"
            case "concat":
                return f"{constant(_CONCAT, 'f')}({', '.join(args)})"
            case "getopt":
                selector = "None" if node.selector is None else constant(node.selector)
                return f"{constant(_GETOPT, 'f')}({', '.join(args)}, {selector})"
            case _:
                return f"{constant(_LIFTED[node.name, node.is_list], 'f')}({args[0]})"

    # Tests

    def test(self, test: Test) -> str:
        """Return a Python expression for a comparison; absence makes it false."""
        value = self.value(test.left)
        name = self._locals[test.left.key]
        if test.op == "exists":
            return f"({value} is not None)"
        if test.right is not None:
            right = self.value(test.right)
            compared = _with_field(test, name, self._locals[test.right.key], self.writer)
            return f"({value} is not None and {right} is not None and {compared})"
        if not test.constants:
            return "False"
        return self._with_constants(test, value, name)

    def _with_constants(self, test: Test, value: str, name: str) -> str:
        match = test.left.match if isinstance(test.left, FieldValue) else Match.ONE
        if match is not Match.ONE:
            each, _ = _scalar(test, "x", self.writer)
            quantifier = "all" if match is Match.ENDPOINT and test.op == "!=" else "any"
            return f"({value} is not None and {quantifier}({each} for x in {name}))"
        if test.left.is_list:
            return f"({value} is not None and {_list(test, name, self.writer)})"
        compared, null_safe = _scalar(test, name, self.writer)
        if null_safe:
            return f"({value}{compared.removeprefix(name)})"
        return f"({value} is not None and {compared})"


_LENGTHS = (_lift(TRANSFORMERS["len"].apply, False), _lift(count, False))
_LIFTED = {
    (row.name, is_list): _lift(row.apply, is_list)
    for row in TRANSFORMERS.values()
    if row.elementwise
    for is_list in (False, True)
}
_CONCAT = _all_present(concat)


def _GETOPT(argv: Any, options: str | None, selector: str | None) -> Any:  # noqa: N802 - one of the constants above
    return None if argv is None or options is None or None in argv else getopt(argv, options, selector)


def _list(test: Test, name: str, writer: Writer) -> str:
    """Compare a list value: all elements (``in``) or some (``intersects``) are among the constants."""
    if test.left.type is Type.IPNET:
        nets = writer.constant(test.constants)
        quantifier = "all" if test.op == "in" else "any"
        return f"{quantifier}({writer.constant(any_network, 'f')}(x, {nets}) for x in {name})"
    if test.op == "contains":
        return f"any({writer.constant(test.constants[0])} in x for x in {name})"
    values = writer.constant(frozenset(test.constants))
    return f"{values}.issuperset({name})" if test.op == "in" else f"not {values}.isdisjoint({name})"


def _scalar(test: Test, name: str, writer: Writer) -> tuple[str, bool]:
    """
    Compare a single value with constants.

    Returns:
        The expression, and whether None makes it false; such an expression begins with the name.
    """
    if test.op in ("in", "intersects"):
        return _among(test, name, writer)
    if test.op == "pmatch":
        return f"{writer.constant(pmatch(_texts(test)), 'f')}({name})", False
    if not test.modifier:
        return _one(test.op, test.left.type, test.constants[0], name, writer)
    return _modified(test, name, writer), False


def _texts(test: Test) -> list[str]:
    return [value for value in test.constants if isinstance(value, str)]


def _among(test: Test, name: str, writer: Writer) -> tuple[str, bool]:
    if test.left.type is Type.IPNET:
        return f"{writer.constant(any_network, 'f')}({name}, {writer.constant(test.constants)})", False
    return f"{name} in {writer.constant(frozenset(test.constants))}", True


def _one(op: str, kind: Type, constant: Any, name: str, writer: Writer) -> tuple[str, bool]:
    if op in ("glob", "iglob"):
        shape = simple_glob(constant) if op == "glob" else None
        if shape is not None:
            return _one(shape[0], kind, shape[1], name, writer)
        return f"{writer.constant(glob(constant, op == 'iglob'), 'f')}({name})", False
    if op == "regex":
        return f"{writer.constant(regex(constant), 'f')}({name})", False
    if op == "icontains":
        return f"{writer.constant(lower(constant))} in LOWER({name})", False
    if kind is Type.IPNET:
        return f"{'not ' * (op == '!=')}NET({name}, {writer.constant(constant)})", False
    return _plain(op, name, writer.constant(constant)), op == "="


def _plain(op: str, name: str, constant: str) -> str:
    match op:
        case "=":
            return f"{name} == {constant}"
        case "contains" | "bcontains":
            return f"{constant} in {name}"
        case "startswith" | "bstartswith":
            return f"{name}.startswith({constant})"
        case "endswith":
            return f"{name}.endswith({constant})"
        case _:
            return f"{name} {op} {constant}"


def _modified(test: Test, name: str, writer: Writer) -> str:
    each = [_one(test.op, test.left.type, constant, name, writer)[0] for constant in test.constants]
    match test.modifier:
        case "anyof":
            if test.op == "=" and test.left.type is not Type.IPNET:
                return f"{name} in {writer.constant(frozenset(test.constants))}"
            return f"({' or '.join(each)})"
        case "allof":
            return f"({' and '.join(each)})"
        case _:
            return f"sum(({''.join([f'{one}, ' for one in each])})) == 1"


def _with_field(test: Test, left: str, right: str, writer: Writer) -> str:
    if test.left.is_list:
        return f"set({right}).{'issuperset' if test.op == 'in' else 'intersection'}({left})"
    match test.op:
        case "in" | "intersects":
            return f"{left} == {right}"
        case "icontains":
            return f"LOWER({right}) in LOWER({left})"
        case "glob" | "iglob":
            return f"{writer.constant(glob, 'f')}({right}, {test.op == 'iglob'})({left})"
        case _:
            return _plain(test.op, left, right)
