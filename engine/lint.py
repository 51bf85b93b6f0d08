"""
What loads but is probably not meant: Falco's warnings about conditions (spec: rule-language 3.9).

One function a finding; each takes a rule's resolved tree or checked condition and yields diagnostics.
"""

import re
from collections.abc import Iterator

from engine.definitions import RuleDef
from engine.diagnostics import WARNING, Diagnostic
from engine.fields import Field, FieldTable
from engine.legacy import DEFAULT_OUTPUT
from engine.output import Template
from engine.parser import operand_fields
from engine.plan import Constraints
from engine.ruleset import Rule
from engine.transformers import TRANSFORMERS
from engine.tree import At, Compare, FieldRef, Literal, Node, Transform, Values, walk
from engine.typed import Checked, operands
from engine.words import EQUALITIES, LIST_OPS

NA = "<NA>"
MANY_EVENT_TYPES = 100
_TYPOGRAPHIC = "\u2018\u2019\u201c\u201d"
_TRANSFORMED = re.compile(rf"(?:{'|'.join(TRANSFORMERS)})\(.*\)\Z", re.DOTALL)
_ANCHORED = re.compile(r"(?:\^|\.[+*?])?[^\\^$.|?*+()\[\]{}]*(?:\$|\.[+*?])?")


def _warning(slug: str, code: str, message: str, at: At, rule: RuleDef, hint: str = "") -> Diagnostic:
    return Diagnostic(slug, code, message, at.span, WARNING, hint, item=("rule", rule.name))


def _literals(node: Compare) -> tuple[Literal, ...]:
    if isinstance(node.right, Values):
        return node.right.items
    return (node.right,) if isinstance(node.right, Literal) else ()


def conditions(tree: Node, table: FieldTable, rule: RuleDef) -> Iterator[Diagnostic]:
    """Yield the warnings about single comparisons of a rule."""
    for node in walk(tree):
        if isinstance(node, Compare):
            for ref in _refs(node):
                yield from _deprecated(table.fields.get(ref.name), ref.at, rule)
            yield from _unsafe_na(node, table, rule)
            for literal in _literals(node):
                yield from _looks_like_code(literal, node, table, rule)


def _deprecated(row: Field | None, at: At, rule: RuleDef) -> Iterator[Diagnostic]:
    if row is not None and (row.removed or row.deprecated):
        what = "no longer has a value" if row.removed else "is deprecated"
        yield _warning("deprecated-field", "LOAD_DEPRECATED_ITEM", f"field '{row.name}' {what}", at, rule)


def outputs(template: Template, rule: RuleDef) -> Iterator[Diagnostic]:
    """Yield the warnings about a rule's output, unless it is the one that rules of 2016 have without writing it."""
    for token in template.tokens if rule.output.text != DEFAULT_OUTPUT else ():
        start = rule.output.text.find(token.key)
        if start >= 0:  # what append_output adds is not the rule's
            for value in operands(token.value):
                yield from _deprecated(value.field, At(rule.output, start, start + len(token.key)), rule)


def _refs(node: Compare) -> list[FieldRef]:
    right = node.right if isinstance(node.right, FieldRef | Transform) else None
    return [*operand_fields(node.left), *(operand_fields(right) if right else ())]


def _unsafe_na(node: Compare, table: FieldTable, rule: RuleDef) -> Iterator[Diagnostic]:
    row = table.fields.get(node.left.name) if isinstance(node.left, FieldRef) else None
    if row is None or not row.not_na or node.op not in (*EQUALITIES, *LIST_OPS):
        return
    for literal in _literals(node):
        if literal.value == NA:
            message = f"'{row.name}' is never the text {NA}; an absent value compares false"
            hint = f"write 'not {row.name} exists'"
            yield _warning("unsafe-na", "LOAD_UNSAFE_NA_CHECK", message, literal.at, rule, hint)


def _looks_like_code(literal: Literal, node: Compare, table: FieldTable, rule: RuleDef) -> Iterator[Diagnostic]:
    squeezed = literal.value.replace(" ", "")
    if squeezed in table.fields:
        hint = f"to compare with the field write val({squeezed})"
        message = f"'{literal.value}' is compared as text, but is the name of a field"
        yield _warning("text-like-field", "LOAD_COMPILE_CONDITION", message, literal.at, rule, hint)
    elif _TRANSFORMED.match(squeezed):
        message = f"'{literal.value}' is compared as text, but looks like a transformer"
        yield _warning("text-like-transformer", "LOAD_COMPILE_CONDITION", message, literal.at, rule)
    elif literal.kind == "bare" and literal.value[0] in _TYPOGRAPHIC:
        message = f"'{literal.value}' is compared with its quotes, which are not those of the language"
        hint = "quotes are straight: ' or \""
        yield _warning("typographic-quotes", "LOAD_WARNING_EXTENSION", message, literal.at, rule, hint)
    elif node.op == "regex" and _ANCHORED.fullmatch(literal.value):
        message = "the pattern needs no regular expression"
        hint = "use =, contains, startswith or endswith"
        yield _warning("plain-regex", "LOAD_COMPILE_CONDITION", message, literal.at, rule, hint)


def event_types(condition: Checked, table: FieldTable) -> frozenset[str] | None:
    """Return the event types a condition can match; None for a source that has no closed set of them."""
    if not table.discriminators:
        return None
    name = table.discriminators[0]
    domain = table.fields[name].domain
    if domain is None:
        return None
    allowed = Constraints(table).allowed(condition, name)
    return frozenset(value for value in domain if value in allowed)


def too_many_event_types(condition: Checked, table: FieldTable, rule: RuleDef) -> Iterator[Diagnostic]:
    """Yield a warning when a rule must look at nearly every event of its source."""
    types = event_types(condition, table)
    if rule.warn_evttypes and types is not None and len(types) > MANY_EVENT_TYPES:
        message = f"the condition can match {len(types)} event types, so every event must be looked at"
        hint = f"begin with {table.discriminators[0]}, as in: evt.type in (open, openat)"
        yield _warning("no-event-type", "LOAD_NO_EVTTYPE", message, rule.at, rule, hint)


def unportable(rule: Rule, table: FieldTable) -> Iterator[Diagnostic]:
    """Yield what keeps a rule from loading in Falco: Lanner's own fields, several sources, `contains` on lists."""
    definition = rule.definition
    if len(definition.sources) > 1 or definition.sources == ("any",):
        yield _unportable("the rule is for more than one source", definition.at, definition)
    for node in walk(rule.tree):
        if not isinstance(node, Compare):
            continue
        for ref in _refs(node):
            if (row := table.fields.get(ref.name)) is not None and row.own:
                yield _unportable(f"Falco has no field '{ref.name}'", ref.at, definition)
        row = table.fields.get(node.left.name) if isinstance(node.left, FieldRef) else None
        if row is not None and row.is_list and node.op == "contains":
            yield _unportable("Falco refuses 'contains' on a list", node.at, definition)
    for token in rule.output.tokens:
        for value in operands(token.value):
            if value.field.own:
                at = At(definition.output, 0, len(definition.output.text))
                yield _unportable(f"Falco has no field '{value.field.name}', which the output shows", at, definition)


def _unportable(message: str, at: At, rule: RuleDef) -> Diagnostic:
    via = ((f"rule '{rule.name}'", rule.at.span),)
    item = ("rule", rule.name)
    return Diagnostic("not-portable", "LOAD_WARNING_EXTENSION", message, at.span, WARNING, via=via, item=item)
