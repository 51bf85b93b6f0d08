"""``lanner agent --trace``: rules on what one program does, without privileges."""

import json
import os
from pathlib import Path

import pytest

from tests.ingest.syscalls.ptrace.live import needs_ptrace
from tests.lanner.support import environment, lanner
from tests.shared import SHARED, needs_shared

RULES = """
- rule: Secret read
  desc: d
  condition: evt.type in (open, openat, openat2) and evt.is_open_read=true and fd.name endswith /secret
  output: "%proc.cmdline of %proc.pname read %fd.name"
  priority: WARNING
"""


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    (tmp_path / "secret").write_text("x\n")
    return path


@needs_ptrace
def test_alerts_tell_what_the_program_did(rules: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    more = (
        "-o",
        f"outbox.path={tmp_path / 'outbox'}",
        "-o",
        "json_output=true",
        "-o",
        "json_include_tags_property=false",
    )
    done = lanner("agent", "-r", rules, *more, "--trace", "--", "sh", "-c", f"cat {secret}; exit 4")
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    (alert,) = [json.loads(line) for line in lines]
    fields = {name: value for name, value in alert["output_fields"].items() if name != "evt.time"}
    assert fields == {
        "proc.cmdline": f"cat {secret}",
        "proc.pname": "sh",
        "fd.name": str(secret),
    }
    assert "ended with status 4" in done.stderr


def test_trace_and_a_command_belong_together(rules: Path) -> None:
    for arguments in (("--trace",), ("--", "true")):
        done = lanner("agent", "-r", rules, *arguments)
        assert done.returncode == 2
        assert "belong together" in done.stderr


def test_a_program_that_is_not_there_is_said_before_anything_runs(rules: Path, tmp_path: Path) -> None:
    env = environment(STATE_DIRECTORY=str(tmp_path))
    done = lanner("agent", "-r", rules, "--trace", "--", "no-such-program", env=env)
    assert done.returncode == 4
    assert "there is no program 'no-such-program'" in done.stderr


def test_a_tag_that_no_rule_has_is_told(rules: Path) -> None:
    done = lanner("agent", "-r", rules, "-t", "no-such-tag", "--dry-run")
    assert done.returncode == 0
    assert "no rule is enabled" in done.stderr


def test_rules_that_are_about_something_else_are_told(tmp_path: Path) -> None:
    rules = tmp_path / "cloud.yaml"
    rule = {"rule": "r", "desc": "d", "condition": "ct.name = A", "output": "o", "priority": "NOTICE"}
    rules.write_text(json.dumps([{**rule, "source": "aws_cloudtrail"}]))
    done = lanner("agent", "-r", rules, "--dry-run", "--trace", "--", "true")
    assert done.stderr == "lanner: no enabled rule is about syscall, so nothing is told of the source trace\n"


def test_a_dry_run_says_what_would_be_watched(rules: Path) -> None:
    done = lanner("agent", "-r", rules, "--dry-run", "--trace", "--", "true")
    assert "sources: trace" in done.stdout


@needs_shared
@needs_ptrace
def test_falcos_own_rules_fire_on_a_traced_program(tmp_path: Path) -> None:
    assert SHARED is not None
    rules = SHARED / "falco-rules" / "falcosecurity-rules" / "falco_rules.yaml"
    more = ("-o", f"outbox.path={tmp_path / 'outbox'}", "-o", "json_output=true", "-o", "priority=warning")
    script = f"cat /etc/shadow; ln -s /etc/shadow {tmp_path}/link; find {tmp_path} -name id_rsa; true"
    done = lanner("agent", "-r", rules, *more, "--trace", "--", "sh", "-c", script)
    assert done.returncode == 0, done.stderr
    fired = {json.loads(line)["rule"] for line in done.stdout.splitlines() if line.startswith('{"')}
    assert fired >= {"Create Symlink Over Sensitive Files", "Search Private Keys or Passwords"}
    if os.access("/etc/shadow", os.R_OK):
        assert "Read sensitive file untrusted" in fired
