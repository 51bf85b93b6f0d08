"""Captures as the program reads them, and every value that a real Falco recorded of their events beside ours."""

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from engine.common import common_fields
from engine.event import Event
from engine.fields import Arg, Field, Match, Type
from ingest.syscalls.fields import syscall_table
from ingest.syscalls.scap.decode import decode
from tests.conformance.oracle import lines, path, read_text

TABLE = syscall_table(common_fields(""))
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_UNPRINTABLE = re.compile(r"[^ -~]")
_ANY_NETWORK = "<IPNET>"


@dataclass(frozen=True)
class Pair:
    """One value of one event: what Falco recorded and what Lanner answers; None when absent."""

    field: str
    event: str
    recorded: Any
    ours: Any


@cache
def differences() -> list[dict[str, Any]]:
    text = (Path(__file__).parent / "host_differences.yaml").read_text("utf-8")
    rows: list[dict[str, Any]] = yaml.safe_load(text)
    return rows


def explains(row: dict[str, Any], pair: Pair) -> bool:
    return (
        pair.field in row["fields"]
        and pair.event in row.get("events", [pair.event])
        and _among(pair.recorded, row.get("recorded"))
        and _among(pair.ours, row.get("ours"))
    )


def _among(value: Any, values: list[Any] | None) -> bool:
    return values is None or any(type(value) is type(one) and value == one for one in values)


def replay(capture: str) -> Iterator[tuple[Event, str]]:
    """Yield the events of a capture with their types, each before anything after it is known."""
    with path(f"scap/{capture}.scap").open("rb") as file:
        for decoded in decode(file, capture):
            assert not decoded.skipped
            for event in decoded.events:
                event.num = event.record.num  # type: ignore[attr-defined]  # the record is a call
                yield event, event.record.name  # type: ignore[attr-defined]


def _asked() -> dict[str, tuple[Field, int | str | None]]:
    names: list[str] = yaml.safe_load(read_text("oracle/scap/summary.json"))["names"]
    rows = {name: _find(name) for name in names}
    return {name: row for name, row in rows.items() if row[0].match is not Match.ENDPOINT}


def _find(name: str) -> tuple[Field, int | str | None]:
    found = re.fullmatch(r"(.*)\[(.*)\]", name)
    if found is None:
        row = TABLE.find(name)
        assert row is not None
        return row
    return TABLE.fields[found[1]], int(found[2]) if found[2].isdigit() else found[2]


def _answer(row: Field, arg: int | str | None, event: Event) -> Any:
    if row.text == "time":
        return event.time_ns
    if row.get is None:
        return None
    return row.get(event) if row.arg is Arg.NONE else row.get(event, arg)


def _shown(row: Field, value: Any) -> Any:
    """Return a value in the form of the recording, which writes control characters as U+FFFD."""
    if value is None:
        return None
    if row.type is Type.IPNET:
        return _ANY_NETWORK
    if row.type is Type.IPADDR:
        return str(ipaddress.ip_address(value))
    if isinstance(value, bytes):
        return _UNPRINTABLE.sub(".", value.decode("latin-1"))
    if row.display is not None:
        return _CONTROL.sub("\ufffd", row.display(value)).lstrip(" ") or None
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    if row.text == "hex":
        return f"{value:x}"
    return _CONTROL.sub("\ufffd", value) if isinstance(value, str) else value


def _recorded(row: Field, value: Any) -> Any:
    """Return a recorded value without the order of a set, and without blanks before the first of several ancestors."""
    if isinstance(value, list):
        return sorted(value)
    return (value.lstrip(" ") or None) if row.match is Match.ANY and isinstance(value, str) else value


def pairs(capture: str) -> Iterator[Pair]:
    """Yield every value that was asked for of every event; both Falco and Lanner must have the same events."""
    recorded = {row["fields"]["evt.num"]: row["fields"] for row in lines(f"oracle/scap/{capture}.fields.jsonl.gz")}
    asked = _asked()
    seen = []
    for event, name in replay(capture):
        seen.append(event.num)
        values = recorded[event.num]
        for field, (row, arg) in asked.items():
            ours = _shown(row, _answer(row, arg, event))
            ours = sorted(ours) if isinstance(ours, list) else ours
            yield Pair(field, name, _recorded(row, values.get(field)), ours)
    assert seen == sorted(recorded)
