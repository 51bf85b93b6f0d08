"""Events to alerts, counted: the one step that scanning files and running as a service share."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from engine.alert import Alert, make_alert
from engine.evaluate import Engine, Match
from engine.event import Event
from engine.priority import Priority
from ingest.base import Sifted
from lanner.repeats import Repeats
from lanner.silences import Silencer

_SOURCE = attrgetter("source")
_log = logging.getLogger("lanner.detect")


def by_source(events: Sequence[Event]) -> Counter[str]:
    """Count events by their source."""
    return Counter({events.source: len(events)}) if isinstance(events, Sifted) else Counter(map(_SOURCE, events))


@dataclass(slots=True)
class Tally:
    """
    What was seen and found.

    Attributes:
        events: Whose alerts are safe, by event source.
        alerts: That are safe, by (priority, rule).
        failures: Evaluations and alerts that raised, by rule: a defect of Lanner that is worth a report.
        repeats: Alerts that said nothing new and were not told, by why.
        silenced: Alerts that a silence hid, by its id.
    """

    events: Counter[str] = field(default_factory=Counter)
    alerts: Counter[tuple[Priority, str]] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)
    silenced: Counter[str] = field(default_factory=Counter)

    def reached(self, priority: Priority) -> bool:
        """Tell whether some alert is at least as severe."""
        return any(found <= priority for found, _ in self.alerts)


class Detector:
    """
    Numbers events, evaluates them and renders the alerts.

    Args:
        engine: May be replaced between batches.
        hostname: For ``Alert.hostname``.
        repeats: Knows which alerts say nothing new; None tells all.
        silencer: Hides what nobody wants now; None hides nothing.
    """

    def __init__(
        self, engine: Engine, hostname: str, repeats: Repeats | None = None, silencer: Silencer | None = None
    ) -> None:
        self.engine = engine
        self.tally = Tally(
            repeats=repeats.counters if repeats else Counter(), silenced=silencer.counters if silencer else Counter()
        )
        self._silencer = silencer
        self._hostname = hostname
        self._repeats = repeats
        self._number = 0

    def alerts(self, events: Sequence[Event]) -> list[Alert]:
        """Return the alerts that events raise, in order; ``count`` both once the alerts are safe."""
        matches = self.engine.evaluate_batch(self._numbered(events))
        if self.engine.failures:
            self._take_failures()
        if self._silencer:
            matches = [match for match in matches if not self._silencer.hides(match)]
        found = [(alert, match.event) for match in matches if (alert := self._alert(match))]
        return self._repeats.fresh(found) if self._repeats else [alert for alert, _ in found]

    def _numbered(self, events: Sequence[Event]) -> Sequence[Event]:
        """Give events their numbers; return those that a rule could match."""
        first = self._number + 1
        self._number += len(events)
        if isinstance(events, Sifted):
            candidates = events.candidates(self.engine.admits)
            for place, event in candidates:
                event.num = first + place
            return [event for _, event in candidates]
        for number, event in enumerate(events, first):
            event.num = number
        return events

    def count(self, seen: Mapping[str, int], alerts: Sequence[Alert]) -> None:
        """Count events, by source, and their alerts: those of a batch that goes back come again."""
        self.tally.events.update(seen)
        self.tally.alerts.update((alert.priority, alert.rule) for alert in alerts)
        if self._repeats:
            self._repeats.tell(alerts)

    def _alert(self, match: Match) -> Alert | None:
        try:
            return make_alert(match, self._hostname)
        except Exception:
            self.tally.failures[match.rule.name] += 1
            _log.exception("rule %r matched event %s, but its output failed", match.rule.name, match.event.uid)
            return None

    def _take_failures(self) -> None:
        for rule, count in self.engine.failures.items():
            _log.error("rule %r could not be evaluated on %d events", rule, count)
        self.tally.failures.update(self.engine.failures)
        self.engine.failures.clear()
