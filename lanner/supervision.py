"""Sources that are kept going: one that fails is started again, later each time, while the others go on."""

import asyncio
import contextlib
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from engine.ruleset import RuleSet
from ingest.base import FollowsRules, Health, Source, SourceError
from lanner.pipeline import Pipeline
from lanner.sources import SourceConfig, SourceStartError

_log = logging.getLogger("lanner.service")

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0

Tell = Callable[[str, str], Awaitable[None]]
"""Takes the name of a source and what is wrong with it, for an alert of the service about itself."""


class Kept:
    """
    A configured source that is started again when it fails.

    Args:
        configured: What is opened.
        restart: Whether a failure is followed by another start; else it is raised.
        tell: Told of failures.

    Attributes:
        source: The one that runs now.
        restarts: How often it was started again.
    """

    def __init__(self, configured: SourceConfig, restart: bool, tell: Tell) -> None:
        self.name = configured.name
        self.source: Source = configured.open()
        self.restarts = 0
        self._configured = configured
        self._restart = restart
        self._tell = tell
        self._before: Counter[str] = Counter()
        self._wrong = ""
        self._ended = False
        self._ruleset: RuleSet | None = None
        self._stopping = asyncio.Event()

    @property
    def counters(self) -> Counter[str]:
        """What was counted by it and by those that ran before it."""
        return self._before + self.source.counters

    async def start(self, ruleset: RuleSet) -> None:
        """Start it. Raises SourceStartError."""
        self._ruleset = ruleset
        try:
            await self._begin()
        except SourceError as error:
            raise SourceStartError(f"source {self.name}: {error}") from None

    async def follow(self, ruleset: RuleSet) -> None:
        """Have it take what other rules want. Raises SourceError; it goes on with what it took before then."""
        self._ruleset = ruleset
        if isinstance(self.source, FollowsRules):
            await self.source.follow(ruleset)

    async def run(self, pipeline: Pipeline) -> None:
        """Consume it until it ends or is stopped; what ended it is raised unless it is to be started again."""
        pause = _FIRST_PAUSE
        while not self._stopping.is_set():
            began = asyncio.get_running_loop().time()
            try:
                if self._wrong:
                    await self._anew()
                await pipeline.consume(self.source)
                self._ended = True
                return
            except (Exception, SourceStartError) as error:
                if not self._restart:
                    raise
                if asyncio.get_running_loop().time() - began > _LONGEST_PAUSE:
                    pause = _FIRST_PAUSE
                await self._note(error, pause)
            await self._wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def stop(self, grace: float) -> None:
        """Stop it, also while it waits for another start."""
        self._stopping.set()
        await self.source.stop(grace)

    def health(self) -> Health:
        """Say whether it works now; one that came to its end does."""
        if self._wrong and not self._ended:
            return Health(False, self._wrong)
        return Health() if self._ended else self.source.health()

    async def _begin(self) -> None:
        if self._ruleset is not None and isinstance(self.source, FollowsRules):
            await self.source.follow(self._ruleset)
        await self.source.start()

    async def _anew(self) -> None:
        self._before = self.counters
        self.source = self._configured.open()
        await self._begin()
        self.restarts += 1
        self._wrong = ""
        _log.info("source %s runs again", self.name)

    async def _note(self, error: Exception, pause: float) -> None:
        """Log a failure, the first in a row with where it happened, and close what was opened."""
        first, self._wrong = not self._wrong, f"{type(error).__name__}: {error}"
        known = isinstance(error, SourceError | SourceStartError)
        text = "source %s failed, and is started again in %.0f s: %s"
        _log.error(text, self.name, pause, error, exc_info=error if first and not known else None)
        with contextlib.suppress(Exception):
            await self.source.stop(0)
        if first:
            await self._tell(self.name, str(error) or type(error).__name__)

    async def _wait(self, pause: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - only spreads restarts
                await self._stopping.wait()
