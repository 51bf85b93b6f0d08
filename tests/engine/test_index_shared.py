"""The index never changes an answer: real events through the engine, and through every rule alone."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from engine.evaluate import Engine
from engine.event import Event
from engine.load import load_rules
from engine.rulefile import RuleFile
from engine.ruleset import RuleSet
from lanner.catalog import build_catalog
from lanner.formats import FORMATS
from lanner.payloads import find, opened, pieces
from tests.shared import SHARED, needs_shared

pytestmark = needs_shared

ROOT = Path(__file__).resolve().parent.parent.parent
CASES = {
    "aws_cloudtrail": ("rules/aws", "falco-rules/plugins/cloudtrail/aws_cloudtrail_rules.yaml", "cloudtrail"),
    "k8s_audit": ("rules/k8s", "falco-rules/plugins/k8saudit/k8s_audit_rules.yaml", "k8saudit"),
}


@cache
def ruleset(source: str) -> RuleSet:
    assert SHARED is not None
    folder, falco, _ = CASES[source]
    paths = [SHARED / falco, *sorted((ROOT / folder).glob("*.yaml"))]
    result = load_rules([RuleFile(str(p), p.read_text("utf-8")) for p in paths], build_catalog("test"))
    assert result.ruleset is not None, [found.message for found in result.report.errors]
    return result.ruleset


def events(source: str) -> Iterator[Event]:
    assert SHARED is not None
    for payload in find([str(SHARED / CASES[source][2])]):
        if "expected" in payload.path or "labels" in payload.path:
            continue
        with opened(payload.path) as stream:
            for piece in pieces(stream, lambda _: None):
                yield from FORMATS[source].decode(piece.data, payload.path).events


@pytest.mark.parametrize("source", CASES)
def test_the_indexed_rules_match_what_each_rule_alone_matches(source: str) -> None:
    engine = Engine(ruleset(source))
    index = engine.index(source)
    assert index is not None
    batch = list(events(source))

    alone = [(event.uid, hit.name) for event in batch for rule in index.rules for hit in index.single(rule).call(event)]
    together = [(match.event.uid, match.rule.name) for match in engine.evaluate_batch(batch)]

    assert len(batch) > 2000
    assert together == alone
    assert not engine.failures


@pytest.mark.parametrize("source", CASES)
def test_first_matching_gives_the_first_of_all_matches(source: str) -> None:
    every, first = Engine(ruleset(source)), Engine(ruleset(source), matching="first")
    batch = list(events(source))

    firsts: dict[int, str] = {}
    for match in every.evaluate_batch(batch):
        firsts.setdefault(id(match.event), match.rule.name)

    assert {id(match.event): match.rule.name for match in first.evaluate_batch(batch)} == firsts
