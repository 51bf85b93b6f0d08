"""
Alerts that say nothing new: of an event that came again, or of a request that was told of at another stage.

Only what is safe in custody counts as told. An alert whose batch goes back comes again and is told then; that it may be
told twice when both are under way at once is the lesser evil.
"""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.alert import Alert
from engine.event import Event, Record

RequestOf = Callable[[Record], "tuple[bytes, str] | None"]
"""Tells the request of a record by a hash, and the stage at which it was recorded; None if it does not know."""

_EVENT_SECONDS = 900.0  # senders repeat for minutes; a log beside a webhook may lag as long
_REQUEST_SECONDS = 300.0
_MOST = 200_000

_Key = tuple[str, bytes]  # rule and request
_Told = OrderedDict[str, float]
_Stages = OrderedDict[_Key, tuple[float, frozenset[str]]]


@dataclass(slots=True)
class Repeats:
    """
    What was told lately.

    Attributes:
        requests: For each event source whose alerts are looked at, how to tell the request of a record.
        clock: Seconds.
        counters: ``same-event`` and ``other-stage``: alerts that were not told again.
    """

    requests: Mapping[str, RequestOf]
    clock: Callable[[], float] = time.monotonic
    counters: Counter[str] = field(default_factory=Counter)
    _told: _Told = field(default_factory=OrderedDict)
    _stages: _Stages = field(default_factory=OrderedDict)
    _open: OrderedDict[str, tuple[_Key, str]] = field(default_factory=OrderedDict)

    def fresh(self, found: Sequence[tuple[Alert, Event]]) -> list[Alert]:
        """Return the alerts, of events evaluated together, that say something new."""
        self._forget_old()
        fresh: list[Alert] = []
        here: dict[_Key, set[str]] = {}
        uids: set[str] = set()
        for alert, event in found:
            request_of = self.requests.get(event.source)
            request = request_of(event.record) if request_of else None
            if request_of and (alert.uid in self._told or alert.uid in uids):
                self.counters["same-event"] += 1
            elif request and self._is_other_stage((alert.rule, request[0]), request[1], here):
                self.counters["other-stage"] += 1
            else:
                fresh.append(alert)
                uids.add(alert.uid)
                if request:
                    self._note(alert, (alert.rule, request[0]), request[1])
        return fresh

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Note that alerts are safe."""
        now = self.clock()
        for alert in alerts:
            if alert.source not in self.requests:
                continue
            self._told[alert.uid] = now
            self._told.move_to_end(alert.uid)
            if noted := self._open.pop(alert.uid, None):
                key, stage = noted
                _, stages = self._stages.get(key, (0.0, frozenset[str]()))
                self._stages[key] = (now, stages | {stage})
                self._stages.move_to_end(key)

    def _is_other_stage(self, key: _Key, stage: str, here: dict[_Key, set[str]]) -> bool:
        """Whether a request was told of, but not at this stage; ``here`` are those of the same events."""
        _, told = self._stages.get(key, (0.0, frozenset[str]()))
        now = here.setdefault(key, set())
        known = bool(told or now) and stage not in told and stage not in now
        now.add(stage)
        return known

    def _note(self, alert: Alert, key: _Key, stage: str) -> None:
        """Keep what an alert does not say until it is told."""
        self._open[alert.uid] = (key, stage)
        if len(self._open) > _MOST:
            self._open.popitem(last=False)

    def _forget_old(self) -> None:
        now = self.clock()
        while self._told and (len(self._told) > _MOST or next(iter(self._told.values())) < now - _EVENT_SECONDS):
            self._told.popitem(last=False)
        while self._stages and (
            len(self._stages) > _MOST or next(iter(self._stages.values()))[0] < now - _REQUEST_SECONDS
        ):
            self._stages.popitem(last=False)
