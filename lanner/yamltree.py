"""YAML text as a tree of nodes that know their line, and ``-o key=value`` set into it (spec: surface CF05)."""

import itertools
import re
from dataclasses import dataclass
from typing import Any

import yaml

from lanner.errors import ConfigError

NO_FILE = "no configuration file"
"""Stands for it where there is none."""

COMMAND_LINE = "-o"
"""Stands for the file name in the marks of nodes that come from the command line."""

_STEP = re.compile(r"(?P<name>(?:\\.|[^.\[\]\\])+)|\[(?P<index>\d*)\]|(?P<dot>\.)")


def parse(text: str, name: str) -> yaml.MappingNode:
    """
    Read a configuration; an empty one is an empty mapping.

    Raises:
        ConfigError: No YAML, or no mapping.
    """
    try:
        root = yaml.compose(_named(text, name))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise ConfigError(f"{name}:{mark.line + 1 if mark else 1}: not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: not YAML: {error}") from None
    if root is None:
        return yaml.MappingNode("tag:yaml.org,2002:map", [], *_marks(name))
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{name}: a configuration is a mapping of keys to values")
    return root


def place(node: yaml.Node) -> str:
    """Return where a node stands, ``file:line``; what is in no file has no lines."""
    name = node.start_mark.name
    return name if name.startswith((COMMAND_LINE, NO_FILE)) else f"{name}:{node.start_mark.line + 1}"


def plain(node: yaml.Node) -> Any:
    """Return a node as Python values."""
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise ConfigError(f"{place(node)}: {getattr(error, 'problem', error)}") from None


def pairs(node: yaml.MappingNode) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    """
    Return the keys and values of a mapping, merge keys resolved.

    Raises:
        ConfigError: A key is no scalar, or is given twice.
    """
    yaml.SafeLoader("").flatten_mapping(node)
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise ConfigError(f"{place(key)}: a key is a word")
        if key.value in seen:
            raise ConfigError(f"{place(key)}: {key.value} is given twice")
        seen.add(key.value)
    return list(node.value)


def overridden_key(expression: str) -> str | None:
    """Return the top-level key that an expression sets, None for one that cannot be read."""
    found = _STEP.match(expression.partition("=")[0])
    return found["name"] if found else None


def override(root: yaml.MappingNode, expression: str) -> None:
    r"""
    Set one value, ``key=value``.

    The key is a path of names with dots; ``[0]`` is an element of a list, ``[]`` a new one at its end; ``\`` takes the
    meaning from ``.``, ``[``, ``]`` and ``\``. The value is a YAML scalar, or a mapping or list in YAML's flow form.

    Raises:
        ConfigError: No such expression, or the path does not fit what is there.
    """
    path, equals, text = expression.partition("=")
    if not equals or not path.strip():
        raise ConfigError(f"{COMMAND_LINE} {expression}: give it as key=value")
    name = f"{COMMAND_LINE} {path}"
    try:
        value = yaml.compose(_named(text, name)) or yaml.ScalarNode("tag:yaml.org,2002:null", "", *_marks(name))
    except yaml.YAMLError:
        raise ConfigError(f"{name}: the value is not YAML") from None
    steps = _steps(path, name)
    parent: yaml.Node = root
    for step, following in itertools.pairwise(steps):
        parent = _child(parent, step, _empty(following, name), name, replace=False)
    _child(parent, steps[-1], value, name, replace=True)


@dataclass(frozen=True, slots=True)
class _Step:
    """One step of a path: the key of a mapping, or the index of a list (None for a new element)."""

    key: str | None = None
    index: int | None = None


def _steps(path: str, name: str) -> list[_Step]:
    steps, at = [], 0
    while at < len(path):
        found = _STEP.match(path, at)
        if not found:
            raise ConfigError(f"{name}: cannot read this key from '{path[at:]}' on")
        if found["name"]:
            steps.append(_Step(key=re.sub(r"\\(.)", r"\1", found["name"])))
        elif found["dot"] is None:
            steps.append(_Step(index=int(found["index"]) if found["index"] else None))
        at = found.end()
    return steps


def _child(parent: yaml.Node, step: _Step, fresh: yaml.Node, name: str, replace: bool) -> yaml.Node:
    """Return the child at a step; when there is none, or it is to be replaced, the fresh one is put there."""
    if step.key is not None:
        return _value(parent, step.key, fresh, name, replace)
    if not isinstance(parent, yaml.SequenceNode):
        raise ConfigError(f"{name}: there is no list to take an element of")
    if step.index is None:
        parent.value.append(fresh)
        return fresh
    if step.index >= len(parent.value):
        raise ConfigError(f"{name}: the list has {len(parent.value)} elements; [] appends one")
    if replace:
        parent.value[step.index] = fresh
    child: yaml.Node = parent.value[step.index]
    return child


def _value(parent: yaml.Node, key: str, fresh: yaml.Node, name: str, replace: bool) -> yaml.Node:
    if not isinstance(parent, yaml.MappingNode):
        raise ConfigError(f"{name}: {key} is asked of what is no mapping")
    for at, (known, value) in enumerate(parent.value):
        if known.value == key:
            if replace:
                parent.value[at] = (known, fresh)
                return fresh
            child: yaml.Node = value
            return child
    parent.value.append((yaml.ScalarNode("tag:yaml.org,2002:str", key, *_marks(name)), fresh))
    return fresh


def _empty(following: _Step, name: str) -> yaml.Node:
    """Return the collection that the following step needs."""
    if following.key is not None:
        return yaml.MappingNode("tag:yaml.org,2002:map", [], *_marks(name))
    return yaml.SequenceNode("tag:yaml.org,2002:seq", [], *_marks(name))


def _marks(name: str) -> tuple[yaml.Mark, yaml.Mark]:
    mark = yaml.Mark(name, 0, 0, 0, "", 0)
    return mark, mark


class _named:  # noqa: N801 - used like a function
    """A text stream with a name, so that YAML's marks carry it."""

    def __init__(self, text: str, name: str) -> None:
        self.name = name
        self._text = text

    def read(self, _size: int = -1) -> str:
        text, self._text = self._text, ""
        return text
