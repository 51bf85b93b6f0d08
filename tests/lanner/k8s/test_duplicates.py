"""The experiment in docs/kubernetes.md about requests that are told of several times, as its readers run it."""

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lanner.k8s.auditing import rule_text
from tests.lanner.support import ROOT, command, environment

PAGE = ROOT / "docs" / "kubernetes.md"
FORWARD = "ka.target.resource = pods and ka.target.subresource = portforward"
RULES = rule_text(FORWARD, "Without a stage") + rule_text(f"{FORWARD} and ka.stage = ResponseStarted", "With a stage")
PATIENCE = 30.0


class Service:
    """``lanner run`` with the two rules; ``sent`` returns the alerts of a batch once they have settled."""

    def __init__(self, folder: Path, collapse: bool) -> None:
        self.ends = 0
        (folder / "rules.yaml").write_text(RULES)
        self.out = folder / "alerts"
        self.err = folder / "log"
        options = ("sources[].type=k8saudit", "sources[0].listen={port: 0}", f"outbox.path={folder}/outbox.sqlite")
        more = ("json_output=true", f"collapse_repeats={str(collapse).lower()}")
        settings = [word for option in (*options, *more) for word in ("-o", option)]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                command("run", "-r", folder / "rules.yaml", *settings),
                stdout=out,
                stderr=err,
                cwd=ROOT,
                env=environment(),
            )
        self.url = self.until(lambda: re.search(r"listens on (http://\S+)", self.err.read_text()))[1]

    def until(self, found: Any) -> Any:
        end = time.monotonic() + PATIENCE
        while not (answer := found()):
            assert time.monotonic() < end, self.err.read_text()
            time.sleep(0.05)
        return answer

    def sent(self, *events: dict[str, Any], alerts: int) -> list[str]:
        """Send a batch, wait for so many alerts and for an event that marks the end; return rules of all before it."""
        before = len(self.rules())
        self.post(*events)
        self.ends += 1
        self.post(event(f"end {self.ends}", "ResponseStarted"))
        self.until(lambda: len(self.rules()) >= before + alerts + 2)
        return self.rules()[before:-2]

    def post(self, *events: dict[str, Any]) -> None:
        body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": list(events)}
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            assert answer.status == 200

    def rules(self) -> list[str]:
        return [json.loads(line)["rule"] for line in self.out.read_text().splitlines() if line.startswith("{")]


@pytest.fixture(params=[False, True], ids=["each stage", "collapsed"])
def collapse(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def service(tmp_path: Path, collapse: bool) -> Iterator[Service]:
    found = Service(tmp_path, collapse)
    yield found
    found.process.terminate()
    found.process.wait(PATIENCE)


def event(audit_id: str, stage: str, level: str = "Metadata", user: str = "maria") -> dict[str, Any]:
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": level,
        "auditID": audit_id,
        "stage": stage,
        "verb": "create",
        "user": {"username": user},
        "requestURI": "/api/v1/namespaces/shop/pods/web/portforward",
        "objectRef": {"resource": "pods", "subresource": "portforward", "namespace": "shop", "name": "web"},
        "requestReceivedTimestamp": "2026-01-02T09:19:00.000000Z",
        "stageTimestamp": "2026-01-02T09:20:00.000000Z",
    }


STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete")


def test_a_rule_without_a_stage_fires_at_each_stage_unless_they_are_collapsed(service: Service, collapse: bool) -> None:
    times = 1 if collapse else 3
    rules = service.sent(*(event("1", stage) for stage in STAGES), alerts=1 + times)

    assert sorted(rules) == ["With a stage", *["Without a stage"] * times]


def test_an_audit_id_that_somebody_chose_hides_nothing(service: Service) -> None:
    service.sent(event("1", "ResponseStarted"), alerts=2)

    assert len(service.sent(event("1", "ResponseStarted", user="eve"), alerts=2)) == 2


def test_the_page_has_the_rules_that_are_tried_here() -> None:
    text = " ".join(PAGE.read_text("utf-8").split())

    assert f"condition: {FORWARD} output" in text
    assert f"condition: {FORWARD} and ka.stage = ResponseStarted output" in text
