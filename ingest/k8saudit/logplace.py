"""How far a log group was read, in SQLite: the newest event of each stream, and the ids of the last ones delivered."""

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ingest.base import SourceError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log_group (name TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS stream (name TEXT PRIMARY KEY, newest INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS delivered (id INTEGER PRIMARY KEY, time INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS delivered_time ON delivered (time);
"""
_NEWEST = """
INSERT INTO stream VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET newest = max(newest, excluded.newest)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """An event of a log group: its id, its stream, and its time in milliseconds since the epoch."""

    id: str
    stream: str
    time: int


class LogPlace:
    """
    The place in one log group.

    Args:
        path: The file, or "" to remember only while running.
        group: Name of the log group; a file made for another one is refused with SourceError.
    """

    def __init__(self, path: str, group: str) -> None:
        try:
            if path:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._db.execute("INSERT INTO log_group SELECT ? WHERE NOT EXISTS (SELECT * FROM log_group)", (group,))
            (made_for,) = self._db.execute("SELECT name FROM log_group").fetchone()
        except (sqlite3.Error, OSError) as error:
            raise SourceError(f"checkpoint {path}: {error}") from error
        if made_for != group:
            self._db.close()
            raise SourceError(f"checkpoint {path} was made for {made_for}, not for {group}; use another file")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def oldest_newest(self, quiet: int) -> int | None:
        """
        Return the newest event's time of the stream that is furthest behind; None before the first event.

        A stream that is more than ``quiet`` milliseconds behind the first one has ended.
        """
        (first,) = self._db.execute("SELECT max(newest) FROM stream").fetchone()
        if first is None:
            return None
        (found,) = self._db.execute("SELECT min(newest) FROM stream WHERE newest >= ?", (first - quiet,)).fetchone()
        return int(found)

    def new(self, found: Iterable[Seen]) -> set[str]:
        """Return the ids of the events that are not delivered yet."""
        ask = "SELECT 1 FROM delivered WHERE id = ?"
        return {seen.id for seen in found if not self._db.execute(ask, (_number(seen.id),)).fetchone()}

    def deliver(self, found: Iterable[Seen]) -> None:
        """Remember that events are delivered."""
        self._write("INSERT OR REPLACE INTO delivered VALUES (?, ?)", [(_number(seen.id), seen.time) for seen in found])

    def advance(self, newest: Mapping[str, int]) -> None:
        """Remember the newest event of streams that were read to their end."""
        self._write(_NEWEST, list(newest.items()))

    def _write(self, statement: str, rows: list[tuple[Any, int]]) -> None:
        """Write rows, all of them or none."""
        self._db.execute("BEGIN")
        try:
            self._db.executemany(statement, rows)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def forget(self, before: int) -> None:
        """Forget events that are not read again."""
        self._db.execute("DELETE FROM delivered WHERE time < ?", (before,))


def _number(event_id: str) -> int:
    """Return 63 bits that stand for an id, which has 56 digits."""
    return int.from_bytes(blake2b(event_id.encode(), digest_size=8).digest()) >> 1
