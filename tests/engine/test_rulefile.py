import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.diagnostics import Report
from engine.priority import Priority
from engine.render import render_text
from engine.render_json import render_falco_json
from engine.rulefile import RuleFile, read_files
from tests.engine.reading import fine, only, read, slugs

RULE = "- rule: r\n  desc: d\n  condition: a.b = c\n  output: o\n  priority: INFO\n"


def test_a_file_defines_lists_macros_and_rules():
    found = fine(
        """
- list: shells
  items: [bash, "b c", 5]

- macro: shell
  condition: proc.name in (shells)

- rule: Shell started
  desc: A shell
  condition: shell and evt.type = execve
  output: "  Shell (%proc.name)\\n"
  priority: warning
"""
    )

    shells, shell, rule = found.lists["shells"], found.macros["shell"], found.rules["Shell started"]
    assert [item.value for item in shells.items] == ["bash", "b c", "5"]
    assert shell.condition.text == "proc.name in (shells)"
    assert (rule.condition.text, rule.output.text, rule.desc) == (
        "shell and evt.type = execve",
        "Shell (%proc.name)",
        "A shell",
    )
    assert (rule.priority, rule.sources, rule.enabled, rule.tags, rule.exceptions) == (4, ("syscall",), True, (), [])
    assert (rule.warn_evttypes, rule.skip_if_unknown_filter, rule.capture, rule.capture_duration) == (
        True,
        False,
        False,
        0,
    )


def test_all_definitions_know_their_places():
    found = fine("- list: l\n  items: [a, 'b c']\n- macro: m\n  condition: >\n    a.b\n    = c\n" + RULE)

    assert [(item.at.span.line, item.at.span.col, item.at.span.end_col) for item in found.lists["l"].items] == [
        (2, 11, 12),
        (2, 15, 18),
    ]
    assert (found.lists["l"].at.span.line, found.lists["l"].at.span.col) == (1, 9)
    assert (found.macros["m"].at.span.line, found.macros["m"].at.span.col) == (3, 10)
    assert [found.macros["m"].condition.place(n) for n in (0, 4, 6)] == [
        ("a.yaml", 5, 5),
        ("a.yaml", 6, 5),
        ("a.yaml", 6, 7),
    ]
    assert (found.rules["r"].at.span.line, found.rules["r"].at.span.col) == (7, 9)
    assert found.rules["r"].condition.place(0) == ("a.yaml", 9, 14)


def test_all_keys_of_a_rule_are_read():
    found = fine(
        RULE
        + """  source: aws_cloudtrail
  enabled: no
  tags: [b, a, b]
  exceptions:
  warn_evttypes: "False"
  skip-if-unknown-filter: Yes
  capture: on
  capture_duration: 4294967295
"""
    )

    rule = found.rules["r"]
    assert (rule.sources, rule.enabled, rule.tags, rule.exceptions) == (("aws_cloudtrail",), False, ("b", "a"), [])
    assert (rule.warn_evttypes, rule.skip_if_unknown_filter, rule.capture, rule.capture_duration) == (
        False,
        True,
        True,
        2**32 - 1,
    )


PRIORITIES = {
    "EMERGENCY": 0,
    "alert": 1,
    "Critical": 2,
    "eRRor": 3,
    "warning": 4,
    "NOTICE": 5,
    "INFO": 6,
    "informational": 6,
}


@pytest.mark.parametrize(("word", "level"), PRIORITIES.items())
def test_priorities_are_read_in_any_case(word, level):
    assert fine(RULE.replace("INFO", word)).rules["r"].priority is Priority(level)


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y", '"yes"'])
def test_words_that_are_true(word):
    assert fine(f"{RULE}  capture: {word}\n").rules["r"].capture is True


@pytest.mark.parametrize("word", ["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N", "'no'"])
def test_words_that_are_false(word):
    assert fine(f"{RULE}  enabled: {word}\n").rules["r"].enabled is False


NOTHING = ["", "---\n", "# only a comment\n", "---\n---\n- \n", "~", "null", "[]", "- ~\n-\n"]


@pytest.mark.parametrize("text", NOTHING)
def test_files_documents_and_items_may_be_empty(text):
    found = fine(text)

    assert (found.lists, found.macros, found.rules) == ({}, {}, {})


def test_a_file_may_hold_several_documents_and_aliases():
    found = fine(
        "- list: &n a\n  items: &i [x, y]\n---\n- list: &m b\n  items: [z]\n- macro: *m\n  condition: a.b in (a)\n"
    )

    assert [item.value for item in found.lists["b"].items] == ["z"]
    assert list(found.macros) == ["b"]


ITEMS = {
    "list": ("- list: l\n", ("list", "l")),
    "macro": ("- macro: m\n", ("macro", "m")),
    "rule": (RULE.replace("INFO", "x"), ("rule", "r")),
    "nameless rule": ("- rule:\n", ("rule", "")),
    "exception": (RULE + "  exceptions: [{name: e}]\n", ("exception", "e")),
    "engine version": ("- required_engine_version: x\n", ("required_engine_version", "")),
    "plugin version": ("- required_plugin_versions: [{name: p}]\n", ("required plugin versions entry", "p")),
    "no item": ("- a\n", ("rules content item", "")),
    "no file": ("a", ("", "")),
}


@pytest.mark.parametrize(("text", "item"), ITEMS.values(), ids=ITEMS)
def test_findings_name_their_item(text, item):
    assert only(read(text)[1]).item == item


def test_all_errors_of_all_files_are_told():
    _, report = read(
        "- list: l\n- macro: m\n" + RULE.replace("INFO", "x").replace("desc: d", "desc:") + "  tags: [[a], {}]\n",
        "- a: b: c\n",
        "- rule: s\n  append: 5\n- foo\n",
    )

    assert [(d.span.file, d.slug) for d in report.errors] == [
        ("a.yaml", "missing-key"),
        ("a.yaml", "missing-key"),
        ("a.yaml", "empty-value"),
        ("a.yaml", "bad-priority"),
        ("a.yaml", "not-text"),
        ("a.yaml", "not-text"),
        ("b.yaml", "yaml-syntax"),
        ("c.yaml", "bad-boolean"),
        ("c.yaml", "not-a-mapping"),
    ]


def test_a_definition_with_errors_gives_its_users_no_errors():
    _, report = read(
        RULE.replace("INFO", "x") + "- list: l\n",
        "- rule: r\n  condition: and x\n  override: {condition: append}\n",
        "- list: l\n  items: [a]\n  override: {items: append}\n",
    )

    assert slugs(report) == ["bad-priority", "missing-key"]


def test_a_rule_that_cannot_be_compiled_is_skipped_and_others_are_not():
    broken, _ = read(RULE.replace("condition: a.b = c", "condition:"))
    odd, _ = read(RULE.replace("INFO", "x"))

    assert broken.rules["r"].skipped == "its definition has errors"
    assert odd.rules["r"].skipped == ""


def test_a_later_rule_replaces_all_of_an_earlier_one_in_its_position():
    found = fine(
        RULE + "  tags: [x]\n  enabled: false\n" + RULE.replace("rule: r", "rule: s"),
        RULE.replace("a.b = c", "d.e = f"),
    )

    rule = found.rules["r"]
    assert [rule.name for rule in found.rules.values()] == ["r", "s"]
    assert (rule.position, found.rules["s"].position) == (0, 1)
    assert (rule.condition.text, rule.tags, rule.enabled) == ("d.e = f", (), True)
    assert rule.at.span.file == "b.yaml"


def test_definitions_are_numbered_over_all_files():
    found = fine(
        "- macro: a\n  condition: x\n- list: l\n  items: []\n- macro: b\n  condition: a\n" + RULE,
        "- macro: a\n  condition: b\n- list: l\n  items: [z]\n- macro: c\n  condition: x\n",
    )

    numbers = {name: (macro.first, macro.latest) for name, macro in found.macros.items()}
    assert numbers == {"a": (1, 5), "b": (3, 3), "c": (7, 7)}
    assert (found.lists["l"].first, found.lists["l"].latest) == (2, 6)


SOURCES = {
    "one": ("k8s_audit", ("k8s_audit",)),
    "several": ("[k8s_audit, syscall]", ("k8s_audit", "syscall")),
    "the same twice": ("[syscall, syscall]", ("syscall",)),
    "any": ("any", ("any",)),
    "any among others": ("[syscall, any]", ("any",)),
}


@pytest.mark.parametrize(("source", "sources"), SOURCES.values(), ids=SOURCES)
def test_a_rule_may_be_for_several_sources(source, sources):
    rule = fine(f"{RULE}  source: {source}\n").rules["r"]

    assert (rule.sources, rule.skipped) == (sources, "")


def test_a_source_that_there_is_not_is_left_out_of_several():
    found, report = read(RULE + "  source: [k8s_audit, github]\n")

    assert only(report).message == "there is no source 'github', it is left out"
    assert (found.rules["r"].sources, found.rules["r"].skipped) == (("k8s_audit",), "")


def test_a_rule_of_an_unknown_source_is_skipped_and_takes_changes():
    found, report = read(
        RULE + "  source: github\n",
        "- rule: r\n  enabled: false\n  override: {enabled: replace}\n"
        + RULE.replace("a.b", "d.e")
        + "  source: github\n",
    )

    assert slugs(report) == ["unknown-source", "unknown-source"]
    assert found.rules["r"].skipped == "unknown source github"
    assert found.rules["r"].condition.text == "d.e = c"


def test_bytes_that_are_no_utf_8_cost_their_file_alone():
    text = b"- list: a\xff\n  items: []\n".decode("utf-8", "surrogateescape")
    found, report = read(text, RULE)

    assert only(report).message == "the byte 0xff is not UTF-8 text"
    assert list(found.rules) == ["r"]


def test_a_bomb_in_exceptions_is_refused_before_it_is_read():
    row = f"&row [{','.join(['x'] * 500)}]"
    fields = ",".join(["a.b"] * 500)
    text = f"{RULE}  exceptions:\n    - name: e\n      fields: [{fields}]\n      values: [{row}{', *row' * 500}]\n"

    assert only(read(text)[1]).slug == "alias-bomb"


def test_endless_names_are_cut_in_messages():
    found = only(read(f"- list: {'n' * 5000}\n")[1])

    assert found.message == f"list '{'n' * 120}...' has no 'items'"
    assert found.item == ("list", "n" * 5000)


def test_files_are_read_without_plugins_and_with_a_version_of_ones_own():
    report = Report()
    read_files([RuleFile("f", "- required_engine_version: 0.2.0\n")], ["syscall"], report, engine_version="0.1.0")

    assert only(report).message == "the rules need engine version 0.2.0, this is 0.1.0"


KEYS = ["rule", "macro", "list", "required_engine_version", "required_plugin_versions", "condition", "output", "desc"]
KEYS += [
    "priority",
    "source",
    "enabled",
    "tags",
    "exceptions",
    "append",
    "override",
    "items",
    "name",
    "fields",
    "comps",
]
KEYS += ["values", "version", "alternatives", "capture_duration", "<<", "unknown"]
WORDS = [
    "r",
    "a.b = c",
    "and d.e = f",
    "INFO",
    "any",
    "syscall",
    "true",
    "append",
    "replace",
    "in",
    "= oneof",
    "",
    "0.7.0",
    "7",
]
PLAIN = (
    st.sampled_from(KEYS + WORDS)
    | st.none()
    | st.booleans()
    | st.integers(-5, 2**40)
    | st.text("'\"%\x1b\n 你", max_size=4)
)
DATA = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
GOOD = [
    yaml.safe_load(RULE + "  exceptions: [{name: e, fields: [a.b], values: [[x]]}]\n")[0],
    {"list": "r", "items": ["a"]},
]
GOOD += [{"macro": "r", "condition": "a.b = c"}, {"required_plugin_versions": [{"name": "json", "version": "0.1.0"}]}]


@given(
    st.lists(st.sampled_from(GOOD), max_size=2),
    st.lists(st.dictionaries(st.sampled_from(KEYS), DATA, max_size=7), max_size=3),
)
def test_any_structure_gives_findings_with_places_and_never_an_exception(good, odd):
    text = yaml.safe_dump([*good, *odd], allow_unicode=True)
    _, report = read(text)
    lines = text.split("\n")

    for found in report.diagnostics:
        assert 1 <= found.span.line <= len(lines)
        assert 1 <= found.span.col <= len(lines[found.span.line - 1]) + 1
        assert found.message
        assert found.code.startswith("LOAD_")
    assert len(render_text(report.diagnostics, {"a.yaml": text}).split("\n\n")) == max(1, len(report.diagnostics))
    assert json.dumps(render_falco_json([RuleFile("a.yaml", text)], report))


@given(st.data())
def test_a_file_cut_anywhere_or_with_a_character_lost_is_read(data):
    text = (
        "- list: l\n  items: [a, 'b c']\n"
        + RULE
        + "  exceptions:\n    - name: e\n      fields: [a.b]\n      values: [[x]]\n"
    )
    at = data.draw(st.integers(0, len(text) - 1))
    for broken in (
        text[:at],
        text[:at] + text[at + 1 :],
        text[:at] + data.draw(st.sampled_from(" \t\n:-'\"[]{}&*!|>%@`")) + text[at:],
    ):
        read(broken)
