"""The SQS consumer against real HTTP: everything is delivered, and nothing is deleted before it is."""

import asyncio
import gzip
import json
import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.event import Event
from ingest.base import Batch, Decoded
from ingest.cloudtrail import files, intake
from ingest.cloudtrail.fields import cloudtrail_table
from ingest.cloudtrail.options import ObjectOptions
from ingest.cloudtrail.sqs import SqsSource
from tests.ingest.cloudtrail.support import (
    BUCKET,
    Aws,
    Run,
    quick,
    running,
    take,
    trail_file,
    trail_key,
    trail_record,
)


async def test_a_queue_is_drained_and_emptied(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    for n in range(12):
        aws.announce(url, aws.put(trail_key(f"file{n}"), [trail_record(2 * n), trail_record(2 * n + 1)]))
    aws.send(url, trail_record(100))
    aws.send(url, "CloudTrail validation message.")

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 14)

    assert run.ids == [*range(24), 100]
    assert aws.left(url) == 0
    assert run.source.counters["ignored:validation-message"] == 1
    assert run.source.health().ok


def notify_directly(aws: Aws, queue_arn: str) -> None:
    configuration = {"QueueConfigurations": [{"QueueArn": queue_arn, "Events": ["s3:ObjectCreated:*"]}]}
    aws.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=configuration)


def notify_by_sns(aws: Aws, queue_arn: str, raw: str = "false") -> None:
    sns = aws.client("sns")
    topic = sns.create_topic(Name="trail")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue_arn, Attributes={"RawMessageDelivery": raw})
    configuration = {"TopicConfigurations": [{"TopicArn": topic, "Events": ["s3:ObjectCreated:*"]}]}
    aws.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=configuration)


def notify_by_raw_sns(aws: Aws, queue_arn: str) -> None:
    notify_by_sns(aws, queue_arn, raw="true")


def notify_by_eventbridge(aws: Aws, queue_arn: str) -> None:
    events = aws.client("events")
    events.put_rule(Name="trail", EventPattern=json.dumps({"source": ["aws.s3"]}))
    events.put_targets(Rule="trail", Targets=[{"Id": "q", "Arn": queue_arn}])
    aws.s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )


@pytest.mark.parametrize("notify", [notify_directly, notify_by_sns, notify_by_raw_sns, notify_by_eventbridge])
async def test_a_stored_file_arrives_whatever_way_it_is_announced(aws: Aws, notify: Any) -> None:
    aws.bucket()
    url = aws.queue()
    notify(aws, aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])
    for n, name in enumerate(["plain", "with space", "with+plus", "day=02", "café", "100%25"]):
        aws.put(trail_key(name), [trail_record(n)])

    async with running(quick(url)) as run:
        await run.until(lambda: len(run.events) == 6 and aws.left(url) == 0)

    assert run.ids == [0, 1, 2, 3, 4, 5]
    assert run.source.counters["objects:key_as_written"] == 0


async def test_a_key_that_a_relay_has_decoded_already_is_found_as_written(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    key = aws.put(trail_key("a+b"), [trail_record(1)])
    s3 = {"bucket": {"name": BUCKET}, "object": {"key": key}}
    aws.send(url, {"Records": [{"eventName": "ObjectCreated:Put", "eventSource": "aws:s3", "s3": s3}]})

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]
    assert run.source.counters["objects:key_as_written"] == 1


async def test_one_message_may_name_two_buckets(aws: Aws) -> None:
    url = aws.queue()
    records = []
    for n, bucket in enumerate(["acme-one", "acme-two"]):
        key = aws.put(trail_key("same"), [trail_record(n)], aws.bucket(bucket))
        records.append({"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": bucket}, "object": {"key": key}}})
    aws.send(url, {"Records": records})

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [0, 1]


async def test_objects_without_events_are_not_downloaded(aws: Aws) -> None:
    url = aws.queue()
    digest = trail_key("digest").replace("/CloudTrail/", "/CloudTrail-Digest/")
    aws.announce(url, digest, "AWSLogs/111122223333/CloudTrail/", "AWSLogs/111122223333/Config/file.json.gz")
    empty = {"bucket": {"name": BUCKET}, "object": {"key": trail_key("empty"), "size": 0}}
    aws.send(url, {"Records": [{"eventName": "ObjectCreated:Put", "s3": empty}]})

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 2)

    assert run.source.counters["objects:skipped"] == 4  # there is no bucket: a download would have failed
    assert aws.left(url) == 0


async def test_chosen_keys_replace_the_usual_names(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    aws.announce(url, aws.put("copied/a.bin", [trail_record(1)]), aws.put("copied/b.skip", [trail_record(2)]))
    objects = ObjectOptions(include_keys=("^copied/",), exclude_keys=(r"\.skip$",))

    async with running(quick(url, objects=objects)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]


async def test_insights_can_be_left_out(aws: Aws) -> None:
    url = aws.queue()
    aws.send(url, [trail_record(1), trail_record(2, eventType="AwsCloudTrailInsight")])  # type: ignore[arg-type]

    async with running(quick(url, objects=ObjectOptions(insight_events="skip"))) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]
    assert run.source.counters["events_skipped:insight"] == 1


async def test_a_bad_record_costs_itself_alone(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    aws.announce(url, aws.put(trail_key("a"), [trail_record(1), {"eventID": "x"}, trail_record(2)]))
    aws.send(url, [trail_record(3), trail_record(4, eventTime="yesterday")])  # type: ignore[arg-type]

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 2)

    assert run.ids == [1, 2, 3]
    assert run.source.counters["records_skipped:no-event-time"] == 1
    assert run.source.counters["records_skipped:bad-event-time"] == 1


# Delivery


async def test_a_refused_batch_comes_again_and_then_counts_once(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    aws.announce(url, aws.put(trail_key("a"), [trail_record(1)]))

    async def refuse_first(run: Run[SqsSource], batch: Batch) -> None:
        if len(run.batches) == 1:
            await batch.nack("the outbox is full")
        else:
            run.events.extend(batch.events)
            await batch.ack()

    async with running(quick(url), refuse_first) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]
    assert run.source.counters["messages:retry"] == 1
    assert run.source.counters["batches_refused"] == 1


async def test_only_what_was_refused_comes_again(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    aws.announce(url, aws.put(trail_key("a"), [trail_record(1)]), aws.put(trail_key("b"), [trail_record(2)]))

    async def refuse_one_once(run: Run[SqsSource], batch: Batch) -> None:
        if batch.events[0].uid.endswith("2") and run.source.counters["batches_refused"] == 0:
            await batch.nack("the outbox is full")
        else:
            run.events.extend(batch.events)
            await batch.ack()

    async with running(quick(url), refuse_one_once) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1, 2]
    assert run.source.counters["objects:duplicate"] == 1


async def test_what_was_not_in_custody_at_a_crash_is_delivered_by_the_next_process(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    aws.announce(url, aws.put(trail_key("a"), [trail_record(1)]))

    async def die(run: Run[SqsSource], batch: Batch) -> None:
        run.events.extend(batch.events)

    async with running(quick(url, visibility_timeout=2), die, grace=0.0) as first:
        await first.until(lambda: bool(first.events))
    async with running(quick(url, visibility_timeout=2)) as second:
        await second.until_count("messages:deleted", 1)

    assert first.ids == second.ids == [1]
    assert first.source.counters["messages:deleted"] == 0


async def test_the_same_event_in_two_files_counts_once(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    aws.announce(url, aws.put(trail_key("account"), [trail_record(1), trail_record(2)]))
    aws.announce(url, aws.put(trail_key("organisation"), [trail_record(2), trail_record(3)]))

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 2)

    assert run.ids == [1, 2, 3]
    assert run.source.counters["events_duplicate"] == 1


async def test_a_repeat_waits_for_the_first_and_takes_its_place_when_that_is_refused(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue(VisibilityTimeout="30")
    held: list[Batch] = []

    async def hold_first(run: Run[SqsSource], batch: Batch) -> None:
        if not held:
            held.append(batch)
        else:
            run.events.extend(batch.events)
            await batch.ack()

    async with running(quick(url, retry_backoff=(0, 1)), hold_first) as run:
        aws.announce(url, aws.put(trail_key("account"), [trail_record(1)]))
        await run.until(lambda: bool(held))
        aws.announce(url, aws.put(trail_key("organisation"), [trail_record(1)]))
        await run.until_count("events_duplicate", 1)
        await asyncio.sleep(0.5)
        assert run.source.counters["messages:deleted"] == 0
        await held[0].nack("the outbox is full")
        await run.until_count("messages:deleted", 2)

    assert run.ids == [1]
    assert aws.left(url) == 0


async def test_one_announcement_twice_downloads_once(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    key = aws.put(trail_key("a"), [trail_record(1)])
    aws.announce(url, key)
    aws.announce(url, key)

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 2)

    assert run.ids == [1]
    assert run.source.counters["objects:ok"] == 1
    assert run.source.counters["objects:duplicate"] == 1


async def test_a_large_file_comes_in_several_batches_and_is_deleted_after_the_last(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    aws.announce(url, aws.put(trail_key("a"), [trail_record(n) for n in range(4500)]))
    deleted_early = []

    async def slowly(run: Run[SqsSource], batch: Batch) -> None:
        await asyncio.sleep(0.3)
        deleted_early.append(run.source.counters["messages:deleted"])
        run.events.extend(batch.events)
        await batch.ack()

    async with running(quick(url), slowly) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == list(range(4500))
    assert [len(batch.events) for batch in run.batches] == [2000, 2000, 500]
    assert deleted_early == [0, 0, 0]


async def test_more_than_fits_the_memory_budget_is_read_little_by_little(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    for n in range(8):
        aws.announce(url, aws.put(trail_key(f"f{n}"), [trail_record(n)]))

    async with running(quick(url, objects=ObjectOptions(memory_budget=5000))) as run:
        await run.until_count("messages:deleted", 8)

    assert run.ids == list(range(8))
    assert run.source._intake.budget.used == 0


async def test_what_files_become_counts_however_well_they_are_compressed(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    for n in range(4):
        aws.announce(url, aws.put(trail_key(f"f{n}"), [trail_record(500 * n + k) for k in range(500)]))
    size = len(json.dumps([trail_record(k) for k in range(500)]))
    decoded: list[int] = []

    async def watch(run: Run[SqsSource], batch: Batch) -> None:
        await asyncio.sleep(0.2)
        decoded.append(run.source.counters["objects:ok"])
        await take(run, batch)

    async with running(quick(url, objects=ObjectOptions(memory_budget=10 * size)), watch) as run:
        await run.until_count("messages:deleted", 4)

    assert decoded == [1, 2, 3, 4]
    assert run.ids == list(range(2000))


async def test_no_more_messages_are_held_than_allowed(aws: Aws) -> None:
    url = aws.queue()
    for n in range(7):
        aws.send(url, trail_record(n))
    most = 0

    async def slowly(run: Run[SqsSource], batch: Batch) -> None:
        nonlocal most
        most = max(most, run.source.inflight)
        await asyncio.sleep(0.05)
        run.events.extend(batch.events)
        await batch.ack()

    async with running(quick(url, max_inflight_messages=3, pollers=2), slowly) as run:
        await run.until_count("messages:deleted", 7)

    assert run.ids == list(range(7))
    assert most <= 3


async def test_a_slow_pipeline_does_not_lose_its_messages(aws: Aws) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    aws.send(url, trail_record(2))

    async def slowly(run: Run[SqsSource], batch: Batch) -> None:
        await asyncio.sleep(1.5)
        run.events.extend(batch.events)
        await batch.ack()

    async with running(quick(url, visibility_timeout=2), slowly) as run:
        await run.until_count("messages:deleted", 2)

    assert run.ids == [1, 2]
    assert run.source.counters["messages:received"] == 2  # 3 s of work, 2 s of visibility


@pytest.mark.parametrize(("delete", "counter"), [("on_receive", "messages:received"), ("never", "messages:kept")])
async def test_deleting_can_be_early_or_never(aws: Aws, delete: Any, counter: str) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    left = []

    async def look(run: Run[SqsSource], batch: Batch) -> None:
        left.append(aws.left(url))
        run.events.extend(batch.events)
        await batch.ack()

    async with running(quick(url, delete=delete, visibility_timeout=20), look) as run:
        await run.until_count(counter, 1)
        await run.until(lambda: bool(run.events) and not run.source.inflight)

    assert run.ids == [1]
    assert [*left, aws.left(url)] == ([0, 0] if delete == "on_receive" else [1, 1])


# Poison


DAMAGED = {
    "truncated-gzip": trail_file([trail_record(n, pad=str(n) * 50) for n in range(200)])[:-500],
    "bad-gzip": trail_file([trail_record(1)])[:-8] + bytes(8),
    "bomb": gzip.compress(b'{"Records": [' + b" " * 30_000_000 + b"]}"),
    "not-json": gzip.compress(b'{"Records": [' + json.dumps(trail_record(1)).encode() + b", {]}"),
    "unsupported:parquet": b"PAR1" + bytes(20) + b"PAR1",
}


@pytest.mark.parametrize("reason", DAMAGED)
async def test_a_damaged_file_is_read_twice_used_as_far_as_it_goes_and_ends_in_the_dead_letter_queue(
    aws: Aws, reason: str
) -> None:
    aws.bucket()
    url, dead = aws.queue_with_dlq(max_receives=2)
    aws.announce(url, aws.put(trail_key("bad"), DAMAGED[reason]))
    aws.announce(url, aws.put(trail_key("good"), [trail_record(500)]))

    async with running(quick(url)) as run:
        await run.until(lambda: aws.visible(dead) == 1 and run.source.counters["messages:deleted"] == 1)

    assert run.source.counters[f"poison:{reason}"] == 2
    assert run.source.counters["objects:read_again"] == 2
    assert run.ids[-1] == 500
    assert len(run.ids) == len(set(run.ids))
    if reason in ("truncated-gzip", "bad-gzip", "not-json"):
        assert len(run.ids) > 1


async def test_a_poison_message_ends_in_the_dead_letter_queue_and_holds_up_nothing(aws: Aws) -> None:
    url, dead = aws.queue_with_dlq(max_receives=3)
    aws.send(url, "what is this")
    aws.send(url, trail_record(1))

    async with running(quick(url)) as run:
        await run.until(lambda: aws.visible(dead) == 1)

    assert run.ids == [1]
    assert run.source.counters["poison:not-json"] == 3


async def test_the_good_parts_of_a_partly_bad_message_are_used_once(aws: Aws) -> None:
    url, dead = aws.queue_with_dlq(max_receives=2)
    aws.send(url, [trail_record(1), {"hello": "world"}])  # type: ignore[arg-type]

    async with running(quick(url)) as run:
        await run.until(lambda: aws.visible(dead) == 1)

    assert run.ids == [1]


async def test_poison_goes_to_the_queue_that_was_named_for_it(aws: Aws) -> None:
    url, dead = aws.queue(), aws.queue("elsewhere")
    aws.send(url, "what is this")

    async with running(quick(url, dlq_url=dead)) as run:
        await run.until_count("messages:deleted", 1)

    (message,) = aws.sqs.receive_message(QueueUrl=dead, MessageAttributeNames=["All"])["Messages"]
    assert message["Body"] == "what is this"
    assert message["MessageAttributes"]["LannerReason"]["StringValue"] == "not-json"
    assert aws.left(url) == 0


async def test_poison_goes_to_the_quarantine_directory(aws: Aws, tmp_path: Path) -> None:
    url = aws.queue()
    aws.send(url, "what is this")

    async with running(quick(url, quarantine=str(tmp_path / "kept"))) as run:
        await run.until_count("messages:deleted", 1)

    (path,) = (tmp_path / "kept").iterdir()
    kept = json.loads(path.read_text())
    assert (kept["reason"], kept["body"]) == ("not-json", "what is this")


async def test_poison_stays_while_the_quarantine_cannot_be_written(aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    url = aws.queue()
    aws.send(url, "what is this")

    async with running(quick(url, quarantine=str(tmp_path / "file" / "kept"))) as run:
        await run.until_count("messages:poison", 2)

    assert aws.left(url) == 1


async def test_poison_without_any_place_to_go_is_given_up_after_some_receives(
    aws: Aws, caplog: pytest.LogCaptureFixture
) -> None:
    url = aws.queue()
    aws.send(url, "what is this")

    with caplog.at_level(logging.WARNING, "lanner.cloudtrail"):
        async with running(quick(url, poison_attempts=3)) as run:
            await run.until_count("messages:deleted", 1)

    assert run.source.counters["messages:poison"] == 3
    assert run.source.counters["messages:poison_dropped"] == 1
    assert "dropped after 3 receives: 'what is this'" in caplog.text


async def test_a_missing_object_gets_one_more_chance_and_is_then_given_up(aws: Aws) -> None:
    aws.bucket()
    url, dead = aws.queue_with_dlq(max_receives=5)
    aws.announce(url, trail_key("expired"), aws.put(trail_key("here"), [trail_record(1)]))

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]
    assert run.source.counters["objects:missing"] == 1
    assert run.source.counters["messages:received"] == 2
    assert aws.left(dead) == 0


# Stopping


async def test_a_message_sent_after_the_stop_is_not_swallowed_by_the_last_poll(aws: Aws) -> None:
    url = aws.queue(VisibilityTimeout="60")
    async with running(quick(url, wait=1, visibility_timeout=60)):
        await asyncio.sleep(0.1)
    aws.send(url, trail_record(1))

    assert aws.visible(url) == 1


async def test_what_the_last_poll_brings_is_given_back_at_once(aws: Aws) -> None:
    url = aws.queue()
    async with running(quick(url, wait=1, visibility_timeout=60)) as run:
        await run.until(lambda: run.source._reserved > 0)
        await asyncio.sleep(0.1)
        stopping = asyncio.create_task(run.source.stop(6))
        await asyncio.sleep(0)
        aws.send(url, trail_record(1))
        await stopping

    assert run.events == []
    assert aws.visible(url) == 1
    assert run.source.counters["messages:released"] == 1


async def test_stopping_waits_for_what_was_begun(aws: Aws) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    begun = asyncio.Event()

    async def slowly(run: Run[SqsSource], batch: Batch) -> None:
        begun.set()
        await asyncio.sleep(1.5)
        run.events.extend(batch.events)
        await batch.ack()

    async with running(quick(url, visibility_timeout=60), slowly):
        await begun.wait()

    assert aws.left(url) == 0


async def test_batches_end_before_they_are_settled_so_that_a_pipeline_may_settle_last(aws: Aws) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))
    seen: list[Batch] = []

    async def only_collect(run: Run[SqsSource], batch: Batch) -> None:
        seen.append(batch)

    async with running(quick(url), only_collect, grace=6) as run:
        await run.until(lambda: bool(seen))
        stopping = asyncio.create_task(run.source.stop(6))
        assert [batch async for batch in run.source.batches()] == []
        await seen[0].ack()
        await stopping

    assert aws.left(url) == 0


async def test_stopping_twice_or_before_anything_came_is_harmless(aws: Aws) -> None:
    url = aws.queue()
    async with running(quick(url)) as run:
        pass
    await run.source.stop(1)

    assert run.events == []


async def test_events_tell_when_they_were_received_and_late_ones_are_counted(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    aws.announce(url, aws.put(trail_key("file"), [trail_record(1), trail_record(2, eventTime=now)]))
    before = time.time_ns()

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 1)

    old, new = sorted(run.events, key=lambda event: event.time_ns)
    assert run.source.counters["events_late"] == 1
    assert [_ask("evt.late", event) for event in (old, new)] == [True, False]
    assert _ask("evt.replay", old) is False
    assert new.receipt
    assert before <= new.receipt.time_ns <= time.time_ns()
    assert _ask("evt.delay", new) == new.receipt.time_ns - new.time_ns


async def test_how_late_is_late_can_be_told(aws: Aws) -> None:
    url = aws.queue()
    aws.send(url, trail_record(1))

    async with running(quick(url, objects=ObjectOptions(late_after=50 * 365 * 24 * 3600.0))) as run:
        await run.until_count("messages:deleted", 1)

    assert _ask("evt.late", run.events[0]) is False


def _ask(name: str, event: Event) -> Any:
    get = FIELDS[name].get
    assert get
    return get(event)


FIELDS = {row.name: row for row in cloudtrail_table(()).fields.values()}


async def test_a_record_that_breaks_costs_no_object_that_came_with_it(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    aws.bucket()
    url = aws.queue()
    key = aws.put(trail_key("file"), [trail_record(1)])
    s3 = {"bucket": {"name": BUCKET}, "object": {"key": key, "eTag": "e"}}
    announced = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}
    body = {"Records": [trail_record(2), announced]}
    real, broken = intake.record.to_event, [True]

    def breaks_once(given: Any, origin: str) -> Event:
        if given["eventID"].endswith("2") and broken:
            broken.pop()
            raise RuntimeError("nobody expected this")
        return real(given, origin)

    monkeypatch.setattr(intake.record, "to_event", breaks_once)
    aws.send(url, body)
    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1, 2]
    assert run.source.counters["internal_errors"] == 1
    assert run.source.counters["objects:duplicate"] == 1


@pytest.mark.parametrize("large", [False, True])
async def test_what_becomes_large_is_not_decoded_on_the_event_loop(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, large: bool
) -> None:
    aws.bucket()
    url = aws.queue()
    packed = trail_file([trail_record(1, requestParameters={"x": "y" * (4 << 20 if large else 100)})])
    assert len(packed) < 64 * 1024
    aws.announce(url, aws.put(trail_key("file"), packed))
    decoded: list[tuple[bool, int]] = []
    real = files.decode

    def watched(data: bytes, origin: str, **limits: int) -> Decoded:
        decoded.append((threading.current_thread() is threading.main_thread(), limits["max_bytes"]))
        return real(data, origin, **limits)

    monkeypatch.setattr(files, "decode", watched)
    async with running(quick(url, objects=ObjectOptions(max_ratio=10_000))) as run:
        await run.until_count("messages:deleted", 1)

    assert run.ids == [1]
    assert all(most <= 1 << 20 for on_loop, most in decoded if on_loop)
    assert any(not on_loop for on_loop, _ in decoded) == large
