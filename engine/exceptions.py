"""
The exceptions of a rule as rule files write them, checked for shape (spec: rule-language 3.6).

Whether their fields exist, and what their values mean, is known only when the rule is resolved.
"""

from collections.abc import Iterator, Sequence

from engine.definitions import ExceptionDef, Scalar
from engine.items import (
    VALIDATE,
    Invalid,
    Item,
    map_scalars,
    node_kind,
    null_hint,
    open_item,
    present,
    scalar_node,
    sequence,
)
from engine.similar import near
from engine.words import EQUALITIES, LIST_OPS, MODIFIERS, ORDERS, WORD_OPS
from engine.yamlnodes import MappingNode, Node, ScalarNode, SequenceNode

_KEYS = ("name", "fields", "comps", "values")
_MODIFIED = tuple(f"{op} {how}" for op in (*EQUALITIES, "==", *WORD_OPS) for how in MODIFIERS)
_COMPS = (*EQUALITIES, "==", *ORDERS, *WORD_OPS, *LIST_OPS, *_MODIFIED)
_SINGLE_COMPS = (*LIST_OPS, *_MODIFIED)

Row = tuple[Scalar | tuple[Scalar, ...], ...]


def read_exceptions(rule: Item, key: str) -> list[ExceptionDef]:
    """Read the exceptions that a rule defines; wrong ones are reported and left out."""
    found: list[ExceptionDef] = []
    for entry in _entries(rule, key):
        if _named(found, entry.name):
            message = f"{rule.title} has two exceptions '{entry.name}'; values are appended to the first"
            entry.warn(entry.subject, "exception-twice", message, "LOAD_EXCEPTION_NAME_NOT_UNIQUE")
        try:
            found.append(_definition(entry))
        except Invalid:
            continue
    return found


def append_exceptions(rule: Item, key: str, there: list[ExceptionDef]) -> None:
    """Add values to the exceptions that are there, and exceptions that are not."""
    for entry in _entries(rule, key):
        try:
            existing = _named(there, entry.name)
            if existing is None:
                there.append(_new(entry, there))
            else:
                _extend(entry, existing)
        except Invalid:
            continue


def _named(exceptions: Sequence[ExceptionDef], name: str) -> ExceptionDef | None:
    return next((entry for entry in exceptions if entry.name == name), None)


def _entries(rule: Item, key: str) -> Iterator[Item]:
    node = present(rule, key)
    if isinstance(node, ScalarNode) and node.is_null:
        return
    for element in sequence(rule, key):
        if not isinstance(element, MappingNode):
            message = f"an exception of {rule.title} must be a mapping, not {node_kind(element)}"
            rule.report_at(element, "not-a-mapping", message)
            continue
        entry = open_item(rule.file, rule.report, element, "exception", rule.title)
        try:
            entry.named("name")
        except Invalid:
            continue
        entry.warn_unknown(_KEYS)
        yield entry


def _definition(entry: Item) -> ExceptionDef:
    fields, single = _fields(entry)
    comps = _comps(entry, fields, single)
    values = tuple(_rows(entry, len(fields), single)) if "values" in entry.values else ()
    assert isinstance(entry.subject, ScalarNode)
    return ExceptionDef(entry.name, single, fields, comps, values, entry.at(entry.subject))


def _new(entry: Item, there: Sequence[ExceptionDef]) -> ExceptionDef:
    if "fields" not in entry.values:
        hint = near(entry.name, [other.name for other in there]) or "values alone are for an exception that is there"
        message = f"{entry.title} is new and has no 'fields'"
        raise entry.refuse(entry.subject, "missing-key", message, VALIDATE, hint)
    made = _definition(entry)
    if not made.values and _has_no_values(entry):
        message = f"{entry.title} is new and has no values, so it would have no effect"
        raise entry.refuse(entry.subject, "missing-key", message, VALIDATE)
    return made


def _extend(entry: Item, existing: ExceptionDef) -> None:
    fixed = [key for key in ("fields", "comps") if key in entry.values]
    for key in fixed:
        message = f"{entry.title} is defined before; only 'values' can be appended to it, not '{key}'"
        entry.report_at(key, "exception-append", message, VALIDATE)
    if fixed:
        raise Invalid
    if _has_no_values(entry):
        entry.warn(entry.subject, "append-no-values", f"nothing is appended to {entry.title}", "LOAD_APPEND_NO_VALUES")
        return
    existing.values += tuple(_rows(entry, len(existing.fields), existing.single))


def _has_no_values(entry: Item) -> bool:
    node = entry.values.get("values")
    return node is None or (isinstance(node, SequenceNode) and not node.items)


def _fields(entry: Item) -> tuple[tuple[Scalar, ...], bool]:
    node = present(entry, "fields")
    if isinstance(node, ScalarNode):
        return (entry.scalar(scalar_node(entry, "fields")),), True
    found = map_scalars(entry, "fields")
    if len(found) != len(node.items):
        raise Invalid
    if not found:
        raise entry.refuse("fields", "no-fields", f"{entry.title} has no fields", VALIDATE)
    return tuple(entry.scalar(element) for element in found), False


def _comps(entry: Item, fields: tuple[Scalar, ...], single: bool) -> tuple[Scalar, ...]:
    if "comps" not in entry.values:
        return tuple(Scalar("in" if single else "=", field.at) for field in fields)
    if single:
        return (_comp(entry, _single_comp(entry), _SINGLE_COMPS),)
    node = entry.values["comps"]
    if isinstance(node, ScalarNode):
        message = f"'comps' of {entry.title} must be a sequence, since 'fields' is one"
        raise entry.refuse(node, "exception-shape", message, VALIDATE)
    found = map_scalars(entry, "comps")
    if len(found) != len(fields):
        message = f"{entry.title} has {_count(len(fields), 'field')} but {_count(len(found), 'comparison')} in 'comps'"
        raise entry.refuse("comps", "exception-shape", message, VALIDATE)
    return tuple(_comp(entry, element, _COMPS) for element in found)


def _single_comp(entry: Item) -> ScalarNode:
    if isinstance(entry.values["comps"], SequenceNode):
        message = f"'comps' of {entry.title} must be one operator, since 'fields' is one field"
        raise entry.refuse("comps", "exception-shape", message, VALIDATE)
    return scalar_node(entry, "comps")


def _comp(entry: Item, node: ScalarNode, allowed: Sequence[str]) -> Scalar:
    comp = " ".join(node.value.split())
    if comp not in allowed:
        hint = near(comp, allowed) or f"operators are {' '.join(op for op in allowed if ' ' not in op)}"
        if comp in _COMPS:
            hint = "one field alone takes in, pmatch, intersects, or an operator with oneof, anyof or allof"
        message = f"'{comp}' is no comparison that {entry.title} can use"
        raise entry.refuse(node, "exception-comparison", message, VALIDATE, hint)
    return Scalar(comp, entry.at(node))


def _rows(entry: Item, width: int, single: bool) -> Iterator[Row]:
    for node in sequence(entry, "values"):
        try:
            yield (_value(entry, node),) if single else _row(entry, node, width)
        except Invalid:
            continue


def _value(entry: Item, node: Node) -> Scalar:
    if not isinstance(node, ScalarNode):
        message = f"a value of {entry.title} must be text, not {node_kind(node)}"
        hint = "write 'fields' as a sequence to give tuples"
        raise entry.refuse(node, "exception-shape", message, VALIDATE, hint)
    return _element(entry, node)


def _row(entry: Item, node: Node, width: int) -> Row:
    if not isinstance(node, SequenceNode):
        message = f"a value of {entry.title} must be a sequence of {width}, one for each field, not {node_kind(node)}"
        hint = f"write [{node.value}]" if isinstance(node, ScalarNode) and width == 1 else ""
        raise entry.refuse(node, "exception-shape", message, VALIDATE, hint)
    if len(node.items) != width:
        message = f"{entry.title} has {_count(width, 'field')}, but this has {_count(len(node.items), 'value')}"
        raise entry.refuse(node, "exception-shape", message, VALIDATE)
    return tuple(
        tuple(_element(entry, inner) for inner in element.items)
        if isinstance(element, SequenceNode)
        else _element(entry, element)
        for element in node.items
    )


def _element(entry: Item, node: Node) -> Scalar:
    if not isinstance(node, ScalarNode) or node.is_null:
        message = f"a value of {entry.title} must be text, not {node_kind(node)}"
        raise entry.refuse(node, "not-text", message, hint=null_hint(node))
    return entry.scalar(node)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
