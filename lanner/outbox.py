"""
The outbox: alerts on disk from before their batch is acknowledged until every output has taken them.

An SQLite file in WAL mode, synced at every commit of alerts. Alerts have ascending numbers; for each output the file
knows the number up to which it has taken them, so every output gets all alerts in order, at least once, over any
restart. This module blocks; ``custody`` calls it in a thread.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from engine.alert import Alert
from engine.priority import Priority
from lanner.errors import OutputError

_VERSION = 1
_MODE = 0o600  # alerts name people and secrets
_SCHEMA = f"""
    CREATE TABLE alerts (number INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
    CREATE TABLE outputs (name TEXT PRIMARY KEY, taken INTEGER NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = {_VERSION};
"""


class OutboxFull(OutputError):
    """There is no room for more alerts."""


class Outbox:
    """
    One outbox file, used by one process.

    Args:
        path: Of the file; its folder is made.
        outputs: Names of the outputs that take alerts; a name it does not know gets all that is held.
        most: Alerts held at most.

    Raises:
        OutputError: The file cannot be used, or another process uses it.
    """

    def __init__(self, path: Path, outputs: Sequence[str], most: int = 1_000_000) -> None:
        self._path = path
        self._most = most
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _locked(path)
            self._db = _opened(path)
            self._register(outputs)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{path}: the outbox cannot be used: {error}; outbox.path names another") from None
        self._held = self._count()

    def add(self, alerts: Iterable[Alert]) -> None:
        """
        Keep alerts; they are safe when this returns.

        Raises:
            OutboxFull: Outputs are too far behind.
            OutputError: The file cannot be written to, such as on a full disk; none is kept.
        """
        bodies = [(encode(alert),) for alert in alerts]
        if self._held + len(bodies) > self._most:
            raise OutboxFull(f"the outbox holds {self._held} alerts that outputs have not taken; no more fit")
        try:
            with self._db:
                self._db.executemany("INSERT INTO alerts (body) VALUES (?)", bodies)
        except sqlite3.Error as error:
            raise OutputError(f"{self._path}: the outbox cannot be written to: {error}") from None
        self._held += len(bodies)

    def next(self, output: str, most: int) -> list[tuple[int, Alert]]:
        """Return the first alerts that an output has not taken, with their numbers."""
        found = self._db.execute(
            "SELECT number, body FROM alerts WHERE number > (SELECT taken FROM outputs WHERE name = ?) "
            "ORDER BY number LIMIT ?",
            (output, most),
        )
        return [(number, decode(body)) for number, body in found]

    def take(self, output: str, number: int) -> None:
        """
        Note that an output has taken the alerts up to a number; those that all have taken are forgotten.

        Not synced: after a power failure an output may get alerts once more.
        """
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._db:
                self._db.execute("UPDATE outputs SET taken = ? WHERE name = ?", (number, output))
                gone = self._db.execute("DELETE FROM alerts WHERE number <= (SELECT min(taken) FROM outputs)")
            self._held -= gone.rowcount
        finally:
            self._db.execute("PRAGMA synchronous = FULL")

    def waiting(self, output: str) -> int:
        """Return how many alerts an output has not taken."""
        row = self._db.execute(
            "SELECT count(*) FROM alerts WHERE number > (SELECT taken FROM outputs WHERE name = ?)", (output,)
        ).fetchone()
        return int(row[0])

    def close(self) -> None:
        """Close the file."""
        self._db.close()
        self._lock.close()

    def _register(self, outputs: Sequence[str]) -> None:
        marks = ",".join("?" * len(outputs))
        with self._db:
            self._db.execute(f"DELETE FROM outputs WHERE name NOT IN ({marks})", outputs)  # noqa: S608 - only marks
            self._db.executemany("INSERT OR IGNORE INTO outputs VALUES (?, 0)", [(name,) for name in outputs])
            self._db.execute("DELETE FROM alerts WHERE number <= (SELECT min(taken) FROM outputs)")

    def _count(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM alerts").fetchone()[0])


def _locked(path: Path) -> IO[bytes]:
    """Hold the lock that keeps other processes from the outbox, as long as the file stays open."""
    lock = open(f"{path}.lock", "wb")  # noqa: SIM115 - held until close
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise OSError("another lanner uses it") from None
    return lock


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))  # SQLite gives its other files the mode of this one
    db = sqlite3.connect(path, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        db.executescript(_SCHEMA)
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"it was written by another version of Lanner (format {version})")
    return db


def encode(alert: Alert) -> str:
    """Return an alert as text from which it can be made again."""
    body = [getattr(alert, name) for name in Alert.__dataclass_fields__]
    try:
        return msgspec.json.encode(body).decode()
    except (UnicodeEncodeError, TypeError, RecursionError):  # such as halves of surrogate pairs
        return json.dumps(body, separators=(",", ":"))


def decode(body: str) -> Alert:
    """Return the alert that ``encode`` made text of."""
    values = dict(zip(Alert.__dataclass_fields__, _values(body), strict=True))
    values |= {"priority": Priority(values["priority"]), "tags": tuple(values["tags"])}
    return Alert(**values)


def _values(body: str) -> list[Any]:
    try:
        found: list[Any] = msgspec.json.decode(body)
    except msgspec.DecodeError:
        found = json.loads(body)
    return found
