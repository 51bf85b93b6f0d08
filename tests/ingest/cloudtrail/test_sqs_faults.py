"""The SQS consumer when AWS misbehaves: it pauses, retries, follows or gives back, and the queue stays whole."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from ingest.aws import session
from ingest.base import Batch, SourceError
from ingest.cloudtrail import queue as queue_module
from ingest.cloudtrail.options import AwsOptions, ObjectOptions, SqsOptions
from ingest.cloudtrail.sqs import SqsSource
from tests.ingest.cloudtrail.proxy import Proxy, Seen, proxy, s3_error, sqs_answer, sqs_error
from tests.ingest.cloudtrail.support import (
    ACCOUNT,
    BUCKET,
    REGION,
    Aws,
    Run,
    quick,
    running,
    take,
    trail_file,
    trail_key,
    trail_record,
)


@pytest.fixture
async def door(aws: Aws) -> AsyncIterator[Proxy]:
    async with proxy(aws.url) as running_proxy:
        yield running_proxy


def through(door: Proxy, url: str, **options: Any) -> SqsOptions:
    """Options that reach the queue and S3 through the proxy."""
    aws = AwsOptions(region=REGION, attempts=1, endpoint_url=door.url)
    return quick(door.at(url), **{"aws": aws, **options})


def answer_to(action: str, answer: Callable[[Seen], Any], times: int = 1_000_000) -> Callable[[Seen], Any]:
    """Make a fault that answers the first ``times`` requests of an action."""
    left = times

    def fault(seen: Seen) -> Any:
        nonlocal left
        if seen.action != action or not left:
            return None
        left -= 1
        return answer(seen)

    return fault


def store_and_announce(aws: Aws, url: str, number: int) -> None:
    aws.bucket()
    for n in range(number):
        aws.announce(url, aws.put(trail_key(f"file{n}"), [trail_record(n)]))


# Access


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("AccessDenied", "not authorized to perform: kms:Decrypt on the resource"),
        ("ExpiredToken", "The provided token has expired."),
    ],
)
async def test_denied_access_pauses_polling_and_the_queue_stays_whole(
    aws: Aws, door: Proxy, caplog: pytest.LogCaptureFixture, code: str, message: str
) -> None:
    url, dead = aws.queue_with_dlq(max_receives=4)
    store_and_announce(aws, url, 20)
    door.fault = answer_to("GET", lambda seen: s3_error(code, 403, message))

    with caplog.at_level(logging.INFO, "lanner.cloudtrail"):
        async with running(through(door, url, max_inflight_messages=5, retry_backoff=(1,))) as run:
            await run.until(lambda: not run.source.health().ok)
            assert message in run.source.health().detail
            await asyncio.sleep(1.2)
            tried = run.source.counters["messages:received"]
            door.fault = None
            await run.until_count("messages:deleted", 20)
            assert run.source.health().ok

    assert tried < 20  # one probe per pause, instead of the whole queue again and again
    assert run.ids == list(range(20))
    assert aws.left(url) == aws.left(dead) == 0
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR or "read again" in r.getMessage()]
    assert [text.split(",")[0] for text in said] == ["reading pauses", "objects can be read again"]


async def test_what_waits_for_its_download_goes_back_untried_once_access_is_denied(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    store_and_announce(aws, url, 10)
    door.fault = answer_to("GET", lambda seen: s3_error("AccessDenied", 403))
    one_by_one = ObjectOptions(concurrency=1)

    async with running(through(door, url, objects=one_by_one, retry_backoff=(30,), access_pause=30.0)) as run:
        await run.until_count("messages:paused", 6)

    assert run.source.counters["objects:denied"] == 5


async def test_one_denied_object_among_good_ones_does_not_pause_anything(aws: Aws, door: Proxy) -> None:
    url, dead = aws.queue_with_dlq(max_receives=3)
    store_and_announce(aws, url, 8)
    door.fault = lambda seen: s3_error("AccessDenied", 403) if "file3" in seen.path else None

    async with running(through(door, url)) as run:
        await run.until(lambda: aws.visible(dead) == 1)
        assert run.source.health().ok
        await run.until_count("messages:deleted", 7)

    assert run.ids == [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "code", ["ExpiredTokenException", "InvalidClientTokenId", "AccessDeniedException", "QueueDoesNotExist"]
)
async def test_a_queue_that_may_not_be_read_is_tried_again_after_a_pause(
    aws: Aws, door: Proxy, caplog: pytest.LogCaptureFixture, code: str
) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    door.fault = answer_to("ReceiveMessage", lambda seen: sqs_error(code, 403), times=2)

    with caplog.at_level(logging.INFO, "lanner.cloudtrail"):
        async with running(through(door, url)) as run:
            await run.until_count("poll_errors", 1)
            assert not run.source.health().ok
            await run.until_count("messages:deleted", 1)
            assert run.source.health().ok

    assert run.ids == [1]
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1


async def test_too_many_messages_in_flight_or_a_broken_service_is_waited_out(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    answers = iter([sqs_error("OverLimit", 403), sqs_error("ServiceUnavailable", 503)])
    door.fault = answer_to("ReceiveMessage", lambda seen: next(answers), times=2)

    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.source.counters["poll_errors"] == 2


@pytest.mark.parametrize("answer", [{"Messages": [{"Body": "{}"}]}, {"Messages": "?"}, [1], "?"])
async def test_an_answer_that_nobody_expected_does_not_end_the_polling(aws: Aws, door: Proxy, answer: Any) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    door.fault = answer_to("ReceiveMessage", lambda seen: sqs_answer(answer), times=1)

    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]


async def test_nothing_is_lost_in_a_storm_of_faults(aws: Aws, door: Proxy) -> None:
    """Two consumers, every request may fail, every batch may be refused: each event is delivered, the queue empties."""
    url, dead = aws.queue_with_dlq(max_receives=100)
    aws.bucket()
    for n in range(30):
        keys = [aws.put(trail_key(f"file{n}-{m}"), [trail_record(3 * n + m), trail_record(3 * n)]) for m in range(3)]
        aws.announce(url, *keys)
    chance = random.Random(17)
    sqs_faults = [lambda: sqs_error("InternalFailure", 500), lambda: sqs_error("RequestThrottled", 400)]
    s3_faults = [lambda: s3_error("SlowDown", 503), lambda: web.Response(body=b"\x1f\x8b damaged"), CutOff]

    def storm(seen: Seen) -> Any:
        if chance.random() > 0.15 or seen.action == "GetQueueAttributes":
            return None
        return chance.choice(s3_faults if seen.action == "GET" else sqs_faults)()

    async def moody(run: Run[SqsSource], batch: Batch) -> None:
        await (batch.nack("no") if chance.random() < 0.15 else take(run, batch))

    door.fault = storm
    options = through(door, url, max_inflight_messages=10)
    async with running(options, moody) as one, running(options, moody) as two:
        await one.until(lambda: aws.left(url) == 0, limit=60)

    assert set(one.ids) | set(two.ids) == set(range(90))
    assert len(one.ids) == len(set(one.ids))
    assert len(two.ids) == len(set(two.ids))
    assert aws.left(dead) == 0
    assert one.source.counters["internal_errors"] == two.source.counters["internal_errors"] == 0


# Downloads


@pytest.mark.parametrize(
    "status", ["SlowDown 503", "InternalError 500", "RequestTimeout 400", "ThrottlingException 400"]
)
async def test_a_download_that_fails_is_tried_again(aws: Aws, door: Proxy, status: str) -> None:
    url = aws.queue()
    store_and_announce(aws, url, 1)
    code, number = status.split()
    door.fault = answer_to("GET", lambda seen: s3_error(code, int(number)), times=1)

    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [0]
    assert run.source.counters["messages:retry"] == 1


async def test_part_of_a_message_that_fails_keeps_the_message(aws: Aws, door: Proxy) -> None:
    aws.bucket()
    url = aws.queue()
    aws.announce(url, aws.put(trail_key("good"), [trail_record(1)]), aws.put(trail_key("late"), [trail_record(2)]))
    door.fault = lambda seen: s3_error("InternalError", 500) if "late" in seen.path else None

    async with running(through(door, url)) as run:
        await run.until_count("messages:retry", 1)
        assert run.source.counters["messages:deleted"] == 0
        door.fault = None
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1, 2]
    assert door.count("GET") == run.source.counters["messages:retry"] + 2  # the good one came once


class CutOff(web.StreamResponse):
    """An answer whose connection breaks in the middle of the body."""

    async def write_eof(self, data: bytes = b"") -> None:
        await self.write(trail_file([trail_record(0)])[:100])
        assert self._req is not None
        assert self._req.transport is not None
        self._req.transport.close()


async def test_a_download_that_breaks_off_is_tried_again(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    store_and_announce(aws, url, 1)
    door.fault = answer_to("GET", lambda seen: CutOff(headers={"Content-Length": "500"}), times=1)

    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [0]
    assert run.source.counters["objects:failed"] == 1


async def test_damage_on_the_way_is_repaired_by_reading_again(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    store_and_announce(aws, url, 1)
    door.fault = answer_to("GET", lambda seen: web.Response(body=trail_file([trail_record(0)])[:-9]), times=1)

    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [0]
    assert run.source.counters["objects:read_again"] == 1
    assert run.source.counters["messages:poison"] == 0


async def test_an_object_larger_than_allowed_is_poison_and_not_downloaded(aws: Aws, door: Proxy) -> None:
    url, dead = aws.queue_with_dlq(max_receives=1)
    store_and_announce(aws, url, 1)

    async with running(through(door, url, objects=ObjectOptions(max_object_bytes=50))) as run:
        await run.until(lambda: aws.visible(dead) == 1)

    assert run.events == []
    assert run.source.counters["bytes"] == 0
    assert run.source.counters["poison:too-large"] == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [("PermanentRedirect", 301), ("AuthorizationHeaderMalformed", 400), ("IllegalLocationConstraintException", 400)],
)
async def test_a_bucket_in_another_region_is_followed_there(aws: Aws, door: Proxy, code: str, status: int) -> None:
    url = aws.queue()
    store_and_announce(aws, url, 3)

    def elsewhere(seen: Seen) -> web.Response | None:
        if seen.action not in ("GET", "HEAD") or seen.region == "us-west-2":
            return None
        headers = {"x-amz-bucket-region": "us-west-2"}
        text = f"<Error><Code>{code}</Code><Message>m</Message><Region>us-west-2</Region></Error>"
        return web.Response(status=status, text=text, content_type="application/xml", headers=headers)

    door.fault = elsewhere
    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 3)

    assert run.ids == [0, 1, 2]
    assert run.source.counters["messages:retry"] == 0


async def test_the_region_that_a_notification_names_is_asked_first(aws: Aws, door: Proxy) -> None:
    aws.bucket()
    url = aws.queue()
    key = aws.put(trail_key("a"), [trail_record(1)])
    for region in ("ap-south-1", "no region at all"):
        s3 = {"bucket": {"name": BUCKET}, "object": {"key": key, "eTag": region}}
        aws.send(url, {"Records": [{"eventName": "ObjectCreated:Put", "awsRegion": region, "s3": s3}]})

    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 2)

    assert {seen.region for seen in door.requests if seen.action == "GET"} == {"ap-south-1", REGION}


# Leases and deletes


def failed_entries(code: str, sender_fault: bool = True) -> Callable[[Seen], web.Response]:
    def answer(seen: Seen) -> web.Response:
        entries = json.loads(seen.body)["Entries"]
        failed = [{"Id": e["Id"], "Code": code, "SenderFault": sender_fault, "Message": code} for e in entries]
        return sqs_answer({"Successful": [], "Failed": failed})

    return answer


async def test_a_message_whose_lease_is_lost_is_not_deleted_and_its_events_count_once(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    door.fault = answer_to("ChangeMessageVisibilityBatch", failed_entries("ReceiptHandleIsInvalid"), times=1)

    async def slowly(run: Run[SqsSource], batch: Batch) -> None:
        await run.until_count("lease_lost", 1)
        await take(run, batch)

    async with running(through(door, url, visibility_timeout=4), slowly) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]
    assert run.source.counters["messages:received"] == 2
    assert run.source.counters["events_duplicate"] == 1


async def test_a_heartbeat_that_fails_once_is_made_up_for_by_the_next(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    door.fault = answer_to("ChangeMessageVisibilityBatch", lambda seen: sqs_error("InternalFailure", 500), times=1)

    async def slowly(run: Run[SqsSource], batch: Batch) -> None:
        await asyncio.sleep(7)
        await take(run, batch)

    async with running(through(door, url, visibility_timeout=6, heartbeat=0.15), slowly) as run:
        await run.until_count("messages:deleted", 1)

    assert run.source.counters["messages:received"] == 1
    assert run.source.counters["visibility_errors"] == 1


@pytest.mark.parametrize(
    "answer", [failed_entries("InternalError", False), lambda seen: sqs_error("InternalFailure", 500)]
)
async def test_a_delete_that_fails_is_tried_again(aws: Aws, door: Proxy, answer: Any) -> None:
    url = aws.queue()
    for n in range(3):
        aws.send(url, trail_record(n))
    door.fault = answer_to("DeleteMessageBatch", answer, times=2)

    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 3)

    assert aws.left(url) == 0
    assert run.source.counters["deletes_failed"] == 0


async def test_a_refused_delete_is_not_insisted_on_and_the_repeat_counts_once(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    door.fault = answer_to("DeleteMessageBatch", failed_entries("ReceiptHandleIsInvalid"), times=1)

    async with running(through(door, url, visibility_timeout=4)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]
    assert run.source.counters["deletes_failed"] == 1
    assert run.source.counters["events_duplicate"] == 1


async def test_deletes_are_sent_together(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    for n in range(20):
        aws.send(url, trail_record(n))

    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 20)

    assert 2 <= door.count("DeleteMessageBatch") <= 4


# Stopping


async def stop_during_download(aws: Aws, door: Proxy, grace: float) -> tuple[Run[SqsSource], str]:
    url = aws.queue()
    store_and_announce(aws, url, 1)
    begun = asyncio.Event()

    async def slow(seen: Seen) -> None:
        begun.set()
        await asyncio.sleep(1)

    door.fault = answer_to("GET", slow)
    async with running(through(door, url, visibility_timeout=60), grace=grace) as run:
        await begun.wait()
    return run, url


async def test_a_download_under_way_is_finished_within_the_grace(aws: Aws, door: Proxy) -> None:
    run, url = await stop_during_download(aws, door, grace=6)

    assert run.ids == [0]
    assert aws.left(url) == 0


async def test_a_download_that_takes_longer_than_the_grace_is_given_back(aws: Aws, door: Proxy) -> None:
    run, url = await stop_during_download(aws, door, grace=2.2)

    assert run.events == []
    assert aws.visible(url) == 1


# Starting


async def start(options: SqsOptions) -> None:
    source = SqsSource(options)
    try:
        await source.start()
    finally:
        await source.stop(0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wait": 21}, "wait is 0 to 20 seconds"),
        ({"max_messages": 11}, "max_messages is 1 to 10"),
        ({"retry_backoff": ()}, "retry_backoff has one entry or more"),
        ({"heartbeat": 1.0}, "heartbeat is more than 0"),
        ({"objects": ObjectOptions(include_keys=("[",))}, "no regular expression"),
        ({"queue": "sqs://no such name"}, "expected sqs:// and a queue's name, URL or ARN"),
    ],
)
def test_options_that_make_no_sense_are_an_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        SqsSource(SqsOptions(**{"queue": "sqs://lanner", **options}))


async def test_a_queue_that_does_not_exist_is_an_error_with_a_hint(aws: Aws) -> None:
    for queue in ("sqs://nobody", f"sqs://arn:aws:sqs:{REGION}:{ACCOUNT}:nobody", f"sqs://{aws.url}/{ACCOUNT}/nobody"):
        with pytest.raises(SourceError, match=r"no such queue; is the region right, and owner_account"):
            await start(SqsOptions(queue=queue, aws=AwsOptions(region=REGION)))


async def test_missing_credentials_are_an_error_with_a_hint(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    aws_options = AwsOptions(region=REGION, config=str(tmp_path / "no"), credentials=str(tmp_path / "none"))

    with pytest.raises(SourceError, match=r"access denied: NoCredentialsError.*check the credentials"):
        await start(SqsOptions(queue="sqs://lanner", aws=aws_options))


async def test_a_missing_region_is_an_error_with_a_hint(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))

    with pytest.raises(SourceError, match=r"no region is known; set aws\.region or AWS_REGION"):
        await start(SqsOptions(queue="sqs://lanner"))


async def test_an_unknown_profile_is_an_error(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SourceError, match="nobody"):
        await start(SqsOptions(queue="sqs://lanner", aws=AwsOptions(profile="nobody")))


async def test_a_service_that_cannot_be_reached_is_an_error(aws: Aws) -> None:
    options = AwsOptions(region=REGION, endpoint_url="http://127.0.0.1:9", attempts=1)

    with pytest.raises(SourceError, match=r"Could not connect to the endpoint"):
        await start(SqsOptions(queue="sqs://lanner", aws=options))


async def test_settings_of_the_queue_that_lose_events_are_warned_of(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    bad = aws.queue("bad.fifo", FifoQueue="true", MessageRetentionPeriod="3600")
    good, _ = aws.queue_with_dlq(max_receives=10, name="good")
    aws.sqs.set_queue_attributes(QueueUrl=good, Attributes={"VisibilityTimeout": "300"})

    with caplog.at_level(logging.WARNING, "lanner.cloudtrail"):
        await start(quick(good))
        assert caplog.records == []
        await start(quick(bad))

    assert [word for word in ("redrive", "visibility", "4 days", "FIFO") if word not in caplog.text] == []


async def test_a_queue_whose_attributes_may_not_be_read_is_still_used(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    door.fault = answer_to("GetQueueAttributes", lambda seen: sqs_error("AccessDenied", 403))

    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]


@pytest.mark.parametrize("form", ["sqs://lanner", f"sqs://arn:aws:sqs:{REGION}:123456789012:lanner"])
async def test_a_queue_is_found_by_name_and_arn(aws: Aws, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    url = aws.queue("lanner")
    aws.send(url, trail_record(1))
    region = ""
    if form == "sqs://lanner":
        region = REGION
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    async with running(quick(url, queue=form, aws=AwsOptions(region=region, attempts=1))) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]


async def test_a_role_is_assumed_with_its_external_id(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    role = AwsOptions(
        region=REGION,
        endpoint_url=door.url,
        assume_role_arn="arn:aws:iam::123456789012:role/reader",
        external_id="a-secret",
        attempts=1,
    )

    async with running(through(door, url, aws=role)) as run:
        await run.until_count("messages:deleted", 1)

    (assumed,) = [seen for seen in door.requests if b"AssumeRole" in seen.body]
    assert b"ExternalId=a-secret" in assumed.body
    receives = [seen for seen in door.requests if seen.action == "ReceiveMessage"]
    assert all("X-Amz-Security-Token" in seen.headers for seen in receives)


# Stopping and measuring


def hanging(action: str, begun: asyncio.Event) -> Callable[[Seen], Any]:
    """Answer an action never."""

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    return lambda seen: hang() if seen.action == action else None


async def test_an_idle_consumer_does_not_wait_for_its_long_poll_to_end(aws: Aws, door: Proxy) -> None:
    begun = asyncio.Event()
    door.fault = hanging("ReceiveMessage", begun)
    async with asyncio.timeout(20):  # the poll would never end
        async with running(through(door, aws.queue(), wait=20), grace=60):
            await begun.wait()


async def test_what_a_forsaken_poll_brings_is_hidden_for_a_minute_at_most(aws: Aws, door: Proxy) -> None:
    async with running(through(door, aws.queue(), visibility_timeout=300)) as run:
        await run.until_count("polls", 1)
    asked = [json.loads(seen.body) for seen in door.requests if seen.action == "ReceiveMessage"]
    assert {each["VisibilityTimeout"] for each in asked} == {60}


async def test_a_message_that_takes_long_is_extended_before_its_first_lease_ends(
    aws: Aws, door: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "_FIRST_LEASE", 2)
    url = aws.queue()
    aws.send(url, trail_record(1))

    async def slowly(run: Run[SqsSource], batch: Batch) -> None:
        await asyncio.sleep(4)
        await take(run, batch)

    async with running(through(door, url, visibility_timeout=300), slowly) as run:
        await run.until_count("messages:deleted", 1)

    assert run.source.counters["messages:received"] == 1
    extended = [json.loads(seen.body) for seen in door.requests if seen.action == "ChangeMessageVisibilityBatch"]
    assert extended[0]["Entries"][0]["VisibilityTimeout"] == 300


async def test_giving_back_is_bounded_by_the_grace(aws: Aws, door: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    begun, releasing = asyncio.Event(), asyncio.Event()

    async def never(run: Run[SqsSource], batch: Batch) -> None:
        begun.set()
        await asyncio.Event().wait()

    source = SqsSource(through(door, url))
    await source.start()
    consumer = asyncio.create_task(_consume(source, never))
    await begun.wait()
    door.fault = hanging("ChangeMessageVisibilityBatch", releasing)
    async with asyncio.timeout(20):
        await source.stop(2.5)
    consumer.cancel()
    assert releasing.is_set()
    assert "could not be given back in time" in caplog.text


async def _consume(source: SqsSource, settle: Any) -> None:
    async for batch in source.batches():
        await settle(None, batch)


async def test_the_depth_of_the_queue_is_measured(aws: Aws, door: Proxy) -> None:
    url = aws.queue()
    for number in range(3):
        aws.send(url, trail_record(number))
    begun = asyncio.Event()

    async def never(run: Run[SqsSource], batch: Batch) -> None:
        begun.set()
        await asyncio.Event().wait()

    source = SqsSource(through(door, url, max_messages=1, max_inflight_messages=1, depth_interval=0.05))
    await source.start()
    consumer = asyncio.create_task(_consume(source, never))
    try:
        await begun.wait()
        await Run(source, [], []).until(lambda: source.health().gauges.get("queue_messages_in_progress") == 1)
        gauges = source.health().gauges
        assert (gauges["queue_messages_waiting"], gauges["messages_held"]) == (2, 1)
        assert gauges["oldest_message_held_seconds"] > 0
        door.fault = lambda seen: sqs_error("AccessDenied", 403) if seen.action == "GetQueueAttributes" else None
        await Run(source, [], []).until(lambda: "queue_messages_waiting" not in source.health().gauges)
        assert source.health().ok
    finally:
        consumer.cancel()
        await source.stop(3)


async def test_the_depth_need_not_be_measured(aws: Aws, door: Proxy) -> None:
    async with running(through(door, aws.queue(), depth_interval=0)) as run:
        await run.until_count("polls", 3)
    assert door.count("GetQueueAttributes") == 1


async def test_a_queue_that_falls_silent_is_told_once_and_so_is_its_end(
    aws: Aws, door: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lanner.cloudtrail")
    url = aws.queue()
    async with running(through(door, url, silence=0.3)) as run:
        await run.until_count("silences", 1)
        await asyncio.sleep(0.5)
        assert caplog.text.count("does the trail log, and announce its files?") == 1
        assert run.source.health().gauges["last_message_age_seconds"] > 0.3
        aws.send(url, trail_record(1))
        await run.until(lambda: "messages come again" in caplog.text)
        await run.until_count("silences", 2)
    assert run.ids == [1]


async def test_a_download_that_hangs_is_given_up_and_tried_again(
    aws: Aws, door: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_READ_TIMEOUT", 1)
    url = aws.queue()
    store_and_announce(aws, url, 2)

    async def hang() -> None:
        await asyncio.Event().wait()

    door.fault = answer_to("GET", lambda seen: hang(), times=2)
    async with running(through(door, url)) as run:
        await run.until_count("messages:deleted", 2)

    assert run.ids == [0, 1]
    assert run.source.counters["objects:failed"] == 2
