import pytest

from tests.engine.reading import fine, read, slugs

RULE = "- rule: r\n  desc: d\n  condition: a.b = c\n  output: o %a.b\n  priority: INFO\n  tags: [x]\n"


def test_a_list_is_appended_to():
    found = fine("- list: l\n  items: [a, b]\n", "- list: l\n  items: [b, c]\n  override: {items: append}\n")

    assert [item.value for item in found.lists["l"].items] == ["a", "b", "b", "c"]
    assert [item.at.span.file for item in found.lists["l"].items] == ["a.yaml", "a.yaml", "b.yaml", "b.yaml"]


def test_a_list_is_replaced_even_if_it_is_new():
    found = fine(
        "- list: l\n  items: [a]\n- list: l\n  items: [b]\n  override: {items: replace}\n"
        "- list: new\n  items: [c]\n  override: {items: replace}\n"
    )

    assert {name: [item.value for item in entry.items] for name, entry in found.lists.items()} == {
        "l": ["b"],
        "new": ["c"],
    }


def test_a_macro_is_appended_to_and_keeps_all_places():
    found = fine(
        "- macro: m\n  condition: a.b = c\n", "- macro: m\n  condition: or d.e = f\n  override: {condition: append}\n"
    )

    condition = found.macros["m"].condition
    assert condition.text == "a.b = c or d.e = f"
    assert [condition.place(condition.text.index(c)) for c in "ad"] == [("a.yaml", 2, 14), ("b.yaml", 2, 17)]


def test_a_macro_is_replaced_even_if_it_is_new():
    found = fine("- macro: m\n  condition: a.b = c\n  override: {condition: replace}\n")

    assert found.macros["m"].condition.text == "a.b = c"


def test_every_change_of_a_macro_or_list_counts():
    found = fine(
        "- macro: m\n  condition: a.b = c\n- list: l\n  items: []\n"
        "- macro: m\n  condition: or a.b = d\n  override: {condition: append}\n"
        "- list: l\n  items: [a]\n  override: {items: append}\n"
        "- macro: m\n  condition: a.b = e\n  override: {condition: replace}\n"
    )

    assert (found.macros["m"].first, found.macros["m"].latest) == (1, 5)
    assert (found.lists["l"].first, found.lists["l"].latest) == (2, 4)


CHANGES = {
    "condition appended": ("condition: and d.e = f", "condition: append", "a.b = c and d.e = f"),
    "condition replaced": ("condition: d.e = f", "condition: replace", "d.e = f"),
    "output appended": ("output: ' and %d.e '", "output: append", "o %a.b and %d.e"),
    "output replaced": ("output: ' p '", "output: replace", "p"),
    "desc appended": ("desc: more", "desc: append", "d more"),
    "desc replaced": ("desc: more", "desc: replace", "more"),
    "tags appended": ("tags: [y, x, z]", "tags: append", ("x", "y", "z")),
    "tags replaced": ("tags: [y]", "tags: replace", ("y",)),
    "priority replaced": ("priority: error", "priority: replace", 3),
    "enabled replaced": ("enabled: false", "enabled: replace", False),
    "warn_evttypes replaced": ("warn_evttypes: false", "warn_evttypes: replace", False),
    "skip-if-unknown-filter replaced": ("skip-if-unknown-filter: true", "skip-if-unknown-filter: replace", True),
    "capture replaced": ("capture: true", "capture: replace", True),
    "capture_duration replaced": ("capture_duration: 5", "capture_duration: replace", 5),
}


@pytest.mark.parametrize(("given", "operation", "want"), CHANGES.values(), ids=CHANGES)
def test_each_key_of_a_rule_can_be_changed(given, operation, want):
    rule = fine(RULE, f"- rule: r\n  {given}\n  override: {{{operation}}}\n").rules["r"]
    value = getattr(rule, given.split(":")[0].replace("-", "_"))

    assert getattr(value, "text", value) == want


def test_one_item_may_append_and_replace():
    rule = fine(
        RULE,
        "- rule: r\n  condition: or d.e = f\n  priority: ERROR\n  tags: [z]\n"
        "  override:\n    priority: replace\n    condition: append\n    tags: append\n",
    ).rules["r"]

    assert (rule.condition.text, rule.priority, rule.tags) == ("a.b = c or d.e = f", 3, ("x", "z"))
    assert (rule.output.text, rule.position) == ("o %a.b", 0)


def test_changes_add_up_in_order():
    rule = fine(
        RULE,
        "- rule: r\n  condition: or d.e = f\n  override: {condition: append}\n",
        "- rule: r\n  condition: or g.h = i\n  override: {condition: append}\n",
    ).rules["r"]

    assert rule.condition.text == "a.b = c or d.e = f or g.h = i"
    assert [rule.condition.place(rule.condition.text.index(c))[0] for c in "adg"] == ["a.yaml", "b.yaml", "c.yaml"]


@pytest.mark.parametrize("source", ["", "  source:\n", "  source: ''\n", "  source: syscall\n"])
def test_the_source_may_be_left_open_where_a_rule_is_changed(source):
    assert fine(RULE, f"- rule: r\n{source}  tags: [y]\n  override: {{tags: append}}\n").rules["r"].tags == ("x", "y")


def test_append_true_takes_conditions_and_exceptions():
    found, report = read(
        RULE,
        "- rule: r\n  condition: and d.e = f\n  exceptions: [{name: e, fields: [a.b], values: [[c]]}]\n"
        "  enabled: false\n  append: true\n",
    )

    rule = found.rules["r"]
    assert slugs(report) == ["deprecated-append"]
    assert (rule.condition.text, [entry.name for entry in rule.exceptions]) == ("a.b = c and d.e = f", ["e"])
    assert rule.enabled


def test_append_false_means_nothing():
    found = fine(RULE, RULE.replace("a.b = c", "d.e = f") + "  append: false\n")

    assert found.rules["r"].condition.text == "d.e = f"


def test_enabled_alone_turns_a_rule_on_and_off():
    found, report = read(RULE, "- rule: r\n  enabled: false\n", "- rule: r\n  enabled: true\n")
    off, _ = read(RULE, "- rule: r\n  enabled: false\n")

    assert found.rules["r"].enabled
    assert not off.rules["r"].enabled
    assert slugs(report) == ["deprecated-toggle"] * 2


# (condition that is there, condition appended, whether that is a trap)
TRAPS = {
    "and after or": ("a.b = c or d.e = f", "and g.h = i", True),
    "or after and": ("a.b = c and d.e = f", "or g.h = i", True),
    "and after and": ("a.b = c and d.e = f", "and g.h = i", False),
    "and after or in parentheses": ("(a.b = c or d.e = f)", "and g.h = i", False),
    "and after or behind parentheses": ("(a.b = c)or(d.e = f)", "and g.h = i", True),
    "and after or in a value": ('a.b = \'c or d\' and e.f = "x or \\" or y"', "and g.h = i", False),
    "and after a field with or": ("a.or = c and or.b = d", "and g.h = i", False),
    "or after a macro": ("m", "or g.h = i", False),
    "a macro that begins with and": ("a.b = c or d.e = f", "android", False),
}


@pytest.mark.parametrize(("there", "appended", "trap"), TRAPS.values(), ids=TRAPS)
def test_appending_that_binds_otherwise_than_it_reads_is_warned_of(there, appended, trap):
    base = f"- macro: m\n  condition: |\n    {there}\n"
    _, report = read(base, f"- macro: m\n  condition: {appended}\n  override: {{condition: append}}\n")

    assert slugs(report) == ["append-precedence"] * trap


def test_the_trap_is_seen_across_several_appends():
    more = "- macro: m\n  condition: {} g.h = i\n  override: {{condition: append}}\n"
    _, report = read("- macro: m\n  condition: a.b = c\n", more.format("or"), more.format("and"))

    assert [(d.slug, d.span.file) for d in report.diagnostics] == [("append-precedence", "c.yaml")]
