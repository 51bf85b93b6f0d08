"""The engine: events in, matches out."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from engine.event import Event, Record
from engine.index import SourceIndex
from engine.ruleset import Rule, RuleSet


class Match(msgspec.Struct, eq=False, gc=False):
    """A rule that an event matches; a struct, since many are made and these cost a third of other objects."""

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
        if not events:
            return []
        source = events[0].source
        index = self._sources.get(source)
        if index is None:
            return self.evaluate_batch([event for event in events if event.source != source])
        return index.scan(events, self.failures, Match, self.evaluate)

    def admits(self, source: str, head: Record) -> bool:
        """Tell whether some rule could match an event with such a head, as ``Event.head`` has it."""
        index = self._sources.get(source)
        return index is not None and index.admits(head)

    def index(self, source: str) -> SourceIndex | None:
        """Return the index of a source; None when no rule is for it."""
        return self._sources.get(source)
