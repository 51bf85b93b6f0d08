"""Between sources and outputs: a batch becomes alerts, the alerts come into custody, and then the batch is settled."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence

from engine.alert import Alert
from engine.event import Event, Receipt
from ingest.base import Batch, Source
from lanner.custody import Custody
from lanner.detect import Detector

_log = logging.getLogger("lanner.pipeline")

_SLICE = 200  # events evaluated before others, such as a waiting request, get a turn


class Pipeline:
    """
    Takes batches of sources, one of each at a time: a source that is ahead waits.

    Attributes:
        counters: ``batches:<acked|nacked>``, ``ack_errors``.
    """

    def __init__(self, detector: Detector, custody: Custody) -> None:
        self.counters: Counter[str] = Counter()
        self._detector = detector
        self._custody = custody
        self._given_back: Counter[str] = Counter()

    async def consume(self, source: Source) -> None:
        """Settle the batches of a source until it ends."""
        async for batch in source.batches():
            await self._settle(batch, source.name)

    async def _settle(self, batch: Batch, name: str) -> None:
        try:
            alerts = await self._alerts(batch)
            if alerts:
                await self._custody.take(alerts)
                self._tell_of_relief(name)
        except asyncio.CancelledError:
            await self._nack(batch, name, "the service stops")
            raise
        except Exception as error:
            self._tell_of_trouble(batch, name, error)
            await self._nack(batch, name, "its alerts could not be kept")  # a sender need not know what we write to
        else:
            await self._ack(batch, name)

    def _tell_of_trouble(self, batch: Batch, name: str, error: Exception) -> None:
        """Log the first batch that goes back; until one is taken again the others are only counted."""
        if not self._given_back[name]:
            _log.error("%s: a batch of %d events goes back: %s", name, len(batch.events), error)
        self._given_back[name] += 1

    def _tell_of_relief(self, name: str) -> None:
        if back := self._given_back.pop(name, 0):
            _log.info("%s: batches are taken again; %d went back", name, back)

    async def _alerts(self, batch: Batch) -> list[Alert]:
        _stamp(batch.events)
        alerts: list[Alert] = []
        for start in range(0, len(batch.events), _SLICE):
            alerts += self._detector.alerts(batch.events[start : start + _SLICE])
            await asyncio.sleep(0)
        return alerts

    async def _ack(self, batch: Batch, name: str) -> None:
        self.counters["batches:acked"] += 1
        try:
            await batch.ack()
        except Exception:
            self.counters["ack_errors"] += 1
            _log.exception("%s: a batch could not be acknowledged; it may come again", name)

    async def _nack(self, batch: Batch, name: str, reason: str) -> None:
        self.counters["batches:nacked"] += 1
        try:
            await batch.nack(reason)
        except Exception:
            self.counters["ack_errors"] += 1
            _log.exception("%s: a batch could not be given back", name)


def _stamp(events: Sequence[Event]) -> None:
    """Say of events whose source has not said it that they were received now."""
    if events and events[0].receipt is None:
        receipt = Receipt(time.time_ns())
        for event in events:
            event.receipt = receipt
