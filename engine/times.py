"""
Times as text, in the formats that alerts and the ``evt.time`` fields share.

All take nanoseconds since the Unix epoch. Local time is that of the ``TZ`` of the process.
"""

import time

_SECOND = 1_000_000_000


def local_time(ns: int) -> str:
    """Return the local time of day, ``HH:MM:SS.nnnnnnnnn``."""
    return f"{local_time_s(ns)}.{ns % _SECOND:09d}"


def local_time_s(ns: int) -> str:
    """Return the local time of day in whole seconds, ``HH:MM:SS``."""
    return time.strftime("%H:%M:%S", time.localtime(ns // _SECOND))


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
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(ns // _SECOND))}.{ns % _SECOND:09d}"
