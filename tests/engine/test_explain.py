"""Why a condition holds or not: every comparison that was asked, what its field held, and the one that decided."""

from typing import Any

import pytest

from engine.explain import Explained, decider, explain, leaves
from engine.fields import Field, FieldCatalog, Type, table
from engine.typed import Checked
from tests.engine import testfields
from tests.engine.reading import loaded, rule

DEFINITIONS = [
    {"list": "names", "items": ["ann", "bob"]},
    {"macro": "known", "condition": "t.s in (names)"},
    {"macro": "quiet", "condition": "not known and t.u < 5"},
]


def condition(text: str, **more: Any) -> Checked:
    return loaded([*DEFINITIONS, rule(condition=text, **more)]).rules[0].condition


def told(explained: Explained) -> list[str]:
    """The comparisons that were asked, each on a line."""
    return [f"{leaf.text}: {leaf.held}: {leaf.result}" for leaf in leaves(explained)]


# (condition, event, comparisons that are asked, the one that decides)
ASKED = {
    "one": ("t.s = a", {"s": "b"}, ["t.s = a: 'b': False"], 0),
    "an absent field": ("t.s != a", {}, ["t.s != a: absent: False"], 0),
    "and ends at what is false": ("t.s = a and t.u = 1", {"s": "b", "u": 1}, ["t.s = a: 'b': False"], 0),
    "and goes on to the end": (
        "t.s = a and t.u = 1",
        {"s": "a", "u": 1},
        ["t.s = a: 'a': True", "t.u = 1: '1': True"],
        1,
    ),
    "or ends at what is true": ("t.s = a or t.u = 1", {"s": "a"}, ["t.s = a: 'a': True"], 0),
    "or goes on to the end": ("t.s = a or t.u = 1", {"u": 2}, ["t.s = a: absent: False", "t.u = 1: '2': False"], 1),
    "not turns it round": ("not t.s = a", {}, ["t.s = a: absent: False"], 0),
    "a macro of a macro": (
        "quiet or t.s = x",
        {"s": "cat", "u": 7},
        ["t.s in (names): 'cat': False", "t.u < 5: '7': False", "t.s = x: 'cat': False"],
        2,
    ),
    "another field": ("t.s = val(t.s2)", {"s": "a", "s2": "b"}, ["t.s = val(t.s2): 'a'; t.s2 is 'b': False"], 0),
    "another field that is absent": ("t.s = val(t.s2)", {"s": "a"}, ["t.s = val(t.s2): 'a'; t.s2 is absent: False"], 0),
    "a transformer": ("len(tolower(t.s)) > 2", {"s": "AB"}, ["len(tolower(t.s)) > 2: '2': False"], 0),
    "a list": ("t.ls intersects (a)", {"ls": ["b", "c"]}, ["t.ls intersects (a): '(b,c)': False"], 0),
    "an address": ("t.net = 10.0.0.0/8", {"net": "10.1.2.3"}, ["t.net = 10.0.0.0/8: '10.1.2.3': True"], 0),
    "several lines": ("t.s =\n  a", {"s": "a"}, ["t.s = a: 'a': True"], 0),
}


@pytest.mark.parametrize(("text", "event", "asked", "decides"), ASKED.values(), ids=ASKED)
def test_what_was_asked_is_told_with_what_the_field_held(
    text: str, event: dict[str, Any], asked: list[str], decides: int
) -> None:
    explained = explain(condition(text), testfields.event(**event))
    assert told(explained) == asked
    assert told(decider(explained)) == [asked[decides]]


def test_what_was_not_asked_is_there_without_answer() -> None:
    explained = explain(condition("t.s = a and (t.u = 1 or known)"), testfields.event(s="b"))
    asked, unasked = explained.parts
    assert (explained.text, explained.result, asked.result) == ("and", False, False)
    assert (unasked.text, unasked.result, unasked.held) == ("or", None, "")
    assert [(part.text, part.result) for part in unasked.parts] == [("t.u = 1", None), ("macro known", None)]


def test_what_negations_and_macros_hold_is_there_when_not_asked() -> None:
    explained = explain(condition("t.s = a and not (known and t.u = 1)"), testfields.event(s="b"))
    (negation,) = explained.parts[1:]
    (inner,) = negation.parts
    assert (negation.text, negation.result, inner.text) == ("not", None, "and")
    assert [(part.text, part.result) for part in inner.parts] == [("macro known", None), ("t.u = 1", None)]


def test_a_field_that_only_another_source_has_is_never_asked() -> None:
    tables = {**testfields.CATALOG.tables, "other": table("other", [Field("o.s", Type.STRING, "A.", lambda _e: "x")])}
    ruleset = loaded([rule(condition="not o.s = x", source="any")], catalog=FieldCatalog(tables))
    told_of = {one.source: told(explain(one.condition, testfields.event())) for one in ruleset.rules}
    assert told_of["test"] == ["always false: : False"]


def test_a_long_value_is_cut() -> None:
    (leaf,) = leaves(explain(condition("t.s = a"), testfields.event(s="x" * 1000)))
    assert len(leaf.held) < 250
    assert leaf.held.endswith("...'")


EXCEPTIONS = [
    {"name": "pairs", "fields": ["t.s", "t.u"], "comps": ["startswith", "in"], "values": [["a b", [1, 2]]]},
    {"name": "single", "fields": "t.s2", "comps": "= anyof", "values": ["x", "y"]},
    {"name": "of another field", "fields": ["t.s"], "values": [["tolower(t.s2)"]]},
]


def test_comparisons_of_exceptions_are_put_into_words() -> None:
    event = testfields.event(s="a b c", u=3, s2="z", i=1)
    assert told(explain(condition("t.i exists", exceptions=EXCEPTIONS), event)) == [
        "t.i exists: '1': True",
        "t.s startswith a b: 'a b c': True",
        "t.u in (1, 2): '3': False",
        "t.s2 = anyof (x, y): 'z': False",
        "t.s = tolower(t.s2): 'a b c'; tolower(t.s2) is 'z': False",
    ]
