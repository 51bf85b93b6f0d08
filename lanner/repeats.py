"""
Alerts that say nothing new: of an event that came again, or of a request that was told of at another stage.

Only what is safe in custody counts as told. An alert whose batch goes back comes again and is told then; that it may be
told twice when both are under way at once is the lesser evil.
"""

import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.alert import Alert
from engine.event import Event, Record

RequestOf = Callable[[Record], "tuple[bytes, str] | None"]
"""Tells the request of a record, and the stage at which it was recorded; None if it does not know."""

_EVENT_SECONDS = 900.0  # senders repeat for minutes; a log beside a webhook may lag as long
_REQUEST_SECONDS = 300.0
_TIDY_SECONDS = 60.0
_MOST = 65_536  # alerts and requests that are remembered, which take some 20 MB

_Key = int  # of rule and request; a hash, since many are kept
_Told = dict[int, float]
_Stages = dict[_Key, tuple[float, str]]  # when, and the stages with a blank behind each


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
    _told: _Told = field(default_factory=dict)
    _stages: _Stages = field(default_factory=dict)
    _open: dict[str, tuple[_Key, str]] = field(default_factory=dict)
    _tidy: float = -math.inf

    def fresh(self, found: Sequence[tuple[Alert, Event]]) -> list[Alert]:
        """Return the alerts, of events evaluated together, that say something new."""
        if not found:
            return []
        now = self.clock()
        self._forget_old(now)
        since = now - _EVENT_SECONDS
        fresh: list[Alert] = []
        here: dict[_Key, str] = {}
        uids: set[str] = set()
        for alert, event in found:
            request_of = self.requests.get(event.source)
            request = request_of(event.record) if request_of else None
            key = hash((alert.rule, request[0])) if request else 0
            if request_of and (self._told.get(hash(alert.uid), -math.inf) >= since or alert.uid in uids):
                self.counters["same-event"] += 1
            elif request and self._is_other_stage(key, request[1], here, now):
                self.counters["other-stage"] += 1
            else:
                fresh.append(alert)
                uids.add(alert.uid)
                if request:
                    self._note(alert, key, request[1])
        return fresh

    def tell(self, alerts: Sequence[Alert]) -> None:
        """Note that alerts are safe."""
        now = self.clock()
        for alert in alerts:
            if alert.source not in self.requests:
                continue
            self._told.pop(uid := hash(alert.uid), None)  # so that it comes last
            self._told[uid] = now
            if noted := self._open.pop(alert.uid, None):
                key, stage = noted
                when, stages = self._stages.pop(key, (now, ""))
                stages = stages if when >= now - _REQUEST_SECONDS else ""
                self._stages[key] = (now, stages if f"{stage} " in stages else sys.intern(f"{stages}{stage} "))

    def _is_other_stage(self, key: _Key, stage: str, here: dict[_Key, str], now: float) -> bool:
        """Whether a request was told of, but not at this stage; ``here`` are those of the same events."""
        when, told = self._stages.get(key, (now, ""))
        if when < now - _REQUEST_SECONDS:
            told = ""
        told += here.get(key, "")
        here[key] = f"{here.get(key, '')}{stage} "
        return bool(told) and f"{stage} " not in told

    def _note(self, alert: Alert, key: _Key, stage: str) -> None:
        """Keep what an alert does not say until it is told."""
        self._open[alert.uid] = (key, stage)
        if len(self._open) > _MOST:
            del self._open[next(iter(self._open))]

    def _forget_old(self, now: float) -> None:
        """Make room, now and then: a dictionary that loses its oldest entry again and again becomes slow."""
        if now < self._tidy and max(len(self._told), len(self._stages)) <= _MOST:
            return
        self._tidy = now + _TIDY_SECONDS
        kept = _MOST * 3 // 4
        told = [entry for entry in self._told.items() if entry[1] >= now - _EVENT_SECONDS]
        self._told = dict(told[-kept:])
        stages = [entry for entry in self._stages.items() if entry[1][0] >= now - _REQUEST_SECONDS]
        self._stages = dict(stages[-kept:])
