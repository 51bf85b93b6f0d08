"""What loads but is probably not meant is warned of, with Falco's codes; what is meant is not."""

import pytest

from engine.load import load_rules
from engine.rulefile import RuleFile
from lanner.catalog import build_catalog

CATALOG = build_catalog("test")
RULE = "- rule: r\n  desc: d\n  priority: INFO\n  source: {}\n  output: {}\n  condition: >\n    {}\n"


def warned(condition: str, source: str, output: str = "o") -> list[tuple[str, str]]:
    """Slugs of the warnings, and the text that each points at."""
    text = RULE.format(source, output, condition)
    result = load_rules([RuleFile("r.yaml", text)], CATALOG)
    assert result.ruleset is not None, [found.message for found in result.report.errors]
    lines = text.split("\n")
    return [(w.slug, lines[w.span.line - 1][w.span.col - 1 : w.span.end_col - 1]) for w in result.report.warnings]


WARNINGS = {
    "the name of a field": ("k8s_audit", "ka.verb = ka.uri", ("text-like-field", "ka.uri")),
    "the name of a field in a list": ("k8s_audit", "ka.verb in (get, ka.uri)", ("text-like-field", "ka.uri")),
    "the name of a field with blanks": ("k8s_audit", 'ka.verb = " ka.uri "', ("text-like-field", '" ka.uri "')),
    "a transformer in quotes": (
        *("k8s_audit", "ka.verb = 'tolower(ka.uri)'"),
        ("text-like-transformer", "'tolower(ka.uri)'"),
    ),
    "a pattern that is a text": ("k8s_audit", "ka.verb regex '^get$'", ("plain-regex", "'^get$'")),
    "a pattern that is a part": ("k8s_audit", "ka.verb regex '.*get.*'", ("plain-regex", "'.*get.*'")),
    "absent in words": ("k8s_audit", "ka.user.name = <NA>", ("unsafe-na", "<NA>")),
    "absent among others": ("k8s_audit", "ka.user.name in (ann, <NA>)", ("unsafe-na", "<NA>")),
    "a field that nothing fills": ("syscall", "evt.type = open and evt.dir = <", ("deprecated-field", "evt.dir")),
    "a deprecated field in a transformer": (
        *("k8s_audit", "len(ka.req.container.image) > 3"),
        ("deprecated-field", "ka.req.container.image"),
    ),
    "every event of hosts": ("syscall", "proc.name = bash", ("no-event-type", "r")),
    "most events of hosts": ("syscall", "evt.type != open", ("no-event-type", "r")),
    "contains on a list": (
        *("k8s_audit", "ka.user.groups contains masters"),
        ("contains-on-list", "ka.user.groups contains masters"),
    ),
}


@pytest.mark.parametrize(("source", "condition", "warning"), WARNINGS.values(), ids=WARNINGS)
def test_what_is_doubtful_is_warned_of(source: str, condition: str, warning: tuple[str, str]) -> None:
    assert warned(condition, source) == [warning]


MEANT = {
    "a dotted text that is no field": ("k8s_audit", "ka.uri = kube.system"),
    "a pattern that needs to be one": ("k8s_audit", "ka.verb regex '(get|list)'"),
    "a pattern with an escape": ("k8s_audit", "ka.uri regex '.*\\\\.js'"),
    "absent where it is a text": ("syscall", "evt.type = open and user.name = <NA>"),
    "absent by exists": ("k8s_audit", "not ka.user.name exists"),
    "few events of hosts": ("syscall", "evt.type in (open, openat) and proc.name = bash"),
    "one kind of events or another": ("syscall", "(evt.type = open and fd.name = x) or evt.type = close"),
    "a source without event types": ("aws_cloudtrail", "ct.user = root"),
}


@pytest.mark.parametrize(("source", "condition"), MEANT.values(), ids=MEANT)
def test_what_is_meant_is_not(source: str, condition: str) -> None:
    assert warned(condition, source) == []


def test_what_a_rule_of_2016_shows_without_saying_so_is_not_its_fault() -> None:
    result = load_rules([RuleFile("old.rules", "evt.type = open and proc.name = bash\n")], CATALOG)
    assert result.ruleset is not None
    assert "%evt.dir" in result.ruleset.rules[0].output.text
    assert result.report.diagnostics == []


def test_many_event_types_may_be_meant() -> None:
    text = RULE.format("syscall", "o", "proc.name = bash") + "  warn_evttypes: false\n"
    assert load_rules([RuleFile("r.yaml", text)], CATALOG).report.warnings == []


def test_a_deprecated_field_in_the_output_is_warned_of() -> None:
    assert warned("ka.verb = get", "k8s_audit", "of %tolower(ka.req.container.image) by %ka.verb") == [
        ("deprecated-field", "tolower(ka.req.container.image)")
    ]


def test_what_an_output_no_longer_shows_is_taken_out() -> None:
    text = RULE.format("syscall", "shell %container.info in %proc.name", "evt.type = open")
    result = load_rules([RuleFile("r.yaml", text)], CATALOG)
    assert result.ruleset is not None
    assert result.ruleset.rules[0].output.text == "shell  in %proc.name"
    (warning,) = result.report.warnings
    assert (warning.code, warning.span.col, warning.span.end_col) == ("LOAD_DEPRECATED_ITEM", 17, 32)
