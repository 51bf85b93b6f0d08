"""
The engine: events in, matches out.

Per source an index from the values of the discriminators to a generated function of just the rules they admit,
already simplified for them. Functions are made when a combination of values is first seen, so start-up costs nothing
and rules that never get a candidate event are never compiled.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, islice
from operator import attrgetter
from typing import Any, cast

from engine.event import Event
from engine.fields import FieldTable
from engine.generate import Function, generate
from engine.plan import EVERYTHING, Allowed, Constraints, Reducer, Symbol, ValueClass, classes
from engine.ruleset import Rule, RuleSet
from engine.scan import generate_scan
from engine.typed import Checked, Const

_SOURCE = attrgetter("source")
MAX_FUNCTIONS = 2048
"""Combinations of discriminator values that get a function of their own; more are evaluated rule by rule."""
MAX_TEXT = 32_000_000
"""Characters of text that these functions may have together."""


@dataclass(slots=True, eq=False)
class Match:
    """A rule that an event matches; not frozen, since that would double what it costs to make."""

    rule: Rule
    event: Event


class Engine:
    """
    Evaluates events against a rule set. Pure but for a count of failures; a reload makes a new engine.

    Attributes:
        ruleset: The rules.
        matching: ``all`` reports every rule that matches, ``first`` the first by position.
        failures: Evaluations that raised, by rule name: a defect of a field, never of the rule's author.
    """

    def __init__(self, ruleset: RuleSet, matching: str = "all") -> None:
        if matching not in ("all", "first"):
            raise ValueError(f"rule matching is 'all' or 'first', not {matching!r}")
        self.ruleset = ruleset
        self.matching = matching
        self.failures: Counter[str] = Counter()
        rules: dict[str, list[Rule]] = {}
        for rule in ruleset.enabled:
            rules.setdefault(rule.source, []).append(rule)
        self._sources = {
            source: SourceIndex(found, ruleset.catalog.tables[source], matching == "first")
            for source, found in rules.items()
        }

    def evaluate(self, event: Event) -> list[Match]:
        """Return the rules that an event matches, in order of position."""
        return self.evaluate_batch((event,))

    def evaluate_batch(self, events: Sequence[Event]) -> list[Match]:
        """Return the matches of several events, in order of events, then of rules."""
        if len(set(map(_SOURCE, events))) > 1:
            runs = [list(run) for _, run in groupby(events, _SOURCE)]
            return [match for run in runs for match in self.evaluate_batch(run)]
        index = self._sources.get(events[0].source) if events else None
        if index is None:
            return []
        return index.scan(events, self.failures)

    def index(self, source: str) -> "SourceIndex | None":
        """Return the index of a source; None when no rule is for it."""
        return self._sources.get(source)


Evaluate = Callable[[Event], Sequence[Rule]]


class Functions(dict[tuple[ValueClass, ...], Evaluate | None]):
    """
    The functions of an index by classes of discriminator values, made on first use: ``functions[key]``.

    Bounded, so that events with ever new combinations of values cannot make it grow.
    """

    def __init__(self, index: "SourceIndex") -> None:
        super().__init__()
        self._index = index
        self._text = 0

    def __missing__(self, key: tuple[ValueClass, ...]) -> Evaluate | None:
        if len(self) >= MAX_FUNCTIONS or self._text >= MAX_TEXT:
            return self._index.chain(key)
        function = self._index.function(key)
        self._text += len(function.source) if function else 0
        found = self[key] = function.call if function else None
        return found


@dataclass(slots=True)
class SourceIndex:
    """
    The rules of one source, found by discriminator values.

    Attributes:
        rules: Enabled rules by position.
        table: Fields of the source.
        first: Whether to stop at the first match.
        keys: The discriminators in use, in the order of the index's keys.
    """

    rules: Sequence[Rule]
    table: FieldTable
    first: bool
    keys: tuple[str, ...] = field(init=False)
    _scan: Callable[..., Any] = field(init=False)
    _allowed: list[tuple[Allowed, ...]] = field(init=False)
    _by_first: dict[Symbol, list[int]] = field(init=False)
    _open: list[int] = field(init=False)
    _functions: "Functions" = field(init=False)
    _single: dict[int, Function] = field(default_factory=dict)

    def __post_init__(self) -> None:
        conditions = [rule.condition for rule in self.rules]
        self._functions = Functions(self)
        found = classes(conditions, self.table)
        self.keys = tuple(found)
        constraints = Constraints(self.table)
        self._allowed = [tuple(constraints.allowed(c, name) for name in self.keys) for c in conditions]
        self._by_first, self._open = {}, []
        for at, allowed in enumerate(self._allowed):
            self._sort_in(at, allowed[0] if allowed else EVERYTHING)
        self._scan = generate_scan([self.table.fields[name] for name in self.keys], list(found.values()))

    def _sort_in(self, at: int, allowed: Allowed) -> None:
        if allowed.negative:
            self._open.append(at)
        for value in allowed.values if not allowed.negative else ():
            self._by_first.setdefault(value, []).append(at)

    def scan(self, events: Sequence[Event], failures: Counter[str]) -> list[Match]:
        """
        Return what events of this source match.

        Args:
            events: All of this source.
            failures: Counts evaluations that raised, by rule name.
        """
        failed = partial(self._one_by_one, failures=failures)
        return cast("list[Match]", self._scan(events, self._functions, failed, Match))

    def _one_by_one(self, event: Event, failures: Counter[str]) -> Sequence[Rule]:
        """Evaluate each rule alone, so that the one whose field fails costs only itself."""
        hits: list[Rule] = []
        for rule in self.rules:
            try:
                hits += self.single(rule).call(event)
            except Exception:
                failures[rule.name] += 1
            if hits and self.first:
                break
        return hits

    def candidates(self, key: tuple[ValueClass, ...]) -> list[tuple[Rule, Checked]]:
        """Return the rules that discriminator values admit, with their conditions simplified for these values."""
        reducer = Reducer(self.table, dict(zip(self.keys, key, strict=True)))
        reduced = ((rule, reducer.reduce(rule.condition)) for rule in self._admitted(key))
        return [(rule, node) for rule, node in reduced if not isinstance(node, Const) or node.value]

    def _admitted(self, key: tuple[ValueClass, ...]) -> list[Rule]:
        named = self._by_first.get(key[0].symbol, ()) if key else ()
        ranks = sorted((*named, *self._open))
        return [self.rules[at] for at in ranks if self._admits(self._allowed[at], key)]

    def _admits(self, allowed: Sequence[Allowed], key: tuple[ValueClass, ...]) -> bool:
        return all(value.symbol in values for value, values in zip(key, allowed, strict=True))

    def function(self, key: tuple[ValueClass, ...]) -> Function | None:
        """Return the generated function for discriminator values, or None when no rule can match."""
        candidates = self.candidates(key)
        return generate(candidates, self.first) if candidates else None

    def chain(self, key: tuple[ValueClass, ...]) -> Evaluate:
        """Return a function that asks the rules' own functions in turn: slower, but it needs no compiling."""
        calls = [self.single(rule).call for rule in self._admitted(key)]

        def call(event: Event) -> Sequence[Rule]:
            hits = (hit for single in calls for hit in single(event))
            return list(islice(hits, 1) if self.first else hits)

        return call

    def single(self, rule: Rule) -> Function:
        """Return the function of one rule alone."""
        if id(rule) not in self._single:
            self._single[id(rule)] = generate([(rule, Reducer(self.table, {}).reduce(rule.condition))])
        return self._single[id(rule)]
