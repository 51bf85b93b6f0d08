"""Events on their way to the pipeline: repeats left out, cut into batches, and followed until they are settled."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from engine.event import LATE_AFTER_NS, Event, Receipt
from ingest.base import Batch
from ingest.cloudtrail.budget import Budget
from ingest.cloudtrail.dedup import Claim, Seen
from ingest.cloudtrail.trailfile import TrailRecords

_LARGEST_BATCH = 2000
_WAITING_BATCHES = 16
_INSIGHT = "AwsCloudTrailInsight"


@dataclass(slots=True)
class Delivery:
    """Claims on everything one input brought."""

    claims: list[Claim] = field(default_factory=list)

    async def settled(self) -> bool:
        """Wait until all of it is in custody, repeats included; False when some is not."""
        futures = [claim.settled for claim in self.claims]
        futures += [other.settled for claim in self.claims for other in claim.waits_for]
        if futures:
            await asyncio.wait(futures)  # unlike gather, leaves them to others when this wait is cancelled
        return all(future.result() for future in futures)


class Deliveries:
    """
    Where inputs put events and the pipeline takes batches.

    Args:
        counters: Gets ``events``, ``events_duplicate``, ``events_late``, ``events_skipped:insight``,
            ``batches_refused``.
        budget: Gets the bytes of an input back when its last batch is settled.
        insights: Whether Insights events are handed on.
        late_after_ns: Nanoseconds after which an event counts as late.
    """

    def __init__(
        self,
        counters: Counter[str],
        seen: Seen,
        budget: Budget,
        insights: bool = True,
        late_after_ns: int = LATE_AFTER_NS,
    ) -> None:
        self._counters = counters
        self._seen = seen
        self._budget = budget
        self._insights = insights
        self._late_after_ns = late_after_ns
        self._ready: asyncio.Queue[Batch | None] = asyncio.Queue()
        self._error: Exception | None = None
        self._room = asyncio.Semaphore(_WAITING_BATCHES)

    async def put(self, events: Sequence[Event], taken: int = 0, replay: bool = False) -> Delivery:
        """
        Hand events to the pipeline, waiting for room.

        Args:
            events: Of one input, received just now.
            taken: What they occupy of the budget.
            replay: Whether they are read back from an archive.
        """
        self._stamp(events, Receipt(time.time_ns(), replay, self._late_after_ns))
        delivery = Delivery()
        try:
            for chunk in _chunks(events):
                claim = Claim()
                delivery.claims.append(claim)
                await self._put(chunk, claim)
        except BaseException:
            delivery.claims[-1].release()
            raise
        finally:
            _when_settled(delivery.claims, self._budget, taken)
        return delivery

    def _stamp(self, events: Sequence[Event], receipt: Receipt) -> None:
        oldest = 0 if receipt.replay else receipt.time_ns - receipt.late_after_ns
        late = 0
        if isinstance(events, TrailRecords):
            events.receipt = receipt
            late = events.before(oldest) if oldest else 0
        else:
            for event in events:
                event.receipt = receipt
                late += event.time_ns < oldest
        if late:
            self._counters["events_late"] += late

    async def _put(self, events: Sequence[Event], claim: Claim) -> None:
        fresh = self._fresh(self._wanted(events), claim)
        if not fresh:
            claim.commit()
            return
        await self._room.acquire()
        self._counters["events"] += len(fresh)
        self._ready.put_nowait(self._batch(fresh, claim))

    def _wanted(self, events: Sequence[Event]) -> Sequence[Event]:
        """Leave Insights events out where nobody wants them."""
        if self._insights:
            return events
        kept = [event for event in events if event.record.get("eventType") != _INSIGHT]
        if len(kept) < len(events):
            self._counters["events_skipped:insight"] += len(events) - len(kept)
        return kept

    def _fresh(self, events: Sequence[Event], claim: Claim) -> Sequence[Event]:
        """Leave repeats out."""
        uids = events.uids() if isinstance(events, TrailRecords) else [event.uid for event in events]
        places = self._seen.reserve_all(uids, claim)
        if len(places) == len(events):
            return events
        self._counters["events_duplicate"] += len(events) - len(places)
        return events.picked(places) if isinstance(events, TrailRecords) else [events[place] for place in places]

    def _batch(self, events: Sequence[Event], claim: Claim) -> Batch:
        async def ack() -> None:
            claim.commit()

        async def nack(reason: str) -> None:
            self._counters["batches_refused"] += 1
            claim.release()

        return Batch(events, ack, nack, independent=True)

    def close(self, error: Exception | None = None) -> None:
        """End ``batches`` once what was put has been taken, with an error if there is one."""
        self._error = error
        self._ready.put_nowait(None)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what was put, until closed."""
        while (batch := await self._ready.get()) is not None:
            self._room.release()
            yield batch
        self._ready.put_nowait(None)  # for any other reader
        if self._error:
            raise self._error


def _chunks(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    for start in range(0, len(events), _LARGEST_BATCH):
        yield events[start : start + _LARGEST_BATCH]


def _when_settled(claims: Sequence[Claim], budget: Budget, taken: int) -> None:
    """Give the bytes back when the last of the claims is settled."""
    open_claims = [claim for claim in claims if not claim.settled.done()]
    remaining = len(open_claims)

    def settled(_: "asyncio.Future[bool]") -> None:
        nonlocal remaining
        remaining -= 1
        if not remaining:
            budget.give(taken)

    for claim in open_claims:
        claim.settled.add_done_callback(settled)
    if not open_claims:
        budget.give(taken)
