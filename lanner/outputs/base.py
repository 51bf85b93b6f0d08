"""What an output is to the rest of the program."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class Reopens(Protocol):
    """An output that holds something open which others may move or replace, such as a file."""

    def reopen(self) -> None:
        """Have what is written to opened anew, as after SIGUSR1."""


class OutputClosed(OutputError):
    """Nobody takes alerts from this output any more, and nobody will."""


class Undelivered(OutputError):
    """
    A destination took the first alerts of a batch, and not the others; they are for another try.

    Attributes:
        taken: How many it took.
        after: Seconds that it asks to wait before the next try, None when it does not say.
        refused: Whether it will never take the alert after those: then only the ones behind that are tried again.
    """

    def __init__(self, why: str, taken: int = 0, after: float | None = None, refused: bool = False) -> None:
        super().__init__(why)
        self.taken = taken
        self.after = after
        self.refused = refused
