"""
What every output has around it: its choice of alerts, and what becomes of those a destination takes in part.

The alerts of a delivery that failed come again; those of them that were taken are not sent once more. An alert that a
destination refuses for good is kept as a dead letter, so that it does not hold up the ones behind it.
"""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.alert import Alert
from lanner.outputs.base import Output, Reopens, Undelivered
from lanner.outputs.throttle import Throttle

_log = logging.getLogger("lanner.outputs")

_MODE = 0o600  # alerts name people and secrets
_LOOK = 1.0  # seconds between looks at what is due
_CLOSING = 5.0  # seconds for the last follow-ups
_NOT_NAME = re.compile(r"[^A-Za-z0-9._-]+")


class DeadLetters:
    """
    A folder of alerts that destinations refuse, one file of JSON lines for each output.

    Args:
        folder: Made when it is needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, output: str) -> Path:
        """Return the file of an output."""
        return self._folder / f"{_NOT_NAME.sub('_', output)}.jsonl"

    def keep(self, output: str, alert: Alert, why: str) -> Path:
        """Append an alert with the reason; it is safe on the disk when this returns. Raises OSError."""
        path = self.path(output)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        head = json.dumps({"output": output, "refused": why, "at": time.time()})[:-1]
        line = f'{head}, "alert": {alert.json(with_uid=True)}}}\n'
        descriptor = _locked(path)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path


def _locked(path: Path) -> int:
    """Open a file for appending that nobody moves aside until it is closed, as ``lanner outbox`` would."""
    while True:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        os.close(descriptor)


class Delivery:
    """
    An output with its choice of alerts.

    Args:
        output: Gets the alerts.
        wanted: Says which.
        dead: Takes what the output's destination refuses.
        counters: Counts ``alerts_refused:NAME`` and ``alerts_held_back:NAME``.
        throttle: Holds alerts back that are about the same; None tells all.
    """

    def __init__(
        self,
        output: Output,
        wanted: Callable[[Alert], bool],
        dead: DeadLetters,
        counters: Counter[str],
        throttle: Throttle | None = None,
    ) -> None:
        self.name = output.name
        self._output = output
        self._wanted = wanted
        self._dead = dead
        self._counters = counters
        self._throttle = throttle
        self._taken: set[str] = set()
        self._admitted: set[str] = set()
        self._follow_ups: list[Alert] = []
        self._turn = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the output. Raises OutputError."""
        await self._output.start()
        if self._throttle is not None:
            self._timer = asyncio.create_task(self._tell_in_time(self._throttle))

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Hand over the alerts that the output wants and has not taken yet. Raises what the output raises."""
        async with self._turn:
            fresh = [alert for alert in alerts if alert.uid not in self._taken and self._wanted(alert)]
            await self._hand_over(self._unthrottled(fresh))
            self._taken.clear()
            self._admitted.clear()

    def _unthrottled(self, alerts: Sequence[Alert]) -> list[Alert]:
        """Return what is told of now; what is held back counts as taken."""
        if self._throttle is None:
            return list(alerts)
        told = [alert for alert in alerts if alert.uid in self._admitted or self._throttle.admits(alert)]
        self._admitted = {alert.uid for alert in told}
        self._taken |= {alert.uid for alert in alerts} - self._admitted
        self._counters[f"alerts_held_back:{self.name}"] += len(alerts) - len(told)
        return told

    async def _hand_over(self, left: list[Alert]) -> None:
        while left:
            try:
                await self._output.deliver(left)
                break
            except Undelivered as failure:
                self._taken.update(alert.uid for alert in left[: failure.taken])
                left = left[failure.taken :]
                if not failure.refused or not left:
                    raise
                await self._refuse(left.pop(0), failure)

    async def _tell_in_time(self, throttle: Throttle) -> None:
        while True:
            await asyncio.sleep(_LOOK)
            await self._tell_held_back(throttle.due())

    async def _tell_held_back(self, more: Sequence[Alert]) -> None:
        """Tell of what was held back; what is not taken now is tried again the next time."""
        self._follow_ups += more
        if not self._follow_ups:
            return
        try:
            async with self._turn:
                await self._hand_over(list(self._follow_ups))
                self._taken.clear()
            self._follow_ups.clear()
        except Exception as error:
            _log.debug("%s took no follow-ups, tried again: %s", self.name, error)

    def reopen(self) -> None:
        """Have the output open anew what it writes to, where that is possible."""
        if isinstance(self._output, Reopens):
            self._output.reopen()

    async def close(self) -> None:
        """Tell of what is held back still, and close the output."""
        if self._timer is not None and self._throttle is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSING):
                    await self._tell_held_back(self._throttle.due(all_of_them=True))
        await self._output.close()

    async def _refuse(self, alert: Alert, failure: Undelivered) -> None:
        path = await asyncio.to_thread(self._dead.keep, self.name, alert, str(failure))
        self._taken.add(alert.uid)
        self._counters[f"alerts_refused:{self.name}"] += 1
        count = self._counters[f"alerts_refused:{self.name}"]
        if str(count).rstrip("0") == "1":  # a destination that refuses everything is told of at 1, 10, 100 ...
            what = "%s refuses an alert of %r for good: %s; kept in %s, %d so far"
            _log.error(what, self.name, alert.rule, failure, path, count)
