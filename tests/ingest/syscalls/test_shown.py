"""What people are told of the part of a rule that the kernel decides."""

from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.syscalls.shown import kernel_view
from lanner.catalog import build_catalog

CATALOG = build_catalog("h")


def shown(condition: str) -> str:
    text = f"- rule: r\n  desc: d\n  condition: {condition}\n  output: x\n  priority: INFO\n"
    result = load_rules([RuleFile("t.yaml", text)], CATALOG)
    assert result.ruleset is not None
    return kernel_view(result.ruleset.rules[0], CATALOG.tables["syscall"])


def test_what_the_kernel_decides_and_what_is_left() -> None:
    assert shown(
        "evt.type in (open, openat) and fd.name startswith /etc and not proc.name in (a, b) and proc.pname = x"
    ) == (
        "open, openat:\n  all of\n    not: task name is a, b\n    path starts with /etc\n"
        "  the engine decides: proc.pname = x"
    )


def test_a_rule_that_the_kernel_knows_nothing_of() -> None:
    assert shown("evt.type = execve and proc.pname = x") == (
        "execve:\n  every one is sent\n  the engine decides: proc.pname = x"
    )


def test_a_rule_that_names_no_event_type_says_so() -> None:
    assert shown("proc.name = x").startswith("names no event type: the kernel sends all events but mere input")


def test_flags_results_and_paths_that_are_not_in_their_shortest_form() -> None:
    told = shown("evt.type = openat and evt.is_open_write = true and evt.failed = true and fd.nameraw contains ../")
    assert "opened for writing" in told
    assert "result is below 0" in told
    assert "path is not in its shortest form" in told
