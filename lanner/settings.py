"""
Dataclasses as configuration: the table of keys that a dataclass is, and how values are read into it from YAML.

Name, type and default of a key are those of the dataclass field; its sentence is that of the class's docstring, under
``Attributes``. The reader, the sample file and the reference page all come from there.
"""

import dataclasses
import difflib
import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec
import yaml

from lanner.errors import ConfigError
from lanner.yamltree import pairs, place, plain

_ENTRY = re.compile(r"^    (\w+(?:, \w+)*): ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Key:
    """
    One key.

    Attributes:
        name: As the configuration spells it.
        kind: Its type, as resolved.
        default: What holds when it is not given; ``dataclasses.MISSING`` when it must be.
        doc: One sentence; "" when the class has none.
    """

    name: str
    kind: Any
    default: Any
    doc: str

    @property
    def section(self) -> type | None:
        """The dataclass whose keys stand below this one."""
        choices = [kind for kind in _choices(self.kind) if dataclasses.is_dataclass(kind)]
        return choices[0] if choices and isinstance(choices[0], type) else None


def keys_of(cls: type) -> dict[str, Key]:
    """Return the keys of a dataclass by name."""
    hints, docs = typing.get_type_hints(cls), _docs(cls)
    return {f.name: Key(f.name, hints[f.name], _default(f), docs.get(f.name, "")) for f in dataclasses.fields(cls)}


def _default(field: "dataclasses.Field[Any]") -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _docs(cls: type) -> Mapping[str, str]:
    """Return the sentences of a class and of those it builds on."""
    return {name: sentence for base in reversed(cls.__mro__) for name, sentence in _own_docs(base)}


def _own_docs(cls: type) -> Iterator[tuple[str, str]]:
    _, _, text = inspect.cleandoc(cls.__doc__ or "").partition("Attributes:\n")
    parts = _ENTRY.split(text)
    for names, sentence in zip(parts[1::2], parts[2::2], strict=True):
        yield from ((name, " ".join(sentence.split())) for name in names.split(", "))


def _choices(kind: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the type alone."""
    return typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)


class Reader:
    """
    Reads nodes into dataclasses, keeping on after a mistake so that all are told at once.

    Attributes:
        findings: What is wrong, one line each.
        notes: What has no effect or may not be meant, one line each.
        elsewhere: Keys that have no effect here by their dotted paths, with a sentence each.
    """

    def __init__(self, elsewhere: Mapping[str, str] | None = None) -> None:
        self.findings: list[str] = []
        self.notes: list[str] = []
        self.elsewhere = elsewhere or {}

    def section(self, node: yaml.Node, cls: type, path: str = "", ignored: frozenset[str] = frozenset()) -> Any:
        """Return an instance of a dataclass, or None after a finding; ``ignored`` keys belong to somebody else."""
        if not isinstance(node, yaml.MappingNode):
            return self.wrong(node, path, "a mapping is wanted here")
        keys, given, before = keys_of(cls), {}, len(self.findings)
        for word, value in self._pairs(node):
            name = word.value
            here = f"{path}.{name}" if path else name
            if name in keys:
                given[name] = self.value(value, keys[name].kind, here)
            elif here in self.elsewhere:
                self.note(word, here, f"has no effect: {self.elsewhere[here]}")
            elif name not in ignored:
                self.wrong(word, here, f"unknown key{_nearest(name, keys)}")
        for key in keys.values():
            if key.name not in given and key.default is dataclasses.MISSING:
                self.wrong(node, path, f"'{key.name}' is missing: {key.doc}")
        return cls(**given) if len(self.findings) == before else None

    def _pairs(self, node: yaml.MappingNode) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
        try:
            return pairs(node)
        except ConfigError as error:
            self.findings.append(str(error))
            return []

    def value(self, node: yaml.Node, kind: Any, path: str) -> Any:
        """Return a value of a type, or None after a finding."""
        if hasattr(kind, "from_node"):
            return kind.from_node(self, node, path)
        if typing.get_origin(kind) is tuple and isinstance(node, yaml.SequenceNode):
            of = typing.get_args(kind)[0]
            return tuple(self.value(item, of, f"{path}[{at}]") for at, item in enumerate(node.value))
        if typing.get_origin(kind) is Mapping and isinstance(node, yaml.MappingNode):
            of = typing.get_args(kind)[1]
            return {word.value: self.value(inner, of, f"{path}.{word.value}") for word, inner in self._pairs(node)}
        section = Key("", kind, None, "").section
        if section and isinstance(node, yaml.MappingNode):
            return self.section(node, section, path)
        return self._scalar(node, kind, path)

    def _scalar(self, node: yaml.Node, kind: Any, path: str) -> Any:
        parse = getattr(kind, "parse", None)
        if isinstance(node, yaml.ScalarNode) and (kind is str or parse):
            try:
                return parse(node.value) if parse else node.value
            except ValueError as error:
                return self.wrong(node, path, str(error))
        try:
            given = plain(node)
        except ConfigError as error:
            self.findings.append(str(error))
            return None
        try:
            return msgspec.convert(given, kind)
        except msgspec.ValidationError:
            return self.wrong(node, path, f"wanted is {kind_name(kind)}, given is {_shown(given)}")

    def wrong(self, node: yaml.Node, path: str, what: str) -> None:
        """Add a finding."""
        self.findings.append(_line(node, path, what))

    def note(self, node: yaml.Node, path: str, what: str) -> None:
        """Add a note."""
        self.notes.append(_line(node, path, what))


def _line(node: yaml.Node, path: str, what: str) -> str:
    return f"{place(node)}: {path}: {what}" if path else f"{place(node)}: {what}"


def _shown(given: Any) -> str:
    if isinstance(given, dict | list):
        return "a mapping" if isinstance(given, dict) else "a list"
    return "nothing" if given is None else repr(given)


def _nearest(name: str, known: Mapping[str, Key]) -> str:
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean '{found[0]}'?" if found else f"; known are {', '.join(known)}"


def kind_name(kind: Any) -> str:
    """Return the name of a type for people."""
    if typing.get_origin(kind) is typing.Literal:
        return " or ".join(str(value) for value in typing.get_args(kind))
    if typing.get_origin(kind) is tuple:
        return f"list of {kind_name(typing.get_args(kind)[0])}"
    if typing.get_origin(kind) is Mapping:
        return f"mapping of names to {kind_name(typing.get_args(kind)[1])}"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false", types.NoneType: "nothing"}
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return " or ".join(member.name.lower() for member in kind)
    if dataclasses.is_dataclass(kind):
        return "mapping"
    choices = _choices(kind)
    if len(choices) > 1:
        return " or ".join(map(kind_name, choices))
    return names.get(kind, getattr(kind, "__name__", str(kind)))


def walk(cls: type, path: str = "") -> Iterator[tuple[str, Key]]:
    """Yield all keys of a dataclass and of the sections below it, with their dotted paths."""
    for key in keys_of(cls).values():
        here = f"{path}.{key.name}" if path else key.name
        yield here, key
        if key.section:
            yield from walk(key.section, here)
