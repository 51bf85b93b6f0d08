import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.define import Definer
from engine.definitions import Collection
from engine.diagnostics import Report
from engine.legacy import DEFAULT_OUTPUT, looks_legacy, read_legacy
from engine.parser import parse_condition
from engine.resolve import Resolver
from engine.rulefile import RuleFile, read_files
from engine.sourcefile import SourceFile
from engine.tree import node_text
from tests.engine.reading import fine, only, read, slugs

README = """\
write: (syscall.type=write and fd.typechar=f) or (syscall.type=writev and fd.typechar=f)
interactive: proc.pname = bash or proc.pname = sshd
write and interactive and fd.name contains sysdig
"""


def conditions(text: str) -> dict[str, str]:
    """The conditions of the rules of a file with macros written out, in canonical form."""
    report = Report()
    collection = read_files([RuleFile("f", text)], ["syscall"], report)
    resolver = Resolver(collection, report)
    resolver.macros()
    found = {rule.name: node_text(resolver.rule(rule)) for rule in collection.rules.values()}
    assert report.diagnostics == []
    return found


def test_the_first_rules_ever_published_load():
    writes = "((syscall.type = write and fd.typechar = f) or (syscall.type = writev and fd.typechar = f))"
    people = "(proc.pname = bash or proc.pname = sshd)"

    assert conditions(README) == {"legacy-3": f"({writes} and {people} and fd.name contains sysdig)"}


def test_a_rule_has_priority_output_and_the_comment_above():
    rule = fine(
        "# Not this.\n\n# A shell\n#   in a container.\n  container.id != host | warn Bash (%proc.name) | x \n"
    ).rules["legacy-5"]

    assert (rule.desc, rule.output.text, rule.priority.label) == (
        "A shell in a container.",
        "Bash (%proc.name) | x",
        "Warning",
    )
    assert (rule.sources, rule.position, rule.enabled, rule.tags) == (("syscall",), 0, True, ())
    assert (rule.condition.place(0), rule.output.place(0)) == (("a.yaml", 5, 3), ("a.yaml", 5, 31))
    assert (rule.at.span.line, rule.at.span.col, rule.at.span.end_col) == (5, 3, 23)


@pytest.mark.parametrize("line", ["proc.name = x", "proc.name = x | WARNING", "proc.name = x | WARNING  "])
def test_a_rule_without_output_has_the_usual_one(line):
    rule = fine(line).rules["legacy-1"]

    assert (rule.output.text, rule.priority.label, rule.desc) == (DEFAULT_OUTPUT, "Warning", "")
    assert rule.output.place(0) == ("a.yaml", 1, 1)


PRIORITIES = {"e": 0, "Al": 1, "crit": 2, "Err": 3, "WARN": 4, "n": 5, "INFO": 6, "debug": 7}


@pytest.mark.parametrize(("word", "level"), PRIORITIES.items())
def test_priorities_may_be_cut_short(word, level):
    assert fine(f"proc.name = x | {word} y").rules["legacy-1"].priority == level


# (condition of 2016, today's canonical form)
REWRITTEN = {
    "operators": ("a.b == x and a.c >= 1 and a.d!=y", "(a.b = x and a.c >= 1 and a.d != y)"),
    "no blank behind a word operator": ("a.b contains'x'", "a.b contains x"),
    "exists": ("not a.b exists or (a.c exists)", "(not a.b exists or a.c exists)"),
    "a field argument": ("evt.arg[0] = x", "evt.arg[0] = x"),
    "hexadecimal": ("a.b = 0x10 and a.c in (0xff, 1)", "(a.b = 16 and a.c in (255, 1))"),
    "other numbers": ("a.b = 1.5 and a.c = 010", "(a.b = 1.5 and a.c = 010)"),
    "a negative number": ("a.b > -5 and a.c = -5", "(a.b > -5 and a.c = -5)"),
    "quotes in a bare word": ("a.b = it's and a.c=x\"y", '(a.b = "it\'s" and a.c = "x"y")'),
    "signs in a bare word": ("a.b = *.log or a.b = a|b or a.b = >x", "(a.b = *.log or a.b = a|b or a.b = >x)"),
    "strings": ("a.b = 'x y' or a.b = \"it's\"", '(a.b = "x y" or a.b = "it\'s")'),
    "escapes": (r"a.b = '\a\v\t\\\'' ", 'a.b = "\a\v\t\\\'"'),
    "stray commas": ("a.b in ( 1 ,, , b) and a.c in (,x,)", "(a.b in (1, b) and a.c in (x))"),
    "an empty list": ("a.b in () or a.b in (,)", "(a.b in () or a.b in ())"),
    "precedence": ("a.b = x or a.c = y and not a.d = z", "(a.b = x or (a.c = y and not a.d = z))"),
    "blanks": ("\ta.b\t=\tx  ", "a.b = x"),
}


@pytest.mark.parametrize(("old", "new"), REWRITTEN.values(), ids=REWRITTEN)
def test_conditions_are_said_in_todays_language(old, new):
    rule = fine(f"{old}\nzz.z = 1\n").rules["legacy-1"]

    assert node_text(parse_condition(rule.condition)) == new


def test_every_character_of_a_condition_keeps_its_place():
    text = "a.b in (x ,, 'y\\'z') and a.c contains'q' and _m\n_m: a.d = 0x10 or a.e=w\n"
    found, _ = read(text)
    lines = text.split("\n")

    condition = found.rules["legacy-1"].condition
    places = {c: condition.place(condition.text.index(c))[2] for c in "xyzq"}
    assert places == {c: lines[0].index(c) + 1 for c in "xyzq"}
    macro = found.macros["legacy_m"].condition
    assert [macro.place(macro.text.index(c))[1:] for c in "1w"] == [(2, 11), (2, 23)]


def test_values_are_never_the_names_of_lists():
    report = Report()
    files = [
        RuleFile("a", "- list: bash\n  items: [zsh]\n"),
        RuleFile("b", "proc.name = bash or proc.name in (bash, sh)\n"),
    ]
    collection = read_files(files, ["syscall"], report)

    rule = Resolver(collection, report).rule(collection.rules["legacy-1"])
    assert node_text(rule) == "(proc.name = bash or proc.name in (bash, sh))"


def test_macros_may_use_later_ones_and_begin_with_an_underscore():
    text = "a: _b and c\n_b : x.y = 1\nc: x.z = 2\na\n"

    assert conditions(text) == {"legacy-4": "(x.y = 1 and x.z = 2)"}


def test_a_macro_that_no_rule_used_may_be_redefined():
    assert conditions("a: x.y = 1\na: x.y = 2\na\na: x.y = 2\n") == {"legacy-3": "x.y = 2"}


def test_a_macro_that_uses_itself_is_an_error():
    report = Report()
    collection = read_files([RuleFile("f", "a: b or x.y = 1\nb: a\nx.y = 2\n")], ["syscall"], report)
    Resolver(collection, report).macros()

    assert {d.slug for d in report.errors} == {"macro-loop"}


def test_a_macro_that_nothing_defines_is_left_to_the_resolver():
    assert slugs(read("nothing and x.y = 1\n")[1]) == []


def test_macros_of_files_before_may_be_used():
    found, report = read("- macro: m\n  condition: a.b = c\n", "m and x.y = 1\n")

    assert report.diagnostics == []
    assert found.rules["legacy-1"].condition.text == "m and x.y = 1"


def test_every_bad_line_is_told_and_costs_itself_alone():
    found, report = read("m:x.y=1\nx.y = 1\nx.y = 7zip\n  \nx.y =\n")

    assert [(d.span.line, d.slug) for d in report.errors] == [
        (1, "legacy-syntax"),
        (3, "legacy-syntax"),
        (5, "legacy-syntax"),
    ]
    assert list(found.rules) == ["legacy-2"]


def test_rules_of_two_files_do_not_replace_each_other():
    found = fine("a.b = c\n", "d.e = f\n")

    assert [rule.condition.text for rule in found.rules.values()] == ['a.b = "c"', 'd.e = "f"']
    assert list(found.rules) == ["legacy-1", "legacy-1 of b.yaml"]


def test_later_files_can_change_the_rules():
    found = fine("a.b = c | INFO x\n", "- rule: legacy-1\n  tags: [old]\n  override: {tags: replace}\n")

    assert found.rules["legacy-1"].tags == ("old",)


def test_without_a_source_for_hosts_the_rules_are_skipped():
    report = Report()
    found = read_files([RuleFile("f", "a.b = c\n")], ["k8s_audit"], report)

    assert (only(report).slug, only(report).code) == ("unknown-source", "LOAD_UNKNOWN_SOURCE")
    assert found.rules["legacy-1"].skipped == "unknown source syscall"


def test_a_huge_number_is_no_trouble():
    assert only(read(f"a.b = 0x{'f' * 10_000}\n")[1]).slug == "legacy-syntax"


LEGACY = {
    "the first rules": README,
    "a single condition": "proc.name = bash",
    "a comment first": "# rules\n\nproc.name = bash | WARNING x",
    "macros without comparison among others": "a: b\nb: fd.name contains x\na\n",
    "some bad lines": "a.b = c\n???\n",
    "a macro without blank": "m:proc.name=1",
    "carriage returns": "a.b = c\r\nd.e in (f)\r\n",
}
OTHER = {
    "nothing": "",
    "only comments": "# a.b = c\n",
    "rules of today": "- rule: r\n  condition: a.b = c\n",
    "a document": "---\n- rule: r\n  condition: a.b = c\n",
    "a flow sequence": "[{rule: r, condition: a.b = c}]",
    "a mapping that should be an item": "rule: r\ncondition: a.b = c\noutput: o\n",
    "an item with its dash forgotten": "macro: m\ncondition: a.b = c\n",
    "a list below a key": "rules:\n- condition: a.b = c\n",
    "prose": "This is not yaml",
    "prose with a comparison": "This is not yaml.\nReally, it is not!\nOr is a.b = c?\n",
    "keys": "this : is : not : yaml",
    "one word": "word",
    "JSON": '{"a": "b.c = d"}',
}


@pytest.mark.parametrize("text", LEGACY.values(), ids=LEGACY)
def test_the_format_of_2016_is_told_from_its_lines(text):
    assert looks_legacy(text)


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_nothing_else_is_taken_for_the_format_of_2016(text):
    assert not looks_legacy(text)


WORDS = ["a.b", "c", "_d", "=", "!=", "in", "contains", "exists", "and", "or", "not", "(", ")", ",", "x", "'y'", '"z']
WORDS += ["7", "0x1", " ", " ", "|", "| INFO out", ":", "m: ", "\\", "#", "[0]", "é"]


@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_any_line_is_read_or_refused_with_a_place_in_it(words):
    line = "".join(words)
    report, definer = Report(), Definer(Collection(), frozenset(["syscall"]))
    read_legacy(SourceFile.of("f", f"a.b = c\n{line}\na.b = d\n"), definer, report)

    assert {"legacy-1", "legacy-3"} <= set(definer.collection.rules)
    for diagnostic in report.diagnostics:
        assert diagnostic.span.line == 2
        assert 1 <= diagnostic.span.col <= len(line) + 1
