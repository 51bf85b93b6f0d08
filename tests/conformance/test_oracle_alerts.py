"""Falco's own CloudTrail and audit rules over the whole data set: the alerts a real Falco gave, to the last field."""

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest

from engine.alert import make_alert
from engine.evaluate import Engine
from engine.event import Event
from engine.load import AppendOutput, LoadOptions, load_rules
from engine.rulefile import RuleFile
from engine.selection import parse_selection
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
        selection=parse_selection([{"enable": {"rule": "*"}}] if everything else []),
        append_output=[AppendOutput(extra_fields=((IDENTITY[kind], f"%{IDENTITY[kind]}"), ("evt.num", "%evt.num")))],
        plugins={"cloudtrail": "0.17.1", "json": "0.7.4", "k8saudit": "0.18.0"},
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
    wanted, patched, without = recorded(name, suffix), patches(name), dropped(name)
    for place, record in records(name):
        if place in without:
            continue
        falco = {row["alert"]["rule"]: row["alert"] for row in wanted.pop(place, [])}
        num = next((alert["output_fields"]["evt.num"] for alert in falco.values()), place[1] + 1)
        event = oracle.event(kind, {**record, **patched.get(place, {})}, num)
        yield place, Told(falco, alerts(engine(kind, suffix == EVERYTHING), event))
    assert wanted == {}


def alerts(engine: Engine, event: Event) -> dict[str, Any]:
    made = [make_alert(match, hostname="oracle") for match in engine.evaluate(event)]
    return {alert.rule: {**json.loads(alert.json()), "message": alert.message} for alert in made}


def canonical(alert: Any, without: set[str]) -> str:
    """Return an alert as text that is equal for equal alerts, types included; without what some fields bring."""
    if alert is None:
        return "no alert"
    shown = dict(alert)
    if without & shown["output_fields"].keys():
        shown["output_fields"] = {key: value for key, value in shown["output_fields"].items() if key not in without}
        del shown["output"], shown["message"]
    return json.dumps(shown, sort_keys=True, ensure_ascii=False)


def unequal(found: Told) -> Iterator[tuple[str, Any, Any]]:
    """Yield the rules that the two disagree about, with both alerts."""
    for rule in found.falco.keys() | found.lanner.keys():
        ours, theirs = found.lanner.get(rule), found.falco.get(rule)
        if canonical(ours, set()) != canonical(theirs, set()):
            yield rule, theirs, ours


@pytest.mark.parametrize("suffix", ["", EVERYTHING])
@pytest.mark.parametrize("name", SETS)
def test_alerts_are_those_of_falco(name: str, suffix: str) -> None:
    allowed = set(differences()["output_fields"])
    unexplained = [
        (place, rule, theirs, ours)
        for place, found in told(name, suffix)
        for rule, theirs, ours in unequal(found)
        if canonical(ours, allowed) != canonical(theirs, allowed)
    ]
    assert unexplained == []


def test_each_output_field_that_may_differ_does() -> None:
    seen = {
        key
        for name in SETS
        for _, found in told(name, EVERYTHING)
        for _, theirs, ours in unequal(found)
        if theirs and ours
        for key in theirs["output_fields"]
        if theirs["output_fields"][key] != ours["output_fields"].get(key)
    }
    assert set(differences()["output_fields"]) <= seen
