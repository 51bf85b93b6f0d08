"""
Meaning: whether the fields exist, take such arguments, and go with such operators and constants.

Turns a resolved syntax tree into a checked one for one source, reporting everything that is wrong in it, each finding
at the exact text and with the macros that pulled the text in (spec: rule-language 2.1, 2.2, 2.6, 2.7, 2.9).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from engine.diagnostics import WARNING, Diagnostic, Report, Span
from engine.fields import Arg, Field, FieldCatalog, FieldTable, Match, Type
from engine.patterns import BadPattern, Predicate, pmatch, regex
from engine.similar import MAX_HINTS, near
from engine.syntax import CODE
from engine.transformers import TRANSFORMERS, Transformer
from engine.tree import (
    NOWHERE,
    And,
    At,
    Compare,
    FieldRef,
    Items,
    Literal,
    Macro,
    MacroRef,
    Node,
    Not,
    Operand,
    Or,
    Transform,
    Values,
    operand_text,
)
from engine.typed import (
    FALSE,
    All,
    Checked,
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
_INDEX = re.compile(r"0|[1-9][0-9]*")
_HOLDS = {
    **dict.fromkeys((Type.UINT, Type.ABSTIME, Type.RELTIME), "a whole number from 0"),
    Type.INT: "a whole number",
    Type.DOUBLE: "a number",
    Type.PORT: "a port number",
    Type.IPNET: "an address that is compared with networks",
}
"""What fields of a type are, for hints."""


_LONGEST = 500
"""Characters of a field's name with the dotted words after it."""


class Rejected(Exception):
    """A condition, or part of one, that is wrong; the report says why."""


@dataclass(slots=True)
class Checker:
    """
    Checks conditions against the fields of one source.

    Attributes:
        table: The fields.
        catalog: All tables; says that a field belongs to another source.
        report: Where findings go.
        partial: Whether fields of other sources are allowed and simply absent (rules for several sources).
        item: The item under check, for diagnostics.
    """

    table: FieldTable
    catalog: FieldCatalog
    report: Report
    partial: bool = False
    item: tuple[str, str] = ("", "")
    _via: list[tuple[str, Span]] = field(default_factory=list)
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

    def _reject(self, slug: str, message: str, at: At, hint: str = "") -> Rejected:
        via = tuple(reversed(self._via))
        self.report.add(Diagnostic(slug, CODE, message, at.span, hint=hint, via=via, item=self.item))
        return Rejected()

    # Operands

    def operand(self, operand: FieldRef | Transform) -> FieldValue | TransformValue:
        """
        Check a field or transformer expression.

        Raises:
            Rejected: It is wrong; the report tells why.
        """
        return self._field(operand) if isinstance(operand, FieldRef) else self._transform(operand)

    def _field(self, ref: FieldRef) -> FieldValue:
        row, arg = self.lookup(ref)
        return FieldValue(row, self._argument(row, arg, ref))

    def lookup(self, ref: FieldRef) -> tuple[Field, str | None]:
        """
        Find the row of a field; ``evt.arg.fd`` finds ``evt.arg`` with the argument ``fd``.

        Raises:
            Rejected: No such field for this source.
        """
        found = _find(self.table, ref)
        if found is not None:
            return found
        elsewhere = {source: there for source, table in self.catalog.tables.items() if (there := _find(table, ref))}
        if elsewhere and self.partial:
            row, arg = next(iter(elsewhere.values()))
            return replace(row, get=None, path=None, path_for=None), arg
        raise self._unknown(ref, next(iter(elsewhere), ""))

    def knows(self, name: str) -> bool:
        """Tell whether ``lookup`` would find a field of this name."""
        ref = FieldRef(name, None, NOWHERE)
        tables = self.catalog.tables.values() if self.partial else (self.table,)
        return any(_find(table, ref) is not None for table in (self.table, *tables))

    def like(self, name: str) -> str:
        """Return "did you mean" with the field most like a mistyped one; "" for none."""
        found = self.table.near(name) if len(self.report.diagnostics) < MAX_HINTS else None
        return f"did you mean '{found}'?" if found else ""

    def _unknown(self, ref: FieldRef, elsewhere: str) -> Rejected:
        hint = self.like(ref.name) or f"'lanner fields {self.table.source}' lists its fields"
        if elsewhere:
            hint = f"'{ref.name}' is a field of source {elsewhere}; does the rule lack 'source: {elsewhere}'?"
        message = f"source {self.table.source} has no field '{ref.name}'"
        start = ref.at.text.text.find(ref.name, ref.at.start, ref.at.end)  # of val(field) the field alone
        at = ref.at if start < 0 else At(ref.at.text, start, start + len(ref.name))
        return self._reject("unknown-field", message, at, hint)

    def _argument(self, row: Field, arg: str | None, ref: FieldRef) -> int | str | None:
        if arg is None:
            if row.arg_required:
                what = "an index" if row.arg is Arg.INDEX else "a key"
                hint = f"write {row.name}[0]" if row.arg is Arg.INDEX else f"write {row.name}[...]"
                raise self._reject("argument-missing", f"field '{row.name}' needs {what} in brackets", ref.at, hint)
            return None
        if row.arg is Arg.NONE:
            hint = f"write {row.name} without brackets"
            raise self._reject("argument-unwanted", f"field '{row.name}' takes no argument", ref.at, hint)
        if row.arg is not Arg.KEY and _INDEX.fullmatch(arg) and int(arg[:20]) < 2**64:
            return int(arg)
        if row.arg is Arg.INDEX:
            message = f"field '{row.name}' takes an index, not '{arg}'"
            raise self._reject("argument-not-index", message, ref.at, f"write {row.name}[0] for the first one")
        if row.arg_domain is not None and arg not in row.arg_domain:
            raise self._reject("unknown-field", f"field '{row.name}' knows no argument '{arg}'", ref.at)
        return arg

    def _transform(self, node: Transform) -> TransformValue:
        row = TRANSFORMERS[node.name]
        if node.selector is not None and node.name != "getopt":
            hint = "leave the brackets away, or put the index or key behind the field"
            raise self._reject("selector-unwanted", f"{node.name}() takes nothing in brackets", node.at, hint)
        if not row.least <= len(node.args) <= row.most:
            message = f"{node.name}() takes {row.takes}, not {len(node.args)} argument{'s' * (len(node.args) != 1)}"
            raise self._reject("transformer-arguments", message, node.at)
        args = tuple(self._argument_value(arg, node) for arg in node.args)
        match node.name:
            case "join":
                return self._join(node, args)
            case "concat":
                return self._concat(node, args)
            case "getopt":
                return self._getopt(node, args)
            case _:
                return self._single(node, row, args[0])

    def _argument_value(self, arg: Operand | Items, owner: Transform) -> OperandValue | ListValue:
        match arg:
            case Items(items):
                values = tuple(self._argument_value(item, owner) for item in items)
                return ListValue(tuple(value for value in values if not isinstance(value, ListValue)))
            case Literal(value, "number"):
                return ConstValue(self._number(arg), Type.INT if value.startswith("-") else Type.UINT)
            case Literal(value):
                return ConstValue(value, Type.STRING)
            case FieldRef():
                found = self._field(arg)
                if found.field.no_transformer or found.field.domain is not None:
                    raise self._reject("no-transformer", f"field '{arg.name}' cannot be transformed", arg.at)
                return found
            case Transform():
                return self._transform(arg)

    def _number(self, literal: Literal) -> int:
        try:
            return int(parse_constant(literal.value, Type.INT))  # type: ignore[arg-type]
        except BadLiteral as problem:
            raise self._reject("bad-literal", problem.message, literal.at, problem.hint) from None

    def _wants(self, node: Transform, ok: bool) -> None:
        if not ok:
            row = TRANSFORMERS[node.name]
            message = f"{node.name}() takes {row.takes}"
            raise self._reject("transformer-type", message, node.at, "'lanner fields' tells the types of fields")

    def _single(self, node: Transform, row: Transformer, arg: OperandValue | ListValue) -> TransformValue:
        if isinstance(arg, ListValue | ConstValue):
            raise self._reject("transformer-type", f"{node.name}() takes a field, not a constant", node.at)
        if node.name == "len":
            self._wants(node, arg.is_list or arg.type in row.accepts)
            return TransformValue("len", (arg,), None, Type.UINT, False)
        self._wants(node, arg.type in row.accepts)
        return TransformValue(node.name, (arg,), None, arg.type, arg.is_list)

    def _join(self, node: Transform, args: tuple[OperandValue | ListValue, ...]) -> TransformValue:
        separator, values = args
        self._wants(node, _is_text(separator))
        if isinstance(values, ListValue):
            self._wants(node, all(not item.is_list and item.type in _JOINABLE for item in values.items))
        else:
            self._wants(node, values.is_list and values.type in _JOINABLE)
        return TransformValue("join", args, None, Type.STRING, False)

    def _concat(self, node: Transform, args: tuple[OperandValue | ListValue, ...]) -> TransformValue:
        self._wants(node, all(map(_is_text, args)))
        return TransformValue("concat", args, None, Type.STRING, False)

    def _getopt(self, node: Transform, args: tuple[OperandValue | ListValue, ...]) -> TransformValue:
        argv, options = args
        ok = all(map(_is_text, argv.items)) if isinstance(argv, ListValue) else argv.is_list
        self._wants(node, ok and (isinstance(argv, ListValue) or argv.type is Type.STRING) and _is_text(options))
        if node.selector is not None and len(node.selector) != 1:
            message = f"the option of getopt() is one character, not '{node.selector}'"
            raise self._reject("transformer-arguments", message, node.at)
        return TransformValue("getopt", args, node.selector, Type.STRING, node.selector is None)

    # Comparisons

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
            raise self._reject("operator-type", message, node.at, "such a list takes 'exists' alone")
        elif left.is_list and node.op not in LIST_OPERATORS:
            hint = "a list takes 'in' (every element is one of), 'intersects' (some element is) and 'exists'"
            message = f"'{node.op}' does not go with {operand_text(node.left)}, a {kind}"
            raise self._reject("operator-type", message, node.at, hint)
        if left.type not in _OPERATORS[node.op]:
            message = f"'{node.op}' does not go with {operand_text(node.left)} of type {kind}"
            raise self._reject("operator-type", message, node.at, _operator_hint(node.op, left.type))

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
            raise self._reject("no-right-field", message, node.right.at, "patterns that are in a field: use 'glob'")
        if left.type is Type.IPNET or any(f.no_rhs or f.domain is not None for f in sides):
            raise self._reject("no-right-field", "this field cannot be compared with another one", node.at)
        if any(isinstance(v, FieldValue) and v.match is not Match.ONE for v in (left, right)):
            raise self._reject("no-right-field", "a field of several values cannot be compared with another", node.at)
        if (left.type, left.is_list) != (right.type, right.is_list):
            message = f"the two sides differ in type, {_kind(left)} and {_kind(right)}"
            raise self._reject("type-mismatch", message, node.at, "'lanner fields' tells the types of fields")

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
            raise self._reject("bad-literal", problem.message, literal.at, hint) from None
        except BadPattern as problem:
            hint = "patterns are POSIX regular expressions: [0-9] for a digit, [[:space:]] for a blank"
            raise self._reject("bad-regex", f"RE2 refuses the pattern: {problem}", literal.at, hint) from None
        self._check_domain(literal, node, left)
        return value

    def _check_domain(self, literal: Literal, node: Compare, left: FieldValue | TransformValue) -> None:
        if not isinstance(left, FieldValue) or left.field.domain is None or node.op not in _EQUALITIES:
            return
        if literal.value not in left.field.domain:
            message = f"'{literal.value}' is no event type of source {self.table.source}"
            hint = near(literal.value, left.field.domain)
            hint = hint or f"event types are names such as {', '.join(sorted(left.field.domain)[:3])}"
            raise self._reject("unknown-event-type", message, literal.at, hint)


def _prepared(node: Compare, constants: tuple[Constant, ...]) -> frozenset[Constant] | Predicate | None:
    if node.op == "pmatch":
        return pmatch([text for text in constants if isinstance(text, str)])
    if node.op in ("in", "intersects") or (node.op, node.modifier) == ("=", "anyof"):
        return frozenset(constants)
    return None


_JOINABLE = frozenset({Type.STRING, Type.INT, Type.UINT})


def _is_text(value: OperandValue | ListValue) -> bool:
    return not isinstance(value, ListValue) and value.type is Type.STRING and not value.is_list


def _kind(value: FieldValue | TransformValue) -> str:
    return f"list of {value.type}" if value.is_list else str(value.type)


def _plain_fields(value: FieldValue | TransformValue) -> list[Field]:
    return [value.field] if isinstance(value, FieldValue) else []


def _never(value: FieldValue | TransformValue) -> bool:
    """Tell whether an operand is always absent, as one with a field of another source is."""
    return any(row.field.get is None and row.path is None for row in operands(value))


def _find(table: FieldTable, ref: FieldRef) -> tuple[Field, str | None] | None:
    row = table.fields.get(ref.name)
    if row is not None:
        return row, ref.arg
    return table.find(ref.name) if ref.arg is None and len(ref.name) <= _LONGEST else None


def _operator_hint(op: str, kind: Type) -> str:
    if kind is Type.BYTES and op in ("icontains", "glob", "iglob", "regex"):
        return "bytes take 'contains', 'startswith', 'endswith', 'bcontains' and 'bstartswith'"
    if kind in NUMERIC:
        return "numbers take = != < <= > >= and 'in'"
    return ""
