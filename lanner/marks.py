"""How far files were read, in memory and, to outlive the process, in an SQLite file."""

import os
import sqlite3
from dataclasses import astuple, dataclass
from pathlib import Path

from ingest.base import SourceError

_VERSION = 1
_LARGEST = (1 << 63) - 1
_SCHEMA = f"""
    CREATE TABLE marks (
        device INTEGER, inode INTEGER, head TEXT NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL,
        changed_ns INTEGER NOT NULL, path TEXT NOT NULL, PRIMARY KEY (device, inode)
    ) WITHOUT ROWID;
    PRAGMA user_version = {_VERSION};
"""


def key_of(stat: os.stat_result) -> tuple[int, int]:
    """Return what tells a file from others that exist now: device and inode, as numbers that SQLite holds."""
    return stat.st_dev & _LARGEST, stat.st_ino & _LARGEST


@dataclass(frozen=True, slots=True)
class Mark:
    """
    How far a file was read.

    Attributes:
        device: Of the file.
        inode: Of the file; these two are used again once it is gone.
        head: Hash of its first bytes, which tells such a case.
        offset: Bytes of it that are done.
        size: Its bytes when all of them were done; -1 when more are to be read.
        changed_ns: When it was changed last, at that time.
        path: Where it was.
    """

    device: int
    inode: int
    head: str
    offset: int
    size: int
    changed_ns: int
    path: str

    @classmethod
    def of(cls, path: str, stat: os.stat_result, head: str, offset: int, whole: bool) -> "Mark":
        """Return the mark of a file as it was found; ``whole`` when all that it had then is done."""
        size = stat.st_size if whole else -1
        return cls(*key_of(stat), head, offset, size, stat.st_mtime_ns, path)

    def is_of(self, stat: os.stat_result) -> bool:
        """Whether all of a file was done and it has not changed since."""
        return (self.size, self.changed_ns) == (stat.st_size, stat.st_mtime_ns)

    @property
    def key(self) -> tuple[int, int]:
        """What tells it from other files that exist now."""
        return self.device, self.inode


class Marks:
    """
    The marks of files by device and inode.

    Args:
        path: Of the SQLite file; "" keeps none.

    Attributes:
        fresh: Whether there were none at the start.

    Raises:
        SourceError: The file cannot be used.
    """

    def __init__(self, path: str = "") -> None:
        self._path = path
        try:
            self._db = _opened(path)
            rows = self._db.execute("SELECT device, inode, head, offset, size, changed_ns, path FROM marks")
            self._known = {mark.key: mark for mark in (Mark(*row) for row in rows)}
        except (sqlite3.Error, OSError) as error:
            raise SourceError(f"checkpoint {path}: {error}") from None
        self.fresh = not self._known

    def find(self, stat: os.stat_result) -> Mark | None:
        """Return the mark of a file."""
        return self._known.get(key_of(stat))

    def missing(self, keys: set[tuple[int, int]]) -> list[Mark]:
        """Return the marks of files that are not among some."""
        return [mark for key, mark in self._known.items() if key not in keys]

    def set(self, mark: Mark) -> None:
        """Remember a mark. Raises SourceError when that fails."""
        self._known[mark.key] = mark
        self._write("INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?, ?, ?)", astuple(mark))

    def forget(self, mark: Mark) -> None:
        """Forget the mark of a file that is gone. Raises SourceError when that fails."""
        del self._known[mark.key]
        self._write("DELETE FROM marks WHERE device = ? AND inode = ?", mark.key)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise SourceError(f"checkpoint {self._path} cannot be written: {error}") from None


def _opened(path: str) -> sqlite3.Connection:
    if path:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version == 0:
        db.executescript(_SCHEMA)
    elif version != _VERSION:
        raise sqlite3.DatabaseError("it was written by another version of Lanner, or by something else")
    return db
