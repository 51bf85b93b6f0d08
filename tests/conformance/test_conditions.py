"""
The condition language and rule files, case by case: the tables beside this file, run through the real engine.

A row is one case. Its keys:

* ``name`` is unique over all tables; ``case`` is its number in the specification's list (rule-language 7), ``spec`` the
  section that demands the answer.
* The rules: a rule called "case" with ``condition`` and the keys of ``rule``, after the items of ``definitions`` and
  before those of ``later``; or ``files``, each a list of items; or ``text``, one file as it is.
* ``event``: values of the test source, as ``tests.engine.testfields.event`` takes them; ``matching``, ``selection`` and
  ``min_priority`` as the configuration has them.
* The answer: ``want`` true or false (the rule fires), ``parse_error`` or ``load_error`` with its ``code``; ``fires``
  names the rules that match, in order; ``message``, ``fields`` and ``priority`` are those of the alert; ``rules`` are
  priority and output of what was loaded; ``warnings`` are codes that must be reported.
* ``differs`` says why Lanner answers otherwise than Falco, whose answer is ``falco``.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.alert import make_alert
from engine.common import common_fields
from engine.diagnostics import SourceText
from engine.evaluate import Engine, Match
from engine.fields import FieldCatalog
from engine.load import LoadOptions, LoadResult, load_rules
from engine.parser import parse_condition
from engine.priority import Priority
from engine.rulefile import RuleFile
from engine.selection import Selection
from engine.syntax import ParseFailure
from ingest.syscalls.fields import syscall_table
from tests.engine import testfields

Case = dict[str, Any]

CATALOG = FieldCatalog({**testfields.CATALOG.tables, "syscall": syscall_table(common_fields("host"))})
TABLES = sorted(Path(__file__).parent.glob("*.yaml"))
ANSWERS = {"want", "fires", "message", "fields", "priority", "rules", "warnings"}
KEYS = ANSWERS | {
    *("name", "case", "spec", "condition", "rule", "definitions", "later", "files", "text"),
    *("event", "matching", "selection", "min_priority", "code", "differs", "falco"),
}


def cases() -> list[Case]:
    found: dict[str, Case] = {}
    for path in TABLES:
        if path.stem.endswith("_differences"):
            continue
        for row in yaml.safe_load(path.read_text("utf-8")):
            name = f"{path.stem}: {row['name']}"
            if name in found:
                raise ValueError(f"{path}: two cases are called {row['name']!r}")
            if not set(row) <= KEYS or not set(row) & ANSWERS:
                raise ValueError(f"{path}: case {row['name']!r} has unknown keys or no answer")
            found[name] = {**row, "name": name}
    return list(found.values())


def files(case: Case) -> list[RuleFile]:
    if "text" in case:
        return [RuleFile("case.rules", case["text"])]
    if "files" in case:
        texts = [yaml.safe_dump(items, sort_keys=False) for items in case["files"]]
        return [RuleFile(f"case-{number}.yaml", text) for number, text in enumerate(texts)]
    rule = {
        "rule": "case",
        "desc": "d",
        "output": "o",
        "priority": "INFO",
        "source": testfields.SOURCE,
        "condition": case.get("condition", "evt.num > 0"),
        **case.get("rule", {}),
    }
    items = [*case.get("definitions", ()), rule, *case.get("later", ())]
    return [RuleFile("case.yaml", yaml.safe_dump(items, sort_keys=False))]


def load(case: Case) -> LoadResult:
    options = LoadOptions(
        min_priority=Priority.parse(case.get("min_priority", "debug")),
        selection=[
            Selection(word == "enable", **which) for entry in case.get("selection", []) for word, which in entry.items()
        ],
    )
    return load_rules(files(case), CATALOG, options)


def matches(case: Case) -> list[Match]:
    result = load(case)
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    return Engine(result.ruleset, matching=case.get("matching", "all")).evaluate(testfields.event(**case["event"]))


def cases_with(*keys: str) -> pytest.MarkDecorator:
    found = [case for case in cases() if set(keys) & set(case)]
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in found])


@cases_with("want")
def test_the_rule_gives_the_answer_that_the_specification_demands(case: Case) -> None:
    if case["want"] in ("load_error", "parse_error"):
        codes = {diagnostic.code for diagnostic in load(case).report.errors}
        assert codes == {case.get("code", "LOAD_ERR_COMPILE_CONDITION")}, case["spec"]
    else:
        assert bool(matches(case)) == case["want"], case["spec"]


@pytest.mark.parametrize(
    "case", [case for case in cases() if case.get("want") == "parse_error"], ids=lambda c: c["name"]
)
def test_wrong_syntax_is_found_by_the_parser_alone(case: Case) -> None:
    with pytest.raises(ParseFailure):
        parse_condition(SourceText(case["condition"]))


@cases_with("fires")
def test_the_right_rules_fire_in_the_right_order(case: Case) -> None:
    assert [match.rule.name for match in matches(case)] == case["fires"], case["spec"]


@cases_with("message", "fields", "priority")
def test_the_alert_says_what_the_specification_demands(case: Case) -> None:
    (match,) = matches(case)
    alert = json.loads(make_alert(match, hostname="host").json())
    if "message" in case:
        assert alert["output"].partition(": ")[2].partition(" ")[2] == case["message"], case["spec"]
    if "fields" in case:
        assert alert["output_fields"] == case["fields"], case["spec"]
        kinds = {name: type(value) for name, value in alert["output_fields"].items()}
        assert kinds == {name: type(value) for name, value in case["fields"].items()}, case["spec"]
    if "priority" in case:
        assert alert["priority"] == case["priority"], case["spec"]


@cases_with("rules")
def test_a_file_of_2016_gives_the_rules_it_gave_then(case: Case) -> None:
    result = load(case)
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    loaded = [{"priority": rule.priority.label, "output": rule.output.text} for rule in result.ruleset.rules]
    assert loaded == case["rules"], case["spec"]


@cases_with("warnings")
def test_the_warnings_are_given(case: Case) -> None:
    assert set(case["warnings"]) <= {diagnostic.code for diagnostic in load(case).report.warnings}, case["spec"]


def test_every_numbered_case_of_the_specification_is_there() -> None:
    assert {case["case"] for case in cases() if "case" in case} == set(range(1, 145))


REFUSED = ("parse_error", "load_error")


def answer(case: Case) -> Any:
    """Return what Lanner says to a case: it is refused, the alert's message, or whether the rule fires."""
    if load(case).ruleset is None:
        return REFUSED
    found = matches(case)
    return make_alert(found[0], hostname="host").message if "message" in case else bool(found)


def wanted_differences() -> list[Any]:
    rows = [case for case in cases() if "falco" in case]
    marks = [pytest.mark.xfail(strict=True, raises=AssertionError, reason=case["differs"]) for case in rows]
    return [pytest.param(case, id=case["name"], marks=mark) for case, mark in zip(rows, marks, strict=True)]


@pytest.mark.parametrize("case", wanted_differences())
def test_the_answer_is_that_of_falco(case: Case) -> None:
    """It must not be: what Lanner answers instead is demanded above, as of any other row."""
    assert answer(case) == (REFUSED if case["falco"] in REFUSED else case["falco"])


def test_a_wanted_difference_has_a_reason() -> None:
    assert [case["name"] for case in cases() if ("differs" in case) != ("falco" in case)] == []
