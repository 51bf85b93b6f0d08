"""
The audit log of an EKS cluster, read from its log group in CloudWatch Logs.

CloudWatch gives what lies between two times, in pages, and takes events in late and out of order; one stream is written
by each API server. So each look begins a minute before the newest event of the stream that is furthest behind, and what
was delivered before is left out by its id. Source: ingest spec B4; API reference of CloudWatch Logs, FilterLogEvents.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

from engine.event import Event
from ingest.aws.options import AwsOptions
from ingest.aws.session import (
    ACCESS_CODES,
    call_errors,
    code_of,
    create_client,
    describe,
    lacks_credentials,
    new_session,
    take_role,
)
from ingest.base import Batch, Health, SourceError
from ingest.k8saudit.glance import annotate
from ingest.k8saudit.logplace import LogPlace, Seen
from ingest.k8saudit.record import SOURCE
from ingest.k8saudit.shapes import IGNORED, decode_log_events

log = logging.getLogger("lanner.k8saudit")

_RETRY = (1.0, 2.0, 5.0, 15.0, 30.0)
_LONGEST_PAUSE = 60.0
_QUIET = 15 * 60 * 1000  # milliseconds; an API server that wrote nothing for so long is gone
_CONNECTIONS = 4
_MISSING = "ResourceNotFoundException"
_BAD_TOKEN = "InvalidParameterException"  # noqa: S105 - the name of an error


@dataclass(frozen=True, slots=True)
class CloudWatchOptions:
    """
    Settings of the audit log of an EKS cluster.

    Attributes:
        cluster: Name of the cluster; also that of its events (ka.cluster.name).
        log_group: Name of the log group; "" for the one that EKS makes, /aws/eks/CLUSTER/cluster.
        stream_prefix: What the names of the streams begin with that API servers write.
        filter_pattern: Filter of CloudWatch Logs that events must match to be read; "" reads all.
        poll_interval: Seconds between two looks.
        settle: Seconds that an event must be old to be read, since younger ones are still being taken in.
        overlap: Seconds before the newest event that are read again at each look, for events that were taken in late.
        since: Seconds before a first start from which on events are read.
        checkpoint: SQLite file that keeps how far the log group was read; "" keeps nothing: each start is a first one.
        page: Most events asked for at a time.
        aws: How AWS is reached.
    """

    cluster: str
    log_group: str = ""
    stream_prefix: str = "kube-apiserver-audit"
    filter_pattern: str = ""
    poll_interval: float = 10.0
    settle: float = 10.0
    overlap: float = 60.0
    since: float = 0.0
    checkpoint: str = ""
    page: int = 10_000
    aws: AwsOptions = field(default_factory=AwsOptions)

    @property
    def group(self) -> str:
        """The log group that is read."""
        return self.log_group or f"/aws/eks/{self.cluster}/cluster"


class CloudWatchSource:
    """
    The log group as a source; one process reads it.

    Attributes:
        name: Instance name.
        event_source: ``k8s_audit``.
        counters: ``looks``, ``pages``, ``events``, ``events_repeated``, ``records_skipped:<reason>``,
            ``records_ignored:<reason>``, ``errors:<code>``, ``retries``.
    """

    event_source = SOURCE

    def __init__(self, options: CloudWatchOptions, name: str = "k8saudit-eks") -> None:
        self.name = name
        self.counters: Counter[str] = Counter()
        self._options = options
        self._exits = contextlib.AsyncExitStack()
        self._client: Any = None
        self._place: LogPlace | None = None
        self._began = 0
        self._newest = 0
        self._trouble = ""
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._settled: asyncio.Future[str] | None = None

    async def start(self) -> None:
        """Ask for one event. Raises SourceError when the log group is not there or may not be read."""
        options = self._options
        _check(options)
        self._place = await asyncio.to_thread(LogPlace, options.checkpoint, options.group)
        self._began = _now() - int(options.since * 1000)
        try:
            await self._connect()
            await self._filter(self._began, self._began + 1, "", 1)
        except call_errors() as error:
            if not _is_fault_of_settings(error):
                self._failed(error)
                return
            await self._close()
            raise SourceError(self._sentence(error)) from None
        log.info("%s reads %s", self.name, options.group)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield what is new at each look; a batch that failed comes again before any other."""
        pause = 0.0
        try:
            while not self._stopping.is_set():
                try:
                    async for batch in self._look():
                        yield batch
                    self._works()
                    pause = 0.0
                except call_errors() as error:
                    self._failed(error)
                    pause = min(2 * pause, _LONGEST_PAUSE) if pause else 1.0
                await self._pause(max(self._options.poll_interval, pause * random.uniform(0.8, 1.2)))  # noqa: S311
        finally:
            await self._close()
            self._ended.set()

    async def stop(self, grace: float) -> None:
        """Read no further; what is not settled in time is read again after the next start."""
        self._stopping.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await self._ended.wait()
        if self._settled and not self._settled.done():
            self._settled.set_result("the source stops")

    def health(self) -> Health:
        """Say whether the log group can be read, and how old the newest event of it is."""
        gauges = {"newest_event_age_seconds": (_now() - self._newest) / 1000} if self._newest else {}
        return Health(not self._trouble, self._trouble, gauges)

    async def _look(self) -> AsyncIterator[Batch]:
        """Read one stretch of time, page by page; empty pages are not its end."""
        assert self._place
        start, end, token = self._start(), _now() - int(self._options.settle * 1000), ""
        newest: dict[str, int] = {}
        self.counters["looks"] += 1
        while end > start:
            page = await self._filter(start, end, token, self._options.page)
            self.counters["pages"] += 1
            async for batch in self._page(page.get("events") or [], newest):
                yield batch
            before, token = token, page.get("nextToken") or ""
            if not token or token == before or self._stopping.is_set():
                break
        if not self._stopping.is_set():
            await asyncio.to_thread(self._place.advance, newest)  # only now: streams may come one after the other
            await asyncio.to_thread(self._place.forget, self._start() - int(self._options.overlap * 1000))

    def _start(self) -> int:
        """Return the first millisecond of a look."""
        assert self._place
        found = self._place.oldest_newest(_QUIET)
        return self._began if found is None else found - int(self._options.overlap * 1000)

    async def _filter(self, start: int, end: int, token: str, most: int) -> Any:
        if self._client is None:
            await self._connect()
        options, query = self._options, {"nextToken": token} if token else {}
        if options.filter_pattern:
            query["filterPattern"] = options.filter_pattern
        return await self._client.filter_log_events(
            logGroupName=options.group,
            logStreamNamePrefix=options.stream_prefix,
            startTime=start,
            endTime=end,
            limit=most,
            **query,
        )

    async def _page(self, entries: list[dict[str, Any]], newest: dict[str, int]) -> AsyncIterator[Batch]:
        """Yield the new events of a page until they are in custody, and remember them then."""
        assert self._place
        seen = {entry["eventId"]: _seen(entry) for entry in entries if self._is_wanted(entry)}
        for each in seen.values():
            newest[each.stream] = max(newest.get(each.stream, 0), each.time)
            self._newest = max(self._newest, each.time)
        new = await asyncio.to_thread(self._place.new, seen.values())
        self.counters["events_repeated"] += len(seen) - len(new)
        events = await asyncio.to_thread(self._decode, [e for e in entries if e["eventId"] in new])
        async for batch in self._tries(events):
            yield batch
        if new and not (events and self._settled and self._settled.result()):
            await asyncio.to_thread(self._place.deliver, [seen[event_id] for event_id in new])

    def _is_wanted(self, entry: dict[str, Any]) -> bool:
        return str(entry.get("logStreamName", "")).startswith(self._options.stream_prefix)

    def _decode(self, entries: list[dict[str, Any]]) -> list[Event]:
        decoded = decode_log_events(entries, self._options.group)
        self.counters["events"] += len(decoded.events)
        for slug, detail in decoded.skipped:
            self.counters[f"records_{'ignored' if slug in IGNORED else 'skipped'}:{slug}"] += 1
            log.debug("%s: left out: %s", self.name, detail)
        for event in decoded.events:
            annotate(event.record, "cluster_name", self._options.cluster)
        return decoded.events

    async def _tries(self, events: list[Event]) -> AsyncIterator[Batch]:
        """Yield the events again and again until they are in custody or the source stops."""
        for wait in chain(_RETRY, repeat(_RETRY[-1])) if events else ():
            settled = self._settled = asyncio.get_running_loop().create_future()
            yield _batch(events, settled)
            if not await settled or self._stopping.is_set():
                return
            self.counters["retries"] += 1
            await self._pause(wait)

    async def _connect(self) -> None:
        options = self._options.aws
        session = new_session(options)
        region = options.region or session.get_config_variable("region") or ""
        take_role(session, options, region)
        client = create_client(session, "logs", options, region, _CONNECTIONS)
        self._client = await self._exits.enter_async_context(client)

    async def _close(self) -> None:
        self._client = None
        await self._exits.aclose()
        if self._place:
            self._place.close()

    def _works(self) -> None:
        if self._trouble:
            log.info("%s: %s is read again", self.name, self._options.group)
        self._trouble = ""

    def _failed(self, error: BaseException) -> None:
        self.counters[f"errors:{code_of(error) or type(error).__name__}"] += 1
        trouble = self._sentence(error)
        (log.debug if trouble == self._trouble else log.warning)("%s: %s; trying again", self.name, trouble)
        self._trouble = trouble

    def _sentence(self, error: BaseException) -> str:
        group, code = self._options.group, code_of(error)
        if code == _MISSING:
            return f"log group {group} is not there, in this region and account; is the cluster's log type audit on?"
        if code in ACCESS_CODES or lacks_credentials(error):
            return f"log group {group} may not be read: {describe(error)}; logs:FilterLogEvents is needed"
        return f"log group {group} cannot be read: {describe(error)}"

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()


def _check(options: CloudWatchOptions) -> None:
    if not options.cluster:
        raise SourceError("'cluster' is empty: the name of the EKS cluster is needed")
    if not 1 <= options.page <= 10_000:
        raise SourceError(f"page: CloudWatch gives 1 to 10000 events at a time, not {options.page}")
    if min(options.poll_interval, options.settle, options.overlap, options.since) < 0:
        raise SourceError("poll_interval, settle, overlap and since are no less than 0")


def _is_fault_of_settings(error: BaseException) -> bool:
    """Whether a failure at the start will not go away by itself."""
    from botocore.exceptions import NoRegionError

    known = code_of(error) == _MISSING or code_of(error) in ACCESS_CODES | {_BAD_TOKEN}
    return known or lacks_credentials(error) or isinstance(error, NoRegionError)


def _seen(entry: dict[str, Any]) -> Seen:
    return Seen(entry["eventId"], entry["logStreamName"], int(entry.get("timestamp", 0)))


def _now() -> int:
    return time.time_ns() // 1_000_000


def _batch(events: list[Event], settled: "asyncio.Future[str]") -> Batch:
    async def ack() -> None:
        if not settled.done():
            settled.set_result("")

    async def nack(reason: str) -> None:
        if not settled.done():
            settled.set_result(reason or "no reason given")

    return Batch(events, ack, nack)
