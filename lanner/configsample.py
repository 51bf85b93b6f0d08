"""A configuration file with every key at its default and a comment for each, made from the table of keys."""

import dataclasses
import json
import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any

from lanner.config import Config
from lanner.settings import Key, keys_of
from lanner.sources import SOURCE_TYPES

WIDTH = 100


def sample() -> str:
    """Return the file: every key of the program at its default, and a source of every type."""
    lines = ["# Configuration of lanner run, every key at its default. Made by `lanner config sample`."]
    for key in keys_of(Config).values():
        lines += ["", *_comment(key.doc, "")]
        lines += _sources() if key.name == "sources" else _key(key, "")
    return "\n".join([*lines, ""])


def plain(value: Any) -> str:
    """Return a default as YAML spells it."""
    return value.name.lower() if isinstance(value, Enum) else json.dumps(value)


def _key(key: Key, indent: str) -> Iterator[str]:
    if key.section and dataclasses.is_dataclass(key.default):
        yield f"{indent}{key.name}:"
        for inner in keys_of(key.section).values():
            yield from _comment(inner.doc, f"{indent}  ")
            yield from _key(inner, f"{indent}  ")
    else:
        yield f"{indent}{key.name}: {plain(key.default)}"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ")


def _sources() -> Iterator[str]:
    yield "sources:"
    for name, kind in SOURCE_TYPES.items():
        yield from _comment(kind.doc, "  ")
        yield f"  - type: {name}\n    {kind.example}"
