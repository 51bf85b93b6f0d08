"""
The outbox: alerts on disk from before their batch is acknowledged until every output has taken them.

An SQLite file in WAL mode, synced at every commit of alerts. Alerts have ascending numbers; for each output the file
knows the number up to which it has taken them, so every output gets all alerts in order, at least once, over any
restart. A row holds the alerts of one commit, so that a commit is one statement, and a statement one wait for the disk
without the interpreter's lock. This module blocks; ``custody`` calls it in a thread.
"""

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

import msgspec

from engine.alert import Alert
from engine.priority import Priority
from lanner.errors import OutputError

_log = logging.getLogger("lanner.outputs")

_VERSION = 2
_MODE = 0o600  # alerts name people and secrets
_PER_ROW = 500
_ALERTS = "CREATE TABLE alerts (number INTEGER PRIMARY KEY AUTOINCREMENT, count INTEGER NOT NULL, body BLOB NOT NULL);"
_SCHEMA = f"""
    {_ALERTS}
    CREATE TABLE outputs (name TEXT PRIMARY KEY, taken INTEGER NOT NULL) WITHOUT ROWID;
    PRAGMA user_version = {_VERSION};
"""
_FROM_VERSION_1 = f"""
    BEGIN;
    ALTER TABLE alerts RENAME TO old;
    {_ALERTS}
    INSERT INTO alerts SELECT number, 1, CAST('[' || body || ']' AS BLOB) FROM old;
    DELETE FROM sqlite_sequence WHERE name = 'alerts';
    UPDATE sqlite_sequence SET name = 'alerts' WHERE name = 'old';
    DROP TABLE old;
    PRAGMA user_version = {_VERSION};
    COMMIT;
"""  # noqa: S608 - nothing comes from outside
_FORGET = "DELETE FROM alerts WHERE number <= coalesce((SELECT min(taken) FROM outputs), number)"
_WAITING = "SELECT coalesce(sum(min(count, number - ?1)), 0) FROM alerts WHERE number > ?1"

T = TypeVar("T")
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Alert])


class OutboxFull(OutputError):
    """There is no room for more alerts."""


class Row(NamedTuple):
    """Alerts in order, the last of which has this number."""

    number: int
    alerts: Sequence[Alert]


class Outbox:
    """
    One outbox file, used by one process.

    A file that turns out to be damaged is set aside, and what can be read of it goes on in a new one.

    Args:
        path: Of the file; its folder is made.
        outputs: Names of the outputs that take alerts; a name it does not know gets all that is held.
        most: Alerts held at most.

    Attributes:
        path: Of the file.
        last: Number of the last alert that was added.

    Raises:
        OutputError: The file cannot be used, or another process uses it.
    """

    def __init__(self, path: Path, outputs: Sequence[str], most: int = 1_000_000) -> None:
        self.path = path
        self.last = 0
        self._taken = dict.fromkeys(outputs, 0)
        self._most = most
        self._ready = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = _locked(path)
            self._db = _connected(path)
            self._sound(self._start)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{path}: the outbox cannot be used: {error}; outbox.path names another") from None

    def add(self, alerts: Sequence[Alert]) -> int:
        """
        Keep alerts; they are safe when this returns the number of the last.

        Raises:
            OutboxFull: Outputs are too far behind.
            OutputError: The file cannot be written to, such as on a full disk; none is kept.
        """
        if self._held + len(alerts) > self._most:
            raise OutboxFull(f"the outbox holds {self._held} alerts that outputs have not taken; no more fit")
        parts = [alerts[at : at + _PER_ROW] for at in range(0, len(alerts), _PER_ROW)]
        bodies = [(len(part), encode(part)) for part in parts]
        try:
            self._sound(lambda: self._roomy(lambda: self._insert(bodies)))
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{self.path}: the outbox cannot be written to: {error}") from None
        self.last += len(alerts)
        self._held += len(alerts)
        return self.last

    def after(self, number: int, most: int) -> list[Row]:
        """
        Return the first alerts with a higher number than this, about as many as asked for.

        Raises:
            OutputError: The file cannot be read.
        """
        try:
            return self._sound(lambda: list(self._rows(number, most)))
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{self.path}: the outbox cannot be read: {error}") from None

    def take(self, taken: Mapping[str, int]) -> None:
        """
        Note up to which number outputs have taken alerts; those that all have taken are forgotten.

        Not synced: after a power failure an output may get alerts once more.

        Raises:
            OutputError: The file cannot be written to.
        """
        self._taken |= taken
        try:
            self._sound(lambda: self._roomy(self._note))
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{self.path}: the outbox cannot be written to: {error}") from None

    def taken(self, output: str) -> int:
        """Return the number up to which an output has taken alerts."""
        return self._taken[output]

    def waiting(self, output: str) -> int:
        """Return how many alerts an output has not taken."""
        return self._value(_WAITING, self.taken(output))

    def close(self) -> None:
        """Close the file."""
        self._db.close()
        self._lock.close()

    def _start(self) -> None:
        _prepare(self._db)
        with _transaction(self._db):
            marks = ",".join("?" * len(self._taken))
            names = list(self._taken)
            self._db.execute(f"DELETE FROM outputs WHERE name NOT IN ({marks})", names)  # noqa: S608 - only marks
            self._db.executemany("INSERT OR IGNORE INTO outputs VALUES (?, ?)", list(self._taken.items()))
            self._db.execute(_FORGET)
        self._taken = dict(self._db.execute("SELECT name, taken FROM outputs"))
        seen = self._value("SELECT coalesce(max(seq), 0) FROM sqlite_sequence")
        self.last = max(self.last, seen, *self._taken.values())
        self._count()
        self._ready = True

    def _count(self) -> None:
        self._held = self._value(_WAITING, min(self._taken.values(), default=self.last))

    def _value(self, statement: str, *parameters: object) -> int:
        return int(self._db.execute(statement, parameters).fetchone()[0])

    def _insert(self, bodies: Sequence[tuple[int, bytes]]) -> None:
        number, rows = self.last, []
        for count, body in bodies:
            number += count
            rows.append((number, count, body))
        if len(rows) == 1:
            self._db.execute("INSERT INTO alerts VALUES (?, ?, ?)", rows[0])
            return
        with _transaction(self._db):
            self._db.executemany("INSERT INTO alerts VALUES (?, ?, ?)", rows)

    def _rows(self, number: int, most: int) -> Iterator[Row]:
        found = self._db.execute("SELECT number, body FROM alerts WHERE number > ? ORDER BY number", (number,))
        with contextlib.closing(found):
            for last, body in found:
                alerts = decode(body)[-(last - number) :]
                yield Row(last, alerts)
                most -= len(alerts)
                if most <= 0:
                    return

    def _note(self) -> None:
        self._db.execute("PRAGMA synchronous = NORMAL")
        try:
            with _transaction(self._db):
                numbers = [(number, name) for name, number in self._taken.items()]
                self._db.executemany("UPDATE outputs SET taken = ? WHERE name = ?", numbers)
                self._db.execute(_FORGET)
        finally:
            self._db.execute("PRAGMA synchronous = FULL")
        self._count()

    def _roomy(self, act: Callable[[], T]) -> T:
        """Write; where the disk is full, make what room there can be, and try once more."""
        if not self._ready:
            self._start()
        try:
            return act()
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_FULL:
                raise
            if all(number >= self.last for number in self._taken.values()):
                self._empty()
            else:
                self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
            return act()

    def _empty(self) -> None:
        """Begin a new file, since no output waits for anything in this one, and a full disk lets nothing be deleted."""
        self._ready = False
        self._db.close()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        self._db = _connected(self.path)
        self._start()

    def _sound(self, act: Callable[[], T]) -> T:
        """Use the file; when it is damaged, a new one in its place."""
        try:
            return act()
        except sqlite3.DatabaseError as error:
            if _code(error) != sqlite3.SQLITE_CORRUPT:
                raise
            self._replace(error)
            return act()

    def _replace(self, error: sqlite3.Error) -> None:
        """Set the file aside and begin a new one with what can still be read of it."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        aside = _set_aside(self.path)
        self._db = _connected(self.path)
        _prepare(self._db)
        with contextlib.closing(sqlite3.connect(aside)) as old, _transaction(self._db):
            self._db.executemany("INSERT INTO outputs VALUES (?, ?)", _marks(old))
            self._db.executemany("INSERT INTO alerts VALUES (?, ?, ?)", _readable(old))
        self._start()
        text = "%s is damaged (%s) and kept as %s; %d alerts of it go on, any others that it held are only there"
        _log.error(text, self.path, error, aside, self._held)


def _code(error: sqlite3.Error) -> int:
    """Return the error's primary code; 0 when SQLite did not raise it."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _locked(path: Path) -> IO[bytes]:
    """Hold the lock that keeps other processes from the outbox, as long as the file stays open."""
    lock = open(f"{path}.lock", "wb")  # noqa: SIM115 - held until close
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise OSError("another lanner uses it") from None
    return lock


def _connected(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))  # SQLite gives its other files the mode of this one
    return sqlite3.connect(path, check_same_thread=False, isolation_level=None)


def _prepare(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        db.executescript(_SCHEMA)
    elif version == 1:
        db.executescript(_FROM_VERSION_1)
    elif version != _VERSION:
        raise sqlite3.DatabaseError(f"it was written by another version of Lanner (format {version})")


@contextlib.contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _set_aside(path: Path) -> Path:
    """Give a file and its log names that are free; return the file's."""
    number = 1
    while (aside := Path(f"{path}.damaged-{number}")).exists():
        number += 1
    path.rename(aside)
    for suffix in ("-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{path}{suffix}", f"{aside}{suffix}")
    return aside


def _marks(db: sqlite3.Connection) -> list[tuple[str, int]]:
    """Return how far the outputs were; nothing when that cannot be read, so that they get everything once more."""
    try:
        return db.execute("SELECT name, taken FROM outputs").fetchall()
    except sqlite3.Error:
        return []


def _readable(db: sqlite3.Connection) -> Iterator[tuple[int, int, bytes]]:
    """Yield the rows of a damaged file that are sound."""
    numbers: list[int] = []
    for statement in ("SELECT number FROM alerts", "SELECT number FROM alerts ORDER BY number DESC"):
        with contextlib.suppress(sqlite3.Error):
            for (number,) in db.execute(statement):
                numbers = [min([number, *numbers]), max([number, *numbers])]
    for number in range(numbers[0], numbers[1] + 1) if numbers else ():
        with contextlib.suppress(sqlite3.Error, ValueError):
            row = db.execute("SELECT number, count, body FROM alerts WHERE number = ?", (number,)).fetchone()
            if row and len(decode(row[2])) == row[1]:
                yield row


def encode(alerts: Sequence[Alert]) -> bytes:
    """Return alerts as text from which they can be made again."""
    try:
        return _encoder.encode(alerts)
    except (UnicodeEncodeError, OverflowError, TypeError, RecursionError):  # such as halves of surrogate pairs
        bodies = [[getattr(alert, name) for name in Alert.__struct_fields__] for alert in alerts]
        return json.dumps(bodies, separators=(",", ":")).encode()


def decode(body: bytes) -> list[Alert]:
    """
    Return the alerts that ``encode`` made text of.

    Raises:
        ValueError: It is no such text.
    """
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return [_alert(values) for values in json.loads(body)]


def _alert(values: list[Any]) -> Alert:
    found = dict(zip(Alert.__struct_fields__, values, strict=True))
    found |= {"priority": Priority(found["priority"]), "tags": tuple(found["tags"])}
    return Alert(**found)
