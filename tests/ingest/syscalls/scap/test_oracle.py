"""All real captures are read event by event as Falco 0.44.1 replays them (data/oracle/scap)."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from engine.event import Event
from ingest.syscalls.layouts import layout
from ingest.syscalls.scap.decode import decode
from ingest.syscalls.scap.reader import Capture
from lanner.catalog import build_catalog
from tests.shared import SHARED, needs_shared

TABLE = build_catalog("oracle").tables["syscall"]
FILES = sorted(path.stem for path in (SHARED / "scap").glob("*.scap")) if SHARED else []


def replayed(name: str) -> Iterator[dict[str, Any]]:
    assert SHARED is not None
    with gzip.open(SHARED / "oracle" / "scap" / f"{name}.fields.jsonl.gz", "rt") as rows:
        for row in rows:
            yield json.loads(row)["fields"]


@needs_shared
def test_all_eight_captures_are_there() -> None:
    assert len(FILES) == 8


@needs_shared
@pytest.mark.parametrize("name", FILES)
def test_events_are_those_that_falco_replays(name: str) -> None:
    assert SHARED is not None
    with (SHARED / "scap" / f"{name}.scap").open("rb") as stream:
        capture = Capture(stream)
        calls = [call for call in capture.calls() if call.num]
    rows = list(replayed(name))
    assert len(calls) == len(rows)
    assert not capture.skipped
    for call, row in zip(calls, rows, strict=True):
        seen = (call.num, call.name, call.time_ns, call.cpu, call.tid)
        assert seen == tuple(row[key] for key in ("evt.num", "evt.type", "evt.rawtime", "evt.cpu", "thread.tid"))
        known = layout(call.name)
        assert call.params == () if known is None else len(call.params) <= len(known.params)


@needs_shared
@pytest.mark.parametrize("name", FILES)
def test_results_are_those_that_falco_replays(name: str) -> None:
    assert SHARED is not None
    with (SHARED / "scap" / f"{name}.scap").open("rb") as stream:
        calls = [call for call in Capture(stream).calls() if call.num]
    for call, row in zip(calls, replayed(name), strict=True):
        known = layout(call.name)
        is_call = known is not None and known.kind == "syscall" and bool(call.params)
        assert (call.params[0] if is_call else None) == row.get("evt.rawres"), call.num


NOT_COMPARED = {
    "evt.reltime": "Falco answers the time since 1970 (oracle: defects)",
    "evt.reltime.s": "as evt.reltime",
    "evt.reltime.ns": "as evt.reltime",
    "evt.deltatime": "the recording asked for it twice for every event, so it is 0 there",
    "evt.deltatime.s": "as evt.deltatime",
    "evt.deltatime.ns": "as evt.deltatime",
    "evt.time": "recorded as a number, and a text here; evt.rawtime is the same number",
    "evt.datetime": "as evt.time",
    "evt.hostname": "of the machine that made the recording",
}
BY_POSITION = ("evt.arg[0]", "evt.arg[1]")


def answer(event: Event, name: str) -> Any:
    """Return what the field of a name as the recording has it answers, in the recording's form."""
    spelled = name.replace("evt.arg.", "evt.arg[").removesuffix("]") if name.startswith("evt.arg") else name
    base, _, argument = spelled.partition("[")
    field = TABLE.fields[base]
    assert field.get is not None, name
    given = [int(argument) if argument.isdecimal() else argument] if argument else []
    found = field.get(event, *given)
    if name == "evt.buffer" and found is not None:
        return "".join(chr(code) if 32 <= code < 127 else "." for code in found)
    return found


@needs_shared
@pytest.mark.parametrize("name", FILES)
def test_the_fields_of_the_event_answer_as_in_falco(name: str) -> None:
    assert SHARED is not None
    summary = json.loads((SHARED / "oracle" / "scap" / "summary.json").read_text())
    names = [name for name in summary["names"] if name.startswith(("evt.", "syscall.")) and name not in NOT_COMPARED]
    assert len(names) >= 36
    rows = replayed(name)
    compared = 0
    with (SHARED / "scap" / f"{name}.scap").open("rb") as stream:
        for decoded in decode(stream):
            for event in decoded.events:
                row = next(rows)
                for field in names:
                    expected = row.get(field)
                    if is_quirk(event, field, expected):
                        continue
                    assert answer(event, field) == expected, (field, row["evt.num"])
                    compared += 1
    assert next(rows, None) is None
    assert compared > 30 * 100


def is_quirk(event: Event, field: str, expected: Any) -> bool:
    """Tell whether Falco answers what an event has not: numbers of undecoded calls, rests of other buffers."""
    if field in BY_POSITION and not event.record.params:
        return True
    return field == "evt.buffer" and expected is not None and event.record.params[0] == 0
