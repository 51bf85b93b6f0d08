"""
Which rules an event can match at all: constraints on a source's discriminators, found by set algebra.

For each rule and discriminator (``ct.name``, ``ka.verb``, ``evt.type``) a ``Allowed`` set holds every value under which
the condition could be true; other comparisons count as "maybe" in either polarity. ``reduce`` then simplifies a
condition for known discriminator values, so that most rules vanish and the rest lose their first tests.
Source: spec rule-language 4, generalised from event types to any discriminator.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.fields import FieldTable
from engine.typed import FALSE, TRUE, All, Checked, Const, Either, FieldValue, Negation, Shared, Test, walk

OTHER = "\0other"
"""Stands for every value that no rule names; holds a NUL, which no constant of a rule can."""

Symbol = str | None
"""A discriminator's value as the plan sees it: one that rules name, ``OTHER``, or None for absent."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """A set of values, or with ``negative`` everything but them. None in it means absence."""

    values: frozenset[Symbol]
    negative: bool = False

    def __contains__(self, value: Symbol) -> bool:
        return (value in self.values) != self.negative

    def __and__(self, other: "Allowed") -> "Allowed":
        match self.negative, other.negative:
            case False, False:
                return Allowed(self.values & other.values)
            case True, True:
                return Allowed(self.values | other.values, True)
            case False, True:
                return Allowed(self.values - other.values)
            case _:
                return Allowed(other.values - self.values)

    def __invert__(self) -> "Allowed":
        return Allowed(self.values, not self.negative)

    def __or__(self, other: "Allowed") -> "Allowed":
        return ~(~self & ~other)


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
    """Return the discriminator that a test reads, or None."""
    if not isinstance(test.left, FieldValue) or test.left.arg is not None:
        return None
    name = table.aliases.get(test.left.field.name, test.left.field.name)
    return name if name in table.discriminators else None


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
                return self._combined(items, name, positive, isinstance(node, All) == positive)

    def _combined(self, items: Sequence[Checked], name: str, positive: bool, narrow: bool) -> Allowed:
        found = EVERYTHING if narrow else NOTHING
        for item in items:
            here = self.allowed(item, name, positive)
            found = found & here if narrow else found | here
        return found

    def _test(self, test: Test, name: str, positive: bool) -> Allowed:
        if discriminator(test, self.table) != name:
            return EVERYTHING
        exact = _exact(test)
        if exact is None:
            return _PRESENT if positive else EVERYTHING
        return exact if positive else ~exact


def mentioned(nodes: Iterable[Checked], table: FieldTable) -> dict[str, frozenset[str]]:
    """Return, for each discriminator that conditions test exactly, the values they name."""
    found: dict[str, set[str]] = {}
    for node in walk(*nodes):
        if isinstance(node, Test) and (name := discriminator(node, table)) and _exact(node) is not None:
            found.setdefault(name, set()).update(value for value in node.constants if isinstance(value, str))
    return {name: frozenset(found[name]) for name in table.discriminators if name in found}


@dataclass(slots=True)
class Reducer:
    """
    Simplifies conditions under known discriminator values.

    Attributes:
        table: The source's fields.
        known: Discriminator name to its symbol.
    """

    table: FieldTable
    known: Mapping[str, Symbol]
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
        symbol = self.known[name]
        exact = _exact(test)
        if symbol is None:
            return FALSE
        if exact is None:
            return test
        return TRUE if symbol in exact else FALSE


def _negated(node: Checked) -> Checked:
    if isinstance(node, Const):
        return FALSE if node.value else TRUE
    return Negation(node)


def _by_range(test: Test) -> Const | None:
    """Decide a comparison of a number that is never below its minimum: ``evt.num = 0``, ``evt.num >= 0``."""
    if not isinstance(test.left, FieldValue) or test.left.field.minimum is None or test.right is not None:
        return None
    least = test.left.field.minimum
    values = [value for value in test.constants if isinstance(value, int)]
    if test.modifier or not values:
        return None
    match test.op:
        case "=" | "in" | "intersects" if all(value < least for value in values):
            return FALSE
        case "!=" if values[0] < least:
            return TRUE
        case "<" if values[0] <= least:
            return FALSE
        case "<=" if values[0] < least:
            return FALSE
        case ">" if values[0] < least:
            return TRUE
        case ">=" if values[0] <= least:
            return TRUE
        case _:
            return None
