"""
Which rules an event can match at all: constraints on a source's discriminators, found by set algebra.

For each rule and discriminator (``ct.name``, ``ka.verb``, ``evt.type``) an ``Allowed`` set holds every value under
which the condition could be true; other comparisons count as "maybe" in either polarity. Values that no comparison of
any rule tells apart form one ``ValueClass``; ``Reducer`` simplifies a condition for known classes, so that most rules
vanish and the rest lose their first tests.
Source: spec rule-language 4, generalised from event types to any discriminator.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.fields import FieldTable
from engine.generate import value_test
from engine.jsontext import text
from engine.typed import FALSE, TRUE, All, Checked, Const, Either, FieldValue, Negation, Shared, Test, walk

OTHER = "\0other"
"""Stands for every value that no rule names; holds a NUL, which no constant of a rule can."""

MAX_VALUES = 4096
"""Values of one discriminator whose class is remembered."""

MAX_LENGTH = 500
"""Characters of a value whose class is remembered."""

MAX_ANSWERS = 256
"""Combinations of answers by which values that no rule names are told apart."""

Symbol = str | None
"""A discriminator's value as the plan sees it: one that rules name, ``OTHER``, or None for absent."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A set of values, or with ``negative`` everything but them. None in it means absence."""

    values: frozenset[Symbol]
    negative: bool = False

    def __contains__(self, value: Symbol) -> bool:
        return (value in self.values) != self.negative

    def __invert__(self) -> "Allowed":
        return Allowed(self.values, not self.negative)


def meet(sets: Iterable[Allowed]) -> Allowed:
    """Return what is in all of the sets; everything for none."""
    excluded: set[Symbol] = set()
    kept: frozenset[Symbol] | None = None
    for one in sets:
        if one.negative:
            excluded |= one.values
        else:
            kept = one.values if kept is None else kept & one.values
    return Allowed(frozenset(excluded), True) if kept is None else Allowed(kept - excluded)


def join(sets: Iterable[Allowed]) -> Allowed:
    """Return what is in some of the sets; nothing for none."""
    return ~meet(~one for one in sets)


EVERYTHING = Allowed(frozenset(), True)
NOTHING = Allowed(frozenset())
_PRESENT = Allowed(frozenset({None}), True)


def _exact(test: Test) -> Allowed | None:
    """Return the values for which a test holds if that is all there is to it, else None."""
    if test.right is not None:
        return None
    values = frozenset(value for value in test.constants if isinstance(value, str))
    match test.op, test.modifier:
        case ("=" | "in" | "intersects", "") | ("=", "anyof"):
            return Allowed(values)
        case ("!=", "") | ("!=", "allof") if values:
            return Allowed(values | {None}, True)
        case "exists", "":
            return _PRESENT
        case _:
            return None


def discriminator(test: Test, table: FieldTable) -> str | None:
    """Return the discriminator that a test reads, under its name or from the same place of the record, or None."""
    if not isinstance(test.left, FieldValue):
        return None
    if test.left.arg is None:
        name = table.aliases.get(test.left.field.name, test.left.field.name)
        if name in table.discriminators:
            return name
    path = test.left.path
    if path is None:
        return None
    return next((name for name in table.discriminators if table.fields[name].path == path), None)


@dataclass(slots=True)
class Constraints:
    """Computes ``Allowed`` sets for one source; a macro's is computed once."""

    table: FieldTable
    _memo: dict[tuple[int, str, bool], Allowed] = field(default_factory=dict)

    def allowed(self, node: Checked, name: str, positive: bool = True) -> Allowed:
        """Return the values of a discriminator under which a condition (or its negation) can hold."""
        match node:
            case Const(value):
                return EVERYTHING if value == positive else NOTHING
            case Negation(item):
                return self.allowed(item, name, not positive)
            case Shared(_, body):
                key = (id(body), name, positive)
                if key not in self._memo:
                    self._memo[key] = self.allowed(body, name, positive)
                return self._memo[key]
            case Test():
                return self._test(node, name, positive)
            case All(items) | Either(items):
                inner = [self.allowed(item, name, positive) for item in items]
                return meet(inner) if isinstance(node, All) == positive else join(inner)

    def _test(self, test: Test, name: str, positive: bool) -> Allowed:
        if discriminator(test, self.table) != name:
            return EVERYTHING
        exact = _exact(test)
        if exact is None:
            return _PRESENT if positive else EVERYTHING
        return exact if positive else ~exact


@dataclass(frozen=True, slots=True, eq=False)
class ValueClass:
    """
    Values of a discriminator that all rules treat alike.

    Attributes:
        symbol: The value when rules name it, ``OTHER`` when none does, None for absence.
        answers: For comparisons that are no look-up (``startswith``, ``glob``), by their keys, what they answer; none
            where they would tell too many classes apart.
    """

    symbol: Symbol
    answers: Mapping[str, bool]


class Classes(dict[str | None, ValueClass]):
    """
    The classes of one discriminator's values, found on first sight: ``classes[value]``.

    Remembers a bounded number of values, so that events with ever new ones cannot make it grow.
    """

    def __init__(self, tests: Iterable[Test]) -> None:
        super().__init__()
        self._named: set[str] = set()
        self._asked: dict[str, Callable[[str], bool]] = {}
        self._known: dict[tuple[Symbol, tuple[bool, ...]], ValueClass] = {}
        for test in tests:
            if _exact(test) is not None:
                self._named.update(value for value in test.constants if isinstance(value, str))
            elif test.right is None:
                self._asked[test.key] = value_test(test)

    def __missing__(self, value: Any) -> ValueClass:
        if value is not None and type(value) is not str:
            return self._classify(text(value))  # not remembered: 1, 1.0 and True are one key, but not one text
        found = self._classify(value)
        if value is None or len(value) <= MAX_LENGTH:
            if len(self) >= MAX_VALUES:
                self.clear()
            self[value] = found
        return found

    def _classify(self, value: str | None) -> ValueClass:
        symbol = value if value is None or value in self._named else OTHER
        answers = {key: value is not None and ask(value) for key, ask in self._asked.items()}
        key = (symbol, tuple(answers.values()))
        if key not in self._known and len(self._known) >= len(self._named) + MAX_ANSWERS:
            key, answers = (symbol, ()), {}
        return self._known.setdefault(key, ValueClass(symbol, answers))


def classes(nodes: Iterable[Checked], table: FieldTable) -> dict[str, Classes]:
    """Return, for each discriminator that conditions ask about, the classes of its values."""
    found = mentioned(table, *nodes)
    return {name: Classes(found[name]) for name in table.discriminators if name in found}


def mentioned(table: FieldTable, *nodes: Checked) -> dict[str, list[Test]]:
    """Return the comparisons of conditions that read a discriminator, by its name."""
    found: dict[str, list[Test]] = {}
    for node in walk(*nodes):
        if isinstance(node, Test) and (name := discriminator(node, table)):
            found.setdefault(name, []).append(node)
    return found


@dataclass(slots=True)
class Reducer:
    """
    Simplifies conditions under known discriminator values.

    Attributes:
        table: The source's fields.
        known: Discriminator name to the class of its value.
    """

    table: FieldTable
    known: Mapping[str, ValueClass]
    _memo: dict[int, Checked] = field(default_factory=dict)

    def reduce(self, node: Checked) -> Checked:
        """Return an equivalent condition for the known values; ``TRUE`` or ``FALSE`` when they decide it."""
        match node:
            case Test():
                return self._test(node)
            case Negation(item):
                return _negated(self.reduce(item))
            case All(items):
                return self._joined(items, FALSE, All)
            case Either(items):
                return self._joined(items, TRUE, Either)
            case Shared(name, body):
                if id(node) not in self._memo:
                    here = self.reduce(body)
                    self._memo[id(node)] = (
                        node if here is body else here if isinstance(here, Const | Test) else Shared(name, here)
                    )
                return self._memo[id(node)]
            case Const():
                return node

    def _joined(self, items: Sequence[Checked], decided: Const, kind: type[All] | type[Either]) -> Checked:
        kept: list[Checked] = []
        for item in items:
            here = self.reduce(item)
            if not isinstance(here, Const):
                kept.append(here)
            elif here.value == decided.value:
                return decided
        if not kept:
            return FALSE if decided.value else TRUE
        return kept[0] if len(kept) == 1 else kind(tuple(kept))

    def _test(self, test: Test) -> Checked:
        bounded = _by_range(test)
        if bounded is not None:
            return bounded
        name = discriminator(test, self.table)
        if name is None or name not in self.known:
            return test
        known = self.known[name]
        exact = _exact(test)
        if known.symbol is None:
            return FALSE
        if exact is not None:
            return TRUE if known.symbol in exact else FALSE
        if test.key not in known.answers:
            return test
        return TRUE if known.answers[test.key] else FALSE


def _negated(node: Checked) -> Checked:
    if isinstance(node, Const):
        return FALSE if node.value else TRUE
    return Negation(node)


def _by_range(test: Test) -> Const | None:
    """
    Decide a comparison that no event can answer otherwise.

    A number is never below its minimum (``evt.num = 0``, ``evt.num >= 0``); a field that always answers exists, and is
    none of the values it never has (``jevt.rawtime = 0``).
    """
    if not isinstance(test.left, FieldValue) or test.right is not None or test.left.arg is not None:
        return None
    row = test.left.field
    if row.always and test.op == "exists":
        return TRUE
    if row.never and test.op in ("=", "in") and not test.modifier and row.never.issuperset(test.constants):
        return FALSE
    if row.minimum is None:
        return None
    least = row.minimum
    values = [value for value in test.constants if isinstance(value, int)]
    if test.modifier or not values:
        return None
    low = values[0]
    if test.op in ("=", "in", "intersects"):
        return FALSE if all(value < least for value in values) else None
    if (test.op == "<" and low <= least) or (test.op == "<=" and low < least):
        return FALSE
    holds = (test.op in ("!=", ">") and low < least) or (test.op == ">=" and low <= least)
    return TRUE if holds and row.always else None
