"""Detection in files: every file read in turn, every alert handed on, everything left out counted with its reason."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from engine.alert import Alert
from engine.event import Event
from lanner.detect import Detector, by_source
from lanner.files import Unreadable, read_events, stamped
from lanner.follow import Follower

_SHOWN_PER_REASON = 3
_SLICE = 2000  # events whose alerts are handed on together


@dataclass(slots=True)
class Outcome:
    """
    What a scan did not use, and how long it took.

    Attributes:
        files: Files read.
        skipped: Records left out, by reason.
        details: For each reason the first few places, for people.
        unreadable: What is to be said of files that could not be read, or not to their end.
        seconds: Time taken.
    """

    files: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    details: dict[str, list[str]] = field(default_factory=dict)
    unreadable: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def skip(self, reason: str, detail: str) -> None:
        """Count a record that was not usable."""
        self.skipped[reason] += 1
        shown = self.details.setdefault(reason, [])
        if len(shown) < _SHOWN_PER_REASON:
            shown.append(detail)


@dataclass(slots=True)
class Scan:
    """
    One pass over files.

    Attributes:
        detector: Evaluates; keeps the tally.
        source: Event source of all records; "" to tell it from each file's content.
        advance: Called with the number of stored bytes whenever some were read.
    """

    detector: Detector
    source: str = ""
    advance: Callable[[int], object] = lambda _size: None
    outcome: Outcome = field(default_factory=Outcome)
    _files: set[str] = field(default_factory=set)

    def alerts(self, paths: Iterable[str]) -> Iterator[list[Alert]]:
        """Yield the alerts of all files as they are found; a file that cannot be read costs only itself."""
        began = time.monotonic()
        for path in paths:
            self.outcome.files += 1
            try:
                yield from self._file(path)
            except Unreadable as error:
                self.outcome.unreadable.append(str(error))
            self.outcome.seconds = time.monotonic() - began

    def _file(self, path: str) -> Iterator[list[Alert]]:
        for decoded in read_events(path, self.source, self.advance):
            for reason, detail in decoded.skipped:
                self.outcome.skip(reason, f"{path}: {detail}")
            stamped(decoded, replay=True)
            yield from self._detected(decoded.events)

    def look(self, follower: Follower) -> Iterator[list[Alert]]:
        """Yield the alerts of what is new in followed files; what they are of is done when the next are asked for."""
        for reading in follower.look():
            for reason, detail in reading.decoded.skipped:
                self.outcome.skip(reason, f"{reading.path}: {detail}")
            if reading.error:
                self.outcome.unreadable.append(reading.error)
            self._files.add(reading.path)
            self.outcome.files = len(self._files)
            yield from self._detected(reading.decoded.events)
            follower.done(reading)

    def _detected(self, events: Sequence[Event]) -> Iterator[list[Alert]]:
        for start in range(0, len(events), _SLICE):
            part = events[start : start + _SLICE]
            alerts = self.detector.alerts(part)
            self.detector.count(by_source(part), alerts)
            yield alerts
