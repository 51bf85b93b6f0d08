"""
How events of one source find the rules that they could match: a tree over the values of the discriminators.

A branch asks one discriminator. What a value leads to is found on first sight and remembered: a branch of the rules
that are left, simplified for the value, in the end a generated function of them, or None as soon as none is left. So
start-up costs nothing, rules that never get a candidate event are never compiled, and most events end early.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any, cast

from engine.event import Event, Record
from engine.fields import FieldTable
from engine.generate import Function, generate
from engine.plan import Allowed, Constraints, Reducer, ValueClass, classes, mentioned
from engine.ruleset import Rule
from engine.scan import generate_scan
from engine.typed import Checked, Const

MAX_FUNCTIONS = 2048
"""Combinations of discriminator values that get a function of their own; more are evaluated rule by rule."""
MAX_TEXT = 32_000_000
"""Characters of text that these functions may have together."""
MAX_REMEMBERED = 65_536
"""Values and branches that the tree remembers before it is grown anew."""

Candidates = Sequence[tuple[int, Checked]]
"""Rules by rank, each with what is left of its condition."""

Evaluate = Callable[[Event], Sequence[Rule]]


class Branch(dict[Any, "Branch | Evaluate | None"]):
    """What the values of one discriminator lead to, made on first use: ``branch[value]``."""

    __slots__ = ("_index", "_known", "_left", "_next")

    def __init__(self, index: "SourceIndex", known: tuple[ValueClass, ...], left: Candidates) -> None:
        super().__init__()
        self._index = index
        self._known = known
        self._left = left
        self._next: dict[ValueClass, Branch | Evaluate | None] = {}

    def __missing__(self, value: Any) -> "Branch | Evaluate | None":
        values = self._index.classes[len(self._known)]
        found = values[value]
        if found not in self._next:
            self._next[found] = self._index.after((*self._known, found), self._left)
            self._index.remember()
        if value in values:  # else it is no text, or a long one
            self[value] = self._next[found]
            self._index.remember()
        return self._next[found]

    def forget(self) -> None:
        """Forget all values and what they lead to."""
        self.clear()
        self._next.clear()


class SourceIndex:
    """
    The rules of one source, found by discriminator values.

    Attributes:
        rules: Enabled rules by position.
        table: Fields of the source.
        first: Whether to stop at the first match.
        keys: The discriminators in use, in the order in which they are asked.
        classes: For each the classes of its values.
    """

    def __init__(self, rules: Sequence[Rule], table: FieldTable, first: bool) -> None:
        self.rules = rules
        self.table = table
        self.first = first
        conditions = [rule.condition for rule in rules]
        found = classes(conditions, table)
        self.keys = tuple(found)
        self.classes = list(found.values())
        constraints = Constraints(table)
        self._allowed: list[dict[str, Allowed]] = [
            {name: constraints.allowed(condition, name) for name in mentioned(table, condition)}
            for condition in conditions
        ]
        self._functions: dict[tuple[ValueClass, ...], Evaluate | None] = {}
        self._text = 0
        self._remembered = 0
        self._single: dict[int, Function] = {}
        self._scan = generate_scan([table.fields[name] for name in self.keys])
        self._root = self._start()

    def scan(
        self,
        events: Sequence[Event],
        failures: Counter[str],
        match: Callable[[Rule, Event], Any],
        other: Callable[[Event], list[Any]],
    ) -> list[Any]:
        """
        Return ``match(rule, event)`` for what events match, in order of events, then of rules.

        Args:
            events: One or more, the first of this source.
            failures: Counts evaluations that raised, by rule name.
            match: Makes what is returned.
            other: Gives the answer for an event of another source.
        """
        failed = partial(self._one_by_one, failures=failures)
        return cast("list[Any]", self._scan(events, self._root, failed, match, other))

    def admits(self, head: Record) -> bool:
        """Tell whether some rule could match an event with such a head."""
        node: Branch | Evaluate | None = self._root
        for name in self.keys:
            path = self.table.fields[name].path
            if path is None or not isinstance(node, Branch):
                break
            value: Any = head
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            node = node[value]
        return node is not None

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

    def _start(self) -> "Branch | Evaluate":
        reducer = Reducer(self.table, {})
        reduced = ((rank, reducer.reduce(rule.condition)) for rank, rule in enumerate(self.rules))
        left = [(rank, node) for rank, node in reduced if _possible(node)]
        return Branch(self, (), left) if self.keys else self._at((), left) or _nothing

    def after(self, known: tuple[ValueClass, ...], left: Candidates) -> "Branch | Evaluate | None":
        """
        Return what comes after a discriminator.

        Args:
            known: The classes of the values so far, that of this discriminator last.
            left: The rules left before it.
        """
        name, value = self.keys[len(known) - 1], known[-1]
        reducer = Reducer(self.table, {name: value})
        kept: list[tuple[int, Checked]] = []
        for rank, node in left:
            allowed = self._allowed[rank].get(name)
            if allowed is None:
                kept.append((rank, node))
            elif value.symbol in allowed and _possible(reduced := reducer.reduce(node)):
                kept.append((rank, reduced))
        return self._at(known, kept)

    def _at(self, known: tuple[ValueClass, ...], left: Candidates) -> "Branch | Evaluate | None":
        if not left:
            return None
        if len(known) < len(self.keys):
            return Branch(self, known, left)
        if known not in self._functions:
            if len(self._functions) >= MAX_FUNCTIONS or self._text >= MAX_TEXT:
                return self._chain([self.rules[rank] for rank, _ in left])
            function = generate([(self.rules[rank], node) for rank, node in left], self.first, self.table.early)
            self._text += len(function.source)
            self._functions[known] = function.call
        return self._functions[known]

    def _chain(self, rules: Sequence[Rule]) -> Evaluate:
        """Return a function that asks the rules' own functions in turn: slower, but it needs no compiling."""
        calls = [self.single(rule).call for rule in rules]

        def call(event: Event) -> Sequence[Rule]:
            hits = (hit for single in calls for hit in single(event))
            return list(islice(hits, 1) if self.first else hits)

        return call

    def remember(self) -> None:
        """Count what the tree remembers; when it is too much, as with ever new values, start anew."""
        self._remembered += 1
        if self._remembered > MAX_REMEMBERED and isinstance(self._root, Branch):
            self._remembered = 0
            self._root.forget()

    def single(self, rule: Rule) -> Function:
        """Return the function of one rule alone."""
        if id(rule) not in self._single:
            self._single[id(rule)] = generate([(rule, Reducer(self.table, {}).reduce(rule.condition))])
        return self._single[id(rule)]


def _nothing(_event: Event) -> Sequence[Rule]:
    return ()


def _possible(node: Checked) -> bool:
    return not isinstance(node, Const) or node.value
