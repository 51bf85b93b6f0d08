"""``lanner run`` on the log group of an EKS cluster, by its own configuration and by Falco's."""

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("moto", reason="the package moto is not installed")

from tests.ingest.cloudtrail.support import Aws
from tests.lanner.aws import aws_environment, aws_server
from tests.lanner.support import ROOT, RULES, audit_event, command

GROUP, STREAM = "/aws/eks/prod/cluster", "kube-apiserver-audit-1"


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with aws_server() as running:
        yield running


@pytest.fixture
def logs(server: Aws) -> Iterator[Any]:
    client = server.client("logs")
    client.create_log_group(logGroupName=GROUP)
    client.create_log_stream(logGroupName=GROUP, logStreamName=STREAM)
    yield client
    client.delete_log_group(logGroupName=GROUP)
    client.close()


def put(logs: Any, *numbers: int) -> None:
    stamp = int((time.time() - 20) * 1000)
    events = [{"timestamp": stamp, "message": json.dumps(audit_event(number=number))} for number in numbers]
    logs.put_log_events(logGroupName=GROUP, logStreamName=STREAM, logEvents=events)


def run(folder: Path, server: Aws, wanted: int, **config: Any) -> list[dict[str, Any]]:
    """Run the service until there are so many alerts in all; return those of this run."""
    (folder / "rules.yaml").write_text(RULES)
    alerts, log = folder / "alerts.jsonl", folder / "log"
    before = len(alerts.read_text().splitlines()) if alerts.exists() else 0
    config |= {
        "rules_files": [str(folder / "rules.yaml")],
        "json_output": True,
        "stdout_output": {"enabled": False},
        "file_output": {"enabled": True, "filename": str(alerts)},
        "outbox": {"path": str(folder / "outbox.sqlite")},
    }
    (folder / "lanner.yaml").write_text(json.dumps(config))
    with log.open("w") as stderr:
        process = subprocess.Popen(
            command("run", "-c", folder / "lanner.yaml"), stderr=stderr, env=aws_environment(server), cwd=ROOT
        )
    try:
        end = time.monotonic() + 60
        while not alerts.exists() or len(alerts.read_text().splitlines()) < wanted:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()
    return [json.loads(line) for line in alerts.read_text().splitlines()[before:]]


def test_alerts_come_once_over_two_runs(logs: Any, server: Aws, tmp_path: Path) -> None:
    source = {
        "type": "k8saudit-eks",
        "cluster": "prod",
        "checkpoint": str(tmp_path / "eks.sqlite"),
        "poll_interval": 0.2,
        "since": 60,
    }
    put(logs, 1, 2)
    first = run(tmp_path, server, 2, sources=[source])
    put(logs, 3)
    second = run(tmp_path, server, 3, sources=[source])

    assert [alert["rule"] for alert in first + second] == ["Secret asked for"] * 3


def test_falcos_plugin_reads_the_same(logs: Any, server: Aws, tmp_path: Path) -> None:
    put(logs, 1)
    config = {"polling_interval": 1, "shift": 60, "use_async": False}
    plugin = {"name": "k8saudit-eks", "library_path": "x.so", "init_config": config, "open_params": "prod"}

    (alert,) = run(tmp_path, server, 1, plugins=[plugin], load_plugins=["k8saudit-eks"])

    assert alert["source"] == "k8s_audit"
    assert "use_async has no effect" in (tmp_path / "log").read_text()


def test_a_log_group_that_is_not_there_is_told(server: Aws, tmp_path: Path) -> None:
    (tmp_path / "lanner.yaml").write_text(json.dumps({"sources": [{"type": "k8saudit-eks", "cluster": "none"}]}))
    done = subprocess.run(
        command("run", "-c", tmp_path / "lanner.yaml", "-o", "outbox.path=:none", "-r", "bundled/k8s"),
        capture_output=True,
        text=True,
        env=aws_environment(server),
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 4
    assert "log group /aws/eks/none/cluster is not there" in done.stderr
    assert "Traceback" not in done.stderr
