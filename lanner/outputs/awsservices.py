"""
The services of AWS that alerts can go to: queues, topics, streams, logs, buckets, functions, events and findings.

Where a service takes several in one call and says one by one which it took, the ones from the first that it did not
take on are sent again. What has an identity there (FIFO queues and topics, findings) gets the alert's uid.
Source of the limits: the service quotas pages of the AWS documentation.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from engine import times
from engine.alert import Alert
from ingest.aws.options import AwsOptions
from lanner.outputs.aws import AwsOutput, AwsOutputOptions, first_failure, in_batches
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import cut, form, techniques

# Queues and topics


@dataclass(frozen=True, slots=True, kw_only=True)
class SqsOutputOptions(AwsOutputOptions):
    """
    A queue.

    Attributes:
        url: Of the queue.
    """

    url: str


def sqs(name: str, options: SqsOutputOptions) -> AwsOutput:
    """Return an output to a queue."""
    line = form(options.format)

    async def send(client: Any, alerts: Sequence[Alert]) -> None:
        entries = [
            {"Id": str(at), "MessageBody": line(alert), **_fifo(options.url, alert)} for at, alert in enumerate(alerts)
        ]
        _by_id("sqs", await client.send_message_batch(QueueUrl=options.url, Entries=entries))

    return AwsOutput(name, "sqs", options.aws, in_batches(10, 250_000, line), send)


def _by_id(service: str, answer: Mapping[str, Any]) -> None:
    """Find what was not taken of a call whose entries have numbers."""
    failed = sorted(answer.get("Failed") or [], key=lambda one: int(one["Id"]))
    why = "; ".join(dict.fromkeys(f"{one['Code']}: {one.get('Message', '')}" for one in failed))
    hopeless = bool(failed) and bool(failed[0].get("SenderFault"))
    first_failure([int(one["Id"]) for one in failed], f"{service}: {why}", hopeless)


def _fifo(target: str, alert: Alert) -> dict[str, str]:
    if not target.endswith(".fifo"):
        return {}
    return {"MessageGroupId": alert.source, "MessageDeduplicationId": alert.uid}


@dataclass(frozen=True, slots=True, kw_only=True)
class SnsOptions(AwsOutputOptions):
    """
    A topic; messages have rule, priority and source as attributes, for filter policies.

    Attributes:
        topic_arn: ARN of the topic.
    """

    topic_arn: str


def sns(name: str, options: SnsOptions) -> AwsOutput:
    """Return an output to a topic."""
    line = form(options.format)

    async def send(client: Any, alerts: Sequence[Alert]) -> None:
        entries = [
            {
                "Id": str(at),
                "Message": line(alert),
                "Subject": _subject(alert),
                "MessageAttributes": _attributes(alert),
                **_fifo(options.topic_arn, alert),
            }
            for at, alert in enumerate(alerts)
        ]
        answer = await client.publish_batch(TopicArn=options.topic_arn, PublishBatchRequestEntries=entries)
        _by_id("sns", answer)

    return AwsOutput(name, "sns", options.aws, in_batches(10, 250_000, line), send)


def _subject(alert: Alert) -> str:
    text = "".join(letter if 32 <= ord(letter) < 127 else "?" for letter in f"{alert.priority.label}: {alert.rule}")
    return text[:100].strip() or "alert"


def _attributes(alert: Alert) -> dict[str, dict[str, str]]:
    values = {"rule": alert.rule, "priority": alert.priority.name.lower(), "source": alert.source}
    return {key: {"DataType": "String", "StringValue": value} for key, value in values.items() if value}


# Streams and logs


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisOptions(AwsOutputOptions):
    """
    A data stream.

    Attributes:
        stream: Name of the stream.
    """

    stream: str


def kinesis(name: str, options: KinesisOptions) -> AwsOutput:
    """Return an output to a data stream; alerts of one host stay in order."""
    line = form(options.format)

    async def send(client: Any, alerts: Sequence[Alert]) -> None:
        records = [{"Data": f"{line(one)}\n".encode(), "PartitionKey": one.hostname[:256] or "-"} for one in alerts]
        answer = await client.put_records(StreamName=options.stream, Records=records)
        _some("kinesis", answer["Records"])

    return AwsOutput(name, "kinesis", options.aws, in_batches(500, 4_000_000, line), send)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirehoseOptions(AwsOutputOptions):
    """
    A Firehose.

    Attributes:
        stream: Name of the delivery stream.
    """

    stream: str


def firehose(name: str, options: FirehoseOptions) -> AwsOutput:
    """Return an output to a Firehose, a line for each alert."""
    line = form(options.format)

    async def send(client: Any, alerts: Sequence[Alert]) -> None:
        records = [{"Data": f"{line(alert)}\n".encode()} for alert in alerts]
        answer = await client.put_record_batch(DeliveryStreamName=options.stream, Records=records)
        _some("firehose", answer["RequestResponses"])

    return AwsOutput(name, "firehose", options.aws, in_batches(500, 3_500_000, line), send)


def _some(service: str, results: Sequence[Mapping[str, Any]]) -> None:
    failed = [at for at, result in enumerate(results) if result.get("ErrorCode")]
    whys = (f"{results[at]['ErrorCode']}: {results[at].get('ErrorMessage', '')}" for at in failed)
    first_failure(failed, f"{service}: {'; '.join(dict.fromkeys(whys))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatchLogsOptions(AwsOutputOptions):
    """
    A log group of CloudWatch Logs.

    Attributes:
        log_group: Name of the group; it must be there.
        log_stream: Name of the stream; made when it is not there.
    """

    log_group: str
    log_stream: str = "lanner"


_LOG_AGE_MS = 13 * 24 * 3600 * 1000


def cloudwatch_logs(name: str, options: CloudWatchLogsOptions) -> AwsOutput:
    """Return an output to a log group; an alert too old for it is logged with the time of now."""
    line = form(options.format)
    place = {"logGroupName": options.log_group, "logStreamName": options.log_stream}

    async def send(client: Any, alerts: Sequence[Alert]) -> None:
        now = int(datetime.now(UTC).timestamp() * 1000)
        rows = ({"timestamp": _logged(alert, now), "message": line(alert)} for alert in alerts)
        stamped = sorted(rows, key=_timestamp)
        try:
            await client.put_log_events(**place, logEvents=stamped)
        except client.exceptions.ResourceNotFoundException:
            await client.create_log_stream(**place)
            await client.put_log_events(**place, logEvents=stamped)

    return AwsOutput(name, "logs", options.aws, in_batches(1_000, 900_000, line), send)


def _logged(alert: Alert, now: int) -> int:
    when = alert.time_ns // 1_000_000
    return when if now - _LOG_AGE_MS < when <= now + 3_600_000 else now


def _timestamp(event: Mapping[str, Any]) -> int:
    return int(event["timestamp"])


# Buckets and functions


@dataclass(frozen=True, slots=True, kw_only=True)
class S3OutputOptions(AwsOutputOptions):
    """
    A bucket; the alerts that wait become one object of lines, compressed.

    Attributes:
        bucket: Name of the bucket.
        prefix: Before the keys, which go on with year/month/day/.
        acl: Canned ACL of objects; "" for none.
        storage_class: Storage class of objects.
    """

    bucket: str
    prefix: str = "lanner"
    acl: str = ""
    storage_class: str = "STANDARD"


def s3(name: str, options: S3OutputOptions) -> AwsOutput:
    """Return an output to a bucket; the same alerts make the same object again."""
    line = form(options.format)

    async def send(client: Any, alerts: Sequence[Alert]) -> None:
        body = gzip.compress("".join(f"{line(alert)}\n" for alert in alerts).encode(), 6, mtime=0)
        more = {"ACL": options.acl} if options.acl else {}
        await client.put_object(
            Bucket=options.bucket,
            Key=_key(options.prefix, alerts),
            Body=body,
            ContentType="application/x-ndjson",
            ContentEncoding="gzip",
            StorageClass=options.storage_class,
            **more,
        )

    return AwsOutput(name, "s3", options.aws, in_batches(10_000, 8_000_000, line), send)


def _key(prefix: str, alerts: Sequence[Alert]) -> str:
    first = alerts[0]
    when = times.utc_json(first.time_ns)
    day = when[:10].replace("-", "/")
    clock = when[11:23].replace(":", "").replace(".", "")
    return f"{prefix.strip('/')}/{day}/{clock}-{first.uid}-{len(alerts)}.jsonl.gz".lstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class LambdaOptions(AwsOutputOptions):
    """
    A function, invoked with one alert.

    Attributes:
        function: Name or ARN of the function.
        invocation: Whether the function's end is waited for ("RequestResponse") or only that AWS took the call.
    """

    function: str
    invocation: Literal["Event", "RequestResponse"] = "Event"


def aws_lambda(name: str, options: LambdaOptions) -> AwsOutput:
    """Return an output to a function; a function that is waited for and fails has not taken the alert."""
    line = form(options.format)

    async def send(client: Any, alerts: Sequence[Alert]) -> None:
        text = line(alerts[0])
        payload = text if options.format not in ("text", "cef") else json.dumps(text)
        answer = await client.invoke(
            FunctionName=options.function, InvocationType=options.invocation, Payload=payload.encode()
        )
        if error := answer.get("FunctionError"):
            said = (await answer["Payload"].read()).decode("utf-8", "replace")
            raise Undelivered(f"lambda: the function failed ({error}): {cut(said, 200)}")

    return AwsOutput(name, "lambda", options.aws, in_batches(1, 0, line), send)


# Events and findings


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBridgeOptions(AwsOutputOptions):
    """
    An event bus.

    Attributes:
        bus: Name or ARN of the bus.
        source: The field "source" of the events.
        detail_type: The field "detail-type" of the events.
    """

    bus: str = "default"
    source: str = "lanner"
    detail_type: str = "Lanner alert"


def eventbridge(name: str, options: EventBridgeOptions) -> AwsOutput:
    """
    Return an output to an event bus.

    Raises:
        ValueError: The form is no JSON, which details must be.
    """
    if options.format in ("text", "cef"):
        raise ValueError(f"format: events of EventBridge are JSON, not {options.format}")
    line = form(options.format)

    async def send(client: Any, alerts: Sequence[Alert]) -> None:
        entries = [
            {
                "EventBusName": options.bus,
                "Source": options.source,
                "DetailType": options.detail_type,
                "Detail": line(alert),
                "Time": datetime.fromtimestamp(alert.time_ns / 1e9, UTC),
            }
            for alert in alerts
        ]
        answer = await client.put_events(Entries=entries)
        _some("events", answer["Entries"])

    return AwsOutput(name, "events", options.aws, in_batches(10, 200_000, line), send)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityHubOptions:
    """
    Security Hub, which gets findings in its own form (ASFF).

    Attributes:
        account: Number of the account that the findings are in.
        region: Region that they are in.
        product_arn: ARN of the product; "" for the account's own default product.
        aws: How AWS is reached.
    """

    account: str
    region: str
    product_arn: str = ""
    aws: AwsOptions = field(default_factory=AwsOptions)


_LABELS = ("CRITICAL", "CRITICAL", "CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "INFORMATIONAL")
_REFUSALS = frozenset({"InvalidInput", "InvalidParameter"})
_PARTITIONS = {"cn": "aws-cn", "us-gov": "aws-us-gov"}


def security_hub(name: str, options: SecurityHubOptions) -> AwsOutput:
    """Return an output to Security Hub; a repeat of an alert updates its finding."""

    async def send(client: Any, alerts: Sequence[Alert]) -> None:
        findings = [finding(alert, options) for alert in alerts]
        answer = await client.batch_import_findings(Findings=findings)
        failed = {one["Id"]: one for one in answer.get("FailedFindings") or []}
        places = [at for at, one in enumerate(findings) if one["Id"] in failed]
        whys = (f"{one['ErrorCode']}: {one.get('ErrorMessage', '')}" for one in failed.values())
        hopeless = any(one["ErrorCode"] in _REFUSALS for one in failed.values())
        first_failure(places, f"securityhub: {'; '.join(dict.fromkeys(whys))}", hopeless)

    batches = in_batches(100, 5_000_000, lambda alert: alert.message)
    return AwsOutput(name, "securityhub", options.aws, batches, send)


def finding(alert: Alert, options: SecurityHubOptions) -> dict[str, Any]:
    """Return an alert as a finding of the AWS Security Finding Format."""
    account, region = options.account, options.region
    partition = _PARTITIONS.get(region.rsplit("-", 2)[0], "aws")
    product = f"arn:{partition}:securityhub:{region}:{account}:product/{account}/default"
    fields = {key: cut(str(value), 1000) for key, value in list(alert.output_fields.items())[:40] if value is not None}
    return {
        "SchemaVersion": "2018-10-08",
        "Id": f"lanner/{alert.uid}",
        "ProductArn": options.product_arn or product,
        "GeneratorId": f"lanner/{cut(alert.rule, 500)}",
        "AwsAccountId": account,
        "Types": ["Unusual Behaviors", *(f"TTPs/MITRE ATT&CK/{one}" for one in techniques(alert)[:20])],
        "CreatedAt": f"{times.utc_json(alert.time_ns)[:23]}Z",
        "UpdatedAt": f"{datetime.now(UTC).isoformat(timespec='milliseconds')[:23]}Z",
        "Severity": {"Label": _LABELS[alert.priority], "Original": alert.priority.label},
        "Title": cut(alert.rule, 256),
        "Description": cut(alert.message, 1024) or "-",
        "ProductFields": {"lanner/source": alert.source, "lanner/host": alert.hostname, **fields},
        "Resources": [{"Type": "Other", "Id": cut(_resource(alert), 512), "Partition": partition, "Region": region}],
        "RecordState": "ACTIVE",
    }


def _resource(alert: Alert) -> str:
    """Return what an alert is about: an ARN or name among its fields, else the host."""
    fields = alert.output_fields
    found = (fields.get(name) for name in ("ct.user.arn", "s3.bucket", "ka.target.name", "container.id"))
    return str(next((value for value in found if value and value != "host"), alert.hostname or "-"))
