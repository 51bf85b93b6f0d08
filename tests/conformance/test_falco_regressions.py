"""Falco's own regression cases (0.35): what loads, what is refused with which code, what is selected, what fires."""

from pathlib import PurePosixPath

from engine import lint
from engine.diagnostics import Report
from engine.priority import Priority
from ingest.syscalls import events
from tests.conformance.recorded_host import HOST
from tests.conformance.regressions import Case, all_cases, cases, fired, fires_on_a_capture, load
from tests.shared import needs_shared

pytestmark = needs_shared

RENAMED = {"LOAD_UNKNOWN_FIELD": "LOAD_UNKNOWN_FILTER"}
MANY = 100

ELSEWHERE = {  # in test_falco_regressions_program
    *("list_plugins", "incompatible_extract_sources", "detect_create_instance", "incompat_plugin_rules_version"),
}
NOT_RUN = {
    "monitor_syscall_drops_alert": "made-up drops of a kernel's buffer, while a capture is read",
}


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


@cases(fires_on_a_capture)
def test_rules_fire_on_the_recorded_events(case: Case) -> None:
    matches = fired(case)
    assert bool(matches) == case["detect"]
    if case["detect"]:
        assert {Priority.parse(level) for level in case["levels"]} == {match.rule.priority for match in matches}
        assert {name for name, count in case["counts"].items() if count} <= {match.rule.name for match in matches}


def test_every_case_is_run_or_named() -> None:
    run = {
        name
        for name, case in all_cases().items()
        if case["options"].keys() & {"validate_errors", "validate_warnings"} or fires_on_a_capture(case)
    }
    assert set(all_cases()) - run == ELSEWHERE | set(NOT_RUN)
    assert len(all_cases()) == 71


def test_the_cases_that_fire_on_captures_are_counted() -> None:
    """They stand on the recording of a capture's fields, not on the capture."""
    assert sum(map(fires_on_a_capture, all_cases().values())) == 38
