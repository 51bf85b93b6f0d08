"""Alerts on standard output."""

import os
import sys
from collections.abc import Callable, Sequence

from engine.alert import Alert
from lanner.outputs.base import OutputClosed
from lanner.worker import Worker


class StdoutOutput:
    """
    Writes a line for each alert.

    Args:
        line: Makes the line, with its end.
    """

    name = "stdout"

    def __init__(self, line: Callable[[Alert], str]) -> None:
        self._line = line
        self._worker = Worker("stdout")

    async def start(self) -> None:
        """Write what is still in the buffer, so that alerts come after it."""
        sys.stdout.flush()

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Write alerts; a reader that does not read holds up only this output."""
        data = "".join(map(self._line, alerts)).encode()
        try:
            await self._worker.run(lambda: write_all(sys.stdout.fileno(), data))
        except BrokenPipeError:
            raise OutputClosed("standard output was closed by its reader") from None

    async def close(self) -> None:
        """End the thread."""
        self._worker.end()


def write_all(descriptor: int, data: bytes) -> None:
    """
    Write all of some bytes.

    Raises:
        OSError: Writing failed; a part may have been written.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
