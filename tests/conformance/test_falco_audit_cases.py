"""The 41 cases by which Falco itself tested its rules for the audit log: rule files, an event, the rules that fire."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from engine.evaluate import Engine
from engine.event import Event
from engine.load import load_rules
from engine.priority import Priority
from engine.rulefile import RuleFile
from ingest.k8saudit.record import BadRecord
from tests.conformance.oracle import CATALOG, event, lines, read_text
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared


def cases() -> list[dict[str, Any]]:
    return lines("k8saudit/falco-expected.jsonl") if SHARED else []


def events(capture: str) -> Iterator[Event]:
    for line in lines(capture):
        with contextlib.suppress(BadRecord):  # one capture holds a value that is no audit event
            yield event("ka", line, 1)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["name"])
def test_the_rules_fire_that_falco_expects(case: dict[str, Any]) -> None:
    result = load_rules([RuleFile(name, read_text(name)) for name in case["rules"]], CATALOG)
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    # These expectations are older than rule_matching; one rule fired per event.
    engine = Engine(result.ruleset, matching="first")
    found = [match.rule for event in events(case["capture"]) for match in engine.evaluate(event)]
    assert bool(found) == case["detect"]
    counts = Counter(rule.name for rule in found)
    assert {name: counts[name] for name in case["counts"]} == case["counts"]
    levels = case["levels"] if case["detect"] else []
    assert {Priority.parse(level) for level in levels} <= {rule.priority for rule in found}
