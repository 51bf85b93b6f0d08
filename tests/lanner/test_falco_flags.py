"""Falco's command line on ``lanner run``."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ingest.syscalls.events import NAMES
from lanner import __version__, pidfile, rulefiles
from lanner.cli.falcoflags import GONE
from lanner.config import Config, read
from lanner.errors import UserError
from lanner.ruleschema import schema
from lanner.sourcechoice import chosen
from tests.lanner.support import RULES, audit_event, ct_record, lanner
from tests.lanner.test_operation import until
from tests.lanner.test_service import Running


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


def same(*pair: tuple[str | Path, ...]) -> subprocess.CompletedProcess[str]:
    """Run two commands that must tell the same; return the first."""
    first, second = (lanner(*arguments) for arguments in pair)
    assert (first.returncode, first.stdout) == (second.returncode, second.stdout)
    assert first.stdout
    return first


def test_rules_are_described(rules: Path) -> None:
    same(("run", "-r", rules, "-L"), ("rules", "describe", "-r", rules))
    same(("run", "-r", rules, "-l", "User made"), ("rules", "describe", "User made", "-r", rules))
    done = same(("run", "-r", rules, "-L", "-o", "json_output=true"), ("rules", "describe", "--json", "-r", rules))
    assert [rule["info"]["name"] for rule in json.loads(done.stdout)["rules"]] == ["User made", "Secret asked for"]
    assert lanner("run", "-r", rules, "-l", "User mad").returncode != 0


def test_rules_of_the_configuration_are_described_when_none_are_given(rules: Path, tmp_path: Path) -> None:
    path = tmp_path / "lanner.yaml"
    path.write_text(f"rules_files: [{rules}]\n")
    same(("run", "-c", path, "-L"), ("rules", "describe", "-r", rules))


def test_fields_are_listed() -> None:
    same(("run", "--list"), ("fields",))
    same(("run", "--list", "k8s_audit", "-N"), ("fields", "k8s_audit", "-N"))
    same(("run", "--list", "--format", "json"), ("fields", "--format", "json"))
    same(("run", "--list=k8s_audit", "--markdown"), ("fields", "k8s_audit", "--format", "markdown"))
    assert lanner("run", "--list", "k8saudit").returncode == 2


def test_types_of_host_events_are_listed() -> None:
    told = json.loads(lanner("run", "--list-events", "--format", "json").stdout)
    assert set(told) == {"syscall_events", "tracepoint_events", "metaevents"}
    by_name = {event["name"]: event for events in told.values() for event in events}
    assert set(by_name) == NAMES
    assert by_name["openat"]["params"][1] == {"type": "fd", "name": "dirfd"}
    assert by_name["openat"]["available"]
    assert not by_name["read"]["available"]
    text = lanner("run", "--list-events").stdout
    assert re.search(r"^  \+ openat\(fd fd, fd dirfd, ", text, re.MULTILINE)
    asked = lanner("run", "-i").stdout.splitlines()
    assert set(asked) == {name for name, event in by_name.items() if not event["available"]}
    assert "read" in asked


def test_rules_are_checked(rules: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(RULES.replace("ct.name", "ct.nam"))
    same(("run", "-V", rules), ("rules", "check", rules))
    done = same(("run", "-V", rules, "--validate", bad), ("rules", "check", rules, bad))
    assert (done.returncode, "bad.yaml: Invalid" in done.stdout) == (3, True)
    done = same(("run", "-V", bad, "-o", "json_output=true"), ("rules", "check", bad, "--format", "json"))
    assert not json.loads(done.stdout)["falco_load_results"][0]["successful"]


def test_schemas_are_printed() -> None:
    same(("run", "--config-schema"), ("config", "schema"))
    same(("run", "--rule-schema"), ("rules", "schema"))


def test_versions_are_printed() -> None:
    assert lanner("run", "--version").stdout.startswith(f"lanner {__version__}\nengine ")
    told = json.loads(lanner("run", "--version", "-o", "json_output=true").stdout)
    assert told["falco_version"] == told["lanner_version"] == __version__
    assert told["engine_version_semver"].split(".")[1] == told["engine_version"]
    assert "cloudtrail" in told["plugin_versions"]
    assert re.search(r"^k8saudit \d", lanner("run", "--list-plugins").stdout, re.MULTILINE)


def test_the_shipped_rules_fit_the_schema_and_mistakes_do_not() -> None:
    check = jsonschema.Draft202012Validator(schema())
    for file in rulefiles.find([]):
        assert not list(check.iter_errors(yaml.safe_load(file.read_text()))), file
    for wrong in ("- rule: x\n  conditon: y", "- rule: x\n  priority: loud", "rule: x", "- macro: x\n  items: [y]"):
        assert list(check.iter_errors(yaml.safe_load(wrong))), wrong


def test_the_support_bundle_helps_and_keeps_secrets(tmp_path: Path, rules: Path) -> None:
    path = tmp_path / "lanner.yaml"
    path.write_text(
        f"""
        rules_files: [{rules}, bundled/aws]
        sources: [{{type: k8saudit}}]
        outbox: {{path: {tmp_path}/outbox.sqlite}}
        http_output: {{enabled: true, url: "https://ann:s3cret@alerts.example.com/in"}}
        outputs:
          - {{type: slack, webhook_url: "https://hooks.slack.com/s3cret"}}
          - {{type: splunk, url: "https://splunk:8088", token: "${{file:/run/s3cr-t}}", headers: {{X-Key: s3cret}}}}
        """
    )
    over = ("-o", "webserver.token=s3cret", "-o", 'outputs[].x={"token": "s3cret"}', "-o", "json_output=true")
    done = lanner("run", "-c", path, "--support", *over)
    assert done.returncode == 0, done.stderr
    assert "s3cret" not in done.stdout
    told = json.loads(done.stdout)
    assert {"system_info", "version", "engine_info", "cmdline", "rules_files"} <= set(told)
    assert told["system_info"]["sysname"] == os.uname().sysname
    assert "json_output=true" in told["cmdline"]
    assert "config_errors" in told, "the file of the token is not there"
    done = lanner("run", "-c", path, "--support", "-o", "outputs[1].token=s3cret")
    told = json.loads(done.stdout)
    assert "s3cret" not in done.stdout
    assert told["config"]["http_output"]["url"] == "https://***@alerts.example.com/in"
    assert told["config"]["outputs"][0]["webhook_url"] == "***"
    assert told["rules_files"][0] == {"name": str(rules), "variants": [{"content": RULES}]}
    assert told["rules_files"][1]["variants"] == [{"content": ""}]


def write(tmp_path: Path, rules: Path, **more: Any) -> Path:
    events = tmp_path / "events.json"
    events.write_text(json.dumps({"Records": [ct_record(number=1)]}))
    audit = tmp_path / "audit.log"
    audit.write_text(json.dumps(audit_event()) + "\n")
    path = tmp_path / "lanner.yaml"
    sources = [
        {"type": "files", "name": "trail", "source": "aws_cloudtrail", "paths": [str(events)]},
        {"type": "files", "name": "audit", "source": "k8s_audit", "paths": [str(audit)]},
    ]
    given = {"rules_files": [str(rules)], "sources": sources, "outbox": {"path": str(tmp_path / "outbox.sqlite")}}
    path.write_text(json.dumps({**given, **more}))
    return path


def test_flags_that_are_gone_are_told_once_and_change_nothing(tmp_path: Path, rules: Path) -> None:
    given = [part for gone in GONE for part in ((gone.flags[0], "x") if gone.takes else (gone.flags[0],))]
    done = lanner("run", "-c", write(tmp_path, rules), "--dry-run", "-U", *given)
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stderr.splitlines()] == [gone.flags[0] for gone in GONE]
    assert "sources: trail, audit" in done.stdout
    assert not lanner("run", "-c", tmp_path / "lanner.yaml", "--dry-run").stderr


def test_extra_text_is_appended_to_messages(tmp_path: Path, rules: Path) -> None:
    done = lanner("run", "-c", write(tmp_path, rules), "-p", "at %evt.hostname: yes")
    assert "Warning made by ann from 192.0.2.1 at test-host: yes\n" in done.stdout
    assert "append_output" in done.stderr
    done = lanner("run", "-c", tmp_path / "lanner.yaml", "-pk", "--dry-run")
    assert "-pk has no effect" in done.stderr


def test_sources_are_chosen(tmp_path: Path, rules: Path) -> None:
    path = write(tmp_path, rules)
    for arguments in (["--enable-source", "k8s_audit"], ["--disable-source", "aws_cloudtrail"]):
        done = lanner("run", "-c", path, *arguments)
        assert done.returncode == 0
        assert "secret for bob" in done.stdout
        assert "made by ann" not in done.stdout


def two_sources() -> Config:
    return read("sources: [{type: k8saudit, name: hook}, {type: cloudtrail, queue: sqs://q}]", "f")


@pytest.mark.parametrize(
    ("enabled", "disabled", "left"),
    [
        ([], [], ["hook", "cloudtrail"]),
        (["aws_cloudtrail"], [], ["cloudtrail"]),
        (["hook"], [], ["hook"]),
        (["k8saudit", "cloudtrail"], [], ["hook", "cloudtrail"]),
        ([], ["hook"], ["cloudtrail"]),
    ],
)
def test_a_source_is_chosen_by_what_it_gives_its_type_or_its_name(
    enabled: list[str], disabled: list[str], left: list[str]
) -> None:
    assert [source.name for source in chosen(two_sources(), enabled, disabled).sources] == left


@pytest.mark.parametrize(
    ("enabled", "disabled", "wrong"),
    [
        (["syscall"], [], "no configured source is 'syscall'; there are k8s_audit, k8saudit, hook, aws_cloudtrail"),
        (["hook"], ["cloudtrail"], "exclude each other"),
        ([], ["hook", "aws_cloudtrail"], "leaves no source"),
    ],
)
def test_a_choice_that_makes_no_sense_is_told(enabled: list[str], disabled: list[str], wrong: str) -> None:
    with pytest.raises(UserError, match=wrong):
        chosen(two_sources(), enabled, disabled)


def test_the_service_stops_after_the_time_that_is_given(tmp_path: Path, rules: Path) -> None:
    path = write(tmp_path, rules, sources=[{"type": "k8saudit", "listen": {"port": 0}}], shutdown_grace=1)
    done = lanner("run", "-c", path, "-M", "0.5", "-v")
    assert done.returncode == 0
    assert "running: k8saudit" in done.stderr
    assert lanner("run", "-c", path, "-M", "-1").returncode == 2


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    started = Running(tmp_path)
    yield started
    started.process.kill()
    started.process.wait()


def test_the_process_number_is_in_a_file_as_long_as_it_lives(running: Running, tmp_path: Path) -> None:
    path = tmp_path / "lanner.pid"
    assert path.read_text() == f"{running.process.pid}\n"
    assert pidfile.running(path) == running.process.pid
    done = lanner("run", "-c", tmp_path / "lanner.yaml", "-P", path, "-o", "outbox.path=:none")
    assert (done.returncode, f"{path}: cannot be the file" in done.stderr) == (2, True)
    assert "the process in it lives" in done.stderr
    assert running.end() == 0
    assert not path.exists()


def test_a_process_number_that_a_killed_service_left_is_no_process(running: Running, tmp_path: Path) -> None:
    running.process.kill()
    running.process.wait()
    path = tmp_path / "lanner.pid"
    assert path.exists()
    assert pidfile.running(path) is None
    with pidfile.written(path, must=True):
        assert pidfile.running(path) == os.getpid()
    with pytest.raises(UserError, match="cannot be the file"), pidfile.written(Path("/proc/x"), must=True):
        pass
    with pidfile.written(Path("/proc/x"), must=False):
        pass


def test_files_and_programs_are_opened_anew_on_sigusr1(tmp_path: Path) -> None:
    program = {
        "type": "program",
        "command": ["/bin/sh", "-c", f"echo begun >> {tmp_path}/runs; cat > /dev/null; echo ended >> {tmp_path}/runs"],
    }
    running = Running(tmp_path, outputs=[program])
    try:
        assert running.post(audit_event(number=1)) == 200
        until(lambda: (tmp_path / "runs").exists() and len(running.found()) == 1)
        running.alerts.rename(tmp_path / "rotated")
        running.process.send_signal(signal.SIGUSR1)
        until(lambda: running.alerts.exists() and (tmp_path / "runs").read_text() == "begun\nended\n")
        descriptors = Path(f"/proc/{running.process.pid}/fd")
        assert str(tmp_path / "rotated") not in {os.readlink(fd) for fd in descriptors.iterdir() if fd.is_symlink()}
        assert running.post(audit_event("secrets", 2)) == 200
        until(lambda: len(running.found()) == 1)
        assert running.end() == 0
        assert (tmp_path / "runs").read_text() == "begun\nended\nbegun\nended\n"
    finally:
        running.process.kill()
        running.process.wait()


def test_the_log_is_json_when_that_is_wanted(tmp_path: Path, rules: Path) -> None:
    path = write(tmp_path, rules, log_format="json")
    lines = [line for line in lanner("run", "-c", path).stderr.splitlines() if line.startswith("{")]
    first = json.loads(lines[0])
    assert set(first) == {"time", "level", "logger", "message"}
    assert any("running: trail, audit" in json.loads(line)["message"] for line in lines)
