"""
What of the rules a kernel can decide: for each event type, a formula that is false only when no rule can match.

A condition is approximated from above in three-valued logic: a comparison that the kernel answers as the engine would
becomes a ``Leaf``; any other counts as "maybe", true under either polarity. The formulas of all rules that name an
event type are joined. Nothing here runs in a kernel: ``holds`` is the meaning that the generated C must have.
Source: spec host-agent 4, "Compiling rules to kernel filters".
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from engine.fields import FieldTable
from engine.plan import Constraints, Reducer, ValueClass
from engine.ruleset import Rule
from engine.typed import All, Checked, Const, Either, FieldValue, Negation, Shared, Test
from engine.values import Constant

Fact = Callable[[Test], "Leaf | Inverse | None"]
"""Gives what answers a comparison, or None where the kernel cannot."""

COMM_BYTES = 15
"""Length of a kernel task name (Linux: TASK_COMM_LEN - 1)."""

PATH_BYTES = 63
"""Length of the start of a path that the kernel looks up."""

SUFFIX_BYTES = 8
"""Length of the end of a path that the kernel compares, one machine word."""

OPENS = frozenset({"open", "openat", "openat2"})
"""Calls whose ``fd.name`` the kernel can tell from the path argument, and whose flags say read or write."""

ANY_OF = frozenset({("=", "anyof"), ("startswith", "anyof"), ("endswith", "anyof"), ("glob", "anyof")})
"""Operators with a modifier that one leaf with several values answers."""

UNSURE = frozenset({"//", "/.", "./"})
"""Pairs of characters that leave the kernel unsure of a path: it may not be in its shortest form."""

READ, WRITE = 0, 1
"""What open flags ask for."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """
    A comparison that the kernel answers.

    Attributes:
        what: ``comm`` (task name in a set), ``comm-prefix``, ``path`` (is one of), ``path-prefix`` (starts with one
            of), ``ret`` (return value among numbers), ``ret-below`` (return value less than the number), ``uid``,
            ``open`` (one of read, write: the open flags ask for it).
        values: Constants: texts as bytes, numbers.
        exact: Whether a "no" is as sure as a "yes"; where it is not, the leaf may stand only where "yes" lets pass.
    """

    what: str
    values: frozenset[bytes | int]
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Inverse:
    """The negation of an exact leaf; where the kernel does not know the fact, it holds too."""

    leaf: Leaf


@dataclass(frozen=True, slots=True)
class Every:
    """All of these; of none: always."""

    items: "frozenset[Formula]"


@dataclass(frozen=True, slots=True)
class Some:
    """Any of these; of none: never."""

    items: "frozenset[Formula]"


Formula = Leaf | Inverse | Every | Some

ALWAYS = Every(frozenset())
NEVER = Some(frozenset())

Facts = Mapping[str, Any]
"""What the kernel knows of an event: ``comm``, ``path`` (absent when unsure), ``ret``, ``uid``, ``open`` (a set)."""


def every(items: Iterable[Formula]) -> Formula:
    """Join formulas that must all hold."""
    kept: set[Formula] = set()
    for item in items:
        kept |= item.items if isinstance(item, Every) else {item}
    if NEVER in kept:
        return NEVER
    return kept.pop() if len(kept) == 1 else Every(frozenset(kept))


def some(items: Iterable[Formula]) -> Formula:
    """Join formulas of which one must hold; what another of them implies is left out."""
    kept: set[Formula] = set()
    for item in items:
        kept |= item.items if isinstance(item, Some) else {item}
    if ALWAYS in kept:
        return ALWAYS
    kept = {item for item in kept if not (isinstance(item, Every) and any(_weaker(other, item) for other in kept))}
    return kept.pop() if len(kept) == 1 else Some(frozenset(kept))


def _weaker(formula: Formula, than: Every) -> bool:
    """Whether a formula holds wherever another does, as far as their shape tells."""
    if formula == than:
        return False
    return formula.items < than.items if isinstance(formula, Every) else formula in than.items


def holds(formula: Formula, facts: Facts) -> bool:
    """Say whether an event with these facts passes."""
    match formula:
        case Leaf():
            answer = _answer(formula, facts)
            return answer is None or answer
        case Inverse(leaf):
            return not _answer(leaf, facts)
        case Every(items):
            return all(holds(item, facts) for item in items)
        case Some(items):
            return any(holds(item, facts) for item in items)


def _answer(leaf: Leaf, facts: Facts) -> bool | None:
    """Answer a leaf, None when the fact is unknown."""
    what, _, how = leaf.what.partition("-")
    value = facts.get(what)
    if value is None:
        return None
    if how == "prefix":
        return value.startswith(tuple(leaf.values))  # type: ignore[no-any-return]
    if how == "suffix":
        return value.endswith(tuple(leaf.values))  # type: ignore[no-any-return]
    if how == "below":
        return all(value < bound for bound in leaf.values)
    return not leaf.values.isdisjoint(value) if what == "open" else value in leaf.values


@dataclass(slots=True)
class Approximation:
    """Approximates conditions from above; a macro is done once for each polarity."""

    fact: Fact
    _memo: dict[tuple[int, bool], Formula] = field(default_factory=dict)

    def of(self, node: Checked, positive: bool = True) -> Formula:
        """Return a formula that holds wherever a condition (or its negation) does."""
        match node:
            case Const(value):
                return ALWAYS if value == positive else NEVER
            case Negation(item):
                return self.of(item, not positive)
            case Shared(_, body):
                key = (id(body), positive)
                if key not in self._memo:
                    self._memo[key] = self.of(body, positive)
                return self._memo[key]
            case All(items) | Either(items):
                inner = [self.of(item, positive) for item in items]
                return every(inner) if isinstance(node, All) == positive else some(inner)
            case Test():
                return self._test(node, positive)

    def _test(self, test: Test, positive: bool) -> Formula:
        found = self.fact(test)
        if found is None:
            return ALWAYS
        return found if positive else _inverse(found)


def _inverse(found: Leaf | Inverse) -> Formula:
    if isinstance(found, Inverse):
        return found.leaf
    return Inverse(found) if found.exact else ALWAYS


@dataclass(frozen=True, slots=True)
class Pushdown:
    """
    What the kernel is asked.

    Attributes:
        events: Event type to the formula an event must satisfy; a type that is not in it interests no rule.
        unbound: Rules that name no event type: all events pass for them.
    """

    events: Mapping[str, Formula]
    unbound: tuple[str, ...]


def push_down(rules: Iterable[Rule], table: FieldTable) -> Pushdown:
    """Join what rules of one source can match, event type by event type."""
    constraints = Constraints(table)
    wanted: dict[str, list[Formula]] = {}
    unbound: list[str] = []
    for rule in rules:
        allowed = constraints.allowed(rule.condition, "evt.type")
        if allowed.negative:
            unbound.append(rule.name)
        for name, formula in formulas(rule, table).items():
            wanted.setdefault(name, []).append(formula)
    return Pushdown({name: some(joined) for name, joined in wanted.items()}, tuple(unbound))


def formulas(rule: Rule, table: FieldTable) -> dict[str, Formula]:
    """Return a rule's formula for each event type under which it can match."""
    allowed = Constraints(table).allowed(rule.condition, "evt.type")
    domain = table.fields["evt.type"].domain or frozenset()
    found = {}
    for name in sorted(value for value in domain if value in allowed):
        condition = Reducer(table, {"evt.type": ValueClass(name, {})}).reduce(rule.condition)
        formula = Approximation(kernel_fact(name)).of(condition)
        if formula != NEVER:
            found[name] = formula
    return found


def leaves(formula: Formula) -> set[Leaf]:
    """Return all leaves of a formula."""
    match formula:
        case Leaf():
            return {formula}
        case Inverse(leaf):
            return {leaf}
        case Every(items) | Some(items):
            return {leaf for item in items for leaf in leaves(item)}


def kernel_fact(event: str) -> Fact:
    """Return the function that says which comparisons the kernel answers for an event type."""
    opens = event in OPENS

    def fact(test: Test) -> Leaf | Inverse | None:
        if not isinstance(test.left, FieldValue) or test.left.arg is not None or test.right is not None:
            return None
        if not test.constants or (test.modifier and (test.op, test.modifier) not in ANY_OF):
            return None
        name = test.left.field.name
        if test.op == "!=":
            leaf = _leaf(name, "=", test.constants, opens)
            return Inverse(leaf) if leaf is not None and leaf.exact else None
        if name == "evt.res":
            success = test.op in ("=", "in") and test.constants == ("SUCCESS",)
            return Inverse(Leaf("ret-below", frozenset({0}))) if success else None
        return _leaf(name, test.op, test.constants, opens)

    return fact


def _leaf(name: str, op: str, constants: tuple[Constant, ...], opens: bool) -> Leaf | None:
    match name:
        case "proc.name":
            return _text("comm", op, constants, COMM_BYTES)
        case "fd.name" | "fd.nameraw" if (
            opens and op == "contains" and all(UNSURE & set(_pairs(text)) for text in constants)
        ):
            return Leaf("path", frozenset())
        case "fd.name" if opens:
            return _text("path", op, constants, PATH_BYTES)
        case "fd.directory" if opens and op in ("=", "in"):
            return Leaf("path-prefix", frozenset(_bytes(value)[:PATH_BYTES] for value in constants), exact=False)
        case "user.uid":
            return _numbers("uid", op, constants)
        case "evt.rawres":
            return _numbers("ret", op, constants)
        case "evt.failed" if op == "=" and constants == (True,):
            return Leaf("ret-below", frozenset({0}))
        case "evt.is_open_read" | "evt.is_open_write" if opens and op == "=" and constants == (True,):
            return Leaf("open", frozenset({READ if name.endswith("read") else WRITE}), exact=False)
    return None


def _pairs(text: Constant) -> list[str]:
    return [first + second for first, second in pairwise(text)] if isinstance(text, str) else []


def _bytes(value: Constant) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else b""


def _text(what: str, op: str, constants: tuple[Constant, ...], most: int) -> Leaf | None:
    texts = frozenset(_bytes(value) for value in constants)
    fits = all(len(text) <= most for text in texts)
    starts = frozenset(text[:most] for text in texts)
    match op:
        case "=" | "in" if fits:
            return Leaf(what, texts)
        case "startswith" if fits:
            return Leaf(f"{what}-prefix", texts)
        case "=" | "in" | "startswith" if what == "path":
            return Leaf("path-prefix", starts, exact=False)
        case "pmatch" if what == "path":
            return _path_starts(texts, most)
        case "glob" if what == "path":
            return _path_heads(texts, most)
        case "endswith" if what == "path" and all(texts):
            return Leaf("path-suffix", frozenset(text[-SUFFIX_BYTES:] for text in texts), exact=False)
    return None


def _path_starts(texts: frozenset[bytes], most: int) -> Leaf | None:
    """Return what paths that ``pmatch`` accepts must start with; None where a pattern leaves that open."""
    if any(set(text) & set(b"*?[\\") or not text.startswith(b"/") for text in texts):
        return None
    return Leaf("path-prefix", frozenset(text[:most].rstrip(b"/") for text in texts), exact=False)


def _path_heads(texts: frozenset[bytes], most: int) -> Leaf | None:
    """Return what paths that ``glob`` accepts must start with: what comes before the first special character."""
    heads = frozenset(re.split(rb"[*?\[\\]", text, maxsplit=1)[0][:most] for text in texts)
    return Leaf("path-prefix", heads, exact=False) if all(head.startswith(b"/") for head in heads) else None


def _numbers(what: str, op: str, constants: tuple[Constant, ...]) -> Leaf | None:
    values = frozenset(value for value in constants if isinstance(value, int))
    if op in ("=", "in"):
        return Leaf(what, values)
    return Leaf(f"{what}-below", values) if op == "<" else None
