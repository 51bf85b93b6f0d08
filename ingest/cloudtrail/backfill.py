"""The S3 reader: what a bucket already holds, once or again and again, resumed where it stopped."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

from ingest.base import Batch, Health, SourceError
from ingest.cloudtrail import aws, record
from ingest.cloudtrail.aws import Clients, Fault
from ingest.cloudtrail.breaker import Breaker
from ingest.cloudtrail.checkpoint import Checkpoint
from ingest.cloudtrail.intake import Fate, Intake, Outcome, Part
from ingest.cloudtrail.interval import parse_interval, utc_now
from ingest.cloudtrail.listing import Bucket, Root, Selection, parse_location, wanted_objects
from ingest.cloudtrail.messages import ObjectRef
from ingest.cloudtrail.options import S3Options

logger = logging.getLogger("lanner.cloudtrail")

_ATTEMPTS = 5
_CLOSING = 1.0  # seconds kept of the grace for closing


class S3Source:
    """
    CloudTrail files of a bucket.

    Ends when all of them are delivered, unless told to follow. An object that fails again and again is left out,
    counted, and found again by the next run with the same checkpoint.

    Counters: those of objects and events as the SQS source has them, and ``objects:<listed|done|archived|given_up>``,
    ``listings``, ``listing_errors``, ``internal_errors``.
    """

    event_source = record.SOURCE

    def __init__(self, options: S3Options, name: str = "cloudtrail") -> None:
        self.name = name
        self.counters: Counter[str] = Counter()
        self._options = options
        self._bucket_name, self._prefix = parse_location(options.location)
        interval = parse_interval(options.interval, utc_now())
        self._selection = Selection(interval, frozenset(options.accounts), frozenset(options.regions))
        self._clients = Clients(options.aws, "", options.objects.concurrency + options.listers + 8)
        self._denied = Breaker(first=options.access_pause, longest=options.access_pause_max)
        self._intake = Intake(self._clients, options.objects, options.dedup, self.counters, self._denied)
        self._stopping = self._intake.stopping
        self._listing = asyncio.Semaphore(options.listers)
        self._reading = asyncio.Semaphore(2 * options.objects.concurrency)
        self._loading = 0
        self._progress = asyncio.Event()
        self._trouble = ""
        self._failure: SourceError | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the checkpoint, look at the bucket once and begin to read. Raises SourceError when it cannot."""
        lookback = timedelta(seconds=self._options.lookback)
        self._checkpoint = Checkpoint(self._options.checkpoint, self._options.location, lookback)
        try:
            self._bucket = await self._open()
            roots = await self._roots()
        except SourceError:
            await self._close()
            raise
        self._runner = asyncio.create_task(self._run(roots))

    def batches(self) -> AsyncIterator[Batch]:
        """Yield the batches of each object as it is read; ends with SourceError when the bucket cannot be read on."""
        return self._intake.deliveries.batches()

    def health(self) -> Health:
        """Say whether access is denied or listing fails."""
        reason = self._denied.reason or self._trouble
        return Health(not reason, reason)

    async def measure(self) -> tuple[int, int]:
        """
        List everything once more and return how many objects of how many bytes there are, for a progress bar.

        Raises:
            SourceError: The bucket cannot be listed.
        """
        number = size = 0
        try:
            for root in await self._roots():
                objects = wanted_objects(self._bucket, root, self._selection, self._checkpoint.since(root))
                async for ref, storage in objects:
                    if not storage and self._intake.wanted(ref.key):
                        number, size = number + 1, size + (ref.size or 0)
        except aws.call_errors() as error:
            raise self._listing_error(error) from error
        return number, size

    async def stop(self, grace: float) -> None:
        """Read no more objects, let those begun be settled for ``grace`` seconds, and close the checkpoint."""
        self._stopping.set()
        if self._runner is None:
            return
        _, late = await asyncio.wait({self._runner, *self._tasks}, timeout=max(0.0, grace - _CLOSING))
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        self._intake.deliveries.close()
        await self._close()

    async def _open(self) -> Bucket:
        try:
            return Bucket(await self._clients.s3(), self._bucket_name)
        except aws.call_errors() as error:
            raise self._listing_error(error) from error

    async def _close(self) -> None:
        self._checkpoint.close()
        await self._clients.close()

    # Listing

    async def _run(self, roots: Sequence[Root]) -> None:
        """List and read until all is read, or until stopped."""
        try:
            await self._list(roots)
            while self._options.follow and not self._stopping.is_set():
                await self._sleep(self._options.poll_interval)
                if not self._stopping.is_set():
                    await self._look_again()
        except SourceError as failure:
            self._failure = failure
        except Exception as error:  # such as a checkpoint on a full disk
            self._failure = SourceError(f"{self._options.location}: {type(error).__name__}: {error}")
        await self._until_read()
        self._intake.deliveries.close(self._failure)

    async def _look_again(self) -> None:
        """List once more; a failure shows in the health and ends nothing."""
        try:
            await self._list(await self._roots())
        except SourceError as error:
            if not self._trouble:
                logger.error("%s", error)
            self._trouble = str(error)
            return
        if self._trouble:
            logger.info("%s can be listed again", self._options.location)
        self._trouble = ""

    async def _until_read(self) -> None:
        """Wait until every object is delivered; when stopping, until those begun have been handed on."""
        while self._tasks and not (self._stopping.is_set() and not self._loading):
            self._progress.clear()
            await self._progress.wait()

    async def _roots(self) -> list[Root]:
        try:
            roots = await self._bucket.roots(self._prefix, self._selection)
        except aws.call_errors() as error:
            raise self._listing_error(error) from error
        logger.info("%s: %d prefixes to list", self._options.location, len(roots))
        return roots

    async def _list(self, roots: Sequence[Root]) -> None:
        self.counters["listings"] += 1
        failures = await asyncio.gather(*(self._list_root(root) for root in roots))
        for failure in failures:
            if failure:
                raise failure

    async def _list_root(self, root: Root) -> SourceError | None:
        """List a root and begin to read what it holds; return why it could not be listed to its end."""
        async with self._listing:
            for attempt in range(_ATTEMPTS):
                try:
                    await self._begin_all(root)
                except aws.call_errors() as error:
                    self.counters["listing_errors"] += 1
                    if aws.fault_of(error) is not Fault.RETRY or attempt == _ATTEMPTS - 1:
                        return self._listing_error(error)
                    await self._sleep(self._pause(attempt))
                else:
                    return None
        return None

    async def _begin_all(self, root: Root) -> None:
        since = self._checkpoint.since(root)
        objects = wanted_objects(self._bucket, root, self._selection, since)
        replay = not self._options.follow or (since is None and self.counters["listings"] == 1)
        async with contextlib.aclosing(objects):
            async for ref, storage in objects:
                if self._stopping.is_set():
                    return
                await self._begin(root, replace(ref, replay=replay), storage)

    async def _begin(self, root: Root, ref: ObjectRef, storage: str) -> None:
        if not self._intake.wanted(ref.key) or not self._checkpoint.begin(root, ref.key, ref.etag):
            return
        self.counters["objects:listed"] += 1
        if storage:
            self.counters[f"objects:{storage}"] += 1
            logger.warning("%s is %s and cannot be read until it is restored", ref.uri, storage)
            self._checkpoint.finish(root, ref.key, ref.etag, storage)
            return
        await self._reading.acquire()
        task = asyncio.create_task(self._deliver(root, ref))
        self._tasks.add(task)
        task.add_done_callback(self._delivered)

    def _delivered(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._progress.set()
        if not task.cancelled() and (error := task.exception()):
            self.counters["internal_errors"] += 1
            logger.error("an object was not settled: %s: %s", type(error).__name__, error)

    def _listing_error(self, error: BaseException) -> SourceError:
        where = self._options.location
        match aws.fault_of(error):
            case Fault.MISSING:
                return SourceError(f"{where}: no such bucket")
            case Fault.ACCESS:
                return SourceError(f"{where}: access denied: {aws.describe(error)}; s3:ListBucket is needed")
        return SourceError(f"{where}: {aws.describe(error)}")

    # One object

    async def _deliver(self, root: Root, ref: ObjectRef) -> None:
        """Read an object until its events are in custody, or until it is clear that they will not be."""
        attempt = 0
        outcome = await self._read_first(ref)
        while True:
            if outcome.fate in (Fate.DONE, Fate.POISON, Fate.MISSING):
                self._finish(root, ref, outcome)
                return
            if self._stopping.is_set():
                return
            if outcome.fate is Fate.PAUSE and not self._options.follow:
                self._fail(outcome)
                return
            if outcome.fate is not Fate.PAUSE:
                attempt += 1
            if attempt == _ATTEMPTS:
                self._give_up(root, ref, outcome)
                return
            await self._sleep(self._denied.pause or self._pause(attempt))
            outcome = await (await self._read(ref)).settle()

    async def _read_first(self, ref: ObjectRef) -> Outcome:
        try:
            part = await self._read(ref)
        finally:
            self._reading.release()
        return await part.settle()

    async def _read(self, ref: ObjectRef) -> Part:
        self._loading += 1
        try:
            return await self._intake.object(ref)
        finally:
            self._loading -= 1
            self._progress.set()

    def _finish(self, root: Root, ref: ObjectRef, outcome: Outcome) -> None:
        result = outcome.reason or "done"
        if outcome.fate is Fate.DONE:
            self.counters["objects:done"] += 1
        else:
            self.counters[f"objects:{'missing' if outcome.fate is Fate.MISSING else 'poison'}"] += 1
            logger.warning("%s: not or not wholly used, %s: %s", ref.uri, result, outcome.detail)
        self._checkpoint.finish(root, ref.key, ref.etag, result)

    def _give_up(self, root: Root, ref: ObjectRef, outcome: Outcome) -> None:
        self.counters["objects:given_up"] += 1
        logger.error("%s: given up, %s: %s", ref.uri, outcome.reason, outcome.detail)
        self._checkpoint.abandon(root, ref.key)

    def _fail(self, outcome: Outcome) -> None:
        """End a run that nobody would restart when access comes back."""
        self._failure = SourceError(f"{self._options.location}: objects cannot be read: {outcome.detail}")
        self._stopping.set()

    def _pause(self, attempt: int) -> float:
        return self._options.retry_pause * 2.0**attempt

    async def _sleep(self, seconds: float) -> None:
        """Sleep, unless the source is stopped."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
