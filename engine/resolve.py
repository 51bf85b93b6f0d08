"""
Names to trees: lists, macros and exceptions become part of the conditions that use them.

Works on syntax trees, never on text (spec: rule-language 3.3, 3.4, 3.6): a list name inside a quoted string stays text,
lists of lists open to any depth, a macro is one sub-tree shared by all its users.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from engine.definitions import Collection, ExceptionDef, ListDef, MacroDef, RuleDef, Scalar
from engine.diagnostics import Diagnostic, Report, SourceText, Span
from engine.parser import CODE, ParseFailure, parse_condition, parse_item, parse_left, parse_value, parse_values
from engine.similar import near
from engine.tree import (
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
)

VALIDATE = "LOAD_ERR_VALIDATE"
MAX_ITEMS = 5_000_000
"""Constants that all lists of lists may open to."""
MAX_NODES = 200_000
"""Comparisons that a condition may have after macros are written out; macros of macros grow without bound."""
MAX_LEVELS = 250
"""Levels that a condition may have after macros are written out."""
MAX_CHAIN = 50
"""How deep lists may hold lists, and macros use macros."""
LIST_OPS = frozenset({"in", "intersects", "pmatch"})


class Unresolved(Exception):
    """A definition that cannot be used because it, or something it uses, is wrong; the report says what."""


@dataclass(slots=True)
class Resolver:
    """
    Resolves the definitions of one collection, each once.

    Attributes:
        collection: What the rule files define.
        report: Where findings go.
        used_lists, used_macros: Names that something refers to.
    """

    collection: Collection
    report: Report
    used_lists: set[str] = field(default_factory=set)
    used_macros: set[str] = field(default_factory=set)
    _lists: dict[str, tuple[Literal, ...]] = field(default_factory=dict)
    _macros: dict[str, Node | None] = field(default_factory=dict)
    _sizes: dict[int, tuple[int, int]] = field(default_factory=dict)
    _items: int = 0

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
        node = self._with_exceptions(self._node(parsed, item, None, ()), rule)
        self._check_size(node, item, rule.at)
        return node

    def condition(self, node: Node, item: tuple[str, str]) -> Node:
        """
        Return a parsed condition resolved.

        Raises:
            Unresolved: It cannot be; the reasons are in the report.
        """
        resolved = self._node(node, item, None, ())
        self._check_size(resolved, item, node.at)
        return resolved

    def macros(self) -> None:
        """Resolve every macro, also unused ones, so that their errors are told."""
        for macro in self.collection.macros.values():
            self._macro(macro, ())

    def list_items(self, name: str) -> tuple[Literal, ...]:
        """Return the constants of a list; empty for one that is wrong, which the report tells."""
        return self._list(self.collection.lists[name], ())

    def _error(
        self,
        slug: str,
        code: str,
        message: str,
        span: Span,
        item: tuple[str, str],
        hint: str = "",
        via: tuple[tuple[str, Span], ...] = (),
    ) -> None:
        self.report.add(Diagnostic(slug, code, message, span, hint=hint, item=item, via=via))

    def _failed(self, failure: ParseFailure, item: tuple[str, str]) -> Unresolved:
        self.report.add(replace(failure.diagnostic, item=item))
        return Unresolved()

    # Lists

    def _list(self, definition: ListDef, users: tuple[str, ...]) -> tuple[Literal, ...]:
        name = definition.name
        if name in self._lists:
            return self._lists[name]
        if name in users or len(users) > MAX_CHAIN:
            loop = f"contains itself, through {' > '.join((*users, name))}"
            message = f"list '{name}' {loop if name in users else 'is nested too deep in other lists'}"
            self._error("list-loop", VALIDATE, message, definition.at.span, ("list", name))
            return ()
        found: list[Literal] = []
        for scalar in definition.items:
            found.extend(self._list_item(scalar, definition, (*users, name)))
            if self._items + len(found) > MAX_ITEMS:
                message = f"the lists open to more than {MAX_ITEMS} items in list '{name}'"
                self._error("too-large", VALIDATE, message, definition.at.span, ("list", name))
                found.clear()
                break
        self._items += len(found)
        self._lists[name] = tuple(found)
        return self._lists[name]

    def _list_item(self, scalar: Scalar, owner: ListDef, users: tuple[str, ...]) -> Iterable[Literal]:
        nested = self.collection.lists.get(scalar.value)
        if nested is not None:
            self.used_lists.add(nested.name)
            return self._list(nested, users)
        try:
            return (constant(scalar),)
        except ParseFailure as failure:
            self.report.add(replace(failure.diagnostic, item=("list", owner.name)))
            return ()

    # Conditions and macros

    def _node(self, node: Node, item: tuple[str, str], owner: MacroDef | None, chain: tuple[str, ...]) -> Node:
        match node:
            case And(items, at):
                return And(self._nodes(items, item, owner, chain), at)
            case Or(items, at):
                return Or(self._nodes(items, item, owner, chain), at)
            case Not(inner, at):
                return Not(self._node(inner, item, owner, chain), at)
            case Compare():
                return self._compare(node, item)
            case MacroRef():
                return self._macro_use(node, item, owner, chain)
            case Macro():
                return node

    def _nodes(
        self, nodes: tuple[Node, ...], item: tuple[str, str], owner: MacroDef | None, chain: tuple[str, ...]
    ) -> tuple[Node, ...]:
        done: list[Node] = []
        failed = False
        for node in nodes:
            try:
                done.append(self._node(node, item, owner, chain))
            except Unresolved:
                failed = True
        if failed:
            raise Unresolved
        return tuple(done)

    def _macro_use(self, ref: MacroRef, item: tuple[str, str], owner: MacroDef | None, chain: tuple[str, ...]) -> Macro:
        macro = self.collection.macros.get(ref.name)
        if macro is None or (owner is not None and macro.first >= owner.latest):
            self._error(*self._undefined(ref, macro), ref.at.span, item, self._near_macro(ref.name))
            raise Unresolved
        self.used_macros.add(ref.name)
        if ref.name in chain or len(chain) > MAX_CHAIN:
            loop = f"refers to itself, through {' > '.join((*chain, ref.name))}"
            message = f"macro '{ref.name}' {loop if ref.name in chain else 'is nested too deep in other macros'}"
            self._error("macro-loop", VALIDATE, message, ref.at.span, ("macro", ref.name))
            raise Unresolved
        body = self._macro(macro, chain)
        if body is None:
            raise Unresolved
        return Macro(ref.name, body, ref.at)

    def _undefined(self, ref: MacroRef, later: MacroDef | None) -> tuple[str, str, str]:
        if later is None:
            return "undefined-macro", VALIDATE, f"there is no macro '{ref.name}'"
        return "undefined-macro", VALIDATE, f"macro '{ref.name}' is defined after the macro that uses it"

    def _near_macro(self, name: str) -> str:
        if name in self.collection.lists:
            return f"'{name}' is a list; lists stand on the right of 'in', 'intersects' or 'pmatch'"
        return near(name, self.collection.macros)

    def _macro(self, macro: MacroDef, chain: tuple[str, ...]) -> Node | None:
        if macro.name not in self._macros:
            item = ("macro", macro.name)
            try:
                node = parse_condition(macro.condition)
                resolved = self._node(node, item, macro, (*chain, macro.name))
                self._check_size(resolved, item, macro.at)
                self._macros[macro.name] = resolved
            except ParseFailure as failure:
                self.report.add(replace(failure.diagnostic, item=item))
                self._macros[macro.name] = None
            except Unresolved:
                self._macros[macro.name] = None
        return self._macros[macro.name]

    def _check_size(self, node: Node, item: tuple[str, str], at: At) -> None:
        nodes, levels = self._size(node)
        if nodes > MAX_NODES or levels > MAX_LEVELS:
            limit = f"{MAX_NODES} comparisons" if nodes > MAX_NODES else f"{MAX_LEVELS} levels"
            message = f"{item[0]} '{item[1]}' grows to more than {limit} when its macros are written out"
            self._error("too-large", VALIDATE, message, at.span, item)
            raise Unresolved

    def _size(self, node: Node) -> tuple[int, int]:
        """Count nodes and levels; a macro's body is counted once and remembered."""
        inner = node.body if isinstance(node, Macro) else node
        known = self._sizes.get(id(inner))
        if known is None:
            sizes = [self._size(child) for child in children(inner)]
            known = (1 + sum(size for size, _ in sizes), 1 + max((levels for _, levels in sizes), default=0))
            if isinstance(node, Macro):
                self._sizes[id(inner)] = known
        return known

    # Lists in conditions

    def _compare(self, node: Compare, item: tuple[str, str]) -> Compare:
        match node.right:
            case Values():
                return replace(node, right=self.open_values(node.right))
            case Literal(value, "bare", at) if value in self.collection.lists:
                return replace(node, right=self._single(value, at, item))
            case _:
                return node

    def open_values(self, values: Values) -> Values:
        """Replace the names of lists among constants by their items."""
        lists = self.collection.lists
        if not any(literal.kind == "bare" and literal.value in lists for literal in values.items):
            return replace(values, name=None)
        opened: list[Literal] = []
        for literal in values.items:
            if literal.kind == "bare" and literal.value in lists:
                self.used_lists.add(literal.value)
                opened.extend(self.list_items(literal.value))
            else:
                opened.append(literal)
        return Values(tuple(opened), None, values.at)

    def _single(self, name: str, at: At, item: tuple[str, str]) -> Literal:
        self.used_lists.add(name)
        items = self.list_items(name)
        if len(items) != 1:
            message = f"list '{name}' has {len(items)} items, but one value is wanted here"
            self._error("list-as-value", CODE, message, at.span, item, "compare with a list by 'in' or 'intersects'")
            raise Unresolved
        return replace(items[0], at=at)

    # Exceptions

    def _with_exceptions(self, condition: Node, rule: RuleDef) -> Node:
        parts: list[Node] = [condition]
        failed = False
        for entry in rule.exceptions:
            try:
                fields = self.exception_fields(entry, ("rule", rule.name))
                if entry.values:
                    parts.append(Not(self._exception(entry, fields, rule), entry.at))
            except Unresolved:
                failed = True
        if failed:
            raise Unresolved
        return And(tuple(parts), condition.at) if len(parts) > 1 else condition

    def _exception(self, entry: ExceptionDef, fields: list[FieldRef | Transform], rule: RuleDef) -> Node:
        item = ("rule", rule.name)
        try:
            if entry.single:
                scalars = (value for row in entry.values for value in row if isinstance(value, Scalar))
                values = tuple(map(self._listed, scalars))
                merged = Values(tuple(literal for part in values for literal in part.items), None, entry.at)
                return self._exception_test(fields[0], entry.comps[0].value, merged, entry.at, item)
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
            self.report.add(replace(failure.diagnostic, code=VALIDATE, item=item))
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
            right = self._exception_value(comp.value, value)
            tests.append(self._exception_test(left, comp.value, right, entry.at, item))
        return tests[0] if len(tests) == 1 else And(tuple(tests), entry.at)

    def _exception_test(
        self,
        left: FieldRef | Transform,
        comp: str,
        right: Literal | Values | FieldRef | Transform,
        at: At,
        item: tuple[str, str],
    ) -> Compare:
        op, _, modifier = comp.partition(" ")
        return self._compare(Compare(left, "=" if op == "==" else op, modifier.strip(), right, at), item)

    def _exception_value(
        self, comp: str, value: Scalar | tuple[Scalar, ...]
    ) -> Literal | Values | FieldRef | Transform:
        if isinstance(value, tuple):
            parts = [self._listed(scalar) for scalar in value]
            at = value[0].at if value else At(SourceText("()"), 0, 2)
            return Values(tuple(literal for part in parts for literal in part.items), None, at)
        if " " in comp or comp in LIST_OPS:
            return self._listed(value)
        return Literal(value.value, "quoted", value.at) if _blank_text(value.value) else parse_value(whole(value))

    def _listed(self, scalar: Scalar) -> Values:
        if scalar.value.startswith("("):
            return self.open_values(parse_values(whole(scalar)))
        return self.open_values(Values((constant(scalar),), None, scalar.at))


def _blank_text(text: str) -> bool:
    return any(c.isspace() for c in text) and text[0] not in "\"'"


def whole(scalar: Scalar) -> SourceText:
    """Return a scalar as a text of its own that knows its places."""
    at = scalar.at
    if at.text.text == scalar.value:
        return at.text
    file, line, col = at.text.place(at.start)
    return SourceText(scalar.value, (0,), ((file, line, col),))


def constant(scalar: Scalar) -> Literal:
    """
    Read a list item: text with quotes around it is unquoted, anything else is taken as it stands.

    Raises:
        ParseFailure: It begins with a quote but is no quoted string.
    """
    text = scalar.value
    if text[:1] in ("'", '"') and len(text) > 1:
        return replace(parse_item(whole(scalar)), at=scalar.at)
    return Literal(text, "bare" if text and not _blank_text(text) else "quoted", scalar.at)
