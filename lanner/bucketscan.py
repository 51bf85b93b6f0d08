"""Detection in the CloudTrail files of a bucket: the S3 source read to its end, or followed, in the foreground."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

from engine.alert import Alert
from ingest.base import Batch, SourceError
from ingest.cloudtrail.backfill import S3Source
from ingest.cloudtrail.options import S3Options
from lanner.detect import by_source
from lanner.scan import Scan
from lanner.sources import SourceStartError

_GRACE = 3.0
_UNUSED = {
    "poison": "not or not wholly usable",
    "missing": "gone before it was read",
    "given_up": "could not be downloaded",
    "archived": "archived; to be restored first",
}

T = TypeVar("T")


class BucketScan:
    """
    One pass over a bucket.

    Args:
        scan: Evaluates; keeps tally and outcome.
        options: What is read.
        measured: Whether to list everything once more, so that ``total`` becomes known.

    Attributes:
        source: What reads.
        total: Objects and bytes there are to read; None while that is not known.

    Raises:
        SourceStartError: The options make no sense.
    """

    def __init__(self, scan: Scan, options: S3Options, measured: bool = False) -> None:
        self.total: tuple[int, int] | None = None
        self._scan = scan
        self._options = options
        self._measured = measured and not options.follow
        try:
            self.source = S3Source(options)
        except (SourceError, ValueError) as error:
            raise SourceStartError(str(error)) from None

    def alerts(self) -> Iterator[list[Alert]]:
        """
        Yield the alerts of each batch; its events are settled when the next one is asked for.

        Raises:
            SourceStartError: The bucket cannot be read, or not to its end.
        """
        began = time.monotonic()
        with asyncio.Runner() as runner:
            try:
                yield from self._batches(runner)
            finally:
                _forget_stop(runner.get_loop())
                runner.run(self.source.stop(_GRACE))
                self._sum_up()
                self._scan.outcome.seconds += time.monotonic() - began

    def _batches(self, runner: asyncio.Runner) -> Iterator[list[Alert]]:
        _run(runner, self._start())
        batches = self.source.batches()
        while (batch := _run(runner, _next(batches))) is not None:
            alerts = self._scan.detector.alerts(batch.events)
            self._scan.detector.count(by_source(batch.events), alerts)
            yield alerts
            _run(runner, _settled(batch))

    async def _start(self) -> None:
        await self.source.start()
        if self._measured:
            self._measuring = asyncio.create_task(self._measure())

    async def _measure(self) -> None:
        with contextlib.suppress(SourceError):  # then nobody knows how much there is
            self.total = await self.source.measure()

    def _sum_up(self) -> None:
        outcome, counters = self._scan.outcome, self.source.counters
        outcome.files += counters["objects:done"]
        for name, number in counters.items():
            kind, _, reason = name.partition(":")
            if kind == "records_skipped":
                outcome.skipped[reason] += number
                outcome.details.setdefault(reason, [])
        for reason, meaning in _UNUSED.items():
            if number := counters[f"objects:{reason}"]:
                outcome.unreadable.append(f"{self._options.location}: {number:,} objects: {meaning}")


async def _next(batches: AsyncIterator[Batch]) -> Batch | None:
    """Return the next batch, None after the last."""
    return await anext(batches, None)


async def _settled(batch: Batch) -> None:
    await batch.ack()


def _forget_stop(loop: asyncio.AbstractEventLoop) -> None:
    """Turn the loop once: an interrupt may have left a request in it to stop, which would end the next run at once."""
    loop.call_soon(loop.stop)
    loop.run_forever()


def _run(runner: asyncio.Runner, work: Coroutine[Any, Any, T]) -> T:
    try:
        return runner.run(work)
    except SourceError as error:
        raise SourceStartError(str(error)) from None
