"""What tests of rules found, as lines for people and as JUnit XML for machines."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from xml.etree.ElementTree import Element, ElementTree, SubElement

from engine.ruleset import Rule
from lanner.ruletest import Outcome

Results = Mapping[str, Sequence[Outcome]]
"""Outcomes by the path of their file."""


def failures(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield the lines about what failed: where, what was expected, what happened and what decided it."""
    for outcome in outcomes:
        if outcome.problem:
            where = outcome.case.place if outcome.case else outcome.test.place
            yield f"FAIL  {where}: {_title(outcome)}"
            yield from (f"      {line}" for line in outcome.problem)


def _title(outcome: Outcome) -> str:
    return f"{outcome.test.rule}: {outcome.case.name}" if outcome.case else outcome.test.rule


def summary(results: Results) -> str:
    """Return one line that counts rules, cases and failures."""
    outcomes = [outcome for found in results.values() for outcome in found]
    failed = sum(bool(outcome.problem) for outcome in outcomes)
    rules = len({outcome.test.rule for outcome in outcomes})
    return f"{rules} rules, {len(outcomes)} cases in {len(results)} files: {failed or 'none'} failed"


def cases_by_rule(results: Results) -> tuple[Counter[str], Counter[str]]:
    """Return how many firing and how many quiet cases each rule has."""
    cases = [(o.test.rule, o.case) for found in results.values() for o in found if o.case]
    return (
        Counter(rule for rule, case in cases if case.fires),
        Counter(rule for rule, case in cases if not case.fires),
    )


def untested(rules: Iterable[Rule], results: Results, least: int = 1) -> list[str]:
    """Return the names of rules with fewer firing or fewer quiet cases than wanted, in order."""
    fires, quiet = cases_by_rule(results)
    names = dict.fromkeys(rule.name for rule in rules)
    return [name for name in names if fires[name] < least or quiet[name] < least]


def coverage(rules: Sequence[Rule], results: Results) -> Iterator[str]:
    """Yield, rule by rule, how many cases it has and which of its comparisons were never true or never false."""
    fires, quiet = cases_by_rule(results)
    answers: dict[str, dict[str, set[bool]]] = {}
    for outcome in (outcome for found in results.values() for outcome in found):
        seen = answers.setdefault(outcome.test.rule, {})
        for text, answer in outcome.asked:
            seen.setdefault(text, set()).add(answer)
    for name in dict.fromkeys(rule.name for rule in rules):
        yield f"{fires[name]:3} fire {quiet[name]:3} quiet  {name}"
        for text, seen_answers in answers.get(name, {}).items():
            if len(seen_answers) == 1:
                yield f"{'':20}always {'true' if True in seen_answers else 'false'}: {text}"


def junit(results: Mapping[str, Sequence[Outcome]]) -> "ElementTree[Element]":
    """Return the outcomes as JUnit XML: a suite a file, a case a case."""
    root = Element("testsuites")
    for name, outcomes in results.items():
        failed = sum(bool(outcome.problem) for outcome in outcomes)
        suite = SubElement(root, "testsuite", name=name, tests=str(len(outcomes)), failures=str(failed))
        for outcome in outcomes:
            title = outcome.case.name if outcome.case else "rule"
            case = SubElement(suite, "testcase", classname=outcome.test.rule, name=title)
            if outcome.problem:
                SubElement(case, "failure", message=outcome.problem[0]).text = "\n".join(outcome.problem)
    return ElementTree(root)
