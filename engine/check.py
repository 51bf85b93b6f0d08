"""
Meaning: whether fields go with such operators and constants; whether they exist is in ``operands``.

Turns a resolved syntax tree into a checked one for one source, reporting everything that is wrong in it, each finding
at the exact text and with the macros that pulled the text in (spec: rule-language 2.1, 2.2, 2.6, 2.7).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from engine.diagnostics import WARNING, Diagnostic, Report
from engine.fields import Field, Match, Type
from engine.operands import Operands, Rejected
from engine.patterns import BadPattern, Predicate, pmatch, regex
from engine.similar import near
from engine.tree import (
    And,
    Compare,
    FieldRef,
    Literal,
    Macro,
    MacroRef,
    Node,
    Not,
    Or,
    Transform,
    Values,
    operand_text,
)
from engine.typed import (
    FALSE,
    All,
    Checked,
    Either,
    FieldValue,
    Negation,
    Shared,
    Test,
    TransformValue,
    operands,
)
from engine.values import BadLiteral, Constant, hex_bytes, parse_constant
from engine.words import ORDERS

UNKNOWN = frozenset({"unknown-field", "unknown-event-type", "bad-output"})
"""Slugs that ``skip-if-unknown-filter`` turns into a warning."""

NUMERIC = frozenset({Type.INT, Type.UINT, Type.PORT, Type.DOUBLE, Type.ABSTIME, Type.RELTIME})
_NETS = frozenset({Type.IPADDR, Type.IPNET})
_EVERY = frozenset(Type)
_OPERATORS: dict[str, frozenset[Type]] = {
    "exists": _EVERY,
    "=": _EVERY,
    "!=": _EVERY,
    "in": _EVERY,
    "intersects": _EVERY,
    **dict.fromkeys(ORDERS, NUMERIC | {Type.STRING}),
    **dict.fromkeys(("contains", "startswith", "endswith"), frozenset({Type.STRING, Type.BYTES})),
    **dict.fromkeys(("icontains", "glob", "iglob", "regex", "pmatch"), frozenset({Type.STRING})),
    **dict.fromkeys(("bcontains", "bstartswith"), frozenset({Type.BYTES})),
}
LIST_OPERATORS = frozenset({"exists", "in", "intersects"})
_COMPARED_IN_LISTS = _NETS | {Type.STRING, Type.BOOL, Type.UINT, Type.ABSTIME, Type.RELTIME}
_HEX_OPERATORS = frozenset({"bcontains", "bstartswith"})
_EQUALITIES = frozenset({"=", "!=", "in", "intersects"})
_HOLDS = {
    **dict.fromkeys((Type.UINT, Type.ABSTIME, Type.RELTIME), "a whole number from 0"),
    Type.INT: "a whole number",
    Type.DOUBLE: "a number",
    Type.PORT: "a port number",
    Type.IPNET: "an address that is compared with networks",
}
"""What fields of a type are, for hints."""


@dataclass(slots=True)
class Checker(Operands):
    """Checks conditions against the fields of one source."""

    _macros: dict[int, Checked] = field(default_factory=dict)
    _failed: set[int] = field(default_factory=set)

    def begin(self, report: Report, item: tuple[str, str]) -> None:
        """Turn to another item; findings go to the report given, also those of macros that other items tripped over."""
        self.report, self.item = report, item
        self._failed.clear()

    def condition(self, node: Node) -> Checked:
        """
        Check a resolved condition.

        Raises:
            Rejected: Something in it is wrong; the report tells all of it.
        """
        match node:
            case And(items):
                return All(self._all(items))
            case Or(items):
                return Either(self._all(items))
            case Not(item):
                return Negation(self.condition(item))
            case Macro():
                return self._macro(node)
            case Compare():
                return self._compare(node)
            case MacroRef():
                raise AssertionError("macros are resolved before a condition is checked")

    def _all(self, nodes: Sequence[Node]) -> tuple[Checked, ...]:
        done: list[Checked] = []
        for node in nodes:
            try:
                done.append(self.condition(node))
            except Rejected:
                continue
        if len(done) != len(nodes):
            raise Rejected
        return tuple(done)

    def _macro(self, macro: Macro) -> Checked:
        key = id(macro.body)
        if key in self._failed:
            raise Rejected
        if key not in self._macros:
            self._via.append((f"macro '{macro.name}', in {self.item[0]} '{self.item[1]}'", macro.at.span))
            try:
                self._macros[key] = Shared(macro.name, self.condition(macro.body))
            except Rejected:
                self._failed.add(key)
                raise
            finally:
                self._via.pop()
        return self._macros[key]

    def _compare(self, node: Compare) -> Checked:
        left = self.operand(node.left)
        self._check_operator(node, left)
        if isinstance(node.right, FieldRef | Transform):
            right = self.operand(node.right)
            self._check_right(node, left, right)
            test = Test(left, node.op, "", (), None, right, node.at)
        else:
            test = self._constant_test(node, left)
        absent = self.partial and any(_never(value) for value in (left, test.right) if value is not None)
        return FALSE if absent else test

    def _constant_test(self, node: Compare, left: FieldValue | TransformValue) -> Test:
        literals: tuple[Literal, ...] = ()
        if isinstance(node.right, Values):
            literals = node.right.items
        elif isinstance(node.right, Literal):
            literals = (node.right,)
        constants = self._constants(literals, node, left)
        return Test(left, node.op, node.modifier, constants, _prepared(node, constants), None, node.at)

    def _check_operator(self, node: Compare, left: FieldValue | TransformValue) -> None:
        kind = f"list of {left.type}" if left.is_list else str(left.type)
        if left.is_list and node.op == "contains" and left.type is Type.STRING and isinstance(node.right, Literal):
            self._warn_of_contains(node)
        elif left.is_list and node.op != "exists" and left.type not in _COMPARED_IN_LISTS:
            message = f"'{node.op}' does not go with {operand_text(node.left)}, a {kind}"
            raise self.reject("operator-type", message, node.at, "such a list takes 'exists' alone")
        elif left.is_list and node.op not in LIST_OPERATORS:
            hint = "a list takes 'in' (every element is one of), 'intersects' (some element is) and 'exists'"
            message = f"'{node.op}' does not go with {operand_text(node.left)}, a {kind}"
            raise self.reject("operator-type", message, node.at, hint)
        if left.type not in _OPERATORS[node.op]:
            message = f"'{node.op}' does not go with {operand_text(node.left)} of type {kind}"
            raise self.reject("operator-type", message, node.at, _operator_hint(node.op, left.type))

    def _warn_of_contains(self, node: Compare) -> None:
        """Tell that rules of engine versions before lists mean "some element contains it", and Falco refuses it now."""
        message = f"'contains' on the list {operand_text(node.left)} asks whether some element contains the text"
        found = Diagnostic("contains-on-list", "LOAD_COMPILE_CONDITION", message, node.at.span, WARNING, item=self.item)
        self.report.add(replace(found, hint="Falco refuses this; 'intersects' asks for a whole element"))

    def _check_right(
        self, node: Compare, left: FieldValue | TransformValue, right: FieldValue | TransformValue
    ) -> None:
        assert node.right is not None
        sides = [f for side in (left, right) for f in _plain_fields(side)]
        if node.op in ("pmatch", "regex"):
            message = f"'{node.op}' takes constants only on the right"
            raise self.reject("no-right-field", message, node.right.at, "patterns that are in a field: use 'glob'")
        if left.type is Type.IPNET or any(f.no_rhs or f.domain is not None for f in sides):
            raise self.reject("no-right-field", "this field cannot be compared with another one", node.at)
        if any(isinstance(v, FieldValue) and v.match is not Match.ONE for v in (left, right)):
            raise self.reject("no-right-field", "a field of several values cannot be compared with another", node.at)
        if (left.type, left.is_list) != (right.type, right.is_list):
            message = f"the two sides differ in type, {_kind(left)} and {_kind(right)}"
            raise self.reject("type-mismatch", message, node.at, "'lanner fields' tells the types of fields")

    def _constants(
        self, literals: tuple[Literal, ...], node: Compare, left: FieldValue | TransformValue
    ) -> tuple[Constant, ...]:
        done: list[Constant] = []
        failed = False
        for literal in literals:
            try:
                done.append(self._constant(literal, node, left))
            except Rejected:
                failed = True
        if failed:
            raise Rejected
        return tuple(done)

    def _constant(self, literal: Literal, node: Compare, left: FieldValue | TransformValue) -> Constant:
        text = literal.value
        if isinstance(left, FieldValue) and left.field.synonyms and node.op in _EQUALITIES:
            text = left.field.synonyms.get(text, text)
        try:
            if node.op in _HEX_OPERATORS:
                return hex_bytes(text)
            value = parse_constant(text, left.type)
            if node.op == "regex":
                regex(text)
        except BadLiteral as problem:
            kind = _HOLDS.get(left.type)
            hint = problem.hint or (f"{operand_text(node.left)} is {kind}" if kind else "")
            raise self.reject("bad-literal", problem.message, literal.at, hint) from None
        except BadPattern as problem:
            hint = "patterns are POSIX regular expressions: [0-9] for a digit, [[:space:]] for a blank"
            raise self.reject("bad-regex", f"RE2 refuses the pattern: {problem}", literal.at, hint) from None
        self._check_domain(literal, node, left)
        return value

    def _check_domain(self, literal: Literal, node: Compare, left: FieldValue | TransformValue) -> None:
        if not isinstance(left, FieldValue) or left.field.domain is None or node.op not in _EQUALITIES:
            return
        if literal.value not in left.field.domain:
            message = f"'{literal.value}' is no event type of source {self.table.source}"
            hint = near(literal.value, left.field.domain)
            hint = hint or f"event types are names such as {', '.join(sorted(left.field.domain)[:3])}"
            raise self.reject("unknown-event-type", message, literal.at, hint)


def _prepared(node: Compare, constants: tuple[Constant, ...]) -> frozenset[Constant] | Predicate | None:
    if node.op == "pmatch":
        return pmatch([text for text in constants if isinstance(text, str)])
    if node.op in ("in", "intersects") or (node.op, node.modifier) == ("=", "anyof"):
        return frozenset(constants)
    return None


def _kind(value: FieldValue | TransformValue) -> str:
    return f"list of {value.type}" if value.is_list else str(value.type)


def _plain_fields(value: FieldValue | TransformValue) -> list[Field]:
    return [value.field] if isinstance(value, FieldValue) else []


def _never(value: FieldValue | TransformValue) -> bool:
    """Tell whether an operand is always absent, as one with a field of another source is."""
    return any(row.field.get is None and row.path is None for row in operands(value))


def _operator_hint(op: str, kind: Type) -> str:
    if kind is Type.BYTES and op in ("icontains", "glob", "iglob", "regex"):
        return "bytes take 'contains', 'startswith', 'endswith', 'bcontains' and 'bstartswith'"
    if kind in NUMERIC:
        return "numbers take = != < <= > >= and 'in'"
    return ""
