"""Rule files to a rule set: what configuration adds to outputs, several sources, order and selection."""

import json
from typing import Any

import pytest
import yaml

from engine.alert import make_alert
from engine.evaluate import Engine
from engine.event import Event
from engine.fields import Field, FieldCatalog, Type, table
from engine.load import AppendOutput, LoadOptions, LoadResult, load_rules
from engine.priority import Priority
from engine.rulefile import RuleFile
from engine.ruleset import RuleSet
from engine.selection import Selection, from_flags
from tests.engine import reading, testfields
from tests.engine.reading import Items, rule

OTHER = table(
    "other",
    testfields.COMMON,
    [
        Field("t.s", Type.STRING, "A text, here too.", lambda event: event.record.get("s")),
        Field("o.s", Type.STRING, "A text that is suggested.", lambda event: event.record.get("o"), suggested=True),
    ],
)
CATALOG = FieldCatalog({**testfields.CATALOG.tables, "other": OTHER})


def load(*files: Items, options: LoadOptions | None = None) -> LoadResult:
    return reading.load(*files, catalog=CATALOG, options=options)


def loaded(*files: Items, options: LoadOptions | None = None) -> RuleSet:
    return reading.loaded(*files, catalog=CATALOG, options=options)


def fired(ruleset: RuleSet, event: Event) -> list[str]:
    return [match.rule.name for match in Engine(ruleset).evaluate(event)]


# What append_output adds, by its entries: to the message, and to the fields.
TAGGED = frozenset({"x"})
ADDITIONS: dict[str, tuple[list[AppendOutput], str, dict[str, Any]]] = {
    "nothing": ([], "o", {}),
    "text": ([AppendOutput(extra_output="by %t.s2")], "o by b", {"t.s2": "b"}),
    "texts in order": ([AppendOutput(extra_output="1"), AppendOutput(extra_output="%%")], "o 1 %", {}),
    "a field with its type": ([AppendOutput(extra_fields=(("t.u", "%t.u"),))], "o", {"t.u": 7}),
    "a field made of text": ([AppendOutput(extra_fields=(("who", "<%t.s %t.u>"),))], "o", {"who": "<a 7>"}),
    "an absent field": ([AppendOutput(extra_fields=(("t.x", "%t.x"),))], "o", {"t.x": None}),
    "a field again": (
        [AppendOutput(extra_fields=(("k", "one"),)), AppendOutput(extra_fields=(("k", "two"),))],
        "o",
        {"k": "two"},
    ),
    "for its source": ([AppendOutput(source="test", extra_output="yes")], "o yes", {}),
    "for another source": ([AppendOutput(source="other", extra_output="no")], "o", {}),
    "for its name": ([AppendOutput(rule="r", extra_output="yes")], "o yes", {}),
    "for part of its name": ([AppendOutput(rule="*", extra_output="no")], "o", {}),
    "for a tag it has": ([AppendOutput(tags=TAGGED, extra_output="yes")], "o yes", {}),
    "for a tag more": ([AppendOutput(tags=TAGGED | {"z"}, extra_output="no")], "o", {}),
    "for its name and another source": ([AppendOutput(rule="r", source="other", extra_output="no")], "o", {}),
}


@pytest.mark.parametrize(("entries", "message", "fields"), ADDITIONS.values(), ids=ADDITIONS)
def test_configuration_adds_to_outputs(entries: list[AppendOutput], message: str, fields: dict[str, Any]) -> None:
    ruleset = loaded([rule(tags=["x", "y"])], options=LoadOptions(append_output=entries))
    (match,) = Engine(ruleset).evaluate(testfields.event(s="a", s2="b", u=7))
    alert = json.loads(make_alert(match, "h").json(with_message=True))
    del alert["output_fields"]["evt.time"]
    assert (alert["message"], alert["output_fields"]) == (message, fields)


def test_suggested_fields_are_those_of_the_source() -> None:
    suggested = LoadOptions(append_output=[AppendOutput(suggested=True)])
    ruleset = loaded([rule(condition="evt.num > 0", source="any")], options=suggested)
    told = [Engine(ruleset).evaluate(event) for event in (testfields.event(), Event("other", 0, {"o": "x"}, ""))]
    assert [make_alert(match, "h").message for (match,) in told] == ["o", "o o_s=x"]


def test_what_is_wrong_with_an_addition_is_told_there_and_for_each_rule() -> None:
    wrong = LoadOptions(append_output=[AppendOutput(extra_output="%t.frob", extra_fields=(("k", "%t.ghost"),))])
    errors = load([rule("r"), rule("s")], options=wrong).report.errors
    assert {(found.code, found.span.file, found.item[1]) for found in errors} == {
        ("LOAD_ERR_COMPILE_OUTPUT", "append_output", name) for name in "rs"
    }
    assert len(errors) == 4


# Conditions for several sources: in which of them the rule is.
SOURCES = {
    "a field of both": ("t.s = a", ["test", "other"]),
    "a field of one": ("o.s = a", ["other"]),
    "a field of one, negated": ("not o.s = a", ["test", "other"]),
    "either": ("o.s = a or t.u = 1", ["test", "other"]),
    "one and the other": ("t.s = a and o.s = b", ["other"]),
}


@pytest.mark.parametrize("source", ["any", ["test", "other"], ["other", "test"]], ids=str)
@pytest.mark.parametrize(("condition", "sources"), SOURCES.values(), ids=SOURCES)
def test_a_rule_for_several_sources_is_made_for_those_it_can_match_in(
    condition: str, sources: list[str], source: Any
) -> None:
    found = [one.source for one in loaded([rule(condition=condition, source=source)]).rules]
    assert sorted(found) == sorted(sources)


def test_a_rule_for_several_sources_that_can_match_in_none_is_an_error() -> None:
    (error,) = load([rule(condition="o.s = a and t.u = 1", source="any")]).report.errors
    assert (error.slug, error.item) == ("never-matches", ("rule", "r"))


def test_a_field_of_another_source_is_named_with_its_source() -> None:
    (error,) = load([rule(condition="o.s = a")]).report.errors
    assert error.message == "source test has no field 'o.s'"
    assert error.hint == "'o.s' is a field of source other; does the rule lack 'source: other'?"


def test_a_field_of_another_source_is_absent_in_a_rule_for_both() -> None:
    ruleset = loaded([rule(condition="not o.s exists", output="%o.s of %evt.source", source="any")])
    (match,) = Engine(ruleset).evaluate(testfields.event(s="a"))
    assert make_alert(match, "h").message == "<NA> of test"
    assert fired(ruleset, Event("other", 0, {"o": "x"}, "")) == []
    assert fired(ruleset, Event("other", 0, {}, "")) == ["r"]


def test_rules_keep_the_order_in_which_they_were_defined_first() -> None:
    ruleset = loaded([rule("one"), rule("two")], [rule("three"), rule("one", condition="t.s exists")])
    assert fired(ruleset, testfields.event(s="a")) == ["one", "two", "three"]


def test_a_condition_may_use_what_a_later_file_defines() -> None:
    first = [rule(condition="m and t.s2 in (l)")]
    later = [{"macro": "m", "condition": "t.s = a"}, {"list": "l", "items": ["b"]}]
    assert fired(loaded(first, later), testfields.event(s="a", s2="b")) == ["r"]


def test_later_files_change_what_earlier_ones_define() -> None:
    base = [
        {"list": "l", "items": ["a"]},
        {"macro": "m", "condition": "t.s in (l)"},
        rule(condition="m", tags=["x"], exceptions=[{"name": "e", "fields": ["t.u"], "values": [[1]]}]),
    ]
    changes = [
        {"list": "l", "items": ["b"], "override": {"items": "append"}},
        {"macro": "m", "condition": "or t.s = c", "override": {"condition": "append"}},
        {
            "rule": "r",
            "condition": "and t.i exists",
            "output": "%t.s",
            "tags": ["y"],
            "priority": "ERROR",
            "exceptions": [{"name": "e", "values": [[2]]}],
            "override": {
                "condition": "append",
                "output": "append",
                "tags": "append",
                "priority": "replace",
                "exceptions": "append",
            },
        },
    ]
    ruleset = loaded(base, changes)
    answers = {
        (s, u, i): bool(fired(ruleset, testfields.event(s=s, u=u, i=i)))
        for s in ("a", "b", "c", "d")
        for u in (1, 2, 3)
        for i in (None, 0)
    }
    assert {key for key, answer in answers.items() if answer} == {("a", 3, 0), ("b", 3, 0), ("c", 3, 0)}
    (one,) = ruleset.rules
    assert (one.output.text, one.tags, one.priority) == ("o %t.s", ("x", "y"), Priority.ERROR)


RULES = [
    rule("file read", tags=["files", "reads"]),
    rule("file written", tags=["files"], priority="ERROR"),
    rule("shell", tags=["hosts"], enabled=False),
]
SELECTED: dict[str, tuple[LoadOptions, list[str]]] = {
    "as they are": (LoadOptions(), ["file read", "file written"]),
    "-D": (LoadOptions(selection=from_flags(disabled_names=["read"])), ["file written"]),
    "-T": (LoadOptions(selection=from_flags(disabled_tags=["reads", "hosts"])), ["file written"]),
    "-t": (LoadOptions(selection=from_flags(only_tags=["hosts"])), ["shell"]),
    "a wildcard": (LoadOptions(selection=[Selection(False, rule="file *")]), []),
    "a tag": (LoadOptions(selection=[Selection(True, tag="hosts")]), ["file read", "file written", "shell"]),
    "none but one": (LoadOptions(selection=[Selection(False, rule="*"), Selection(True, rule="shell")]), ["shell"]),
    "the more severe": (LoadOptions(Priority.ERROR, [Selection(True, rule="*")]), ["file written"]),
}


@pytest.mark.parametrize(("options", "names"), SELECTED.values(), ids=SELECTED)
def test_selected_rules_run_and_all_are_there(options: LoadOptions, names: list[str]) -> None:
    ruleset = loaded(RULES, options=options)
    assert fired(ruleset, testfields.event(s="a")) == names
    assert len(ruleset.rules) == len(RULES)


def test_a_rule_that_an_item_turned_off_can_be_selected() -> None:
    files = [rule("r")], [{"rule": "r", "enabled": False, "override": {"enabled": "replace"}}]
    assert fired(loaded(*files), testfields.event(s="a")) == []
    chosen = LoadOptions(selection=[Selection(True, rule="r")])
    assert fired(loaded(*files, options=chosen), testfields.event(s="a")) == ["r"]


def test_one_error_forbids_all_rules_and_is_told_with_the_others() -> None:
    result = load([rule("good")], [rule("bad", condition="t.frob = a"), rule("worse", output="%t.frob")])
    assert result.ruleset is None
    assert [found.item[1] for found in result.report.errors] == ["bad", "worse"]


def test_a_file_that_is_no_yaml_makes_no_macros_undefined() -> None:
    files = [
        RuleFile("a.yaml", "- macro: m\n  condition: [\n"),
        RuleFile("b.yaml", yaml.safe_dump([rule(condition="m")])),
    ]
    assert [found.slug for found in load_rules(files, CATALOG).report.errors] == ["yaml-syntax"]


def test_a_rule_left_out_still_counts_for_overrides() -> None:
    files = [
        [rule("r", condition="t.new = a", **{"skip-if-unknown-filter": True}), rule("s")],
        [{"rule": "r", "tags": ["x"], "override": {"tags": "append"}}],
    ]
    result = load(*files)
    assert result.ruleset is not None
    assert [one.name for one in result.ruleset.rules] == ["s"]
    assert [found.code for found in result.report.warnings] == ["LOAD_UNKNOWN_FILTER"]
