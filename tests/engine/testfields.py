"""
A source for tests of the rule engine: fields of every type and shape, read from a record by plain look-ups.

``event`` makes its events from readable values, ``event(s="a", ip="10.0.0.1", buf="00cafe")``.
"""

import ipaddress
import json
from collections.abc import Callable
from typing import Any

from engine.common import common_fields
from engine.event import Event
from engine.fields import Arg, Field, FieldCatalog, FieldTable, Match, Type, table

SOURCE = "test"
TIME_NS = 1_700_000_000_123_456_789
KEYS = ("a", "/a/b", "/a/b c", "x.y")


def _read(key: str) -> Callable[[Event], Any]:
    return lambda event: event.record.get(key)


def _some(key: str) -> Callable[[Event], Any]:
    return lambda event: event.record.get(key) or None


def _at_key(event: Event, key: str | None = None) -> Any:
    return event.record.get("k", {}).get(key)


def _at_index(key: str) -> Callable[..., Any]:
    def get(event: Event, index: int | None = None) -> Any:
        values = event.record.get(key) or None
        if index is None or values is None:
            return values
        return values[index : index + 1] or None

    return get


def _ancestor(event: Event, index: int | None = None) -> Any:
    values = event.record.get("anc") or None
    if index is None or values is None:
        return values
    return values[index] if index < len(values) else None


def _deep_path(key: str) -> tuple[str, ...] | None:
    return ("deep", key) if key in ("p", "q") else None


def _deep_text(event: Event, key: str) -> str | None:
    deep = event.record.get("deep")
    found = deep.get(key) if isinstance(deep, dict) else None
    return found if found is None or isinstance(found, str) else json.dumps(found, separators=(",", ":"))


def _plain(name: str, kind: Type, doc: str, **more: Any) -> Field:
    return Field(f"t.{name}", kind, doc, _read(name), **more)


def _listed(name: str, kind: Type, doc: str, **more: Any) -> Field:
    return Field(f"t.{name}", kind, doc, _some(name), is_list=True, **more)


FIELDS = (
    _plain("s", Type.STRING, "A text."),
    _plain("s2", Type.STRING, "Another text."),
    Field("t.same", Type.STRING, "Always what t.s is.", _read("s")),
    Field("t.x", Type.STRING, "Always absent.", lambda _event: None),
    Field("t.p", Type.STRING, "The text at a path of the record.", path=("deep", "p")),
    Field("t.q", Type.STRING, "The text at a neighbouring path.", path=("deep", "q", "r")),
    Field("t.deep", Type.STRING, "The text at the first key of these paths.", path=("deep",)),
    Field(
        "t.kp",
        Type.STRING,
        "A text by key, or by path.",
        _deep_text,
        path_for=_deep_path,
        arg=Arg.KEY,
        arg_required=True,
    ),
    Field(
        "t.nev", Type.STRING, "A text, never 0.", lambda e: e.record.get("nev", "1"), always=True, never=frozenset("0")
    ),
    _plain("cnt", Type.UINT, "A number from 1, or none.", minimum=1),
    _plain("dom", Type.STRING, "One of few texts.", domain=frozenset({"one", "two", "uno"}), synonyms={"uno": "one"}),
    _plain("u", Type.UINT, "A number from 0."),
    _plain("u2", Type.UINT, "Another number from 0."),
    _plain("i", Type.INT, "A number of any sign."),
    _plain("d", Type.DOUBLE, "A number with a fraction."),
    _plain("b", Type.BOOL, "A truth value."),
    _plain("ts", Type.ABSTIME, "A point in time."),
    _plain("dt", Type.RELTIME, "A span of time."),
    _plain("port", Type.PORT, "A port."),
    _plain("ip", Type.IPADDR, "An address."),
    _plain("ip2", Type.IPADDR, "Another address."),
    _plain("net", Type.IPNET, "An address that is compared with networks."),
    _plain("buf", Type.BYTES, "Bytes."),
    _listed("ls", Type.STRING, "Texts."),
    _listed("ls2", Type.STRING, "Other texts."),
    _listed("lu", Type.UINT, "Numbers."),
    _listed("lip", Type.IPADDR, "Addresses."),
    _listed("lnet", Type.IPNET, "Addresses that are compared with networks."),
    Field("t.k", Type.STRING, "A text by its key.", _at_key, arg=Arg.KEY, arg_required=True, dotted=True),
    Field("t.lx", Type.STRING, "Texts, or the one at an index.", _at_index("lx"), is_list=True, arg=Arg.INDEX),
    Field("t.anc", Type.STRING, "Texts of which some counts, or one.", _ancestor, arg=Arg.INDEX, match=Match.ANY),
    Field("t.any", Type.STRING, "Texts of which some counts.", _some("any"), match=Match.ANY, no_rhs=True),
    Field("t.end", Type.IPADDR, "Two addresses.", _some("end"), match=Match.ENDPOINT, no_rhs=True),
    Field("t.endport", Type.PORT, "Two ports.", _some("endport"), match=Match.ENDPOINT, no_rhs=True),
    Field("t.endnet", Type.IPNET, "Two addresses for networks.", _some("endnet"), match=Match.ENDPOINT, no_rhs=True),
    Field("t.later", Type.STRING, "A name that nothing answers yet."),
)

COMMON = common_fields("host")
TABLE: FieldTable = table(SOURCE, COMMON, FIELDS, discriminators=("t.s", "t.s2"), aliases={"t.same": "t.s"})
CATALOG = FieldCatalog({SOURCE: TABLE})


def _typed(kind: Type, value: Any) -> Any:
    if kind in (Type.IPADDR, Type.IPNET) and isinstance(value, str):
        return ipaddress.ip_address(value).packed
    if kind is Type.BYTES and isinstance(value, str):
        return bytes.fromhex(value)
    return value


def _value(name: str, value: Any) -> Any:
    row = TABLE.fields.get(f"t.{name}")
    if row is None or isinstance(value, dict):
        return value
    if isinstance(value, list | tuple):
        made = [_typed(row.type, item) for item in value]
        return made if row.is_list else tuple(made)
    return _typed(row.type, value)


def event(**values: Any) -> Event:
    """Make an event of the test source: addresses as text, bytes as hexadecimal digits; None for absent."""
    record = {name: _value(name, value) for name, value in values.items()}
    return Event(SOURCE, TIME_NS, record, "uid-of-the-event")
