"""Killed without warning, again and again, while requests come in."""

import contextlib
import http.client
import itertools
import json
import random
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from tests.lanner.support import audit_event
from tests.lanner.test_service import Running


class Sender(threading.Thread):
    """Sends batches until the connection breaks; keeps the names in those that were answered 200."""

    def __init__(self, port: int, names: "itertools.count[int]") -> None:
        super().__init__()
        self.port = port
        self.names = names
        self.answered: list[str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while True:
            batch = [f"user-{next(self.names)}" for _ in range(20)]
            items = [audit_event(number=int(name[5:])) | {"user": {"username": name}} for name in batch]
            body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": items}
            try:
                connection.request("POST", "/k8s-audit", json.dumps(body), {"Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException):
                return
            if answer.status == 200:
                self.answered += batch


def until_settled(spool: Path) -> None:
    for _ in range(600):
        number, offset = map(int, (spool / "position").read_text().split())
        files = {int(file.stem): file.stat().st_size for file in spool.glob("*.spool")}
        if not any(other > number or (other == number and size > offset) for other, size in files.items()):
            return
        time.sleep(0.1)
    raise AssertionError("the spool is not replayed")


def until_delivered(log: Path, outbox: Path) -> None:
    """Wait until the outputs have taken what is in the outbox, so that the end needs no more than its grace."""
    with contextlib.closing(sqlite3.connect(outbox)) as db:
        for _ in range(600):
            if not db.execute("SELECT count(*) FROM alerts").fetchone()[0]:
                return
            time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.mark.parametrize("ack", ["evaluated", "spooled"])
def test_what_was_answered_200_is_in_the_alerts_after_kills_at_random(tmp_path: Path, ack: str) -> None:
    spooling = {"ack": ack, "spool": {"path": str(tmp_path / "spool")}}
    names, draw, answered = itertools.count(), random.Random(), 0
    known: list[str] = []
    for _ in range(4):
        running = Running(tmp_path, spooling, stdout_output={"enabled": False})
        senders = [Sender(running.port, names) for _ in range(4)]
        for sender in senders:
            sender.start()
        time.sleep(draw.uniform(0.1, 1.0))
        running.end(signal.SIGKILL)
        for sender in senders:
            sender.join()
            known += sender.answered
        answered += sum(bool(sender.answered) for sender in senders)
    last = Running(tmp_path, spooling, stdout_output={"enabled": False})
    if ack == "spooled":
        until_settled(tmp_path / "spool")
    until_delivered(last.log, tmp_path / "outbox.sqlite")
    assert last.end() == 0

    lines = last.alerts.read_bytes().splitlines()
    written = {json.loads(line)["output_fields"]["ka.user.name"] for line in lines if line.endswith(b"}")}
    assert answered > 0
    assert set(known) <= written
