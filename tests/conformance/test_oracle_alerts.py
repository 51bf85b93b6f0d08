"""Falco's own CloudTrail and audit rules over the whole data set: the alerts a real Falco gave, to the last field."""

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from engine.alert import make_alert
from engine.evaluate import Engine
from engine.event import Event
from engine.load import AppendOutput, LoadOptions, load_rules
from engine.rulefile import RuleFile
from engine.selection import Selection
from tests.conformance import oracle
from tests.conformance.oracle import CATALOG, differences, lines, path, read_text
from tests.shared import needs_shared

pytestmark = needs_shared

SETS = {
    "ct-invictus": "cloudtrail/invictus/**/*.json.gz",
    "ct-traildiscover": "cloudtrail/traildiscover/*.json.gz",
    "ct-otrf": "cloudtrail/otrf/*.json.gz",
    "ct-misc": "cloudtrail/misc/*.json*",
    "ct-edge": "cloudtrail/edge/*.json*",
    "ct-streamalert": "rule-tests/streamalert-cloudtrail.jsonl",
    "ka-falco": "k8saudit/falco/*.json",
    "ka-audit2rbac": "k8saudit/audit2rbac-demo.jsonl",
    "ka-perfspec": "k8saudit/perfspec-shared.jsonl.gz",
}
RULES = {
    "ct": "falco-rules/plugins/cloudtrail/aws_cloudtrail_rules.yaml",
    "ka": "falco-rules/plugins/k8saudit/k8s_audit_rules.yaml",
}
IDENTITY = {"ct": "ct.id", "ka": "ka.auditid"}
NOT_JSON = {"cloudtrail/edge/SerializerTestFileBadJsonFormat.json"}
EVERYTHING = ".all-rules-enabled"

Place = tuple[str, int]
"""A file and the position of a record in it."""


class Told(NamedTuple):
    """What one record made a Falco or Lanner say: alerts as JSON values, by rule."""

    falco: dict[str, Any]
    lanner: dict[str, Any]


def records(name: str) -> Iterator[tuple[Place, dict[str, Any]]]:
    root = path(".")
    for file in sorted(str(found.relative_to(root)) for found in root.glob(SETS[name])):
        if file not in NOT_JSON:
            for at, record in enumerate(in_file(file)):
                yield (file, at), record


def in_file(file: str) -> list[dict[str, Any]]:
    if file.startswith("cloudtrail/"):
        found: list[dict[str, Any]] = json.loads(read_text(file))["Records"]
        return found
    rows = lines(file)
    return [row["event"] for row in rows] if file.startswith("rule-tests/") else rows


def dropped(name: str) -> set[Place]:
    """Records that Falco made no event of."""
    rows = [row for row in lines("oracle/falco-failed.jsonl") if f"-{row['set']}" in name and "unpatched" not in row]
    return {(row["file"], row["record"]) for row in rows if row["record"] is not None}


@cache
def engine(kind: str, everything: bool) -> Engine:
    options = LoadOptions(
        selection=[Selection(True, rule="*")] if everything else [],
        append_output=[AppendOutput(extra_fields=((IDENTITY[kind], f"%{IDENTITY[kind]}"), ("evt.num", "%evt.num")))],
    )
    result = load_rules([RuleFile(RULES[kind], read_text(RULES[kind]))], CATALOG, options)
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    return Engine(result.ruleset)


def recorded(name: str, suffix: str) -> dict[Place, list[dict[str, Any]]]:
    found: dict[Place, list[dict[str, Any]]] = {}
    for row in lines(f"oracle/alerts/{name}{suffix}.jsonl.gz"):
        found.setdefault((row["file"], row["record"]), []).append(row)
    return found


def patches(name: str) -> dict[Place, dict[str, Any]]:
    """Keys that were set on records before Falco saw them."""
    rows = [*lines(f"oracle/fields/{name}.jsonl.gz"), *lines(f"oracle/alerts/{name}{EVERYTHING}.jsonl.gz")]
    return {(row["file"], row["record"]): row["patch"] for row in rows if "patch" in row}


def told(name: str, suffix: str) -> Iterator[tuple[Place, Told]]:
    """Yield what each record that Falco made an event of gave there and gives here."""
    kind = name[:2]
    expected, patched, without = recorded(name, suffix), patches(name), dropped(name)
    for place, record in records(name):
        if place in without:
            continue
        falco = {row["alert"]["rule"]: row["alert"] for row in expected.pop(place, [])}
        num = next((alert["output_fields"]["evt.num"] for alert in falco.values()), place[1] + 1)
        event = oracle.event(kind, {**record, **patched.get(place, {})}, num)
        yield place, Told(falco, alerts(engine(kind, suffix == EVERYTHING), event))
    assert expected == {}  # every recorded alert belongs to a record of the set


def alerts(engine: Engine, event: Event) -> dict[str, Any]:
    made = [make_alert(match, hostname="oracle") for match in engine.evaluate(event)]
    return {alert.rule: {**json.loads(alert.json()), "message": alert.message} for alert in made}


def canonical(alert: Any, without: frozenset[str] = frozenset()) -> str:
    """Return an alert as text that is equal for equal alerts, types included; without what some fields bring."""
    if without:
        fields = {key: value for key, value in alert["output_fields"].items() if key not in without}
        alert = {**alert, "output_fields": fields, "output": "", "message": ""}
    return json.dumps(alert, sort_keys=True, ensure_ascii=False)


def unlike_fields(falco: dict[str, Any], lanner: dict[str, Any]) -> frozenset[str]:
    theirs, ours = falco["output_fields"], lanner["output_fields"]
    return frozenset(key for key in theirs if canonical(theirs[key]) != canonical(ours.get(key, "no such field")))


def unlike(found: Told) -> Iterator[tuple[str, Any, Any]]:
    """Yield the rules that the two disagree about, with both alerts."""
    for rule in found.falco.keys() | found.lanner.keys():
        falco, lanner = found.falco.get(rule), found.lanner.get(rule)
        if canonical(falco) != canonical(lanner):
            yield rule, falco, lanner


def wanted(run: str) -> dict[str, int]:
    """Return how many alerts of a run may differ in an output field, by the field."""
    rows = differences()["output_fields"]
    return {name: row["alerts"][run] for name, row in rows.items() if run in row["alerts"]}


@pytest.mark.parametrize("suffix", ["", EVERYTHING])
@pytest.mark.parametrize("name", SETS)
def test_alerts_are_those_of_falco_but_for_the_named_fields(name: str, suffix: str) -> None:
    unexplained, explained = [], Counter[str]()
    for place, found in told(name, suffix):
        for rule, falco, lanner in unlike(found):
            fields = unlike_fields(falco, lanner) if falco and lanner else frozenset()
            if fields and canonical(falco, fields) == canonical(lanner, fields):
                explained.update(fields)
            else:
                unexplained.append((place, rule, falco, lanner))
    assert unexplained == []
    assert explained == wanted(name + suffix)
