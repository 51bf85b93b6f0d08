"""What an SQS message (or any notification) means: objects to read, records given inline, or nothing to do."""

import base64
import binascii
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from ingest.payload import PayloadError, decode_json, inflate

MAX_TEXT = 2 * 1024 * 1024
"""Longest accepted text in characters; SQS itself refuses more than 1 MiB."""
MAX_INFLATED = 16 * 1024 * 1024
"""Most bytes a compressed body may become."""
MAX_DEPTH = 4
"""Most envelopes around a notification."""
MAX_OBJECTS = 1000
"""Most objects one message may name."""

_GZIP_BASE64 = "H4sI"
_VALIDATION = "CloudTrail validation message"
_TEST_EVENT = "s3:TestEvent"
_INLINE_DETAIL_TYPES = frozenset(
    {
        "AWS API Call via CloudTrail",
        "AWS Console Sign In via CloudTrail",
        "AWS Console Action via CloudTrail",
        "AWS Service Event via CloudTrail",
        "AWS Insight via CloudTrail",
    }
)


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """
    An S3 object that a notification names.

    Attributes:
        key: The object's real key, decoded where the form encodes it.
        region: Region of the bucket when the notification tells, else "".
        size: Bytes, None when not told.
        encoded_key: The key as it was written, where decoding changed it; "" otherwise.
        replay: Whether it was found in the bucket's past instead of being announced.
    """

    bucket: str
    key: str
    region: str = ""
    size: int | None = None
    etag: str = ""
    version: str = ""
    sequencer: str = ""
    event_time: str = ""
    encoded_key: str = ""
    replay: bool = False

    @property
    def uri(self) -> str:
        """The object as people write it."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Inline:
    """A CloudTrail record that the message itself carries; ``envelope`` says in what."""

    record: dict[str, Any]
    envelope: str


@dataclass(frozen=True, slots=True)
class Ack:
    """A message, or a part of one, that needs nothing done."""

    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Bad:
    """A part of a message that means nothing, beside parts that do."""

    reason: str
    detail: str


Item = ObjectRef | Inline | Ack | Bad


class Poison(Exception):
    """A message that can never be processed: ``reason`` is a short slug, ``detail`` is for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def classify(text: str) -> list[Item]:
    """
    Say what a message body asks for, by its shape.

    Known shapes: S3 notification, S3 test event, CloudTrail's own notification, each plain or in SNS; EventBridge
    (S3 and CloudTrail events); CloudWatch Logs subscription data; Firehose and Kinesis records; Lambda event
    envelopes; CloudTrail's validation message; CloudTrail records and lists of any of these.
    Parts that are not usable come back as Bad as long as another part is usable.

    Raises:
        Poison: no part of it is usable.
    """
    if len(text) > MAX_TEXT:
        raise Poison("too-large", f"{len(text)} characters, at most {MAX_TEXT} are read")
    items = _text(text, 0)
    if sum(isinstance(item, ObjectRef) for item in items) > MAX_OBJECTS:
        raise Poison("too-many-objects", f"more than {MAX_OBJECTS} objects in one message")
    bad = [item for item in items if isinstance(item, Bad)]
    if bad and len(bad) == len(items):
        raise Poison(bad[0].reason, bad[0].detail)
    return items or [Ack("empty")]


def _text(text: str, depth: int) -> list[Item]:
    text = text.strip().removeprefix("\ufeff")
    if not text:
        raise Poison("empty", "the body is empty")
    if depth > MAX_DEPTH:
        raise Poison("too-deep", f"more than {MAX_DEPTH} envelopes")
    if text.startswith(_VALIDATION):
        return [Ack("validation-message")]
    if text.startswith(_GZIP_BASE64):
        return _base64(text, depth)
    return _value(_json(text), depth)


def _base64(text: Any, depth: int) -> list[Item]:
    if not isinstance(text, str):
        raise Poison("bad-base64", "the data is no text")
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise Poison("bad-base64", str(error)) from None
    try:
        data = inflate(data, MAX_INFLATED)
    except PayloadError as error:
        raise Poison(error.slug, error.detail) from None
    return _text(data.decode("utf-8", errors="replace"), depth + 1)


def _json(text: str) -> Any:
    try:
        return decode_json(text.encode("utf-8", "surrogatepass"))
    except ValueError as error:
        raise Poison("not-json", f"{error} in {text[:80]!r}") from None


def _value(value: Any, depth: int) -> list[Item]:
    if isinstance(value, list):
        return _each(value, lambda element: _object(element, depth))
    return _object(value, depth)


def _object(value: Any, depth: int) -> list[Item]:
    if not isinstance(value, dict):
        raise Poison("unknown-shape", f"a JSON {type(value).__name__} is no notification")
    for shape in _SHAPES:
        items = shape(value, depth)
        if items is not None:
            return items
    raise Poison("unknown-shape", f"an object with the keys {sorted(value)[:8]}")


def _each(elements: Iterable[Any], read: Callable[[Any], list[Item]]) -> list[Item]:
    """Read elements one by one; a bad one costs itself alone."""
    items: list[Item] = []
    for position, element in enumerate(elements):
        try:
            items.extend(read(element))
        except Poison as poison:
            items.append(Bad(poison.reason, f"element {position}: {poison.detail}"))
    return items


def _sns(value: dict[str, Any], depth: int) -> list[Item] | None:
    kind = value.get("Type")
    if kind == "Notification":
        message = value.get("Message")
        if not isinstance(message, str):
            raise Poison("unknown-shape", "an SNS notification without a Message")
        return _text(message, depth + 1)
    if kind in ("SubscriptionConfirmation", "UnsubscribeConfirmation") and "TopicArn" in value:
        return [Ack("sns-confirmation", str(value["TopicArn"]))]
    return None


def _s3_test(value: dict[str, Any], depth: int) -> list[Item] | None:
    return [Ack("s3-test-event")] if value.get("Event") == _TEST_EVENT else None


def _cloudtrail_notification(value: dict[str, Any], depth: int) -> list[Item] | None:
    bucket, keys = value.get("s3Bucket"), value.get("s3ObjectKey")
    if not isinstance(bucket, str) or not isinstance(keys, str | list):
        return None
    return _each([keys] if isinstance(keys, str) else keys, lambda key: [_reference(bucket, key)])


def _reference(bucket: Any, key: Any, **rest: Any) -> ObjectRef:
    if not isinstance(bucket, str) or not bucket:
        raise Poison("bad-object", "no bucket name")
    if not isinstance(key, str) or not key:
        raise Poison("bad-object", "no object key")
    return ObjectRef(bucket, key, **rest)


def _records(value: dict[str, Any], depth: int) -> list[Item] | None:
    records = value.get("Records")
    return _each(records, lambda record: _record(record, depth)) if isinstance(records, list) else None


def _record(record: Any, depth: int) -> list[Item]:
    if not isinstance(record, dict):
        raise Poison("unknown-shape", "an element of Records is no object")
    source = record.get("eventSource") or record.get("EventSource")
    if record.get("eventName") == _TEST_EVENT:
        return [Ack("s3-test-event")]
    if isinstance(record.get("s3"), dict):
        return [_s3_record(record, record["s3"])]
    if source == "aws:sqs" and isinstance(record.get("body"), str):
        return _text(record["body"], depth + 1)
    if source == "aws:sns":
        return _text(_string(_table(record, "Sns"), "Message"), depth + 1)
    if source == "aws:kinesis":
        return _base64(_table(record, "kinesis").get("data"), depth)
    items = _bare_record(record, depth)
    if items is None:
        raise Poison("unknown-shape", f"an element of Records with the keys {sorted(record)[:8]}")
    return items


def _s3_record(record: dict[str, Any], s3: dict[str, Any]) -> Item:
    name = str(record.get("eventName", "")).removeprefix("s3:")
    if not name.startswith("ObjectCreated"):
        return Ack("not-object-created", name)
    stored = _table(s3, "object")
    written = _string(stored, "key")
    key = unquote_plus(written)
    return _reference(
        _table(s3, "bucket").get("name"),
        key,
        region=_string(record, "awsRegion"),
        size=_size(stored),
        etag=_string(stored, "eTag"),
        version=_string(stored, "versionId"),
        sequencer=_string(stored, "sequencer"),
        event_time=_string(record, "eventTime"),
        encoded_key=written if written != key else "",
    )


def _table(value: dict[str, Any], name: str) -> dict[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, dict) else {}


def _string(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    return text if isinstance(text, str) else ""


def _size(stored: dict[str, Any]) -> int | None:
    size = stored.get("size")
    return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None


def _firehose(value: dict[str, Any], depth: int) -> list[Item] | None:
    records = value.get("records")
    if not isinstance(records, list) or not ("deliveryStreamArn" in value or "requestId" in value):
        return None
    return _each(records, lambda record: _firehose_record(record, depth))


def _firehose_record(record: Any, depth: int) -> list[Item]:
    if not isinstance(record, dict):
        raise Poison("unknown-shape", "a Firehose record is no object")
    return _base64(record.get("data"), depth)


def _eventbridge(value: dict[str, Any], depth: int) -> list[Item] | None:
    kind = value.get("detail-type")
    if not isinstance(kind, str):
        return None
    detail = value.get("detail")
    if kind in _INLINE_DETAIL_TYPES:
        if not isinstance(detail, dict):
            raise Poison("unknown-shape", "an EventBridge event without a detail")
        return [Inline(detail, "eventbridge")]
    if kind == "Object Created" and value.get("source") == "aws.s3" and isinstance(detail, dict):
        return [_eventbridge_object(value, detail)]
    return [Ack("eventbridge-other", kind)]


def _eventbridge_object(value: dict[str, Any], detail: dict[str, Any]) -> Item:
    stored = _table(detail, "object")
    return _reference(
        _table(detail, "bucket").get("name"),
        stored.get("key"),
        region=_string(value, "region"),
        size=_size(stored),
        etag=_string(stored, "etag") or _string(stored, "eTag"),
        version=_string(stored, "version-id"),
        sequencer=_string(stored, "sequencer"),
        event_time=_string(value, "time"),
    )


def _awslogs(value: dict[str, Any], depth: int) -> list[Item] | None:
    inner = value.get("awslogs")
    return _base64(inner.get("data"), depth) if isinstance(inner, dict) else None


def _logs_data(value: dict[str, Any], depth: int) -> list[Item] | None:
    kind = value.get("messageType")
    if kind == "CONTROL_MESSAGE":
        return [Ack("logs-control-message")]
    if kind != "DATA_MESSAGE" or not isinstance(value.get("logEvents"), list):
        return None
    return _each(value["logEvents"], _log_event)


def _log_event(event: Any) -> list[Item]:
    message = event.get("message") if isinstance(event, dict) else None
    if not isinstance(message, str):
        raise Poison("unknown-shape", "a log event without a message")
    record = _json(message)
    if not isinstance(record, dict):
        raise Poison("unknown-shape", "a log event that is no JSON object")
    return [Inline(record, "cloudwatch-logs")]


def _bare_record(value: dict[str, Any], depth: int) -> list[Item] | None:
    named = all(isinstance(value.get(name), str) for name in ("eventVersion", "eventID", "eventTime"))
    return [Inline(value, "message")] if named else None


_SHAPES = (
    _sns,
    _s3_test,
    _cloudtrail_notification,
    _records,
    _firehose,
    _eventbridge,
    _awslogs,
    _logs_data,
    _bare_record,
)
