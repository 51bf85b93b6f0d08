"""
Names to trees: lists, macros and exceptions become part of the conditions that use them.

Works on syntax trees, never on text (spec: rule-language 3.3, 3.4, 3.6): a list name inside a quoted string stays text,
lists of lists open to any depth, a macro is one sub-tree shared by all its users.
"""

from collections.abc import Collection as Names
from dataclasses import dataclass, field, replace

from engine.definitions import Collection, ExceptionDef, MacroDef, RuleDef, Scalar
from engine.diagnostics import Diagnostic, Report, Span
from engine.lists import VALIDATE, Lists, Unresolved, constant, has_blank, whole
from engine.order import dependencies_first, loop
from engine.parser import parse_condition, parse_left, parse_value, parse_values
from engine.similar import MAX_HINTS, near
from engine.syntax import CODE, ParseFailure
from engine.tree import (
    MAX_LEVELS,
    And,
    At,
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
    children,
    operand_levels,
    walk,
)
from engine.words import LIST_OPS

MAX_NODES = 50_000
"""Comparisons that a condition may have after macros are written out; macros of macros grow without bound."""


@dataclass(slots=True)
class Resolver:
    """
    Resolves the definitions of one collection, each once.

    Attributes:
        collection: What the rule files define.
        report: Where findings go.
        lists: Its lists, opened.
        used_macros: Names that something refers to.
    """

    collection: Collection
    report: Report
    lists: Lists = field(init=False)
    used_macros: set[str] = field(default_factory=set)
    _parsed: dict[str, Node | None] = field(default_factory=dict)
    _macros: dict[str, Node | None] = field(default_factory=dict)
    _sizes: dict[int, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lists = Lists(self.collection.lists, self.report)

    def rule(self, rule: RuleDef) -> Node:
        """
        Return the condition of a rule with its exceptions, fully resolved.

        Raises:
            Unresolved: It cannot be; the reasons are in the report.
        """
        item = ("rule", rule.name)
        try:
            parsed = parse_condition(rule.condition)
        except ParseFailure as failure:
            raise self._failed(failure, item) from None
        node = self._with_exceptions(self._node(parsed, item), rule)
        self._check_size(node, item, rule.at)
        return node

    def condition(self, node: Node, item: tuple[str, str]) -> Node:
        """
        Return a parsed condition resolved.

        Raises:
            Unresolved: It cannot be; the reasons are in the report.
        """
        resolved = self._node(node, item)
        self._check_size(resolved, item, node.at)
        return resolved

    def macros(self) -> None:
        """Resolve every macro, also unused ones, so that their errors are told."""
        for name in self.collection.macros:
            self._macro(name)

    def _error(
        self,
        slug: str,
        code: str,
        message: str,
        hint: str,
        span: Span,
        item: tuple[str, str],
    ) -> None:
        self.report.add(Diagnostic(slug, code, message, span, hint=hint, item=item))

    def _failed(self, failure: ParseFailure, item: tuple[str, str]) -> Unresolved:
        self.report.add(replace(failure.diagnostic, item=item))
        return Unresolved()

    # Conditions and macros

    def _node(self, node: Node, item: tuple[str, str], owner: MacroDef | None = None, waiting: Names[str] = ()) -> Node:
        match node:
            case And(items, at):
                return And(self._nodes(items, item, owner, waiting), at)
            case Or(items, at):
                return Or(self._nodes(items, item, owner, waiting), at)
            case Not(inner, at):
                return Not(self._node(inner, item, owner, waiting), at)
            case Compare():
                return self._compare(node, item)
            case MacroRef():
                return self._macro_use(node, item, owner, waiting)
            case Macro():
                return node

    def _nodes(
        self, nodes: tuple[Node, ...], item: tuple[str, str], owner: MacroDef | None, waiting: Names[str]
    ) -> tuple[Node, ...]:
        done: list[Node] = []
        for node in nodes:
            try:
                done.append(self._node(node, item, owner, waiting))
            except Unresolved:
                continue
        if len(done) != len(nodes):
            raise Unresolved
        return tuple(done)

    def _macro_use(self, ref: MacroRef, item: tuple[str, str], owner: MacroDef | None, waiting: Names[str]) -> Macro:
        if not self._visible(ref.name, owner):
            message, hint = self._undefined(ref.name, owner)
            self._error("undefined-macro", VALIDATE, message, hint, ref.at.span, item)
            raise Unresolved
        self.used_macros.add(ref.name)
        if owner is None:
            self._macro(ref.name)
        elif ref.name not in self._macros:
            message = f"macro '{owner.name}' refers to itself, through {loop(owner.name, ref.name, waiting)}"
            self._error("macro-loop", VALIDATE, message, f"take '{ref.name}' out of it", ref.at.span, item)
        body = self._macros.get(ref.name)
        if body is None:
            raise Unresolved
        return Macro(ref.name, body, ref.at)

    def _visible(self, name: str, owner: MacroDef | None) -> bool:
        """Tell whether a macro may be used: a macro sees only those that were there before it."""
        macro = self.collection.macros.get(name)
        return macro is not None and (owner is None or macro.first < owner.latest)

    def _undefined(self, name: str, owner: MacroDef | None) -> tuple[str, str]:
        """Return a message and a hint."""
        if owner is not None and name == owner.name:
            return f"macro '{name}' uses itself", f"take '{name}' out of it"
        if name in self.collection.macros:
            return f"macro '{name}' is defined after the macro that uses it", "define it before, or in an earlier file"
        hint = near(name, self.collection.macros) if len(self.report.diagnostics) < MAX_HINTS else ""
        hint = hint or "define it here, or give the file that defines it as well"
        if name in self.lists:
            hint = f"'{name}' is a list; lists stand on the right of 'in', 'intersects' or 'pmatch'"
        return f"there is no macro '{name}'", hint

    def _macro(self, name: str) -> None:
        """Resolve a macro after all that it uses, unless it is done."""
        if name not in self._macros:
            for here, waiting in dependencies_first(name, self._needs):
                self._macros[here] = self._body(self.collection.macros[here], waiting)
                del self._parsed[here]

    def _needs(self, name: str) -> list[str]:
        owner = self.collection.macros[name]
        try:
            node = self._parsed[name] = parse_condition(owner.condition)
        except ParseFailure as failure:
            self._failed(failure, ("macro", name))
            self._parsed[name] = None
            return []
        used = (found.name for found in walk(node) if isinstance(found, MacroRef))
        return [ref for ref in used if self._visible(ref, owner) and ref not in self._macros]

    def _body(self, macro: MacroDef, waiting: Names[str]) -> Node | None:
        parsed = self._parsed[macro.name]
        if parsed is None:
            return None
        item = ("macro", macro.name)
        try:
            body = self._node(parsed, item, macro, waiting)
            self._sizes[id(body)] = self._check_size(body, item, macro.at)
        except Unresolved:
            return None
        return body

    def _check_size(self, node: Node, item: tuple[str, str], at: At) -> tuple[int, int]:
        nodes, levels = size = self._size(node)
        if nodes > MAX_NODES or levels > MAX_LEVELS:
            limit = f"{MAX_NODES} comparisons" if nodes > MAX_NODES else f"{MAX_LEVELS} levels"
            message = f"{item[0]} '{item[1]}' grows to more than {limit} when its macros are written out"
            self._error("too-large", VALIDATE, message, "", at.span, item)
            raise Unresolved
        return size

    def _size(self, node: Node) -> tuple[int, int]:
        """Count nodes and levels; the body of a macro was counted when the macro was resolved."""
        if isinstance(node, Compare):
            return 1, operand_levels(node)
        if isinstance(node, Macro):
            nodes, levels = self._sizes[id(node.body)]
            return nodes, levels + 1
        sizes = [self._size(child) for child in children(node)]
        return 1 + sum(nodes for nodes, _ in sizes), 1 + max(levels for _, levels in sizes)

    # Lists in conditions

    def _compare(self, node: Compare, item: tuple[str, str]) -> Compare:
        match node.right:
            case Values():
                right = self.lists.open(node.right, item)
                return node if right is node.right else replace(node, right=right)
            case Literal(value, "bare", at) if value in self.lists:
                return replace(node, right=self._single(value, at, item))
            case _:
                return node

    def _single(self, name: str, at: At, item: tuple[str, str]) -> Literal:
        self.lists.used.add(name)
        items = self.lists.items(name)
        if not items and any(found.item == ("list", name) for found in self.report.errors):
            raise Unresolved  # why it has none was told
        if len(items) != 1:
            message = f"list '{name}' has {len(items)} items, but one value is wanted here"
            hint = f"compare with a list by 'in' or 'intersects'; the text itself is '{name}' in quotes"
            self._error("list-as-value", CODE, message, hint, at.span, item)
            raise Unresolved
        return replace(items[0], at=at)

    # Exceptions

    def _with_exceptions(self, condition: Node, rule: RuleDef) -> Node:
        item = ("rule", rule.name)
        parts: list[Node] = [condition]
        failed = False
        for entry in rule.exceptions:
            try:
                fields = self.exception_fields(entry, item)
                if entry.values:
                    parts.append(Not(self._exception(entry, fields, item), entry.at))
            except Unresolved:
                failed = True
        if failed:
            raise Unresolved
        return And(tuple(parts), condition.at) if len(parts) > 1 else condition

    def _exception(self, entry: ExceptionDef, fields: list[FieldRef | Transform], item: tuple[str, str]) -> Node:
        try:
            if entry.single:
                scalars = [value for row in entry.values for value in row if isinstance(value, Scalar)]
                values = self._listed(tuple(scalars), entry.at, item)
                return self._exception_test(fields[0], entry.comps[0], values, item)
            rows = [self._exception_row(fields, entry, row, item) for row in entry.values]
        except ParseFailure as failure:
            raise self._failed(failure, item) from None
        return rows[0] if len(rows) == 1 else Or(tuple(rows), entry.at)

    def exception_fields(self, entry: ExceptionDef, item: tuple[str, str]) -> list[FieldRef | Transform]:
        """
        Parse the field expressions of an exception.

        Raises:
            Unresolved: One is none; the report says which.
        """
        try:
            return [parse_left(whole(scalar)) for scalar in entry.fields]
        except ParseFailure as failure:
            hint = failure.diagnostic.hint or "a field alone stands here; operators are in 'comps', values in 'values'"
            self.report.add(replace(failure.diagnostic, code=VALIDATE, hint=hint, item=item))
            raise Unresolved from None

    def _exception_row(
        self,
        fields: list[FieldRef | Transform],
        entry: ExceptionDef,
        row: tuple[Scalar | tuple[Scalar, ...], ...],
        item: tuple[str, str],
    ) -> Node:
        tests: list[Node] = []
        for left, comp, value in zip(fields, entry.comps, row, strict=True):
            right = self._exception_value(comp.value, value, entry.at, item)
            tests.append(self._exception_test(left, comp, right, item))
        return tests[0] if len(tests) == 1 else And(tuple(tests), entry.at)

    def _exception_test(
        self,
        left: FieldRef | Transform,
        comp: Scalar,
        right: Literal | Values | FieldRef | Transform,
        item: tuple[str, str],
    ) -> Compare:
        op, _, modifier = comp.value.partition(" ")
        return self._compare(Compare(left, "=" if op == "==" else op, modifier.strip(), right, comp.at), item)

    def _exception_value(
        self, comp: str, value: Scalar | tuple[Scalar, ...], at: At, item: tuple[str, str]
    ) -> Literal | Values | FieldRef | Transform:
        if isinstance(value, tuple):
            return self._listed(value, value[0].at if value else at, item)
        if " " in comp or comp in LIST_OPS:
            return self._listed((value,), value.at, item)
        return Literal(value.value, "quoted", value.at) if has_blank(value.value) else parse_value(whole(value))

    def _listed(self, scalars: tuple[Scalar, ...], at: At, item: tuple[str, str]) -> Values:
        found: list[Literal] = []
        for scalar in scalars:
            found += parse_values(whole(scalar)).items if scalar.value.startswith("(") else (constant(scalar),)
        return self.lists.open(Values(tuple(found), None, at), item)
