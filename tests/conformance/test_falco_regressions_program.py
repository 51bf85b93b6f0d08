"""Falco's own regression cases (0.35) that are about the program: lines that come out, and Falco's plugins section."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.alert import make_alert
from engine.times import utc_iso
from lanner.config import Config, read
from lanner.outputs.lines import line_writer
from lanner.outputset import line_form
from tests.conformance.oracle import path
from tests.conformance.regressions import Case, all_cases, cases, fired
from tests.lanner.support import lanner
from tests.shared import needs_shared

pytestmark = needs_shared

KEYS = {"time_iso_8601": "time_format_iso_8601"}


def configured(case: Case) -> Config:
    """The configuration that a case runs with, by the names it has today."""
    keys = {KEYS.get(name, name): value for name, value in case["options"].items()}
    given = {name: value for name, value in keys.items() if name.startswith(("json_", "time_"))}
    return read(json.dumps({**given, "sources": [{"type": "k8saudit"}]}), "case.yaml")


def written(case: Case) -> list[str]:
    write = line_writer(line_form(configured(case)))
    return [write(make_alert(match, hostname="h")) for match in fired(case)]


@cases(lambda case: case["capture"] and case["detect"] and "stdout_contains" in case["options"])
def test_the_lines_have_what_the_case_says(case: Case) -> None:
    pattern = re.compile(case["options"]["stdout_contains"])
    lines = written(case)
    found = [bool(pattern.search(line)) for line in lines]
    assert all(found) if pattern.pattern.startswith("^") else any(found), lines


@pytest.mark.parametrize("name", ["json_output_no_output_property", "json_output_no_tags_property"])
def test_a_switch_is_what_keeps_the_key_away(name: str) -> None:
    case = all_cases()[name]
    without = {key: value for key, value in case["options"].items() if not key.startswith("json_include")}
    assert not any(
        re.search(case["options"]["stdout_contains"], line) for line in written({**case, "options": without})
    )


def test_what_the_removed_grpc_output_told_stands_in_the_json() -> None:
    """Times apart: the case counts the entry event, which is not in the recording."""
    case = all_cases()["grpc_unix_socket_outputs"]
    told = case["options"]["grpc"]["results"]
    alert = json.loads(written({**case, "options": {**case["options"], "json_output": True}})[0])
    fields = [f"{kind}: {json.dumps(part)}" for row in alert["output_fields"].items() for kind, part in key_value(row)]
    ours = {
        f"priority: {alert['priority'].upper()}",
        f"rule: {json.dumps(alert['rule'])}",
        f"output: {json.dumps(alert['output'])}",
        "hostname: ",
        *(f"tags: {json.dumps(tag)}" for tag in alert["tags"]),
        *fields,
    }
    assert {timeless(line) for line in told if not line.startswith("seconds:")} == {timeless(line) for line in ours}


def key_value(field: tuple[str, Any]) -> list[tuple[str, str]]:
    """A field as gRPC told it: two texts, times in words."""
    name, value = field
    return [("key", name), ("value", utc_iso(value) if name.startswith("evt.time") else value)]


def timeless(line: str) -> str:
    return re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+0000", "(time)", line)


CONFIG = """
rules_files: [{rules}]
plugins:
  - {{name: cloudtrail, library_path: libcloudtrail.so, init_config: "", open_params: {trail}}}
  - {{name: {other}, library_path: lib{other}.so, init_config: ""}}
load_plugins: [cloudtrail, {other}]
outbox: {{path: ":none"}}
"""


def run(case: Case, folder: Path, other: str = "json") -> "subprocess.CompletedProcess[str]":
    """Run the service with the plugins section of the cases about CloudTrail: the file is read to its end."""
    trail = path("cloudtrail/edge/alice_start_instances.json")
    (rules,) = (path(name) for name in case["rules"])
    config = folder / "falco.yaml"
    config.write_text(CONFIG.format(rules=rules, trail=trail, other=other))
    return lanner("run", "-c", config)


@pytest.mark.parametrize("name", ["detect_create_instance", "list_plugins"])
def test_falcos_configuration_of_its_plugins_runs(name: str, tmp_path: Path) -> None:
    done = run(all_cases()[name], tmp_path)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert "Informational EC2 Instance Created (evtnum=1 " in done.stdout  # by a field of the one plugin
    assert "user name=Alice)" in done.stdout  # and this by one of the other


def test_a_plugin_that_serves_no_known_source_is_refused(tmp_path: Path) -> None:
    case = all_cases()["incompatible_extract_sources"]
    done = run(case, tmp_path, other="test_extract")
    assert bool(done.returncode) == bool(case["options"]["exit_status"])
    assert "plugin 'test_extract' is not known here" in done.stderr


def test_rules_for_a_plugin_of_the_future_are_refused(tmp_path: Path) -> None:
    case = all_cases()["incompat_plugin_rules_version"]
    done = run(case, tmp_path)
    assert bool(done.returncode) == bool(case["options"]["exit_status"])
    assert "plugin 'cloudtrail' in version 100000.0.0, this has " in done.stderr
