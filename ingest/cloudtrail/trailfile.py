"""
A trail file at a glance: of each record only what the discriminators read is decoded, until a rule could match it.

Most records match no rule. Of these the members below are read and the rest is only stepped over; the file's text is
kept, and a record that some rule could match is decoded from it in full.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any, overload

import msgspec

from engine.event import Event, Receipt, Record
from ingest.base import Sifted
from ingest.cloudtrail.record import SOURCE, recorded_time
from ingest.payload import decode_json

_Id = Annotated[str, msgspec.Meta(min_length=36, max_length=36)]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class _Identity(msgspec.Struct, gc=False):
    type: str | None = None


class _Outline(msgspec.Struct, gc=False):
    """What says when and which a record is, and what the discriminators of ``fields.DISCRIMINATORS`` read."""

    eventTime: _Time  # noqa: N815 - as CloudTrail spells it
    eventID: _Id  # noqa: N815
    eventName: str  # noqa: N815
    userAgent: str | None = None  # noqa: N815
    errorCode: str | None = None  # noqa: N815
    userIdentity: _Identity | None = None  # noqa: N815


class _Outlines(msgspec.Struct, gc=False):
    Records: list[_Outline]


class _Parts(msgspec.Struct, gc=False):
    Records: list[msgspec.Raw]


_Key = tuple[str, str | None, str | None, str | None]
_outlines = msgspec.json.Decoder(_Outlines).decode
_parts = msgspec.json.Decoder(_Parts).decode
_whole = msgspec.json.Decoder().decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_FIRST_YEAR, _LAST_YEAR = 1970, 2261  # what 64 bits of nanoseconds hold
_MOST_KNOWN = 16_384  # combinations of discriminator values that are remembered
_LONGEST_KNOWN = 512  # characters of one
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Sieve:
    """What is known of rules: whether they admit a record, by the values of its discriminators."""

    _admits: Callable[[str, Record], bool] | None = None
    _known: dict[_Key, bool] = field(default_factory=dict)

    def sift(self, outlines: Iterable[_Outline], admits: Callable[[str, Record], bool]) -> list[int]:
        """Return the places of the records that are admitted."""
        if admits != self._admits or len(self._known) > _MOST_KNOWN:
            self._admits, self._known = admits, {}
        known, found = self._known, []
        for place, outline in enumerate(outlines):
            identity = outline.userIdentity
            key = (outline.eventName, outline.userAgent, outline.errorCode, identity.type if identity else None)
            admitted = known.get(key)
            if admitted is None:
                admitted = self._ask(key, outline, admits)
            if admitted:
                found.append(place)
        return found

    def _ask(self, key: _Key, outline: _Outline, admits: Callable[[str, Record], bool]) -> bool:
        head: Record = {name: value for name, value in zip(_HEAD, key, strict=False) if value is not None}
        if outline.userIdentity is not None:
            head["userIdentity"] = {} if outline.userIdentity.type is None else {"type": outline.userIdentity.type}
        answer = admits(SOURCE, head)
        if sum(map(len, filter(None, key))) <= _LONGEST_KNOWN:
            self._known[key] = answer
        return answer


_HEAD = ("eventName", "userAgent", "errorCode")
_sieve = Sieve()  # of the process: all files are of one source, and rules that change make it begin anew


class _File:
    """The text of a file, cut into its records when one of them is asked for."""

    def __init__(self, data: bytes, origin: str) -> None:
        self._data = data
        self.origin = origin

    @cached_property
    def parts(self) -> list[msgspec.Raw]:
        """The records as they are written."""
        return _parts(self._data).Records


class TrailRecords(Sifted):
    """
    Records of a trail file as events.

    Args:
        file: That they are in.
        outlines: Of these records.
        places: Where they are among all of the file.

    Attributes:
        receipt: How they came in.
    """

    source = SOURCE

    def __init__(
        self, file: _File, outlines: Sequence[_Outline], places: Sequence[int], receipt: Receipt | None = None
    ) -> None:
        self.receipt = receipt
        self._file = file
        self._outlines = outlines
        self._places = places

    def __len__(self) -> int:
        return len(self._outlines)

    @overload
    def __getitem__(self, place: int) -> Event: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Event]: ...
    def __getitem__(self, place: int | slice) -> Event | Sequence[Event]:
        if isinstance(place, int):
            return self._made(place)
        return TrailRecords(self._file, self._outlines[place], self._places[place], self.receipt)

    def candidates(self, admits: Callable[[str, Record], bool]) -> list[tuple[int, Event]]:
        """As the base says."""
        return [(place, self._made(place)) for place in _sieve.sift(self._outlines, admits)]

    def uids(self) -> Iterator[str]:
        """Yield the identity of each."""
        return (outline.eventID for outline in self._outlines)

    def picked(self, places: Sequence[int]) -> "TrailRecords":
        """Return some of them."""
        outlines, where = self._outlines, self._places
        return TrailRecords(self._file, [outlines[at] for at in places], [where[at] for at in places], self.receipt)

    def before(self, time_ns: int) -> int:
        """Return how many happened before a time, nanoseconds since the Unix epoch, to the microsecond."""
        time = _EPOCH + timedelta(microseconds=time_ns // 1000)
        if min(outline.eventTime for outline in self._outlines) >= time:
            return 0
        return sum(outline.eventTime < time for outline in self._outlines)

    def _made(self, place: int) -> Event:
        record = _decoded(self._file.parts[self._places[place]])
        event = Event(SOURCE, recorded_time(record), record, self._outlines[place].eventID, self._file.origin)
        event.receipt = self.receipt
        return event


def glance(data: bytes, origin: str) -> TrailRecords | None:
    """Return the records of a trail file as CloudTrail writes them; None when the data needs a closer look."""
    try:
        outlines = _outlines(data).Records
    except (ValueError, RecursionError):
        return None
    times = [outline.eventTime for outline in outlines]
    if not times or min(times).year < _FIRST_YEAR or max(times).year > _LAST_YEAR:
        return None
    return TrailRecords(_File(data, origin), outlines, range(len(outlines)))


def _decoded(raw: msgspec.Raw) -> Record:
    """Return the record; members that cannot be decoded, such as those with absurd numbers, are left out."""
    try:
        record: Record = _whole(raw)
    except (ValueError, RecursionError):
        record = _tolerant(raw)
    return record


def _tolerant(raw: msgspec.Raw) -> Record:
    try:
        record: Record = decode_json(bytes(raw))
    except ValueError:
        parts = _members(raw)
        return {key: value for key, part in parts.items() if (value := _member(part)) is not None}
    return record


def _member(raw: msgspec.Raw) -> Any:
    try:
        return decode_json(bytes(raw))
    except ValueError:
        return None
