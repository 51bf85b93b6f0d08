"""The program's own log: lines on standard error."""

import json
import logging
import sys
from typing import Any, Literal

from engine.render import printable
from engine.times import utc_json

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

LogForm = Literal["text", "json"]

_FORM = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Keeps a message on its line: object keys and records are strangers' text, which must not forge lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """Return the line with its control characters written as escapes."""
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name that logging calls
        """Return the traceback, each of its lines likewise."""
        return "\n".join(map(printable, super().formatException(ei).split("\n")))


class JsonFormatter(logging.Formatter):
    """Makes a line of JSON: time in UTC, level, logger, message, and the traceback of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        told = {
            "time": utc_json(int(record.created * 1e9)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def set_up() -> None:
    """Send log lines to standard error: ours from level info on, those of libraries from warning on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(_FORM))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("lanner").setLevel(logging.INFO)


def set_level(level: Level) -> None:
    """Leave out our lines that are less severe."""
    logging.getLogger("lanner").setLevel(LEVELS[level])


def set_form(form: LogForm) -> None:
    """Write lines of text, or a JSON object on each line."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler.formatter, LineFormatter | JsonFormatter):
            handler.setFormatter(JsonFormatter() if form == "json" else LineFormatter(_FORM))
