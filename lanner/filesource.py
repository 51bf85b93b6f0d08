"""Files of events as a source of the service: read once, from the first to the last, or followed."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from engine.event import Event
from ingest.base import Batch, Health, SourceError
from lanner.files import Unreadable, read_events, stamped
from lanner.follow import Follower, Reading
from lanner.formats import FORMATS
from lanner.marks import Marks
from lanner.payloads import STDIN, find
from lanner.worker import Worker

_log = logging.getLogger("lanner.files")

_AGAIN = 2.0  # seconds until events that could not be taken into custody are handed on again


@dataclass(frozen=True, slots=True)
class FilesOptions:
    """
    Which files are read.

    Attributes:
        paths: Files and folders, as ``lanner scan`` takes them.
        source: Event source of their records; "" to tell it by the content.
        follow: Whether to go on with files that come and grow, instead of ending.
        poll: Seconds between two looks at what is followed.
        checkpoint: SQLite file that keeps how far followed files were read; "" keeps nothing.
    """

    paths: tuple[str, ...]
    source: str = ""
    follow: bool = False
    poll: float = 5.0
    checkpoint: str = ""


class FilesSource:
    """
    Files as a source; ends when all are read, unless told to follow.

    Attributes:
        counters: ``events``, ``records_skipped:<reason>``, ``files:<read|unreadable>``, ``retries``.
    """

    def __init__(self, options: FilesOptions, name: str = "files") -> None:
        if options.source and options.source not in FORMATS:
            raise SourceError(f"unknown event source {options.source!r}; one of {', '.join(FORMATS)}")
        if options.follow and STDIN in options.paths:
            raise SourceError("standard input is read to its end; it cannot be followed")
        if options.checkpoint and not options.follow:
            raise SourceError("checkpoint is for files that are followed; set follow: true")
        self.name = name
        self.event_source = options.source
        self.counters: Counter[str] = Counter()
        self._options = options
        self._paths: list[str] = []
        self._follower: Follower | None = None
        self._stopping = asyncio.Event()
        self._worker = Worker("files")

    async def start(self) -> None:
        """Find the files. Raises SourceError when a path is not there, or the checkpoint cannot be used."""
        try:
            self._paths = [payload.path for payload in await asyncio.to_thread(find, self._options.paths)]
        except OSError as error:
            raise SourceError(f"{error.filename}: {error.strerror}") from None
        if self._options.follow:
            marks = await asyncio.to_thread(Marks, self._options.checkpoint)
            self._follower = Follower(self._options.paths, self._options.source, marks)
        _log.info("%s: %d files%s", self.name, len(self._paths), ", followed" if self._follower else "")

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the events of the files; those that failed come again before any others."""
        try:
            while not self._stopping.is_set():
                readings = self._follower.look() if self._follower else self._readings()
                while not self._stopping.is_set() and (reading := await self._next(readings)):
                    self._note(reading)
                    async for batch in self._tries(reading.decoded.events):
                        yield batch
                    await self._settle(reading)
                if not self._follower:
                    return
                await self._pause(self._options.poll)
        finally:
            if self._follower:
                self._follower.close()
            self._worker.end()

    async def stop(self, grace: float) -> None:
        """Read no further."""
        self._stopping.set()

    def health(self) -> Health:
        """Say which files could not be read."""
        number = self.counters["files:unreadable"]
        return Health(not number, f"{number} files could not be read" if number else "")

    async def _tries(self, events: Sequence[Event]) -> AsyncIterator[Batch]:
        """Yield events again and again until they are in custody or the source stops."""
        self._refused = bool(events)
        while self._refused and not self._stopping.is_set():
            self._refused = False
            yield Batch(events, nack=self._refuse)
            if self._refused:
                self.counters["retries"] += 1
                await self._pause(_AGAIN)

    async def _refuse(self, reason: str) -> None:
        self._refused = True

    async def _settle(self, reading: Reading) -> None:
        """Remember a reading whose events are in custody."""
        if self._follower and not self._refused:
            follower = self._follower
            await self._worker.run(lambda: follower.done(reading))

    async def _next(self, readings: Iterator[Reading]) -> Reading | None:
        """Read on, in a thread that does not keep the process from ending: nobody knows when a pipe brings more."""
        reading = asyncio.create_task(self._worker.run(lambda: next(readings, None)))
        if STDIN in self._options.paths:
            stopping = asyncio.create_task(self._stopping.wait())
            await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not reading.done():
                reading.cancel()
                return None
        return await reading

    def _readings(self) -> Iterator[Reading]:
        """Read every file once."""
        for path in self._paths:
            try:
                for decoded in read_events(path, self._options.source):
                    yield Reading(path, stamped(decoded, replay=True))
            except Unreadable as error:
                yield Reading(path, error=str(error))
            else:
                self.counters["files:read"] += 1

    def _note(self, reading: Reading) -> None:
        decoded = reading.decoded
        self.counters["events"] += len(decoded.events)
        self.counters.update(f"records_skipped:{reason}" for reason, _ in decoded.skipped)
        for reason, detail in decoded.skipped[:1]:
            text = "%s: %d records were left out, the first: %s: %s"
            _log.warning(text, reading.path, len(decoded.skipped), reason, detail)
        if reading.error:
            self.counters["files:unreadable"] += 1
            _log.error("%s", reading.error)
        elif reading.mark and reading.mark.size >= 0:
            self.counters["files:read"] += 1

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
