"""The list of canonical fields, and rows made of it."""

import json

import pytest

from engine.event import Event, Receipt
from ingest.canonical import CANONICAL, canonical_fields
from tests.shared import SHARED, needs_shared

EVENT = Event("s", 0, {"a": {"b": "text"}}, "id")


def test_names_are_unique_and_documented() -> None:
    assert len({row.name for row in CANONICAL}) == len(CANONICAL)
    assert all(row.name.startswith("evt.") and row.doc.endswith(".") for row in CANONICAL)


def test_a_source_answers_what_it_can_and_the_rest_is_absent() -> None:
    rows = {row.name: row for row in canonical_fields({"evt.actor": lambda event: "ana", "evt.action": ("a", "b")})}
    assert list(rows) == [row.name for row in CANONICAL]
    answers = {name: row.get(EVENT) for name, row in rows.items() if row.get}
    assert {name: answer for name, answer in answers.items() if answer is not None} == {
        "evt.actor": "ana",
        "evt.action": "text",
    }
    assert rows["evt.action"].path == ("a", "b")
    assert [(row.type, row.is_list, row.doc) for row in rows.values()] == [row[1:] for row in CANONICAL]


def test_a_name_that_is_not_canonical_is_refused() -> None:
    with pytest.raises(ValueError, match=r"evt\.who"):
        canonical_fields({"evt.who": lambda event: None})


@needs_shared
def test_no_name_is_one_that_falco_has() -> None:
    assert SHARED is not None
    names = json.loads((SHARED / "oracle/fields/names.json").read_text())["names"]
    falco = {name for source in names.values() for name in source}
    assert not falco & {row.name for row in CANONICAL}


def received(time_ns: int, receipt: Receipt | None) -> dict[str, object]:
    event = Event("s", time_ns, {}, "id")
    event.receipt = receipt
    rows = {row.name: row for row in canonical_fields({})}
    asked = ((name, rows[name].get) for name in ("evt.delay", "evt.late", "evt.replay"))
    return {name: get(event) for name, get in asked if get}


def test_how_an_event_was_received_is_told_alike_by_all_sources() -> None:
    day = 24 * 3600 * 10**9
    assert received(5, Receipt(12)) == {"evt.delay": 7, "evt.late": False, "evt.replay": False}
    assert received(5, Receipt(5 + day + 1)) == {"evt.delay": day + 1, "evt.late": True, "evt.replay": False}
    assert received(5, Receipt(12, late_after_ns=6)) == {"evt.delay": 7, "evt.late": True, "evt.replay": False}


def test_a_replay_has_no_delay_and_is_never_late() -> None:
    assert received(5, Receipt(10**18, replay=True)) == {"evt.delay": None, "evt.late": None, "evt.replay": True}


def test_nothing_is_said_of_an_event_that_nobody_received_or_that_comes_from_the_future() -> None:
    assert received(5, None) == {"evt.delay": None, "evt.late": None, "evt.replay": None}
    assert received(5, Receipt(4)) == {"evt.delay": None, "evt.late": False, "evt.replay": False}
