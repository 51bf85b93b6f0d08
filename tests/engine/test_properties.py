"""
The engine held against the reference evaluator, and the parser against a printer, on random conditions and events.
"""

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.diagnostics import SourceText
from engine.evaluate import Engine
from engine.event import Event
from engine.parser import parse_condition
from engine.ruleset import RuleSet
from engine.tree import Literal, Node, Not, node_text, walk
from tests.engine import reading, testfields
from tests.engine.reading import rule
from tests.engine.reference import evaluate
from tests.engine.strategies import RuleTexts, events, nodes, resolved, rule_texts, source_text

some_events = st.lists(events(), min_size=1, max_size=2)
few_examples = settings(max_examples=40)


def loaded(texts: RuleTexts) -> RuleSet:
    macros = [{"macro": name, "condition": source_text(node)} for name, node in texts.macros.items()]
    return reading.loaded([*macros, *(rule(str(at), condition=source_text(one)) for at, one in enumerate(texts.rules))])


def fired(engine: Engine, event: Event) -> list[str]:
    names = [match.rule.name for match in engine.evaluate(event)]
    assert not engine.failures
    return names


@given(nodes(macros=2))
def test_reading_what_was_written_gives_the_same_tree(node: Node) -> None:
    assert parse_condition(SourceText(source_text(node))) == node


@given(nodes(macros=2))
def test_the_canonical_form_reads_back_when_no_constant_needs_quotes(node: Node) -> None:
    literals = [found for here in walk(node) for found in _literals(here)]
    assume(all(found.kind != "quoted" for found in literals))
    assume(not any(isinstance(here, Not) and isinstance(here.item, Not) for here in walk(node)))
    assert parse_condition(SourceText(node_text(node))) == node


def _literals(node: object) -> list[Literal]:
    if isinstance(node, Literal):
        return [node]
    if isinstance(node, tuple):
        return [found for part in node for found in _literals(part)]
    parts = [getattr(node, name, None) for name in ("left", "right", "args", "items")]
    return [found for part in parts if part is not None for found in _literals(part)]


@settings(max_examples=300)
@given(rule_texts(), some_events)
def test_the_engine_agrees_with_the_reference(texts: RuleTexts, found: list[Event]) -> None:
    engine = Engine(loaded(texts))
    trees = [resolved(node, texts.macros) for node in texts.rules]
    for event in found:
        want = [str(number) for number, tree in enumerate(trees) if evaluate(tree, event, testfields.TABLE)]
        assert fired(engine, event) == want


@few_examples
@given(rule_texts(), some_events)
def test_the_index_finds_what_each_rule_finds_alone(texts: RuleTexts, found: list[Event]) -> None:
    together = Engine(loaded(texts))
    alone = [Engine(loaded(RuleTexts(texts.macros, (node,)))) for node in texts.rules]
    for event in found:
        want = [str(number) for number, engine in enumerate(alone) if engine.evaluate(event)]
        assert fired(together, event) == want


@few_examples
@given(rule_texts(), some_events)
def test_first_matching_gives_the_first_of_all(texts: RuleTexts, found: list[Event]) -> None:
    rules = loaded(texts)
    every, first = Engine(rules), Engine(rules, matching="first")
    for event in found:
        assert fired(first, event) == fired(every, event)[:1]


@few_examples
@given(rule_texts(), some_events)
def test_a_batch_is_its_events_one_by_one(texts: RuleTexts, found: list[Event]) -> None:
    engine = Engine(loaded(texts))
    one_by_one = [(match.rule, match.event) for event in found for match in engine.evaluate(event)]
    assert [(match.rule, match.event) for match in engine.evaluate_batch(found)] == one_by_one


@few_examples
@given(nodes(), some_events)
def test_deep_nesting_changes_nothing(node: Node, found: list[Event]) -> None:
    plain, deep = source_text(node), source_text(node)
    for _ in range(60):
        deep = f"not (not ({deep}))"
    engine = Engine(reading.loaded([rule("0", condition=plain), rule("1", condition=deep)]))
    for event in found:
        assert fired(engine, event) in ([], ["0", "1"])
