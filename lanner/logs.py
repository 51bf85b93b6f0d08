"""The program's own log: lines on standard error."""

import logging
import sys
from typing import Any, Literal

from engine.render import printable

LEVELS = {
    "emergency": logging.CRITICAL,
    "alert": logging.CRITICAL,
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "notice": logging.INFO,
    "info": logging.INFO,
    "informational": logging.INFO,
    "debug": logging.DEBUG,
}
"""Levels of log lines by Falco's names, as Python's."""

Level = Literal["emergency", "alert", "critical", "error", "warning", "notice", "info", "informational", "debug"]

_FORM = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Keeps a message on its line: object keys and records are strangers' text, which must not forge lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """Return the line with its control characters written as escapes."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name that logging calls
        """Return the traceback, each of its lines likewise."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


def set_up() -> None:
    """Send log lines to standard error: ours from level info on, those of libraries from warning on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(_FORM))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("lanner").setLevel(logging.INFO)


def set_level(level: Level) -> None:
    """Leave out our lines that are less severe."""
    logging.getLogger("lanner").setLevel(LEVELS[level])
