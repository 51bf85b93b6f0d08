"""``lanner reload``: a service asked from outside, and what it says."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest.k8saudit import certs
from tests.lanner.support import RULES, audit_event, lanner
from tests.lanner.test_operation import put
from tests.lanner.test_service import Running, free_port


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    options = {"enabled": True, "listen_port": free_port(), "token": "s3cret"}
    started = Running(tmp_path, webserver=options, watch_config_files=False)
    yield started
    started.process.kill()
    started.process.wait()


def test_rules_that_are_taken_are_told(running: Running, tmp_path: Path) -> None:
    put(tmp_path / "rules.yaml", RULES + RULES.replace("rule: ", "rule: Another "))
    done = lanner("reload", "-c", tmp_path / "lanner.yaml")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"process {running.process.pid} took them: 4 rules in force\n"
    assert lanner("reload", "-c", tmp_path / "lanner.yaml", str(running.process.pid)).returncode == 0
    assert running.post(audit_event(number=1)) == 200
    assert running.end() == 0
    assert {alert["rule"] for alert in running.found()} == {"Secret asked for", "Another Secret asked for"}


def test_rules_that_are_refused_are_told(running: Running, tmp_path: Path) -> None:
    put(tmp_path / "rules.yaml", RULES.replace("ka.target.resource", "ka.target.resorce"))
    done = lanner("reload", "-c", tmp_path / "lanner.yaml")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"process {running.process.pid} refused them; its log says why" in done.stderr
    assert "did you mean 'ka.target.resource'?" in running.log.read_text()


def test_a_wrong_configuration_is_told_and_nobody_is_asked(running: Running, tmp_path: Path) -> None:
    config = json.loads((tmp_path / "lanner.yaml").read_text())
    put(tmp_path / "lanner.yaml", json.dumps({**config, "priorty": "error"}))
    done = lanner("reload", "-c", tmp_path / "lanner.yaml")
    assert done.returncode == 2
    assert "did you mean 'priority'?" in done.stderr
    assert "old rules" not in running.log.read_text()


def test_without_metrics_the_answer_is_in_the_log(tmp_path: Path) -> None:
    running = Running(tmp_path, watch_config_files=False)
    try:
        done = lanner("reload", "-c", tmp_path / "lanner.yaml", "-P", tmp_path / "lanner.pid")
        assert done.returncode == 0
        assert f"process {running.process.pid} was asked; webserver is off, so only its log says" in done.stderr
        assert running.end() == 0
        assert "2 rules are in force, 2 before" in running.log.read_text()
    finally:
        running.process.kill()
        running.process.wait()


def test_its_own_certificate_is_trusted_and_no_other(tmp_path: Path) -> None:
    authority = certs.Authority()
    for name in ("one", "two"):
        pair = authority.issue(name, ip="127.0.0.1")
        (tmp_path / f"{name}.pem").write_bytes(pair.cert + pair.key)
    options = {
        "enabled": True,
        "listen_port": free_port(),
        "ssl_enabled": True,
        "ssl_certificate": str(tmp_path / "one.pem"),
    }
    running = Running(tmp_path, webserver=options, watch_config_files=False)
    try:
        done = lanner("reload", "-c", tmp_path / "lanner.yaml")
        assert (done.returncode, "took them: 2 rules" in done.stdout) == (0, True), done.stderr
        other = f"webserver.ssl_certificate={tmp_path}/two.pem"
        done = lanner("reload", "-c", tmp_path / "lanner.yaml", "-o", other)
        assert "its metrics cannot be read" in done.stderr
    finally:
        running.process.kill()
        running.process.wait()


def test_where_no_service_runs_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "lanner.yaml"
    path.write_text(json.dumps({"sources": [{"type": "k8saudit"}], "outbox": {"path": str(tmp_path / "o.sqlite")}}))
    done = lanner("reload", "-c", path)
    assert (done.returncode, "no lanner run is going that wrote this file" in done.stderr) == (2, True)
    done = lanner("reload", "-c", path, "-o", "outbox.path=:none")
    assert (done.returncode, "name the process, or a file with -P" in done.stderr) == (2, True)
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    done = lanner("reload", "-c", path, str(child))
    assert (done.returncode, f"process {child} cannot be asked: No such process" in done.stderr) == (2, True)
