from typing import Any

from engine import times
from engine.common import common_fields
from engine.event import Event
from engine.fields import table

SECOND = 1_000_000_000


def event(time_ns: int, num: int = 1) -> Event:
    made = Event("test", time_ns, {}, "uid")
    made.num = num
    return made


def answers(time_ns: int, num: int = 1) -> dict[str, Any]:
    return {row.name: row.get(event(time_ns, num)) for row in common_fields("host-1") if row.get}


def test_names_are_those_that_any_source_answers() -> None:
    assert set(table("test", common_fields("h")).fields) == {
        *("evt.num", "evt.source", "evt.hostname", "evt.is_async", "evt.asynctype"),
        *("evt.time", "evt.time.s", "evt.time.iso8601", "evt.datetime", "evt.datetime.s"),
        *("evt.rawtime", "evt.rawtime.s", "evt.rawtime.ns", "evt.reltime", "evt.reltime.s", "evt.reltime.ns"),
    }


def test_identity() -> None:
    got = answers(5, num=7)
    assert (got["evt.num"], got["evt.source"], got["evt.hostname"]) == (7, "test", "host-1")
    assert (got["evt.is_async"], got["evt.asynctype"]) == (False, None)


def test_times_are_rendered_as_alerts_render_them() -> None:
    now = 1_700_000_000_000_000_042
    got = answers(now)
    assert got["evt.time"] == times.local_time(now)
    assert got["evt.time.s"] == times.local_time_s(now)
    assert got["evt.datetime"] == times.local_datetime(now)
    assert got["evt.datetime.s"] == times.local_datetime_s(now)
    assert got["evt.time.iso8601"] == times.utc_iso(now)


def test_raw_time_in_parts() -> None:
    got = answers(3 * SECOND + 14)
    assert (got["evt.rawtime"], got["evt.rawtime.s"], got["evt.rawtime.ns"]) == (3 * SECOND + 14, 3, 14)


def test_relative_time_counts_from_the_first_event_asked() -> None:
    rows = {row.name: row.get for row in common_fields("h") if row.get}
    assert rows["evt.reltime"](event(10 * SECOND)) == 0
    assert rows["evt.reltime"](event(12 * SECOND + 5)) == 2 * SECOND + 5
    assert rows["evt.reltime.s"](event(12 * SECOND + 5)) == 2
    assert rows["evt.reltime.ns"](event(12 * SECOND + 5)) == 5
    assert [rows[name](event(9 * SECOND)) for name in rows if name.startswith("evt.reltime")] == [None] * 3
