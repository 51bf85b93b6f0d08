"""One CloudTrail record to one event (spec: ingest A1.5, A3.5, A4)."""

import hashlib
from functools import lru_cache
from typing import Any

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
        detail: For people; begins with the key at fault where there is one.
    """

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug = slug
        self.detail = detail


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
        raise BadRecord("no-event-name", "eventName and eventType are missing")
    uid = record.get("eventID")
    if not isinstance(uid, str) or len(uid) != _UUID_LENGTH:
        return Event(SOURCE, time_ns, record, content_uid, origin)
    return Event(SOURCE, time_ns, record, uid, origin)


def _bad_time(value: object) -> BadRecord:
    if value is None:
        return BadRecord("no-event-time", "eventTime is missing")
    return BadRecord("bad-event-time", f"eventTime {str(value)[:40]!r} is no RFC 3339 time")


def content_uid(record: Record) -> str:
    """
    Return the identity of a record without an id of its own: 128 bits of a hash over its content.

    CloudTrail's ids are UUIDs; sanitised samples carry the same ``...`` in many records, which must not count as one.
    """
    return hashlib.blake2b(canonical_bytes(record), digest_size=16).hexdigest()


def looks_like(record: dict[str, Any]) -> bool:
    """Whether a decoded object is a CloudTrail record, to tell sources apart."""
    if "s3" in record or "kind" in record or "eventTime" not in record:
        return False
    return "eventVersion" in record or ("eventSource" in record and "eventName" in record)
