"""
An EventList at a glance: each event is decoded only as far as it takes to see which rules it could match.

Most events of a cluster match no rule. Of these, the members that the discriminators read are decoded, and the rest is
only stepped over; an event that a rule looks at is decoded in full then.
"""

from datetime import datetime
from typing import Any, Literal, TypedDict

import msgspec

from engine.event import Event, Record
from ingest.k8saudit.record import SOURCE, event_uid, recorded_time
from ingest.payload import decode_json

TRUNCATED = "lanner/truncated"
"""Annotation of events that something was cut out of."""


class _User(TypedDict, total=False):
    username: str


class _Reference(TypedDict, total=False):
    resource: str
    subresource: str


class _Required(TypedDict):
    kind: Literal["Event"]
    apiVersion: Literal["audit.k8s.io/v1"]
    auditID: str
    stageTimestamp: datetime


class _Head(_Required, total=False):
    """What is checked at once, and what the discriminators of ``fields.DISCRIMINATORS`` read."""

    stage: str
    verb: str
    user: _User
    objectRef: _Reference


class _List(msgspec.Struct, gc=False):
    kind: Literal["EventList"]
    apiVersion: Literal["audit.k8s.io/v1"]  # noqa: N815 - as the API spells it
    items: list[msgspec.Raw]


_lists = msgspec.json.Decoder(_List)
_decode_head = msgspec.json.Decoder(_Head).decode
_decode = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_FIRST_YEAR, _LAST_YEAR = 1970, 2261  # what 64 bits of nanoseconds hold


class RawEvent(Event):
    """An audit event whose ``record`` is decoded, and whose ``time_ns`` read from it, when it is first asked for."""

    __slots__ = ("_notes", "_raw")

    def __init__(self, head: Record, raw: msgspec.Raw, origin: str) -> None:
        self.source = SOURCE
        self.head = head
        self.origin = origin
        self.num = 1
        self.receipt = None
        self._uid = event_uid
        self._raw = raw
        self._notes: tuple[tuple[str, str], ...] = ()

    def __getattr__(self, name: str) -> Any:
        # Asked only while a slot is empty; once it is filled Python finds it by itself.
        if name == "record":
            self.record = _whole(self._raw, self._notes)
        elif name == "time_ns":
            self.time_ns = recorded_time(self.record) or 0
        else:
            raise AttributeError(name)
        return getattr(self, name)

    def note(self, key: str, value: str) -> None:
        """Have an annotation set when the record is decoded, which it is not yet."""
        self._notes += ((key, value),)


def split(data: bytes) -> list[msgspec.Raw] | None:
    """
    Return the items of an EventList of the current API as they are written; None when the data is no such list.

    Raises:
        RecursionError: It is nested too deeply.
    """
    try:
        return _lists.decode(data).items
    except ValueError:
        return None


def glance(part: msgspec.Raw, origin: str) -> Event | None:
    """Return the event of an item; None when it is not as API servers write them and needs a closer look."""
    try:
        head = _decode_head(part)
    except (ValueError, RecursionError):
        return None
    return RawEvent(head, part, origin) if _FIRST_YEAR <= head["stageTimestamp"].year <= _LAST_YEAR else None  # type: ignore[arg-type]


def note(event: Event, key: str, value: str) -> None:
    """Set an annotation of an event unless it has it."""
    if isinstance(event, RawEvent):
        event.note(key, value)
    else:
        annotate(event.record, key, value)


def annotate(record: Record, key: str, value: str) -> None:
    """Set an annotation of an audit event unless it has it."""
    found = record.get("annotations")
    if not isinstance(found, dict):
        found = record["annotations"] = {}
    found.setdefault(key, value)


def _whole(raw: msgspec.Raw, notes: tuple[tuple[str, str], ...]) -> Record:
    """Return the record; members that cannot be decoded, such as those with absurd numbers, are left out."""
    try:
        found: Record = _decode(raw)
    except (ValueError, RecursionError):
        found = _tolerant(raw)
    for key, value in notes:
        annotate(found, key, value)
    return found


def _tolerant(raw: msgspec.Raw) -> Record:
    try:
        found: Record = decode_json(bytes(raw))
    except ValueError:
        members = _members(raw)
        found = {key: part for key, value in members.items() if (part := _decoded(value)) is not None}
        annotate(found, TRUNCATED, "true")
    return found


def _decoded(raw: msgspec.Raw) -> Any:
    try:
        return decode_json(bytes(raw))
    except ValueError:
        return None
