"""
Fewer messages about one thing: alerts of a rule about the same entity are held back for a while, and counted.

Two alerts are about the same thing when rule and the values of all named fields are equal, so that a second victim is
never hidden. What is held back is told of by a follow-up: the last of them, with their number, once the time is over.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from engine.alert import Alert
from lanner.durations import Duration

_MOST = 50_000
_HOUR = Duration(3600.0)
COUNT = "lanner.held_back"


@dataclass(frozen=True, slots=True)
class ThrottleOptions:
    """
    How often one thing is told.

    Attributes:
        by: Output fields whose values say what an alert is about, besides its rule, a list; "message" stands for the
            whole message.
        window: Time in which no more is told of one thing, such as 15m.
        first: Alerts that are told of at the beginning of that time.
    """

    by: tuple[str, ...]
    window: Duration = _HOUR
    first: int = 1


@dataclass(slots=True)
class _Seen:
    until: float
    told: int = 0
    held: int = 0
    last: Alert | None = None


class Throttle:
    """
    Holds alerts back.

    Args:
        options: How often one thing is told.
        clock: Seconds.

    Raises:
        ValueError: The options make no sense.
    """

    def __init__(self, options: ThrottleOptions, clock: Callable[[], float] = time.monotonic) -> None:
        if not options.by:
            raise ValueError("throttle.by: name the fields that tell one victim from another, such as [ct.user]")
        if options.first < 1 or options.window.seconds <= 0:
            raise ValueError("throttle: 'first' is at least 1, and 'window' longer than nothing")
        self._options = options
        self._clock = clock
        self._seen: OrderedDict[tuple[str, ...], _Seen] = OrderedDict()

    def admits(self, alert: Alert) -> bool:
        """Say whether an alert is told of now; one that is not is counted."""
        now, key = self._clock(), self._key(alert)
        seen = self._seen.get(key)
        if seen is None or (now >= seen.until and not seen.held):
            seen = self._seen[key] = _Seen(now + self._options.window.seconds)
            self._seen.move_to_end(key)
        if seen.told < self._options.first:
            seen.told += 1
            return True
        seen.held += 1
        seen.last = alert
        return len(self._seen) > _MOST

    def due(self, all_of_them: bool = False) -> list[Alert]:
        """Return follow-ups about what was held back and whose time is over, or about all; they are told once."""
        now, found = self._clock(), []
        for key, seen in list(self._seen.items()):
            if not all_of_them and now < seen.until:
                break
            del self._seen[key]
            if seen.last is not None:
                found.append(self._follow_up(seen.last, seen.held))
        return found

    def _key(self, alert: Alert) -> tuple[str, ...]:
        fields = alert.output_fields
        values = (alert.message if name == "message" else repr(fields.get(name)) for name in self._options.by)
        return (alert.rule, alert.source, *values)

    def _follow_up(self, alert: Alert, held: int) -> Alert:
        more = "one more" if held == 1 else f"{held} more"
        message = f"{alert.message} (this is the last of {more} like it within {self._options.window})"
        return msgspec.structs.replace(alert, message=message, output_fields={**alert.output_fields, COUNT: held})
