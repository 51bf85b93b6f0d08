"""Audit events of which only the candidates are made raise the alerts that they raise when all are made."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.alert import Alert
from engine.evaluate import Engine
from engine.event import Receipt
from engine.load import LoadOptions
from ingest.k8saudit.glance import AuditList, Sieve, outline
from ingest.k8saudit.shapes import decode
from lanner import rulefiles
from lanner.catalog import build_catalog
from lanner.detect import Detector
from tests.lanner.support import RULES, audit_event
from tests.shared import SHARED, needs_shared

RECEIPT = Receipt(1_700_000_000_000_000_000)


def detector(*rules: str | Path) -> Detector:
    return Detector(Engine(rulefiles.load([str(path) for path in rules], build_catalog("h"), LoadOptions())), "h")


def event_list(events: list[Any]) -> bytes:
    return json.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": events}).encode()


def seen(data: bytes, sieve: Sieve) -> AuditList:
    found = outline(data, "test", RECEIPT, sieve)
    assert found is not None
    return found


def made(data: bytes, rules: Detector) -> list[Alert]:
    events = decode(data, "test").events
    for event in events:
        event.receipt = RECEIPT
    return rules.alerts(events)


def shared_events() -> Iterator[Any]:
    assert SHARED
    folder = SHARED / "k8saudit"
    for file in [*sorted((folder / "falco").glob("*.json")), *sorted(folder.glob("*.jsonl.gz"))]:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        for line in data.splitlines():
            if b'"auditID"' in line:
                event = json.loads(line)
                if event.get("kind") == "Event":
                    yield event | {"apiVersion": "audit.k8s.io/v1"}


@needs_shared
def test_all_shared_events_raise_the_same_alerts() -> None:
    assert SHARED
    rules = SHARED / "falco-rules" / "plugins" / "k8saudit"
    sifted, all_made, sieve = detector(rules), detector(rules), Sieve()
    events = list(shared_events())
    number = 0
    for start in range(0, len(events), 400):
        data = event_list(events[start : start + 400])
        expected = made(data, all_made)
        assert sifted.alerts(seen(data, sieve)) == expected
        number += len(expected)
    assert number > 100


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(
        RULES + "- rule: Numbered\n  desc: d\n  condition: ka.target.resource = secrets\n"
        "  output: number %evt.num\n  priority: INFO\n  source: k8s_audit\n"
    )
    return path


def test_events_count_that_were_not_made(rules: Path) -> None:
    data = event_list(
        [audit_event("pods", 1), audit_event("secrets", 2), audit_event("pods", 3), audit_event(number=4)]
    )
    messages = [alert.message for alert in detector(rules).alerts(seen(data, Sieve())) if alert.rule == "Numbered"]
    assert messages == ["number 2", "number 4"]


def test_a_part_of_the_events_and_annotations(rules: Path) -> None:
    data = event_list([audit_event("secrets", number) for number in range(5)])
    events = seen(data, Sieve())
    events.note("cluster_name", "blue")
    part = events[1:3]
    assert len(part) == 2
    assert [event.record["auditID"][-1] for event in part] == ["1", "2"]
    assert {event.record["annotations"]["cluster_name"] for event in (*part, events[-1])} == {"blue"}
    assert len(detector(rules).alerts(part)) == 4


@pytest.mark.parametrize(
    "condition",
    [
        "ka.resp.name = new",
        "json.value[/responseObject/metadata/name] = new",
        "jevt.value[/responseObject/metadata/name] = new",
        "json.value[/more/than/known] = 1",
        "ka.verb = get and ka.resp.name = new",
        "ka.target.resource = secrets and not ka.resp.name exists",
        'ka.req.configmap.obj contains "1"',
        'evt.plugininfo contains "responseObject"',
        "ka.cluster.name = blue",
        "concat(ka.verb, ka.resp.name) = getnew",
        "ka.resp.name = val(json.value[/responseObject/metadata/name])",
    ],
)
def test_what_is_decoded_late_is_there_when_a_rule_asks_for_it(tmp_path: Path, condition: str) -> None:
    path = tmp_path / "rules.yaml"
    rule = {"rule": "R", "desc": "d", "condition": condition, "output": "%ka.resp.name %json.value[/more/than]"}
    quick = {"rule": "Q", "desc": "d", "condition": "ka.target.resource = secrets", "output": "%ka.verb"}
    path.write_text(json.dumps([one | {"priority": "INFO", "source": "k8s_audit"} for one in (rule, quick)]))
    more = {
        "requestObject": {"data": {"a": "1"}},
        "responseObject": {"metadata": {"name": "new"}},
        "more": {"than": {"known": 1}},
        "annotations": {"cluster_name": "blue"},
    }
    data = event_list([audit_event() | more, audit_event() | {"more": 5}, audit_event("pods")])
    assert detector(path).alerts(seen(data, Sieve())) == made(data, detector(path))
    assert any(alert.rule == "R" for alert in made(data, detector(path)))


def test_other_rules_are_asked_anew(rules: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(RULES.replace("= secrets", "= pods"))
    data, sieve = event_list([audit_event("pods"), audit_event("secrets")]), Sieve()
    assert len(detector(rules).alerts(seen(data, sieve))) == 2
    assert len(detector(other).alerts(seen(data, sieve))) == 1
    assert len(detector(rules).alerts(seen(data, sieve))) == 2


@pytest.mark.parametrize(
    "odd",
    [
        {"stage": "Dress rehearsal"},
        {"auditID": 5},
        {"stageTimestamp": "soon"},
        {"stageTimestamp": "1960-01-01T00:00:00Z"},
        {"kind": "Pod"},
        {"apiVersion": "audit.k8s.io/v1beta1"},
        {"user": "ann"},
        {"verb": 5},
    ],
)
def test_a_list_with_an_odd_event_is_looked_at_closer(odd: dict[str, Any]) -> None:
    assert outline(event_list([audit_event(), audit_event() | odd]), "test", RECEIPT, Sieve()) is None


def test_ever_new_values_are_not_all_remembered(rules: Path) -> None:
    sieve, found = Sieve(), detector(rules)
    for turn in range(20):
        users = [{"user": {"username": f"{turn}-{number}"}} for number in range(1000)]
        assert len(found.alerts(seen(event_list([audit_event() | user for user in users]), sieve))) == 2000
        long = {"user": {"username": "x" * 10_000 + str(turn)}}
        assert len(found.alerts(seen(event_list([audit_event() | long]), sieve))) == 2
    assert len(sieve._known) < 18_000
    assert max(len(key[2].username or "") for key in sieve._known if key[2]) < 1000
