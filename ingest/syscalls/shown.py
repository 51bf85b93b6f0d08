"""What the kernel is asked for a rule, for people."""

from collections.abc import Iterator

from engine.fields import FieldTable
from engine.plan import Constraints, Reducer, ValueClass
from engine.ruleset import Rule
from engine.typed import Checked, Test, walk
from ingest.syscalls.pushdown import ALWAYS, NEVER, Every, Formula, Inverse, Leaf, Some, formulas, kernel_fact

_SHOWN = 6
_WORDS = {
    "comm": "task name is",
    "comm-prefix": "task name starts with",
    "path": "path is",
    "path-prefix": "path starts with",
    "path-suffix": "path ends with",
    "ret": "result is",
    "ret-below": "result is below",
    "uid": "user id is",
    "open": "opened for",
}


def kernel_view(rule: Rule, table: FieldTable) -> str:
    """Return, for each event type that a rule can match, what the kernel decides and what is left to the engine."""
    lines = list(_lines(rule, table))
    if Constraints(table).allowed(rule.condition, "evt.type").negative:
        lines.insert(0, "names no event type: the kernel sends all events but mere input and output for it")
    return "\n".join(lines)


def _lines(rule: Rule, table: FieldTable) -> Iterator[str]:
    found = formulas(rule, table)
    shown: dict[str, list[str]] = {}
    for name, formula in found.items():
        text = "\n".join(_formula(formula, 1)) if formula not in (ALWAYS, NEVER) else "  every one is sent"
        left = "".join(f"\n  the engine decides: {part}" for part in _left(rule.condition, table, name))
        shown.setdefault(f"{text}{left}", []).append(name)
    for text, names in shown.items():
        yield f"{_some(names)}:\n{text}"


def _formula(formula: Formula, depth: int) -> Iterator[str]:
    pad = "  " * depth
    match formula:
        case Leaf():
            yield f"{pad}{_leaf(formula)}"
        case Inverse(leaf):
            yield f"{pad}not: {_leaf(leaf)}"
        case Every(items) | Some(items):
            yield f"{pad}{'all of' if isinstance(formula, Every) else 'one of'}"
            for item in sorted(items, key=repr):
                yield from _formula(item, depth + 1)


def _leaf(leaf: Leaf) -> str:
    if not leaf.values:
        return "path is not in its shortest form"
    if leaf.what == "open":
        return (
            f"opened for {' or '.join(('reading', 'writing')[int(value)] for value in sorted(map(int, leaf.values)))}"
        )
    texts = [value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in leaf.values]
    return f"{_WORDS[leaf.what]} {_some(sorted(texts))}"


def _some(texts: list[str]) -> str:
    more = f" and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return f"{', '.join(texts[:_SHOWN])}{more}"


def _left(condition: Checked, table: FieldTable, event: str) -> list[str]:
    """Return the comparisons of a condition that the kernel cannot answer for an event type, each once."""
    fact = kernel_fact(event)
    reduced = Reducer(table, {"evt.type": ValueClass(event, {})}).reduce(condition)
    tests = (node for node in walk(reduced) if isinstance(node, Test))
    return list(
        dict.fromkeys(_cut(test.at.text.text[test.at.start : test.at.end]) for test in tests if fact(test) is None)
    )


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 120 else f"{line[:117]}..."
