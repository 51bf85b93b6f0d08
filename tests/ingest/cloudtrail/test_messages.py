"""Every shape of message, and every way a message can be wrong."""

import base64
import contextlib
import gzip
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.cloudtrail.messages import (
    MAX_INFLATED,
    MAX_OBJECTS,
    MAX_TEXT,
    Ack,
    Bad,
    Inline,
    ObjectRef,
    Poison,
    classify,
)

BUCKET = "acme-trail"
KEY = "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/02/a.json.gz"
RECORD = {"eventVersion": "1.11", "eventID": "e-1", "eventTime": "2026-01-02T03:04:05Z", "eventName": "CreateUser"}


def s3_record(key: str = KEY, name: str = "ObjectCreated:Put", bucket: str = BUCKET) -> dict[str, Any]:
    return {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "eu-west-1",
        "eventTime": "2026-01-02T03:04:05.678Z",
        "eventName": name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "lanner",
            "bucket": {"name": bucket, "arn": f"arn:aws:s3:::{bucket}"},
            "object": {"key": key, "size": 5120, "eTag": "d41d8", "versionId": "v1", "sequencer": "0065"},
        },
    }


def s3_notification(*records: dict[str, Any]) -> dict[str, Any]:
    return {"Records": list(records or [s3_record()])}


S3_TEST = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": BUCKET, "RequestId": "R", "HostId": "H"}
CLOUDTRAIL_NOTIFICATION = {"s3Bucket": BUCKET, "s3ObjectKey": [KEY]}
EVENTBRIDGE_RECORD = {
    "version": "0",
    "id": "e2",
    "detail-type": "AWS API Call via CloudTrail",
    "source": "aws.iam",
    "resources": [],
    "detail": RECORD,
}
LOGS_DATA = {
    "messageType": "DATA_MESSAGE",
    "owner": "111122223333",
    "logGroup": "CloudTrail/DefaultLogGroup",
    "logEvents": [{"id": "3578", "timestamp": 1767322845000, "message": json.dumps(RECORD)}],
}


def eventbridge_object(key: str = KEY, etag_name: str = "etag") -> dict[str, Any]:
    return {
        "version": "0",
        "id": "e1",
        "detail-type": "Object Created",
        "source": "aws.s3",
        "time": "2026-01-02T03:04:05Z",
        "region": "us-east-1",
        "detail": {
            "bucket": {"name": BUCKET},
            "object": {"key": key, "size": 9, etag_name: "d4", "version-id": "v", "sequencer": "00"},
            "reason": "PutObject",
        },
    }


def sns(message: Any, **fields: Any) -> dict[str, Any]:
    text = message if isinstance(message, str) else json.dumps(message)
    return {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": "arn:aws:sns:eu-west-1:1:t",
        "Message": text,
        **fields,
    }


def lambda_sqs(*bodies: Any) -> dict[str, Any]:
    records = [{"messageId": "id", "eventSource": "aws:sqs", "body": json.dumps(body)} for body in bodies]
    return {"Records": records}


def packed(value: Any) -> str:
    return base64.b64encode(gzip.compress(json.dumps(value).encode())).decode()


def plain(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def read(body: Any) -> list[Any]:
    return classify(body if isinstance(body, str) else json.dumps(body))


FROM_S3 = ObjectRef(
    BUCKET,
    KEY,
    region="eu-west-1",
    size=5120,
    etag="d41d8",
    version="v1",
    sequencer="0065",
    event_time="2026-01-02T03:04:05.678Z",
)
FROM_CLOUDTRAIL = ObjectRef(BUCKET, KEY)
FROM_EVENTBRIDGE = ObjectRef(
    BUCKET,
    KEY,
    region="us-east-1",
    size=9,
    etag="d4",
    version="v",
    sequencer="00",
    event_time="2026-01-02T03:04:05Z",
)

SHAPES: dict[str, tuple[Any, list[Any]]] = {
    "S3 notification": (s3_notification(), [FROM_S3]),
    "S3 notification in SNS": (sns(s3_notification()), [FROM_S3]),
    "S3 notification in SNS in SNS": (sns(sns(s3_notification())), [FROM_S3]),
    "S3 test event": (S3_TEST, [Ack("s3-test-event")]),
    "S3 test event in SNS": (sns(S3_TEST), [Ack("s3-test-event")]),
    "S3 test event as a record": ({"Records": [{"eventName": "s3:TestEvent"}]}, [Ack("s3-test-event")]),
    "CloudTrail notification": (CLOUDTRAIL_NOTIFICATION, [FROM_CLOUDTRAIL]),
    "CloudTrail notification in SNS": (sns(CLOUDTRAIL_NOTIFICATION), [FROM_CLOUDTRAIL]),
    "CloudTrail notification, one key as text": ({"s3Bucket": BUCKET, "s3ObjectKey": KEY}, [FROM_CLOUDTRAIL]),
    "CloudTrail notification, two keys": (
        {"s3Bucket": BUCKET, "s3ObjectKey": [KEY, "b.json.gz"]},
        [FROM_CLOUDTRAIL, ObjectRef(BUCKET, "b.json.gz")],
    ),
    "EventBridge object": (eventbridge_object(), [FROM_EVENTBRIDGE]),
    "EventBridge object, eTag as emulators write it": (eventbridge_object(etag_name="eTag"), [FROM_EVENTBRIDGE]),
    "EventBridge object in SNS": (sns(eventbridge_object()), [FROM_EVENTBRIDGE]),
    "EventBridge record": (EVENTBRIDGE_RECORD, [Inline(RECORD, "eventbridge")]),
    "EventBridge, another kind": ({"detail-type": "Scheduled Event"}, [Ack("eventbridge-other", "Scheduled Event")]),
    "EventBridge, object deleted": (
        {"detail-type": "Object Deleted", "source": "aws.s3", "detail": {}},
        [Ack("eventbridge-other", "Object Deleted")],
    ),
    "CloudWatch Logs": (LOGS_DATA, [Inline(RECORD, "cloudwatch-logs")]),
    "CloudWatch Logs, packed": (packed(LOGS_DATA), [Inline(RECORD, "cloudwatch-logs")]),
    "CloudWatch Logs to Lambda": ({"awslogs": {"data": packed(LOGS_DATA)}}, [Inline(RECORD, "cloudwatch-logs")]),
    "CloudWatch Logs control": ({"messageType": "CONTROL_MESSAGE", "logEvents": []}, [Ack("logs-control-message")]),
    "Kinesis, packed": (
        {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": packed(LOGS_DATA)}}]},
        [Inline(RECORD, "cloudwatch-logs")],
    ),
    "Kinesis, plain": (
        {"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": plain(RECORD)}}]},
        [Inline(RECORD, "message")],
    ),
    "Firehose transformation": (
        {"deliveryStreamArn": "arn", "records": [{"recordId": "1", "data": packed(LOGS_DATA)}]},
        [Inline(RECORD, "cloudwatch-logs")],
    ),
    "Firehose endpoint": (
        {"requestId": "r", "timestamp": 1, "records": [{"data": plain(RECORD)}]},
        [Inline(RECORD, "message")],
    ),
    "Lambda from SQS": (lambda_sqs(s3_notification()), [FROM_S3]),
    "Lambda from SQS, SNS inside": (lambda_sqs(sns(CLOUDTRAIL_NOTIFICATION)), [FROM_CLOUDTRAIL]),
    "Lambda from SNS": (
        {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(CLOUDTRAIL_NOTIFICATION)}}]},
        [FROM_CLOUDTRAIL],
    ),
    "pasted log file": ({"Records": [RECORD]}, [Inline(RECORD, "message")]),
    "bare record": (RECORD, [Inline(RECORD, "message")]),
    "list of records": ([RECORD, RECORD], [Inline(RECORD, "message")] * 2),
    "list of notifications": ([s3_notification(), S3_TEST], [FROM_S3, Ack("s3-test-event")]),
    "two buckets": (
        s3_notification(s3_record(bucket="one"), s3_record(bucket="two")),
        [ObjectRef(bucket, *[getattr(FROM_S3, name) for name in ObjectRef.__slots__[1:]]) for bucket in ("one", "two")],
    ),
    "object removed": (
        s3_notification(s3_record(name="ObjectRemoved:Delete")),
        [Ack("not-object-created", "ObjectRemoved:Delete")],
    ),
    "object created, old spelling": (s3_notification(s3_record(name="s3:ObjectCreated:Put")), [FROM_S3]),
    "validation message": ("CloudTrail validation message.", [Ack("validation-message")]),
    "validation message in SNS": (sns("CloudTrail validation message."), [Ack("validation-message")]),
    "subscription confirmation": (
        {"Type": "SubscriptionConfirmation", "TopicArn": "arn:t", "Message": "You have chosen"},
        [Ack("sns-confirmation", "arn:t")],
    ),
    "no records": ({"Records": []}, [Ack("empty")]),
    "no keys": ({"s3Bucket": BUCKET, "s3ObjectKey": []}, [Ack("empty")]),
    "byte order mark and blanks": ("\ufeff " + json.dumps(CLOUDTRAIL_NOTIFICATION) + "\n", [FROM_CLOUDTRAIL]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_is_understood(name: str) -> None:
    body, expected = SHAPES[name]

    assert read(body) == expected


KEYS = {
    "a+b.json.gz": "a b.json.gz",
    "a%2Bb.json.gz": "a+b.json.gz",
    "day%3D02/a.json.gz": "day=02/a.json.gz",
    "caf%C3%A9.json.gz": "café.json.gz",
    "AWSLogs%2F1%2Fa.json.gz": "AWSLogs/1/a.json.gz",
    "100%25.json.gz": "100%.json.gz",
}


@pytest.mark.parametrize(("written", "real"), KEYS.items())
def test_keys_of_s3_notifications_are_form_encoded(written: str, real: str) -> None:
    (ref,) = read(s3_notification(s3_record(written)))

    assert (ref.key, ref.encoded_key) == (real, written)


@pytest.mark.parametrize("key", [*KEYS, "a b+c.json.gz", "café.json.gz"])
def test_keys_of_other_forms_are_taken_as_they_are(key: str) -> None:
    refs = read({"s3Bucket": BUCKET, "s3ObjectKey": [key]}) + read(eventbridge_object(key))

    assert [ref.key for ref in refs] == [key, key]
    assert [ref.encoded_key for ref in refs] == ["", ""]


def nested(depth: int) -> Any:
    body: Any = CLOUDTRAIL_NOTIFICATION
    for _ in range(depth):
        body = sns(body)
    return body


POISON: dict[str, tuple[Any, str]] = {
    "empty": ("", "empty"),
    "blank": (" \n", "empty"),
    "plain text": ("hello", "not-json"),
    "cut off": ('{"s3Bucket": "b", "s3Obj', "not-json"),
    "not a number": ('{"Type": NaN}', "not-json"),
    "deep JSON": ("[" * 100_000 + "]" * 100_000, "not-json"),
    "number": ("17", "unknown-shape"),
    "null": ("null", "unknown-shape"),
    "other object": ({"hello": "world"}, "unknown-shape"),
    "empty object": ({}, "unknown-shape"),
    "list of lists": ([[RECORD]], "unknown-shape"),
    "SNS without a message": ({"Type": "Notification"}, "unknown-shape"),
    "SNS with an empty message": (sns(""), "empty"),
    "SNS with text": (sns("hello"), "not-json"),
    "too many envelopes": (nested(5), "too-deep"),
    "too long": ("x" * (MAX_TEXT + 1), "too-large"),
    "bad base64": ("H4sI*", "bad-base64"),
    "bad gzip": (base64.b64encode(gzip.compress(b"{}")[:-8] + bytes(8)).decode(), "bad-gzip"),
    "cut gzip": (base64.b64encode(gzip.compress(json.dumps(LOGS_DATA).encode())[:-20]).decode(), "truncated-gzip"),
    "gzip bomb": (base64.b64encode(gzip.compress(b" " * (MAX_INFLATED + 1))).decode(), "bomb"),
    "awslogs without data": ({"awslogs": {}}, "bad-base64"),
    "Kinesis without data": ({"Records": [{"eventSource": "aws:kinesis"}]}, "bad-base64"),
    "Firehose record of the wrong kind": ({"requestId": "r", "records": [1]}, "unknown-shape"),
    "record that is no object": ({"Records": ["x"]}, "unknown-shape"),
    "record of an unknown source": ({"Records": [{"eventSource": "aws:other"}]}, "unknown-shape"),
    "S3 record without a bucket": (
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "k"}}}]},
        "bad-object",
    ),
    "S3 record without a key": (
        {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "b"}, "object": 1}}]},
        "bad-object",
    ),
    "CloudTrail notification with a number as key": ({"s3Bucket": BUCKET, "s3ObjectKey": [1]}, "bad-object"),
    "CloudTrail notification without a bucket": ({"s3Bucket": "", "s3ObjectKey": [KEY]}, "bad-object"),
    "EventBridge object without a key": (
        {"detail-type": "Object Created", "source": "aws.s3", "detail": {"bucket": {"name": "b"}}},
        "bad-object",
    ),
    "EventBridge record without a detail": (
        {"detail-type": "AWS API Call via CloudTrail", "detail": 1},
        "unknown-shape",
    ),
    "log event that is no JSON": (
        {"messageType": "DATA_MESSAGE", "logEvents": [{"message": "[Truncated"}]},
        "not-json",
    ),
    "log event without a message": ({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1"}]}, "unknown-shape"),
    "log event that is a list": ({"messageType": "DATA_MESSAGE", "logEvents": [{"message": "[]"}]}, "unknown-shape"),
    "too many objects": ({"s3Bucket": BUCKET, "s3ObjectKey": [KEY] * (MAX_OBJECTS + 1)}, "too-many-objects"),
}


@pytest.mark.parametrize("name", POISON)
def test_what_cannot_be_understood_is_poison_with_a_reason(name: str) -> None:
    body, reason = POISON[name]

    with pytest.raises(Poison) as poison:
        read(body)

    assert poison.value.reason == reason


def test_a_bad_part_costs_itself_alone() -> None:
    items = read({"Records": [s3_record(), {"eventSource": "aws:other"}, RECORD]})

    assert [type(item) for item in items] == [ObjectRef, Bad, Inline]
    assert items[1].detail.startswith("element 1: ")


def test_a_bad_log_event_costs_itself_alone() -> None:
    items = read(LOGS_DATA | {"logEvents": [{"message": "[Truncated"}, *LOGS_DATA["logEvents"]]})  # type: ignore[misc]

    assert [type(item) for item in items] == [Bad, Inline]


def test_four_envelopes_are_opened() -> None:
    assert read(nested(4)) == [FROM_CLOUDTRAIL]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["Records", "Type", "Message", "s3", "s3Bucket", "s3ObjectKey", "eventSource", "detail-type"]
            )
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_either_understood_or_poison(value: Any) -> None:
    with contextlib.suppress(Poison):
        assert classify(json.dumps(value))


@given(st.text(max_size=200))
def test_any_text_is_either_understood_or_poison(text: str) -> None:
    with contextlib.suppress(Poison):
        assert classify(text)
