"""
The forms in which audit events arrive, all told by their content: from payload bytes to events.

An Event; an EventList; an array of these (a further array in it is a bad entry); any of these one per line, as the log
file has them; Azure's diagnostic records; GKE's log entries, bare or pushed by Pub/Sub; and CloudWatch's data messages
of EKS. Nothing here raises: what is not usable is left out with a reason and its position.
"""

import base64
import binascii
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from engine.event import Record
from ingest.base import Decoded
from ingest.jsonfields import canonical_bytes, value_at
from ingest.k8saudit import gke
from ingest.k8saudit.glance import TRUNCATED, annotate, glance, split
from ingest.k8saudit.record import BadRecord, to_event
from ingest.k8saudit.salvage import entries
from ingest.k8saudit.truncated import is_cut, salvage
from ingest.payload import decode_json

MAX_ITEMS = 20_000
"""Entries read of one payload."""
MAX_EVENT_BYTES = 4 << 20
"""Size in bytes of the JSON text from which on an event loses its response object, then its request object."""
IGNORED = frozenset({"other-log"})
"""Reasons that are no fault of the payload: what shares a log stream with audit events."""

_API = "audit.k8s.io/"
_MILLISECOND = 1_000_000
_TAIL = 64  # bytes in which a payload says that it was cut off
_decoder = msgspec.json.Decoder()


def decode(data: bytes, origin: str, max_items: int = MAX_ITEMS, max_event_bytes: int = MAX_EVENT_BYTES) -> Decoded:
    """
    Read the audit events of a payload in any of the known forms.

    Args:
        data: Plain bytes, not compressed.
        origin: Where they came from, for people; becomes ``Event.origin``.
        max_items: Entries beyond this number are left out, with one reason for all of them.
        max_event_bytes: Size from which on an event is cut down.
    """
    reader = _Reader(origin, max_items, max_event_bytes if len(data) > max_event_bytes else 0)
    reader.payload(data)
    return reader.out


def decode_log_events(found: list[Any], origin: str) -> Decoded:
    """Read log events of CloudWatch, objects with ``message`` and ``timestamp``, as EKS writes them."""
    reader = _Reader(origin, len(found), 0)
    reader.cloudwatch({"logEvents": found}, "")
    return reader.out


def looks_like(obj: Record) -> bool:
    """Whether a decoded JSON object is of this source: an audit event, or one of the forms that carry them."""
    kind, version = obj.get("kind"), obj.get("apiVersion")
    if kind in ("Event", "EventList") and isinstance(version, str) and version.startswith(_API):
        return True
    if "auditID" in obj:
        return "verb" in obj or "stage" in obj
    if kind == "EventList":
        return any(isinstance(item, dict) and "auditID" in item for item in _list(obj.get("items"))[:1])
    if gke.is_log_entry(obj):
        return gke.of_cluster(obj)
    return _carries_audit_text(obj)


def _carries_audit_text(obj: Record) -> bool:
    texts = [value_at(record, "properties", "log") for record in _list(obj.get("records"))[:20]]
    texts += [value_at(entry, "message") for entry in _list(obj.get("logEvents"))[:20]]
    return any(_may_be_audit(text) for text in texts)


def _may_be_audit(text: Any) -> bool:
    return isinstance(text, dict) or (isinstance(text, str) and '"auditID"' in text)


def _reason(error: Exception) -> str:
    """Return what an error says without advice for Python programmers."""
    return str(error).partition(";")[0]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@dataclass(slots=True)
class _Reader:
    """One pass over one payload."""

    origin: str
    most: int
    max_event_bytes: int  # 0 when no event of the payload can be too large
    out: Decoded = field(default_factory=Decoded)
    left: int = 0

    def __post_init__(self) -> None:
        self.left = self.most

    def skip(self, slug: str, detail: str, where: str = "") -> None:
        self.out.skipped.append((slug, f"{where}: {detail}" if where else detail))

    def take(self, found: list[Any], where: str = "") -> list[Any]:
        """Return as many entries as may still be read."""
        taken = found[: self.left]
        self.left -= len(taken)
        if len(taken) < len(found):
            self.skip("too-many", f"more than {self.most} entries, the rest is left out", where)
        return taken

    def payload(self, data: bytes) -> None:
        if not data.strip():
            self.skip("empty", "the payload is empty")
            return
        try:
            items = split(data)
            if items is None:
                self.top(_decoder.decode(data))
            else:
                self.parts(self.take(items))
        except (ValueError, RecursionError):
            self.lines_or_broken(data)

    def parts(self, found: list[msgspec.Raw]) -> None:
        """Take the entries of an EventList as they are written; those that are not as usual are read in full."""
        append, origin, most = self.out.events.append, self.origin, self.max_event_bytes
        for number, part in enumerate(found):
            if not (most and len(memoryview(part)) > most) and (event := glance(part, origin)):
                append(event)
                continue
            where = f"items[{number}]"
            try:
                self.event(decode_json(bytes(part)), where)
            except ValueError as error:
                self.skip("not-json", _reason(error), where)

    def lines_or_broken(self, data: bytes) -> None:
        try:
            values = _decoder.decode_lines(data)
        except (ValueError, RecursionError):
            self.broken(data)
            return
        for number, value in enumerate(self.take(values), 1):
            self.top(value, f"value {number}")

    def broken(self, data: bytes) -> None:
        """Read a payload of which not every part is sound: as one document, else line by line."""
        error = self.document(data)
        if not error:
            return
        lines = data.split(b"\n")
        if len(lines) < 2 or not any(_is_complete(line) for line in lines):
            self.skip("not-json", error)
            return
        for number, line in enumerate(self.take(lines), 1):
            if line.strip() and (error := self.document(line, f"line {number}")):
                self.skip("not-json", error, f"line {number}")

    def document(self, data: bytes, where: str = "") -> str:
        """Read one JSON document and return "", or why it is none."""
        try:
            value = decode_json(data)
        except ValueError as error:
            if is_cut(data[-_TAIL:].decode("utf-8", "replace")):
                self.cut(data.decode("utf-8", "replace"), where)
                return ""
            parts = entries(data, self.left + 1)
            if parts is None or (len(parts) == 1 and parts[0].data.strip() == data.strip()):
                return _reason(error)
        else:
            self.top(value, where)
            return ""
        for number, part in enumerate(self.take(parts, where)):
            self.part(part.data, part.cut, f"{where}[{number}]")
        return ""

    def part(self, data: bytes, cut: bool, where: str) -> None:
        try:
            value = decode_json(data)
        except ValueError as error:
            self.skip("not-json", _reason(error), where)
            return
        if cut and isinstance(value, dict):
            annotate(value, TRUNCATED, "true")
        self.element(value, where)

    def top(self, value: Any, where: str = "") -> None:
        if type(value) is list:
            for number, element in enumerate(self.take(value, where)):
                self.element(element, f"{where}[{number}]")
        else:
            self.element(value, where)

    def element(self, value: Any, where: str) -> None:
        if type(value) is list:
            self.skip("nested-array", "an array in an array holds no events", where)
        elif type(value) is not dict:
            self.event(value, where)
        else:
            self.shape(value, where)

    def shape(self, value: Record, where: str) -> None:
        kind = value.get("kind")
        if kind == "EventList":
            self.event_list(value, where)
        elif kind == "Event" or "auditID" in value:
            self.event(value, where)
        elif isinstance(value.get("records"), list):
            self.azure(value["records"], where)
        elif gke.is_log_entry(value):
            self.gke(value, where)
        elif isinstance(value.get("message"), dict) and "subscription" in value:
            self.pubsub(value["message"], where)
        elif "messageType" in value:
            self.cloudwatch(value, where)
        else:
            self.event(value, where)

    def event_list(self, value: Record, where: str) -> None:
        version, items = value.get("apiVersion", _API), value.get("items", "missing")
        if not isinstance(version, str) or not version.startswith(_API):
            self.skip("other-api", "an EventList of another API", where)
        elif items is not None and not isinstance(items, list):
            self.skip("no-items", "the EventList has no array of items", where)
        elif items:
            self.events(self.take(items, where), f"{where}.items" if where else "items")

    def events(self, found: list[Any], where: str) -> None:
        """Take the entries of an EventList."""
        origin, append = self.origin, self.out.events.append
        for number, entry in enumerate(found):
            try:
                if self.max_event_bytes:
                    _cut_down(entry, self.max_event_bytes)
                append(to_event(entry, origin))
            except BadRecord as bad:
                self.skip(bad.slug, bad.detail, f"{where}[{number}]")

    def event(self, value: Any, where: str) -> None:
        try:
            if self.max_event_bytes:
                _cut_down(value, self.max_event_bytes)
            self.out.events.append(to_event(value, self.origin))
        except BadRecord as bad:
            self.skip(bad.slug, bad.detail, where)

    def azure(self, records: list[Any], where: str) -> None:
        """Read diagnostic records: those of category kube-audit hold an audit event as text."""
        for number, record in enumerate(self.take(records, where)):
            log = value_at(record, "properties", "log")
            cluster = value_at(record, "resourceId")
            name = cluster.rpartition("/")[2] if isinstance(cluster, str) else ""
            self.embedded(log, f"{where}records[{number}]", name)

    def cloudwatch(self, message: Record, where: str) -> None:
        """Read the log events of a subscription: EKS writes one audit event as the text of each."""
        for number, entry in enumerate(self.take(_list(message.get("logEvents")), where)):
            stamp = value_at(entry, "timestamp")
            time_ns = stamp * _MILLISECOND if type(stamp) is int else 0
            self.embedded(value_at(entry, "message"), f"{where}logEvents[{number}]", "", time_ns)

    def pubsub(self, message: Record, where: str) -> None:
        try:
            value = decode_json(base64.b64decode(message.get("data", ""), validate=True))
        except (ValueError, TypeError, binascii.Error) as error:
            self.skip("not-json", f"data of the pushed message: {_reason(error)}", where)
            return
        if isinstance(value, dict) and gke.is_log_entry(value):
            self.gke(value, where)
        else:
            self.skip("other-log", "the pushed message holds no audit log entry", where)

    def gke(self, entry: Record, where: str) -> None:
        if gke.of_cluster(entry):
            self.event(gke.audit_event(entry), where)
        else:
            self.skip("other-log", "the log entry is of another service", where)

    def embedded(self, log: Any, where: str, cluster: str, time_ns: int = 0) -> None:
        """Take an audit event that is a text in another record, whose time is ``time_ns`` if known."""
        if not _may_be_audit(log):
            self.skip("other-log", "no audit event", where)
            return
        try:
            value = decode_json(log.encode("utf-8", "replace")) if isinstance(log, str) else log
        except ValueError as error:
            if is_cut(log):
                self.cut(log, where, time_ns)
            else:
                self.skip("not-json", _reason(error), where)
            return
        if cluster and isinstance(value, dict):
            annotate(value, "cluster_name", cluster)
        self.event(value, where)

    def cut(self, text: str, where: str, time_ns: int = 0) -> None:
        """Take what is left of an event whose text was cut off; an unknown time is that of the event before."""
        before = self.out.events[-1:]
        value = salvage(text, lambda: time_ns or (before[0].time_ns if before else time.time_ns()))
        if value is None:
            self.skip("truncated", "the event was cut off before it tells who did what", where)
        else:
            self.event(value, where)


def _is_complete(line: bytes) -> bool:
    """Whether a line holds a JSON object of its own."""
    return line[:1] == b"{" and entries(line, 1) is not None


def _cut_down(entry: Any, limit: int) -> None:
    """Take the response object, then the request object out of an event that is too large."""
    if type(entry) is not dict:
        return
    for key in ("responseObject", "requestObject"):
        if len(canonical_bytes(entry)) <= limit:
            return
        if entry.pop(key, None) is not None:
            annotate(entry, TRUNCATED, "true")
