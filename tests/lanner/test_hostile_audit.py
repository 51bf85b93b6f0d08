"""
Hostile bodies through webhook and rules, over HTTP and TLS: answered, survived, and nothing hides behind them.

Whatever stands in a body, the webhook's alerts are those of a scan of the same bytes, and the request of an honest
sender that comes after it is taken.
"""

import json
import ssl
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from engine.alert import Alert
from engine.evaluate import Engine
from engine.load import LoadOptions, load_rules
from engine.rulefile import RuleFile
from ingest.base import Batch
from ingest.k8saudit.listener import ListenOptions
from ingest.k8saudit.requests import request_of
from ingest.k8saudit.tls import TlsOptions
from ingest.k8saudit.webhook import WebhookOptions
from lanner.catalog import build_catalog
from lanner.detect import Detector
from lanner.repeats import Repeats
from lanner.scan import Scan
from tests.ingest.k8saudit.certs import Authority, write
from tests.ingest.k8saudit.receiver import receiver
from tests.lanner.support import audit_event

RULES = """
- rule: Secret
  desc: d
  condition: ka.target.resource = secrets
  output: by %ka.user.name %ka.verb %ka.target.name %ka.useragent %json.value[/requestObject]
  priority: CRITICAL
  source: k8s_audit
- rule: By eve
  desc: d
  condition: ka.user.name = eve
  output: "%ka.req.pod.containers.image %evt.actor %evt.ips"
  priority: CRITICAL
  source: k8s_audit
- rule: Anything odd
  desc: d
  condition: json.obj contains odd or ka.uri.param[a] = b or ka.req.pod.containers.privileged intersects (true)
  output: "%evt.plugininfo"
  priority: CRITICAL
  source: k8s_audit
"""
HONEST = json.dumps(audit_event(number=7)).encode()
VALUES = {
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "5,000 digits": b"7" * 5000,
    "5,000 digits of a fraction": b"0." + b"7" * 5000,
    "exponent": b"1e99999",
    "half of a pair": b'"\\ud800"',
    "no UTF-8": b'"\xff\xfe"',
    "overlong UTF-8": b'"\xc0\xaf"',
    "a NUL": b'"a\x00b"',
    "an escaped NUL": b'"a\\u0000b"',
    "deep arrays": b"[" * 5000 + b"]" * 5000,
    "deep objects": b'{"a":' * 5000 + b"1" + b"}" * 5000,
    "deep to the limit": b"[" * 190 + b"]" * 190,
    "equal keys": b'{"a":1,"a":2,"a":{"odd":1}}',
    "many keys": b"{" + b",".join(b'"k%d":1' % number for number in range(20_000)) + b"}",
    "long text": b'"' + b"x" * 500_000 + b'"',
    "long key": b'{"' + b"x" * 500_000 + b'":1}',
    "nothing": b"null",
    "control characters": b'"\\u001b[2J\\u202e\\r\\n"',
}
MEMBERS = ["requestObject", "userAgent", "objectRef", "user", "verb", "stage", "stageTimestamp", "auditID", "new"]
TWICE = {
    "verb": (b'"verb": "get"', b'"verb":"list","verb":"get"'),
    "user, the last is eve": (b'"user": {"username": "bob"}', b'"user":{"username":"bob"},"user":{"username":"eve"}'),
    "user, the first is eve": (b'"user": {"username": "bob"}', b'"user":{"username":"eve"},"user":{"username":"bob"}'),
    "user, empty": (b'"user": {"username": "bob"}', b'"user":{"username":"eve"},"user":{}'),
    "name": (b'"username": "bob"', b'"username":"bob","username":"eve"'),
    "resource": (b'"resource": "secrets"', b'"resource":"pods","resource":"secrets"'),
    "resource, the other way": (b'"resource": "secrets"', b'"resource":"secrets","resource":"pods"'),
    "escaped": (b'"resource": "secrets"', b'"resource":"pods","\\u0072esource":"secrets"'),
    "kind": (b'"kind": "Event"', b'"kind":"Secret","kind":"Event"'),
    "kind, the other way": (b'"kind": "Event"', b'"kind":"Event","kind":"Secret"'),
    "time": (b'"stageTimestamp"', b'"stageTimestamp":"never","stageTimestamp"'),
    "another case": (b'"resource": "secrets"', b'"Resource":"pods","resource":"secrets"'),
}


@cache
def engine() -> Engine:
    loaded = load_rules([RuleFile("r", RULES)], build_catalog("h"), LoadOptions())
    assert loaded.ruleset is not None
    return Engine(loaded.ruleset)


def event_list(*items: bytes) -> bytes:
    return b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","items":[' + b",".join(items) + b"]}"


def told(alerts: list[Alert]) -> Counter[str]:
    return Counter(alert.json(with_uid=True) for alert in alerts)


def scanned(body: bytes, folder: Path) -> Counter[str]:
    path = folder / "body.json"
    path.write_bytes(body)
    scan = Scan(Detector(engine(), "h"), source="k8s_audit")
    return told([alert for found in scan.alerts([str(path)]) for alert in found])


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[TlsOptions, ssl.SSLContext]:
    folder, authority = tmp_path_factory.mktemp("tls"), Authority()
    (folder / "ca.crt").write_bytes(authority.pem)
    files = write(folder, authority.issue("lanner", ip="127.0.0.1"))
    return TlsOptions(*files), ssl.create_default_context(cafile=str(folder / "ca.crt"))


async def check(bodies: list[bytes], folder: Path, secure: tuple[TlsOptions, ssl.SSLContext] | None) -> list[int]:
    """Send bodies one after the other, each followed by an honest request; return the answers to the bodies."""
    detector, alerts = Detector(engine(), "h"), list[Alert]()

    async def evaluate(batch: Batch) -> None:
        alerts.extend(detector.alerts(batch.events))
        await batch.ack()

    statuses = []
    options = WebhookOptions(ListenOptions(tls=secure[0] if secure else None))
    async with receiver(options, evaluate) as running:
        for body in bodies:
            alerts.clear()
            answer = await running.post(body, ssl=secure[1] if secure else True)
            assert answer.status in (200, 400)
            assert "Traceback" not in answer.text
            assert told(alerts) == scanned(body, folder)
            statuses.append(answer.status)

            alerts.clear()
            honest = await running.post(event_list(HONEST), ssl=secure[1] if secure else True)
            assert honest.status == 200
            assert [alert.rule for alert in alerts] == ["Secret"]
    assert not detector.tally.failures
    return statuses


def with_value(member: str, value: bytes) -> bytes:
    return json.dumps({**audit_event(), "requestURI": "/a?a=b", member: "HERE"}).encode().replace(b'"HERE"', value)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("member", MEMBERS)
async def test_odd_values_anywhere(
    member: str, scheme: str, tmp_path: Path, pair: tuple[TlsOptions, ssl.SSLContext]
) -> None:
    events = [with_value(member, value) for value in VALUES.values()]
    bodies = [event_list(event, HONEST) for event in events]
    if scheme == "http":
        bodies += [*events, *(b"[" + event + b"," + HONEST + b"]" for event in events)]
        bodies += [event + b"\n" + HONEST for event in events]

    statuses = await check(bodies, tmp_path, pair if scheme == "https" else None)
    assert set(statuses[: len(events)]) == {200}


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_equal_keys_hide_nothing(scheme: str, tmp_path: Path, pair: tuple[TlsOptions, ssl.SSLContext]) -> None:
    plain = json.dumps(audit_event()).encode()
    events = [plain.replace(*change) for change in TWICE.values()]
    assert plain not in events
    bodies = [event_list(event, HONEST) for event in events] + [event_list(HONEST, event) for event in events]

    assert set(await check(bodies, tmp_path, pair if scheme == "https" else None)) == {200}


async def test_equal_keys_of_the_list(tmp_path: Path) -> None:
    start = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1",'
    bodies = [
        start + b'"items":[],"items":[' + HONEST + b"]}",
        start + b'"items":[' + HONEST + b'],"items":[]}',
        b'{"kind":"Event",' + start[1:] + b'"items":[' + HONEST + b"]}",
        start + b'"items":[' + HONEST + b'],"kind":"Event"}',
    ]
    await check(bodies, tmp_path, None)


async def test_broken_bodies(tmp_path: Path, pair: tuple[TlsOptions, ssl.SSLContext]) -> None:
    whole = event_list(HONEST, HONEST)
    bodies = [whole[:cut] for cut in range(0, len(whole), 13)]
    bodies += [whole.replace(b"secrets", b"secr\xffets"), b"\xef\xbb\xbf" + whole, whole.decode().encode("utf-16")]
    bodies += [b"[" * 100_000, b'{"a":' * 100_000, b"\x00" * 1000, b"\xff" * 1000, b'"' * 1001, b"{}" * 30_000]

    await check(bodies, tmp_path, None)
    await check(bodies[-9:], tmp_path, pair)


async def test_what_is_evaluated_is_remembered_whatever_it_is(tmp_path: Path) -> None:
    """The memory of what was told reads members of the event, which may be anything."""
    detector = Detector(engine(), "h", Repeats({"k8s_audit": request_of}))

    async def evaluate(batch: Batch) -> None:
        detector.count({}, detector.alerts(batch.events))
        await batch.ack()

    async with receiver(settle=evaluate) as running:
        for member in (*MEMBERS, "requestReceivedTimestamp", "annotations", "sourceIPs"):
            for value in VALUES.values():
                assert (await running.post(event_list(with_value(member, value), HONEST))).status == 200
    assert not detector.tally.failures
