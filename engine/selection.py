"""
Which rules run: the ordered entries that enable and disable rules by name and tag (spec: rule-language 4).

Also the meaning of Falco's former flags ``-D``, ``-T`` and ``-t`` in these terms.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.priority import Priority


class Selectable(Protocol):
    """What is asked of a rule."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def tags(self) -> Sequence[str]:
        """Its tags."""

    @property
    def priority(self) -> Priority:
        """How bad it is."""

    @property
    def enabled(self) -> bool:
        """Whether it runs when no entry speaks of it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """
    One entry: enable or disable rules.

    Attributes:
        enable: True to enable, False to disable.
        rule: Pattern for the whole name, case-sensitive; ``*`` stands for any characters. None for no rule by name.
        tag: Rules that have this tag; None for no rule by tag. With both, rules that fit either.

    Raises:
        ValueError: There is neither.
    """

    enable: bool
    rule: str | None = None
    tag: str | None = None

    def __post_init__(self) -> None:
        if self.rule is None and self.tag is None:
            raise ValueError(f"{'enable' if self.enable else 'disable'} needs a rule or a tag")

    def covers(self, rule: Selectable) -> bool:
        """Tell whether the entry speaks of a rule."""
        by_name = self.rule is not None and matches(self.rule, rule.name)
        return by_name or (self.tag is not None and self.tag in rule.tags)


def matches(pattern: str, name: str) -> bool:
    """Tell whether a whole name fits a pattern in which ``*`` stands for any characters, also none."""
    first, *rest = pattern.split("*")
    if not rest:
        return name == pattern
    *middle, last = rest
    start, end = len(first), len(name) - len(last)
    if start > end or not name.startswith(first) or not name.endswith(last):
        return False
    for piece in middle:
        found = name.find(piece, start, end)
        if found < 0:
            return False
        start = found + len(piece)
    return True


def select(rules: Iterable[Selectable], min_priority: Priority, selection: Sequence[Selection]) -> frozenset[str]:
    """
    Return the names of the rules that run.

    Rules that are less severe than the threshold never do; of the others the last entry that covers a rule decides,
    or else the rule itself.
    """
    return frozenset(rule.name for rule in rules if rule.priority <= min_priority and _enabled(rule, selection))


def _enabled(rule: Selectable, selection: Sequence[Selection]) -> bool:
    return next((entry.enable for entry in reversed(selection) if entry.covers(rule)), rule.enabled)


def from_flags(
    disabled_names: Sequence[str] = (), disabled_tags: Sequence[str] = (), only_tags: Sequence[str] = ()
) -> tuple[Selection, ...]:
    """
    Say with entries what the flags of Falco before 0.39 said.

    Args:
        disabled_names: ``-D``: disable rules whose name contains the text (a ``*`` in it is a wildcard here).
        disabled_tags: ``-T``: disable rules with one of the tags.
        only_tags: ``-t``: enable rules with one of the tags, whatever they say themselves, and disable all others.

    Raises:
        ValueError: ``-t`` together with one of the others.
    """
    if only_tags and (disabled_names or disabled_tags):
        raise ValueError("-t cannot be used together with -D or -T")
    if only_tags:
        return (Selection(False, rule="*"), *(Selection(True, tag=tag) for tag in only_tags))
    by_name = tuple(Selection(False, rule=f"*{text}*") for text in disabled_names)
    return by_name + tuple(Selection(False, tag=tag) for tag in disabled_tags)
