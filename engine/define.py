"""
Lists, macros and rules from the items that define them (spec: rule-language 3.2, 3.3, 3.5).

A definition with errors is kept as far as it can be read, so that what builds on it gives no errors of its own; with an
error in the report no rule runs anyway.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.definitions import Collection, ListDef, MacroDef, RuleDef
from engine.diagnostics import SourceText
from engine.exceptions import read_exceptions
from engine.items import (
    VALIDATE,
    Item,
    flag,
    milliseconds,
    names,
    priority,
    scalars,
    text,
    trimmed_text,
    word,
)
from engine.priority import Priority
from engine.similar import near
from engine.tree import At
from engine.yamlnodes import ScalarNode, SequenceNode

ANY = "any"
"""The source of a rule that is for every source that has its fields."""
DEFAULT_SOURCE = "syscall"

RULE_READERS: Mapping[str, Callable[[Item, str], Any]] = {
    "condition": text,
    "output": trimmed_text,
    "desc": word,
    "priority": priority,
    "enabled": flag,
    "tags": names,
    "exceptions": read_exceptions,
    "warn_evttypes": flag,
    "skip-if-unknown-filter": flag,
    "capture": flag,
    "capture_duration": milliseconds,
}
"""How each key of a rule is read; the attribute of ``RuleDef`` has the same name, with underscores."""
REQUIRED = ("condition", "output", "desc", "priority")
"""The keys without which an item defines no rule."""
OPTIONAL = tuple(key for key in RULE_READERS if key not in REQUIRED)

_COMMON = frozenset(("append", "override"))
KEYS: Mapping[str, frozenset[str]] = {
    "required_engine_version": frozenset(("required_engine_version",)),
    "required_plugin_versions": frozenset(("required_plugin_versions",)),
    "list": _COMMON | {"list", "items"},
    "macro": _COMMON | {"macro", "condition"},
    "rule": _COMMON | {"rule", "source"} | frozenset(RULE_READERS),
}
"""The keys of each kind of item, in the order in which they decide the kind."""

_MACRO_NAME = re.compile(r"[a-zA-Z]+[a-zA-Z0-9_]*")
_LIST_NAME = re.compile(r"[^()\"'\s=,]+")


@dataclass(slots=True)
class Definer:
    """
    Fills a collection.

    Attributes:
        collection: Where definitions go.
        sources: Names of the event sources that there are.
        number: Number of the latest definition; counts over all files.
    """

    collection: Collection
    sources: frozenset[str]
    number: int = 0

    def next(self) -> int:
        """Return the number of a new definition."""
        self.number += 1
        return self.number

    def define_list(self, item: Item) -> None:
        """Define a list, or define it anew."""
        if not _LIST_NAME.fullmatch(item.name):
            message = f"{item.title} cannot be referred to by this name"
            hint = "a name has no blanks, quotes, parentheses, commas or '='"
            item.warn(item.subject, "invalid-name", message, "LOAD_INVALID_LIST_NAME", hint)
        items = item.read(scalars, "items") or ()
        number = self.next()
        old = self.collection.lists.get(item.name)
        self.collection.lists[item.name] = ListDef(
            item.name, items, name_at(item), old.first if old else number, number
        )

    def define_macro(self, item: Item) -> None:
        """Define a macro, or define it anew."""
        if not _MACRO_NAME.fullmatch(item.name):
            message = f"{item.title} cannot be referred to by this name"
            hint = "a name is letters, digits and underscores, a letter first"
            item.warn(item.subject, "invalid-name", message, "LOAD_INVALID_MACRO_NAME", hint)
        condition = item.read(text, "condition")
        if condition is None:
            return
        number = self.next()
        old = self.collection.macros.get(item.name)
        first = old.first if old else number
        self.collection.macros[item.name] = MacroDef(item.name, condition, name_at(item), first, number)

    def define_rule(self, item: Item) -> None:
        """Define a rule, or define it anew in its old position."""
        rules = self.collection.rules
        old = rules.get(item.name)
        sources = item.read(read_sources, "source") if "source" in item.values else (DEFAULT_SOURCE,)
        if old is not None and sources is not None and not self.keeps_source(item, sources, old):
            return
        rule = self._rule(item, sources or (ANY,))
        rule.position = old.position if old else len(rules)
        rules[item.name] = rule
        self.next()

    def _rule(self, item: Item, sources: tuple[str, ...]) -> RuleDef:
        condition, output = item.read(text, "condition"), item.read(trimmed_text, "output")
        desc, level = item.read(word, "desc"), item.read(priority, "priority")
        skipped = self._skip_reason(item, sources)
        if condition is None or output is None:
            skipped = skipped or "its definition has errors"
        at = name_at(item)
        nothing = SourceText("", (0,), (at.text.place(0),))
        rule = RuleDef(
            item.name,
            self._known(sources),
            condition or nothing,
            output or nothing,
            desc or "",
            Priority.DEBUG if level is None else level,
            at,
            0,
            skipped=skipped,
        )
        for key in OPTIONAL:
            if key in item.values and (value := item.read(RULE_READERS[key], key)) is not None:
                setattr(rule, attribute(key), value)
        return rule

    def keeps_source(self, item: Item, sources: tuple[str, ...], old: RuleDef) -> bool:
        """Tell whether an item names the sources that its rule has; if not, that is reported."""
        if set(self._known(sources)) == set(old.sources):
            return True
        message = f"{item.title} is for source {', '.join(old.sources)} and cannot change to {', '.join(sources)}"
        hint = (
            "give one of the two another name"
            if "source" in item.keys
            else f"without 'source' a rule is for {DEFAULT_SOURCE}"
        )
        item.report_at("source", "source-change", message, VALIDATE, hint)
        return False

    def _known(self, sources: tuple[str, ...]) -> tuple[str, ...]:
        """Leave out the sources that there are not, unless that would leave none."""
        return tuple(source for source in sources if source in self.sources) or sources

    def _skip_reason(self, item: Item, sources: tuple[str, ...]) -> str:
        unknown = [source for source in sources if source not in self.sources and source != ANY]
        skipped = len(unknown) == len(sources)
        for source in unknown:
            message = f"there is no source '{source}', {'the rule is skipped' if skipped else 'it is left out'}"
            where = item.values.get("source", item.subject)
            hint = near(source, self.sources) or f"sources are {', '.join(sorted(self.sources))}"
            item.warn(where, "unknown-source", message, "LOAD_UNKNOWN_SOURCE", hint)
        return f"unknown source {', '.join(unknown)}" if skipped else ""


def read_sources(item: Item, key: str) -> tuple[str, ...]:
    """Read the event sources of a rule: a name, ``any``, or (not in Falco) a sequence of names."""
    if not isinstance(item.values[key], SequenceNode):
        found: tuple[str, ...] = (word(item, key),)
    elif not (found := names(item, key)):
        raise item.refuse(key, "empty-value", f"{item.called(key)} is empty")
    return (ANY,) if ANY in found else found


def attribute(key: str) -> str:
    """Return the attribute of ``RuleDef`` for a key."""
    return key.replace("-", "_")


def name_at(item: Item) -> At:
    """Return where the name of an item stands."""
    assert isinstance(item.subject, ScalarNode)
    return item.at(item.subject)
