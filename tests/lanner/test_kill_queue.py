"""The service killed again and again while it drains a queue: no alert is lost, and a repeat shows that it is one."""

import json
import random
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.alert import alert_uid
from tests.ingest.cloudtrail.support import BUCKET, Aws, trail_key, trail_record
from tests.lanner.aws import aws_environment, aws_server
from tests.lanner.support import ROOT, command

KILLS = 21
OBJECTS_PER_KILL = 24
OBJECTS_PER_MESSAGE = 4
RECORDS = 6
RULES = """
- rule: User made
  desc: d
  condition: ct.name = CreateUser
  output: made by %ct.id
  priority: WARNING
  source: aws_cloudtrail
"""


@pytest.fixture
def aws() -> Iterator[Aws]:
    with aws_server() as served:
        served.bucket()
        yield served


class Service:
    """``lanner run`` on a queue, started as often as it is killed."""

    def __init__(self, aws: Aws, queue: str, folder: Path) -> None:
        self.aws = aws
        self.queue = queue
        self.alerts = folder / "alerts.jsonl"
        self.log = folder / "log.txt"
        self.config = folder / "lanner.yaml"
        (folder / "rules.yaml").write_text(RULES)
        source = {"type": "cloudtrail", "queue": f"sqs://{queue}", "wait": 0, "visibility_timeout": 2}
        config = {
            "rules_files": [str(folder / "rules.yaml")],
            "json_output": True,
            "alert_uid": True,
            "stdout_output": {"enabled": False},
            "file_output": {"enabled": True, "filename": str(self.alerts)},
            "outbox": {"path": str(folder / "outbox.sqlite")},
            "sources": [{**source, "retry_backoff": [0], "max_messages": 2, "objects": {"concurrency": 4}}],
            "shutdown_grace": 5,
        }
        self.config.write_text(json.dumps(config))

    def start(self) -> "subprocess.Popen[bytes]":
        """Start it and return when it runs."""
        with self.log.open("w") as log:
            process = subprocess.Popen(
                command("run", "-c", self.config), stderr=log, env=aws_environment(self.aws), cwd=ROOT
            )
        for _ in range(3000):
            if "running: cloudtrail" in self.log.read_text():
                return process
            assert process.poll() is None, self.log.read_text()
            time.sleep(0.01)
        process.kill()
        raise AssertionError(f"does not start: {self.log.read_text()}")

    def kill_at(self, alerts: int) -> None:
        """Kill it when it has written some more alerts, or a little later, but within two seconds."""
        goal = self.written() + alerts
        process = self.start()
        for _ in range(400):
            if self.written() >= goal:
                break
            time.sleep(0.005)
        time.sleep(random.uniform(0.0, 0.03))
        assert process.poll() is None, self.log.read_text()
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL

    def written(self) -> int:
        return self.alerts.read_bytes().count(b"\n") if self.alerts.exists() else 0

    def drain(self) -> None:
        """Let it finish what is left in the queue, and end it in order."""
        process = self.start()
        try:
            for _ in range(1200):
                if not self.aws.left(self.queue):
                    break
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, self.log.read_text()
        finally:
            process.kill()

    def found(self) -> list[dict[str, Any]]:
        """Return the alerts of the file; a line whose writing was cut short by a kill is none."""
        found = []
        for line in self.alerts.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found


def feed(aws: Aws, queue: str, turn: int) -> set[str]:
    """Store files and announce them, several by one message; return the ids of the events that raise alerts."""
    raising, keys = set(), []
    for file in range(turn * OBJECTS_PER_KILL, (turn + 1) * OBJECTS_PER_KILL):
        names = ["CreateUser" if n % 2 else "ListUsers" for n in range(RECORDS)]
        records = [trail_record(file * RECORDS + n, eventName=name) for n, name in enumerate(names)]
        raising |= {record["eventID"] for record in records if record["eventName"] == "CreateUser"}
        keys.append(aws.put(trail_key(f"{file:016d}"), records))
    for at in range(0, len(keys), OBJECTS_PER_MESSAGE):
        aws.announce(queue, *keys[at : at + OBJECTS_PER_MESSAGE], bucket=BUCKET)
    return raising


def test_no_alert_is_lost_however_often_the_service_is_killed(aws: Aws, tmp_path: Path) -> None:
    queue = aws.queue()
    service = Service(aws, queue, tmp_path)
    raising: set[str] = set()
    for turn in range(KILLS):
        raising |= feed(aws, queue, turn)
        service.kill_at(random.randrange(OBJECTS_PER_KILL * RECORDS // 2))
    service.drain()

    found = service.found()
    uids = defaultdict(set)
    for alert in found:
        uids[alert["output"].rpartition(" ")[2]].add(alert["lanner"]["uid"])
    assert aws.left(queue) == 0
    assert len(raising) == KILLS * OBJECTS_PER_KILL * RECORDS // 2
    assert raising - set(uids) == set()
    assert uids == {event: {alert_uid("User made", "aws_cloudtrail", event)} for event in raising}
    assert len(found) > len(raising), "no kill fell into the work"
