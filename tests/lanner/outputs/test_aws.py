"""Outputs to AWS, against moto's server over HTTP: what was sent is read back by the SDK."""

import gzip
import io
import json
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from engine.alert import Alert
from engine.priority import Priority
from ingest.aws.options import AwsOptions
from lanner.outputs.aws import in_batches
from lanner.outputs.awsservices import SecurityHubOptions, finding
from lanner.outputs.base import Output, Undelivered
from lanner.outputs.kinds import OUTPUT_TYPES
from tests.ingest.cloudtrail.support import ACCOUNT, REGION, Aws
from tests.lanner.aws import aws_server
from tests.lanner.outputs.receiver import alert


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_server() as server:
        simple = json.dumps({"lambda": {"use_docker": False}}).encode()  # nothing here runs functions
        address = f"{server.url}/moto-api/config"
        urllib.request.urlopen(urllib.request.Request(address, data=simple, method="POST")).close()
        yield server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def made(kind: str, aws: Aws, **options: Any) -> Output:
    cls, make = OUTPUT_TYPES[kind].load()
    return make(kind, cls(aws=AwsOptions(region=REGION, endpoint_url=aws.url), **options))


async def deliver(output: Output, *alerts: Alert) -> None:
    await output.start()
    try:
        await output.deliver(alerts)
    finally:
        await output.close()


def several(count: int) -> list[Alert]:
    return [alert(uid=f"{number:04}", time_ns=time.time_ns() + number) for number in range(count)]


def uid(text: str | bytes) -> str:
    return str(json.loads(text)["lanner"]["uid"])


async def test_sqs(aws: Aws) -> None:
    url = aws.queue("alerts")
    await deliver(made("sqs", aws, url=url), *several(23))
    got = []
    while messages := aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        got += [uid(message["Body"]) for message in messages]
    assert sorted(got) == [f"{number:04}" for number in range(23)]


async def test_a_fifo_queue_keeps_order_and_drops_repeats(aws: Aws) -> None:
    url = aws.sqs.create_queue(QueueName="alerts.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    output = made("sqs", aws, url=url)
    await output.deliver(several(5))
    await output.deliver(several(5))
    await output.close()
    messages = aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
    assert [uid(message["Body"]) for message in messages] == [f"{number:04}" for number in range(5)]


async def test_sns_has_attributes_for_filters(aws: Aws) -> None:
    client = aws.client("sns")
    topic, queue = client.create_topic(Name="alerts")["TopicArn"], aws.queue("of-topic")
    arn = aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"priority": ["critical"]})
    client.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": policy})
    await deliver(
        made("sns", aws, topic_arn=topic), alert(uid="yes", rule="Straße"), alert(uid="no", priority=Priority.DEBUG)
    )
    messages = aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    envelopes = [json.loads(message["Body"]) for message in messages]
    assert [uid(envelope["Message"]) for envelope in envelopes] == ["yes"]
    assert envelopes[0]["Subject"] == "Critical: Stra?e"


async def test_kinesis(aws: Aws) -> None:
    client = aws.client("kinesis")
    client.create_stream(StreamName="alerts", ShardCount=1)
    await deliver(made("kinesis", aws, stream="alerts"), *several(7))
    shard = client.describe_stream(StreamName="alerts")["StreamDescription"]["Shards"][0]["ShardId"]
    start = client.get_shard_iterator(StreamName="alerts", ShardId=shard, ShardIteratorType="TRIM_HORIZON")
    records = client.get_records(ShardIterator=start["ShardIterator"])["Records"]
    assert [uid(record["Data"]) for record in records] == [f"{number:04}" for number in range(7)]


async def test_firehose(aws: Aws) -> None:
    bucket = aws.bucket("hose")
    client = aws.client("firehose")
    role = f"arn:aws:iam::{ACCOUNT}:role/hose"
    to = {"RoleARN": role, "BucketARN": f"arn:aws:s3:::{bucket}"}
    client.create_delivery_stream(DeliveryStreamName="alerts", ExtendedS3DestinationConfiguration=to)
    await deliver(made("firehose", aws, stream="alerts"), *several(3))
    (entry,) = aws.s3.list_objects_v2(Bucket=bucket)["Contents"]
    body = aws.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
    assert [uid(line) for line in body.splitlines()] == ["0000", "0001", "0002"]


async def test_cloudwatch_logs_makes_its_stream_and_takes_old_alerts_as_of_now(aws: Aws) -> None:
    client = aws.client("logs")
    client.create_log_group(logGroupName="/lanner/alerts")
    old = alert(uid="old")
    await deliver(made("cloudwatch-logs", aws, log_group="/lanner/alerts"), *several(3), old)
    events = client.get_log_events(logGroupName="/lanner/alerts", logStreamName="lanner", startFromHead=True)["events"]
    assert sorted(uid(event["message"]) for event in events) == ["0000", "0001", "0002", "old"]
    assert all(abs(event["timestamp"] - time.time() * 1000) < 3_600_000 for event in events)
    with pytest.raises(Undelivered, match=r"logs: .*ResourceNotFound"):
        await deliver(made("cloudwatch-logs", aws, log_group="/none"), alert())


async def test_s3_makes_one_object_of_what_waits_and_the_same_one_again(aws: Aws) -> None:
    bucket = aws.bucket("alerts")
    output = made("s3", aws, bucket=bucket, prefix="team/lanner")
    for _ in range(2):
        await output.deliver([alert(), alert(uid="2")])
    await output.close()
    (entry,) = aws.s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert entry["Key"] == "team/lanner/2025/10/09/085320123-00ff-2.jsonl.gz"
    body = gzip.decompress(aws.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
    assert [uid(line) for line in body.splitlines()] == ["00ff", "2"]


async def test_eventbridge(aws: Aws) -> None:
    client = aws.client("events")
    client.create_event_bus(Name="security")
    queue = aws.queue("of-bus")
    arn = aws.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    client.put_rule(Name="all", EventBusName="security", EventPattern=json.dumps({"source": ["lanner"]}))
    client.put_targets(Rule="all", EventBusName="security", Targets=[{"Id": "1", "Arn": arn}])
    await deliver(made("eventbridge", aws, bus="security"), *several(12))
    got = []
    while messages := aws.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        got += [json.loads(message["Body"]) for message in messages]
    assert len(got) == 12
    assert (got[0]["detail-type"], got[0]["detail"]["rule"]) == ("Lanner alert", "Trail stopped")


def test_details_of_events_are_json() -> None:
    cls, make = OUTPUT_TYPES["eventbridge"].load()
    with pytest.raises(ValueError, match="events of EventBridge are JSON, not text"):
        make("e", cls(format="text"))


async def test_security_hub_gets_valid_findings_and_updates_them(aws: Aws) -> None:
    client = aws.client("securityhub")
    client.enable_security_hub()
    output = made("securityhub", aws, account=ACCOUNT, region=REGION)
    await output.deliver([alert(), alert(uid="2")])
    await output.deliver([alert()])
    await output.close()
    found = client.get_findings()["Findings"]
    assert sorted(one["Id"] for one in found) == ["lanner/00ff", "lanner/2"]
    shape = client.meta.service_model.shape_for("AwsSecurityFinding")
    assert set(finding(alert(), SecurityHubOptions(account=ACCOUNT, region=REGION))) <= set(shape.members)
    assert set(shape.required_members) <= set(found[0])


@pytest.mark.parametrize(
    ("region", "arn"), [("eu-west-1", "arn:aws:"), ("cn-north-1", "arn:aws-cn:"), ("us-gov-west-1", "arn:aws-us-gov:")]
)
def test_a_finding_is_in_the_partition_of_its_region(region: str, arn: str) -> None:
    assert finding(alert(), SecurityHubOptions(account=ACCOUNT, region=region))["ProductArn"].startswith(arn)


async def test_lambda_is_invoked_with_one_alert(aws: Aws) -> None:
    role = aws.client("iam").create_role(RoleName="f", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("f.py", "def handler(event, context): return event")
    code = {"ZipFile": archive.getvalue()}
    functions = aws.client("lambda")
    functions.create_function(FunctionName="f", Runtime="python3.12", Role=role, Handler="f.handler", Code=code)
    await deliver(made("lambda", aws, function="f"), alert(), alert(uid="2"))


async def test_what_is_not_there_or_not_allowed_is_told_and_waits(aws: Aws) -> None:
    with pytest.raises(Undelivered, match="sqs: ") as failure:
        await deliver(made("sqs", aws, url=f"{aws.url}/{ACCOUNT}/none"), alert())
    assert not failure.value.refused


async def test_one_alert_that_is_too_large_does_not_hold_up_the_others(aws: Aws) -> None:
    url = aws.queue("small", MaximumMessageSize="1024")
    output = made("sqs", aws, url=url)
    large = alert(uid="large", message="x" * 5000)
    with pytest.raises(Undelivered) as failure:
        await output.deliver([alert(uid="1"), large, alert(uid="3")])
    await output.close()
    assert (failure.value.taken, failure.value.refused) == (1, True)


def test_batches_keep_to_numbers_and_bytes() -> None:
    cut = in_batches(3, 100, lambda alert: "x" * len(alert.uid))
    sizes = [
        [len(one.uid) for one in batch]
        for batch in cut([alert(uid="u" * size) for size in (10, 10, 10, 10, 95, 200, 5)])
    ]
    assert sizes == [[10, 10, 10], [10], [95], [200], [5]]
