"""From a reference or a record to events under way, and what became of them: shared by every CloudTrail transport."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from engine.event import Event
from ingest.cloudtrail import record
from ingest.cloudtrail.aws import Clients, Fault
from ingest.cloudtrail.breaker import Breaker
from ingest.cloudtrail.dedup import Claim, Seen
from ingest.cloudtrail.delivery import Deliveries, Delivery
from ingest.cloudtrail.messages import Ack, Bad, Inline, Item, ObjectRef, Poison, classify
from ingest.cloudtrail.objects import ObjectError, Objects
from ingest.cloudtrail.options import DedupOptions, ObjectOptions

logger = logging.getLogger("lanner.cloudtrail")


class Fate(IntEnum):
    """What becomes of an input; of several parts the highest decides."""

    DONE = 0
    MISSING = 1
    POISON = 2
    RETRY = 3
    PAUSE = 4
    RELEASE = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of an input or a part of it; ``reason`` is a slug, ``detail`` for people."""

    fate: Fate = Fate.DONE
    reason: str = ""
    detail: str = ""


DONE = Outcome()


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Return the outcome that decides; done when there is none."""
    return max(outcomes, key=lambda outcome: outcome.fate, default=DONE)


@dataclass(slots=True)
class Part:
    """One thing an input asked for, begun: what is known of its outcome, and what has to be settled for it."""

    outcome: Outcome = DONE
    delivery: Delivery | None = None
    claim: Claim | None = None

    async def settle(self) -> Outcome:
        """Wait for the events, then remember or forget the object they came from."""
        done = False
        try:
            if self.delivery and not await self.delivery.settled():
                return Outcome(Fate.RETRY, "not-delivered", "the alerts were not taken")
            done = self.outcome.fate is Fate.DONE
            return self.outcome
        finally:
            if self.claim:
                (self.claim.commit if done else self.claim.release)()


class Intake:
    """
    Reads what inputs name and hands the events on; nothing raises but cancellation.

    Attributes:
        denied: Opens when access to objects is denied again and again.
        stopping: Once set, no download begins.
    """

    def __init__(
        self, clients: Clients, options: ObjectOptions, dedup: DedupOptions, counters: Counter[str], denied: Breaker
    ) -> None:
        self._counters = counters
        self._objects = Objects(clients, options, counters)
        self._seen_objects = Seen(dedup.objects, dedup.ttl)
        self._downloads = asyncio.Semaphore(options.concurrency)
        self.budget = self._objects.budget
        self.wanted = self._objects.wanted
        self.denied = denied
        self.stopping = asyncio.Event()
        seen_events = Seen(dedup.events, dedup.ttl)
        late_after_ns = round(options.late_after * 1e9)
        insights = options.insight_events == "emit"
        self.deliveries = Deliveries(counters, seen_events, self.budget, insights, late_after_ns)

    async def message(self, body: str, origin: str) -> list[Part]:
        """Read everything a message asks for and hand its events on."""
        try:
            items = classify(body)
        except Poison as poison:
            return [Part(Outcome(Fate.POISON, poison.reason, poison.detail))]
        inline = [item for item in items if isinstance(item, Inline)]
        reads = [self.object(item) for item in items if isinstance(item, ObjectRef)]
        return [*self._notes(items, origin), *await asyncio.gather(self.inline(inline, origin), *reads)]

    def _notes(self, items: Sequence[Item], origin: str) -> list[Part]:
        """Count what needs nothing done, and turn unreadable parts into outcomes."""
        for item in items:
            if isinstance(item, Ack):
                self._counters[f"ignored:{item.reason}"] += 1
                logger.debug("%s: ignored, %s %s", origin, item.reason, item.detail)
        if all(isinstance(item, Ack) for item in items):
            self._counters["messages:ack_ignored"] += 1
        return [Part(Outcome(Fate.POISON, item.reason, item.detail)) for item in items if isinstance(item, Bad)]

    async def inline(self, items: Sequence[Inline], origin: str) -> Part:
        """Hand on records that came with the input itself; whatever goes wrong, what came with them is settled."""
        try:
            return await self._inline(items, origin)
        except Exception as error:
            self._counters["internal_errors"] += 1
            logger.error("%s: %s: %s", origin, type(error).__name__, error)
            return Part(Outcome(Fate.RETRY, "internal-error", f"{origin}: {error}"))

    async def _inline(self, items: Sequence[Inline], origin: str) -> Part:
        events: list[Event] = []
        for item in items:
            try:
                events.append(record.to_event(item.record, origin))
            except record.BadRecord as bad:
                self._counters[f"records_skipped:{bad.slug}"] += 1
                logger.info("%s: a record was skipped, %s: %s", origin, bad.slug, bad.detail)
        return Part(delivery=await self.deliveries.put(events))

    async def object(self, ref: ObjectRef) -> Part:
        """Read an object, unless its name or size says there is nothing in it, or it was read before."""
        if ref.size == 0 or not self.wanted(ref.key):
            self._counters["objects:skipped"] += 1
            return Part()
        claim = Claim()
        if not self._seen_objects.reserve((ref.bucket, ref.key, ref.etag or ref.sequencer), claim):
            self._counters["objects:duplicate"] += 1
            claim.commit()
            return Part(delivery=Delivery([claim]))
        try:
            return await self._read(ref, claim)
        except Exception as error:  # whatever it is, it costs this object alone
            self._counters["internal_errors"] += 1
            logger.error("%s: %s: %s", ref.uri, type(error).__name__, error)
            return Part(Outcome(Fate.RETRY, "internal-error", f"{ref.uri}: {error}"), claim=claim)
        except BaseException:
            claim.release()
            raise

    async def _read(self, ref: ObjectRef, claim: Claim) -> Part:
        async with self._downloads:
            if self.stopping.is_set():
                return Part(Outcome(Fate.RELEASE, "stopping"), claim=claim)
            if self.denied.pause:
                return Part(Outcome(Fate.PAUSE, "access-denied", self.denied.reason), claim=claim)
            try:
                loaded = await self._objects.load(ref)
            except ObjectError as error:
                return Part(self._failed(ref, error), claim=claim)
        self._readable()
        outcome = Outcome(Fate.POISON, loaded.damage, f"{ref.uri}: {loaded.detail}") if loaded.damage else DONE
        return Part(outcome, await self.deliveries.put(loaded.events, loaded.taken, ref.replay), claim)

    def _failed(self, ref: ObjectRef, error: ObjectError) -> Outcome:
        match error.fault:
            case Fault.ACCESS:
                return self._denied(ref, error)
            case Fault.MISSING:
                self._readable()
                return Outcome(Fate.MISSING, "missing-object", error.detail)
            case Fault.TOO_LARGE:
                self._counters["objects:too_large"] += 1
                return Outcome(Fate.POISON, "too-large", error.detail)
        self._counters["objects:failed"] += 1
        return Outcome(Fate.RETRY, "download-failed", error.detail)

    def _readable(self) -> None:
        if self.denied.success():
            logger.info("objects can be read again")

    def _denied(self, ref: ObjectRef, error: ObjectError) -> Outcome:
        self._counters["objects:denied"] += 1
        if self.denied.failure(ref.uri, error.detail):
            logger.error(
                "reading pauses, access to objects is denied: %s; check s3:GetObject and kms:Decrypt (a missing object "
                "also looks denied where s3:ListBucket is not granted)",
                error.detail,
            )
        return Outcome(Fate.RETRY if self.denied.closed else Fate.PAUSE, "access-denied", error.detail)
