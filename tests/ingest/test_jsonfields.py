"""Text of JSON values and the json.* fields."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.event import Event
from engine.fields import Field
from engine.jsontext import compact, text
from ingest.jsonfields import at_pointer, canonical_bytes, json_fields, path_field, text_at, value_at

FIELDS: dict[str, Field] = {row.name: row for row in json_fields()}
RECORD = {
    "a": {"b": "text", "": "empty key", "~": 1, "x/y": 2, "n": None},
    "list": [10, {"k": "v"}, None],
    "": "root empty key",
    "01": "no index",
}
DEEP: dict[str, object] = {}
for _ in range(5000):
    DEEP = {"a": DEEP}


def ask(name: str, key: str | None = None, record: dict[str, object] = RECORD) -> object:
    get = FIELDS[name].get
    assert get is not None
    found = Event("s", 1_500_000_000_123_456_789, record, "id")
    return get(found) if key is None else get(found, key)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("as is", "as is"),
        ("", ""),
        (None, None),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1.5, "1.5"),
        (2.0, "2.0"),
        ([], "[]"),
        ({}, "{}"),
        ({"b": [1, None, "x"], "a": {"c": True}}, '{"b":[1,null,"x"],"a":{"c":true}}'),
        (["<é/&>\u2028\x7f"], '["<é/&>\u2028\x7f"]'),
        (['quote " back \\ tab \t null \0'], '["quote \\" back \\\\ tab \\t null \\u0000"]'),
    ],
)
def test_text_of_values(value: object, shown: str | None) -> None:
    assert text(value) == shown


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
        max_leaves=10,
    )
)
def test_compact_text_is_json_of_the_value_and_keeps_the_order_of_keys(value: object) -> None:
    shown = compact(value)
    assert shown is not None
    assert json.loads(shown) == value
    if isinstance(value, dict):
        assert list(json.loads(shown)) == list(value)


def test_what_cannot_be_text_is_absent() -> None:
    assert compact(DEEP) is None
    assert compact(["\ud800"]) is None
    assert ask("json.obj", record=DEEP) is None
    assert ask("json.value", "/a", record=DEEP) is None


def test_values_are_found_by_path() -> None:
    assert value_at(RECORD, "a", "b") == text_at(RECORD, "a", "b") == "text"
    assert text_at(RECORD, "list") == '[10,{"k":"v"},null]'
    for path in (("a", "n"), ("a", "nope"), ("nope", "b"), ("a", "b", "c"), ("list", "0")):
        assert text_at(RECORD, *path) is None


def test_a_path_field_answers_what_its_path_says() -> None:
    for path in (("a",), ("a", "b"), ("a", "n"), ("list",), ("nope", "b")):
        row = path_field("x.y", "Doc.", *path)
        assert row.get is not None
        assert row.path == path
        assert row.get(Event("s", 0, RECORD, "id")) == text_at(RECORD, *path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("/a/b", "text"),
        ("a/b", "text"),
        ("/a/~0", "1"),
        ("/a/x~1y", "2"),
        ("/a/n", None),
        ("/a/", "empty key"),
        ("/", "root empty key"),
        ("", json.dumps(RECORD, separators=(",", ":"))),
        ("/list", '[10,{"k":"v"},null]'),
        ("/list/0", "10"),
        ("/list/1", '{"k":"v"}'),
        ("/list/1/k", "v"),
        ("/list/2", None),
        ("/list/3", None),
        ("/list/-1", None),
        ("/list/-", None),
        ("/list/00", None),
        ("/list/99999999999999999999", None),
        ("/01", "no index"),
        ("/a/b/c", None),
        ("/nope", None),
    ],
)
def test_json_value_follows_pointers(key: str, value: str | None) -> None:
    assert ask("json.value", key) == value
    assert ask("jevt.value", key) == value


def test_a_pointer_escape_is_undone_once() -> None:
    assert at_pointer({"~1": "tilde one"}, "/~01") == "tilde one"


def test_json_obj_is_indented_by_two() -> None:
    record = {"a": [1, {"b": None}], "c": {}, "d": [], "é": "<"}
    expected = '{\n  "a": [\n    1,\n    {\n      "b": null\n    }\n  ],\n  "c": {},\n  "d": [],\n  "é": "<"\n}'
    assert ask("json.obj", record=record) == ask("jevt.obj", record=record) == expected


def test_json_rawtime_is_nanoseconds_as_text() -> None:
    assert ask("json.rawtime") == ask("jevt.rawtime") == "1500000000123456789"


def test_the_old_spelling_warns_of_a_comparison_with_na() -> None:
    assert {row.name: row.not_na for row in FIELDS.values()} == {
        "json.value": False,
        "json.obj": False,
        "json.rawtime": False,
        "jevt.value": True,
        "jevt.obj": True,
        "jevt.rawtime": True,
    }


def test_canonical_bytes_do_not_depend_on_the_order_of_keys() -> None:
    assert canonical_bytes({"a": 1, "b": {"c": 2, "d": 3}}) == canonical_bytes({"b": {"d": 3, "c": 2}, "a": 1})
    assert canonical_bytes({"a": 1}) != canonical_bytes({"a": 2})
    assert canonical_bytes({"id": "x", "deep": DEEP}) != canonical_bytes({"id": "y", "deep": DEEP})
