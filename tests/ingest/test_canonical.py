"""The list of canonical fields, and rows made of it."""

import json

import pytest

from engine.event import Event
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
