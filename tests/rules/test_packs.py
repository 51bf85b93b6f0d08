"""The shipped rules hold what they promise: they fire and keep quiet as tested, and say who, where and what."""

import re
from functools import cache
from pathlib import Path

import pytest

from engine.priority import Priority
from engine.ruleset import Rule
from lanner.catalog import build_catalog
from lanner.rulefiles import bundled
from lanner.ruletest import Outcome, Runner, TestFile, find, read
from lanner.ruletest_report import failures, untested

FILES = find([])
PACKS = sorted(folder.name for folder in bundled().iterdir() if (folder / "tests").is_dir())
LEAST_CASES = 2
TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")
LEAST_ENABLED = {"aws": 70, "k8s": 40, "host": 50}


@cache
def runner() -> Runner:
    return Runner(build_catalog("host"))


@cache
def outcomes(path: Path) -> list[Outcome]:
    return runner().run(read(path))


def rules(pack: str) -> list[Rule]:
    about = TestFile(Path(pack), (str(bundled() / pack),), ())
    return list(runner().engine(about).ruleset.rules)


def ids(path: Path) -> str:
    return f"{path.parent.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=ids)
def test_rules_fire_and_keep_quiet_as_their_tests_say(path: Path) -> None:
    assert list(failures(outcomes(path))) == []


@pytest.mark.parametrize("pack", PACKS)
def test_every_rule_has_two_events_that_fire_and_two_near_misses(pack: str) -> None:
    results = {str(path): outcomes(path) for path in FILES if path.parent.parent.name == pack}

    assert untested(rules(pack), results, LEAST_CASES) == []


@pytest.mark.parametrize("pack", PACKS)
def test_tests_of_a_file_are_about_rules_of_the_file_of_that_name(pack: str) -> None:
    strays = [
        (path.name, test.rule)
        for path in FILES
        if path.parent.parent.name == pack
        for test in read(path).tests
        if f"- rule: {test.rule}\n" not in (path.parent.parent / path.name).read_text("utf-8")
    ]

    assert strays == []


@pytest.mark.parametrize("pack", PACKS)
def test_every_rule_is_described_tagged_and_graded(pack: str) -> None:
    for rule in rules(pack):
        tags = set(rule.tags)
        assert "First, " in rule.desc, f"{rule.name}: desc says what to do first"
        assert any(tag.startswith("mitre_") for tag in tags), rule.name
        assert any(TECHNIQUE.fullmatch(tag) for tag in tags), rule.name
        assert len(tags & {"maturity_stable", "maturity_incubating", "maturity_sandbox"}) == 1, rule.name
        assert Priority.ALERT < rule.priority < Priority.DEBUG, rule.name


@pytest.mark.parametrize("pack", PACKS)
def test_every_message_begins_with_what_happened_and_tells_who_and_from_where(pack: str) -> None:
    for rule in rules(pack):
        text = rule.definition.output.text
        head, bar, facts = text.partition("|")
        assert bar, f"{rule.name}: what happened, then '|', then the facts"
        assert head[0].isupper(), rule.name
        assert "actor" in facts or "user=" in facts or "from=" in facts, rule.name
        assert "from=" in facts, rule.name


@pytest.mark.parametrize("pack", sorted(LEAST_ENABLED))
def test_the_packs_are_as_large_as_promised(pack: str) -> None:
    enabled = [rule for rule in rules(pack) if rule.definition.enabled]

    assert len(enabled) >= LEAST_ENABLED[pack]


def test_no_name_stands_in_two_packs() -> None:
    seen: dict[str, str] = {}
    for pack in PACKS:
        for path in sorted((bundled() / pack).glob("*.yaml")):
            for name in re.findall(r"^- (?:macro|list|rule): (.+)$", path.read_text("utf-8"), re.MULTILINE):
                assert seen.setdefault(name, pack) == pack, f"{name} is in {seen[name]} and in {pack}"
