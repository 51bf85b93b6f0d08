"""
All audit events of the shared data through the webhook, in every form that carries them whole, over HTTP and TLS.

The alerts are those of a scan of the same files, to the last field. GKE's log entries are left out: they do not carry
an event whole.
"""

import gzip
import json
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from engine.alert import Alert
from engine.evaluate import Engine
from engine.load import LoadOptions
from ingest.base import Batch
from ingest.k8saudit.listener import ListenOptions
from ingest.k8saudit.requests import request_of
from ingest.k8saudit.tls import TlsOptions
from ingest.k8saudit.webhook import WebhookOptions
from lanner import rulefiles
from lanner.catalog import build_catalog
from lanner.detect import Detector
from lanner.repeats import Repeats
from lanner.scan import Scan
from tests.ingest.k8saudit.certs import Authority, write
from tests.ingest.k8saudit.receiver import receiver
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared

DATA = SHARED / "k8saudit" if SHARED else Path()
SETS = {
    "falco": sorted((DATA / "falco").glob("*.json")),
    "audit2rbac": [DATA / "audit2rbac-demo.jsonl"],
    "perfspec": [DATA / "perfspec-shared.jsonl.gz"],
}
NO_EVENT = "fal_01_003.json"
RULES = {
    "bundled": ["bundled/k8s"],
    "falco": [str(SHARED / "falco-rules" / "plugins" / "k8saudit" / "k8s_audit_rules.yaml")] if SHARED else [],
}
AT_ONCE = 400
Json = dict[str, Any]


@cache
def engine(rules: str) -> Engine:
    return Engine(rulefiles.load(RULES[rules], build_catalog("h"), LoadOptions()))


@cache
def records(name: str) -> list[Json]:
    found = []
    for path in SETS[name]:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        found += [json.loads(line) for line in text.splitlines() if line.strip() and path.name != NO_EVENT]
    return found


def told(alerts: list[Alert]) -> Counter[str]:
    return Counter(alert.json(with_uid=True) for alert in alerts)


@cache
def scanned(name: str, rules: str) -> Counter[str]:
    scan = Scan(Detector(engine(rules), "h"))
    return told([alert for found in scan.alerts(map(str, SETS[name])) for alert in found])


# The forms ------------------------------------------------------------------------------------------------------------


def dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def event_list(events: list[Json]) -> Json:
    return {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": events}


def azure(events: list[Json]) -> Json:
    return {"records": [{"category": "kube-audit", "properties": {"log": json.dumps(event)}} for event in events]}


def cloudwatch(events: list[Json]) -> Json:
    entries = [{"id": str(at), "timestamp": 1, "message": json.dumps(event)} for at, event in enumerate(events)]
    return {"messageType": "DATA_MESSAGE", "logGroup": "/aws/eks/prod/cluster", "logEvents": entries}


FORMS: dict[str, Callable[[list[Json]], bytes]] = {
    "EventList": lambda events: dumps(event_list(events)),
    "EventList with blanks": lambda events: json.dumps(event_list(events), indent=1).encode(),
    "array of Events": dumps,
    "array of EventLists": lambda events: dumps([event_list(events[:7]), event_list(events[7:])]),
    "lines": lambda events: b"\n".join(map(dumps, events)),
    "lines of EventLists": lambda events: b"\n".join([dumps(event_list(events[:7])), dumps(event_list(events[7:]))]),
    "Azure": lambda events: dumps(azure(events)),
    "CloudWatch": lambda events: dumps(cloudwatch(events)),
}


def batches(events: list[Json], most: int = AT_ONCE) -> Iterator[list[Json]]:
    for start in range(0, len(events), most):
        yield events[start : start + most]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[TlsOptions, ssl.SSLContext]:
    folder, authority = tmp_path_factory.mktemp("tls"), Authority()
    (folder / "ca.crt").write_bytes(authority.pem)
    files = write(folder, authority.issue("lanner", ip="127.0.0.1"))
    return TlsOptions(*files), ssl.create_default_context(cafile=str(folder / "ca.crt"))


async def sent(
    bodies: list[bytes], rules: str, secure: tuple[TlsOptions, ssl.SSLContext] | None = None, **headers: str
) -> list[Alert]:
    """Send bodies to a webhook; return the alerts of what arrived."""
    detector, alerts = Detector(engine(rules), "h"), list[Alert]()

    async def evaluate(batch: Batch) -> None:
        alerts.extend(detector.alerts(batch.events))
        await batch.ack()

    options = WebhookOptions(ListenOptions(tls=secure[0] if secure else None))
    async with receiver(options, evaluate) as running:
        for body in bodies:
            answer = await running.post(body, headers=headers, ssl=secure[1] if secure else True)
            assert (answer.status, answer.text) == (200, "")
            assert "X-Lanner-Rejected" not in answer.headers
    return alerts


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", SETS)
def test_there_is_something_to_compare(name: str, rules: str) -> None:
    assert len(records(name)) == {"falco": 29, "audit2rbac": 37, "perfspec": 8281}[name]
    assert scanned(name, rules) or (name, rules) == ("audit2rbac", "falco")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("form", FORMS)
async def test_every_form_gives_the_alerts_of_a_scan(
    form: str, name: str, scheme: str, pair: tuple[TlsOptions, ssl.SSLContext]
) -> None:
    bodies = [FORMS[form](events) for events in batches(records(name))]
    for rules in RULES:
        alerts = await sent(bodies, rules, pair if scheme == "https" else None)
        assert told(alerts) == scanned(name, rules)


@pytest.mark.parametrize("name", ["falco", "audit2rbac"])
async def test_one_event_a_request(name: str, pair: tuple[TlsOptions, ssl.SSLContext]) -> None:
    bodies = [dumps(event) for event in records(name)]
    for rules in RULES:
        assert told(await sent(bodies, rules, pair)) == scanned(name, rules)


@pytest.mark.parametrize("name", SETS)
async def test_compressed(name: str, pair: tuple[TlsOptions, ssl.SSLContext]) -> None:
    bodies = [gzip.compress(FORMS["EventList"](events)) for events in batches(records(name))]
    alerts = await sent(bodies, "bundled", pair, **{"Content-Encoding": "gzip"})
    assert told(alerts) == scanned(name, "bundled")


async def test_bad_entries_in_between_change_no_alert() -> None:
    bad: list[Any] = [None, 5, [], {"kind": 0}, {"kind": "Event"}]
    events = records("falco")
    mixed = [part for at, event in enumerate(events) for part in (event, bad[at % len(bad)])]
    detector, alerts = Detector(engine("falco"), "h"), list[Alert]()

    async def evaluate(batch: Batch) -> None:
        alerts.extend(detector.alerts(batch.events))
        await batch.ack()

    async with receiver(settle=evaluate) as running:
        answer = await running.post(dumps(event_list(mixed)))
        assert (answer.status, answer.headers["X-Lanner-Rejected"]) == (200, str(len(events)))
    assert told(alerts) == scanned("falco", "falco")


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("name", SETS)
async def test_the_service_which_tells_nothing_twice_leaves_out_only_equal_alerts(name: str, rules: str) -> None:
    detector = Detector(engine(rules), "h", Repeats({"k8s_audit": request_of}))
    alerts = list[Alert]()

    async def evaluate(batch: Batch) -> None:
        found = detector.alerts(batch.events)
        detector.count({}, found)
        alerts.extend(found)
        await batch.ack()

    async with receiver(settle=evaluate) as running:
        for events in batches(records(name)):
            assert (await running.post(dumps(event_list(events)))).status == 200
    assert set(told(alerts)) == set(scanned(name, rules))
