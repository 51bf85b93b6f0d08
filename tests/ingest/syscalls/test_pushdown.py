"""What the kernel is asked lets every event pass that a rule matches."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluate import Engine
from engine.event import Event
from engine.fields import FieldCatalog, FieldTable
from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.syscalls import pushdown
from lanner.catalog import build_catalog
from tests.shared import SHARED, needs_shared

ASKED = (
    "evt.type",
    "evt.res",
    "evt.rawres",
    "evt.failed",
    "evt.is_open_read",
    "evt.is_open_write",
    "proc.name",
    "proc.pname",
    "user.uid",
    "fd.name",
    "fd.nameraw",
    "fd.directory",
    "fd.typechar",
)


def told(name: str) -> Any:
    return lambda event: event.record.get(name)


def host_table() -> FieldTable:
    table = build_catalog("h").tables["syscall"]
    rows = {name: replace(table.fields[name], get=told(name), path=None) for name in ASKED}
    return replace(table, fields={**table.fields, **rows})


TABLE = host_table()
CATALOG = FieldCatalog({"syscall": TABLE})

PATHS = st.sampled_from(
    ["/etc/shadow", "/etc/pam.d/su", "/etc", "/etc/shadow2", "/root/.ssh/id_rsa", "/", "/tmp/" + "x" * 80, "/e"]
)
NAMES = st.sampled_from(["cat", "sshd", "ss", "a" * 15, ""])


def comparisons(field: str, operators: list[str], values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    scalar = st.sampled_from([operator for operator in operators if operator != "pmatch"])
    one = st.builds(lambda op, value: f'{field} {op} "{value}"', scalar, values)
    many = st.builds(
        lambda op, some: "{} {} ({})".format(field, op, ", ".join(f'"{value}"' for value in some)),
        st.sampled_from(["in", "pmatch"] if "pmatch" in operators else ["in"]),
        st.lists(values, min_size=1, max_size=3),
    )
    return one | many


TEXT = ["=", "!=", "startswith", "endswith", "contains", "glob"]
ATOMS = (
    comparisons("fd.name", [*TEXT, "pmatch"], PATHS)
    | comparisons("fd.directory", TEXT, PATHS)
    | comparisons("fd.nameraw", ["contains"], st.sampled_from(["../", "//", "shadow", "/.ssh"]))
    | comparisons("proc.name", TEXT, NAMES)
    | comparisons("proc.pname", ["="], NAMES)
    | comparisons("evt.res", ["=", "!="], st.sampled_from(["SUCCESS", "ENOENT"]))
    | st.sampled_from(
        [
            "evt.failed = true",
            "evt.failed = false",
            "evt.is_open_read = true",
            "evt.is_open_write = false",
            "evt.is_open_write = true",
            "evt.rawres < 0",
            "evt.rawres in (0, 3)",
            "evt.rawres != 3",
            "user.uid = 0",
            "user.uid != 0",
            "fd.typechar = f",
            "evt.type = openat",
            "evt.type in (open, connect)",
        ]
    )
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: (
        st.builds(lambda a: f"not ({a})", inner)
        | st.builds(lambda a, b: f"({a} and {b})", inner, inner)
        | st.builds(lambda a, b: f"({a} or {b})", inner, inner)
    ),
    max_leaves=8,
)


@st.composite
def calls(draw: st.DrawFn) -> tuple[Event, pushdown.Facts]:
    """An event as the fields tell of it, and as the kernel sees it."""
    path = draw(PATHS)
    raw = draw(st.sampled_from([path, path, "/tmp/.." + path, "/" + path]))
    result, comm, uid = draw(st.sampled_from([-2, 0, 3])), draw(NAMES), draw(st.sampled_from([0, 1000]))
    read, write = draw(st.booleans()), draw(st.booleans())
    event_type = draw(st.sampled_from(["open", "openat", "connect", "ptrace"]))
    record: dict[str, Any] = {
        "evt.type": event_type,
        "evt.rawres": result,
        "evt.res": "SUCCESS" if result >= 0 else "ENOENT",
        "evt.failed": result < 0,
        "evt.is_open_read": read,
        "evt.is_open_write": write,
        "proc.name": comm,
        "proc.pname": draw(NAMES | st.none()),
        "user.uid": uid,
        "fd.name": path,
        "fd.nameraw": raw,
        "fd.directory": path.rpartition("/")[0] or "/",
        "fd.typechar": draw(st.sampled_from("fd")),
    }
    sure = not any(pair in raw for pair in pushdown.UNSURE)
    facts: dict[str, Any] = {"comm": comm.encode(), "ret": result, "uid": uid}
    facts["open"] = _asked(read, write)
    if sure and event_type in pushdown.OPENS:
        facts["path"] = raw.encode()
    return Event("syscall", 1, record, "id"), facts


def _asked(read: bool, write: bool) -> frozenset[int]:
    wanted = {pushdown.READ: read, pushdown.WRITE: write}
    return frozenset(flag for flag, asked in wanted.items() if asked)


def load(conditions: list[str]) -> Engine:
    rule = "- rule: r{0}\n  desc: d\n  condition: >\n    {1}\n  output: x\n  priority: INFO\n"
    text = "".join(rule.format(i, condition) for i, condition in enumerate(conditions))
    result = load_rules([RuleFile("t.yaml", text)], CATALOG)
    assert result.ruleset is not None, [found.message for found in result.report.errors]
    return Engine(result.ruleset)


@settings(max_examples=400, deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=3), st.lists(calls(), min_size=1, max_size=12))
def test_no_event_that_a_rule_matches_is_held_back(
    conditions: list[str], events: list[tuple[Event, pushdown.Facts]]
) -> None:
    engine = load(conditions)
    asked = pushdown.push_down(engine.ruleset.enabled, TABLE)
    for event, facts in events:
        if engine.evaluate(event):
            formula = asked.events.get(event.record["evt.type"])
            assert formula is not None
            assert pushdown.holds(formula, facts)


@pytest.mark.parametrize(
    ("condition", "facts", "passes"),
    [
        ("evt.type = openat and fd.name startswith /etc", {"path": b"/usr/lib/x"}, False),
        ("evt.type = openat and fd.name startswith /etc", {"path": b"/etc/x"}, True),
        ("evt.type = openat and fd.name startswith /etc", {}, True),
        ("evt.type = openat and fd.name startswith anyof (/etc, /usr)", {"path": b"/usr/lib/x"}, True),
        ("evt.type = openat and fd.name startswith anyof (/etc, /usr)", {"path": b"/var/x"}, False),
        ("evt.type = openat and fd.name = anyof (/etc/a, /usr/a)", {"path": b"/usr/a"}, True),
        ("evt.type = openat and fd.name != anyof (/etc/a, /usr/a)", {"path": b"/usr/a"}, True),
        ("evt.type = openat and fd.name startswith oneof (/etc, /etc/a)", {"path": b"/var/x"}, True),
        ('evt.type = openat and fd.name glob "/proc/*/mem"', {"path": b"/var/x"}, False),
        ('evt.type = openat and fd.name glob "/proc/*/mem"', {"path": b"/proc/1/mem"}, True),
        ('evt.type = openat and fd.name glob "*/mem"', {"path": b"/var/x"}, True),
        ('evt.type = openat and fd.name glob anyof ("/a/?b", "/c/[d]e", "/f/\\\\*")', {"path": b"/f/*"}, True),
        ('evt.type = openat and fd.name glob anyof ("/a/?b", "/c/[d]e")', {"path": b"/b/x"}, False),
        ('evt.type = openat and not fd.name glob "/proc/*"', {"path": b"/proc/1"}, True),
        ("evt.type = openat and not fd.name startswith /etc", {"path": b"/etc/x"}, False),
        ("evt.type = openat and fd.name != /etc/x", {"path": b"/etc/x"}, False),
        ("evt.type = openat and fd.directory in (/etc, /bin)", {"path": b"/usr/bin/x"}, False),
        ("evt.type = openat and not fd.directory in (/etc, /bin)", {"path": b"/etc/x"}, True),
        ("evt.type = openat and fd.name pmatch (/etc, /bin)", {"path": b"/usr"}, False),
        ("evt.type = openat and fd.name pmatch (/e*)", {"path": b"/usr"}, True),
        ("evt.type = openat and fd.name endswith release_agent", {"path": b"/sys/x"}, False),
        ("evt.type = openat and fd.name contains /.ssh/", {"path": b"/sys/x"}, False),
        ("evt.type = openat and evt.is_open_write = true", {"open": frozenset({pushdown.READ})}, False),
        ("evt.type = openat and evt.res = SUCCESS", {"ret": -2}, False),
        ("evt.type = openat and evt.failed = true", {"ret": 3}, False),
        ("evt.type = openat and proc.name in (a, b)", {"comm": b"c"}, False),
        ("evt.type = openat and proc.name startswith a", {"comm": b"c"}, False),
        ("evt.type = openat and user.uid != 0", {"uid": 0}, False),
        ("evt.type = openat and proc.pname = x", {"comm": b"c"}, True),
    ],
)
def test_the_kernel_holds_back_what_no_rule_can_match(condition: str, facts: pushdown.Facts, passes: bool) -> None:
    asked = pushdown.push_down(load([condition]).ruleset.enabled, TABLE)
    assert set(asked.events) == {"openat"}
    assert pushdown.holds(asked.events["openat"], facts) is passes


def test_an_event_type_that_no_rule_names_is_not_asked_for_and_a_rule_without_one_is_told_of() -> None:
    bound = pushdown.push_down(load(["evt.type = ptrace"]).ruleset.enabled, TABLE)
    assert set(bound.events) == {"ptrace"}
    assert bound.unbound == ()
    assert pushdown.push_down(load(["proc.name = x"]).ruleset.enabled, TABLE).unbound == ("r0",)


@needs_shared
def test_of_falcos_rules_reads_of_files_that_none_names_stay_in_the_kernel() -> None:
    assert SHARED is not None
    path = SHARED / "falco-rules/falcosecurity-rules/falco_rules.yaml"
    result = load_rules([RuleFile(path.name, path.read_text("utf-8"))], build_catalog("h"))
    assert result.ruleset is not None
    rules = [rule for rule in result.ruleset.enabled if rule.source == "syscall"]
    formula = pushdown.push_down(rules, TABLE).events["openat"]
    facts = {"comm": b"make", "ret": 3, "uid": 0, "open": frozenset({pushdown.READ})}
    assert not pushdown.holds(formula, {**facts, "path": b"/usr/include/stdio.h"})
    assert pushdown.holds(formula, {**facts, "path": b"/etc/shadow"})
    assert pushdown.holds(formula, facts)
