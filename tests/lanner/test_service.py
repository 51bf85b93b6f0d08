import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lanner import service
from tests.lanner.support import ROOT, RULES, SAMPLES, audit_event, command, environment, lanner


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Running:
    """A ``lanner run`` with a webhook and a file."""

    def __init__(self, folder: Path, webhook: dict[str, Any] | None = None, **more: Any) -> None:
        self.port = free_port()
        self.alerts = folder / "alerts.jsonl"
        self.log = folder / "log.txt"
        (folder / "rules.yaml").write_text(RULES)
        config = {
            "rules_files": [str(folder / "rules.yaml")],
            "json_output": True,
            "file_output": {"enabled": True, "filename": str(self.alerts)},
            "outbox": {"path": str(folder / "outbox.sqlite")},
            "sources": [{"type": "k8saudit", "listen": {"port": self.port}, **(webhook or {})}],
            "shutdown_grace": 5,
            **more,
        }
        (folder / "lanner.yaml").write_text(json.dumps(config))
        self.process = subprocess.Popen(
            command("run", "-c", folder / "lanner.yaml"),
            stdout=subprocess.PIPE,
            stderr=self.log.open("w"),
            env=environment(),
            cwd=ROOT,
        )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        for _ in range(600):
            if self.process.poll() is not None:
                raise AssertionError(self.log.read_text())
            try:
                if self.request("GET", "/readyz")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("not ready")

    def request(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def post(self, *events: Any) -> int:
        return self.request("POST", "/k8s-audit", json.dumps(events).encode())[0]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(60)

    def found(self) -> list[Any]:
        return [json.loads(line) for line in self.alerts.read_text().splitlines()]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    started = Running(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_events_come_out_as_alerts_and_a_signal_ends_it_in_order(running: Running, number: int) -> None:
    assert running.post(audit_event(number=1), audit_event("pods", 2)) == 200
    assert running.post(audit_event(number=3)) == 200
    assert running.end(number) == 0
    assert running.process.stdout is not None
    printed = [json.loads(line) for line in running.process.stdout.read().splitlines()]
    assert printed == running.found()
    assert [one["rule"] for one in printed] == ["Secret asked for"] * 2
    told = running.log.read_text()
    assert "stopping" in told
    assert "3  k8s_audit" in told
    assert "2  Critical       Secret asked for" in told


def test_bad_requests_are_answered_and_the_service_goes_on(running: Running) -> None:
    assert running.request("POST", "/k8s-audit", b'{"kind": 0}')[0] == 400
    assert running.request("POST", "/k8s-audit", b"[{")[0] == 400
    assert running.post({"kind": "Event"}, audit_event(number=1)) == 200
    assert running.end() == 0
    assert len(running.found()) == 1


def test_an_answered_request_is_not_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    blocked = {"enabled": True, "filename": str(tmp_path / "fifo")}
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    first = Running(tmp_path, file_output=blocked)
    big = [audit_event(number=n) | {"user": {"username": "u" * 3000}} for n in range(60)]
    assert first.post(*big) == 200
    first.end(signal.SIGKILL)
    os.close(reader)
    again = Running(tmp_path)
    again.end()
    assert len(again.found()) == 60


def test_an_output_that_is_stuck_does_not_keep_the_service_from_ending(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    stuck = os.open(tmp_path / "fifo", os.O_RDWR)
    running = Running(tmp_path, file_output={"enabled": True, "filename": str(tmp_path / "fifo")}, shutdown_grace=0.5)
    assert running.post(*(audit_event(number=n) | {"user": {"username": "u" * 3000}} for n in range(60))) == 200
    assert running.end() == 0
    os.close(stuck)
    assert "60 alerts left in the outbox" in running.log.read_text()


def test_a_file_output_that_is_down_is_tried_again(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "alerts.jsonl"
    target.parent.mkdir()
    running = Running(tmp_path, file_output={"enabled": True, "filename": str(target)})
    target.unlink()
    target.parent.rmdir()
    assert running.post(audit_event(number=1)) == 200
    for _ in range(200):
        if "trying again" in running.log.read_text():
            break
        time.sleep(0.05)
    target.parent.mkdir()
    assert running.end() == 0
    assert len(target.read_text().splitlines()) == 1


def test_a_reader_that_leaves_costs_only_its_output(running: Running) -> None:
    assert running.process.stdout is not None
    running.process.stdout.close()
    for number in range(3):
        assert running.post(audit_event(number=number)) == 200
    assert running.end() == 0
    assert len(running.found()) == 3
    told = running.log.read_text()
    assert told.count("standard output was closed by its reader; the service goes on with file") == 1
    assert "left in the outbox" not in told


def test_the_last_reader_that_leaves_ends_the_service_with_an_error(tmp_path: Path) -> None:
    running = Running(tmp_path, file_output={"enabled": False})
    assert running.process.stdout is not None
    running.process.stdout.close()
    assert running.post(audit_event(number=1)) == 200
    assert running.process.wait(60) == 5
    assert "no output is left that takes alerts" in running.log.read_text()
    assert "1 alert left in the outbox" in running.log.read_text()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = lanner(
            *("run", "-o", "sources[].type=k8saudit", "-o", f"sources[0].listen.port={taken.getsockname()[1]}"),
            *("-o", f"outbox.path={tmp_path}/o.sqlite"),
        )
    assert done.returncode == 4
    assert "source k8saudit: " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_source_that_makes_no_sense_is_told(tmp_path: Path) -> None:
    done = lanner("run", "-o", "sources[].type=cloudtrail", "-o", "sources[0].queue=ftp://x", "--dry-run")
    assert done.returncode == 4
    assert "source cloudtrail: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_outbox_in_use_is_told(running: Running, tmp_path: Path) -> None:
    done = lanner("run", "-o", "sources[].type=k8saudit", "-o", f"outbox.path={tmp_path}/outbox.sqlite")
    assert done.returncode == 5
    assert "another lanner uses it" in done.stderr


def test_dry_run_loads_everything_and_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    path = tmp_path / "lanner.yaml"
    path.write_text(
        f"rules_files: [{tmp_path}/rules.yaml]\n"
        "rules: [{disable: {tag: aws}}]\n"
        "sources: [{type: k8saudit}, {type: cloudtrail, queue: 'sqs://q'}]\n"
        f"outbox: {{path: {tmp_path}/o.sqlite}}\n"
    )
    done = lanner("run", "-c", path, "--dry-run")
    assert (done.returncode, done.stdout) == (
        0,
        "rules:   1 enabled of 2\nsources: k8saudit, cloudtrail\noutputs: stdout\n",
    )
    assert not (tmp_path / "o.sqlite").exists()


def test_rules_of_the_command_line_replace_those_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text("- rule: x")
    path = tmp_path / "lanner.yaml"
    path.write_text("sources: [{type: k8saudit}]\nrules_files: [bundled]\n")
    done = lanner("run", "-c", path, "-r", tmp_path / "wrong.yaml", "--dry-run")
    assert done.returncode == 3
    assert f"{tmp_path}/wrong.yaml:1" in done.stderr


def test_without_outbox_nothing_is_written(tmp_path: Path) -> None:
    running = Running(tmp_path, outbox={"path": ":none"})
    assert running.post(audit_event(number=1)) == 200
    assert len(running.found()) == 1
    assert running.end() == 0
    assert not (tmp_path / "outbox.sqlite").exists()


def test_a_bucket_is_read_to_its_end(tmp_path: Path) -> None:
    boto3 = pytest.importorskip("boto3")
    moto = pytest.importorskip("moto.server", reason="moto (extra 'demo') is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        s3 = boto3.Session("test", "test", region_name="us-east-1").client("s3", endpoint_url=endpoint)
        s3.create_bucket(Bucket="trail-logs")
        samples = SAMPLES / "cloudtrail"
        for file in samples.rglob("*.json"):
            s3.put_object(Bucket="trail-logs", Key=str(file.relative_to(samples)), Body=file.read_bytes())
        done = lanner(
            *("run", "-o", "sources[].type=cloudtrail-s3", "-o", "sources[0].location=s3://trail-logs"),
            *("-o", f"sources[0].aws.endpoint_url={endpoint}", "-o", f"outbox.path={tmp_path}/o.sqlite"),
            env=environment(AWS_ACCESS_KEY_ID="test", AWS_SECRET_ACCESS_KEY="test", AWS_REGION="us-east-1"),
        )
    finally:
        server.stop()
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(lanner("scan", samples).stdout.splitlines())


async def test_sources_and_outputs_share_one_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(service.time, "monotonic", lambda: now)

    class Slow:
        async def stop(self, grace: float) -> None:
            nonlocal now
            now += grace

    grace = service._Grace(10.0)
    grace.begin()
    await service._stop([Slow()], [], grace)  # type: ignore[list-item]
    assert now == 1007.0
    assert grace.left() == 3.0
