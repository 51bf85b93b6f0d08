"""The JSON Schema of rule files, for editors: the keys that the loader reads, with a sentence each."""

from typing import Any

from engine.define import DEFAULT_SOURCE, RULE_READERS
from engine.priority import Priority
from lanner.catalog import build_catalog

_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_TEXTS = {"type": "array", "items": {"type": "string"}}
_SCALARS = {"type": "array", "items": {"type": ["string", "number", "boolean"]}}
_PRIORITIES = [name for level in Priority for name in (level.name, level.name.lower(), level.name.capitalize())]
_NAME_OR_NAMES = {"anyOf": [_TEXT, {"type": "array", "items": {"anyOf": [_TEXT, _TEXTS]}}]}
_EXCEPTION = {
    "type": "object",
    "properties": {
        "name": _TEXT,
        "fields": _NAME_OR_NAMES,
        "comps": _NAME_OR_NAMES,
        "values": {"type": "array"},
    },
    "required": ["name"],
    "additionalProperties": False,
}
_OF_RULE: dict[str, tuple[str, dict[str, Any]]] = {
    "condition": ("When the rule holds for an event.", _TEXT),
    "output": ("Message of the alert, with %fields.", _TEXT),
    "desc": ("What the rule is about.", _TEXT),
    "priority": ("How bad it is.", {"enum": [*_PRIORITIES, "INFO", "info", "Info"]}),
    "enabled": ("Whether it runs.", _FLAG),
    "tags": ("Words to choose rules by.", _TEXTS),
    "exceptions": ("Values of fields for which it does not hold.", {"type": "array", "items": _EXCEPTION}),
    "warn_evttypes": ("Whether a condition without event types is told of.", _FLAG),
    "skip-if-unknown-filter": ("Whether the rule is left out when a field is unknown.", _FLAG),
    "capture": ("Falco's captures; has no effect.", _FLAG),
    "capture_duration": ("Milliseconds of Falco's captures; has no effect.", {"type": "integer"}),
}
_OVERRIDE = {
    "type": "object",
    "additionalProperties": {"enum": ["append", "replace"]},
    "description": "What becomes of each key of the item of this name that is there already.",
}


def schema() -> dict[str, Any]:
    """Return the schema (draft 2020-12) of a rule file."""
    kinds = [_rule(), _item("macro", "condition", _TEXT), _item("list", "items", _SCALARS), *_requirements()]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rules of Lanner and Falco",
        "type": "array",
        "items": {"anyOf": kinds},
    }


def _rule() -> dict[str, Any]:
    sources = [*build_catalog("").sources, "any"]
    source = {
        "description": f"Events it is for; {DEFAULT_SOURCE} unless told.",
        "anyOf": [_TEXT, {"type": "array", "items": {"enum": sources}}],
    }
    keys = {name: {"description": _OF_RULE[name][0], **_OF_RULE[name][1]} for name in RULE_READERS}
    return _mapping({"rule": _TEXT, "source": source, **keys}, ["rule"])


def _item(kind: str, key: str, value: dict[str, Any]) -> dict[str, Any]:
    return _mapping({kind: _TEXT, key: value}, [kind])


def _mapping(keys: dict[str, Any], required: list[str]) -> dict[str, Any]:
    more = {"append": {**_FLAG, "deprecated": True}, "override": _OVERRIDE}
    return {"type": "object", "properties": {**keys, **more}, "required": required, "additionalProperties": False}


def _requirements() -> list[dict[str, Any]]:
    plugin = {"type": "object", "properties": {"name": _TEXT, "version": _TEXT}, "required": ["name", "version"]}
    kinds = {
        "required_engine_version": {"type": ["string", "integer"]},
        "required_plugin_versions": {"type": "array", "items": plugin},
    }
    return [
        {"type": "object", "properties": {name: value}, "required": [name], "additionalProperties": False}
        for name, value in kinds.items()
    ]
