"""A file that names the process of a service, so that others can send it signals; locked as long as that lives."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from lanner.config import NO_OUTBOX, Config
from lanner.errors import UserError
from lanner.statedir import state_directory

_log = logging.getLogger("lanner.service")

_NAME = "lanner.pid"
_MODE = 0o644


def beside_outbox(config: Config) -> Path | None:
    """Return the file of a service that was told of none; None where it has no outbox."""
    if config.outbox.path == NO_OUTBOX:
        return None
    return (Path(config.outbox.path).parent if config.outbox.path else state_directory()) / _NAME


@contextlib.contextmanager
def written(path: Path | None, must: bool) -> Iterator[None]:
    """
    Hold the file with our number in it, and remove it at the end; nothing for None.

    Args:
        path: Of the file.
        must: Whether it is an error when it cannot be written; else the service goes without.

    Raises:
        UserError: It cannot be written, or a process that lives has it.
    """
    descriptor = -1
    try:
        if path is not None:
            descriptor = _locked(path)
    except OSError as error:
        why = "the process in it lives" if isinstance(error, BlockingIOError) else error.strerror
        if must:
            raise UserError(f"{path}: cannot be the file for the process number: {why}") from None
        _log.debug("%s: no file for the process number: %s", path, why)
    try:
        yield
    finally:
        if descriptor >= 0 and path is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _locked(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def running(path: Path) -> int | None:
    """Return the number in a file whose process lives; None when there is no such file or process. Raises UserError."""
    try:
        with path.open("rb") as file:
            text = file.read(32)
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(text)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as a file with a process number: {error}") from None
    return None
