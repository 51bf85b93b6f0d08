"""What the engine made of a rule, for people: its tree, the Python it runs as, and how events find it."""

from collections.abc import Iterator

from engine.index import SourceIndex
from engine.plan import Allowed, Constraints
from engine.ruleset import Rule
from engine.tree import And, Compare, Macro, Node, Not, Or, node_text

MAX_SHOWN = 300


def tree(rule: Rule) -> str:
    """Return a rule's condition as an indented tree, macros opened."""
    return "\n".join(_lines(rule.tree, 0))


def _lines(node: Node, depth: int) -> Iterator[str]:
    pad = "  " * depth
    match node:
        case And(items) | Or(items):
            yield f"{pad}{'and' if isinstance(node, And) else 'or'}"
            for item in items:
                yield from _lines(item, depth + 1)
        case Not(item):
            yield f"{pad}not"
            yield from _lines(item, depth + 1)
        case Macro(name, body):
            yield f"{pad}macro {name}"
            yield from _lines(body, depth + 1)
        case Compare():
            yield f"{pad}{_cut(node_text(node))}"
        case _:
            yield f"{pad}{node_text(node)}"


def code(rule: Rule, index: SourceIndex) -> str:
    """Return the Python function of a rule alone, and what the names in it stand for."""
    function = index.single(rule)
    used = {name: value for name, value in function.constants.items() if name[-1].isdigit() and value != (rule,)}
    legend = "\n".join(f"# {name} = {_cut(repr(value))}" for name, value in used.items())
    return f"{function.source}\n\n{legend}"


def plan(rule: Rule, index: SourceIndex) -> str:
    """Return, for each discriminator in use, the values that can lead an event to the rule."""
    constraints = Constraints(index.table)
    lines = [f"{name}: {_values(constraints.allowed(rule.condition, name))}" for name in index.keys]
    return "\n".join(lines or ["no discriminator is in use: every event is looked at"])


def _values(allowed: Allowed) -> str:
    shown = _cut(", ".join(sorted("<absent>" if value is None else value for value in allowed.values)))
    if not allowed.negative:
        return shown or "none, the rule can never match"
    return f"anything but {shown}" if shown else "anything"


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
