"""Which alerts an output gets: those of its priority and more, and what routes send it."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import yaml

from engine.alert import Alert
from engine.priority import Priority
from lanner.alertfields import AlertTest, BadText, alert_test
from lanner.settings import Reader

Wanted = Callable[[Alert], bool]


@dataclass(frozen=True, slots=True)
class Match:
    """A condition over alerts, as written and as a function."""

    text: str
    holds: AlertTest = field(compare=False, repr=False)

    @classmethod
    def from_node(cls, reader: Reader, node: yaml.Node, path: str) -> "Match | None":
        """Read a condition."""
        if not isinstance(node, yaml.ScalarNode):
            reader.wrong(node, path, "a condition over alerts is wanted, such as 'alert.priority = critical'")
            return None
        try:
            return cls(node.value, alert_test(node.value))
        except BadText as error:
            reader.wrong(node, path, str(error))
            return None


@dataclass(frozen=True, slots=True)
class Route:
    """
    One way to outputs.

    Attributes:
        match: Condition over alerts, with the fields alert.rule, alert.priority, alert.severity, alert.source,
            alert.hostname, alert.message, alert.tags and alert.field[NAME].
        to: Names of the outputs that get the alerts for which it holds, a list.
    """

    match: Match
    to: tuple[str, ...]


def unknown_outputs(routes: Sequence[Route], names: Collection[str]) -> list[str]:
    """Return the names that routes send to and no output has."""
    return sorted({name for route in routes for name in route.to} - set(names))


def wanted(name: str, least: Priority, routes: Sequence[Route]) -> Wanted:
    """
    Return what says whether an output gets an alert.

    An output that no route names gets all; one that routes name gets what any of them sends it.
    """
    tests = [route.match.holds for route in routes if name in route.to]
    if not tests:
        return lambda alert: alert.priority <= least
    return lambda alert: alert.priority <= least and any(test(alert) for test in tests)
