"""Files of events as a source of the service: read once, from the first to the last."""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from engine.event import Event
from ingest.base import Batch, Health, SourceError
from lanner.files import Unreadable, read_events
from lanner.formats import FORMATS
from lanner.payloads import find

_log = logging.getLogger("lanner.files")

_AGAIN = 2.0  # seconds until events that could not be taken into custody are handed on again


@dataclass(frozen=True, slots=True)
class FilesOptions:
    """
    Which files are read.

    Attributes:
        paths: Files and folders, as ``lanner scan`` takes them.
        source: Event source of their records; "" to tell it by the content.
    """

    paths: tuple[str, ...]
    source: str = ""


class FilesSource:
    """
    Files as a source; ends when all are read.

    Attributes:
        counters: ``events``, ``records_skipped:<reason>``, ``files:<read|unreadable>``, ``retries``.
    """

    def __init__(self, options: FilesOptions, name: str = "files") -> None:
        if options.source and options.source not in FORMATS:
            raise SourceError(f"unknown event source {options.source!r}; one of {', '.join(FORMATS)}")
        self.name = name
        self.event_source = options.source
        self.counters: Counter[str] = Counter()
        self._options = options
        self._paths: list[str] = []
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Find the files. Raises SourceError when a path is not there."""
        try:
            self._paths = [payload.path for payload in await asyncio.to_thread(find, self._options.paths)]
        except OSError as error:
            raise SourceError(f"{error.filename}: {error.strerror}") from None
        _log.info("%s: %d files", self.name, len(self._paths))

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the events of the files; those that failed come again before any others."""
        pieces = self._pieces()
        while (events := await asyncio.to_thread(next, pieces, None)) is not None:
            self.counters["events"] += len(events)
            while not self._stopping.is_set():
                refused: list[str] = []
                yield _batch(events, refused)
                if not refused:
                    break
                self.counters["retries"] += 1
                await self._pause()
            if self._stopping.is_set():
                return

    async def stop(self, grace: float) -> None:
        """Read no further."""
        self._stopping.set()

    def health(self) -> Health:
        """Say which files could not be read."""
        number = self.counters["files:unreadable"]
        return Health(not number, f"{number} files could not be read" if number else "")

    def _pieces(self) -> Iterator[list[Event]]:
        for path in self._paths:
            try:
                for decoded in read_events(path, self._options.source):
                    self.counters.update(f"records_skipped:{reason}" for reason, _ in decoded.skipped)
                    for reason, detail in decoded.skipped[:1]:
                        text = "%s: %d records were left out, the first: %s: %s"
                        _log.warning(text, path, len(decoded.skipped), reason, detail)
                    yield decoded.events
            except Unreadable as error:
                self.counters["files:unreadable"] += 1
                _log.error("%s", error)
            else:
                self.counters["files:read"] += 1

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_AGAIN):
                await self._stopping.wait()


def _batch(events: list[Event], refused: list[str]) -> Batch:
    async def nack(reason: str) -> None:
        refused.append(reason)

    return Batch(events, nack=nack)
