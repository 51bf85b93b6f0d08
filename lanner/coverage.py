"""Which ATT&CK techniques rules cover: as a table, a layer for the ATT&CK Navigator, and a page of HTML."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from engine.ruleset import Rule
from lanner.attack import NAMES, TACTICS, V19, tactics, techniques

LAYER_VERSIONS = {"navigator": "5.1.0", "layer": "4.5"}
"""Versions of the Navigator and of its layer format, beside that of ATT&CK."""

_COLOURS = ["#ffffff", "#1f6f43"]


@dataclass(slots=True)
class Covered:
    """
    A technique and the rules that name it.

    Attributes:
        technique: Its id, in the version of ATT&CK asked for.
        name: Its name; "" when unknown.
        tactics: Words of the tactics its rules name.
        rules: All rules, also those that are off.
        cases: How many test cases these rules have.
    """

    technique: str
    name: str
    tactics: set[str] = field(default_factory=set)
    rules: list[Rule] = field(default_factory=list)
    cases: int = 0

    @property
    def enabled(self) -> int:
        """How many of its rules are on."""
        return sum(rule.enabled for rule in self.rules)


def covered(rules: Iterable[Rule], cases: Mapping[str, int], attack: int) -> list[Covered]:
    """
    Return the techniques that rules name, by id.

    Args:
        rules: Rules with their tags.
        cases: Number of test cases by the name of their rule.
        attack: Version of ATT&CK whose ids are wanted, 18 or 19.
    """
    found: dict[str, Covered] = {}
    for rule in rules:
        for technique in techniques(rule.tags):
            shown = V19.get(technique, technique) if attack >= 19 else technique
            row = found.setdefault(shown, Covered(shown, NAMES.get(technique, "")))
            row.tactics.update(tactics(rule.tags))
            if rule not in row.rules:
                row.rules.append(rule)
                row.cases += cases.get(rule.name, 0)
    return [found[technique] for technique in sorted(found)]


def as_table(rows: Sequence[Covered]) -> Iterator[str]:
    """Yield a line a technique: rules that are on and all, their cases, sources, name."""
    yield f"{'technique':<10} {'on':>4} {'all':>4} {'cases':>6}  {'sources':<26} name"
    for row in rows:
        sources = ", ".join(sorted({rule.source for rule in row.rules}))
        yield f"{row.technique:<10} {row.enabled:>4} {len(row.rules):>4} {row.cases:>6}  {sources:<26} {row.name}"
    rules = {(rule.source, rule.name): rule for row in rows for rule in row.rules}
    on = sum(rule.enabled for rule in rules.values())
    yield f"{len(rows)} techniques by {len(rules)} rules, {on} of them on"


def as_layer(rows: Sequence[Covered], attack: int) -> str:
    """
    Return a layer for the ATT&CK Navigator; the score of a technique is the number of its rules that are on.

    Source: github.com/mitre-attack/attack-navigator, layers/spec, format 4.5.
    """
    layer = {
        "name": "Lanner",
        "versions": {"attack": str(attack), **LAYER_VERSIONS},
        "domain": "enterprise-attack",
        "description": "Techniques that the rules name; the score is the number of rules that are on",
        "techniques": [
            {
                "techniqueID": row.technique,
                "score": row.enabled,
                "comment": "\n".join(rule.name for rule in row.rules),
                "enabled": True,
            }
            for row in rows
        ],
        "gradient": {"colors": _COLOURS, "minValue": 0, "maxValue": max((row.enabled for row in rows), default=1)},
        "hideDisabled": False,
    }
    return json.dumps(layer, indent=2)


def as_html(rows: Sequence[Covered]) -> str:
    """Return a page with a column a tactic; a technique stands under each tactic that its rules name."""
    columns = [(name, [row for row in rows if word in row.tactics]) for word, name in TACTICS.items()]
    body = "".join(_column(name, held) for name, held in columns if held)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Lanner: ATT&amp;CK coverage</title>'
        "<style>body{font:14px sans-serif;display:flex;gap:8px;align-items:flex-start}section{min-width:190px}"
        "h2{font-size:15px}details{border:1px solid #bbb;border-radius:4px;margin:4px 0;padding:4px}"
        f".off{{color:#999}}</style>{body}</html>\n"
    )


def _column(name: str, rows: Sequence[Covered]) -> str:
    return f"<section><h2>{escape(name)}</h2>{''.join(map(_cell, rows))}</section>"


def _cell(row: Covered) -> str:
    rules = "".join(f'<li class="{"on" if rule.enabled else "off"}">{escape(rule.name)}</li>' for rule in row.rules)
    head = f"<b>{row.technique}</b> {escape(row.name)} ({row.enabled})"
    return f"<details><summary>{head}</summary><ul>{rules}</ul></details>"
