"""The service in operation: other rules while it runs, sources that fail, health and metrics."""

import asyncio
import json
import os
import signal
import ssl
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.alert import Alert
from engine.priority import Priority
from ingest.base import Batch, Health, SourceError
from lanner.internal import internal_alert
from lanner.supervision import Kept
from tests.ingest.k8saudit import certs
from tests.lanner.support import RULES, audit_event
from tests.lanner.test_service import Running, free_port


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def get(port: int, path: str, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def metrics(port: int) -> dict[tuple[str, ...], float]:
    """Return samples by name and the values of their labels, in the order of the labels' names."""
    families = text_string_to_metric_families(get(port, "/metrics")[1])
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


def put(path: Path, text: str) -> None:
    """Replace a file as careful programs do, so that nobody reads half of it."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, path)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def running(tmp_path: Path, port: int) -> Iterator[Running]:
    started = Running(tmp_path, webserver={"enabled": True, "listen_port": port}, metrics={"falco_compat": True})
    yield started
    started.process.kill()
    started.process.wait()


def test_health_versions_and_metrics(running: Running, port: int) -> None:
    assert running.post(audit_event(number=1), audit_event("pods", 2)) == 200
    assert get(port, "/healthz") == (200, '{"status": "ok"}')
    assert get(port, "/livez")[0] == get(port, "/readyz")[0] == 200
    versions = json.loads(get(port, "/versions")[1])
    assert versions["engine_version_semver"] == "0.63.0"
    assert versions["plugin_versions"]["k8saudit"]
    until(lambda: metrics(port).get(("lanner_output_alerts_total", "stdout", "delivered")) == 1)
    found = metrics(port)
    assert found["lanner_events_total", "k8s_audit"] == 2
    assert found["lanner_rule_matches_total", "critical", "Secret asked for", "k8s_audit"] == 1
    assert found["lanner_rule_matches_total", "warning", "User made", "aws_cloudtrail"] == 0
    assert found["lanner_rules_enabled",] == 2
    assert found["lanner_source_up", "k8saudit"] == 1
    assert found["lanner_output_waiting", "stdout"] == 0
    assert found["lanner_process_resident_memory_bytes",] > 1e6
    assert ("falcosecurity_falco_rules_matches_total", "2", "Secret asked for", "k8s_audit") in found
    hashes = [key for key in found if key[0] == "lanner_file_info"]
    named = {(Path(name).name, kind) for _, name, kind, _ in hashes}
    assert named == {("lanner.yaml", "config"), ("rules.yaml", "rules")}
    assert get(port, "/nothing")[0] == 404


def test_metrics_may_ask_for_a_token(tmp_path: Path, port: int) -> None:
    options = {"enabled": True, "listen_port": port, "token": "s3cret"}
    running = Running(tmp_path, webserver=options)
    try:
        assert get(port, "/metrics")[0] == get(port, "/versions")[0] == 401
        assert get(port, "/metrics", Authorization="Bearer wrong")[0] == 401
        assert get(port, "/metrics", Authorization="Bearer s3cret")[0] == 200
        assert get(port, "/healthz")[0] == 200
    finally:
        assert running.end() == 0


def test_the_web_server_speaks_tls(tmp_path: Path, port: int) -> None:
    authority = certs.Authority()
    pair = authority.issue("server", ip="127.0.0.1")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "both.pem").write_bytes(pair.cert + pair.key)
    options = {"enabled": True, "listen_port": port, "ssl_enabled": True, "ssl_certificate": str(tmp_path / "both.pem")}
    running = Running(tmp_path, webserver=options)
    try:
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/healthz", context=context, timeout=10) as answer:
            assert answer.status == 200
    finally:
        assert running.end() == 0


def test_new_rules_are_in_force_after_sighup(running: Running, tmp_path: Path, port: int) -> None:
    assert running.post(audit_event("pods", 1)) == 200
    put(tmp_path / "rules.yaml", RULES.replace("ka.target.resource = secrets", "ka.target.resource = pods"))
    running.process.send_signal(signal.SIGHUP)
    until(lambda: metrics(port)["lanner_reloads_total",] == 1)
    assert running.post(audit_event("pods", 2)) == 200
    assert running.end() == 0
    assert [alert["output_fields"]["ka.user.name"] for alert in running.found()] == ["bob"]


def test_changed_files_are_taken_by_themselves(running: Running, tmp_path: Path, port: int) -> None:
    put(tmp_path / "rules.yaml", RULES + RULES.replace("rule: ", "rule: Another "))
    until(lambda: metrics(port)["lanner_rules_enabled",] == 4)
    assert running.end() == 0


def test_rules_that_are_wrong_change_nothing_and_are_told_of(running: Running, tmp_path: Path, port: int) -> None:
    put(tmp_path / "rules.yaml", RULES.replace("ka.target.resource", "ka.target.resorce"))
    running.process.send_signal(signal.SIGHUP)
    until(lambda: metrics(port)["lanner_reload_failures_total",] >= 1)
    assert running.post(audit_event(number=1)) == 200
    assert running.end() == 0
    refused, *_, secret = running.found()
    assert refused["rule"] == "Lanner internal: hot restart failure"
    assert (refused["source"], refused["priority"]) == ("internal", "Critical")
    assert "did you mean 'ka.target.resource'?" in refused["output"]
    assert secret["rule"] == "Secret asked for"
    assert "the old rules stay in force" in running.log.read_text()


def test_what_needs_another_start_is_told(running: Running, tmp_path: Path, port: int) -> None:
    config = json.loads((tmp_path / "lanner.yaml").read_text())
    put(tmp_path / "lanner.yaml", json.dumps({**config, "shutdown_grace": 6, "priority": "error"}))
    running.process.send_signal(signal.SIGHUP)
    until(lambda: metrics(port)["lanner_rules_enabled",] == 1)
    assert running.end() == 0
    assert "changes of shutdown_grace take effect when the service is started again" in running.log.read_text()


def test_two_hundred_changes_of_rules_under_load_lose_and_repeat_nothing(running: Running, tmp_path: Path) -> None:
    sent, going = [0], threading.Event()

    def load() -> None:
        while not going.is_set():
            assert running.post(*(audit_event(number=sent[0] * 10 + at) for at in range(10))) == 200
            sent[0] += 1

    thread = threading.Thread(target=load)
    thread.start()
    try:
        for number in range(200):
            put(tmp_path / "rules.yaml", RULES.replace("secret for", f"secret {number} for"))
            running.process.send_signal(signal.SIGHUP)
            time.sleep(0.03)
    finally:
        going.set()
        thread.join()
    assert running.end() == 0
    alerts = [alert for alert in running.found() if alert["source"] != "internal"]
    assert len(alerts) == sent[0] * 10
    assert len({alert["output"] for alert in alerts}) > 3, "several sets of rules were in force"
    assert "Traceback" not in running.log.read_text()


class Failing:
    """A source that fails as often as it is told to, then runs to its end."""

    name, event_source = "failing", "k8s_audit"
    failures = 0
    starts = 0

    def __init__(self, options: Any, name: str) -> None:
        self.counters: Counter[str] = Counter()

    async def start(self) -> None:
        type(self).starts += 1
        if type(self).failures and type(self).starts == 2:
            raise SourceError("not yet")

    async def batches(self) -> AsyncIterator[Batch]:
        self.counters["events"] += 1
        if type(self).failures:
            type(self).failures -= 1
            raise OSError("the line is dead")
        yield Batch([])

    async def stop(self, grace: float) -> None:
        return None

    def health(self) -> Health:
        return Health()


class Swallow:
    """Stands for the pipeline: takes batches and nothing else."""

    async def consume(self, source: Any) -> None:
        async for _ in source.batches():
            pass


async def kept(failures: int, restart: bool, told: list[tuple[str, str]], first: asyncio.Event) -> Kept:
    Failing.failures, Failing.starts = failures, 0

    class Configured:
        name = "failing"

        def open(self) -> Failing:
            return Failing(None, "failing")

    async def tell(name: str, why: str) -> None:
        told.append((name, why))
        first.set()

    made = Kept(Configured(), restart, tell)  # type: ignore[arg-type]
    await made.start(None)  # type: ignore[arg-type]
    return made


async def test_a_source_that_fails_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lanner.supervision._FIRST_PAUSE", 0.01)
    told: list[tuple[str, str]] = []
    first = asyncio.Event()
    source = await kept(3, True, told, first)
    task = asyncio.create_task(source.run(Swallow()))  # type: ignore[arg-type]
    await asyncio.wait_for(first.wait(), 5)
    assert source.health().detail == "OSError: the line is dead"
    await task
    assert source.health().ok
    assert told[0] == ("failing", "the line is dead")
    assert source.counters["events"] == 4
    assert source.restarts == 3


async def test_or_its_failure_is_raised_when_that_is_wanted() -> None:
    source = await kept(1, False, [], asyncio.Event())
    with pytest.raises(OSError, match="the line is dead"):
        await source.run(Swallow())  # type: ignore[arg-type]


async def test_a_source_that_waits_for_another_start_can_be_stopped() -> None:
    source = await kept(99, True, [], asyncio.Event())
    task = asyncio.create_task(source.run(Swallow()))  # type: ignore[arg-type]
    await asyncio.sleep(0.05)
    await source.stop(1)
    await asyncio.wait_for(task, 5)


def test_alerts_about_the_service_have_falcos_shape() -> None:
    made: Alert = internal_alert("source failed", Priority.ERROR, "It failed", {"source.name": "x", "gone": None})
    told = json.loads(made.json())
    assert (told["rule"], told["source"]) == ("Lanner internal: source failed", "internal")
    assert told["output"].endswith("Error It failed (source.name=x)")
    assert made.uid != internal_alert("source failed", Priority.ERROR, "It failed").uid
