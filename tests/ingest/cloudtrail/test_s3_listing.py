"""Finding trail files in every layout of bucket, from every level of prefix."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from ingest.base import SourceError
from ingest.cloudtrail.aws import Clients
from ingest.cloudtrail.interval import Interval
from ingest.cloudtrail.listing import Bucket, Selection, key_facts, parse_location, wanted_objects
from ingest.cloudtrail.options import AwsOptions
from tests.ingest.cloudtrail.support import ACCOUNT, BUCKET, REGION, Aws, trail_key

OTHER = "444455556666"
ORGANISATION = "o-abcdefghij"
EVERYTHING = Selection(Interval())


def key(
    account: str = ACCOUNT,
    region: str = REGION,
    day: str = "2026/01/02",
    name: str = "a",
    before: str = "",
    org: str = "",
) -> str:
    stamp = day.replace("/", "")
    folder = f"{before}AWSLogs/{org}{account}/CloudTrail/{region}/{day}"
    return f"{folder}/{account}_CloudTrail_{region}_{stamp}T0305Z_{name}.json.gz"


@pytest.fixture
async def bucket(aws: Aws) -> AsyncIterator[Bucket]:
    aws.bucket()
    async with Clients(AwsOptions(region=REGION)) as clients:
        yield Bucket(await clients.s3(), BUCKET)


async def found(
    bucket: Bucket, prefix: str = "", selection: Selection = EVERYTHING, since: datetime | None = None
) -> list[str]:
    roots = await bucket.roots(prefix, selection)
    return sorted([ref.key for root in roots async for ref, _ in wanted_objects(bucket, root, selection, since)])


LAYOUTS = {
    "root": ("", ""),
    "prefixed": ("trails/main/", ""),
    "organisation": ("", f"{ORGANISATION}/"),
    "control tower before 3.0": (f"{ORGANISATION}/", ""),
    "control tower": (f"{ORGANISATION}/", f"{ORGANISATION}/"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
async def test_every_layout_is_found_from_every_level_of_prefix(
    aws: Aws, bucket: Bucket, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "2")  # so that every level has several pages
    before, org = LAYOUTS[layout]
    wanted = sorted(
        aws.put(key(account, region, before=before, org=org), b"")
        for account in (ACCOUNT, OTHER)
        for region in (REGION, "us-east-1")
    )
    aws.put(f"{before}AWSLogs/{org}{ACCOUNT}/CloudTrail-Digest/{REGION}/2026/01/02/d.json.gz", b"")
    aws.put(f"{before}AWSLogs/{org}{ACCOUNT}/Config/{REGION}/2026/01/02/c.json.gz", b"")
    aws.put(f"{before}AWSLogs/{org}{ACCOUNT}/CloudTrail/", b"")

    logs = f"{before}AWSLogs/{org}"
    for prefix in ["", before, f"{before}AWSLogs", logs, logs.rstrip("/")]:
        assert await found(bucket, prefix) == wanted
    one_account = [k for k in wanted if ACCOUNT in k]
    for prefix in [f"{logs}{ACCOUNT}", f"{logs}{ACCOUNT}/CloudTrail/"]:
        assert await found(bucket, prefix) == one_account
    one_region = [k for k in one_account if REGION in k]
    for prefix in [f"{logs}{ACCOUNT}/CloudTrail/{REGION}", f"{logs}{ACCOUNT}/CloudTrail/{REGION}/2026/01/"]:
        assert await found(bucket, prefix) == one_region
    assert await found(bucket, one_region[0]) == one_region


@pytest.mark.parametrize(
    "prefix", ["", "AWSLogs/", f"AWSLogs/{ACCOUNT}/", f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/"]
)
async def test_the_interval_counts_whatever_the_prefix(aws: Aws, bucket: Bucket, prefix: str) -> None:
    days = ["2025/12/31", "2026/01/01", "2026/01/02", "2026/01/03", "2026/01/04"]
    keys = [aws.put(key(day=day), b"") for day in days]
    interval = Interval(datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 3, 3, 5, tzinfo=UTC))

    assert await found(bucket, prefix, Selection(interval)) == keys[2:4]


async def test_accounts_and_regions_can_be_chosen_whatever_the_prefix(aws: Aws, bucket: Bucket) -> None:
    wanted = aws.put(key(OTHER, "us-east-1"), b"")
    for account, region in [(ACCOUNT, REGION), (OTHER, REGION), (ACCOUNT, "us-east-1")]:
        aws.put(key(account, region), b"")
    selection = Selection(Interval(), frozenset({OTHER}), frozenset({"us-east-1"}))

    for prefix in ["", "AWSLogs/", f"AWSLogs/{OTHER}", f"AWSLogs/{OTHER}/CloudTrail/us-east-1/2026/", "AWSLogs/4"]:
        assert await found(bucket, prefix, selection) == [wanted]
    assert await found(bucket, f"AWSLogs/{ACCOUNT}/", selection) == []


async def test_only_the_days_that_can_matter_are_listed(
    aws: Aws, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in range(1, 29):
        aws.put(key(day=f"2026/01/{day:02}"), b"")
    interval = Interval(datetime(2026, 1, 10, tzinfo=UTC), datetime(2026, 1, 12, tzinfo=UTC))
    listed: list[str] = []
    objects = bucket.objects

    async def watched(prefix: str, after: str = "") -> AsyncIterator[dict[str, Any]]:
        async for entry in objects(prefix, after):
            listed.append(entry["Key"].split("/")[6])
            yield entry

    monkeypatch.setattr(bucket, "objects", watched)
    kept = await found(bucket, selection=Selection(interval))

    assert len(kept) == 2
    assert listed == ["09", "10", "11", "12", "13"]  # an hour early, and one to see the end


async def test_days_before_the_checkpoint_are_not_listed(aws: Aws, bucket: Bucket) -> None:
    keys = [aws.put(key(day=f"2026/01/0{day}"), b"") for day in range(1, 6)]

    assert await found(bucket, since=datetime(2026, 1, 4, 9, tzinfo=UTC)) == keys[3:]


async def test_a_copied_archive_without_the_layout_is_listed_as_it_is(aws: Aws, bucket: Bucket) -> None:
    aws.put("archive/one.json.gz", b"")
    aws.put("archive/more/two.json", b"")

    assert await found(bucket, "archive") == ["archive/more/two.json", "archive/one.json.gz"]
    assert await found(bucket, "archive", Selection(Interval(), frozenset({ACCOUNT}))) == []
    assert await found(bucket, "archive", Selection(Interval(datetime(2100, 1, 1, tzinfo=UTC)))) == []


async def test_an_empty_bucket_holds_nothing(bucket: Bucket) -> None:

    assert await found(bucket) == []


def test_keys_tell_account_region_and_time() -> None:
    facts = key_facts(trail_key("a"))

    assert facts is not None
    assert (facts.account, facts.region, facts.time) == (ACCOUNT, REGION, datetime(2026, 1, 2, 3, 5, tzinfo=UTC))
    assert key_facts(f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/02/odd.json") is not None
    assert key_facts("archive/one.json.gz") is None
    assert key_facts(trail_key("a").replace("2026/01/02", "2026/13/02").replace("20260102", "20261302")) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [("s3://bucket", ("bucket", "")), ("s3://bucket/", ("bucket", "")), ("s3://my.bucket/a/b", ("my.bucket", "a/b"))],
)
def test_locations_name_bucket_and_prefix(text: str, parts: tuple[str, str]) -> None:
    assert parse_location(text) == parts


@pytest.mark.parametrize("text", ["s3://", "s3:///a", "bucket/a", "s3://Bucket", "sqs://queue"])
def test_other_locations_are_errors(text: str) -> None:
    with pytest.raises(SourceError, match="expected s3://bucket"):
        parse_location(text)
