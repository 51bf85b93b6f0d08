from typing import Any

import pytest

from engine.definitions import ExceptionDef, Scalar
from tests.engine.reading import fine, read, slugs

RULE = "- rule: r\n  desc: d\n  condition: a.b = c\n  output: o\n  priority: INFO\n"


def plain(entry: ExceptionDef) -> tuple[Any, ...]:
    """An exception without places."""

    def value(part: Scalar | tuple[Scalar, ...]) -> Any:
        return part.value if isinstance(part, Scalar) else tuple(item.value for item in part)

    rows = tuple(tuple(value(part) for part in row) for row in entry.values)
    return entry.single, tuple(f.value for f in entry.fields), tuple(c.value for c in entry.comps), rows


# (fields, comps, values as written; single, fields, comps, values as read)
SHAPES = {
    "tuples": ("[a.b, c.d]", None, "[[x, 1], [y, 2]]", (False, ("a.b", "c.d"), ("=", "="), (("x", "1"), ("y", "2")))),
    "tuples with lists": ("[a.b]", "[in]", "[[x], [[y, z]]]", (False, ("a.b",), ("in",), (("x",), (("y", "z"),)))),
    "no values": ("[a.b]", None, None, (False, ("a.b",), ("=",), ())),
    "empty values": ("[a.b]", None, "[]", (False, ("a.b",), ("=",), ())),
    "an empty list in a tuple": ("[a.b]", "[in]", "[[[]]]", (False, ("a.b",), ("in",), (((),),))),
    "an empty text": ("[a.b]", None, "[['']]", (False, ("a.b",), ("=",), (("",),))),
    "one field": ("a.b", None, "[x, y z]", (True, ("a.b",), ("in",), (("x",), ("y z",)))),
    "one field with an operator": ("a.b", "pmatch", "[/x]", (True, ("a.b",), ("pmatch",), (("/x",),))),
    "one field with a modifier": ("a.b", "startswith anyof", "[x]", (True, ("a.b",), ("startswith anyof",), (("x",),))),
    "a transformer": ("['tolower(a.b)']", None, "[[x]]", (False, ("tolower(a.b)",), ("=",), (("x",),))),
    "blanks in an operator": ("[a.b]", "[' = \t oneof ']", "[[[x]]]", (False, ("a.b",), ("= oneof",), ((("x",),),))),
}


@pytest.mark.parametrize(("fields", "comps", "values", "want"), SHAPES.values(), ids=SHAPES)
def test_shapes_are_read(fields, comps, values, want):
    keys = {"fields": fields, "comps": comps, "values": values}
    lines = "".join(f"      {key}: {value}\n" for key, value in keys.items() if value is not None)
    (entry,) = fine(f"{RULE}  exceptions:\n    - name: e\n{lines}").rules["r"].exceptions

    assert entry.name == "e"
    assert plain(entry) == want


OPERATORS = "= == != < <= > >= contains icontains bcontains startswith bstartswith endswith glob iglob regex in pmatch"


@pytest.mark.parametrize("comp", [*OPERATORS.split(), "intersects"])
def test_any_operator_compares_a_tuple(comp):
    (entry,) = fine(f"{RULE}  exceptions: [{{name: e, fields: [a.b], comps: ['{comp}']}}]\n").rules["r"].exceptions

    assert entry.comps[0].value == comp


def test_places_are_those_of_the_file():
    (entry,) = (
        fine(f"{RULE}  exceptions:\n    - name: e\n      fields: [a.b]\n      values: [[x]]\n").rules["r"].exceptions
    )
    (value,) = entry.values[0]
    assert isinstance(value, Scalar)

    places = [(at.span.line, at.span.col) for at in (entry.at, entry.fields[0].at, entry.comps[0].at, value.at)]
    assert places == [(7, 13), (8, 16), (8, 16), (9, 17)]


def changed(item: str, base: str = "[{name: e, fields: [a.b], values: [[x]]}]") -> list[tuple[Any, ...]]:
    rule = fine(f"{RULE}  exceptions: {base}\n", f"- rule: r\n{item}").rules["r"]
    return [(entry.name, *plain(entry)) for entry in rule.exceptions]


def test_values_are_appended_to_an_exception():
    item = "  exceptions: [{name: e, values: [[y], [x]]}]\n  override: {exceptions: append}\n"

    assert changed(item) == [("e", False, ("a.b",), ("=",), (("x",), ("y",), ("x",)))]


def test_values_are_appended_to_an_exception_of_one_field():
    item = "  exceptions: [{name: e, values: [y]}]\n  override: {exceptions: append}\n"

    assert changed(item, "[{name: e, fields: a.b}]") == [("e", True, ("a.b",), ("in",), (("y",),))]


def test_a_new_exception_is_appended():
    item = "  exceptions: [{name: f, fields: c.d, values: [y]}]\n  override: {exceptions: append}\n"

    assert changed(item)[1] == ("f", True, ("c.d",), ("in",), (("y",),))


def test_all_exceptions_are_replaced_and_get_the_usual_comparisons():
    item = "  exceptions: [{name: g, fields: [c.d], values: [[y]]}]\n  override: {exceptions: replace}\n"

    assert changed(item) == [("g", False, ("c.d",), ("=",), (("y",),))]


def test_appending_to_a_name_that_occurs_twice_adds_to_the_first():
    twice = "  exceptions: [{name: e, fields: [a.b]}, {name: e, fields: [c.d]}]\n"
    found, report = read(
        RULE + twice, "- rule: r\n  exceptions: [{name: e, values: [[x]]}]\n  override: {exceptions: append}\n"
    )

    assert slugs(report) == ["exception-twice"]
    assert [len(entry.values) for entry in found.rules["r"].exceptions] == [1, 0]


def test_wrong_values_cost_themselves_alone():
    found, report = read(
        f"{RULE}  exceptions:\n    - name: e\n      fields: [a.b]\n      values: [[x], y, [z, z], [q]]\n"
    )

    assert slugs(report) == ["exception-shape", "exception-shape"]
    assert plain(found.rules["r"].exceptions[0])[3] == (("x",), ("q",))
