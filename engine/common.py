"""The fields that every source answers: number, time, source and host of an event (spec: rule-language 2.9)."""

from collections.abc import Callable

from engine import times
from engine.event import Event
from engine.fields import Field, Type

_SECOND = 1_000_000_000


def common_fields(hostname: str) -> list[Field]:
    """
    Return the ``evt.*`` rows of all sources; call it once and share the rows between the tables.

    Relative times count from the first event that any of the rows' ``evt.reltime`` getters is asked about, so the rows
    hold that one piece of state; they have no answer for an event older than it. ``evt.pluginname`` and
    ``evt.plugininfo`` are the source's own.

    Args:
        hostname: Name of this machine, for ``evt.hostname``.
    """
    return [*_identity(hostname), *_clock(), *_epoch(), *_relative(_since_first())]


def _identity(hostname: str) -> list[Field]:
    return [
        Field(
            "evt.num",
            Type.UINT,
            "Sequence number of the event in this run, from 1.",
            lambda e: e.num,
            minimum=1,
            always=True,
        ),
        Field("evt.source", Type.STRING, "Name of the event source.", lambda event: event.source),
        Field("evt.hostname", Type.STRING, "Name of the machine that evaluates the event.", lambda _event: hostname),
        Field("evt.is_async", Type.BOOL, "Whether the event was injected out of band.", lambda _event: False),
        Field("evt.asynctype", Type.STRING, "Name of the out-of-band event; else absent.", lambda _event: None),
    ]


def _clock() -> list[Field]:
    return [
        _time("evt.time", "Local time of day with nanoseconds.", times.local_time),
        _time("evt.time.s", "Local time of day in whole seconds.", times.local_time_s),
        _time("evt.time.iso8601", "UTC date and time with nanoseconds, as ISO 8601 writes them.", times.utc_iso),
        _time("evt.datetime", "Local date and time with nanoseconds.", times.local_datetime),
        _time("evt.datetime.s", "Local date and time in whole seconds.", times.local_datetime_s),
    ]


def _time(name: str, doc: str, render: Callable[[int], str]) -> Field:
    return Field(name, Type.STRING, doc, lambda event: render(event.time_ns), text="time")


def _epoch() -> list[Field]:
    return [
        Field("evt.rawtime", Type.ABSTIME, "Nanoseconds since the Unix epoch.", lambda event: event.time_ns),
        Field("evt.rawtime.s", Type.ABSTIME, "Seconds since the Unix epoch.", lambda event: event.time_ns // _SECOND),
        Field(
            "evt.rawtime.ns",
            Type.ABSTIME,
            "Nanoseconds past the full second.",
            lambda event: event.time_ns % _SECOND,
            text="pad9",
        ),
    ]


def _relative(since: Callable[[Event], int | None]) -> list[Field]:
    def seconds(event: Event) -> int | None:
        return None if (ns := since(event)) is None else ns // _SECOND

    def rest(event: Event) -> int | None:
        return None if (ns := since(event)) is None else ns % _SECOND

    return [
        Field("evt.reltime", Type.RELTIME, "Nanoseconds since the first event.", since, text="pad9"),
        Field("evt.reltime.s", Type.RELTIME, "Seconds since the first event.", seconds),
        Field("evt.reltime.ns", Type.RELTIME, "Nanoseconds past these seconds.", rest, text="pad9"),
    ]


def _since_first() -> Callable[[Event], int | None]:
    first: list[int] = []

    def since(event: Event) -> int | None:
        if not first:
            first.append(event.time_ns)
        ns = event.time_ns - first[0]
        return ns if ns >= 0 else None

    return since
