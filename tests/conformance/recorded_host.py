"""
Host events without a kernel: each is what a real Falco said of every field when it replayed a capture.

Lanner's own table of the host source, its rows answered from the recording. Fields that were not recorded are absent.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from engine.common import common_fields
from engine.event import Event
from engine.fields import Field, FieldTable, Match, Type
from ingest.syscalls.fields import SOURCE, syscall_table
from tests.conformance.oracle import CATALOG, lines

ENDS = {
    "fd.ip": ("fd.cip", "fd.sip"),
    "fd.net": ("fd.cip", "fd.sip"),
    "fd.port": ("fd.cport", "fd.sport"),
}
NETS = {"fd.cnet": "fd.cip", "fd.snet": "fd.sip", "fd.lnet": "fd.lip", "fd.rnet": "fd.rip"}


def host_table() -> FieldTable:
    common = common_fields("oracle")
    own = {row.name for row in common}
    table = syscall_table(common)
    fields = {name: row if name in own else replace(row, get=_getter(row)) for name, row in table.fields.items()}
    return replace(table, fields=fields)


def _getter(row: Field) -> Callable[..., Any]:
    def get(event: Event, arg: int | str | None = None) -> Any:
        if row.name in ENDS:
            found = tuple(_value(row.type, event.record.get(end)) for end in ENDS[row.name])
            return tuple(value for value in found if value is not None) or None
        name = NETS.get(row.name, row.name)
        text = event.record.get(_spelled(name, arg))
        if text is not None and arg is None and row.match is Match.ANY:
            return tuple(text.split(" ")) if isinstance(text, str) else None
        return _value(row.type, text)

    return get


def _spelled(name: str, arg: int | str | None) -> str:
    if arg is None:
        return name
    return f"{name}.{arg}" if name == "evt.arg" and isinstance(arg, str) else f"{name}[{arg}]"


def _value(kind: Type, found: Any) -> Any:
    if found is None:
        return None
    if kind in (Type.IPADDR, Type.IPNET):
        return ipaddress.ip_address(found).packed
    if kind is Type.BYTES:
        return found.encode("utf-8", "surrogateescape")
    if kind is Type.INT and isinstance(found, str):
        return int(found, 16)
    return found


HOST = replace(CATALOG, tables={**CATALOG.tables, SOURCE: host_table()})


def replayed(capture: str) -> list[Event]:
    """Return the events that Falco made of a capture, in order."""
    found: list[Event] = []
    for row in lines(f"oracle/scap/{capture}.fields.jsonl.gz"):
        fields = row["fields"]
        event = Event(SOURCE, fields["evt.rawtime"], fields, str(fields["evt.num"]))
        event.num = fields["evt.num"]
        found.append(event)
    return found
