"""
Audit events whose text was cut off, as CloudWatch does with large ones: what is whole at their top is an event still.

An API server writes who did what to which object, and how it was answered, before the objects themselves, so those are
mostly all that is lost. Times are at the end; without one, the caller's holds.
"""

from collections.abc import Callable

from engine import times
from engine.event import Record
from ingest.k8saudit.glance import TRUNCATED, annotate
from ingest.k8saudit.record import recorded_time
from ingest.k8saudit.salvage import last_member_end
from ingest.payload import decode_json

MARK = "[Truncated...]"
"""What the text ends with."""
TIME_INFERRED = "lanner/time-inferred"
"""Annotation of events that did not tell their time."""


def is_cut(text: str) -> bool:
    """Whether a text says that it was cut off."""
    return text.rstrip().endswith(MARK)


def salvage(text: str, time_ns: Callable[[], int]) -> Record | None:
    """
    Return the event that a cut text began to tell; None when not even who did what is left.

    Args:
        text: From its beginning to the mark.
        time_ns: Asked for the time, nanoseconds since the epoch, when the text does not tell it.
    """
    data = text.rstrip().removesuffix(MARK).encode("utf-8", "replace")
    end = last_member_end(data)
    if not end:
        return None
    try:
        found = decode_json(data[:end] + b"}")
    except ValueError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("verb"), str) or "user" not in found:
        return None
    annotate(found, TRUNCATED, "true")
    if recorded_time(found) is None:
        found["stageTimestamp"] = times.utc_json(time_ns())
        annotate(found, TIME_INFERRED, "true")
    return found
