"""Falco's host rules, with all rules on, over recorded host events: the alerts that a real Falco gave."""

import json
from functools import cache
from typing import Any

import pytest

from engine.alert import make_alert
from engine.evaluate import Engine
from engine.load import AppendOutput, LoadOptions, load_rules
from engine.rulefile import RuleFile
from engine.selection import Selection
from tests.conformance.oracle import lines, read_text
from tests.conformance.recorded_host import HOST, replayed
from tests.shared import needs_shared

pytestmark = needs_shared

CAPTURES = (
    *("cat_write", "connect_localhost", "curl_google", "empty"),
    *("open-multiple-files", "ping_sendto", "single_ipv6_conn", "syscall"),
)
RULES = ("falco_rules", "falco-incubating_rules", "falco-sandbox_rules", "falco-deprecated_rules")


@cache
def engine(everything: bool) -> Engine:
    options = LoadOptions(
        selection=[Selection(True, rule="*")] if everything else [],
        append_output=[AppendOutput(extra_fields=(("evt.num", "%evt.num"),))],
    )
    names = [f"falco-rules/falcosecurity-rules/{name}.yaml" for name in RULES]
    result = load_rules([RuleFile(name, read_text(name)) for name in names], HOST, options)
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    return Engine(result.ruleset)


def shown(alert: dict[str, Any]) -> str:
    return json.dumps({key: value for key, value in alert.items() if key != "message"}, sort_keys=True)


@pytest.mark.parametrize("suffix", ["", ".all-rules-enabled"])
@pytest.mark.parametrize("capture", CAPTURES)
def test_alerts_are_those_of_falco(capture: str, suffix: str) -> None:
    matches = engine(bool(suffix)).evaluate_batch(replayed(capture))
    given = [shown(json.loads(make_alert(match, hostname="oracle").json())) for match in matches]
    recorded = [shown(alert) for alert in lines(f"oracle/scap/{capture}.alerts{suffix}.jsonl.gz")]
    assert sorted(given) == sorted(recorded)
    assert not engine(bool(suffix)).failures
