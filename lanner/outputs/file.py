"""Alerts in a file."""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engine.alert import Alert
from lanner.errors import OutputError
from lanner.outputs.forms import FormName
from lanner.outputs.stdout import write_all
from lanner.worker import Worker

_CLOSING = 1.0  # seconds
_MODE = 0o640  # alerts name people and secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions:
    """
    A file.

    Attributes:
        filename: Path of the file; appended to, and reopened when it was moved away.
        format: Form of an alert: falco-json, text, ecs, ocsf or cef.
    """

    filename: str
    format: FormName = "falco-json"


class FileOutput:
    """
    Appends a line for each alert, safe on the disk when ``deliver`` returns.

    A file that was moved away or removed, as log rotation does, is made anew.

    Args:
        path: Of the file.
        line: Makes the line, with its end.
        name: Of the output; by default it tells the path.
    """

    def __init__(self, path: str, line: Callable[[Alert], str], name: str = "") -> None:
        self.name = name or f"file:{os.path.abspath(path)}"
        self._path = path
        self._line = line
        self._worker = Worker("file")
        self._descriptor = -1
        self._torn = False
        self._reopening: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Open the file. Raises OutputError when it cannot be written to."""
        try:
            await self._worker.run(self._open)
        except OSError as error:
            why = "its folder is not there" if isinstance(error, FileNotFoundError) else error.strerror
            raise OutputError(f"{self._path}: cannot write alerts to this file: {why}") from None

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Append alerts."""
        data = "".join(map(self._line, alerts)).encode()
        await self._worker.run(lambda: self._append(data))

    def reopen(self) -> None:
        """Let go of the file at once, also when no alert comes that would notice that it was moved away."""
        self._reopening = asyncio.ensure_future(self._worker.run(self._again))

    async def close(self) -> None:
        """Close the file, unless a write is stuck."""
        await asyncio.wait([asyncio.create_task(self._worker.run(self._shut))], timeout=_CLOSING)
        self._worker.end()

    def _open(self) -> None:
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
        self._torn = _ends_within_line(self._path)

    def _again(self) -> None:
        self._shut()
        with contextlib.suppress(OSError):  # the next alert tries once more
            self._open()

    def _shut(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _append(self, data: bytes) -> None:
        if self._moved():
            self._shut()
            self._open()
        whole = b"\n" + data if self._torn else data
        self._torn = True
        write_all(self._descriptor, whole)
        self._torn = False
        self._sync()

    def _moved(self) -> bool:
        try:
            there, here = os.stat(self._path), os.fstat(self._descriptor)
        except OSError:
            return True
        return (there.st_dev, there.st_ino) != (here.st_dev, here.st_ino)

    def _sync(self) -> None:
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EROFS):  # pipes and devices have nothing to sync
                raise


def _ends_within_line(path: str) -> bool:
    """Tell whether the last line of a file has no end, as when a process was killed while it wrote."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return file.seek(0, os.SEEK_END) > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
    except OSError:
        return False
