"""A capture file as events: calls in order, each told its thread and descriptor as they were at that moment."""

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

from ingest.base import Decoded
from ingest.syscalls.host_event import changes_state, host_event
from ingest.syscalls.scap.blocks import CaptureError
from ingest.syscalls.scap.reader import Capture
from ingest.syscalls.state import State

MOST_TOGETHER = 500
"""Events that are handed on together at most."""


def decode(stream: BinaryIO, origin: str = "") -> Iterator[Decoded]:
    """Yield the events of an open capture file, compressed or not; as ``events_of``."""
    yield from events_of(Capture(stream), origin)


def events_of(capture: Capture, origin: str = "") -> Iterator[Decoded]:
    """
    Yield the events of a capture, a few at a time.

    Events come together only as long as none of them changes what is known of threads and descriptors; they must be
    evaluated, and their alerts made, before the next are asked for.

    Args:
        capture: Of which nothing was read but what comes before the first event.
        origin: Of the events, for people.

    Raises:
        CaptureError: It is damaged or ends early; events before that were yielded.
    """
    state = State(capture.table())
    told: Counter[str] = Counter()
    decoded = Decoded()
    failure: CaptureError | None = None
    try:
        for call in capture.calls():
            if decoded.events and (changes_state(call) or len(decoded.events) >= MOST_TOGETHER):
                yield _with_skipped(decoded, capture, told)
                decoded = Decoded()
            state.apply(call)
            if call.num:
                decoded.events.append(host_event(call, origin))
    except CaptureError as error:
        failure = error
    yield _with_skipped(decoded, capture, told)
    if failure is not None:
        raise failure


_DETAILS = {
    "unknown-event": "an event of a kind that is not known here",
    "damaged-event": "an event whose lengths contradict each other",
    "too-many": "threads, descriptors, accounts or interfaces beyond what is remembered of a machine",
    "damaged-list": "a list of processes, descriptors, accounts or interfaces that is cut short",
}


def _with_skipped(decoded: Decoded, capture: Capture, told: Counter[str]) -> Decoded:
    """Add what was not read since the last time."""
    for reason, count in (capture.skipped - told).items():
        decoded.skipped += [(reason, _DETAILS[reason])] * count
    told.update(capture.skipped - told)
    return decoded
