"""The configuration's JSON Schema, for editors: the table of keys in the words of that standard."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from lanner.config import Config
from lanner.outputs.kinds import OUTPUT_TYPES, OutputConfig
from lanner.outputs.throttle import ThrottleOptions
from lanner.settings import Key, keys_of
from lanner.sources import SOURCE_TYPES, SourceConfig

_PLAIN: dict[Any, dict[str, Any]] = {
    str: {"type": ["string", "number", "boolean"]},  # YAML may take a bare text for another scalar; any is taken
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    types.NoneType: {"type": "null"},
}
_REFERENCE = {"type": "string", "pattern": r"\$\{.*\}"}
"""A scalar that becomes another one when ``${...}`` is replaced."""


def schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of the whole configuration."""
    about = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of lanner run"}
    return {**about, **_section(Config)}


def _section(cls: type, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    keys = keys_of(cls)
    needed = [name for name, key in keys.items() if key.default is dataclasses.MISSING]
    properties = {**(more or {}), **{name: _key(key) for name, key in keys.items()}}
    required = {"required": [*(["type"] if more else []), *needed]} if needed or more else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **required}


def _key(key: Key) -> dict[str, Any]:
    return {"description": key.doc, **_of(key.kind)}


def _of(kind: Any) -> dict[str, Any]:
    if kind is SourceConfig:
        return {"oneOf": [_section(known.load()[0], _own(name, known.doc)) for name, known in SOURCE_TYPES.items()]}
    if kind is OutputConfig:
        least = {"minimum_priority": {"type": "string"}, "throttle": _section(ThrottleOptions)}
        kinds = OUTPUT_TYPES.items()
        return {"oneOf": [_section(known.load()[0], _own(name, known.doc) | least) for name, known in kinds]}
    if kind in _PLAIN:
        return _PLAIN[kind] if kind in (str, types.NoneType) else {"anyOf": [_PLAIN[kind], _REFERENCE]}
    if hasattr(kind, "from_node") or hasattr(kind, "parse"):
        return {}
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        return {"enum": list(inner)}
    if origin in (types.UnionType, typing.Union):
        return {"anyOf": [_of(choice) for choice in inner]}
    if origin is tuple:
        return {"type": "array", "items": _of(inner[0])}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _of(inner[1])}
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return {"type": "string"}
    return _section(kind) if dataclasses.is_dataclass(kind) and isinstance(kind, type) else {}


def _own(name: str, doc: str) -> dict[str, Any]:
    return {"type": {"const": name, "description": doc}, "name": {"type": "string"}}
