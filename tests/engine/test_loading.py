"""
Everything that loading finds wrong, or doubtful, in conditions, outputs and what they name: the exact text people see.

A case of ``loading/`` is a rule's ``condition``, or ``files`` by name; and ``shown``.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.alert import make_alert
from engine.evaluate import Engine
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


OUTPUT_WORDS = (
    *("%", "%%", "%5", "%t.s", "%t.frob", "%t.k", "%t.lx", "%frob.nicate", "[a]", "[1]", "['a b']", "[", "]", "t.s"),
    *("%tolower(", "%join(", "%val(", "(", ")", ",", "'", '"', " ", ".", "x", "{", "}", "\\", "é", "\n"),
)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(OUTPUT_WORDS), min_size=1, max_size=8).map("".join))
def test_any_output_is_filled_or_refused_with_a_place(text: str) -> None:
    result = load([rule(output=text, condition="evt.num > 0")])
    if result.ruleset is None:
        assert all(found.span.file == "0.yaml" and found.message for found in result.report.errors)
        assert result.report.errors
    else:
        (match,) = Engine(result.ruleset).evaluate(testfields.event(s="a", k={"a": "b"}, lx=["c"]))
        assert json.loads(make_alert(match, "h").json())["rule"] == "r"
