"""All real captures are read event by event as Falco 0.44.1 replays them (data/oracle/scap)."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest

from ingest.syscalls.layouts import layout
from ingest.syscalls.scap.reader import Capture
from tests.shared import SHARED, needs_shared

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
