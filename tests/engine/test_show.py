"""What people see of a rule: its tree, what leads events to it, and everything that the files hold as data."""

from typing import Any

import pytest

from engine import show
from engine.describe import describe
from engine.evaluate import Engine
from tests.engine.reading import loaded, rule

ITEMS: list[dict[str, Any]] = [
    {"required_engine_version": "0.26.0"},
    {"list": "people", "items": ["ann", "bob"]},
    {"list": "all", "items": ["people", "x y"]},
    {"macro": "known", "condition": "t.s in (all)"},
    {"macro": "quiet", "condition": "not known and t.u < 5"},
    {"macro": "spare", "condition": "t.s = x"},
    {
        "rule": "Told",
        "desc": "What is told.",
        "output": "by %toupper(t.s) at %t.k[a]",
        "priority": "INFO",
        "source": "test",
        "tags": ["b", "a"],
        "condition": "quiet and t.s2 startswith oneof (a, people) or t.ls intersects val(t.ls2)",
        "exceptions": [
            {"name": "e", "fields": ["tolower(t.s)", "t.u"], "comps": ["=", "in"], "values": [["z", [1, 2]]]}
        ],
    },
    rule("Off", enabled=False),
]


TREE = """\
and
  or
    and
      macro quiet
        and
          not
            macro known
              t.s in (ann, bob, "x y")
          t.u < 5
      t.s2 startswith oneof (a, ann, bob)
    t.ls intersects val(t.ls2)
  not
    and
      tolower(t.s) = z
      t.u in (1, 2)"""


def test_a_tree_has_macros_lists_and_exceptions_opened() -> None:
    assert show.tree(loaded(ITEMS).rules[0]) == TREE


def test_a_long_list_is_cut_in_the_tree() -> None:
    values = ", ".join(f"value{number}" for number in range(1000))
    (line,) = show.tree(loaded([rule(condition=f"t.s in ({values})")]).rules[0]).splitlines()
    assert (len(line), line[-3:]) == (show.MAX_SHOWN + 3, "...")


PLANS = {
    "a value": ("t.s = a and t.u = 1", "t.s: a"),
    "values": ("t.s in (b, a)", "t.s: a, b"),
    "anything but values": ("not t.s in (b, a)", "t.s: anything but a, b"),
    "absent": ("not t.s exists", "t.s: <absent>"),
    "another field": ("t.u = 1", "t.s: anything"),
    "nothing": ("t.s = a and t.s = b", "t.s: none, the rule can never match"),
}


@pytest.mark.parametrize(("condition", "wanted"), PLANS.values(), ids=PLANS)
def test_a_plan_tells_what_can_lead_an_event_to_a_rule(condition: str, wanted: str) -> None:
    rules = loaded([rule("asked", condition=condition), rule("indexed", condition="t.s = q")])
    index = Engine(rules).index("test")
    assert index is not None
    (line,) = [line for line in show.plan(rules.rules[0], index).splitlines() if line.startswith("t.s:")]
    assert line == wanted


def test_the_code_of_a_rule_tells_what_its_names_stand_for() -> None:
    rules = loaded(ITEMS)
    index = Engine(rules).index("test")
    assert index is not None
    shown = show.code(rules.rules[0], index)
    source, _, legend = shown.partition("\n\n#")
    assert source.startswith("def ")
    assert "'ann'" in legend
    assert "ann" not in source


def test_everything_is_described() -> None:
    told = describe(loaded(ITEMS))
    assert told["required_engine_version"] == "0.26.0"
    assert told["required_plugin_versions"] == []
    assert [(one["info"]["name"], one["info"]["enabled"]) for one in told["rules"]] == [("Told", True), ("Off", False)]
    assert {one["info"]["name"]: one["details"]["used"] for one in told["macros"]} == {
        "known": True,
        "quiet": True,
        "spare": False,
    }
    assert [
        (one["info"]["items"], one["details"]["lists"], one["details"]["items_compiled"], one["details"]["used"])
        for one in told["lists"]
    ] == [(["ann", "bob"], [], ["ann", "bob"], True), (["people", "x y"], ["people"], ["ann", "bob", "x y"], True)]


DETAILS = {
    "macros": ["quiet"],
    "lists": ["people"],
    "condition_operators": ["intersects", "startswith oneof"],
    "condition_fields": ["t.ls", "t.ls2", "t.s2"],
    "output_fields": ["t.k[a]", "toupper(t.s)"],
    "exception_fields": ["t.s", "t.u"],
    "exception_names": ["e"],
    "exception_operators": ["=", "in"],
    "events": [],
    "output_compiled": "by %toupper(t.s) at %t.k[a]",
    "extra_output_formatted_fields": {},
    "plugins": [],
}


def test_one_rule_is_described() -> None:
    (told,) = describe(loaded(ITEMS), "Told")["rules"]
    assert told["info"] == {
        "name": "Told",
        "condition": ITEMS[6]["condition"],
        "priority": "Informational",
        "output": "by %toupper(t.s) at %t.k[a]",
        "description": "What is told.",
        "enabled": True,
        "source": "test",
        "capture": False,
        "capture_duration": 0,
        "tags": ["a", "b"],
    }
    compiled = told["details"].pop("condition_compiled")
    assert told["details"] == DETAILS
    assert compiled.endswith("and not (tolower(t.s) = z and t.u in (1, 2)))")


def test_a_rule_that_there_is_not_is_not_described() -> None:
    with pytest.raises(KeyError):
        describe(loaded(ITEMS), "Tol")
