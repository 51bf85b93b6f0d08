"""The files that a configuration is made of: the main one, those of ``config_files``, and ``-o`` over them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from lanner.errors import ConfigError
from lanner.settings import Reader
from lanner.yamltree import NO_FILE, overridden_key, override, pairs, parse

ENVIRONMENT = "LANNER_CONFIG"
DEFAULT_PATH = "/etc/lanner/lanner.yaml"
KEY = "config_files"

Strategy = Literal["append", "override", "add-only"]


@dataclass(frozen=True, slots=True)
class Include:
    """
    More configuration.

    Attributes:
        path: Of a file, or of a folder: then all its .yaml and .yml files, by name.
        strategy: What becomes of a key that is there already: "append" extends lists and replaces other values,
            "override" replaces it, "add-only" leaves it.
    """

    path: str
    strategy: Strategy = "append"

    @classmethod
    def from_node(cls, reader: Reader, node: yaml.Node, path: str) -> "Include | None":
        """Read a path, or a mapping with path and strategy."""
        if isinstance(node, yaml.ScalarNode):
            return cls(node.value)
        found: Include | None = reader.section(node, cls, path)
        return found


@dataclass(frozen=True, slots=True)
class Tree:
    """
    What all files together say.

    Attributes:
        root: The merged mapping; its nodes know the files they come from.
        files: Name and content of each file read, in order.
    """

    root: yaml.MappingNode
    files: tuple[tuple[str, bytes], ...]


def is_there() -> bool:
    """Say whether there is a main file where nobody names one."""
    return bool(os.environ.get(ENVIRONMENT)) or Path(DEFAULT_PATH).exists()


def main_file(path: str | None) -> tuple[str, str]:
    """
    Return text and name of the main file: the one named, else that of ``LANNER_CONFIG``, else the default one.

    Raises:
        ConfigError: It cannot be read.
    """
    if not path and not is_there():
        return "", NO_FILE
    path = path or os.environ.get(ENVIRONMENT) or DEFAULT_PATH
    return read_text(path), path


def read_text(path: str) -> str:
    """Return the text of a configuration file. Raises ConfigError."""
    try:
        return Path(path).read_text("utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: a configuration is UTF-8 text") from None


def merged(text: str, name: str, overrides: Sequence[str], reader: Reader) -> Tree:
    """
    Return the tree of the main file with its ``config_files`` merged in, and ``-o`` set over it.

    ``-o config_files=...`` counts before anything is merged, the others after (spec: surface CF01-CF03, CF05).

    Raises:
        ConfigError: A file or an expression cannot be read.
    """
    root = parse(text, name)
    files = [(name, text.encode())] if text else []
    first = [expression for expression in overrides if overridden_key(expression) == KEY]
    for expression in first:
        override(root, expression)
    for include in _includes(root, reader):
        for path in _expand(include, reader, root):
            more = read_text(path)
            files.append((path, more.encode()))
            _merge(root, parse(more, path), include.strategy, reader)
    for expression in overrides:
        if expression not in first:
            override(root, expression)
    return Tree(root, tuple(files))


def _includes(root: yaml.MappingNode, reader: Reader) -> tuple[Include, ...]:
    node = _find(root, KEY)
    if node is None:
        return ()
    found = reader.value(node, tuple[Include, ...], KEY) or ()
    return tuple(include for include in found if include)


def _find(root: yaml.MappingNode, key: str) -> yaml.Node | None:
    return next((value for word, value in root.value if word.value == key), None)


def _expand(include: Include, reader: Reader, root: yaml.Node) -> list[str]:
    path = Path(include.path)
    if path.is_dir():
        return sorted(str(file) for file in path.iterdir() if file.suffix in (".yaml", ".yml") and file.is_file())
    if not path.exists():
        reader.note(root, KEY, f"{path} is not there and is left out")
        return []
    return [str(path)]


def _merge(root: yaml.MappingNode, more: yaml.MappingNode, strategy: Strategy, reader: Reader) -> None:
    for word, value in pairs(more):
        if word.value == KEY:
            reader.wrong(word, KEY, "only the main file can name more files")
            continue
        known = _find(root, word.value)
        if known is None:
            root.value.append((word, value))
        elif strategy == "append" and isinstance(known, yaml.SequenceNode) and isinstance(value, yaml.SequenceNode):
            known.value.extend(value.value)
        elif strategy != "add-only":
            root.value = [(old, value if old.value == word.value else node) for old, node in root.value]
