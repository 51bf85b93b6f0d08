"""The forms that files of events come in: for each source, how its records are told and read."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from engine.event import Record
from ingest.base import Content
from ingest.cloudtrail import files as cloudtrail
from ingest.cloudtrail.record import SOURCE as CLOUDTRAIL
from ingest.k8saudit import shapes as k8saudit
from ingest.k8saudit.record import SOURCE as K8S_AUDIT
from ingest.payload import decode_json, text_of

_EVERYTHING = 1 << 62
_LOOKED_AT = (64 << 10, 4 << 20)  # bytes; the latter are more than one record can have
_LINES_LOOKED_AT = 20
_LOOKED_AT_OF_LIST = 20
_BLANKS = " \t\r\n\ufeff"
_BLANKS_OF_JSON = frozenset(" \t\r\n")
_decoder = json.JSONDecoder()


@dataclass(frozen=True, slots=True)
class Format:
    """
    How the records of one source are read from files.

    Attributes:
        source: Name of the event source.
        looks_like: Whether a decoded JSON object is a record of it, or holds some.
        decode: ``decode(data, origin)``: plain bytes to events.
    """

    source: str
    looks_like: Callable[[Record], bool]
    decode: Callable[[bytes, str], Content]


def _k8saudit(data: bytes, origin: str) -> Content:
    return k8saudit.decode(data, origin, max_items=_EVERYTHING)


FORMATS = {
    known.source: known
    for known in (
        Format(CLOUDTRAIL, cloudtrail.looks_like, cloudtrail.decode),
        Format(K8S_AUDIT, k8saudit.looks_like, _k8saudit),
    )
}


def tell(data: bytes) -> Format | None:
    """Tell the format of a payload by its first records; None when they are of no known source."""
    for found in _heads(data):
        for known in FORMATS.values():
            if known.looks_like(found):
                return known
    return None


def _heads(data: bytes) -> Iterator[Record]:
    """Yield objects that show what a payload holds: its first one, more of it each time, then those of its lines."""
    for size in _LOOKED_AT if len(data) > _LOOKED_AT[0] else _LOOKED_AT[:1]:
        yield from _opening(text_of(data[:size]).lstrip(_BLANKS + "["))
    for line in data[: _LOOKED_AT[1]].split(b"\n", _LINES_LOOKED_AT)[:_LINES_LOOKED_AT]:
        try:
            value = decode_json(line)
        except ValueError:
            continue
        yield from (value,) if isinstance(value, dict) else ()


def _opening(text: str) -> Iterator[Record]:
    """Yield what the object that a text begins with is like; a list in it is shown by one element each time."""
    seen: Record = {}
    at = 0
    try:
        while at < len(text) and text[at] in "{,":
            key, at = _decoder.raw_decode(text, _skip(text, at + 1))
            at = _skip(text, _skip(text, at) + 1)
            if text[at : at + 1] == "[":
                first, _ = _decoder.raw_decode(text, _skip(text, at + 1))
                yield {**seen, key: [first]}
            seen[key], at = _decoder.raw_decode(text, at)
            if isinstance(seen[key], list):
                yield from ({**seen, key: [element]} for element in seen[key][1:_LOOKED_AT_OF_LIST])
            at = _skip(text, at)
    except (ValueError, RecursionError, TypeError):
        pass
    yield seen


def _skip(text: str, at: int) -> int:
    while text[at : at + 1] in _BLANKS_OF_JSON:
        at += 1
    return at
