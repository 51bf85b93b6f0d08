"""The 41 cases by which Falco itself tested its rules for the audit log: rule files, an event, the rules that fire."""

from collections import Counter
from typing import Any

import pytest

from engine.evaluate import Engine
from engine.load import load_rules
from engine.priority import Priority
from engine.rulefile import RuleFile
from tests.conformance.oracle import CATALOG, event, lines, read_text
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared


def cases() -> list[dict[str, Any]]:
    return lines("k8saudit/falco-expected.jsonl") if SHARED else []


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_the_rules_fire_that_falco_expects(case: dict[str, Any]) -> None:
    result = load_rules([RuleFile(name, read_text(name)) for name in case["rules"]], CATALOG)
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    # These expectations are older than rule_matching; one rule fired per event.
    engine = Engine(result.ruleset, matching="first")
    found = [match.rule for line in lines(case["capture"]) for match in engine.evaluate(event("ka", line, 1))]
    assert bool(found) == case["detect"]
    counts = Counter(rule.name for rule in found)
    assert {name: counts[name] for name in case["counts"]} == case["counts"]
    assert {Priority.parse(level) for level in case["levels"]} <= {rule.priority for rule in found}
