"""One CloudTrail record to one event (spec: ingest A1.5, A3.5, A4)."""

import hashlib
from functools import lru_cache

from engine.event import Event, Record
from ingest.jsonfields import canonical_bytes
from ingest.timestamps import epoch_ns

SOURCE = "aws_cloudtrail"

_UUID_LENGTH = 36


class BadRecord(ValueError):
    """
    A record that cannot become an event.

    Attributes:
        slug: ``not-an-object``, ``no-event-time``, ``bad-event-time`` or ``no-event-name``.
        detail: For people.
        key: The key at fault; "" when it is the record itself.
    """

    def __init__(self, slug: str, detail: str, key: str = "") -> None:
        super().__init__(f"{key}: {detail}" if key else detail)
        self.slug = slug
        self.detail = detail
        self.key = key


_time_ns = lru_cache(4096)(epoch_ns)  # a file covers minutes, so its records share seconds


def to_event(record: object, origin: str) -> Event:
    """
    Make the event of a decoded record.

    Raises:
        BadRecord: It is no object, or lacks a readable ``eventTime`` or both ``eventName`` and ``eventType``.
    """
    if not isinstance(record, dict):
        raise BadRecord("not-an-object", f"{type(record).__name__} instead of an object")
    try:
        time_ns = _time_ns(record["eventTime"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _bad_time(record.get("eventTime")) from None
    if not isinstance(record.get("eventName"), str) and not isinstance(record.get("eventType"), str):
        raise BadRecord("no-event-name", "missing, and so is eventType", "eventName")
    uid = record.get("eventID")
    if not isinstance(uid, str) or len(uid) != _UUID_LENGTH:
        return Event(SOURCE, time_ns, record, content_uid, origin)
    return Event(SOURCE, time_ns, record, uid, origin)


def recorded_time(record: Record) -> int:
    """Return when a record that is known to be one happened, nanoseconds since the Unix epoch; 0 if it cannot tell."""
    try:
        return _time_ns(record["eventTime"])
    except (KeyError, TypeError, ValueError, AttributeError):
        return 0


def _bad_time(value: object) -> BadRecord:
    if value is None:
        return BadRecord("no-event-time", "missing", "eventTime")
    return BadRecord("bad-event-time", f"{str(value)[:40]!r} is no RFC 3339 time", "eventTime")


def content_uid(record: Record) -> str:
    """
    Return the identity of a record without an id of its own: 128 bits of a hash over its content.

    CloudTrail's ids are UUIDs; sanitised samples carry the same ``...`` in many records, which must not count as one.
    """
    return hashlib.blake2b(canonical_bytes(record), digest_size=16).hexdigest()


def is_record(value: Record) -> bool:
    """Whether a decoded object is a CloudTrail record and not one of another service that has some of its keys."""
    if "eventTime" not in value or "s3" in value or "kind" in value:
        return False
    return "eventVersion" in value or ("eventSource" in value and "eventName" in value)
