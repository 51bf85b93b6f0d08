"""``lanner doctor`` as a user calls it."""

import asyncio
import json
import socket
import ssl
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ingest.syscalls.ebpf.probe import reasons
from lanner import doctor
from lanner.outputs.delivery import DeadLetters
from tests.ingest.cloudtrail.support import Aws, trail_key, trail_record
from tests.ingest.k8saudit import certs
from tests.lanner.aws import aws_environment, aws_server
from tests.lanner.outputs.receiver import receiving
from tests.lanner.support import RULES, alert, environment, lanner
from tests.lanner.test_service import Running, free_port


def configured(folder: Path, **more: Any) -> Path:
    path = folder / "lanner.yaml"
    (folder / "rules.yaml").write_text(RULES)
    config = {
        "rules_files": [str(folder / "rules.yaml")],
        "sources": [{"type": "k8saudit", "listen": {"port": free_port()}}],
        "outbox": {"path": str(folder / "state" / "outbox.sqlite")},
        **more,
    }
    path.write_text(json.dumps(config))
    return path


def told(path: Path, *arguments: str, status: int = 0, **env: str) -> list[str]:
    done = lanner("doctor", "-c", path, *arguments, env=environment(**env))
    assert (done.returncode, done.stderr) == (status, ""), done.stdout + done.stderr
    return done.stdout.splitlines()


def failures(lines: list[str]) -> list[str]:
    """Return the findings that failed, each with its advice."""
    return [f"{line[6:]} {more.strip()}" for line, more in pairwise(lines) if line[:4] == "FAIL"]


def test_a_set_up_in_order_has_no_failures(tmp_path: Path) -> None:
    path = configured(tmp_path, webserver={"enabled": True, "listen_port": free_port()})
    lines = told(path)
    assert f"ok    configuration: {path}: nothing is wrong" in lines
    assert "ok    rules: 2 enabled of 2" in lines
    assert any(line.startswith(f"ok    state: {tmp_path}/state: can be written to") for line in lines)
    assert sum(line.startswith(("ok    webserver: 127.0.0.1:", "ok    source k8saudit: ")) for line in lines) == 2
    assert not (tmp_path / "state").exists(), "a look makes nothing"


def test_every_mistake_of_the_configuration_is_told(tmp_path: Path) -> None:
    lines = told(configured(tmp_path, priorty="error", priority="loud"), status=1)
    assert [line.split(": ", 3)[2] for line in failures(lines)] == ["priorty", "priority"]


def test_wrong_rules_are_told_and_the_rest_is_looked_at(tmp_path: Path) -> None:
    path = configured(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES.replace("ct.name", "ct.nam"))
    lines = told(path, status=1)
    (rules,) = failures(lines)
    assert rules.startswith("rules: 1 error in the rules, such as ")
    assert rules.endswith("-> lanner rules check shows each with its place")
    assert any(line.startswith("ok    source k8saudit") for line in lines)
    assert "ok    rules: 2 enabled of 2" not in lines


def test_a_source_without_rules_is_told(tmp_path: Path) -> None:
    path = configured(tmp_path)
    (tmp_path / "rules.yaml").write_text(RULES[: RULES.index("- rule: Secret")])
    assert "warn  rules: none is for k8s_audit, which source k8saudit gives" in told(path)


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        path = configured(tmp_path, sources=[{"type": "k8saudit", "name": "hook", "listen": {"port": port}}])
        (line,) = failures(told(path, status=1))
    assert line.startswith(f"source hook: 127.0.0.1:{port}: Address already in use -> ss -ltnp")


def test_ports_of_the_service_that_runs_are_no_failure(tmp_path: Path) -> None:
    running = Running(tmp_path, webserver={"enabled": True, "listen_port": free_port()})
    try:
        lines = told(tmp_path / "lanner.yaml")
        assert f"ok    service: runs as process {running.process.pid}" in lines
        assert sum(line.endswith("is in use, and the service runs") for line in lines) == 2
        assert any(line.endswith("outbox.sqlite: nothing waits") for line in lines)
    finally:
        running.process.kill()
        running.process.wait()


def test_a_state_directory_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (line,) = failures(told(configured(tmp_path, outbox={"path": "/proc/lanner/outbox.sqlite"}), status=1))
    assert line.startswith("state: /proc: cannot be written to: ")
    assert "outbox.path" in line


def test_dead_letters_and_what_waits_are_warnings(tmp_path: Path) -> None:
    path = configured(tmp_path)
    DeadLetters(tmp_path / "state" / "dead-letters").keep("desk", alert(1), "400")
    lines = told(path)
    at = lines.index("warn  dead letters: 1 alert that destinations refused")
    assert lines[at + 1] == "      -> lanner outbox list says why, lanner outbox retry sends them again"


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    sources = [{"type": "k8saudit-log", "path": "/nowhere/audit.log"}, {"type": "files", "paths": [str(tmp_path)]}]
    lines = told(configured(tmp_path, sources=sources), status=1)
    (line,) = failures(lines)
    assert line.startswith("source k8saudit-log: /nowhere/audit.log is not there")
    assert f"ok    source files: {tmp_path} can be read" in lines


async def test_outputs_that_cannot_be_reached_are_told_and_none_gets_an_alert(tmp_path: Path) -> None:
    authority = certs.Authority()
    pair = authority.issue("server", ip="127.0.0.1")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    (tmp_path / "server.pem").write_bytes(pair.cert + pair.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "server.pem")
    async with receiving() as plain, receiving(ssl_context=context) as secure:
        outputs = [
            {"type": "http", "name": "up", "url": plain.url},
            {"type": "http", "name": "down", "url": f"http://127.0.0.1:{free_port()}"},
            {"type": "http", "name": "known", "url": secure.url, "tls": {"ca_file": str(tmp_path / "ca.pem")}},
            {"type": "http", "name": "strange", "url": secure.url},
            {"type": "file", "filename": "/nowhere/alerts"},
            {"type": "program", "command": ["no-such-program"]},
            {"type": "syslog", "host": "127.0.0.1", "port": free_port(), "protocol": "tcp"},
        ]
        path = await asyncio.to_thread(configured, tmp_path, outputs=outputs)
        lines = await asyncio.to_thread(lambda: told(path, status=1))
        assert not plain.got
        assert not secure.got
    wrong = {line.split(":")[0]: line for line in failures(lines)}
    assert list(wrong) == [f"output {name}" for name in ("down", "strange", "file", "program", "syslog")]
    assert "is the destination up" in wrong["output down"]
    assert "tls.ca_file" in wrong["output strange"]
    assert wrong["output file"].startswith("output file: /nowhere is not there -> make it")
    assert sum("can be reached" in line for line in lines) == 2


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_server() as served:
        served.bucket()
        served.announce(served.queue(), served.put(trail_key("a"), [trail_record(1)]))
        yield served


def test_a_queue_is_looked_at_as_cloudtrail_doctor_does(aws: Aws, tmp_path: Path) -> None:
    sources = [{"type": "cloudtrail", "name": "trail", "queue": "sqs://lanner"}]
    done = lanner("doctor", "-c", configured(tmp_path, sources=sources), env=aws_environment(aws))
    assert done.returncode == 1
    assert "\nok    source trail: receive: allowed\n" in done.stdout
    assert "\nFAIL  source trail: policy: nobody but the queue's own account may send to it\n" in done.stdout


def test_host_events_are_judged_by_what_the_kernel_says(tmp_path: Path) -> None:
    path = configured(tmp_path, sources=[{"type": "syscall"}])
    found = reasons()
    lines = told(path, status=1 if found else 0)
    about = [line for line in lines if " source syscall: " in line]
    assert len(about) == max(1, len(found))
    assert about[0][:4] == ("FAIL" if found else "ok  ")


def test_colours_come_when_asked_for_and_no_color_wins(tmp_path: Path) -> None:
    path = configured(tmp_path)
    assert any("\x1b[32mok" in line for line in told(path, FORCE_COLOR="1"))
    assert not any("\x1b" in line for line in told(path, FORCE_COLOR="1", NO_COLOR="1"))


@pytest.mark.parametrize(("answer", "state"), [(0, "ok"), (1, "ok"), (5, "warning"), (-1, "skipped")])
def test_the_clock_is_told_as_the_kernel_has_it(monkeypatch: pytest.MonkeyPatch, answer: int, state: str) -> None:
    assert doctor.clock().text, "the kernel itself is asked"
    kernel = SimpleNamespace(ntp_adjtime=lambda _buffer: answer)
    monkeypatch.setattr(doctor.ctypes, "CDLL", lambda *_arguments, **_more: kernel)
    assert doctor.clock().state == state
