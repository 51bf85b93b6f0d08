"""Trail files at a glance: the same events as by a whole decode, made only where somebody asks."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.event import Event, Receipt, Record
from ingest.base import Decoded
from ingest.cloudtrail import files, trailfile
from ingest.cloudtrail.trailfile import TrailRecords, glance
from tests.ingest.cloudtrail.support import trail_record
from tests.shared import SHARED, needs_shared


def everything(source: str, head: Record) -> bool:
    return True


def nothing(source: str, head: Record) -> bool:
    return False


def text(*records: Any, **more: Any) -> bytes:
    return json.dumps({"Records": records, **more}).encode()


def seen(*records: Any) -> TrailRecords:
    found = glance(text(*records), "o")
    assert found is not None
    return found


def facts(event: Event) -> tuple[Any, ...]:
    return event.source, event.time_ns, event.uid, event.record, event.origin


def in_full(data: bytes, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    with monkeypatch.context() as patched:
        patched.setattr(files, "glance", lambda data, origin: None)
        decoded = files.decode(data, "o")
    assert isinstance(decoded, Decoded)
    return decoded.events


@needs_shared
def test_real_files_give_the_events_of_a_whole_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SHARED
    paths = sorted(path for path in (SHARED / "cloudtrail").rglob("*.json*") if path.is_file())
    glanced = 0
    for path in paths:
        data = path.read_bytes()
        decoded = files.decode(data, "o")
        glanced += isinstance(decoded.events, TrailRecords)
        assert list(map(facts, decoded.events)) == list(map(facts, in_full(data, monkeypatch))), path
    assert glanced > 20


def test_only_candidates_are_made_and_keep_their_places() -> None:
    records = [trail_record(n, eventName="Made" if n % 3 else "Other") for n in range(7)]
    asked: list[Record] = []

    def made(source: str, head: Record) -> bool:
        asked.append(head)
        return head["eventName"] == "Made"

    found = seen(*records).candidates(made)
    assert [(place, event.record) for place, event in found] == [(n, records[n]) for n in (1, 2, 4, 5)]
    assert asked == [{"eventName": "Other"}, {"eventName": "Made"}]


def test_the_rules_are_asked_with_all_that_discriminators_read() -> None:
    identity = {"type": "Root", "accountId": "1"}
    more = {"userIdentity": identity, "errorCode": "E", "userAgent": "agent", "requestParameters": {"eventName": "x"}}
    asked: list[Record] = []

    def note(source: str, head: Record) -> bool:
        asked.append(head)
        return False

    nulls = {"userIdentity": None, "errorCode": None, "userAgent": None}
    seen(trail_record(1, **more), trail_record(2, **nulls), trail_record(3, userIdentity={})).candidates(note)
    told = {"eventName": "CreateUser", "userAgent": "agent", "errorCode": "E", "userIdentity": {"type": "Root"}}
    assert asked == [told, {"eventName": "CreateUser"}]


def test_rules_that_change_are_asked_again() -> None:
    records = seen(trail_record(1))
    assert [len(records.candidates(admits)) for admits in (nothing, everything, nothing)] == [0, 1, 0]


def test_a_file_without_candidates_is_not_cut_into_records(monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(data: bytes) -> Any:
        raise AssertionError("nobody needs the records")

    monkeypatch.setattr(trailfile, "_parts", cut)
    assert seen(trail_record(1)).candidates(nothing) == []


def test_parts_of_a_file_are_the_same_records() -> None:
    records = [trail_record(n) for n in range(10)]
    found = seen(*records)
    found.receipt = Receipt(7)
    assert len(found) == 10
    part = found[4:8]
    assert [event.record for event in part] == records[4:8]
    picked = part[1:].picked([0, 2])  # type: ignore[attr-defined]
    assert [event.record for event in picked] == [records[5], records[7]]
    assert [event.record for _, event in picked.candidates(everything)] == [records[5], records[7]]
    assert list(picked.uids()) == [records[5]["eventID"], records[7]["eventID"]]
    assert picked[1].receipt == Receipt(7)


def test_what_happened_before_a_time_is_counted() -> None:
    times = ["2026-01-02T03:04:05Z", "2026-01-02T03:04:06.5Z", "2026-01-02T04:04:07+01:00"]
    found = seen(*(trail_record(n, eventTime=time) for n, time in enumerate(times)))
    start = found[0].time_ns
    assert [found.before(start + ms * 1_000_000) for ms in (0, 1, 1500, 1501, 2001)] == [0, 1, 1, 2, 3]


@pytest.mark.parametrize(
    "change",
    [
        {"eventTime": "yesterday"},
        {"eventTime": "2026-01-02T03:04:05"},
        {"eventTime": "0001-01-02T03:04:05Z"},
        {"eventTime": None},
        {"eventID": "short"},
        {"eventID": 7},
        {"eventName": None},
        {"userAgent": ["a"]},
        {"errorCode": 5},
        {"userIdentity": "root"},
        {"userIdentity": {"type": 1}},
    ],
)
def test_a_record_of_an_odd_shape_has_its_file_decoded_as_before(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = text(trail_record(1), trail_record(2, **change), trail_record(3))
    assert glance(data, "o") is None
    assert len(files.decode(data, "o").events) == len(in_full(data, monkeypatch)) >= 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b'{"Records":[]}',
        b'{"Records":[1]}',
        text(trail_record(1))[:-1],
        text(trail_record(1)) + b"{}",
        b"[" * 100_000,
        b'{"Records":' + b"[" * 100_000,
    ],
)
def test_what_is_no_whole_trail_file_needs_a_closer_look(data: bytes) -> None:
    assert glance(data, "o") is None


def broken(value: bytes) -> bytes:
    return text(trail_record(1, requestParameters="@", sourceIPAddress="192.0.2.1")).replace(b'"@"', value)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"1e999", None),
        (b"1" * 5000, None),
        (b'{"a": "\xff"}', {"a": "\N{REPLACEMENT CHARACTER}"}),
        (rb'{"a": "\ud800"}', {"a": "\N{REPLACEMENT CHARACTER}"}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
    ids=["infinite", "long", "no-utf8", "surrogate", "twice"],
)
def test_a_member_that_cannot_be_read_costs_itself_alone(value: bytes, read: Any) -> None:
    decoded = files.decode(broken(value), "o")
    (event,) = decoded.events
    assert event.record.get("requestParameters") == read
    assert event.record["sourceIPAddress"] == "192.0.2.1"
    assert event.time_ns == 1767323045000000000


def test_compressed_files_are_glanced_at_too() -> None:
    assert isinstance(files.decode(gzip.compress(text(trail_record(1))), "o").events, TrailRecords)


def test_many_values_of_strangers_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trailfile, "_MOST_KNOWN", 50)
    sieve = trailfile.Sieve()
    for number in range(20):
        data = seen(*(trail_record(n, userAgent=f"{number}-{n}") for n in range(10)))
        assert len(sieve.sift(data._outlines, everything)) == 10
        assert len(sieve._known) <= 60
    long = seen(trail_record(1, userAgent="x" * 10_000))
    before = len(sieve._known)
    assert sieve.sift(long._outlines, everything) == [0]
    assert len(sieve._known) == before


Decode = Callable[[bytes, str], Decoded]


@needs_shared
def test_cut_off_real_files_give_what_they_gave(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert SHARED
    path = max((SHARED / "cloudtrail" / "invictus").rglob("*.json.gz"), key=lambda path: path.stat().st_size)
    data = path.read_bytes()[:-100]
    decoded = files.decode(data, "o")
    assert decoded.skipped[0][0] == "truncated-gzip"
    assert list(map(facts, decoded.events)) == list(map(facts, in_full(data, monkeypatch)))
    assert decoded.events
