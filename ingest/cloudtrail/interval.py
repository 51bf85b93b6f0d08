"""The time interval option of the S3 source, spelled as Falco's ``s3Interval`` is."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest.base import SourceError

_UNITS = {"w": "weeks", "d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
_POINT = r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|\d{1,9}[wdhms])"
_INTERVAL = re.compile(rf"\s*{_POINT}\s*(?:-\s*{_POINT}\s*)?")


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``start`` to ``end``, both included; None leaves an end open."""

    start: datetime | None = None
    end: datetime | None = None

    def __contains__(self, time: datetime) -> bool:
        return (self.start is None or self.start <= time) and (self.end is None or time <= self.end)


def parse_interval(text: str, now: datetime) -> Interval:
    """
    Read ``""`` (everything), ``5d`` (the last five days), ``5d-2d``, ``2026-01-02T00:00:00Z``, or a mix of both.

    Raises:
        SourceError: It is none of these, or ends before it begins.
    """
    if not text.strip():
        return Interval()
    found = _INTERVAL.fullmatch(text)
    if not found:
        raise SourceError(f"interval {text!r}: expected such as 5d, 36h, 5d-2d or 2026-01-02T00:00:00Z")
    interval = Interval(_point(found[1], now), _point(found[2], now) if found[2] else None)
    if interval.start and interval.end and interval.end < interval.start:
        raise SourceError(f"interval {text!r} ends before it begins")
    return interval


def _point(text: str, now: datetime) -> datetime:
    try:
        if text.endswith("Z"):
            return datetime.fromisoformat(text)
        return now - timedelta(**{_UNITS[text[-1]]: int(text[:-1])})
    except (ValueError, OverflowError):
        raise SourceError(f"interval: {text!r} is no time") from None


def utc_now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)
