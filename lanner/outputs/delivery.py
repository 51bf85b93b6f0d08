"""
What every output has around it: its choice of alerts, and what becomes of those a destination takes in part.

The alerts of a delivery that failed come again; those of them that were taken are not sent once more. An alert that a
destination refuses for good is kept as a dead letter, so that it does not hold up the ones behind it.
"""

import asyncio
import json
import logging
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.alert import Alert
from lanner.outputs.base import Output, Undelivered

_log = logging.getLogger("lanner.outputs")

_MODE = 0o600  # alerts name people and secrets
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
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return path


class Delivery:
    """
    An output with its choice of alerts.

    Args:
        output: Gets the alerts.
        wanted: Says which.
        dead: Takes what the output's destination refuses.
        counters: Counts ``alerts_refused:NAME``.
    """

    def __init__(
        self, output: Output, wanted: Callable[[Alert], bool], dead: DeadLetters, counters: Counter[str]
    ) -> None:
        self.name = output.name
        self._output = output
        self._wanted = wanted
        self._dead = dead
        self._counters = counters
        self._taken: set[str] = set()

    async def start(self) -> None:
        """Open the output. Raises OutputError."""
        await self._output.start()

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Hand over the alerts that the output wants and has not taken yet. Raises what the output raises."""
        left = [alert for alert in alerts if alert.uid not in self._taken and self._wanted(alert)]
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
        self._taken.clear()

    async def close(self) -> None:
        """Close the output."""
        await self._output.close()

    async def _refuse(self, alert: Alert, failure: Undelivered) -> None:
        path = await asyncio.to_thread(self._dead.keep, self.name, alert, str(failure))
        self._taken.add(alert.uid)
        self._counters[f"alerts_refused:{self.name}"] += 1
        _log.error("%s refuses an alert of %r for good: %s; kept in %s", self.name, alert.rule, failure, path)
