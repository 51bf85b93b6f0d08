"""JSON values as the text that fields show of them."""

from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


def compact(value: Any) -> str | None:
    """Return a JSON value as JSON text without blanks, keys in the order of the record; None when it cannot be text."""
    try:
        return _encode(value).decode()
    except (RecursionError, UnicodeEncodeError):
        return None


def text(value: Any) -> str | None:
    """
    Return what a field shows of a JSON value: strings as they are, null is absent, all else is its JSON text.

    Source: spec fields 9, Q1 and Q2.
    """
    if value.__class__ is str or value is None:
        return value
    if value.__class__ is int:
        return str(value)
    if value.__class__ is bool:
        return "true" if value else "false"
    return compact(value)
