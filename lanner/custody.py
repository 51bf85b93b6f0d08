"""Who answers for alerts: the outbox, which outputs are fed from, or the outputs themselves when there is none."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

from engine.alert import Alert
from lanner.outbox import Outbox
from lanner.outputs.base import Output, OutputClosed
from lanner.worker import Worker

_log = logging.getLogger("lanner.outputs")

_AT_ONCE = 500
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 60.0


class Custody(Protocol):
    """Takes alerts such that their batch may be acknowledged."""

    closed: asyncio.Event
    """Set when an output was closed by its reader, so that going on makes no sense."""

    async def take(self, alerts: Sequence[Alert]) -> None:
        """Return when the alerts are safe; raise when they are not."""

    async def close(self, grace: float) -> int:
        """Deliver what is held for ``grace`` seconds at most, stop, and return how many alerts are left."""


class Direct:
    """Custody without an outbox: alerts are safe when every output has them."""

    def __init__(self, outputs: Sequence[Output], counters: Counter[str]) -> None:
        self.closed = asyncio.Event()
        self._outputs = outputs
        self._counters = counters

    async def take(self, alerts: Sequence[Alert]) -> None:
        """Deliver to every output; raise the first failure after all were tried."""
        results = await asyncio.gather(*(out.deliver(alerts) for out in self._outputs), return_exceptions=True)
        for output, result in zip(self._outputs, results, strict=True):
            if isinstance(result, OutputClosed):
                self.closed.set()
            if result:
                self._counters[f"deliveries_failed:{output.name}"] += 1
            else:
                self._counters[f"alerts_delivered:{output.name}"] += len(alerts)
        for result in results:
            if result:
                raise result

    async def close(self, grace: float) -> int:
        """Do nothing: nothing is held."""
        return 0


class Durable:
    """Custody by an outbox, with one task for each output that feeds it in order and tries again."""

    def __init__(self, outbox: Outbox, outputs: Sequence[Output], counters: Counter[str]) -> None:
        self.closed = asyncio.Event()
        self._outbox = outbox
        self._outputs = outputs
        self._counters = counters
        self._worker = Worker("outbox")
        self._added = {output.name: asyncio.Event() for output in outputs}
        self._ending = asyncio.Event()
        self._feeders = [asyncio.create_task(self._feed(output)) for output in outputs]

    async def take(self, alerts: Sequence[Alert]) -> None:
        """Commit alerts to the outbox."""
        await self._worker.run(lambda: self._outbox.add(alerts))
        for added in self._added.values():
            added.set()

    async def close(self, grace: float) -> int:
        """Let every output take what is held, for ``grace`` seconds at most; the rest stays for the next start."""
        self._ending.set()
        for added in self._added.values():
            added.set()
        await asyncio.wait(self._feeders, timeout=grace)
        for feeder in self._feeders:
            feeder.cancel()
        await asyncio.gather(*self._feeders, return_exceptions=True)
        names = [output.name for output in self._outputs]
        left = await self._worker.run(lambda: max(map(self._outbox.waiting, names)))
        await self._worker.run(self._outbox.close)
        self._worker.end()
        return left

    async def _feed(self, output: Output) -> None:
        pause, going = _FIRST_PAUSE, True
        while going:
            try:
                going = await self._step(output)
                pause = _FIRST_PAUSE
            except OutputClosed:
                self.closed.set()
                return
            except Exception as error:
                self._counters[f"deliveries_failed:{output.name}"] += 1
                _log.warning("%s took no alerts, trying again in %.1f s: %s", output.name, pause, error)
                await self._pause(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _step(self, output: Output) -> bool:
        """Deliver some alerts, or wait for some; False when none will come."""
        added, ending = self._added[output.name], self._ending.is_set()
        added.clear()
        held = await self._worker.run(lambda: self._outbox.next(output.name, _AT_ONCE))
        if held:
            await output.deliver([alert for _, alert in held])
            self._counters[f"alerts_delivered:{output.name}"] += len(held)
            await self._worker.run(lambda: self._outbox.take(output.name, held[-1][0]))
        elif ending:
            return False
        else:
            await added.wait()
        return True

    async def _pause(self, seconds: float) -> None:
        """Wait before another try; shorter when the service ends, so that the grace is used."""
        try:
            async with asyncio.timeout(seconds * random.uniform(0.8, 1.2)):  # noqa: S311 - only spreads retries
                await self._ending.wait()
        except TimeoutError:
            return
        await asyncio.sleep(min(seconds, _FIRST_PAUSE))
