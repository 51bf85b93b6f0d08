"""A page of Markdown for a pack of rules: what each means, what to do first, and what it needs."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import PurePath

from engine.ruleset import Rule, RuleSet
from lanner.attack import techniques

_NEEDS = "needs:"
_MATURITY = "maturity_"


def as_markdown(ruleset: RuleSet) -> Iterator[str]:
    """Yield the lines of the page, rules by file in the order in which they are evaluated."""
    on = sum(rule.definition.enabled for rule in ruleset.rules)
    yield f"{len(ruleset.rules)} rules, {on} of them on."
    for file, rules in groupby(ruleset.rules, lambda rule: PurePath(rule.definition.at.span.file).stem):
        yield f"\n## {file}"
        for rule in rules:
            yield from _rule(rule)


def _rule(rule: Rule) -> Iterator[str]:
    tags = rule.definition.tags
    needs = [f"needs {need}" for need in _after(tags, _NEEDS)]
    facts = [rule.priority.label, *techniques(tags), *_after(tags, _MATURITY), *needs]
    yield f"\n### {rule.name}\n"
    yield f"{' · '.join(facts)}{'' if rule.definition.enabled else ' · **off by default**'}\n"
    yield " ".join(rule.desc.split())
    exceptions = [f"`{entry.name}`" for entry in rule.definition.exceptions]
    if exceptions:
        yield f"\nExceptions: {', '.join(exceptions)}."


def _after(tags: Sequence[str], start: str) -> list[str]:
    return [tag.removeprefix(start).replace("_", " ") for tag in tags if tag.startswith(start)]
