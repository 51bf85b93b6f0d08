"""Detection in files: every file read in turn, every alert handed on, everything left out counted with its reason."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from engine.alert import Alert
from engine.event import Receipt
from lanner.detect import Detector
from lanner.files import Unreadable, read_events

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
            receipt = Receipt(time.time_ns(), replay=True)
            for event in decoded.events:
                event.receipt = receipt
            for start in range(0, len(decoded.events), _SLICE):
                yield self.detector.alerts(decoded.events[start : start + _SLICE])
