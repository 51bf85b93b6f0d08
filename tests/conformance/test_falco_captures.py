"""Falco's own regression cases (0.35) on the captures themselves, and the alerts of Falco 0.44.1 on all of them."""

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from engine.alert import Alert
from engine.evaluate import Engine
from engine.load import AppendOutput, LoadOptions, load_rules
from engine.priority import Priority
from engine.rulefile import RuleFile
from engine.selection import Selection
from lanner.catalog import build_catalog
from lanner.detect import Detector
from lanner.scan import Scan
from tests.conformance import regressions
from tests.conformance.oracle import lines, read_text
from tests.conformance.regressions import Case, all_cases, cases, fires_on_a_capture
from tests.conformance.test_oracle_host_alerts import CAPTURES, RULES, shown
from tests.lanner.support import lanner
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared


@pytest.fixture(autouse=True)
def fields_of_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules read the capture's events, not the recording of their fields."""
    monkeypatch.setattr(regressions, "HOST", build_catalog("h"))


def fired(case: Case) -> list[Alert]:
    ruleset = regressions.load(case).ruleset
    assert ruleset is not None
    assert SHARED is not None
    scan = Scan(Detector(Engine(ruleset, matching="first"), "h"))
    found = [alert for alerts in scan.alerts([str(SHARED / case["capture"])]) for alert in alerts]
    assert not scan.outcome.unreadable
    assert not scan.outcome.skipped
    assert not scan.detector.tally.failures
    return found


@cases(fires_on_a_capture)
def test_rules_fire_on_a_capture_as_in_falco(case: Case) -> None:
    alerts = fired(case)
    assert bool(alerts) == case["detect"]
    if case["detect"]:
        assert {Priority.parse(level) for level in case["levels"]} == {alert.priority for alert in alerts}
        names = {alert.rule for alert in alerts}
        assert {name for name, count in case["counts"].items() if count} <= names
        assert not {name for name, count in case["counts"].items() if not count} & names


def test_the_cases_are_counted() -> None:
    assert sum(map(fires_on_a_capture, all_cases().values())) == 38


@cache
def falcos_rules(everything: bool) -> Engine:
    options = LoadOptions(
        selection=[Selection(True, rule="*")] if everything else [],
        append_output=[AppendOutput(extra_fields=(("evt.num", "%evt.num"),))],
    )
    names = [f"falco-rules/falcosecurity-rules/{name}.yaml" for name in RULES]
    result = load_rules([RuleFile(name, read_text(name)) for name in names], build_catalog("oracle"), options)
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    return Engine(result.ruleset)


@pytest.mark.parametrize("suffix", ["", ".all-rules-enabled"])
@pytest.mark.parametrize("capture", CAPTURES)
def test_falcos_own_rules_raise_the_alerts_that_falco_raised(capture: str, suffix: str) -> None:
    assert SHARED is not None
    scan = Scan(Detector(falcos_rules(bool(suffix)), "oracle"))
    alerts = [alert for found in scan.alerts([str(SHARED / "scap" / f"{capture}.scap")]) for alert in found]
    recorded = [shown(alert) for alert in lines(f"oracle/scap/{capture}.alerts{suffix}.jsonl.gz")]
    assert sorted(shown(json.loads(alert.json())) for alert in alerts) == sorted(recorded)


def options(case: Case) -> list[str]:
    assert SHARED is not None
    return [word for name in case["rules"] for word in ("-r", str(SHARED / name))]


@pytest.mark.parametrize("name", ["multiple_rules", "syscalls"])
def test_the_program_says_the_same_of_a_case(name: str, tmp_path: Path) -> None:
    case = all_cases()[name]
    assert SHARED is not None
    capture = str(SHARED / case["capture"])
    expected = Counter(alert.rule for alert in fired(case))
    scanned = lanner("scan", capture, *options(case), "--json", "--rule-matching", "first")
    assert Counter(json.loads(line)["rule"] for line in scanned.stdout.splitlines()) == expected
    outbox = ("-o", f"outbox.path={tmp_path / 'outbox'}", "-o", "json_output=true", "-o", "rule_matching=first")
    run = lanner("run", "-e", capture, *options(case), *outbox)
    assert Counter(json.loads(line)["rule"] for line in run.stdout.splitlines()) == expected


def test_a_capture_needs_no_name_that_says_so(tmp_path: Path) -> None:
    case = all_cases()["multiple_rules"]
    assert SHARED is not None
    copy = tmp_path / "trace"
    copy.write_bytes((SHARED / case["capture"]).read_bytes())
    named = lanner("scan", str(copy), *options(case))
    piped = lanner("scan", "-", *options(case), stdin=copy.read_bytes())
    assert named.stdout == piped.stdout
    assert named.stdout


def test_a_capture_that_is_cut_gives_the_alerts_until_there_and_says_so(tmp_path: Path) -> None:
    case = all_cases()["multiple_rules"]
    assert SHARED is not None
    copy = tmp_path / "cut.scap"
    data = (SHARED / case["capture"]).read_bytes()
    copy.write_bytes(data[:-200])
    done = lanner("scan", str(copy), *options(case))
    assert "the capture cannot be read to its end" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout
