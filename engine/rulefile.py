"""
Rule files to definitions: the reader of all files, which knows what kinds of items there are.

A file is a YAML sequence of items (spec: rule-language 3.1), or the line format of 2016. Every error of every file is
reported; an item with an error costs itself alone.
"""

from collections.abc import Collection as Names
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.define import KEYS, Definer
from engine.definitions import Collection
from engine.diagnostics import WARNING, Diagnostic, Report
from engine.items import Invalid, Item, node_kind, open_item
from engine.legacy import looks_legacy, read_legacy
from engine.overrides import change
from engine.requirements import check_plugins, read_engine_version, read_plugin_versions
from engine.similar import near
from engine.sourcefile import SourceFile, bad_character
from engine.yamlnodes import VALIDATE, MappingNode, Node, ScalarNode, SequenceNode, compose

_CONTENT_ITEM = ("rules content item", "")


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The name of a rule file, as diagnostics show it, and its text."""

    name: str
    text: str


def read_files(
    files: Sequence[RuleFile],
    sources: Names[str],
    report: Report,
    engine_version: str = "0.63.0",
    plugins: Mapping[str, str] | None = None,
) -> Collection:
    """
    Read rule files in order; later ones override earlier ones.

    Args:
        files: Names and texts. Bytes that are no UTF-8 may be lone surrogates, as ``surrogateescape`` makes them.
        sources: Names of the event sources that there are.
        report: Where findings go.
        engine_version: The version of Falco's engine whose files are understood.
        plugins: Versions of the capabilities that ``required_plugin_versions`` may ask for, by plugin name.
    """
    definer = Definer(Collection(), frozenset(sources))
    for file in files:
        source = SourceFile.of(file.name, file.text)
        unreadable = bad_character(source)
        if unreadable is not None:
            report.add(unreadable)
            continue
        if looks_legacy(source.text):
            read_legacy(source, definer, report)
            continue
        for document in compose(source, report):
            _document(source, document, definer, report, engine_version)
    check_plugins(definer.collection, plugins or {}, report)
    return definer.collection


def _document(file: SourceFile, root: Node, definer: Definer, report: Report, engine_version: str) -> None:
    if isinstance(root, ScalarNode) and root.is_null:
        return
    if not isinstance(root, SequenceNode):
        hint = "begin each list, macro and rule with '- ', as in '- rule: name'"
        message = f"a rule file must be a sequence of items, not {node_kind(root)}"
        span = file.span(root.start, root.end)
        report.add(Diagnostic("not-a-sequence", VALIDATE, message, span, hint=hint))
        return
    for node in root.items:
        if isinstance(node, MappingNode):
            _item(open_item(file, report, node), definer, engine_version)
        elif not (isinstance(node, ScalarNode) and node.is_null):
            message = f"an item must be a mapping like 'rule: name', not {node_kind(node)}"
            span = file.span(node.start, node.end)
            report.add(Diagnostic("not-a-mapping", VALIDATE, message, span, item=_CONTENT_ITEM))


def _item(item: Item, definer: Definer, engine_version: str) -> None:
    item.kind = next((kind for kind in KEYS if kind in item.keys), "")
    if not item.kind:
        _unknown(item)
        return
    try:
        if item.kind in ("list", "macro", "rule"):
            item.named(item.kind)
        item.warn_unknown(KEYS[item.kind])
        _define(item, definer, engine_version)
    except Invalid:
        return


def _define(item: Item, definer: Definer, engine_version: str) -> None:
    match item.kind:
        case "required_engine_version":
            read_engine_version(item, definer.collection, engine_version)
        case "required_plugin_versions":
            read_plugin_versions(item, definer.collection)
        case "list" if not change(item, definer):
            definer.define_list(item)
        case "macro" if not change(item, definer):
            definer.define_macro(item)
        case "rule" if not change(item, definer):
            definer.define_rule(item)


def _unknown(item: Item) -> None:
    hint = next((hint for key in item.keys if (hint := near(key, KEYS))), "")
    message = "an item that is no list, macro, rule or requirement is ignored"
    span = item.span(item.node)
    diagnostic = Diagnostic("unknown-item", "LOAD_UNKNOWN_ITEM", message, span, WARNING, hint, item=_CONTENT_ITEM)
    item.report.add(diagnostic)
