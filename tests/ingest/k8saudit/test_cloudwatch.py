"""The audit log of an EKS cluster out of CloudWatch Logs: moto over HTTP, with a proxy for what moto does not do."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

pytest.importorskip("moto", reason="the package moto is not installed")

from engine.event import Event
from ingest.aws.options import AwsOptions
from ingest.base import Batch, SourceError
from ingest.k8saudit.cloudwatch import CloudWatchOptions, CloudWatchSource
from ingest.k8saudit.logplace import LogPlace, Seen
from tests.ingest.cloudtrail.proxy import Proxy, proxy
from tests.ingest.cloudtrail.support import REGION, Aws
from tests.ingest.k8saudit.samples import audit
from tests.lanner.aws import aws_server

GROUP = "/aws/eks/prod/cluster"
STREAM = "kube-apiserver-audit-1"
OPTIONS = CloudWatchOptions(
    "prod", poll_interval=0.02, settle=0.0, since=600.0, aws=AwsOptions(region=REGION, attempts=1)
)
FILTER = "Logs_20140328.FilterLogEvents"


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with aws_server() as running:
        yield running


@dataclass
class Group:
    logs: Any
    url: str

    def stream(self, name: str) -> None:
        self.logs.create_log_stream(logGroupName=GROUP, logStreamName=name)

    def write(self, *names: str, stream: str = STREAM, ago: float = 5.0) -> None:
        """Write audit events with these ids, some seconds old."""
        self.lines(*(json.dumps(audit(auditID=name)) for name in names), stream=stream, ago=ago)

    def lines(self, *messages: str, stream: str = STREAM, ago: float = 5.0) -> None:
        stamp = int((time.time() - ago) * 1000)
        events = [{"timestamp": stamp, "message": message} for message in messages]
        self.logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)


@pytest.fixture
def group(server: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Group]:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": server.url,
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    logs = server.client("logs")
    logs.create_log_group(logGroupName=GROUP)
    made = Group(logs, server.url)
    made.stream(STREAM)
    yield made
    logs.delete_log_group(logGroupName=GROUP)
    logs.close()


@dataclass
class Run:
    source: CloudWatchSource
    events: list[Event] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [event.record["auditID"] for event in self.events]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - the source offers no such events
                await asyncio.sleep(0.01)

    async def looks(self, more: int) -> None:
        """Wait until so many looks have begun from now on."""
        wanted = self.source.counters["looks"] + more
        await self.until(lambda: self.source.counters["looks"] >= wanted)


Settle = Callable[[Run, Batch], Awaitable[None]]


async def take(run: Run, batch: Batch) -> None:
    run.events.extend(batch.events)
    await batch.ack()


@asynccontextmanager
async def running(settle: Settle = take, door: Proxy | None = None, **changes: Any) -> AsyncIterator[Run]:
    options = replace(OPTIONS, **changes)
    if door:
        options = replace(options, aws=replace(options.aws, endpoint_url=door.url))
    run = Run(CloudWatchSource(options))
    await run.source.start()

    async def pipeline() -> None:
        async for batch in run.source.batches():
            run.batches.append(batch)
            await settle(run, batch)

    task = asyncio.create_task(pipeline())
    try:
        yield run
    finally:
        await run.source.stop(5)
        await asyncio.wait_for(task, 10)


@pytest.fixture
async def door(group: Group) -> AsyncIterator[Proxy]:
    async with proxy(group.url) as passing:
        yield passing


def refusal(code: str, status: int = 400) -> web.Response:
    body = json.dumps({"__type": code, "message": f"{code} by the test"}).encode()
    return web.Response(status=status, body=body, headers={"Content-Type": "application/x-amz-json-1.1"})


async def test_what_is_there_and_what_comes_is_read_once(group: Group) -> None:
    group.write("a", "b")
    async with running() as run:
        await run.until(lambda: len(run.events) == 2)
        await run.looks(3)
        group.write("c", ago=1)
        await run.until(lambda: len(run.events) == 3)
        await run.looks(3)

        assert sorted(run.ids) == ["a", "b", "c"]
        assert run.source.counters["events_repeated"] > 0
        assert [event.record["annotations"]["cluster_name"] for event in run.events] == ["prod"] * 3
        assert {event.origin for event in run.events} == {GROUP}
        assert run.source.health().ok
        assert 1 <= run.source.health().gauges["newest_event_age_seconds"] < 60


async def test_a_first_start_reads_what_comes_from_then_on(group: Group) -> None:
    group.write("old", ago=30)
    async with running(since=0.0) as run:
        await run.looks(2)
        group.write("new", ago=-0.0)
        await run.until(lambda: len(run.events) == 1)
        assert run.ids == ["new"]


async def test_events_of_one_millisecond_are_all_read(group: Group) -> None:
    group.write(*(f"e{number}" for number in range(25)))
    async with running(page=4) as run:
        await run.until(lambda: len(run.events) == 25)
        assert len(set(run.ids)) == 25
        assert run.source.counters["pages"] >= 7


async def test_an_event_that_was_taken_in_late_is_read_within_the_overlap(group: Group) -> None:
    group.write("first", ago=1)
    async with running() as run:
        await run.until(lambda: len(run.events) == 1)
        group.write("late", ago=50)
        await run.until(lambda: len(run.events) == 2)
        group.write("too late", ago=200)
        await run.looks(4)
        assert run.ids == ["first", "late"]


async def test_a_stream_that_lags_holds_the_place_for_its_events(group: Group) -> None:
    group.stream("kube-apiserver-audit-2")
    group.write("one", ago=300)
    group.write("two", stream="kube-apiserver-audit-2", ago=300)
    async with running() as run:
        await run.until(lambda: len(run.events) == 2)
        group.write("one again", ago=1)
        await run.until(lambda: len(run.events) == 3)
        await run.looks(3)
        group.write("two again", stream="kube-apiserver-audit-2", ago=250)
        await run.until(lambda: len(run.events) == 4)
        assert run.ids[2:] == ["one again", "two again"]


async def test_other_streams_of_the_group_are_left_alone(group: Group, door: Proxy) -> None:
    group.stream("authenticator-1")
    group.write("x", stream="authenticator-1")
    group.write("a")
    async with running(door=door) as run:
        await run.until(lambda: len(run.events) == 1)
        await run.looks(2)
    assert run.ids == ["a"]
    asked = [json.loads(seen.body) for seen in door.requests if seen.action == FILTER]
    assert {query["logStreamNamePrefix"] for query in asked} == {"kube-apiserver-audit"}
    assert {query["logGroupName"] for query in asked} == {GROUP}


async def test_a_filter_pattern_is_for_cloudwatch(group: Group, door: Proxy) -> None:
    async with running(door=door, filter_pattern='{ $.verb != "watch" }') as run:
        await run.looks(2)
    asked = [json.loads(seen.body) for seen in door.requests if seen.action == FILTER]
    assert {query.get("filterPattern") for query in asked} == {'{ $.verb != "watch" }'}


async def test_an_empty_page_is_not_the_end(group: Group, door: Proxy) -> None:
    pages: dict[str, Any] = {
        "": {"events": [], "nextToken": "more"},
        "more": {"events": [], "nextToken": "still more"},
        "still more": {"events": [_entry("z")]},
    }

    def answer(seen: Any) -> web.Response:
        page = pages[json.loads(seen.body).get("nextToken", "")]
        return web.Response(body=json.dumps(page).encode(), headers={"Content-Type": "application/x-amz-json-1.1"})

    door.fault = answer
    async with running(door=door) as run:
        await run.until(lambda: len(run.events) == 1)
        assert run.ids == ["z"]


def _entry(name: str) -> dict[str, Any]:
    message = json.dumps(audit(auditID=name))
    stamp = int(time.time() * 1000) - 1000
    return {"eventId": name, "logStreamName": STREAM, "timestamp": stamp, "ingestionTime": stamp, "message": message}


async def test_a_token_that_comes_again_ends_the_look(group: Group, door: Proxy) -> None:
    page = {"events": [_entry("a")], "nextToken": "same"}
    door.fault = lambda seen: web.Response(
        body=json.dumps(page).encode(), headers={"Content-Type": "application/x-amz-json-1.1"}
    )
    async with running(door=door) as run:
        await run.looks(3)
        assert run.ids == ["a"]


async def test_the_place_is_kept_over_a_restart(group: Group, tmp_path: Path) -> None:
    group.write("a", "b")
    state = str(tmp_path / "state" / "eks.sqlite")
    async with running(checkpoint=state) as run:
        await run.until(lambda: len(run.events) == 2)
        await run.looks(2)
    group.write("c", ago=2)
    async with running(checkpoint=state, since=0.0) as again:
        await again.until(lambda: len(again.events) == 1)
        await again.looks(2)
    assert again.ids == ["c"]


async def test_what_is_not_in_custody_is_read_again(group: Group, tmp_path: Path) -> None:
    async def refuse(run: Run, batch: Batch) -> None:
        run.events.extend(batch.events)
        if len(run.batches) == 1:
            await batch.nack("the disk is full")

    group.write("a", "b")
    state = str(tmp_path / "eks.sqlite")
    async with running(refuse, checkpoint=state) as run:
        await run.until(lambda: len(run.batches) == 2)
        assert run.source.counters["retries"] == 1
        assert run.ids == ["a", "b", "a", "b"]
        await run.source.stop(0.01)
    async with running(checkpoint=state) as again:
        await again.until(lambda: len(again.events) == 2)
    assert sorted(again.ids) == ["a", "b"]


async def test_an_interruption_in_the_middle_of_a_look_loses_nothing_and_repeats_nothing(
    group: Group, tmp_path: Path
) -> None:
    """The second stream comes after the first; its place must not be that of the first."""
    group.stream("kube-apiserver-audit-2")
    group.write(*(f"a{number}" for number in range(6)), ago=1)
    group.write(*(f"b{number}" for number in range(6)), stream="kube-apiserver-audit-2", ago=500)

    async def stop_after_two(run: Run, batch: Batch) -> None:
        run.events.extend(batch.events)
        await batch.ack()
        if len(run.batches) == 2:
            run.source._stopping.set()

    state = str(tmp_path / "eks.sqlite")
    async with running(stop_after_two, checkpoint=state, page=2) as run:
        await run.until(lambda: len(run.batches) == 2)
    async with running(checkpoint=state) as again:
        await again.until(lambda: len(run.events + again.events) == 12)
        await again.looks(2)
    assert len(run.events) == 4
    assert sorted(run.ids + again.ids) == sorted([f"{stream}{number}" for stream in "ab" for number in range(6)])


async def test_a_checkpoint_of_another_group_is_refused(group: Group, tmp_path: Path) -> None:
    LogPlace(str(tmp_path / "s"), "/aws/eks/other/cluster").close()
    with pytest.raises(SourceError, match="was made for /aws/eks/other/cluster"):
        await CloudWatchSource(replace(OPTIONS, checkpoint=str(tmp_path / "s"))).start()


async def test_throttling_is_waited_out_and_told_once(
    group: Group, door: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lanner.k8saudit")
    group.write("a")
    async with running(door=door) as run:
        await run.until(lambda: len(run.events) == 1)
        left = [1, 1]
        door.fault = lambda seen: refusal("ThrottlingException") if left and left.pop() else None
        await run.until(lambda: run.source.counters["errors:ThrottlingException"] == 2)
        assert not run.source.health().ok
        group.write("b", ago=1)
        await run.until(lambda: len(run.events) == 2)
        await run.until(lambda: run.source.health().ok)
    told = [record.getMessage() for record in caplog.records if "ThrottlingException" in record.getMessage()]
    assert len(told) == 1
    assert "is read again" in caplog.text


@pytest.mark.parametrize(
    ("fault", "count"),
    [
        (lambda seen: web.Response(status=503, text="busy"), "errors:503"),
        (lambda seen: refusal("InvalidParameterException"), "errors:InvalidParameterException"),
        (lambda seen: refusal("AccessDeniedException"), "errors:AccessDeniedException"),
    ],
)
async def test_a_failed_request_ends_nothing(group: Group, door: Proxy, fault: Any, count: str) -> None:
    group.write("a")
    async with running(door=door) as run:
        await run.until(lambda: len(run.events) == 1)
        door.fault = fault
        await run.until(lambda: run.source.counters[count] >= 1)
        door.fault = None
        group.write("b", ago=1)
        await run.until(lambda: len(run.events) == 2)


async def test_a_page_that_fails_costs_no_event(group: Group, door: Proxy) -> None:
    group.write(*(f"e{number}" for number in range(10)))
    failed: list[str] = []

    def once(seen: Any) -> web.Response | None:
        token = json.loads(seen.body).get("nextToken", "")
        if token and len(failed) < 2:
            failed.append(token)
            return web.Response(status=500, text="no")
        return None

    door.fault = once
    async with running(door=door, page=3) as run:
        await run.until(lambda: len(run.events) == 10)
        await run.looks(2)
        assert sorted(run.ids) == sorted(f"e{number}" for number in range(10))


async def test_cut_and_foreign_messages_are_told_from_events(group: Group) -> None:
    whole = json.dumps(audit(auditID="cut", requestObject={"data": "x" * 100}, stageTimestamp=None))
    group.lines(whole[: whole.index('"data"')] + "[Truncated...]", "I0102 of the scheduler", '{"auditID": tru}')
    async with running() as run:
        await run.until(lambda: run.source.counters["records_skipped:not-json"] == 1)
        await run.looks(2)
        assert run.ids == ["cut"]
        assert run.events[0].record["annotations"]["lanner/truncated"] == "true"
        assert run.source.counters["records_ignored:other-log"] == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cluster": "other"}, "log group /aws/eks/other/cluster is not there.*log type audit"),
        ({"cluster": ""}, "'cluster' is empty"),
        ({"page": 0}, "1 to 10000"),
        ({"settle": -1.0}, "no less than 0"),
        ({"aws": AwsOptions(profile="nobody")}, "may not be read.*ProfileNotFound"),
    ],
)
async def test_what_cannot_work_is_told_at_the_start(group: Group, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        await CloudWatchSource(replace(OPTIONS, **changes)).start()


async def test_a_missing_right_is_told_at_the_start(group: Group, door: Proxy) -> None:
    door.fault = lambda seen: refusal("AccessDeniedException")
    aws = replace(OPTIONS.aws, endpoint_url=door.url)
    with pytest.raises(SourceError, match="logs:FilterLogEvents is needed"):
        await CloudWatchSource(replace(OPTIONS, aws=aws)).start()


async def test_a_cloudwatch_that_is_away_at_the_start_is_tried_again(group: Group, door: Proxy) -> None:
    group.write("a")
    door.fault = lambda seen: web.Response(status=503, text="busy")
    async with running(door=door) as run:
        assert not run.source.health().ok
        door.fault = None
        await run.until(lambda: len(run.events) == 1)


async def test_stopping_before_batches_are_asked_for_is_quick(group: Group) -> None:
    source = CloudWatchSource(OPTIONS)
    await source.start()
    await source.stop(0.1)
    assert [batch async for batch in source.batches()] == []


def test_a_stream_that_wrote_nothing_for_long_has_ended() -> None:
    place = LogPlace("", "g")
    assert place.oldest_newest(900_000) is None
    place.advance({"old": 1_000_000, "slow": 2_000_000, "fast": 2_600_000})
    assert place.oldest_newest(900_000) == 2_000_000
    place.advance({"slow": 1})
    assert place.oldest_newest(900_000) == 2_000_000


def test_delivered_events_are_forgotten_when_they_are_read_no_more() -> None:
    place = LogPlace("", "g")
    found = [Seen(f"e{number}", "s", number) for number in range(10)]
    place.deliver(found)
    place.forget(5)
    assert place.new(found) == {f"e{number}" for number in range(5)}
