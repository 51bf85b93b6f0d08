"""
Everything that loading finds wrong, or doubtful, in conditions, outputs and what they name: the exact text people see.

A case of ``loading/`` is a rule's ``condition``, or ``files`` by name; and ``shown``.
"""

from typing import Any

import pytest

from engine.load import load_rules
from engine.render import render_text
from engine.rulefile import RuleFile
from tests.engine import testfields
from tests.engine.reading import golden, load, rule

DEFINED = "- list: names\n  items: [ann, bob]\n- macro: is_root\n  condition: t.s = root\n"
RULE = "- rule: {}\n  desc: d\n  output: o\n  priority: INFO\n  source: test\n  condition: >\n    {}\n"


def files(case: dict[str, Any]) -> dict[str, str]:
    if "files" in case:
        return dict(case["files"])
    return {
        "rules.yaml": RULE.format("r", case["condition"]) + DEFINED + RULE.format("user", "is_root or t.s in (names)")
    }


@pytest.mark.parametrize("case", golden("loading"))
def test_what_is_wrong_is_told_with_its_place_and_what_to_do(case: dict[str, Any]) -> None:
    texts = files(case)
    report = load_rules([RuleFile(name, text) for name, text in texts.items()], testfields.CATALOG).report
    assert render_text(report.diagnostics, texts) == case["shown"].rstrip("\n")


HUGE = "a" * 100_000


@pytest.mark.parametrize(
    "keys", [{"condition": f"{HUGE} = x"}, {"condition": f"t.{HUGE} = x"}, {"output": f"%t.{HUGE}"}]
)
def test_a_huge_word_makes_no_huge_finding(keys: dict[str, str]) -> None:
    (found,) = load([rule(**keys)]).report.diagnostics
    assert max(len(found.message), len(found.hint)) < 510
    assert len(render_text([found], {})) < 2000
