"""
What rule files demand of the engine and of plugins (spec: rule-language 3.2, 3.8).

Lanner has no plugins; it has capabilities that answer for plugin names with a version.
"""

import re
from collections.abc import Mapping

from engine.definitions import Collection, PluginNeed
from engine.diagnostics import Diagnostic, Report
from engine.items import VALIDATE, Invalid, Item, open_item, scalar_node, sequence, word
from engine.similar import near
from engine.tree import At
from engine.yamlnodes import MappingNode, Node

ENTRY = "required plugin versions entry"
NEWER = "a newer version of Lanner may have it"
_SEMVER = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(?:[-+][0-9A-Za-z.+-]+)?")
_NUMBER = re.compile(r"[0-9]{1,9}")

Version = tuple[int, int, int]


def parse_version(text: str) -> Version | None:
    """Read ``x.y.z``, maybe with a suffix that does not count; None for anything else."""
    found = _SEMVER.fullmatch(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def serves(offered: Version, wanted: Version) -> bool:
    """Tell whether a version can do what was written for another: the same major one, and not older."""
    return offered[0] == wanted[0] and offered >= wanted


def read_engine_version(item: Item, collection: Collection, engine_version: str) -> None:
    """
    Check a ``required_engine_version``; the highest is kept in the collection.

    Raises:
        Invalid: It is no version, or not served by the engine; the report says so.
    """
    node = scalar_node(item, item.kind)
    number = _NUMBER.fullmatch(node.value)
    wanted = (0, int(node.value), 0) if number else parse_version(node.value)
    if wanted is None:
        hint = "write a number, or three numbers like 0.26.0"
        raise item.refuse(node, "bad-version", f"'{node.value}' is no engine version", hint=hint)
    offered = parse_version(engine_version)
    if offered is None or not serves(offered, wanted):
        message = f"the rules need engine version {node.value}, this is {engine_version}"
        raise item.refuse(node, "engine-version", message, VALIDATE, NEWER)
    highest = parse_version(collection.required_engine_version)
    if highest is None or wanted > highest:
        collection.required_engine_version = ".".join(map(str, wanted))


def read_plugin_versions(item: Item, collection: Collection) -> None:
    """
    Read ``required_plugin_versions`` into the collection; they are checked when all files are read.

    Raises:
        Invalid: It is no sequence; the report says so.
    """
    for node in sequence(item, item.kind):
        try:
            collection.plugin_needs.append(_need(item, node))
        except Invalid:
            continue


def _need(item: Item, node: Node) -> PluginNeed:
    entry = _entry(item, node)
    choices = [_choice(entry)]
    if "alternatives" in entry.values:
        choices += [_choice(_entry(item, other)) for other in sequence(entry, "alternatives")]
    seen = [name for name, _ in choices]
    twice = next((name for name in seen if seen.count(name) > 1), None)
    if twice is not None:
        raise entry.refuse(entry.subject, "plugin-twice", f"plugin '{twice}' is named twice in one entry", VALIDATE)
    return PluginNeed(tuple(choices), _place(entry))


def _entry(item: Item, node: Node) -> Item:
    if not isinstance(node, MappingNode):
        raise item.refuse(node, "not-a-mapping", "a plugin must be a mapping with 'name' and 'version'")
    return open_item(item.file, item.report, node, ENTRY).named("name")


def _choice(entry: Item) -> tuple[str, str]:
    version = word(entry, "version")
    if parse_version(version) is None:
        message = f"'{version}' is no version of plugin '{entry.name}'"
        raise entry.refuse(entry.values["version"], "bad-version", message, VALIDATE, "write three numbers like 0.7.0")
    return entry.name, version


def _place(entry: Item) -> At:
    return entry.at(scalar_node(entry, "name"))


def check_plugins(collection: Collection, plugins: Mapping[str, str], report: Report) -> None:
    """
    Report what the rule files demand and nothing offers.

    Of an entry and its alternatives the first that is offered decides, as in Falco.
    """
    for need in collection.plugin_needs:
        problem, hint = _problem(need, plugins)
        if problem:
            item = (ENTRY, need.choices[0][0])
            report.add(Diagnostic("plugin-version", VALIDATE, problem, need.at.span, hint=hint, item=item))


def _problem(need: PluginNeed, plugins: Mapping[str, str]) -> tuple[str, str]:
    """Return what is wrong, "" for nothing, and a hint."""
    for name, wanted in need.choices:
        if name in plugins:
            offered, least = parse_version(plugins[name]), parse_version(wanted)
            if offered is not None and least is not None and serves(offered, least):
                return "", ""
            return f"the rules need plugin '{name}' in version {wanted}, this has {plugins[name]}", NEWER
    names = " or ".join(f"'{name}' {version}" for name, version in need.choices)
    hint = near(need.choices[0][0], plugins) or f"built in are {', '.join(sorted(plugins))}" if plugins else ""
    return f"the rules need plugin {names}, which is not built in", hint
