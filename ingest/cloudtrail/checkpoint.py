"""What a back-fill has delivered, in SQLite, so that it resumes where it stopped and finds files that come late."""

import sqlite3
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from ingest.base import SourceError
from ingest.cloudtrail.listing import Root, day_folder, key_facts

_SCHEMA = """
CREATE TABLE IF NOT EXISTS location (uri TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS progress (root TEXT PRIMARY KEY, last_key TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS done (
    root TEXT NOT NULL, key TEXT NOT NULL, etag TEXT NOT NULL, result TEXT NOT NULL, PRIMARY KEY (root, key)
) WITHOUT ROWID;
"""

_ADVANCE = """
INSERT INTO progress VALUES (?, ?) ON CONFLICT (root) DO UPDATE SET last_key = max(last_key, excluded.last_key)
"""


@dataclass(slots=True)
class _Open:
    """
    Keys of a root under way.

    Attributes:
        listed: Keys in the order they were listed, from the first that is not done, with whether they are.
        failed: Keys that were begun and not done: what comes after them is not certain.
        pruned: Folder before which nothing is remembered.
    """

    listed: dict[str, bool] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    pruned: str = ""


class Checkpoint:
    """
    Delivered keys of one location.

    All keys up to a root's ``last_key`` are delivered; of those within ``lookback`` of it, and of all later ones, each
    is remembered by itself.

    Args:
        path: The file, or "" to remember only while running.
        location: What is read; a file made for another location is refused with SourceError.
        lookback: How long before its last key a root is listed again.
    """

    def __init__(self, path: str, location: str, lookback: timedelta) -> None:
        self._lookback = lookback
        self._open: dict[Root, _Open] = {}
        try:
            if path:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path or ":memory:", isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            self._claim(path, location)
        except (sqlite3.Error, OSError) as error:
            raise SourceError(f"checkpoint {path}: {error}") from error

    def _claim(self, path: str, location: str) -> None:
        self._db.execute("INSERT INTO location SELECT ? WHERE NOT EXISTS (SELECT * FROM location)", (location,))
        (made_for,) = self._db.execute("SELECT uri FROM location").fetchone()
        if made_for != location:
            self._db.close()
            raise SourceError(f"checkpoint {path} was made for {made_for}, not for {location}; use another file")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def since(self, root: Root) -> datetime | None:
        """Return the day from which a root has to be listed; None for all of it."""
        row = self._db.execute("SELECT last_key FROM progress WHERE root = ?", (root.prefix,)).fetchone()
        facts = key_facts(row[0]) if row else None
        return facts.time - self._lookback if facts else None

    def begin(self, root: Root, key: str, etag: str) -> bool:
        """Note that a key is listed; False when it is delivered already or under way."""
        row = self._db.execute("SELECT etag FROM done WHERE root = ? AND key = ?", (root.prefix, key)).fetchone()
        if row and row[0] == etag:
            return False
        keys = self._open.setdefault(root, _Open())
        if key in keys.listed:
            return False
        keys.listed[key] = False
        return True

    def finish(self, root: Root, key: str, etag: str, result: str) -> None:
        """Remember that a key needs nothing more, with what became of it."""
        self._db.execute("INSERT OR REPLACE INTO done VALUES (?, ?, ?, ?)", (root.prefix, key, etag, result))
        keys = self._open[root]
        keys.listed[key] = True
        keys.failed.discard(key)
        self._advance(root, keys)

    def abandon(self, root: Root, key: str) -> None:
        """Note that a key could not be delivered: a later listing finds it again."""
        keys = self._open[root]
        del keys.listed[key]
        keys.failed.add(key)

    def _advance(self, root: Root, keys: _Open) -> None:
        last = ""
        while keys.listed and keys.listed[first := next(iter(keys.listed))]:
            del keys.listed[first]
            last = max(last, first)
        if last and not any(key < last for key in keys.failed):
            self._db.execute(_ADVANCE, (root.prefix, last))
            self._prune(root, keys)

    def _prune(self, root: Root, keys: _Open) -> None:
        """Forget keys that are no longer listed, because they are older than the lookback."""
        oldest = day_folder(root, self.since(root))
        if oldest > keys.pruned:
            self._db.execute("DELETE FROM done WHERE root = ? AND key < ?", (root.prefix, oldest))
            keys.pruned = oldest
