"""The rules of Falco's very first README, in the format of 2016, over host events: they load and run."""

from typing import Any

import pytest

from engine.alert import make_alert
from engine.evaluate import Engine, Match
from engine.event import Event
from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.syscalls.fields import SOURCE
from tests.conformance.recorded_host import HOST

README = """\
write: (syscall.type=write and fd.typechar=f) or (syscall.type=writev and fd.typechar=f)
interactive: proc.pname = bash or proc.pname = sshd
write and interactive and fd.name contains sysdig
"""
WRITE = {
    "syscall.type": "write",
    "evt.type": "write",
    "fd.typechar": "f",
    "fd.name": "/tmp/sysdig.scap",
    "proc.name": "vi",
    "proc.pname": "bash",
}


def matches(text: str, *records: dict[str, Any]) -> list[Match]:
    result = load_rules([RuleFile("falco_rules.conf", text)], HOST)
    assert result.ruleset is not None, [found.message for found in result.report.errors]
    events = [Event(SOURCE, 0, record, "uid") for record in records]
    return Engine(result.ruleset, matching="first").evaluate_batch(events)


# What is other than in a write that is reported, and whether that is reported.
CHANGES: dict[str, tuple[dict[str, Any], bool]] = {
    "nothing": ({}, True),
    "the other call": ({"syscall.type": "writev", "evt.type": "writev"}, True),
    "a third call": ({"syscall.type": "read", "evt.type": "read"}, False),
    "a socket": ({"fd.typechar": "4"}, False),
    "the other parent": ({"proc.pname": "sshd"}, True),
    "a third parent": ({"proc.pname": "cron"}, False),
    "no parent": ({"proc.pname": None}, False),
    "another file": ({"fd.name": "/tmp/x"}, False),
}


@pytest.mark.parametrize(("change", "reported"), CHANGES.values(), ids=CHANGES)
def test_the_rule_of_the_readme_means_what_it_says(change: dict[str, Any], reported: bool) -> None:
    found = matches(README, {**WRITE, **change})
    assert [match.rule.name for match in found] == ["legacy-3"] * reported


def test_a_rule_without_output_has_the_usual_one() -> None:
    (match,) = matches(README, WRITE)
    alert = make_alert(match, "h")
    assert alert.priority.label == "Warning"
    assert " vi (<NA>) <NA> write " in alert.message


def test_one_rule_fires_for_an_event_the_first_one() -> None:
    text = "shell: proc.name = bash\nshell | WARNING a shell\nproc.name = bash | ERROR bash by %proc.pname\nshell\n"
    found = matches(text, {"proc.name": "bash"}, {"proc.name": "zsh"})
    assert [make_alert(match, "h").message for match in found] == ["a shell"]
