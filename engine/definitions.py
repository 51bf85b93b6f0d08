"""
Lists, macros and rules as the rule files define them, after append and override, before anything is parsed.

``rulefile`` fills a ``Collection``; ``resolve`` turns its texts into trees.
"""

from dataclasses import dataclass, field

from engine.diagnostics import SourceText
from engine.priority import Priority
from engine.tree import At


@dataclass(frozen=True, slots=True)
class Scalar:
    """A YAML scalar: its decoded text and where it stands."""

    value: str
    at: At


@dataclass(slots=True)
class ListDef:
    """A named list. ``first`` and ``latest`` number its first and latest definition over all items of all files."""

    name: str
    items: tuple[Scalar, ...]
    at: At
    first: int
    latest: int


@dataclass(slots=True)
class MacroDef:
    """A named condition; ``condition`` is the joined text when items appended to it."""

    name: str
    condition: SourceText
    at: At
    first: int
    latest: int


@dataclass(slots=True)
class ExceptionDef:
    """
    One entry of a rule's ``exceptions`` (spec: rule-language 3.6), already checked for shape.

    Attributes:
        name: Name of the entry.
        single: Whether ``fields`` was one scalar (then ``values`` is a flat list of scalars).
        fields: Field expressions; one when single.
        comps: Comparison operators with their modifiers (``=``, ``in``, ``startswith anyof``), as many as fields,
            defaults filled in.
        values: List shape: tuples as long as ``fields``, each element a scalar or a tuple of scalars. Single shape:
            one-element tuples of scalars.
        at: Where the entry's name stands.
    """

    name: str
    single: bool
    fields: tuple[Scalar, ...]
    comps: tuple[Scalar, ...]
    values: tuple[tuple[Scalar | tuple[Scalar, ...], ...], ...]
    at: At


@dataclass(slots=True)
class RuleDef:
    """
    A rule.

    Attributes:
        sources: Event sources it is for: one as in Falco, or several, or ``("any",)``.
        condition, output: Their texts; output is trimmed.
        capture_duration: Milliseconds; 0 for the configured default.
        position: Rank of the first definition over all files; decides the order of evaluation.
        at: Where the rule's name stands.
        skipped: Set with a reason when the rule is not to be compiled (unknown source); it still takes overrides.
    """

    name: str
    sources: tuple[str, ...]
    condition: SourceText
    output: SourceText
    desc: str
    priority: Priority
    at: At
    position: int
    enabled: bool = True
    tags: tuple[str, ...] = ()
    exceptions: list[ExceptionDef] = field(default_factory=list)
    warn_evttypes: bool = True
    skip_if_unknown_filter: bool = False
    capture: bool = False
    capture_duration: int = 0
    skipped: str = ""


@dataclass(frozen=True, slots=True)
class PluginNeed:
    """One entry of ``required_plugin_versions``: the plugin and its alternatives, as (name, version)."""

    choices: tuple[tuple[str, str], ...]
    at: At


@dataclass(slots=True)
class Collection:
    """Everything the rule files define, by name; rules in order of their first definition."""

    lists: dict[str, ListDef] = field(default_factory=dict)
    macros: dict[str, MacroDef] = field(default_factory=dict)
    rules: dict[str, RuleDef] = field(default_factory=dict)
    required_engine_version: str = ""
    plugin_needs: list[PluginNeed] = field(default_factory=list)
