"""
Colours and whether to use them.

``NO_COLOR`` (https://no-color.org) wins over everything, ``FORCE_COLOR`` over the look at the stream; otherwise a
stream is coloured when it is a terminal that can do it.
"""

import os
from typing import IO

from engine.priority import Priority

_RESET = "\x1b[0m"
_STYLES: dict[Priority, str] = {
    Priority.EMERGENCY: "\x1b[1;97;41m",
    Priority.ALERT: "\x1b[1;97;41m",
    Priority.CRITICAL: "\x1b[1;31m",
    Priority.ERROR: "\x1b[31m",
    Priority.WARNING: "\x1b[33m",
    Priority.NOTICE: "\x1b[36m",
    Priority.INFORMATIONAL: "\x1b[34m",
    Priority.DEBUG: "\x1b[2m",
}


def wants_colour(stream: IO[str]) -> bool:
    """Tell whether a stream should get colours."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def painted(text: str, priority: Priority) -> str:
    """Return text in the colour of a priority."""
    return f"{_STYLES[priority]}{text}{_RESET}"
