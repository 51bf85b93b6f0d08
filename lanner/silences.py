"""
Silences: alerts that nobody wants for a while, by rule and by a condition on the event, each with an end and a reason.

They are kept in a file of the state directory, which a running service reads again when it changes.
"""

import json
import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from engine.condition import BadCondition, check_condition
from engine.diagnostics import SourceText
from engine.evaluate import Match
from engine.event import Event
from engine.fields import FieldCatalog
from engine.generate import predicate
from lanner.errors import UserError

_log = logging.getLogger("lanner.silences")

FILE = "silences.json"
_MODE = 0o640
_LOOK = 2.0  # seconds between looks at the file


@dataclass(frozen=True, slots=True)
class Silence:
    """
    One silence.

    Attributes:
        id: Short name by which it is removed.
        rule: Name of the rules; "*" stands for any text.
        match: Condition on the event; "" for every one.
        until: Its end, seconds since the epoch.
        why: The reason.
        by: Who made it.
        made: When, seconds since the epoch.
    """

    id: str
    rule: str
    match: str
    until: float
    why: str
    by: str
    made: float


class SilenceError(UserError):
    """A silence cannot be made, or its file cannot be used."""


def new(rule: str, match: str, seconds: float, why: str, by: str) -> Silence:
    """Return a silence that begins now."""
    now = time.time()
    return Silence(secrets.token_hex(3), rule, match, now + seconds, why, by, now)


def check(silence: Silence, catalog: FieldCatalog, sources: Sequence[str]) -> None:
    """
    See whether a condition is right for the sources of the rules it is about.

    Raises:
        SilenceError: It is wrong for all of them.
    """
    if not silence.match:
        return
    problems = []
    for source in sources:
        try:
            check_condition(SourceText(silence.match), source, catalog)
        except BadCondition as error:
            found = error.diagnostic
            problems.append(f"{found.message}{f'; {found.hint}' if found.hint else ''}")
        else:
            return
    raise SilenceError(f"--match {silence.match!r}: {'; '.join(dict.fromkeys(problems)) or 'no such rule'}")


def read(path: Path) -> list[Silence]:
    """Return the silences of a file that have not ended; none when there is no file. Raises SilenceError."""
    try:
        rows = json.loads(path.read_text("utf-8"))
        found = [Silence(**row) for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        raise SilenceError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    now = time.time()
    return [silence for silence in found if silence.until > now]


def write(path: Path, silences: Sequence[Silence]) -> None:
    """Put silences into a file, whole or not at all. Raises SilenceError."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh.write_text(json.dumps([asdict(silence) for silence in silences], indent=1), "utf-8")
        fresh.chmod(_MODE)
        fresh.replace(path)
    except OSError as error:
        raise SilenceError(f"{path}: cannot be written: {error.strerror}") from None


_Test = Callable[[Event], bool]


@dataclass(slots=True)
class Silencer:
    """
    Hides matches that a silence is about.

    Attributes:
        path: Of the file.
        catalog: Fields for the conditions.
        counters: Alerts hidden, by the silence's id.
    """

    path: Path
    catalog: FieldCatalog
    counters: Counter[str] = field(default_factory=Counter)
    _silences: list[Silence] = field(default_factory=list)
    _tests: dict[tuple[str, str], _Test | None] = field(default_factory=dict)
    _looked: float = 0.0
    _changed: tuple[int, int] = (0, 0)
    _told: bool = False

    def hides(self, match: Match) -> bool:
        """Say whether a match is hidden; it is counted then."""
        for silence in self._current():
            if fnmatchcase(match.rule.name, silence.rule) and self._holds(silence, match):
                self.counters[silence.id] += 1
                return True
        return False

    def _current(self) -> Iterator[Silence]:
        now = time.time()
        if now - self._looked >= _LOOK:
            self._looked = now
            self._look()
        return (silence for silence in self._silences if silence.until > now)

    def _look(self) -> None:
        try:
            found = os.stat(self.path)
            changed = (found.st_mtime_ns, found.st_ino)
        except OSError:
            changed = (0, 0)
        if changed == self._changed:
            return
        self._changed = changed
        try:
            self._silences = read(self.path)
            self._tests.clear()
            self._told = False
        except SilenceError as error:
            if not self._told:
                _log.error("%s; the silences known stay in force", error)
            self._told = True

    def _holds(self, silence: Silence, match: Match) -> bool:
        if not silence.match:
            return True
        key = (silence.match, match.rule.source)
        if key not in self._tests:
            self._tests[key] = self._compiled(*key)
        test = self._tests[key]
        return test is not None and test(match.event)

    def _compiled(self, condition: str, source: str) -> _Test | None:
        """Return a condition as a function; None where it does not fit the source, for which it then hides nothing."""
        try:
            return predicate(check_condition(SourceText(condition), source, self.catalog))
        except (BadCondition, KeyError):
            return None
