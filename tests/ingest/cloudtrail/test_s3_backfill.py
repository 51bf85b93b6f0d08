"""Reading a bucket back: all of it once, resumed where it stopped, followed without repeats."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest.base import Batch, SourceError
from ingest.cloudtrail.backfill import S3Source
from ingest.cloudtrail.options import AwsOptions, ObjectOptions, S3Options
from tests.ingest.cloudtrail.proxy import Proxy, proxy, s3_error
from tests.ingest.cloudtrail.support import BUCKET, REGION, Aws, Run, take, trail_file, trail_key, trail_record

OPTIONS = S3Options(
    location=f"s3://{BUCKET}",
    poll_interval=0.1,
    retry_pause=0.01,
    access_pause=0.3,
    aws=AwsOptions(region=REGION, attempts=1),
    objects=ObjectOptions(concurrency=4),
)


@pytest.fixture
async def door(aws: Aws) -> AsyncIterator[Proxy]:
    async with proxy(aws.url) as running_proxy:
        yield running_proxy


def through(door: Proxy, **options: Any) -> S3Options:
    return replace(OPTIONS, aws=AwsOptions(region=REGION, attempts=1, endpoint_url=door.url), **options)


def store(aws: Aws, numbers: range, day: str = "2026/01/02") -> list[str]:
    return [aws.put(trail_key(f"file{n:04}", day), [trail_record(n)]) for n in numbers]


async def read_all(
    options: S3Options, settle: Callable[[Run[S3Source], Batch], Awaitable[None]] = take
) -> Run[S3Source]:
    """Run a source to its end."""
    run = Run(S3Source(options), [], [])
    await run.source.start()
    try:
        async with asyncio.timeout(60):
            async for batch in run.source.batches():
                run.batches.append(batch)
                await settle(run, batch)
    finally:
        await run.source.stop(2)
    return run


@asynccontextmanager
async def following(options: S3Options) -> AsyncIterator[Run[S3Source]]:
    run = Run(S3Source(replace(options, follow=True)), [], [])
    await run.source.start()

    async def pipeline() -> None:
        async for batch in run.source.batches():
            await take(run, batch)

    task = asyncio.create_task(pipeline())
    try:
        yield run
    finally:
        await run.source.stop(3)
        await asyncio.wait_for(task, 5)


async def test_a_bucket_is_read_to_its_end(aws: Aws) -> None:
    aws.bucket()
    store(aws, range(20))

    run = await read_all(OPTIONS)

    assert run.ids == list(range(20))
    assert run.source.counters["objects:done"] == 20


async def test_an_empty_bucket_ends_at_once(aws: Aws) -> None:
    aws.bucket()

    assert (await read_all(OPTIONS)).events == []


async def test_interval_accounts_and_regions_choose_what_is_read(aws: Aws) -> None:
    aws.bucket()
    store(aws, range(2), "2026/01/02")
    store(aws, range(2, 4), "2026/01/05")
    chosen = replace(OPTIONS, interval="2026-01-04T00:00:00Z-2026-01-06T00:00:00Z")

    assert (await read_all(chosen)).ids == [2, 3]
    assert (await read_all(replace(chosen, regions=("us-east-1",)))).ids == []
    assert (await read_all(replace(chosen, accounts=("999999999999",)))).ids == []


async def test_a_second_run_with_the_same_checkpoint_reads_only_what_is_new(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    store(aws, range(5))
    options = replace(OPTIONS, checkpoint=str(tmp_path / "state" / "trail.db"))
    await read_all(options)
    store(aws, range(5, 7), "2026/01/03")

    second = await read_all(options)

    assert second.ids == [5, 6]
    assert second.source.counters["objects:listed"] == 2


async def test_a_late_file_with_an_older_name_is_found_within_the_lookback(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    store(aws, range(10, 11), "2026/01/10")
    options = replace(OPTIONS, checkpoint=str(tmp_path / "trail.db"))
    await read_all(options)
    store(aws, range(1, 2), "2026/01/09")
    store(aws, range(2, 3), "2026/01/05")

    assert (await read_all(options)).ids == [1]


async def test_an_interrupted_run_goes_on_where_it_was_and_loses_nothing(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    store(aws, range(30))
    options = replace(OPTIONS, checkpoint=str(tmp_path / "trail.db"))
    first = Run(S3Source(options), [], [])
    await first.source.start()
    async for batch in first.source.batches():
        await take(first, batch)
        if len(first.events) == 10:
            break
    await first.source.stop(1)

    second = await read_all(options)

    assert len(first.events) == 10
    assert sorted(first.ids + second.ids) == list(range(30))


async def test_what_was_taken_but_not_settled_is_read_again_by_the_next_run(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    store(aws, range(3))
    options = replace(OPTIONS, checkpoint=str(tmp_path / "trail.db"))
    first = Run(S3Source(options), [], [])
    await first.source.start()
    await anext(first.source.batches())
    await first.source.stop(1)

    assert (await read_all(options)).ids == [0, 1, 2]


async def test_a_refused_batch_comes_again(aws: Aws) -> None:
    aws.bucket()
    store(aws, range(3))

    async def refuse_first(run: Run[S3Source], batch: Batch) -> None:
        await (batch.nack("the outbox is full") if len(run.batches) == 1 else take(run, batch))

    run = await read_all(OPTIONS, refuse_first)

    assert run.ids == [0, 1, 2]
    assert len(run.batches) == 4


async def test_an_object_that_fails_for_good_is_left_out_and_found_by_the_next_run(
    aws: Aws, door: Proxy, tmp_path: Path
) -> None:
    aws.bucket()
    store(aws, range(2), "2026/01/02")
    store(aws, range(2, 4), "2026/03/01")  # long after the lookback of the failed ones
    options = through(door, checkpoint=str(tmp_path / "trail.db"))
    door.fault = lambda seen: s3_error("InternalError", 500) if "file0001" in seen.path else None
    first = await read_all(options)
    door.fault = None

    second = await read_all(options)

    assert first.ids == [0, 2, 3]
    assert first.source.counters["objects:given_up"] == 1
    assert second.ids == [1]


async def test_a_damaged_file_is_used_as_far_as_it_goes_and_not_read_for_ever(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    whole = trail_file([trail_record(n, pad=str(n) * 50) for n in range(200)])
    aws.put(trail_key("bad"), whole[: len(whole) - 200])
    options = replace(OPTIONS, checkpoint=str(tmp_path / "trail.db"))
    first = await read_all(options)
    second = await read_all(options)

    assert len(first.ids) > 10
    assert first.source.counters["objects:poison"] == 1
    assert second.source.counters["objects:listed"] == 0
    rows = sqlite3.connect(tmp_path / "trail.db").execute("SELECT result FROM done").fetchall()
    assert rows == [("truncated-gzip",)]


async def test_a_rewritten_object_is_read_again(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    key = aws.put(trail_key("a"), [trail_record(1)])
    options = replace(OPTIONS, checkpoint=str(tmp_path / "trail.db"))
    await read_all(options)
    aws.put(key, [trail_record(1), trail_record(2)])

    assert (await read_all(options)).ids == [1, 2]


async def test_archived_objects_are_counted_and_left_alone(aws: Aws) -> None:
    aws.bucket()
    store(aws, range(1))
    aws.s3.put_object(Bucket=BUCKET, Key=trail_key("cold"), Body=b"x", StorageClass="DEEP_ARCHIVE")

    run = await read_all(OPTIONS)

    assert run.ids == [0]
    assert run.source.counters["objects:archived"] == 1


async def test_following_finds_new_files_once(aws: Aws) -> None:
    aws.bucket()
    store(aws, range(2))

    async with following(OPTIONS) as run:
        await run.until(lambda: len(run.events) == 2)
        store(aws, range(2, 4))
        aws.put(trail_key("other", region="us-east-1"), [trail_record(9)])
        await run.until(lambda: len(run.events) == 5)
        listings = run.source.counters["listings"]
        await run.until(lambda: run.source.counters["listings"] > listings + 2)

    assert run.ids == [0, 1, 2, 3, 9]
    assert run.source.counters["objects:listed"] == 5


async def test_following_survives_a_listing_that_fails(aws: Aws, door: Proxy) -> None:
    aws.bucket()
    store(aws, range(1))

    async with following(through(door)) as run:
        await run.until(lambda: len(run.events) == 1)
        door.fault = lambda seen: s3_error("AccessDenied", 403)
        await run.until(lambda: not run.source.health().ok)
        assert "s3:ListBucket is needed" in run.source.health().detail
        door.fault = None
        store(aws, range(1, 2))
        await run.until(lambda: len(run.events) == 2)
        assert run.source.health().ok

    assert run.ids == [0, 1]


async def test_following_waits_while_objects_are_denied(aws: Aws, door: Proxy) -> None:
    aws.bucket()
    store(aws, range(8))
    door.fault = lambda seen: s3_error("AccessDenied", 403) if "file" in seen.path else None

    async with following(through(door)) as run:
        await run.until(lambda: not run.source.health().ok)
        door.fault = None
        await run.until(lambda: len(run.events) == 8)

    assert run.ids == list(range(8))


async def test_a_single_run_ends_with_an_error_when_objects_are_denied(aws: Aws, door: Proxy) -> None:
    aws.bucket()
    store(aws, range(12))
    door.fault = lambda seen: s3_error("AccessDenied", 403) if "file" in seen.path else None

    with pytest.raises(SourceError, match=r"objects cannot be read: .*AccessDenied"):
        await read_all(through(door))


async def test_a_passing_fault_of_the_listing_is_waited_out(aws: Aws, door: Proxy) -> None:
    aws.bucket()
    store(aws, range(3))
    lists = 0

    def fail_once(seen: Any) -> Any:
        nonlocal lists
        lists += seen.path == f"/{BUCKET}"
        return s3_error("SlowDown", 503) if lists == 5 and seen.path == f"/{BUCKET}" else None

    door.fault = fail_once
    run = await read_all(through(door))

    assert run.ids == [0, 1, 2]
    assert run.source.counters["listing_errors"] == 1


@pytest.mark.parametrize(
    ("location", "message"),
    [("s3://nobody-has-this", "no such bucket"), ("s3://", "expected s3://bucket")],
)
async def test_what_cannot_be_read_is_an_error(aws: Aws, location: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        await read_all(replace(OPTIONS, location=location))


async def test_an_unknown_profile_is_an_error(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    with pytest.raises(SourceError, match="nobody"):
        await read_all(replace(OPTIONS, aws=AwsOptions(profile="nobody")))


async def test_a_bad_interval_is_an_error(aws: Aws) -> None:
    with pytest.raises(SourceError, match="ends before it begins"):
        await read_all(replace(OPTIONS, interval="2d-5d"))


async def test_a_checkpoint_that_breaks_ends_the_run_with_an_error(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    store(aws, range(3))
    source = S3Source(replace(OPTIONS, checkpoint=str(tmp_path / "trail.db")))
    await source.start()
    with sqlite3.connect(tmp_path / "trail.db") as other:
        other.execute("DROP TABLE done")

    with pytest.raises(SourceError, match="no such table"):
        await anext(source.batches())
    await source.stop(1)


async def test_stopping_what_was_never_started_is_harmless() -> None:
    await S3Source(OPTIONS).stop(1)


async def test_a_checkpoint_of_another_location_is_refused(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    options = replace(OPTIONS, checkpoint=str(tmp_path / "trail.db"))
    await read_all(options)

    with pytest.raises(SourceError, match="was made for s3://acme-trail, not for s3://acme-trail/x"):
        await read_all(replace(options, location=f"s3://{BUCKET}/x"))


async def test_a_checkpoint_that_is_no_database_is_refused(aws: Aws, tmp_path: Path) -> None:
    (tmp_path / "trail.db").write_text("something else entirely, longer than a header\n" * 50)

    with pytest.raises(SourceError, match="checkpoint"):
        await read_all(replace(OPTIONS, checkpoint=str(tmp_path / "trail.db")))


def replayed(run: Run[S3Source]) -> dict[int, bool]:
    return {int(event.uid[-12:]): bool(event.receipt and event.receipt.replay) for event in run.events}


async def test_what_a_bucket_held_is_a_replay_and_what_comes_is_not(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    store(aws, range(2))
    options = replace(OPTIONS, checkpoint=str(tmp_path / "checkpoint"))

    async with following(options) as run:
        await run.until_count("objects:done", 2)
        store(aws, range(2, 3))
        await run.until_count("objects:done", 3)
    assert replayed(run) == {0: True, 1: True, 2: False}
    assert run.source.counters["events_late"] == 1

    store(aws, range(3, 4))
    async with following(options) as run:  # it came while nobody looked
        await run.until_count("objects:done", 1)
    assert replayed(run) == {3: False}


async def test_all_of_a_single_run_is_a_replay(aws: Aws, tmp_path: Path) -> None:
    aws.bucket()
    options = replace(OPTIONS, checkpoint=str(tmp_path / "checkpoint"))
    store(aws, range(1))
    assert replayed(await read_all(options)) == {0: True}
    store(aws, range(1, 2))
    assert replayed(await read_all(options)) == {1: True}
