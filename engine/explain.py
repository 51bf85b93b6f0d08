"""
Why a condition holds for an event or not: each comparison with what its field held, and the one that decided.

For people who write rules; walks the checked tree and asks the compiled form of each comparison, so that it cannot
disagree with the engine.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from engine.event import Event
from engine.generate import comparison, value_getter
from engine.output import shown_value
from engine.typed import All, Checked, Const, Either, FieldValue, Negation, Shared, Test, TransformValue, operands
from engine.words import LIST_OPS

MAX_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Explained:
    """
    One node of a condition with its answer.

    Attributes:
        text: The comparison, or the word that joins the parts.
        result: Its answer; None when it was not asked because the rest had decided.
        held: What the left field held, and the right one if there is one; "" for a node with parts.
        parts: The parts in order.
    """

    text: str
    result: bool | None
    held: str
    parts: "tuple[Explained, ...]" = ()


def explain(node: Checked, event: Event) -> Explained:
    """Evaluate a condition step by step, with the short cuts that ``and`` and ``or`` take."""
    match node:
        case Test():
            return _test(node, event)
        case Const(value):
            return Explained("always true" if value else "always false", value, "")
        case Negation(item):
            inner = explain(item, event)
            return Explained("not", not inner.result, "", (inner,))
        case Shared(name, body):
            inner = explain(body, event)
            return Explained(f"macro {name}", inner.result, "", (inner,))
        case All(items) | Either(items):
            return _joined(items, event, isinstance(node, Either))


def _joined(items: tuple[Checked, ...], event: Event, stop_at: bool) -> Explained:
    done: list[Explained] = []
    decided = False
    for item in items:
        if decided:
            done.append(_unasked(item))
            continue
        done.append(explain(item, event))
        decided = done[-1].result is stop_at
    return Explained("or" if stop_at else "and", stop_at if decided else not stop_at, "", tuple(done))


def _unasked(node: Checked) -> Explained:
    match node:
        case Test():
            return Explained(_source(node), None, "")
        case Shared(name, _):
            return Explained(f"macro {name}", None, "")
        case Negation(item):
            return Explained("not", None, "", (_unasked(item),))
        case All(items):
            return Explained("and", None, "", tuple(map(_unasked, items)))
        case Either(items):
            return Explained("or", None, "", tuple(map(_unasked, items)))
        case Const(value):
            return Explained("always true" if value else "always false", None, "")


def _test(node: Test, event: Event) -> Explained:
    result = comparison(node)(event)
    held = _held(node.left, event)
    if node.right is not None:
        held += f"; {node.right.key} is {_held(node.right, event)}"
    return Explained(_source(node), result, held)


def _held(operand: FieldValue | TransformValue, event: Event) -> str:
    value = value_getter(operand)(event)
    if value is None:
        return "absent"
    shown = shown_value(operand, value)
    return repr(shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}...")


def _source(node: Test) -> str:
    text = " ".join(node.at.text.text[node.at.start : node.at.end].split())
    written = node.op in text and all(value.field.name in text for value in operands(node.left))
    return text if written else _composed(node)


def _composed(node: Test) -> str:
    """Return the text of a comparison that stands nowhere as one, as those of exceptions do."""
    if node.right is not None:
        right = f"val({node.right.key})" if isinstance(node.right, FieldValue) else node.right.key
        return f"{node.left.key} {node.op} {right}"
    values = ", ".join(str(value) if isinstance(value, str | int | float) else "..." for value in node.constants)
    values = values if len(values) <= MAX_SHOWN else f"{values[:MAX_SHOWN]}..."
    listed = node.modifier or node.op in LIST_OPS
    return " ".join(filter(None, (node.left.key, node.op, node.modifier, f"({values})" if listed else values)))


def leaves(explained: Explained) -> Iterator[Explained]:
    """Yield the comparisons that were asked, in order."""
    if not explained.parts and explained.result is not None:
        yield explained
    for part in explained.parts:
        yield from leaves(part)


def decider(explained: Explained) -> Explained:
    """Return the comparison that settled the answer: the one after which no other could change it."""
    asked = [part for part in explained.parts if part.result is not None]
    return decider(asked[-1]) if asked else explained
