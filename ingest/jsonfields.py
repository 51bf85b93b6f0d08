"""Text of JSON values, and the json.* fields that every source of JSON records has (spec: fields 4)."""

import re
from functools import lru_cache
from typing import Any

import msgspec

from engine.event import Event, Record
from engine.fields import Arg, Field, Getter, Type
from engine.jsontext import text

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def canonical_bytes(record: Record) -> bytes:
    """Return bytes that are equal for equal records: JSON with sorted keys, or of a record too deep only its top."""
    try:
        return _encode_sorted(record)
    except (RecursionError, UnicodeEncodeError):
        return repr(sorted((key, value) for key, value in record.items() if isinstance(value, str))).encode()


def value_at(record: Any, *path: str) -> Any:
    """Return the value at a path of object keys; None when a key is missing or its parent is no object."""
    value = record
    for key in path:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def text_at(record: Any, *path: str) -> str | None:
    """Return the text of the value at a path of object keys, as ``text`` has it; what ``Field.path`` means."""
    value = record
    for key in path:
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value if type(value) is str else text(value)


def path_getter(*path: str) -> Getter:
    """Return a getter of the text at a path of the record."""
    if len(path) == 1:
        return _key_getter(path[0])

    def get(event: Event) -> str | None:
        return text_at(event.record, *path)

    return get


def _key_getter(key: str) -> Getter:
    def get(event: Event) -> str | None:
        value = event.record.get(key)
        return value if value.__class__ is str else text(value)

    return get


def path_field(name: str, doc: str, *path: str, hidden: bool = False) -> Field:
    """Return the row of a field that is the text at a path of the record."""
    return Field(name, Type.STRING, doc, path_getter(*path), path=path, hidden=hidden)


def json_fields() -> list[Field]:
    """
    Return the rows of json.* and their old alias jevt.*, for sources whose records are JSON objects.

    A JSON null is absent (spec: fields 9, Q2); Falco answers the text ``null``.
    """
    return [*_rows("json"), *_rows("jevt", " (old spelling of json.*)", not_na=True)]


def _rows(prefix: str, note: str = "", *, not_na: bool = False) -> list[Field]:
    doc = f"Value at the JSON pointer given as key, scalars as text and containers as JSON{note}."
    return [
        Field(
            f"{prefix}.value",
            Type.STRING,
            doc,
            _value,
            path_for=plain_path,
            arg=Arg.KEY,
            arg_required=True,
            not_na=not_na,
        ),
        Field(f"{prefix}.obj", Type.STRING, f"Whole record as indented JSON text{note}.", _whole, not_na=not_na),
        Field(
            f"{prefix}.rawtime",
            Type.STRING,
            f"Event time, epoch nanoseconds as text{note}.",
            _time,
            always=True,
            never=frozenset({"0"}),  # rules write jevt.rawtime = 0 for "never"
            not_na=not_na,
        ),
    ]


def _value(event: Event, key: str) -> str | None:
    return text(at_pointer(event.record, key))


def _whole(event: Event) -> str | None:
    try:
        return msgspec.json.format(_encode(event.record), indent=2).decode()
    except (RecursionError, UnicodeEncodeError):
        return None


def _time(event: Event) -> str:
    return str(event.time_ns)


def at_pointer(record: Any, key: str) -> Any:
    """Return the value at an RFC 6901 pointer, whose first slash may be left out; None when there is none."""
    value = record
    for part, index in pointer(key):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and 0 <= index < len(value):
            value = value[index]
        else:
            return None
    return value


@lru_cache(4096)
def pointer(key: str) -> tuple[tuple[str, int], ...]:
    """Return the parts of a pointer, each as key and as index, which is -1 when the part is no index."""
    parts = key.removeprefix("/").split("/") if key else []
    return tuple((_unescaped(part), int(part) if _INDEX.fullmatch(part) else -1) for part in parts)


def plain_path(key: str) -> tuple[str, ...] | None:
    """Return a pointer as a path of object keys; None when a part could be the index of an array."""
    parts = pointer(key)
    return tuple(part for part, _ in parts) if parts and all(index < 0 for _, index in parts) else None


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
