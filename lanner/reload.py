"""New rules into a running service: loaded and compiled beside the old ones, and taken only when they are clean."""

import asyncio
import hashlib
import logging
import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.evaluate import Engine
from engine.priority import Priority
from engine.render import render_text
from engine.ruleset import RuleSet
from ingest.base import SourceError
from lanner import rulefiles
from lanner.config import Config
from lanner.custody import Custody
from lanner.detect import Detector
from lanner.errors import RulesError, UserError
from lanner.internal import internal_alert
from lanner.supervision import Kept

_log = logging.getLogger("lanner.reload")

_LOOK = 2.0  # seconds between looks at the files
FAILURE = "hot restart failure"


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    What a service runs on.

    Attributes:
        config: The configuration.
        ruleset: The rules.
        config_files: Names of the files of the configuration.
    """

    config: Config
    ruleset: RuleSet
    config_files: tuple[str, ...] = ()

    def watched(self) -> list[str]:
        """Return files and folders whose change means other rules or another configuration."""
        return [
            *self.config_files,
            *(path for path in self.config.rules_files if not path.startswith(rulefiles.BUNDLED)),
        ]


Load = Callable[[], Loaded]
"""Loads configuration and rules anew. Raises UserError."""


class Reloader:
    """
    Changes the rules of a running service.

    Args:
        loaded: What it runs on now.
        load: Loads anew.
        detector: Gets the new engine, between two batches.
        sources: Are told of the new rules.
        custody: Takes the alert about a failure.

    Attributes:
        loaded: What it runs on now.
        reloads, failures: How often rules were changed, and could not be.
        changed_ns: When they were changed the last time, nanoseconds since the epoch.
    """

    def __init__(
        self, loaded: Loaded, load: Load, detector: Detector, sources: Sequence[Kept], custody: Custody
    ) -> None:
        self.loaded = loaded
        self.reloads = self.failures = 0
        self.changed_ns = time.time_ns()
        self._load = load
        self._detector = detector
        self._sources = sources
        self._custody = custody
        self._turn = asyncio.Lock()

    async def reload(self) -> bool:
        """Load anew and take it; keep the old and tell of it when something is wrong. Returns whether it was taken."""
        async with self._turn:
            try:
                fresh, engine = await asyncio.to_thread(self._prepared)
                for source in self._sources:
                    await source.follow(fresh.ruleset)
            except (UserError, SourceError) as error:
                await self._refuse(error)
                return False
            self._take(fresh, engine)
            return True

    def _prepared(self) -> tuple[Loaded, Engine]:
        fresh = self._load()
        return fresh, Engine(fresh.ruleset, fresh.config.rule_matching)

    def _take(self, fresh: Loaded, engine: Engine) -> None:
        before, self.loaded = self.loaded, fresh
        self._detector.engine = engine
        self.reloads += 1
        self.changed_ns = time.time_ns()
        _log.info("%d rules are in force, %d before", len(fresh.ruleset.enabled), len(before.ruleset.enabled))
        if others := _need_restart(before.config, fresh.config):
            _log.warning("changes of %s take effect when the service is started again", ", ".join(others))

    async def _refuse(self, error: Exception) -> None:
        self.failures += 1
        text = _diagnostics(error)
        _log.error("the old rules stay in force: %s", text)
        alert = internal_alert(FAILURE, Priority.CRITICAL, f"The old rules stay in force: {text}")
        try:
            await self._custody.take([alert])
        except Exception as failure:
            _log.error("the alert about it could not be kept: %s", failure)

    async def watch(self) -> None:
        """Reload when files have changed and then stayed the same for a moment."""
        known = await asyncio.to_thread(fingerprint, self.loaded.watched())
        while True:
            await asyncio.sleep(_LOOK)
            now = await asyncio.to_thread(fingerprint, self.loaded.watched())
            if now == known:
                continue
            await asyncio.sleep(_LOOK / 4)
            if await asyncio.to_thread(fingerprint, self.loaded.watched()) == now:
                _log.info("files of the configuration or of the rules have changed")
                await self.reload()
                known = now


_OF_RULES = frozenset(
    (
        "config_files",
        "rules_files",
        "rules",
        "priority",
        "append_output",
        "rule_matching",
        "static_fields",
        "load_plugins",
        "log_format",
        "log_level",
    )
)


def _need_restart(before: Config, after: Config) -> list[str]:
    """Return the keys that have changed and are read only when the service starts."""
    names = (name for name in Config.__dataclass_fields__ if name not in _OF_RULES | {"plugins"})
    return [name for name in names if getattr(before, name) != getattr(after, name)]


def _diagnostics(error: Exception) -> str:
    if isinstance(error, RulesError):
        return render_text(error.report.errors, error.texts)
    return str(error)


def fingerprint(paths: Sequence[str]) -> str:
    """Return a text that changes when a file, or what a folder holds, is written, replaced, added or removed."""
    digest = hashlib.sha256()
    for path in paths:
        for line in _facts(path):
            digest.update(line.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _facts(path: str) -> Iterator[str]:
    try:
        found = os.stat(path)
        yield f"{path}\0{found.st_ino}\0{found.st_size}\0{found.st_mtime_ns}\n"
        if stat.S_ISDIR(found.st_mode):
            for inner in sorted(Path(path).iterdir()):
                yield from _facts(str(inner)) if not inner.is_dir() else ()
    except OSError:
        yield f"{path}\0gone\n"
