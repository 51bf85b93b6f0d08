"""The audit log of an API server as a source; how far it was read is kept once the events are in custody."""

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path

import msgspec

from engine.event import Event
from ingest.base import Batch, Health, SourceError
from ingest.k8saudit.record import SOURCE
from ingest.k8saudit.shapes import decode
from ingest.logfile import Chunk, LogFile, Position

log = logging.getLogger("lanner.k8saudit")

_RETRY = (1.0, 2.0, 5.0, 15.0, 30.0)
_ALL = 1 << 62


@dataclass(frozen=True, slots=True)
class LogOptions:
    """
    Settings of an audit log that is followed.

    Attributes:
        path: The log, as the API server's ``--audit-log-path`` names it.
        state: File that keeps the place of reading; "" keeps none, so that each start is a first one.
        from_start: Whether a first start reads what is in the log already, instead of what comes.
        poll: Seconds between two looks at a log that had nothing new.
    """

    path: str
    state: str = ""
    from_start: bool = False
    poll: float = 1.0


class LogSource:
    """
    An audit log as a source.

    Attributes:
        name: Instance name.
        event_source: ``k8s_audit``.
        counters: ``bytes``, ``events``, ``records_skipped:<reason>``, ``positions_missed``, ``errors``, ``retries``.
    """

    event_source = SOURCE

    def __init__(self, options: LogOptions, name: str = "k8saudit") -> None:
        self.name = name
        self.counters: Counter[str] = Counter()
        self._options = options
        self._log: LogFile | None = None
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._settled: asyncio.Future[str] | None = None
        self._errors: dict[str, str] = {}

    async def start(self) -> None:
        """Open the log, which need not be there yet. Raises SourceError when its folder or the state cannot be used."""
        try:
            self._log = await asyncio.to_thread(self._open)
        except OSError as error:
            raise SourceError(f"audit log {self._options.path}: {error.strerror or error}") from None
        log.info("%s follows %s", self.name, self._options.path)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield the lines that come, a batch at a time; one that failed comes again."""
        try:
            while not self._stopping.is_set():
                chunk = await asyncio.to_thread(self._read)
                if chunk is None:
                    await self._pause(self._options.poll)
                    continue
                events = await asyncio.to_thread(self._decode, chunk)
                async for batch in self._tries(events):
                    yield batch
                if self._settled and self._settled.result():
                    return
                await asyncio.to_thread(self._save, chunk.position)
        finally:
            self._ended.set()
            if self._log:
                self._log.close()

    async def _tries(self, events: list[Event]) -> AsyncIterator[Batch]:
        """Yield the events again and again until they are in custody or the source stops."""
        for wait in chain(_RETRY, repeat(_RETRY[-1])) if events else ():
            settled = self._settled = asyncio.get_running_loop().create_future()
            yield _batch(events, settled)
            if not await settled or self._stopping.is_set():
                return
            self.counters["retries"] += 1
            await self._pause(wait)

    async def stop(self, grace: float) -> None:
        """Read no further; what is not settled in time is read again after the next start."""
        self._stopping.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._ended.wait()
        if self._settled and not self._settled.done():
            self._settled.set_result("the source stops")

    def health(self) -> Health:
        """Say whether the log can be read."""
        return Health(not self._errors, "; ".join(self._errors.values()))

    def _open(self) -> LogFile:
        options = self._options
        folder = Path(options.path).parent
        if not os.access(folder, os.R_OK | os.X_OK):
            raise SourceError(f"audit log {options.path}: the folder {folder} cannot be read")
        if options.state and not os.access(Path(options.state).parent, os.W_OK | os.X_OK):
            raise SourceError(f"audit log {options.path}: state {options.state} cannot be written")
        found = LogFile(options.path, self._saved(), options.from_start)
        self._count_missed(found)
        return found

    def _saved(self) -> Position | None:
        if not self._options.state:
            return None
        try:
            return msgspec.json.decode(Path(self._options.state).read_bytes(), type=Position)
        except FileNotFoundError:
            return None
        except ValueError as error:
            log.error("%s: state %s is damaged, this is a first start: %s", self.name, self._options.state, error)
            return None

    def _save(self, position: Position) -> None:
        if not self._options.state:
            return
        state = Path(self._options.state)
        new = state.with_name(state.name + ".new")
        try:
            with new.open("wb") as file:
                file.write(msgspec.json.encode(position))
                file.flush()
                os.fsync(file.fileno())
            new.replace(state)
        except OSError as error:
            self._failed("state", f"state {state} cannot be written: {error.strerror}")
        else:
            self._errors.pop("state", None)

    def _read(self) -> Chunk | None:
        assert self._log
        try:
            chunk = self._log.read()
        except OSError as error:
            self._failed("log", f"{self._options.path} cannot be read: {error.strerror}")
            return None
        self._errors.pop("log", None)
        self._count_missed(self._log)
        return chunk

    def _count_missed(self, found: LogFile) -> None:
        self.counters["records_skipped:too-long"] = found.too_long
        if found.missed > self.counters["positions_missed"]:
            self.counters["positions_missed"] = found.missed
            log.warning("%s: %s was renamed or replaced unseen, lines may be missing", self.name, self._options.path)

    def _failed(self, what: str, why: str) -> None:
        self.counters["errors"] += 1
        if self._errors.get(what) != why:
            log.error("%s: %s", self.name, why)
        self._errors[what] = why

    def _decode(self, chunk: Chunk) -> list[Event]:
        decoded = decode(chunk.data, self._options.path, max_items=_ALL)
        self.counters["bytes"] += len(chunk.data)
        self.counters["events"] += len(decoded.events)
        for slug, detail in decoded.skipped:
            self.counters[f"records_skipped:{slug}"] += 1
            log.debug("%s: left out: %s", self.name, detail)
        if decoded.skipped:
            slug, detail = decoded.skipped[0]
            log.warning("%s: %d records were left out, the first: %s", self.name, len(decoded.skipped), detail)
        return decoded.events

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _batch(events: list[Event], settled: "asyncio.Future[str]") -> Batch:
    async def ack() -> None:
        if not settled.done():
            settled.set_result("")

    async def nack(reason: str) -> None:
        if not settled.done():
            settled.set_result(reason or "no reason given")

    return Batch(events, ack, nack)
