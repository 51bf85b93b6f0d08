"""
Payloads that hold CloudTrail records, from any transport: which object keys may hold some, and how they are read.

Forms (spec: ingest A1.5): ``{"Records": [...]}``, one record, an array of records, concatenated values, one value per
line, CloudWatch Logs ``DATA_MESSAGE``, EventBridge envelopes. Each may be compressed.
"""

import re
from typing import Any

from ingest.base import Content, Decoded
from ingest.cloudtrail.record import BadRecord, is_record, to_event
from ingest.cloudtrail.trailfile import glance
from ingest.payload import MAX_BYTES, MAX_RATIO, PayloadError, decode_json, inflate, json_values

_CANDIDATE = re.compile(r"(^|/)AWSLogs/.*/CloudTrail(-[A-Za-z]+)?/.*\.json(\.gz)?$")
_NO_RECORDS = frozenset({"ConfigWritabilityCheckFile", "ELBAccessLogTestFile", ".DS_Store", "_SUCCESS"})
_MAX_DEPTH = 3
_LOOKED_AT = 20


def why_skipped(key: str) -> str:
    """Return why the object of a key, or a file of a path, holds no records; "" when it may hold some."""
    *folders, name = key.split("/")
    if "CloudTrail-Digest" in folders:
        return "digest"
    if not name:
        return "folder"
    return "marker" if name in _NO_RECORDS else ""


def is_candidate_key(key: str) -> bool:
    """Whether an object key is one that CloudTrail gives to files with records."""
    return not why_skipped(key) and _CANDIDATE.search(key) is not None


def looks_like(value: dict[str, Any]) -> bool:
    """Whether a decoded object is a whole CloudTrail record, or a form that holds some."""
    records = value.get("Records")
    if isinstance(records, list):
        return bool(records) and isinstance(records[0], dict) and is_record(records[0])
    return _is_whole(value) or _is_log_of_trail(value) or _is_envelope(value) or _is_digest(value)


def _is_whole(value: dict[str, Any]) -> bool:
    """Whether a record has what every record has, not only the keys that a list about records would name too."""
    return is_record(value) and ("eventVersion" in value or "userIdentity" in value)


def _is_log_data(value: dict[str, Any]) -> bool:
    return value.get("messageType") in ("DATA_MESSAGE", "CONTROL_MESSAGE")


def _is_log_of_trail(value: dict[str, Any]) -> bool:
    """Whether a CloudWatch Logs message comes from a trail; other logs, such as EKS's, come in the same form."""
    if not _is_log_data(value):
        return False
    entries = value.get("logEvents")
    messages = (
        [entry.get("message") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    )
    texts = (message for message in messages[:_LOOKED_AT] if isinstance(message, str))
    return value["messageType"] == "CONTROL_MESSAGE" or any('"eventVersion"' in text for text in texts)


def _is_envelope(value: dict[str, Any]) -> bool:
    return str(value.get("detail-type")).endswith("via CloudTrail")


def _is_digest(value: dict[str, Any]) -> bool:
    return "digestS3Object" in value and "logFiles" in value


def decode(data: bytes, origin: str, *, max_bytes: int = MAX_BYTES, max_ratio: int = MAX_RATIO) -> Content:
    """
    Return the events of a payload and what in it could not become one; never raises.

    Args:
        data: As received, compressed or not.
        origin: Where it came from, for people.
        max_bytes: Bound of the inflated size.
        max_ratio: Bound of the inflated size over the received size.
    """
    found = _Found(origin)
    try:
        plain = inflate(data, max_bytes, max_ratio)
        if records := glance(plain, origin):
            return Content(records)
    except PayloadError as error:
        found.skip(error.slug, error.detail)
        plain = error.partial
    try:
        found.collect(decode_json(plain), "$")
    except ValueError as error:
        found.stream(plain, str(error))
    return found.decoded


class _Found:
    """What was found in one payload so far."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.decoded = Decoded()

    def skip(self, reason: str, detail: str) -> None:
        self.decoded.skipped.append((reason, detail))

    def stream(self, data: bytes, error: str) -> None:
        """Read data that is no single JSON document."""
        values = 0
        for item in json_values(data, _is_whole_record):
            values += 1
            if item.error:
                self.skip("not-json", f"{item.where}: {item.error}")
            else:
                self.collect(item.value, f"{item.where}: $")
        if not values and not self.decoded.skipped:
            self.skip("empty", "the payload is empty")

    def collect(self, value: Any, where: str, depth: int = 0) -> None:
        """Take the events of one decoded value, whatever its form."""
        if isinstance(value, list):
            self.elements(value, where, depth)
        elif not isinstance(value, dict):
            self.skip("not-an-object", f"{where}: {type(value).__name__} instead of an object")
        elif isinstance(records := value.get("Records"), list):
            self.records(records, f"{where}.Records")
        elif _is_log_data(value):
            self.log_data(value, where, depth)
        elif "detail-type" in value:
            self.envelope(value, where)
        elif _is_digest(value):
            self.skip("digest", f"{where}: a digest file lists log files and holds no records")
        elif "eventTime" in value or "eventName" in value:
            self.record(value, where)
        else:
            self.skip("not-cloudtrail", f"{where}: an object with the keys {', '.join(sorted(value)[:5]) or '(none)'}")

    def elements(self, values: list[Any], where: str, depth: int) -> None:
        if depth >= _MAX_DEPTH:
            self.skip("not-cloudtrail", f"{where}: lists in lists")
            return
        for at, value in enumerate(values):
            self.collect(value, f"{where}[{at}]", depth + 1)

    def records(self, records: list[Any], where: str) -> None:
        """Take the elements of a ``Records`` list: nearly all records come this way, so it does nothing else."""
        events, origin = self.decoded.events, self.origin
        for at, record in enumerate(records):
            try:
                events.append(to_event(record, origin))
            except BadRecord as bad:
                self.skip(bad.slug, f"{where}[{at}]{bad.key and '.'}{bad.key}: {bad.detail}")

    def record(self, record: Any, where: str) -> None:
        try:
            self.decoded.events.append(to_event(record, self.origin))
        except BadRecord as bad:
            self.skip(bad.slug, f"{where}{bad.key and '.'}{bad.key}: {bad.detail}")

    def envelope(self, value: dict[str, Any], where: str) -> None:
        """Take the record of an EventBridge envelope."""
        if _is_envelope(value):
            self.record(value.get("detail"), f"{where}.detail")
        else:
            self.skip("not-cloudtrail", f"{where}: an envelope of type {str(value['detail-type'])[:60]!r}")

    def log_data(self, value: dict[str, Any], where: str, depth: int) -> None:
        """Take the records of a CloudWatch Logs subscription message, each JSON text in a log event."""
        if value["messageType"] == "CONTROL_MESSAGE":
            self.skip("control-message", f"{where}: CloudWatch Logs tests that it can deliver")
            return
        entries = value.get("logEvents")
        if not isinstance(entries, list) or not entries:
            self.skip("bad-message", f"{where}.logEvents: there are none")
            return
        for at, entry in enumerate(entries):
            message = entry.get("message") if isinstance(entry, dict) else None
            self.message(message, f"{where}.logEvents[{at}].message")

    def message(self, message: Any, where: str) -> None:
        if not isinstance(message, str):
            self.skip("bad-message", f"{where}: no text")
            return
        try:
            record = decode_json(message.encode(errors="replace"))
        except ValueError as error:
            self.skip("bad-message", f"{where}: {error}")
            return
        self.record(record, where)


def _is_whole_record(value: Any) -> bool:
    """Whether an object found in broken JSON is a record, and not some part of one that happens to look like it."""
    return isinstance(value, dict) and "eventVersion" in value and is_record(value)
