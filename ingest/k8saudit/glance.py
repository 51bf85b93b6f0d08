"""
An EventList at a glance: each event is decoded only as far as it takes to see which rules it could match.

Most events of a cluster match no rule. Of these, the members that the discriminators read are decoded, and the rest is
only stepped over; an event that a rule looks at is decoded in full then.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, TypedDict, overload

import msgspec

from engine.event import Event, Receipt, Record
from ingest.base import Sifted
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


class _Early(TypedDict, total=False):
    """What rules ask before they match: all that the API knows of an event but the response, often the larger half."""

    kind: Any
    apiVersion: Any
    level: Any
    auditID: Any
    stage: Any
    requestURI: Any
    verb: Any
    user: Any
    impersonatedUser: Any
    sourceIPs: Any
    userAgent: Any
    objectRef: Any
    responseStatus: Any
    requestObject: Any
    requestReceivedTimestamp: Any
    stageTimestamp: Any
    timestamp: Any
    annotations: Any


EARLY = frozenset(_Early.__annotations__)
"""Keys of the record that ``Event.early`` of an audit event has."""


class _List(msgspec.Struct, gc=False):
    kind: Literal["EventList"]
    apiVersion: Literal["audit.k8s.io/v1"]  # noqa: N815 - as the API spells it
    items: list[msgspec.Raw]


class _UserKey(msgspec.Struct, frozen=True, gc=False):
    username: str | None = None


class _ReferenceKey(msgspec.Struct, frozen=True, gc=False):
    resource: str | None = None
    subresource: str | None = None


class _Outline(msgspec.Struct, gc=False):
    """What makes an event usable, and what ``_Head`` has of it, in a form that takes less to make."""

    kind: Literal["Event"]
    apiVersion: Literal["audit.k8s.io/v1"]  # noqa: N815 - as the API spells it
    auditID: str  # noqa: N815
    stageTimestamp: datetime  # noqa: N815
    verb: str
    stage: Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
    user: _UserKey | None = None
    objectRef: _ReferenceKey | None = None  # noqa: N815


class _Outlines(msgspec.Struct, gc=False):
    kind: Literal["EventList"]
    apiVersion: Literal["audit.k8s.io/v1"]  # noqa: N815
    items: list[_Outline]


_Key = tuple[str, str, _UserKey | None, _ReferenceKey | None]

_lists = msgspec.json.Decoder(_List)
_outlines = msgspec.json.Decoder(_Outlines)
_decode_head = msgspec.json.Decoder(_Head).decode
_decode_early = msgspec.json.Decoder(_Early).decode
_decode = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_KEY = ("verb", "stage", "user", "objectRef")
_MOST_KNOWN = 16_384  # combinations of discriminator values that are remembered
_LONGEST_KNOWN = 512  # bytes of one
_FIRST_YEAR, _LAST_YEAR = 1970, 2261  # what 64 bits of nanoseconds hold


class RawEvent(Event):
    """An audit event whose ``record`` is decoded, and whose ``time_ns`` read from it, when it is first asked for."""

    __slots__ = ("_notes", "_raw")

    def __init__(self, head: Record | None, raw: msgspec.Raw, origin: str) -> None:
        self.source = SOURCE
        if head is not None:
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
        elif name == "early":
            self.early = _early(self._raw, self._notes) or self.record
        elif name == "head":
            self.head = self.early
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


@dataclass(slots=True)
class Sieve:
    """What is known of rules: whether they admit an event, by the values of its discriminators."""

    _admits: Callable[[str, Record], bool] | None = None
    _known: dict[_Key, bool] = field(default_factory=dict)

    def sift(self, outlines: Iterable[_Outline], admits: Callable[[str, Record], bool]) -> list[int]:
        """Return the places of the events that are admitted."""
        if admits != self._admits or len(self._known) > _MOST_KNOWN:
            self._admits, self._known = admits, {}
        known, found = self._known, []
        for place, outline in enumerate(outlines):
            key = (outline.verb, outline.stage, outline.user, outline.objectRef)
            admitted = known.get(key)
            if admitted is None:
                admitted = self._ask(key, admits)
            if admitted:
                found.append(place)
        return found

    def _ask(self, key: _Key, admits: Callable[[str, Record], bool]) -> bool:
        head = {name: part for name, part in zip(_KEY, msgspec.to_builtins(key), strict=True) if part is not None}
        answer = admits(SOURCE, head)
        if len(msgspec.json.encode(key)) <= _LONGEST_KNOWN:
            self._known[key] = answer
        return answer


class AuditList(Sifted):
    """
    The events of an EventList, seen in outline.

    Args:
        data: The EventList.
        outlines: Of its items.
        origin: Where it came from, for people.
        receipt: When it came.
        sieve: Shared by many lists.
    """

    source = SOURCE

    def __init__(self, data: bytes, outlines: Sequence[_Outline], origin: str, receipt: Receipt, sieve: Sieve) -> None:
        self._data = data
        self._outlines = outlines
        self._origin = origin
        self._receipt = receipt
        self._sieve = sieve
        self._notes: tuple[tuple[str, str], ...] = ()

    def __len__(self) -> int:
        return len(self._outlines)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | Sequence[Event]:
        if isinstance(place, int):
            return self._made(self._parts[place])
        found = AuditList(self._data, self._outlines[place], self._origin, self._receipt, self._sieve)
        found._parts, found._notes = self._parts[place], self._notes
        return found

    def note(self, key: str, value: str) -> None:
        """Have an annotation set in every event unless it has it."""
        self._notes += ((key, value),)

    def candidates(self, admits: Callable[[str, Record], bool]) -> list[tuple[int, Event]]:
        """As the base says."""
        places = self._sieve.sift(self._outlines, admits)
        return [(place, self._made(self._parts[place])) for place in places]

    @cached_property
    def _parts(self) -> list[msgspec.Raw]:
        return _lists.decode(self._data).items

    def _made(self, part: msgspec.Raw) -> Event:
        event = RawEvent(None, part, self._origin)
        event.receipt = self._receipt
        for key, value in self._notes:
            event.note(key, value)
        return event


def outline(data: bytes, origin: str, receipt: Receipt, sieve: Sieve) -> AuditList | None:
    """Return the events of an EventList as API servers write them; None when the data needs a closer look."""
    try:
        outlines = _outlines.decode(data).items
    except (ValueError, RecursionError):
        return None
    years = {outline.stageTimestamp.year for outline in outlines}
    if not outlines or min(years) < _FIRST_YEAR or max(years) > _LAST_YEAR:
        return None
    return AuditList(data, outlines, origin, receipt, sieve)


def note_all(events: Sequence[Event], key: str, value: str) -> None:
    """Set an annotation of those events that do not have it."""
    if isinstance(events, AuditList):
        events.note(key, value)
    else:
        for event in events:
            note(event, key, value)


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


def _early(raw: msgspec.Raw, notes: tuple[tuple[str, str], ...]) -> Record | None:
    """Return the record without its response; None when a member cannot be decoded."""
    try:
        found: Record = _decode_early(raw)  # type: ignore[assignment]
    except (ValueError, RecursionError):
        return None
    for key, value in notes:
        annotate(found, key, value)
    return found


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
