"""
One audit event: checking that a decoded JSON value is one, its time and its identity.

Facts: the Kubernetes API ``audit.k8s.io/v1`` (and its older form v1beta1). Times are RFC 3339 in UTC or with an offset.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from engine.event import Event, Record
from ingest.jsonfields import canonical_bytes
from ingest.timestamps import epoch_ns

SOURCE = "k8s_audit"

_TIME_KEYS = ("stageTimestamp", "requestReceivedTimestamp", "timestamp")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS_UTC = len("2026-01-02T03:04:05.123456Z")
_LAST_NS = 2**63 - 1


class BadRecord(Exception):
    """
    A value is no usable audit event.

    Attributes:
        slug: The reason in one word, for counting.
        detail: What was wrong, for people.
    """

    def __init__(self, slug: str, detail: str) -> None:
        super().__init__(f"{slug}: {detail}")
        self.slug = slug
        self.detail = detail


def to_event(entry: object, origin: str) -> Event:
    """
    Make an event of a decoded audit event.

    Args:
        entry: Any JSON value.
        origin: Where it came from, for people.

    Raises:
        BadRecord: Not an object, of another kind or API, with neither ``auditID`` nor ``verb``, or without a time.
    """
    if type(entry) is not dict:
        raise BadRecord("not-an-object", f"an audit event is a JSON object, this is {_json_type(entry)}")
    if (
        entry.get("apiVersion") != "audit.k8s.io/v1"
        or entry.get("kind") != "Event"
        or type(entry.get("auditID")) is not str
    ):
        _check_kind(entry)
    time_ns = _time_ns(entry.get("stageTimestamp"))
    if time_ns is None:
        time_ns = _other_time(entry)
    return Event(SOURCE, time_ns, entry, event_uid, origin)


def recorded_time(entry: Mapping[str, Any]) -> int | None:
    """Return when it happened, nanoseconds since the epoch, by the first of its times that can be read."""
    stamped = _time_ns(entry.get(_TIME_KEYS[0]))
    if stamped is not None:
        return stamped
    return next((time for key in _TIME_KEYS if (time := _time_ns(entry.get(key))) is not None), None)


def event_uid(record: Record) -> str:
    """
    Return ``auditID/stage/`` and 24 hex digits over the whole event.

    The audit id alone is no identity: a client may choose it, and with it make others' events look like repeats.
    """
    digest = blake2b(canonical_bytes(record), digest_size=12).hexdigest()
    return f"{record.get('auditID', '')}/{record.get('stage', '')}/{digest}"


def _time_ns(value: object) -> int | None:
    """Return nanoseconds since the epoch of an RFC 3339 time, None for all else and for times outside 1970 to 2261."""
    if type(value) is not str:
        return None
    try:
        if len(value) == _MICROSECONDS_UTC and value[-1] == "Z" and value[10] == "T" and value[19] == ".":
            since = datetime.fromisoformat(value) - _EPOCH  # what API servers write, in half the time
            found = (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1000
        else:
            found = epoch_ns(value)
    except ValueError:
        return None
    return found if 0 <= found <= _LAST_NS else None


def _check_kind(entry: Mapping[str, Any]) -> None:
    kind, version = entry.get("kind", "Event"), entry.get("apiVersion", "audit.k8s.io/")
    if kind != "Event":
        raise BadRecord("other-kind", f"kind is {_shown(kind)}, not Event")
    if not isinstance(version, str) or not version.startswith("audit.k8s.io/"):
        raise BadRecord("other-api", f"apiVersion is {_shown(version)}, not audit.k8s.io/v1")
    if not isinstance(entry.get("auditID"), str) and not isinstance(entry.get("verb"), str):
        raise BadRecord("not-an-audit-event", "it has neither auditID nor verb")


def _other_time(entry: Mapping[str, Any]) -> int:
    found = recorded_time(entry)
    if found is not None:
        return found
    given = next((entry[key] for key in _TIME_KEYS if key in entry), None)
    raise BadRecord("no-time", f"stageTimestamp is no RFC 3339 time: {_shown(given)}")


def _json_type(value: object) -> str:
    names: dict[type, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(value: object) -> str:
    """Quote a value of a stranger for a message: printable and short."""
    return ascii(value)[:80]
