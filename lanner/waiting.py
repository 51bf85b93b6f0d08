"""What waits in an outbox, looked at without disturbing the service that uses it."""

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.alert import Alert
from lanner.config import NO_OUTBOX, Config
from lanner.errors import OutputError
from lanner.outbox import decode
from lanner.statedir import state_directory

_OUTPUTS = """
    SELECT name, taken, (SELECT coalesce(sum(min(count, number - taken)), 0) FROM alerts WHERE number > taken)
    FROM outputs ORDER BY name
"""
_FIRST = "SELECT number, body FROM alerts WHERE number > ? ORDER BY number LIMIT 1"


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    What one output has not taken.

    Attributes:
        output: Its name.
        count: How many alerts.
        first: The one that is next; None when there is none.
    """

    output: str
    count: int
    first: Alert | None


def outbox_paths(config: Config) -> list[Path]:
    """Return the files that are there: one for each worker; none where the outbox is off."""
    if config.outbox.path == NO_OUTBOX:
        return []
    first = Path(config.outbox.path) if config.outbox.path else state_directory() / "outbox.sqlite"
    others = (first.with_stem(f"{first.stem}-{number}") for number in range(2, config.workers + 1))
    return [path for path in (first, *others) if path.exists()]


def look(path: Path) -> list[Waiting]:
    """Return what waits in an outbox for each output that it knows. Raises OutputError."""
    try:
        with contextlib.closing(_connected(path)) as db:
            return [Waiting(name, count, _first(db, taken)) for name, taken, count in db.execute(_OUTPUTS).fetchall()]
    except (sqlite3.Error, ValueError) as error:
        raise OutputError(f"{path}: the outbox cannot be read: {error}") from None


def _connected(path: Path) -> sqlite3.Connection:
    """Open it for reading; where nothing may be written beside it and nobody does, as a file that does not change."""
    name = path.resolve().as_uri()
    db = sqlite3.connect(f"{name}?mode=ro", uri=True, timeout=5)
    try:
        db.execute("SELECT 1 FROM outputs").fetchone()
    except sqlite3.OperationalError:
        db.close()
        if Path(f"{path}-wal").exists():
            raise
        db = sqlite3.connect(f"{name}?mode=ro&immutable=1", uri=True)
    return db


def _first(db: sqlite3.Connection, taken: int) -> Alert | None:
    found: Sequence[tuple[int, bytes]] = db.execute(_FIRST, (taken,)).fetchall()
    return decode(found[0][1])[-(found[0][0] - taken) :][0] if found else None
