"""
The engine: events in, matches out.

Per source an index from the values of the discriminators to a generated function of just the rules they admit,
already simplified for them. Functions are made when a combination of values is first seen, so start-up costs nothing
and rules that never get a candidate event are never compiled.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.event import Event
from engine.fields import FieldTable
from engine.generate import Function, field_getter, generate
from engine.plan import EVERYTHING, OTHER, Allowed, Constraints, Reducer, Symbol, mentioned
from engine.ruleset import Rule, RuleSet
from engine.typed import Checked, Const

MAX_FUNCTIONS = 2048
"""Combinations of discriminator values that get a function of their own; more are evaluated rule by rule."""


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """A rule that an event matches."""

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

    def evaluate_batch(self, events: Iterable[Event]) -> list[Match]:
        """Return the matches of several events, in order of events, then of rules."""
        found: list[Match] = []
        sources = self._sources
        for event in events:
            index = sources.get(event.source)
            if index is None:
                continue
            try:
                call = index.find(event)
                hits = call(event) if call is not None else ()
            except Exception:
                hits = self._one_by_one(index, event)
            if hits:
                found += [Match(rule, event) for rule in hits]
        return found

    def _one_by_one(self, index: "SourceIndex", event: Event) -> Sequence[Rule]:
        """Evaluate each rule alone, so that the one whose field fails costs only itself."""
        hits: list[Rule] = []
        for rule in index.rules:
            try:
                hits += index.single(rule).call(event)
            except Exception:
                self.failures[rule.name] += 1
        return hits[:1] if self.matching == "first" else hits

    def index(self, source: str) -> "SourceIndex | None":
        """Return the index of a source; None when no rule is for it."""
        return self._sources.get(source)


@dataclass(slots=True)
class SourceIndex:
    """
    The rules of one source, found by discriminator values.

    Attributes:
        rules: Enabled rules by position.
        table: Fields of the source.
        first: Whether to stop at the first match.
        find: ``find(event)``: the function to call, or None when no rule can match.
        keys: The discriminators in use, in the order of the index's keys.
    """

    rules: Sequence[Rule]
    table: FieldTable
    first: bool
    find: Callable[[Event], Callable[[Event], Sequence[Rule]] | None] = field(init=False)
    keys: tuple[str, ...] = field(init=False)
    _allowed: list[tuple[Allowed, ...]] = field(init=False)
    _by_first: dict[Symbol, list[int]] = field(init=False)
    _open: list[int] = field(init=False)
    _functions: dict[tuple[Symbol, ...], Callable[[Event], Sequence[Rule]] | None] = field(default_factory=dict)
    _single: dict[int, Function] = field(default_factory=dict)

    def __post_init__(self) -> None:
        conditions = [rule.condition for rule in self.rules]
        named = mentioned(conditions, self.table)
        self.keys = tuple(named)
        constraints = Constraints(self.table)
        self._allowed = [tuple(constraints.allowed(c, name) for name in self.keys) for c in conditions]
        self._by_first, self._open = {}, []
        for at, allowed in enumerate(self._allowed):
            self._sort_in(at, allowed[0] if allowed else EVERYTHING)
        self.find = self._finder([dict.fromkeys(named[name]) for name in self.keys])

    def _sort_in(self, at: int, allowed: Allowed) -> None:
        if allowed.negative:
            self._open.append(at)
        for value in allowed.values if not allowed.negative else ():
            self._by_first.setdefault(value, []).append(at)

    def _finder(self, known: Sequence[dict[str, Any]]) -> Callable[[Event], Callable[[Event], Sequence[Rule]] | None]:
        functions, build = self._functions, self._build
        getters = [field_getter(self.table.fields[name]) for name in self.keys]
        symbols: list[dict[Symbol, Symbol]] = [{None: None, **{value: value for value in values}} for values in known]

        if len(getters) == 1:
            get, of = getters[0], symbols[0].get

            def find_one(event: Event) -> Callable[[Event], Sequence[Rule]] | None:
                key = (of(get(event), OTHER),)
                return functions[key] if key in functions else build(key)

            return find_one
        pairs = [(get, table.get) for get, table in zip(getters, symbols, strict=True)]

        def find(event: Event) -> Callable[[Event], Sequence[Rule]] | None:
            key = tuple([of(get(event), OTHER) for get, of in pairs])
            return functions[key] if key in functions else build(key)

        return find

    def candidates(self, key: tuple[Symbol, ...]) -> list[tuple[Rule, Checked]]:
        """Return the rules that discriminator values admit, with their conditions simplified for these values."""
        named = self._by_first.get(key[0], ()) if key else ()
        reducer = Reducer(self.table, dict(zip(self.keys, key, strict=True)))
        found: list[tuple[Rule, Checked]] = []
        for at in sorted((*named, *self._open)):
            if all(value in allowed for value, allowed in zip(key, self._allowed[at], strict=True)):
                rule = self.rules[at]
                condition = reducer.reduce(rule.condition)
                if not isinstance(condition, Const) or condition.value:
                    found.append((rule, condition))
        return found

    def function(self, key: tuple[Symbol, ...]) -> Function | None:
        """Return the generated function for discriminator values, or None when no rule can match."""
        candidates = self.candidates(key)
        return generate(candidates, self.first) if candidates else None

    def _build(self, key: tuple[Symbol, ...]) -> Callable[[Event], Sequence[Rule]] | None:
        if len(self._functions) >= MAX_FUNCTIONS:
            return self._interpreted(key)
        function = self.function(key)
        self._functions[key] = function.call if function else None
        return self._functions[key]

    def _interpreted(self, key: tuple[Symbol, ...]) -> Callable[[Event], Sequence[Rule]]:
        """Chain the rules' own functions; slower, but events cannot make the table of functions grow."""
        rules = [rule for rule, _ in self.candidates(key)]

        def call(event: Event) -> Sequence[Rule]:
            hits = [hit for rule in rules for hit in self.single(rule).call(event)]
            return hits[:1] if self.first else hits

        return call

    def single(self, rule: Rule) -> Function:
        """Return the function of one rule alone."""
        if id(rule) not in self._single:
            self._single[id(rule)] = generate([(rule, Reducer(self.table, {}).reduce(rule.condition))])
        return self._single[id(rule)]
