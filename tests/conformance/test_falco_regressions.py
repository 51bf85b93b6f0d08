"""
Falco's own regression cases (0.35): what loads, what is refused with which code, what is selected, what fires.

Captures are replayed from the recording of their fields (recorded_host). The entry events that Falco counted then are
not in it, so numbers of matches are not compared.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import pytest

from engine import lint
from engine.diagnostics import Report
from engine.evaluate import Engine
from engine.fields import FieldCatalog
from engine.load import LoadOptions, LoadResult, load_rules
from engine.priority import Priority
from engine.rulefile import RuleFile
from engine.selection import Selection, from_flags
from ingest.syscalls import events
from tests.conformance.oracle import event, lines, read_text
from tests.conformance.recorded_host import HOST, replayed
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared

Case = dict[str, Any]

OF_THE_PROGRAM = {
    "grpc_unix_socket_outputs": "gRPC output, which Falco has removed",
    "monitor_syscall_drops_alert": "drops in the kernel, the agent's matter",
    "list_plugins": "a command line of Falco's plugins",
    "incompatible_extract_sources": "a configuration of Falco's plugins",
    "json_output_no_output_property": "the shape of JSON lines is the outputs' matter",
    "json_output_no_tags_property": "the shape of JSON lines is the outputs' matter",
    "json_output_empty_tags_property": "the shape of JSON lines is the outputs' matter",
}
RENAMED = {"LOAD_UNKNOWN_FIELD": "LOAD_UNKNOWN_FILTER"}
MANY = 100


def all_cases() -> list[Case]:
    return lines("falco-rules/regression-expected.jsonl") if SHARED else []


def cases(wanted: Callable[[Case], Any]) -> pytest.MarkDecorator:
    found = [case for case in all_cases() if case["name"] not in OF_THE_PROGRAM and wanted(case)]
    return pytest.mark.parametrize("case", found, ids=lambda case: case["name"])


def selection(case: Case) -> tuple[Selection, ...]:
    options = case["options"]
    flags = ("disabled_rules", "disable_tags", "run_tags")
    return from_flags(*(options.get(name, []) for name in flags))


def load(case: Case, names: list[str] | None = None) -> LoadResult:
    options = LoadOptions(
        min_priority=Priority.parse(case["options"].get("priority", "debug")),
        selection=selection(case),
    )
    files = [RuleFile(name, read_text(name)) for name in names or case["rules"] + case["validate"]]
    catalog = FieldCatalog({"syscall": HOST.tables["syscall"]}) if case["name"].startswith("no_plugins") else HOST
    return load_rules(files, catalog, options)


def told(report: Report, severity: str) -> list[tuple[str, str]]:
    found = report.errors if severity == "validate_errors" else report.warnings
    return [(d.code, d.item[1]) for d in found]


def expected(case: Case, severity: str) -> list[tuple[str, str]]:
    return [(RENAMED.get(row["code"], row["code"]), row["item_name"]) for row in case["options"].get(severity, [])]


@cases(lambda case: case["options"].get("validate_errors"))
def test_wrong_files_are_refused_with_the_same_code(case: Case) -> None:
    result = load(case)
    assert result.ruleset is None
    codes = {code for code, _ in told(result.report, "validate_errors")}
    assert codes == {code for code, _ in expected(case, "validate_errors")}
    for name in case["options"].get("validate_ok", []):
        path = next(path for path in case["validate"] if PurePosixPath(path).name == name)
        assert load(case, [path]).ruleset is not None


@cases(lambda case: case["options"].get("validate_errors"))
def test_the_error_names_the_item(case: Case) -> None:
    rows = case["options"]["validate_errors"]
    # A loop may be told at any of its macros.
    rows = [row for row in rows if "loop" not in row.get("message_contains", "")]
    names = {row["item_name"] for row in rows if row["item_type"] in ("rule", "macro", "list")}
    assert names <= {name for _, name in told(load(case).report, "validate_errors")}


@cases(lambda case: case["options"].get("validate_warnings") and not case["options"].get("validate_errors"))
def test_doubtful_files_are_warned_of(case: Case) -> None:
    result = load(case)
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    assert set(expected(case, "validate_warnings")) <= set(told(result.report, "validate_warnings"))


@cases(lambda case: case["options"].get("validate_warnings") and "LOAD_NO_EVTTYPE" in str(case["options"]))
def test_only_the_rules_that_falco_warns_of_match_too_many_event_types(case: Case) -> None:
    wanted = {name for code, name in expected(case, "validate_warnings") if code == "LOAD_NO_EVTTYPE"}
    given = {name for code, name in told(load(case).report, "validate_warnings") if code == "LOAD_NO_EVTTYPE"}
    assert given == wanted


@cases(lambda case: case["options"].get("rules_events"))
def test_event_types_of_rules_are_those_that_falco_infers(case: Case) -> None:
    ruleset = load(case).ruleset
    assert ruleset is not None
    # "all" is an older answer than the warnings of the same case, which name the rules it is still true of.
    warned = {name for code, name in expected(case, "validate_warnings") if code == "LOAD_NO_EVTTYPE"}
    inferred = {name: set(types) for row in case["options"]["rules_events"] for name, types in row.items()}
    wanted = {name: types for name, types in inferred.items() if types != {"all"} or name in warned}
    given: dict[str, set[str]] = {}
    for rule in (rule for rule in ruleset.rules if rule.name in wanted):
        types = lint.event_types(rule.condition, HOST.tables[rule.source])
        given[rule.name] = {"all"} if types is None or len(types) > MANY else set(types)
    assert given == wanted
    assert all(types <= events.NAMES | {"all"} for types in given.values())


@cases(lambda case: case["counts"] and {"disable_tags", "run_tags"} & set(case["options"]))
def test_tags_select_rules(case: Case) -> None:
    ruleset = load(case).ruleset
    assert ruleset is not None
    assert {rule.name for rule in ruleset.enabled} == {name for name, count in case["counts"].items() if count}


@cases(lambda case: case["rules"] and case["detect"] is not None and str(case["capture"]).startswith("scap/"))
def test_rules_fire_on_the_recorded_events(case: Case) -> None:
    ruleset = load(case).ruleset
    assert ruleset is not None
    engine = Engine(ruleset, matching="first")
    matches = engine.evaluate_batch(replayed(PurePosixPath(case["capture"]).stem))
    assert bool(matches) == case["detect"]
    if case["detect"]:
        assert {Priority.parse(level) for level in case["levels"]} == {match.rule.priority for match in matches}
        assert {name for name, count in case["counts"].items() if count} <= {match.rule.name for match in matches}
    assert not engine.failures


def test_a_rule_for_cloudtrail_fires_once_on_the_trail_of_its_case() -> None:
    case = next(case for case in all_cases() if case["name"] == "detect_create_instance")
    ruleset = load(case).ruleset
    assert ruleset is not None
    records = json.loads(read_text("cloudtrail/edge/alice_start_instances.json"))["Records"]
    found = Engine(ruleset, matching="first").evaluate_batch([event("ct", record, 1) for record in records])
    assert Counter(match.rule.name for match in found) == case["counts"]


def test_a_plugin_version_of_the_future_is_refused() -> None:
    case = next(case for case in all_cases() if case["name"] == "incompat_plugin_rules_version")
    assert {code for code, _ in told(load(case).report, "validate_errors")} == {"LOAD_ERR_VALIDATE"}


def test_every_case_is_run_or_named() -> None:
    run = {
        case["name"]
        for case in all_cases()
        if case["options"].keys() & {"validate_errors", "validate_warnings"}
        or (case["detect"] is not None and str(case["capture"]).startswith("scap/"))
    }
    alone = {"detect_create_instance", "incompat_plugin_rules_version"}
    assert {case["name"] for case in all_cases()} - run - alone == set(OF_THE_PROGRAM) - run
