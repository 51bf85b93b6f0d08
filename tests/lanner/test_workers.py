"""Several processes behind one port."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lanner.support import audit_event, lanner
from tests.lanner.test_service import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    started = Running(tmp_path, workers=2, stdout_output={"enabled": False})
    yield started
    for pid in children(started.process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    started.process.kill()
    started.process.wait()


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # ended meanwhile
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(stat.parent.name))
    return sorted(found)


def until(fact: Callable[[], bool]) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError):
            if fact():
                return
        time.sleep(0.05)
    raise AssertionError("did not come true")


def test_both_workers_get_requests_and_a_signal_ends_both_in_order(running: Running) -> None:
    until(lambda: running.log.read_text().count("running: k8saudit") == 2)
    for number in range(60):
        assert running.post(audit_event(number=number)) == 200
    assert running.end() == 0
    assert len(running.found()) == 60
    told = running.log.read_text()
    seen = [int(line.split()[0]) for line in told.splitlines() if line.endswith("  k8s_audit")]
    assert len(seen) == 2
    assert sum(seen) == 60
    assert min(seen) > 0
    assert sorted(path.name for path in running.alerts.parent.glob("outbox*.sqlite")) == [
        "outbox-2.sqlite",
        "outbox.sqlite",
    ]


def test_a_killed_worker_comes_back_and_the_other_one_goes_on(running: Running) -> None:
    until(lambda: running.log.read_text().count("running: k8saudit") == 2)
    first = children(running.process.pid)
    assert len(first) == 2
    os.kill(first[0], signal.SIGKILL)
    until(lambda: "ended by SIGKILL; starting it again" in running.log.read_text())
    until(lambda: running.log.read_text().count("running: k8saudit") == 3)
    now = children(running.process.pid)
    assert len(now) == 2
    assert first[1] in now
    assert [running.post(audit_event(number=number)) for number in range(20)] == [200] * 20
    assert running.end() == 0
    assert len(running.found()) == 20


def test_workers_end_when_the_first_process_is_killed(running: Running) -> None:
    until(lambda: running.log.read_text().count("running: k8saudit") == 2)
    running.process.kill()
    running.process.wait()
    until(lambda: running.log.read_text().count("alerts: none") + running.log.read_text().count("stopping: ") >= 2)


def test_a_source_that_reads_alone_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    log.touch()
    done = lanner("run", "-o", "sources[].type=k8saudit-log", "-o", f"sources[0].path={log}", "-o", "workers=2")
    assert done.returncode == 2, done.stderr
    assert "reads alone" in done.stderr


def test_an_output_that_cannot_be_opened_ends_all_workers(tmp_path: Path) -> None:
    done = lanner(
        *("run", "-o", "sources[].type=k8saudit", "-o", "workers=2", "-o", f"outbox.path={tmp_path}/o.sqlite"),
        *("-o", "file_output.enabled=true", "-o", f"file_output.filename={tmp_path}/none/x"),
    )
    assert done.returncode == 5, done.stderr
    assert "Traceback" not in done.stderr
