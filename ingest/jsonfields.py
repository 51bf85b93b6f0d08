"""Text of JSON values, and the json.* fields that every source of JSON records has (spec: fields 4)."""

from typing import Any

import msgspec

from engine.event import Event, Record
from engine.fields import Field, Getter, Type

_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode


def compact(value: Any) -> str | None:
    """Return a JSON value as JSON text without blanks, keys in the order of the record; None when it cannot be text."""
    try:
        return _encode(value).decode()
    except (RecursionError, UnicodeEncodeError):
        return None


def canonical_bytes(record: Record) -> bytes:
    """Return bytes that are equal for equal records: JSON with sorted keys, or of a record too deep only its top."""
    try:
        return _encode_sorted(record)
    except (RecursionError, UnicodeEncodeError):
        return repr(sorted((key, value) for key, value in record.items() if isinstance(value, str))).encode()


def text(value: Any) -> str | None:
    """Return what a field shows of a JSON value: strings as they are, null is absent, all else is its JSON text."""
    if value.__class__ is str:
        return value
    if value is None:
        return None
    return compact(value)


def value_at(record: Any, *path: str) -> Any:
    """Return the value at a path of object keys; None when a key is missing or its parent is no object."""
    value = record
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def text_at(record: Any, *path: str) -> str | None:
    """Return the text of the value at a path of object keys, as ``text`` has it; what ``Field.path`` means."""
    return text(value_at(record, *path))


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
