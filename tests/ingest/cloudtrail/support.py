"""Queues, trail files and running sources for the tests of the CloudTrail transports."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import boto3

from engine.event import Event
from ingest.base import Batch, Source
from ingest.cloudtrail.options import AwsOptions, ObjectOptions, SqsOptions
from ingest.cloudtrail.sqs import SqsSource

ACCOUNT = "111122223333"
REGION = "eu-west-1"
BUCKET = "acme-trail"


class Aws:
    def __init__(self, url: str) -> None:
        self.url = url
        self.s3 = self.client("s3")
        self.sqs = self.client("sqs")

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )

    def close(self) -> None:
        self.s3.close()
        self.sqs.close()

    def bucket(self, name: str = BUCKET) -> str:
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name

    def queue(self, name: str = "lanner", **attributes: str) -> str:
        return self.sqs.create_queue(QueueName=name, Attributes={"VisibilityTimeout": "2", **attributes})["QueueUrl"]

    def queue_with_dlq(self, max_receives: int, name: str = "lanner") -> tuple[str, str]:
        dead = self.queue(f"{name}-dead")
        arn = self.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": max_receives})
        return self.queue(name, RedrivePolicy=policy), dead

    def put(self, key: str, records: list[dict[str, Any]] | bytes, bucket: str = BUCKET) -> str:
        """Store a trail file and return its key."""
        body = records if isinstance(records, bytes) else trail_file(records)
        self.s3.put_object(Bucket=bucket, Key=key, Body=body)
        return key

    def send(self, url: str, body: str | dict[str, Any]) -> None:
        self.sqs.send_message(QueueUrl=url, MessageBody=body if isinstance(body, str) else json.dumps(body))

    def announce(self, url: str, *keys: str, bucket: str = BUCKET) -> None:
        """Send CloudTrail's own notification about files."""
        self.send(url, {"s3Bucket": bucket, "s3ObjectKey": list(keys)})

    def left(self, url: str) -> int:
        """Messages in a queue, visible or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    def visible(self, url: str) -> int:
        name = "ApproximateNumberOfMessages"
        return int(self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def trail_record(number: int, **fields: Any) -> dict[str, Any]:
    """Make a CloudTrail record whose eventID is told by ``number``."""
    return {
        "eventVersion": "1.11",
        "eventID": f"00000000-0000-4000-8000-{number:012d}",
        "eventTime": "2026-01-02T03:04:05Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "CreateUser",
        "awsRegion": REGION,
        "eventType": "AwsApiCall",
        "recipientAccountId": ACCOUNT,
        **fields,
    }


def trail_file(records: list[dict[str, Any]]) -> bytes:
    return gzip.compress(json.dumps({"Records": records}).encode())


def trail_key(name: str, day: str = "2026/01/02", region: str = REGION, prefix: str = "") -> str:
    stamp = day.replace("/", "")
    folder = f"{prefix}AWSLogs/{ACCOUNT}/CloudTrail/{region}/{day}"
    return f"{folder}/{ACCOUNT}_CloudTrail_{region}_{stamp}T0305Z_{name}.json.gz"


def quick(url: str, **options: Any) -> SqsOptions:
    """Options for a queue URL with the short times that tests need."""
    base = SqsOptions(
        queue=f"sqs://{url}",
        wait=0,
        visibility_timeout=20,
        retry_backoff=(0,),
        access_pause=0.5,
        access_pause_max=1.0,
        aws=AwsOptions(region=REGION, attempts=1),
        objects=ObjectOptions(concurrency=4),
    )
    return replace(base, **options)


S = TypeVar("S", bound=Source)


@dataclass
class Run(Generic[S]):
    """A running source whose batches a pipeline takes; ``events`` are those of batches it has acknowledged."""

    source: S
    events: list[Event]
    batches: list[Batch]

    @property
    def ids(self) -> list[int]:
        return sorted(int(event.uid[-12:]) for event in self.events)

    async def until(self, condition: Callable[[], bool], limit: float = 60.0) -> None:
        """Wait for a condition that the source brings about."""
        async with asyncio.timeout(limit):
            while not condition():  # noqa: ASYNC110 - the source offers no such events
                await asyncio.sleep(0.02)

    async def until_count(self, name: str, number: int) -> None:
        await self.until(lambda: self.source.counters[name] >= number)


async def take(run: Run[Any], batch: Batch) -> None:
    """Settle a batch as a healthy pipeline does."""
    run.events.extend(batch.events)
    await batch.ack()


@asynccontextmanager
async def running(
    options: SqsOptions, settle: Callable[[Run[SqsSource], Batch], Awaitable[None]] = take, grace: float = 6.0
) -> AsyncIterator[Run[SqsSource]]:
    """Run a source and a pipeline over it; stopped gracefully at the end."""
    run = Run(SqsSource(options), [], [])
    await run.source.start()

    async def pipeline() -> None:
        async for batch in run.source.batches():
            run.batches.append(batch)
            await settle(run, batch)

    task = asyncio.create_task(pipeline())
    try:
        yield run
    finally:
        await run.source.stop(grace)
        await asyncio.wait_for(task, 5)
