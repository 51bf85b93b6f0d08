"""
Fields and transformers: whether they exist for a source, take such arguments, and of what type they are.

Every finding stands at the exact text and has the macros that pulled the text in (spec: rule-language 1.5, 2.9).
"""

import re
from dataclasses import dataclass, field, replace

from engine.diagnostics import Diagnostic, Report, Span
from engine.fields import Arg, Field, FieldCatalog, FieldTable, Type
from engine.similar import MAX_HINTS
from engine.syntax import CODE
from engine.transformers import TRANSFORMERS, Transformer
from engine.tree import NOWHERE, At, FieldRef, Items, Literal, Operand, Transform
from engine.typed import ConstValue, FieldValue, ListValue, OperandValue, TransformValue
from engine.values import BadLiteral, parse_constant

_JOINABLE = frozenset({Type.STRING, Type.INT, Type.UINT})
_INDEX = re.compile(r"0|[1-9][0-9]*")
_LONGEST = 500
"""Characters of a field's name with the dotted words after it."""


class Rejected(Exception):
    """A condition, or part of one, that is wrong; the report says why."""


@dataclass(slots=True)
class Operands:
    """
    Checks the operands of conditions and the tokens of outputs against the fields of one source.

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

    def reject(self, slug: str, message: str, at: At, hint: str = "") -> Rejected:
        """Report an error and return the exception to raise."""
        via = tuple(reversed(self._via))
        self.report.add(Diagnostic(slug, CODE, message, at.span, hint=hint, via=via, item=self.item))
        return Rejected()

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
        return self.reject("unknown-field", message, at, hint)

    def _argument(self, row: Field, arg: str | None, ref: FieldRef) -> int | str | None:
        if arg is None:
            if row.arg_required:
                what = "an index" if row.arg is Arg.INDEX else "a key"
                hint = f"write {row.name}[0]" if row.arg is Arg.INDEX else f"write {row.name}[...]"
                raise self.reject("argument-missing", f"field '{row.name}' needs {what} in brackets", ref.at, hint)
            return None
        if row.arg is Arg.NONE:
            hint = f"write {row.name} without brackets"
            raise self.reject("argument-unwanted", f"field '{row.name}' takes no argument", ref.at, hint)
        if row.arg is not Arg.KEY and _INDEX.fullmatch(arg) and int(arg[:20]) < 2**64:
            return int(arg)
        if row.arg is Arg.INDEX:
            message = f"field '{row.name}' takes an index, not '{arg}'"
            raise self.reject("argument-not-index", message, ref.at, f"write {row.name}[0] for the first one")
        if row.arg_domain is not None and arg not in row.arg_domain:
            raise self.reject("unknown-field", f"field '{row.name}' knows no argument '{arg}'", ref.at)
        return arg

    def _transform(self, node: Transform) -> TransformValue:
        row = TRANSFORMERS[node.name]
        if node.selector is not None and node.name != "getopt":
            hint = "leave the brackets away, or put the index or key behind the field"
            raise self.reject("selector-unwanted", f"{node.name}() takes nothing in brackets", node.at, hint)
        if not row.least <= len(node.args) <= row.most:
            message = f"{node.name}() takes {row.takes}, not {len(node.args)} argument{'s' * (len(node.args) != 1)}"
            raise self.reject("transformer-arguments", message, node.at)
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
                    raise self.reject("no-transformer", f"field '{arg.name}' cannot be transformed", arg.at)
                return found
            case Transform():
                return self._transform(arg)

    def _number(self, literal: Literal) -> int:
        try:
            return int(parse_constant(literal.value, Type.INT))  # type: ignore[arg-type]
        except BadLiteral as problem:
            raise self.reject("bad-literal", problem.message, literal.at, problem.hint) from None

    def _wants(self, node: Transform, ok: bool) -> None:
        if not ok:
            row = TRANSFORMERS[node.name]
            message = f"{node.name}() takes {row.takes}"
            raise self.reject("transformer-type", message, node.at, "'lanner fields' tells the types of fields")

    def _single(self, node: Transform, row: Transformer, arg: OperandValue | ListValue) -> TransformValue:
        if isinstance(arg, ListValue | ConstValue):
            raise self.reject("transformer-type", f"{node.name}() takes a field, not a constant", node.at)
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
            raise self.reject("transformer-arguments", message, node.at)
        return TransformValue("getopt", args, node.selector, Type.STRING, node.selector is None)


def _is_text(value: OperandValue | ListValue) -> bool:
    return not isinstance(value, ListValue) and value.type is Type.STRING and not value.is_list


def _find(table: FieldTable, ref: FieldRef) -> tuple[Field, str | None] | None:
    row = table.fields.get(ref.name)
    if row is not None:
        return row, ref.arg
    return table.find(ref.name) if ref.arg is None and len(ref.name) <= _LONGEST else None
