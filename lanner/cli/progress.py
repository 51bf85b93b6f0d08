"""A progress bar on standard error, where that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar(Protocol):
    """Shows how much of some bytes is read."""

    def advance(self, size: int) -> None:
        """Note that bytes were read."""

    def aside(self) -> AbstractContextManager[None]:
        """Take the bar away while something else is written to the terminal."""


class _NoBar:
    def advance(self, size: int) -> None:
        pass

    def aside(self) -> AbstractContextManager[None]:
        return nullcontext()


class _RichBar:
    def __init__(self, progress: "Progress", total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("scan", total=total)

    def advance(self, size: int) -> None:
        self._progress.advance(self._task, size)

    @contextmanager
    def aside(self) -> Iterator[None]:
        if not sys.stdout.isatty():
            yield
            return
        self._progress.stop()
        try:
            yield
            sys.stdout.flush()
        finally:
            self._progress.start()


@contextmanager
def bar(total: int) -> Iterator[Bar]:
    """
    Show a bar until the context ends.

    Args:
        total: Bytes to read; 0 when not known.
    """
    if not sys.stderr.isatty():
        yield _NoBar()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(None), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as progress:
        yield _RichBar(progress, total or None)
