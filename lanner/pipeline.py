"""Between sources and outputs: a batch becomes alerts, the alerts come into custody, and then the batch is settled."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from engine.alert import Alert
from engine.event import Event, Receipt
from ingest.base import Batch, Sifted, Source
from lanner.custody import Custody
from lanner.detect import Detector, by_source

_log = logging.getLogger("lanner.pipeline")

_SLICE = 500  # events evaluated before others, such as a waiting request, get a turn
_AT_ONCE = 64  # independent batches of a source whose alerts are on their way into custody


class Pipeline:
    """
    Takes batches of sources, one of each at a time: a source that is ahead waits.

    Independent batches are evaluated one after another too, but the next one already while the alerts of others come
    into custody.

    Attributes:
        counters: ``batches:<acked|nacked>``, ``ack_errors``.
        lag: Seconds from the last event of the last batch until it was evaluated, by source.
        busy: Seconds spent on evaluating, by source.
    """

    def __init__(self, detector: Detector, custody: Custody) -> None:
        self.counters: Counter[str] = Counter()
        self.lag: dict[str, float] = {}
        self.busy: defaultdict[str, float] = defaultdict(float)
        self._detector = detector
        self._custody = custody
        self._given_back: Counter[str] = Counter()

    async def consume(self, source: Source) -> None:
        """Settle the batches of a source until it ends."""
        unsettled: set[asyncio.Task[None]] = set()
        try:
            async for batch in source.batches():
                seen = by_source(batch.events)
                alerts = await self._alerts(batch, seen, source.name)
                if not alerts:
                    continue
                task = asyncio.create_task(self._keep(batch, seen, alerts, source.name))
                unsettled.add(task)
                task.add_done_callback(unsettled.discard)
                if not batch.independent or len(unsettled) >= _AT_ONCE:
                    await asyncio.wait(unsettled, return_when=asyncio.FIRST_COMPLETED)
            if unsettled:
                await asyncio.wait(unsettled)
        finally:
            for task in unsettled:
                task.cancel()
            await asyncio.gather(*unsettled, return_exceptions=True)

    async def _alerts(self, batch: Batch, seen: Counter[str], name: str) -> list[Alert]:
        """Evaluate a batch, and settle it if that fails or raises no alerts; what was evaluated is let go."""
        number, alerts = len(batch.events), list[Alert]()
        try:
            _stamp(batch.events)
            for start in range(0, number, _SLICE):
                part = batch.events if number <= _SLICE else batch.events[start : start + _SLICE]
                began = time.perf_counter()
                alerts += self._detector.alerts(part)
                self.busy[name] += time.perf_counter() - began
                if start + _SLICE < number:
                    await asyncio.sleep(0)
        except asyncio.CancelledError:
            await self._nack(batch, name, "the service stops")
            raise
        except Exception as error:
            await self._fail(batch, name, error)
            return []
        if number and not isinstance(batch.events, Sifted):
            self.lag[name] = time.time() - batch.events[-1].time_ns / 1e9
        if batch.independent:
            batch.events = ()
        if not alerts:
            self._detector.count(seen, alerts)
            await self._ack(batch, name)
        return alerts

    async def _keep(self, batch: Batch, seen: Counter[str], alerts: Sequence[Alert], name: str) -> None:
        try:
            await self._custody.take(alerts)
        except asyncio.CancelledError:
            await self._nack(batch, name, "the service stops")
            raise
        except Exception as error:
            await self._fail(batch, name, error)
        else:
            self._tell_of_relief(name)
            self._detector.count(seen, alerts)
            await self._ack(batch, name)

    async def _fail(self, batch: Batch, name: str, error: Exception) -> None:
        if not self._given_back[name]:
            _log.error("%s: a batch goes back: %s", name, error)
        self._given_back[name] += 1
        await self._nack(batch, name, "its alerts could not be kept")  # a sender need not know what we write to

    def _tell_of_relief(self, name: str) -> None:
        if back := self._given_back.pop(name, 0):
            _log.info("%s: batches are taken again; %d went back", name, back)

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
