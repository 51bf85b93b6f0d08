"""A progress bar on standard error, where that is a terminal."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn


class Bar(Protocol):
    """Shows how much of some bytes is read."""

    def advance(self, size: int) -> None:
        """Note that bytes were read."""

    def aside(self) -> AbstractContextManager[None]:
        """Take the bar away while something else is written to the terminal."""


class BucketBar(Bar, Protocol):
    """Shows how much of a bucket is read."""

    shown: bool
    """Whether anybody sees it."""

    def update(self, objects: int, size: int, events: int, total: tuple[int, int] | None) -> None:
        """Note what was read so far, and of how many objects and bytes if that is known."""

    def note(self, text: str) -> None:
        """Write a line to standard error."""


class _NoBar:
    shown = False

    def advance(self, size: int) -> None:
        pass

    def update(self, objects: int, size: int, events: int, total: tuple[int, int] | None) -> None:
        pass

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def aside(self) -> AbstractContextManager[None]:
        return nullcontext()


class _RichBar:
    def __init__(self, progress: "Progress", total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task("scan", total=total, what="")

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


class _RichBucketBar(_RichBar):
    shown = True

    def __init__(self, progress: "Progress") -> None:
        super().__init__(progress, None)
        self._began = time.monotonic()
        progress.update(self._task, what="looking at the bucket")

    def update(self, objects: int, size: int, events: int, total: tuple[int, int] | None) -> None:
        of = f" of {total[0]:,}" if total else ""
        speed = events / max(time.monotonic() - self._began, 0.001)
        what = f"{objects:,}{of} objects, {speed:,.0f} events/s"
        whole = max(size, total[1]) if total else None
        self._progress.update(self._task, completed=size, total=whole, what=what)

    def note(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def bucket_bar() -> Iterator[BucketBar]:
    """Show a bar for a bucket, of which it is not known yet how much it holds, until the context ends."""
    if not sys.stderr.isatty():
        yield _NoBar()
        return
    from rich.progress import TextColumn

    with _progress(TextColumn("{task.fields[what]}")) as progress:
        yield _RichBucketBar(progress)


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
    with _progress() as progress:
        yield _RichBar(progress, total or None)


def _progress(*more: "ProgressColumn") -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

    columns = (BarColumn(None), *more, DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(file=sys.stderr)
    return Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False)
