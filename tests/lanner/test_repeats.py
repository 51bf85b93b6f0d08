"""Which alerts say nothing new, and which only look as if."""

from pathlib import Path
from typing import Any

import pytest

from engine.alert import make_alert
from engine.evaluate import Engine
from engine.event import Event
from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.k8saudit.record import to_event
from ingest.k8saudit.requests import request_of
from lanner import repeats as module
from lanner.catalog import build_catalog
from lanner.repeats import Repeats
from tests.lanner.support import audit_event
from tests.lanner.test_service import Running

RULE = """
- rule: Without a stage
  desc: d
  condition: ka.target.resource = secrets
  output: x
  priority: NOTICE
  source: k8s_audit
- rule: Another
  desc: d
  condition: ka.target.resource = secrets and ka.stage = ResponseComplete
  output: x
  priority: NOTICE
  source: k8s_audit
"""
RECEIVED = "2026-01-02T03:04:05.000001Z"


def stage(name: str, received: str | None = RECEIVED, **more: Any) -> dict[str, Any]:
    found = {**audit_event(), "stage": name, "requestURI": "/api/v1/secrets", **more}
    return {**found, "requestReceivedTimestamp": received} if received else found


class Teller:
    """Evaluates events together and tells what is fresh, as the pipeline does."""

    def __init__(self) -> None:
        loaded = load_rules([RuleFile("r", RULE)], build_catalog("h"))
        assert loaded.ruleset is not None
        self.now = 0.0
        self.engine = Engine(loaded.ruleset)
        self.repeats = Repeats({"k8s_audit": request_of}, lambda: self.now)

    def fresh(self, *records: dict[str, Any], safe: bool = True) -> list[str]:
        events: list[Event] = [to_event(record, "") for record in records]
        found = [(make_alert(match, "h"), match.event) for match in self.engine.evaluate_batch(events)]
        alerts = self.repeats.fresh(found)
        if safe:
            self.repeats.tell(alerts)
        return [alert.rule for alert in alerts]


BOTH = ["Without a stage", "Another"]


@pytest.fixture
def teller() -> Teller:
    return Teller()


def test_a_rule_tells_of_a_request_once_whatever_stages_there_are(teller: Teller) -> None:
    assert teller.fresh(stage("RequestReceived")) == ["Without a stage"]
    assert teller.fresh(stage("ResponseStarted")) == []
    assert teller.fresh(stage("ResponseComplete")) == ["Another"]
    assert teller.repeats.counters == {"other-stage": 2}


def test_stages_of_one_batch_are_one_request_too(teller: Teller) -> None:
    assert teller.fresh(stage("RequestReceived"), stage("ResponseStarted"), stage("ResponseComplete")) == BOTH


@pytest.mark.parametrize(
    "more",
    [
        {"received": "2026-01-02T03:04:05.000002Z"},
        {"user": {"username": "eve"}},
        {"verb": "delete"},
        {"requestURI": "/api/v1/secrets?command=sh"},
        {"sourceIPs": ["192.0.2.1"]},
        {"annotations": {"cluster_name": "other"}},
    ],
)
def test_an_audit_id_that_was_used_again_hides_nothing(teller: Teller, more: dict[str, Any]) -> None:
    assert teller.fresh(stage("RequestReceived")) == ["Without a stage"]
    assert teller.fresh(stage("ResponseComplete", **more)) == BOTH


def test_one_stage_twice_with_different_content_is_told_twice(teller: Teller) -> None:
    assert teller.fresh(stage("ResponseComplete")) == BOTH
    assert teller.fresh(stage("ResponseComplete", responseStatus={"code": 403})) == BOTH


@pytest.mark.parametrize("record", [stage("RequestReceived", None), stage("RequestReceived", auditID="")])
def test_an_event_that_does_not_tell_its_request_stands_for_itself(teller: Teller, record: dict[str, Any]) -> None:
    assert teller.fresh(record) == ["Without a stage"]
    assert teller.fresh({**record, "stage": "ResponseComplete"}) == BOTH


def test_an_event_that_comes_again_is_not_told_again(teller: Teller) -> None:
    record = stage("ResponseComplete", None)
    assert teller.fresh(record) == BOTH
    assert teller.fresh(record, record) == []
    assert teller.fresh(stage("ResponseComplete", None, auditID="2")) == BOTH


def test_what_is_not_safe_is_told_when_it_comes_again(teller: Teller) -> None:
    assert teller.fresh(stage("RequestReceived"), safe=False) == ["Without a stage"]
    assert teller.fresh(stage("RequestReceived")) == ["Without a stage"]
    assert teller.fresh(stage("ResponseComplete")) == ["Another"]


def test_a_batch_that_goes_back_is_told_as_before_when_it_comes_again(teller: Teller) -> None:
    batch = (stage("RequestReceived"), stage("ResponseComplete"))
    assert teller.fresh(*batch, safe=False) == BOTH
    assert teller.fresh(*batch) == BOTH
    assert teller.fresh(*batch) == []


def test_after_a_time_it_is_news_again(teller: Teller) -> None:
    teller.fresh(stage("RequestReceived"))
    teller.now = 301.0
    assert teller.fresh(stage("ResponseComplete")) == BOTH
    teller.now = 901.0
    assert teller.fresh(stage("RequestReceived")) == ["Without a stage"]


def test_there_is_an_end_to_what_is_remembered(teller: Teller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 10)
    for number in range(100):
        teller.fresh(stage("ResponseComplete", auditID=str(number)), safe=number % 2 == 0)
    repeats = teller.repeats
    assert max(map(len, (repeats._told, repeats._stages, repeats._open))) <= 12


@pytest.mark.parametrize("odd", [{"user": []}, {"stage": 5}, {"requestReceivedTimestamp": 5}, {"auditID": {"a": 1}}])
def test_odd_members_raise_nothing(teller: Teller, odd: dict[str, Any]) -> None:
    record = {**stage("ResponseComplete"), **odd}
    assert "Without a stage" in teller.fresh(record)


@pytest.mark.parametrize(("collapse", "number"), [(True, 1), (False, 4)])
def test_the_service_tells_once_unless_it_is_told_otherwise(tmp_path: Path, collapse: bool, number: int) -> None:
    running = Running(tmp_path, collapse_repeats=collapse)
    for _ in range(2):
        assert running.post(stage("RequestReceived"), stage("ResponseComplete")) == 200
    assert running.end() == 0

    assert len(running.found()) == number
    told = running.log.read_text()
    assert ("not told again: 1 alert: same-event" in told) is collapse
    assert ("not told again: 2 alerts: other-stage" in told) is collapse
