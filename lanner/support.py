"""All that somebody who helps wants to know, as one mapping; secrets are masked (spec: surface CL22)."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from lanner import config as configuration
from lanner import rulefiles
from lanner.errors import ConfigError, UserError
from lanner.redact import MASK, redacted
from lanner.sources import SOURCE_TYPES
from lanner.versions import versions
from lanner.waiting import look, outbox_paths
from lanner.yamltree import plain

_USER = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def bundle(
    path: str | None, overrides: Sequence[str], rules: Sequence[str], arguments: Sequence[str]
) -> dict[str, Any]:
    """
    Return what is known of the machine, the program, the configuration and the rules.

    Args:
        path: Of the configuration; None for the usual one.
        overrides: Set over it.
        rules: Instead of those of the configuration, if any.
        arguments: The command line.
    """
    told: dict[str, Any] = {
        "system_info": {
            name: getattr(os.uname(), name) for name in ("sysname", "nodename", "release", "version", "machine")
        },
        "version": versions()["lanner_version"],
        "engine_info": {**versions(), "sources": list(SOURCE_TYPES)},
        "cmdline": " ".join(map(_argument, arguments)),
    }
    try:
        loaded = configuration.load_all(path, overrides)
    except ConfigError as error:
        told |= {"config_errors": str(error).split("\n"), "rules_files": _rules(rules)}
    else:
        told |= {
            "config": redacted(plain(loaded.tree)),
            "config_files": [name for name, _ in loaded.files],
            "config_notes": list(loaded.notes),
            "rules_files": _rules(rules or loaded.config.rules_files),
            "outbox": _outbox(loaded.config),
        }
    return {name: _without_users(value) for name, value in told.items()}


def _argument(text: str) -> str:
    """Return an argument; of one that sets a key, what may be told."""
    key, found, value = text.partition("=")
    if not found:
        return text
    try:
        shown = redacted({key.rpartition(".")[2]: yaml.safe_load(value)})
    except yaml.YAMLError:
        return f"{key}={MASK}"
    (given,) = shown.values()
    return text if given == yaml.safe_load(value) else f"{key}={given}"


def _rules(paths: Sequence[str]) -> list[dict[str, Any]]:
    try:
        files = rulefiles.find(paths)
    except UserError as error:
        return [{"error": str(error)}]
    return [{"name": str(file), "variants": [{"content": _content(file)}]} for file in files]


def _content(file: Path) -> str:
    """Return a rule file's text; of a shipped one nothing, since the version tells it."""
    if file.is_relative_to(rulefiles.bundled()):
        return ""
    try:
        return file.read_text("utf-8", "replace")
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _outbox(config: configuration.Config) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for path in outbox_paths(config):
        try:
            found[str(path)] = {row.output: row.count for row in look(path)}
        except UserError as error:
            found[str(path)] = str(error)
    return found


def _without_users(value: Any) -> Any:
    """Mask names and passwords within URLs."""
    if isinstance(value, dict):
        return {key: _without_users(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_users(inner) for inner in value]
    return _USER.sub(MASK, value) if isinstance(value, str) else value
