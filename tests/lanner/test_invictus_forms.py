"""A real trail through the service, announced in every form there is: the alerts are those of a scan of its files."""

import asyncio
import base64
import gzip
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.evaluate import Engine
from lanner import service
from lanner.config import Config, read
from lanner.detect import Detector
from lanner.hostname import hostname
from lanner.reload import Loaded
from lanner.scan import Scan
from tests.ingest.cloudtrail.support import BUCKET, REGION, Aws
from tests.lanner.aws import aws_server
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared

ACCOUNT = "123456789012"
TRAIL = SHARED / "cloudtrail" / "invictus" if SHARED else Path()
PER_MESSAGE = 150
RULESET = "rules_files: [bundled/aws]\nsources: [{type: k8saudit}]"

Announce = Callable[["Trail"], None]


class Trail:
    """The files in a bucket, and a queue to hear of them."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.queue = aws.queue()
        self.queue_arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:lanner"
        self.files = {str(path.relative_to(TRAIL)): path for path in sorted(TRAIL.rglob("*.json.gz"))}
        aws.bucket()

    def store(self) -> None:
        for key, path in self.files.items():
            self.aws.put(key, path.read_bytes())

    def send(self, body: Any) -> None:
        self.aws.send(self.queue, body)

    def records(self) -> Iterator[list[dict[str, Any]]]:
        for path in self.files.values():
            records = json.loads(gzip.decompress(path.read_bytes()))["Records"]
            for start in range(0, len(records), PER_MESSAGE):
                yield records[start : start + PER_MESSAGE]


def s3_notification(trail: Trail) -> None:
    """The bucket itself tells the queue."""
    configuration = {"QueueConfigurations": [{"QueueArn": trail.queue_arn, "Events": ["s3:ObjectCreated:*"]}]}
    trail.aws.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration=configuration)
    trail.store()


def through_sns(raw: bool) -> Announce:
    def announce(trail: Trail) -> None:
        """CloudTrail tells a topic, the topic the queue."""
        trail.store()
        sns = trail.aws.client("sns")
        topic = sns.create_topic(Name="trail")["TopicArn"]
        attributes = {"RawMessageDelivery": "true"} if raw else {}
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=trail.queue_arn, Attributes=attributes)
        for key in trail.files:
            sns.publish(TopicArn=topic, Message=json.dumps({"s3Bucket": BUCKET, "s3ObjectKey": [key]}))
        sns.close()

    return announce


def s3_notification_through_sns(trail: Trail) -> None:
    trail.store()
    for key in trail.files:
        s3 = {"bucket": {"name": BUCKET}, "object": {"key": key.replace("/", "%2F")}}
        told = {"Records": [{"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}]}
        trail.send({"Type": "Notification", "TopicArn": "arn:aws:sns:::t", "Message": json.dumps(told)})


def cloudtrail_notification(trail: Trail) -> None:
    trail.store()
    trail.send({"s3Bucket": BUCKET, "s3ObjectKey": list(trail.files)})


def eventbridge_object(trail: Trail) -> None:
    trail.store()
    for key in trail.files:
        detail = {"bucket": {"name": BUCKET}, "object": {"key": key}}
        trail.send({"detail-type": "Object Created", "source": "aws.s3", "detail": detail})


def eventbridge_inline(trail: Trail) -> None:
    """The events themselves; some of one message, for a queue of thousands is slow to serve here."""
    for records in trail.records():
        trail.send(json.dumps([{"detail-type": "AWS API Call via CloudTrail", "detail": record} for record in records]))


def log_subscription(trail: Trail) -> None:
    for records in trail.records():
        events = [{"id": str(n), "timestamp": 0, "message": json.dumps(record)} for n, record in enumerate(records)]
        data = {"messageType": "DATA_MESSAGE", "logGroup": "CloudTrail", "logEvents": events}
        trail.send(base64.b64encode(gzip.compress(json.dumps(data).encode())).decode())


FORMS: dict[str, Announce] = {
    "s3-notification": s3_notification,
    "s3-notification-through-sns": s3_notification_through_sns,
    "cloudtrail-through-sns": through_sns(raw=False),
    "cloudtrail-through-sns-raw": through_sns(raw=True),
    "cloudtrail-notification": cloudtrail_notification,
    "eventbridge-object": eventbridge_object,
    "eventbridge-inline": eventbridge_inline,
    "log-subscription": log_subscription,
}


@pytest.fixture(scope="module")
def ruleset() -> Any:
    return service.load_ruleset(read(RULESET, "test"))


@pytest.fixture(scope="module")
def scanned(ruleset: Any) -> list[tuple[str, str]]:
    """Return uid and message of each alert of a scan."""
    scan = Scan(Detector(Engine(ruleset), hostname()))
    paths = map(str, sorted(TRAIL.rglob("*.json.gz")))
    return sorted((alert.uid, alert.message) for alerts in scan.alerts(paths) for alert in alerts)


@pytest.fixture
def trail() -> Iterator[Trail]:
    with aws_server() as aws:
        yield Trail(aws)


def configured(trail: Trail, folder: Path) -> Config:
    reached = {"region": REGION, "endpoint_url": trail.aws.url}
    source = {
        "type": "cloudtrail",
        "queue": f"sqs://{trail.queue}",
        "wait": 0,
        "visibility_timeout": 60,
        "aws": reached,
    }
    config = {
        "json_output": True,
        "alert_uid": True,
        "stdout_output": {"enabled": False},
        "file_output": {"enabled": True, "filename": f"{folder}/alerts.jsonl"},
        "outbox": {"path": f"{folder}/outbox.sqlite"},
        "sources": [source],
    }
    return read(json.dumps(config), "test")


async def serve_until_drained(config: Config, ruleset: Any, trail: Trail) -> None:
    """Run the service until the queue is empty, and end it as a supervisor does."""
    loaded = Loaded(config, ruleset, ())
    serving = asyncio.create_task(service.serve(loaded, lambda: loaded))
    while await asyncio.to_thread(trail.aws.left, trail.queue):
        assert not serving.done(), serving
        await asyncio.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
    await serving


@pytest.mark.parametrize("form", FORMS)
async def test_alerts_are_those_of_a_scan(
    form: str,
    trail: Trail,
    ruleset: Any,
    scanned: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    FORMS[form](trail)
    assert trail.aws.left(trail.queue) > 0

    await serve_until_drained(configured(trail, tmp_path), ruleset, trail)

    told = [json.loads(line) for line in (tmp_path / "alerts.jsonl").read_text().splitlines()]
    assert sorted({(alert["lanner"]["uid"], message_of(alert)) for alert in told}) == scanned
    assert len(scanned) > 100


def message_of(alert: dict[str, Any]) -> str:
    """Return the output without time and priority."""
    return str(alert["output"]).partition(f": {alert['priority']} ")[2]
