"""1,389 random and chosen conditions over real events: what Falco matched, refused and warned of, Lanner does too."""

import json
from collections import defaultdict
from functools import cache
from typing import Any, NamedTuple

import pytest
import yaml

from engine.diagnostics import Diagnostic
from engine.evaluate import Engine
from engine.load import load_rules
from engine.rulefile import RuleFile
from lanner.catalog import build_catalog
from tests.conformance.oracle import HOSTNAME, SOURCES, differences, event, lines, numbered, read_text
from tests.shared import needs_shared

pytestmark = needs_shared
both = pytest.mark.parametrize("kind", list(SOURCES))

UNUSED = {"LOAD_UNUSED_MACRO", "LOAD_UNUSED_LIST"}


class Answers(NamedTuple):
    """What Lanner says, by the condition's id: indices of matched events, error codes, warning codes."""

    matches: dict[str, list[int]]
    errors: dict[str, list[str]]
    warnings: dict[str, list[str]]


def asked(kind: str) -> dict[str, dict[str, Any]]:
    rows = [row for part in ("", "-directed") for row in lines(f"oracle/conditions/{kind}{part}.jsonl")]
    return {row["id"]: row for row in rows}


def events(kind: str) -> list[Any]:
    if kind == "ct":
        return list(json.loads(read_text("oracle/events/ct.json"))["Records"])
    return lines("oracle/events/ka.jsonl")


def rule_file(kind: str, conditions: dict[str, str]) -> RuleFile:
    items = [
        {
            "rule": name,
            "condition": text,
            "desc": "d",
            "output": "o",
            "priority": "INFO",
            "source": SOURCES[kind],
        }
        for name, text in conditions.items()
    ]
    return RuleFile("conditions.yaml", yaml.dump(items, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)))


def codes(diagnostics: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for diagnostic in diagnostics:
        assert isinstance(diagnostic, Diagnostic)
        if diagnostic.code not in UNUSED:
            found[diagnostic.item[1]].append(diagnostic.code)
    return dict(found)


@cache
def answers(kind: str) -> Answers:
    definitions = RuleFile("definitions.yaml", read_text(f"oracle/conditions/{kind}-lists-and-macros.yaml"))
    conditions = {name: row["condition"] for name, row in asked(kind).items()}
    catalog = build_catalog(HOSTNAME)  # its own, since relative times count from the first event it is asked about
    errors = codes(load_rules([definitions, rule_file(kind, conditions)], catalog).report.errors)
    accepted = {name: text for name, text in conditions.items() if name not in errors}
    result = load_rules([definitions, rule_file(kind, accepted)], catalog)
    assert result.ruleset is not None, [(d.item, d.message) for d in result.report.errors]
    engine = Engine(result.ruleset)
    matches: dict[str, list[int]] = {name: [] for name in accepted}
    for at, made in enumerate(numbered(kind, events(kind))):
        for match in engine.evaluate(made):
            matches[match.rule.name].append(at)
    assert not engine.failures
    return Answers(matches, errors, codes(result.report.warnings))


@cache
def differing(kind: str) -> dict[str, tuple[Any, Any]]:
    """Ids of the conditions on which the two do not agree, with Falco's answer and Lanner's."""
    found: dict[str, tuple[Any, Any]] = {}
    ours = answers(kind)
    for name, row in asked(kind).items():
        falco = row["matches"] if "matches" in row else row.get("error_code", "LOAD_ERR_COMPILE_CONDITION")
        lanner = ours.matches[name] if name in ours.matches else "/".join(sorted(set(ours.errors[name])))
        if falco != lanner:
            found[name] = (falco, lanner)
    return found


def singled_out() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = differences()["conditions"]
    return rows


def explained(kind: str) -> set[str]:
    tags = set(differences()["tags"])
    single = {name for row in singled_out() for name in row["ids"]}
    return single | {name for name, row in asked(kind).items() if tags & set(row.get("touches", ()))}


@both
def test_conditions_match_and_fail_as_in_falco(kind: str) -> None:
    asked_for = asked(kind)
    unexplained = {
        name: (asked_for[name]["condition"], *found)
        for name, found in differing(kind).items()
        if name not in explained(kind)
    }
    assert unexplained == {}


@both
def test_warnings_are_those_of_falco(kind: str) -> None:
    """The chosen conditions are left out: what Falco warned of was not recorded for them."""
    more = set(differences()["more_warnings"])
    given = answers(kind).warnings
    unexplained = {}
    for name, row in asked(kind).items():
        if row["kind"] == "directed" or "matches" not in row:
            continue
        wanted, ours = set(row.get("warnings", ())), set(given.get(name, ())) - more
        if ours != wanted:
            unexplained[name] = (row["condition"], wanted, ours)
    assert unexplained == {}


def must_differ(reason: str, name: str) -> Any:
    return pytest.param(name, marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason=reason))


@pytest.mark.parametrize("name", [must_differ(row["reason"], name) for row in singled_out() for name in row["ids"]])
def test_a_condition_with_a_reason_to_differ_matches_as_in_falco(name: str) -> None:
    (kind,) = (kind for kind in SOURCES if name in asked(kind))
    assert name not in differing(kind)


@pytest.mark.parametrize("tag", [must_differ(reason, tag) for tag, reason in differences()["tags"].items()])
def test_conditions_that_touch_a_defect_match_as_in_falco(tag: str) -> None:
    assert [name for kind in SOURCES for name in differing(kind) if tag in asked(kind)[name].get("touches", ())] == []


def test_what_a_null_explains_differs_on_events_with_a_null_alone() -> None:
    nulls = {
        number
        for number, record in enumerate(events("ct"))
        if any(record.get(key, "") is None for key in ("requestParameters", "responseElements"))
    }
    single = {name for row in singled_out() for name in row["ids"]}
    strays = {}
    for name, (falco, lanner) in differing("ct").items():
        if "null-text" in asked("ct")[name].get("touches", ()) and name not in single:
            strays[name] = (set(falco) ^ set(lanner)) - nulls if isinstance(falco, list) else falco
    assert {name: found for name, found in strays.items() if found} == {}


def test_events_are_those_that_falco_saw() -> None:
    for kind in SOURCES:
        index = lines(f"oracle/events/{kind}.index.jsonl")
        uids = [event(kind, record, 1).record.get("eventID" if kind == "ct" else "auditID") for record in events(kind)]
        assert uids == [row["event_id"] for row in index]
