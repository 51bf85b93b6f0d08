from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.priority import Priority
from engine.selection import Selection, from_flags, matches, select


@dataclass(frozen=True)
class Some:
    name: str
    tags: tuple[str, ...] = ()
    enabled: bool = True
    priority: Priority = Priority.NOTICE


RULES = (
    Some("one", ("x",)),
    Some("two", ("x", "y")),
    Some("off", ("z",), enabled=False),
    Some("debug", priority=Priority.DEBUG),
)


def enable(rule: str | None = None, tag: str | None = None) -> Selection:
    return Selection(True, rule, tag)


def disable(rule: str | None = None, tag: str | None = None) -> Selection:
    return Selection(False, rule, tag)


SELECTIONS = {
    "nothing said": ((), "one two debug"),
    "one disabled": ((disable("one"),), "two debug"),
    "one enabled": ((enable("off"),), "one two off debug"),
    "all disabled": ((disable("*"),), ""),
    "all disabled but a tag": ((disable("*"), enable(tag="y")), "two"),
    "a disabled rule enabled by its tag": ((disable("*"), enable(tag="z")), "off"),
    "the last entry decides": ((enable("off"), disable("o*"), enable("one")), "one two debug"),
    "pattern and tag are a union": ((disable("debug", tag="y"),), "one"),
    "tags are exact": ((disable(tag="X"), disable(tag="*")), "one two debug"),
    "names are whole and exact": ((disable("On"), disable("on"), disable("ONE")), "one two debug"),
    "a rule that there is not": ((disable("three"), enable("four")), "one two debug"),
}


@pytest.mark.parametrize(("selection", "names"), SELECTIONS.values(), ids=SELECTIONS)
def test_entries_are_applied_in_order(selection, names):
    assert select(RULES, Priority.DEBUG, selection) == frozenset(names.split())


def test_the_priority_threshold_cannot_be_undone():
    assert select(RULES, Priority.NOTICE, [enable("*")]) == {"one", "two", "off"}
    assert select(RULES, Priority.WARNING, [enable("*")]) == frozenset()
    assert select([Some("e", priority=Priority.ERROR)], Priority.ERROR, ()) == {"e"}


def test_an_entry_needs_a_rule_or_a_tag():
    with pytest.raises(ValueError, match="enable needs a rule or a tag"):
        Selection(True)
    with pytest.raises(ValueError, match="disable needs a rule or a tag"):
        Selection(False)


PATTERNS = [
    ("abc", "abc", True),
    ("abc", "abcd", False),
    ("", "", True),
    ("", "a", False),
    ("*", "", True),
    ("*", "anything\nat all", True),
    ("a*", "a", True),
    ("*c", "abc", True),
    ("a*c", "ac", True),
    ("a*a", "a", False),
    ("*ab*b", "abab", True),
    ("*ab*b", "ab", False),
    ("a**b", "ab", True),
    ("*b*", "abc", True),
    ("a?c", "abc", False),
    ("[a]*", "a", False),
    ("a.c", "abc", False),
    ("Übel*", "Übeltat", True),
]


@pytest.mark.parametrize(("pattern", "name", "want"), PATTERNS)
def test_patterns(pattern, name, want):
    assert matches(pattern, name) is want


def plain_match(pattern: str, name: str) -> bool:
    """The definition, tried out: the star eats nothing, or one character and goes on."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return plain_match(pattern[1:], name) or (name != "" and plain_match(pattern, name[1:]))
    return name[:1] == pattern[0] and plain_match(pattern[1:], name[1:])


@given(st.text("ab*", max_size=8), st.text("ab", max_size=8))
def test_patterns_mean_what_their_definition_says(pattern, name):
    assert matches(pattern, name) is plain_match(pattern, name)


def test_a_hostile_pattern_is_quick():
    assert not matches("*a" * 5000 + "*b", "a" * 5000)


FLAGS = {
    "none": ({}, "one two debug"),
    "-D": ({"disabled_names": ["n", "eb"]}, "two"),
    "-T": ({"disabled_tags": ["y", "z"]}, "one debug"),
    "-D and -T": ({"disabled_names": ["deb"], "disabled_tags": ["y"]}, "one"),
    "-t": ({"only_tags": ["y", "z"]}, "two off"),
}


@pytest.mark.parametrize(("flags", "names"), FLAGS.values(), ids=FLAGS)
def test_former_flags_keep_their_meaning(flags, names):
    assert select(RULES, Priority.DEBUG, from_flags(**flags)) == frozenset(names.split())


@pytest.mark.parametrize("other", [{"disabled_names": ["a"]}, {"disabled_tags": ["a"]}])
def test_only_tags_excludes_the_other_flags(other):
    with pytest.raises(ValueError, match="-t cannot be used together"):
        from_flags(only_tags=["x"], **other)
