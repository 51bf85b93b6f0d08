"""Outputs whose reader may leave: the others go on, and the last one to go ends the service."""

import logging
from collections import Counter
from collections.abc import Sequence

from engine.alert import Alert
from lanner.outputs.base import Output, OutputClosed, Reopens

_log = logging.getLogger("lanner.outputs")


class Leaving:
    """
    An output among others; once its reader has left, its alerts are dropped and counted.

    Args:
        output: That is written to.
        left: Names of the outputs that are left, shared among all of them.
        counters: Gets ``alerts_dropped:<output>``.
    """

    def __init__(self, output: Output, left: set[str], counters: Counter[str]) -> None:
        self.name = output.name
        self._output = output
        self._left = left
        self._counters = counters

    async def start(self) -> None:
        """Open it."""
        await self._output.start()

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Hand over alerts, or drop them. Raises OutputClosed when the reader of the last output has left."""
        if self.name in self._left:
            try:
                await self._output.deliver(alerts)
            except OutputClosed as closed:
                self._leave(closed)
            else:
                return
        self._counters[f"alerts_dropped:{self.name}"] += len(alerts)

    def reopen(self) -> None:
        """Have the output open anew what it writes to, where that is possible."""
        if isinstance(self._output, Reopens):
            self._output.reopen()

    async def close(self) -> None:
        """Close it."""
        await self._output.close()

    def _leave(self, closed: OutputClosed) -> None:
        if self._left == {self.name}:
            raise closed
        self._left.discard(self.name)
        _log.error("%s; the service goes on with %s", closed, ", ".join(sorted(self._left)))


def leaving(outputs: Sequence[Output], counters: Counter[str]) -> "list[Leaving]":
    """Return outputs such that each may be left by its reader while another one is not."""
    left = {output.name for output in outputs}
    return [Leaving(output, left, counters) for output in outputs]
