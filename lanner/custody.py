"""Who answers for alerts: the outbox, which outputs are fed from, or the outputs themselves when there is none."""

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.alert import Alert
from lanner.errors import OutputError
from lanner.outbox import Outbox, Row
from lanner.outputs.base import Output, OutputClosed, Undelivered
from lanner.worker import Worker

_log = logging.getLogger("lanner.outputs")

_AT_ONCE = 500
_IN_MEMORY = 10_000  # alerts that wait for an output; what is beyond it reads from the outbox later
_GATHER = 0.02  # seconds between deliveries, so that a busy service hands over many alerts at once
_NOTE = 0.25  # seconds between notes of what outputs have taken
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0
_LONGEST_ASKED = 600.0  # seconds that a destination may ask to wait
_HUNG = 5.0  # seconds without an answer of the disk after which that is told
_CLOSING = 2.0  # seconds that the disk has for the last note


class Custody(Protocol):
    """Takes alerts such that their batch may be acknowledged."""

    closed: asyncio.Event
    """Set when an output was closed by its reader, so that going on makes no sense."""

    async def take(self, alerts: Sequence[Alert]) -> None:
        """Return when the alerts are safe; raise when they are not."""

    def waiting(self) -> dict[str, int]:
        """Return how many alerts each output has not taken yet."""

    async def close(self, grace: float) -> int:
        """Deliver what is held for ``grace`` seconds at most, stop, and return how many alerts are left."""


class Direct:
    """Custody without an outbox: alerts are safe when every output has them."""

    def __init__(self, outputs: Sequence[Output], counters: Counter[str]) -> None:
        self.closed = asyncio.Event()
        self._outputs = outputs
        self._counters = counters
        self._turn = asyncio.Lock()

    async def take(self, alerts: Sequence[Alert]) -> None:
        """Deliver to every output; raise the first failure after all were tried."""
        async with self._turn:
            results = await asyncio.gather(*(out.deliver(alerts) for out in self._outputs), return_exceptions=True)
        for output, result in zip(self._outputs, results, strict=True):
            if isinstance(result, OutputClosed):
                self.closed.set()
            if result:
                self._counters[f"deliveries_failed:{output.name}"] += 1
            else:
                self._counters[f"alerts_delivered:{output.name}"] += len(alerts)
        for result in results:
            if result:
                raise result

    def waiting(self) -> dict[str, int]:
        """Nothing waits."""
        return {output.name: 0 for output in self._outputs}

    async def close(self, grace: float) -> int:
        """Do nothing: nothing is held."""
        return 0


@dataclass(slots=True)
class _Feed:
    """
    One output and what it gets next.

    Attributes:
        known: Number of the last alert that is delivered or in ``ready``; later ones are in the outbox alone.
        left: Alerts not delivered.
        ready: Alerts to deliver, as they were committed.
        added: Set when there may be more to deliver.
        failures: Deliveries that failed since the last that did not.
    """

    output: Output
    known: int
    left: int
    ready: deque[Row] = field(default_factory=deque)
    held: int = 0
    added: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0

    def add(self, row: Row) -> None:
        """Take note of alerts that were committed."""
        self.left += len(row.alerts)
        if self.known == row.number - len(row.alerts) and self.held < _IN_MEMORY:
            self.hold(row)
        self.added.set()

    def hold(self, row: Row) -> None:
        """Have alerts delivered after those that are held already."""
        self.ready.append(row)
        self.held += len(row.alerts)
        self.known = row.number

    def first(self) -> list[Row]:
        """Return what is to be delivered together."""
        rows, size = list[Row](), 0
        for row in self.ready:
            if rows and size + len(row.alerts) > _AT_ONCE:
                break
            rows.append(row)
            size += len(row.alerts)
        return rows

    def delivered(self, rows: Sequence[Row]) -> int:
        """Forget what ``first`` returned; return how many alerts that is."""
        for _ in rows:
            self.ready.popleft()
        size = sum(len(row.alerts) for row in rows)
        self.held -= size
        self.left -= size
        return size


class Durable:
    """
    Custody by an outbox.

    Batches that come in while the disk is busy are committed together. Outputs are fed from memory, each by a task that
    keeps the order and tries again, and from the outbox when they are behind.
    """

    def __init__(self, outbox: Outbox, outputs: Sequence[Output], counters: Counter[str]) -> None:
        self.closed = asyncio.Event()
        self._outbox = outbox
        self._counters = counters
        self._worker = Worker("outbox")
        self._takers: deque[tuple[Sequence[Alert], asyncio.Future[None]]] = deque()
        self._asked = asyncio.Event()
        self._taken: dict[str, int] = {}
        self._to_note = asyncio.Event()
        self._ending = asyncio.Event()
        self._feeds = [_Feed(out, outbox.taken(out.name), outbox.waiting(out.name)) for out in outputs]
        self._last = outbox.last
        self._feeders = [asyncio.create_task(self._feed(feed)) for feed in self._feeds]
        self._others = [asyncio.create_task(self._commit_all()), asyncio.create_task(self._note_all())]

    async def take(self, alerts: Sequence[Alert]) -> None:
        """Commit alerts to the outbox, with those of others that wait."""
        done = asyncio.get_running_loop().create_future()
        self._takers.append((alerts, done))
        self._asked.set()
        await done

    def waiting(self) -> dict[str, int]:
        """Return how many alerts each output has not taken yet."""
        return {feed.output.name: feed.left for feed in self._feeds}

    async def close(self, grace: float) -> int:
        """Let every output take what is held, for ``grace`` seconds at most; the rest stays for the next start."""
        self._ending.set()
        for feed in self._feeds:
            feed.added.set()
        if self._feeders:
            await asyncio.wait(self._feeders, timeout=grace)
        tasks = [*self._feeders, *self._others]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for _, done in self._takers:
            done.cancel()
        await self._end()
        return max((feed.left for feed in self._feeds), default=0)

    async def _end(self) -> None:
        """Note what was taken and close the outbox; a disk that does not answer holds up nobody."""
        try:
            async with asyncio.timeout(_CLOSING):
                if self._taken:
                    await self._worker.run(lambda: self._outbox.take(self._taken))
                await self._worker.run(self._outbox.close)
        except TimeoutError:
            _log.error("%s: the disk does not answer; outputs may get their last alerts once more", self._outbox.path)
        except OutputError as error:
            _log.error("%s; outputs may get their last alerts once more", error)
        self._worker.end()

    async def _commit_all(self) -> None:
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._takers:
                await self._commit()

    async def _commit(self) -> None:
        """Commit what takers have brought, as one."""
        alerts, waiting = list[Alert](), list[asyncio.Future[None]]()
        while self._takers and (not alerts or len(alerts) + len(self._takers[0][0]) <= _AT_ONCE):
            more, done = self._takers.popleft()
            alerts += more
            waiting.append(done)
        hung = asyncio.get_running_loop().call_later(_HUNG, self._tell_hung)
        try:
            self._last = await self._worker.run(lambda: self._outbox.add(alerts))
        except asyncio.CancelledError:
            for done in waiting:
                done.cancel()
            raise
        except Exception as error:
            for done in waiting:
                if not done.cancelled():
                    done.set_exception(error)
        else:
            for feed in self._feeds:
                feed.add(Row(self._last, alerts))
            for done in waiting:
                if not done.cancelled():
                    done.set_result(None)
        finally:
            hung.cancel()

    def _tell_hung(self) -> None:
        path = self._outbox.path
        _log.error("%s: the disk has not answered for %.0f s; nothing is acknowledged until it does", path, _HUNG)

    async def _note_all(self) -> None:
        """Have the outbox forget what all outputs have taken, now and then."""
        told = False
        while True:
            await self._to_note.wait()
            await asyncio.sleep(_NOTE)
            self._to_note.clear()
            taken = dict(self._taken)
            try:
                await self._worker.run(lambda: self._outbox.take(taken))  # noqa: B023 - awaited at once
                told = False
            except OutputError as error:
                if not told:
                    _log.error("%s; after a restart outputs may get alerts once more", error)
                told = True
                self._to_note.set()
                await asyncio.sleep(_FIRST_PAUSE)

    async def _feed(self, feed: _Feed) -> None:
        pause, going = _FIRST_PAUSE, True
        while going:
            try:
                going = await self._step(feed)
                pause = _FIRST_PAUSE
            except OutputClosed:
                self.closed.set()
                return
            except Exception as error:
                self._tell_of_failure(feed, error)
                asked = error.after if isinstance(error, Undelivered) and error.after else 0.0
                await self._pause(max(pause, min(asked, _LONGEST_ASKED)))
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _step(self, feed: _Feed) -> bool:
        """Deliver some alerts, or wait for some; False when none will come."""
        feed.added.clear()
        ending = self._ending.is_set()
        if not feed.ready:
            await self._read(feed)
        if rows := feed.first():
            await feed.output.deliver([alert for row in rows for alert in row.alerts])
            self._tell_of_delivery(feed, rows)
            if not ending and not feed.ready:
                await asyncio.sleep(_GATHER)
        elif ending:
            return False
        else:
            await feed.added.wait()
        return True

    async def _read(self, feed: _Feed) -> None:
        """Have an output get what it was too slow for, or what is left of the last run."""
        if feed.known < (last := self._last):
            rows = await self._worker.run(lambda: self._outbox.after(feed.known, _AT_ONCE))
            for row in rows:
                feed.hold(row)
            if not rows:  # the file was damaged, and they are gone
                feed.known, feed.left = last, 0

    def _tell_of_delivery(self, feed: _Feed, rows: Sequence[Row]) -> None:
        name = feed.output.name
        self._counters[f"alerts_delivered:{name}"] += feed.delivered(rows)
        self._taken[name] = rows[-1].number
        self._to_note.set()
        if feed.failures:
            _log.info("%s takes alerts again, after %d failures", name, feed.failures)
            feed.failures = 0

    def _tell_of_failure(self, feed: _Feed, error: Exception) -> None:
        """Log the first failure in a row; the others are only counted."""
        name = feed.output.name
        self._counters[f"deliveries_failed:{name}"] += 1
        feed.failures += 1
        level = logging.WARNING if feed.failures == 1 else logging.DEBUG
        _log.log(level, "%s took no alerts, tried again until it does: %s", name, error)

    async def _pause(self, seconds: float) -> None:
        """Wait before another try; shorter when the service ends, so that the grace is used."""
        try:
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):  # noqa: S311 - only spreads retries
                await self._ending.wait()
        except TimeoutError:
            return
        await asyncio.sleep(min(seconds, _FIRST_PAUSE))
