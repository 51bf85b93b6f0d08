"""A circuit breaker for denied access: stops taking messages until a person has restored the permission."""

import time
from collections.abc import Callable


class Breaker:
    """
    Closed: all is well. Open: nothing may be tried. Half-open: one try at a time, whose outcome decides.

    Args:
        failures: Consecutive failures that open it, if they concern at least ``distinct`` different things.
        first: Seconds of the first pause; each one that follows without a success doubles, up to ``longest``.
    """

    def __init__(
        self,
        failures: int = 5,
        distinct: int = 3,
        first: float = 30.0,
        longest: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._failures = failures
        self._distinct = distinct
        self._first = first
        self._longest = longest
        self._clock = clock
        self._recent: list[str] = []
        self._pause = first
        self._until = 0.0
        self.reason = ""

    @property
    def closed(self) -> bool:
        """Whether all is well."""
        return not self.reason

    @property
    def pause(self) -> float:
        """Seconds until something may be tried; 0 when closed or half-open."""
        return 0.0 if self.closed else max(0.0, self._until - self._clock())

    def failure(self, subject: str, reason: str) -> bool:
        """Count a failure about ``subject``; True when this one opens a closed breaker."""
        if not self.closed:
            self._reopen(reason)
            return False
        self._recent = [*self._recent, subject][-self._failures :]
        if len(self._recent) < self._failures or len(set(self._recent)) < self._distinct:
            return False
        return self.trip(reason)

    def trip(self, reason: str) -> bool:
        """Open at once; True when it was closed."""
        if not self.closed:
            self._reopen(reason)
            return False
        self._pause = self._first
        self._until = self._clock() + self._pause
        self.reason = reason
        return True

    def _reopen(self, reason: str) -> None:
        if self.pause:  # what was under way when it opened says nothing new
            return
        self._pause = min(self._pause * 2, self._longest)
        self._until = self._clock() + self._pause
        self.reason = reason

    def success(self) -> bool:
        """Note that access works; True when this closes the breaker."""
        opened = not self.closed
        self._recent = []
        self._pause = self._first
        self.reason = ""
        return opened
