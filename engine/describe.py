"""
Rules, macros and lists as data, in the shape of Falco's ``-L`` (spec: rule-language 3.11).
"""

from collections.abc import Iterator
from typing import Any

from engine.definitions import Collection, ListDef, MacroDef, RuleDef
from engine.diagnostics import Report, SourceText
from engine.lint import event_types
from engine.parser import operand_fields, parse_condition, parse_left
from engine.resolve import Resolver
from engine.ruleset import Rule, RuleSet
from engine.syntax import ParseFailure
from engine.tree import Compare, FieldRef, Literal, MacroRef, Node, Transform, Values, node_text, operand_text, walk

_Info = dict[str, Any]


def describe(ruleset: RuleSet, rule: str = "") -> _Info:
    """
    Return everything a rule set holds, or one rule of it by name.

    Raises:
        KeyError: No rule of that name compiles.
    """
    rules = {found.name: found for found in ruleset.rules}
    if rule:
        return {"rules": [_rule(rules[rule], ruleset)]}
    collection = ruleset.collection
    resolver = Resolver(collection, Report())
    resolver.macros()
    used_macros, used_lists = _used(collection)
    return {
        "required_engine_version": collection.required_engine_version,
        "required_plugin_versions": [_plugin(need.choices) for need in collection.plugin_needs],
        "rules": [_rule(found, ruleset) for found in rules.values()],
        "macros": [_macro(macro, ruleset, macro.name in used_macros) for macro in collection.macros.values()],
        "lists": [_list(entry, resolver, entry.name in used_lists) for entry in collection.lists.values()],
    }


def _plugin(choices: tuple[tuple[str, str], ...]) -> _Info:
    first, *others = [{"name": name, "version": version} for name, version in choices]
    return {**first, "alternatives": others} if others else first


def _parsed(text: SourceText) -> Node | None:
    try:
        return parse_condition(text)
    except ParseFailure:
        return None


def _comparisons(node: Node | None) -> list[Compare]:
    return [found for found in walk(node) if isinstance(found, Compare)] if node is not None else []


def _names(node: Node | None, collection: Collection) -> tuple[list[str], list[str]]:
    """Return the macros and lists that a condition names itself."""
    macros = [found.name for found in walk(node) if isinstance(found, MacroRef)] if node is not None else []
    words = (word for found in _comparisons(node) for word in _words(found))
    return _unique(macros), _unique(word for word in words if word in collection.lists)


def _words(node: Compare) -> Iterator[str]:
    right = node.right
    for literal in right.items if isinstance(right, Values) else (right,):
        if isinstance(literal, Literal) and literal.kind == "bare":
            yield literal.value


def _unique(names: Any) -> list[str]:
    return sorted(set(names))


def _operators(node: Node | None) -> list[str]:
    return _unique(" ".join(filter(None, (found.op, found.modifier))) for found in _comparisons(node))


def _fields(node: Node | None) -> list[str]:
    found: list[FieldRef] = []
    for comparison in _comparisons(node):
        found += operand_fields(comparison.left)
        if isinstance(comparison.right, FieldRef | Transform):
            found += operand_fields(comparison.right)
    return _unique(operand_text(ref) for ref in found)


def _used(collection: Collection) -> tuple[set[str], set[str]]:
    macros: set[str] = set()
    lists: set[str] = set()
    texts = [macro.condition for macro in collection.macros.values()]
    texts += [rule.condition for rule in collection.rules.values()]
    for text in texts:
        found_macros, found_lists = _names(_parsed(text), collection)
        macros.update(found_macros)
        lists.update(found_lists)
    lists.update(item.value for entry in collection.lists.values() for item in entry.items)
    return macros, lists


def _rule(rule: Rule, ruleset: RuleSet) -> _Info:
    definition = rule.definition
    node = _parsed(definition.condition)
    macros, lists = _names(node, ruleset.collection)
    types = event_types(rule.condition, ruleset.catalog.tables[rule.source])
    return {
        "info": {
            "name": rule.name,
            "condition": definition.condition.text,
            "priority": rule.priority.label,
            "output": definition.output.text,
            "description": rule.desc,
            "enabled": rule.enabled,
            "source": rule.source,
            "capture": definition.capture,
            "capture_duration": definition.capture_duration,
            "tags": sorted(set(rule.tags)),
        },
        "details": {
            "macros": macros,
            "lists": lists,
            "condition_operators": _operators(node),
            "condition_fields": _fields(node),
            "output_fields": _unique(token.key for token in rule.output.tokens),
            **_exceptions(definition),
            "events": sorted(types) if types is not None else [],
            "condition_compiled": node_text(rule.tree),
            "output_compiled": rule.output.text,
            "extra_output_formatted_fields": {name: template.text for name, template in rule.extra_fields},
            "plugins": [],
        },
    }


def _exceptions(definition: RuleDef) -> _Info:
    fields: list[str] = []
    for entry in definition.exceptions:
        for scalar in entry.fields:
            try:
                fields += [operand_text(ref) for ref in operand_fields(parse_left(SourceText(scalar.value)))]
            except ParseFailure:
                continue
    return {
        "exception_fields": _unique(fields),
        "exception_names": _unique(entry.name for entry in definition.exceptions),
        "exception_operators": _unique(comp.value for entry in definition.exceptions for comp in entry.comps),
    }


def _macro(macro: MacroDef, ruleset: RuleSet, used: bool) -> _Info:
    node = _parsed(macro.condition)
    macros, lists = _names(node, ruleset.collection)
    return {
        "info": {"name": macro.name, "condition": macro.condition.text},
        "details": {
            "used": used,
            "macros": macros,
            "lists": lists,
            "condition_operators": _operators(node),
            "condition_fields": _fields(node),
            "condition_compiled": node_text(node) if node is not None else "",
            "plugins": [],
        },
    }


def _list(entry: ListDef, resolver: Resolver, used: bool) -> _Info:
    names = [item.value for item in entry.items if item.value in resolver.collection.lists]
    return {
        "info": {"name": entry.name, "items": [item.value for item in entry.items]},
        "details": {
            "used": used,
            "lists": _unique(names),
            "items_compiled": [literal.value for literal in resolver.lists.items(entry.name)],
            "plugins": [],
        },
    }
