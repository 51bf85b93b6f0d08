"""Falco's host rules, with all rules on, over the captures themselves: the alerts that a real Falco gave."""

import json
from dataclasses import replace
from functools import cache

import pytest

from engine.alert import make_alert
from engine.evaluate import Engine
from engine.load import AppendOutput, LoadOptions, load_rules
from engine.rulefile import RuleFile
from engine.selection import Selection
from ingest.syscalls.fields import SOURCE
from tests.conformance.oracle import CATALOG, lines, read_text
from tests.conformance.replayed_host import TABLE, replay
from tests.conformance.test_oracle_host_alerts import CAPTURES, RULES, shown
from tests.shared import needs_shared

pytestmark = needs_shared


@cache
def engine(everything: bool) -> Engine:
    options = LoadOptions(
        selection=[Selection(True, rule="*")] if everything else [],
        append_output=[AppendOutput(extra_fields=(("evt.num", "%evt.num"),))],
    )
    names = [f"falco-rules/falcosecurity-rules/{name}.yaml" for name in RULES]
    catalog = replace(CATALOG, tables={**CATALOG.tables, SOURCE: TABLE})
    result = load_rules([RuleFile(name, read_text(name)) for name in names], catalog, options)
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    return Engine(result.ruleset)


@pytest.mark.parametrize("suffix", ["", ".all-rules-enabled"])
@pytest.mark.parametrize("capture", CAPTURES)
def test_alerts_are_those_of_falco(capture: str, suffix: str) -> None:
    given = []
    for event, _ in replay(capture):
        matches = engine(bool(suffix)).evaluate(event)
        given += [shown(json.loads(make_alert(match, hostname="oracle").json())) for match in matches]
    recorded = [shown(alert) for alert in lines(f"oracle/scap/{capture}.alerts{suffix}.jsonl.gz")]
    assert sorted(given) == sorted(recorded)
    assert not engine(bool(suffix)).failures
