"""
Items that change what is defined: ``override``, and its predecessors ``append: true`` and the bare ``enabled``.

Spec: rule-language 3.7.
"""

import re
from collections.abc import Mapping
from typing import Any

from engine.define import OPTIONAL, REQUIRED, RULE_READERS, Definer, attribute, read_sources
from engine.definitions import ListDef, MacroDef, RuleDef
from engine.diagnostics import SourceText
from engine.exceptions import append_exceptions
from engine.items import VALIDATE, Invalid, Item, flag, node_kind, open_item, scalars, text, word
from engine.similar import near
from engine.yamlnodes import MappingNode, ScalarNode

_OPERATIONS = ("append", "replace")
_REPLACEABLE: Mapping[str, tuple[str, ...]] = {
    "list": ("items",),
    "macro": ("condition",),
    "rule": tuple(RULE_READERS),
}
_APPENDABLE: Mapping[str, tuple[str, ...]] = {
    "list": ("items",),
    "macro": ("condition",),
    "rule": ("condition", "output", "desc", "tags", "exceptions"),
}
_LEGACY_APPEND = ("condition", "exceptions")


def change(item: Item, definer: Definer) -> bool:
    """
    Carry out an item that changes something defined before; False if it is none and defines something itself.

    Raises:
        Invalid: It is one but wrong; the report says why.
    """
    appends = "append" in item.values and flag(item, "append")
    if "override" in item.values:
        if appends:
            message = f"{item.title} has both 'append: true' and 'override'"
            raise item.refuse("append", "append-and-override", message, hint="leave 'append' away")
        _override(item, _operations(item), definer)
    elif appends:
        _warn_of_append(item)
        _append(item, definer)
    elif item.kind == "rule" and not any(key in item.values for key in REQUIRED):
        _toggle(item, definer)
    else:
        return False
    return True


# What an item asks for


def _operations(item: Item) -> dict[str, str]:
    """Read which keys are appended to and which replaced."""
    node = item.values["override"]
    if not isinstance(node, MappingNode) or not node.items:
        what = "an empty mapping" if isinstance(node, MappingNode) else node_kind(node)
        message = f"'override' of {item.title} must say 'append' or 'replace' for some key, not {what}"
        raise item.refuse("override", "bad-override", message, hint="as in 'override: {condition: append}'")
    asked = open_item(item.file, item.report, node, item.kind)
    asked.name, asked.subject = item.name, item.subject
    problems = [_operation_problem(asked, key, item) for key in asked.keys]
    problems += [_unlisted_problem(item, key, asked) for key in _REPLACEABLE[item.kind]]
    if any(problems):
        raise Invalid
    return {key: word(asked, key) for key in asked.keys}


def _operation_problem(asked: Item, key: str, item: Item) -> bool:
    """Report what is wrong with one line of ``override``; False if nothing is."""
    if key not in _REPLACEABLE[item.kind]:
        hint = "a rule keeps its source" if key == "source" else near(key, _REPLACEABLE[item.kind])
        asked.report_at(key, "bad-override", f"'{key}' of a {item.kind} cannot be overridden", hint=hint)
        return True
    node = asked.values[key]
    operation = node.value if isinstance(node, ScalarNode) else ""
    if operation not in _OPERATIONS:
        shown = f"'{operation}'" if operation else node_kind(node)
        message = f"'override' must say 'append' or 'replace' for '{key}', not {shown}"
        hint = near(operation, _OPERATIONS) or "'append' adds to what is there, 'replace' takes its place"
        asked.report_at(node if operation else key, "bad-override", message, hint=hint)
    elif operation == "append" and key not in _APPENDABLE[item.kind]:
        asked.report_at(node, "bad-override", f"nothing can be appended to '{key}'", hint="use 'replace'")
    elif key not in item.values:
        message = f"'override' names '{key}', but {item.title} has no '{key}' here"
        asked.report_at(key, "bad-override", message, hint=f"add '{key}: ...' above 'override'")
    else:
        return False
    return True


def _unlisted_problem(item: Item, key: str, asked: Item) -> bool:
    if key not in item.values or key in asked.keys:
        return False
    message = f"'{key}' is given, but 'override' does not say what to do with it"
    item.report_at(key, "bad-override", message, hint=f"add '{key}: replace' below 'override'")
    return True


def _warn_of_append(item: Item) -> None:
    keys = [key for key in _REPLACEABLE[item.kind] if key in item.values]
    used = [key for key in keys if item.kind != "rule" or key in _LEGACY_APPEND]
    ignored = [key for key in keys if key not in used]
    message = "'append: true' is deprecated" + _no_effect(ignored)
    hint = f"write 'override: {{{', '.join(f'{key}: append' for key in used)}}}' in its place" if used else ""
    item.warn("append", "deprecated-append", message, "LOAD_DEPRECATED_ITEM", hint)


# Doing it


def _override(item: Item, operations: Mapping[str, str], definer: Definer) -> None:
    if item.kind == "rule":
        _override_rule(item, operations, definer)
    elif "append" in operations.values():
        _append(item, definer)
    elif item.kind == "list":
        definer.define_list(item)
    else:
        definer.define_macro(item)


def _append(item: Item, definer: Definer) -> None:
    match item.kind:
        case "list":
            entry: ListDef = _target(item, definer.collection.lists)
            entry.items += item.read(scalars, "items") or ()
            entry.latest = definer.next()
        case "macro":
            macro: MacroDef = _target(item, definer.collection.macros)
            macro.condition = _joined(item, macro.condition)
            macro.latest = definer.next()
        case _:
            _append_rule(item, _rule(item, definer))


def _target(item: Item, known: Mapping[str, Any]) -> Any:
    """Return what an item changes."""
    if item.name in known:
        return known[item.name]
    message = f"there is no {item.title} before this that could be changed"
    hint = near(item.name, known) or "give the file that defines it before this one"
    raise item.refuse(item.subject, "no-such-item", message, VALIDATE, hint)


def _rule(item: Item, definer: Definer) -> RuleDef:
    rule: RuleDef = _target(item, definer.collection.rules)
    node = item.values.get("source")
    if node is None or (isinstance(node, ScalarNode) and (node.is_null or not node.value)):
        return rule
    if not definer.keeps_source(item, read_sources(item, "source"), rule):
        raise Invalid
    return rule


def _append_rule(item: Item, rule: RuleDef) -> None:
    if not any(key in item.values for key in _LEGACY_APPEND):
        message = f"{item.title} appends neither a condition nor exceptions"
        raise item.refuse(item.subject, "missing-key", message, VALIDATE)
    for key in _LEGACY_APPEND:
        if key in item.values:
            _append_key(item, key, rule)


def _override_rule(item: Item, operations: Mapping[str, str], definer: Definer) -> None:
    rule = _rule(item, definer)
    for key, operation in sorted(operations.items(), key=lambda asked: asked[1]):
        if operation == "append":
            _append_key(item, key, rule)
        elif (value := item.read(RULE_READERS[key], key)) is not None:
            setattr(rule, attribute(key), value)


def _append_key(item: Item, key: str, rule: RuleDef) -> None:
    match key:
        case "condition":
            rule.condition = _joined(item, rule.condition)
        case "exceptions":
            item.read(lambda of, at: append_exceptions(of, at, rule.exceptions), key)
        case "output":
            more: SourceText | None = item.read(RULE_READERS[key], key)
            rule.output = rule.output.joined(more) if more else rule.output
        case "desc":
            rule.desc = f"{rule.desc} {item.read(word, key) or ''}".strip()
        case "tags":
            rule.tags = tuple(dict.fromkeys((*rule.tags, *(item.read(RULE_READERS[key], key) or ()))))


def _toggle(item: Item, definer: Definer) -> None:
    """Carry out an item that only says whether a rule is enabled."""
    if "enabled" not in item.values:
        message = f"{item.title} has none of {', '.join(REQUIRED)}, and no 'enabled' either"
        there = "to change a rule, list its keys below 'override'"
        new = "the keys of a rule stand in the lines below its name, without '- '"
        hint = there if item.name in definer.collection.rules else new
        raise item.refuse(item.subject, "missing-key", message, hint=hint)
    rule = _rule(item, definer)
    ignored = [key for key in OPTIONAL if key in item.values and key != "enabled"]
    message = "a rule item with 'enabled' and no condition is deprecated" + _no_effect(ignored)
    hint = "write 'override: {enabled: replace}' below it"
    item.warn("enabled", "deprecated-toggle", message, "LOAD_DEPRECATED_ITEM", hint)
    rule.enabled = item.read_or(flag, "enabled", rule.enabled)


def _no_effect(keys: list[str]) -> str:
    if not keys:
        return ""
    return f", and {', '.join(keys)} {'has' if len(keys) == 1 else 'have'} no effect with it"


# Appended conditions

_TOKEN = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[()]|(?<![\w.\-/])(?:and|or)(?=[\s(])", re.DOTALL)


_LOOKED_AT = 20_000
"""Characters of a condition up to which appending to it is looked at; no person reads longer ones."""
_TRAPS = {
    "and": ("or", "the appended 'and' binds to what follows the last 'or' of the condition, not to all of it"),
    "or": ("and", "the appended 'or' is an alternative to the whole condition, not to its last part"),
}


def _joined(item: Item, base: SourceText) -> SourceText:
    more = item.read(text, "condition")
    if more is None:
        return base
    first = _TOKEN.search(more.text)
    if first is not None and first[0] in _TRAPS and not more.text[: first.start()].strip():
        other, message = _TRAPS[first[0]]
        if len(base.text) <= _LOOKED_AT and other in _top_level(base.text):
            hint = "if that is not meant, replace the condition"
            item.warn(more.span(*first.span()), "append-precedence", message, "LOAD_COMPILE_CONDITION", hint)
    return base.joined(more)


def _top_level(condition: str) -> set[str]:
    """Return which of ``and`` and ``or`` stand outside of parentheses."""
    depth = 0
    found: set[str] = set()
    for token in _TOKEN.findall(condition):
        depth += {"(": 1, ")": -1}.get(token, 0)
        if not depth and token in ("and", "or"):
            found.add(token)
    return found
