"""A real trail, announced file by file and read back from the bucket: every record arrives once, whatever the way."""

import gzip
import json
from pathlib import Path

import pytest

from ingest.cloudtrail.backfill import S3Source
from ingest.cloudtrail.options import AwsOptions, S3Options
from tests.ingest.cloudtrail.support import BUCKET, REGION, Aws, quick, running
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared


@pytest.fixture
def trail(aws: Aws) -> dict[str, Path]:
    """Store the files of a real trail; return them by key."""
    assert SHARED
    aws.bucket()
    top = SHARED / "cloudtrail" / "invictus"
    files = {str(path.relative_to(top)): path for path in sorted(top.rglob("*_CloudTrail_*.json.gz"))}
    for key, path in files.items():
        aws.put(key, path.read_bytes())
    return files


def event_ids(trail: dict[str, Path]) -> set[str]:
    return {r["eventID"] for path in trail.values() for r in json.loads(gzip.decompress(path.read_bytes()))["Records"]}


async def test_a_real_trail_arrives_whole_through_a_queue(aws: Aws, trail: dict[str, Path]) -> None:
    url = aws.queue()
    for key in trail:
        aws.announce(url, key)

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", len(trail))

    uids = [event.uid for event in run.events]
    assert len(uids) == len(set(uids)) > 1000
    assert set(uids) == event_ids(trail)


async def test_a_real_trail_arrives_whole_from_the_bucket(trail: dict[str, Path]) -> None:
    source = S3Source(S3Options(f"s3://{BUCKET}", aws=AwsOptions(region=REGION)))
    await source.start()
    uids = []
    async for batch in source.batches():
        uids += [event.uid for event in batch.events]
        await batch.ack()
    await source.stop(1)

    assert len(uids) == len(set(uids))
    assert set(uids) == event_ids(trail)
    assert source.counters["objects:done"] == len(trail)
