"""The SQS consumer: messages to batches of events; a message is deleted only when all its events are in custody."""

import asyncio
import contextlib
import logging
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from ingest.base import Batch, Health, SourceError
from ingest.cloudtrail import aws, record
from ingest.cloudtrail.aws import Clients, Fault
from ingest.cloudtrail.breaker import Breaker
from ingest.cloudtrail.deletes import Deletes
from ingest.cloudtrail.intake import Fate, Intake, Outcome, Part, worst
from ingest.cloudtrail.options import SqsOptions
from ingest.cloudtrail.queue import Held, Queue, parse_address

logger = logging.getLogger("lanner.cloudtrail")

_BUDGET_FLOOR = 0.1
_MISSING_RECEIVES = 2
_JITTER = 0.2
_UNREACHABLE_PAUSE = 1.0
_UNREACHABLE_PAUSE_MAX = 30.0
_SHORT_POLL_PAUSE = 0.1  # a short poll that brings nothing still costs a request
_CLOSING = 2.0  # seconds kept of the grace for giving messages back
_LEAST = 0.2  # seconds for that in any case
_LAST_POLL = 2.0  # seconds that a poll under way has when the source is stopped


class SqsSource:
    """
    CloudTrail through an SQS queue.

    Counters: ``polls``, ``poll_errors``, ``messages:<received|deleted|kept|ack_ignored|retry|paused|poison|
    poison_dropped|released>``, ``poison:<reason>``, ``ignored:<reason>``, ``objects:<ok|damaged|skipped|duplicate|
    missing|denied|failed|too_large|read_again|key_as_written>``, ``events``, ``events_duplicate``,
    ``events_skipped:insight``, ``records_skipped:<reason>``, ``bytes``, ``batches_refused``, ``lease_lost``,
    ``deletes_failed``, ``visibility_errors``, ``silences``, ``internal_errors``.
    """

    event_source = record.SOURCE

    def __init__(self, options: SqsOptions, name: str = "cloudtrail") -> None:
        self.name = name
        self.counters: Counter[str] = Counter()
        self._options = _checked(options)
        address = parse_address(options.queue)
        self._clients = Clients(options.aws, address.region, options.objects.concurrency + options.pollers + 8)
        self._queue = Queue(self._clients, options, address, self.counters)
        self._deletes = Deletes(self._queue, self.counters)
        denied = Breaker(first=options.access_pause, longest=options.access_pause_max)
        self._intake = Intake(self._clients, options.objects, options.dedup, self.counters, denied)
        self._queue_denied = Breaker(1, 1, options.access_pause, options.access_pause_max)
        self._unreachable = Breaker(1, 1, _UNREACHABLE_PAUSE, _UNREACHABLE_PAUSE_MAX)
        self._gates = (self._queue_denied, self._unreachable, denied)
        self._held: set[Held] = set()
        self._reserved = 0
        self._loading = 0
        self._probing = False
        self._changed = asyncio.Event()
        self._stopping = self._intake.stopping
        self._pollers: set[asyncio.Task[None]] = set()
        self._handlers: set[asyncio.Task[None]] = set()
        self._helpers: set[asyncio.Task[None]] = set()
        self._depth: dict[str, float] = {}
        self._heard = time.monotonic()
        self._arrived = asyncio.Event()

    async def start(self) -> None:
        """Find the queue, check its settings and begin to poll. Raises SourceError when it cannot work."""
        try:
            await self._queue.open()
        except SourceError:
            await self._clients.close()
            raise
        self._helpers = {asyncio.create_task(self._heartbeat()), asyncio.create_task(self._deletes.run())}
        if self._options.depth_interval:
            self._helpers.add(asyncio.create_task(self._measure()))
        if self._options.silence:
            self._helpers.add(asyncio.create_task(self._listen()))
        self._pollers = {asyncio.create_task(self._poll()) for _ in range(self._options.pollers)}
        for poller in self._pollers:
            poller.add_done_callback(self._poller_ended)

    def batches(self) -> AsyncIterator[Batch]:
        """Yield the batches of each message as they are read; ends after ``stop``."""
        return self._intake.deliveries.batches()

    def health(self) -> Health:
        """Say which of access and connection is broken, if any."""
        reason = next((gate.reason for gate in self._gates if not gate.closed), "")
        return Health(not reason, reason, self._gauges())

    def _gauges(self) -> dict[str, float]:
        now = time.time()
        return {
            **self._depth,
            "oldest_message_held_seconds": max((now - held.sent for held in self._held if held.sent), default=0.0),
            "last_message_age_seconds": time.monotonic() - self._heard,
            "messages_held": len(self._held),
            "memory_used_bytes": self._intake.budget.used,
        }

    @property
    def inflight(self) -> int:
        """Messages held now."""
        return len(self._held)

    async def stop(self, grace: float) -> None:
        """Take no more messages, let those begun be settled for ``grace`` seconds, give back the rest."""
        end = time.monotonic() + grace
        self._stopping.set()
        self._changed.set()
        self._end_if_read()
        await _settled(self._pollers, min(_LAST_POLL, grace))
        await _settled(self._handlers, end - _CLOSING - time.monotonic())
        try:
            async with asyncio.timeout(max(_LEAST, end - time.monotonic())):
                await self._release([held for held in self._held if not held.lost])
        except TimeoutError:
            logger.warning("%s: messages could not be given back in time; they come again by themselves", self.name)
        await _cancel(self._helpers)
        self._helpers.clear()
        await self._clients.close()

    # Polling

    async def _poll(self) -> None:
        while not self._stopping.is_set():
            try:
                room = await self._room()
                if room:
                    await self._poll_once(room)
            except Exception as error:  # an answer nobody expected must not end the polling
                self._internal_error("polling", error)
                self._ended_probe()
                await self._sleep(_UNREACHABLE_PAUSE)

    def _internal_error(self, where: str, error: Exception) -> None:
        self.counters["internal_errors"] += 1
        logger.error("%s: %s: %s", where, type(error).__name__, error)

    async def _room(self) -> int:
        """Say how many messages may be received now; when none, wait for a change and return 0."""
        pause = max(gate.pause for gate in self._gates)
        if pause:
            await self._sleep(pause)
            return 0
        free = self._options.max_inflight_messages - len(self._held) - self._reserved
        budget = self._intake.budget
        if free <= 0 or self._probing or budget.used > budget.total * (1 - _BUDGET_FLOOR):
            self._changed.clear()
            await self._changed.wait()
            return 0
        if all(gate.closed for gate in self._gates):
            return min(free, self._options.max_messages)
        self._probing = True
        return 1

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless the source is stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _poll_once(self, room: int) -> None:
        self._reserved += room
        received: list[Held] = []
        try:
            received = await self._queue.receive(room)
        except aws.call_errors() as error:
            self._receive_failed(error)
        else:
            self._received()
        finally:
            self._reserved -= room
        if self._stopping.is_set():
            await self._release(received)
            return
        for held in received:
            self._take(held)
        if not received:
            self._ended_probe()
            await self._sleep(0 if self._options.wait else _SHORT_POLL_PAUSE)

    def _receive_failed(self, error: BaseException) -> None:
        self.counters["poll_errors"] += 1
        gate = self._queue_denied if aws.fault_of(error) in (Fault.ACCESS, Fault.NO_QUEUE) else self._unreachable
        reason = f"{self._options.queue} cannot be read: {aws.describe(error)}"
        if gate.trip(reason):
            logger.error("%s", reason)

    def _received(self) -> None:
        self.counters["polls"] += 1
        restored = [gate.success() for gate in (self._queue_denied, self._unreachable)]
        if any(restored):
            logger.info("%s can be read again", self._options.queue)

    def _ended_probe(self) -> None:
        self._probing = False
        self._changed.set()

    def _take(self, held: Held) -> None:
        self.counters["messages:received"] += 1
        self._heard = time.monotonic()
        self._arrived.set()
        self._held.add(held)
        self._loading += 1
        task = asyncio.create_task(self._handle(held))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    def _poller_ended(self, task: "asyncio.Task[None]") -> None:
        self._pollers.discard(task)
        self._end_if_read()

    def _end_if_read(self) -> None:
        """Close the batches once nothing more can come."""
        if self._stopping.is_set() and not self._pollers and not self._loading:
            self._intake.deliveries.close()

    async def _measure(self) -> None:
        """Look now and then at how full the queue is; not being allowed to matters to nothing else."""
        while True:
            try:
                self._depth = await self._queue.depth()
            except aws.call_errors() as error:
                self._depth = {}
                logger.debug("%s: its depth is not known: %s", self.name, aws.describe(error))
            await asyncio.sleep(self._options.depth_interval)

    async def _listen(self) -> None:
        """Tell when nothing has come for long: stopping the trail is what an intruder does first."""
        while True:
            self._arrived.clear()
            try:
                async with asyncio.timeout(self._options.silence):
                    await self._arrived.wait()
            except TimeoutError:
                if all(gate.closed for gate in self._gates):  # else it is told already why nothing comes
                    await self._tell_of_silence()

    async def _tell_of_silence(self) -> None:
        self.counters["silences"] += 1
        minutes = self._options.silence / 60
        logger.warning("%s: no message for %.0f min; does the trail log, and announce its files?", self.name, minutes)
        await self._arrived.wait()
        logger.info("%s: messages come again", self.name)

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(self._queue.first_lease * self._options.heartbeat)
            try:
                await self._queue.extend([held for held in self._held if not held.lost])
            except Exception as error:  # nor the heartbeat
                self._internal_error("heartbeat", error)

    # One message

    async def _handle(self, held: Held) -> None:
        """Read, settle and end a message. When cancelled it stays held, and ``stop`` gives it back."""
        try:
            if self._options.delete == "on_receive":
                held.lost = await self._deletes.delete(held)
            parts = await self._begin(held)
            outcomes = await asyncio.gather(*(part.settle() for part in parts))
            await self._finish(held, worst(outcomes))
        except Exception as error:  # whatever it is, it costs this message alone
            self._internal_error(f"message {held.id}", error)
            await self._give_back(held, self._backoff(held))
        self._held.discard(held)
        self._ended_probe()

    async def _begin(self, held: Held) -> Sequence[Part]:
        try:
            return await self._intake.message(held.body, f"sqs:{held.id}")
        finally:
            self._loading -= 1
            self._end_if_read()

    async def _finish(self, held: Held, outcome: Outcome) -> None:
        match outcome.fate:
            case Fate.DONE:
                await self._delete(held)
            case Fate.MISSING:
                await self._missing(held, outcome)
            case Fate.POISON:
                await self._poison(held, outcome)
            case Fate.RETRY:
                await self._retry(held, outcome)
            case Fate.PAUSE:
                self.counters["messages:paused"] += 1
                await self._give_back(held, math.ceil(max(self._intake.denied.pause, 1.0)))
            case Fate.RELEASE:
                await self._release([held])

    async def _delete(self, held: Held) -> None:
        if self._options.delete == "never":
            self.counters["messages:kept"] += 1
        elif not held.lost and await self._deletes.delete(held):
            self.counters["messages:deleted"] += 1

    async def _missing(self, held: Held, outcome: Outcome) -> None:
        """Give a missing object one more chance; S3 is consistent, so after that it is deleted or expired."""
        if held.receive_count < _MISSING_RECEIVES:
            await self._retry(held, outcome)
            return
        self.counters["objects:missing"] += 1
        logger.warning("message %s: given up, the object is gone: %s", held.id, outcome.detail)
        await self._delete(held)

    async def _retry(self, held: Held, outcome: Outcome) -> None:
        self.counters["messages:retry"] += 1
        seconds = self._backoff(held)
        text = "message %s: %s, receive %d, again in %d s: %s"
        logger.warning(text, held.id, outcome.reason, held.receive_count, seconds, outcome.detail)
        await self._give_back(held, seconds)

    def _backoff(self, held: Held) -> int:
        steps = self._options.retry_backoff
        seconds = steps[min(held.receive_count, len(steps)) - 1]
        return round(seconds * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - spreads load, hides nothing

    async def _poison(self, held: Held, outcome: Outcome) -> None:
        self.counters["messages:poison"] += 1
        self.counters[f"poison:{outcome.reason}"] += 1
        level = logging.WARNING if held.receive_count == 1 else logging.DEBUG
        logger.log(level, "message %s cannot be used, %s: %s", held.id, outcome.reason, outcome.detail)
        if self._queue.redrives and not self._options.dlq_url:
            await self._give_back(held, 0)
        elif await self._move_away(held, outcome.reason):
            await self._delete(held)
        else:
            await self._give_back(held, self._backoff(held))

    async def _move_away(self, held: Held, reason: str) -> bool:
        """Put a poison message where people find it; False when it has to stay for now."""
        if self._options.dlq_url:
            return await self._queue.send_to_dlq(held, reason)
        if self._options.quarantine:
            return await self._queue.quarantine(held, reason)
        if held.receive_count < self._options.poison_attempts:
            return False
        self.counters["messages:poison_dropped"] += 1
        logger.error("message %s is dropped after %d receives: %.200r", held.id, held.receive_count, held.body)
        return True

    async def _release(self, messages: Sequence[Held]) -> None:
        self.counters["messages:released"] += len(messages)
        self._held.difference_update(messages)
        await self._queue.hide(messages, 0)

    async def _give_back(self, held: Held, seconds: int) -> None:
        self._held.discard(held)  # before the call, so that no heartbeat undoes it
        await self._queue.hide([held], seconds)


def _checked(options: SqsOptions) -> SqsOptions:
    """Return the options; raises SourceError for values that SQS or reason refuse."""
    checks = {
        "wait is 0 to 20 seconds": 0 <= options.wait <= 20,
        "max_messages is 1 to 10": 1 <= options.max_messages <= 10,
        "pollers is 1 or more": options.pollers >= 1,
        "visibility_timeout is 1 to 43200 seconds": 1 <= options.visibility_timeout <= 43_200,
        "heartbeat is more than 0 and less than 1": 0 < options.heartbeat < 1,
        "max_inflight_messages is 1 or more": options.max_inflight_messages >= 1,
        "retry_backoff has one entry or more, of 0 to 43200 seconds": bool(options.retry_backoff)
        and all(0 <= seconds <= 43_200 for seconds in options.retry_backoff),
    }
    for rule, holds in checks.items():
        if not holds:
            raise SourceError(rule)
    return options


async def _settled(tasks: set["asyncio.Task[None]"], seconds: float) -> None:
    """Let tasks end by themselves, and cancel those that have not in time."""
    if tasks:
        _, late = await asyncio.wait(set(tasks), timeout=max(0.0, seconds))
        await _cancel(late)


async def _cancel(tasks: set["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
