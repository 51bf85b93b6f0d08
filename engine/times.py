"""
Times as text, in the formats that alerts and the ``evt.time`` fields share.

All take nanoseconds since the Unix epoch. Local time is that of the ``TZ`` of the process.
"""

import time
from functools import lru_cache

_SECOND = 1_000_000_000
_STEP = 30  # seconds; no place changed its offset within one since 1970


def local_time(ns: int) -> str:
    """Return the local time of day, ``HH:MM:SS.nnnnnnnnn``."""
    return f"{local_time_s(ns)}.{ns % _SECOND:09d}"


def local_time_s(ns: int) -> str:
    """Return the local time of day in whole seconds, ``HH:MM:SS``."""
    seconds = ns // _SECOND
    return _time_of_day(seconds + _offset(seconds // _STEP, time.tzname))


def _time_of_day(seconds: int) -> str:
    of_day = seconds % 86_400
    return f"{of_day // 3600:02d}:{of_day // 60 % 60:02d}:{of_day % 60:02d}"


@lru_cache(maxsize=1024)
def _offset(step: int, names: tuple[str, str]) -> int:
    """Return the seconds that local time is ahead of UTC; ``names`` tell zones apart."""
    return time.localtime(step * _STEP).tm_gmtoff


def local_datetime(ns: int) -> str:
    """Return local date and time, ``YYYY-MM-DD HH:MM:SS.nnnnnnnnn``."""
    return f"{local_datetime_s(ns)}.{ns % _SECOND:09d}"


def local_datetime_s(ns: int) -> str:
    """Return local date and time in whole seconds, ``YYYY-MM-DD HH:MM:SS``."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(ns // _SECOND))


def utc_iso(ns: int) -> str:
    """Return date and time in UTC as ``evt.time.iso8601`` has it, ``YYYY-MM-DDTHH:MM:SS.nnnnnnnnn+0000``."""
    return f"{_utc(ns)}+0000"


def utc_json(ns: int) -> str:
    """Return date and time in UTC as the ``time`` of a JSON alert has it, ``YYYY-MM-DDTHH:MM:SS.nnnnnnnnnZ``."""
    return f"{_utc(ns)}Z"


def _utc(ns: int) -> str:
    seconds = ns // _SECOND
    return f"{_date(seconds // 86_400)}T{_time_of_day(seconds)}.{ns % _SECOND:09d}"


@lru_cache(maxsize=1024)
def _date(day: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(day * 86_400))
