"""What an output is to the rest of the program."""

from collections.abc import Sequence
from typing import Protocol

from engine.alert import Alert
from lanner.errors import OutputError


class Output(Protocol):
    """
    A destination of alerts.

    Attributes:
        name: Unique among the configured outputs and the same after a restart; the outbox knows the output by it.
    """

    name: str

    async def start(self) -> None:
        """Open what is written to. Raises OutputError when that cannot work as configured."""

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """
        Hand over alerts, in order.

        Returns when the destination has all of them. After any exception all of them are delivered again.
        """

    async def close(self) -> None:
        """Close what was opened."""


class OutputClosed(OutputError):
    """Nobody takes alerts from this output any more, and nobody will."""
