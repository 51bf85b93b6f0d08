"""Durations as people write them: ``90s``, ``15m``, ``4h``, ``2d``."""

import re
from dataclasses import dataclass

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_TEXT = re.compile(r"(?:\d+(?:\.\d+)?[smhdw])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def seconds(text: str) -> float:
    """
    Return the seconds of ``4h``, ``1h30m`` or a bare number of seconds.

    Raises:
        ValueError: It is no duration.
    """
    text = text.strip().lower()
    if re.fullmatch(r"\d+(?:\.\d+)?", text):
        return float(text)
    if not _TEXT.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write one as 90s, 15m, 4h, 2d or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def shown(number: float) -> str:
    """Return a duration in its largest unit that needs no fraction."""
    for unit in ("w", "d", "h", "m"):
        if number >= _UNITS[unit] and number % _UNITS[unit] == 0:
            return f"{number / _UNITS[unit]:.0f}{unit}"
    return f"{number:g}s"


@dataclass(frozen=True, slots=True)
class Duration:
    """A duration in the configuration."""

    seconds: float

    @classmethod
    def parse(cls, text: str) -> "Duration":
        """Read one. Raises ValueError."""
        return cls(seconds(text))

    def __str__(self) -> str:
        return shown(self.seconds)
