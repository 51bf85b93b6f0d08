import contextlib
import gzip
import json
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from tests.lanner.support import ROOT, RULES, SAMPLES, audit_event, command, ct_record, environment, lanner
from tests.shared import SHARED, needs_shared


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder as people have them: both sources, compressed and not, in every form, and files that are none."""
    folder = tmp_path / "logs"
    (folder / "AWSLogs").mkdir(parents=True)
    trail = json.dumps({"Records": [ct_record(number=1), ct_record("GetUser", number=2)]}).encode()
    (folder / "AWSLogs" / "trail.json.gz").write_bytes(gzip.compress(trail))
    (folder / "AWSLogs" / "CloudTrail-Digest").mkdir()
    (folder / "AWSLogs" / "CloudTrail-Digest" / "digest.json").write_text('{"digestS3Object": "x", "logFiles": []}')
    (folder / "audit.log").write_text("".join(json.dumps(audit_event(number=n)) + "\n" for n in (3, 4)))
    (folder / "list.json").write_text(json.dumps({"kind": "EventList", "items": [audit_event("pods", 5)]}))
    (folder / "notes.txt").write_text("no events here")
    return folder


def test_a_folder_of_both_sources(logs: Path, rules: Path) -> None:
    done = lanner("scan", logs, "-r", rules)
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "03:04:05.000006000: Critical secret for bob",
        "03:04:05.000006000: Critical secret for bob",
        "03:04:05.000000000: Warning made by ann from 192.0.2.1",
    ]
    assert "scanned 3 files" in done.stderr
    assert "2  aws_cloudtrail" in done.stderr
    assert "3  k8s_audit" in done.stderr
    assert "2  Critical       Secret asked for" in done.stderr
    assert "1  Warning        User made" in done.stderr


def test_json_lines_have_falcos_keys(logs: Path, rules: Path) -> None:
    done = lanner("scan", logs / "AWSLogs", "-r", rules, "--json")
    (line,) = done.stdout.splitlines()
    assert json.loads(line) == {
        "hostname": "test-host",
        "output": "03:04:05.000000000: Warning made by ann from 192.0.2.1",
        "output_fields": {"ct.user": "ann", "ct.srcip": "192.0.2.1", "evt.time": 1767323045000000000},
        "priority": "Warning",
        "rule": "User made",
        "source": "aws_cloudtrail",
        "tags": ["aws"],
        "time": "2026-01-02T03:04:05.000000000Z",
    }


def test_iso_time(logs: Path, rules: Path) -> None:
    done = lanner("scan", logs / "AWSLogs", "-r", rules, "--iso-time")
    assert done.stdout == "2026-01-02T03:04:05.000000000+0000: Warning made by ann from 192.0.2.1\n"


@pytest.mark.parametrize("compress", [False, True])
def test_standard_input(rules: Path, compress: bool) -> None:
    data = json.dumps(audit_event()).encode()
    done = lanner("scan", "-", "-r", rules, stdin=gzip.compress(data) if compress else data)
    assert (done.returncode, done.stdout) == (0, "03:04:05.000006000: Critical secret for bob\n")


def test_less_severe_rules_can_be_left_out(logs: Path, rules: Path) -> None:
    done = lanner("scan", logs, "-r", rules, "--min-priority", "critical")
    assert done.stdout.count("\n") == 2
    assert "User made" not in done.stderr


@pytest.mark.parametrize(
    ("priority", "status"), [("emergency", 0), ("alert", 0), ("critical", 1), ("Warning", 1), ("info", 1)]
)
def test_fail_on_a_priority_or_worse(logs: Path, rules: Path, priority: str, status: int) -> None:
    assert lanner("scan", logs, "-r", rules, "--fail-on", priority).returncode == status


def test_matching_all_rules_or_the_first(tmp_path: Path) -> None:
    rules = tmp_path / "two.yaml"
    rules.write_text(RULES + RULES.partition("- rule: Secret")[0].replace("User made", "User made again"))
    trail = tmp_path / "trail.json"
    trail.write_text(json.dumps(ct_record()))
    assert lanner("scan", trail, "-r", rules).stdout.count("\n") == 2
    assert lanner("scan", trail, "-r", rules, "--rule-matching", "first").stdout.count("\n") == 1


def test_a_bad_file_costs_itself_alone(logs: Path, rules: Path) -> None:
    whole = gzip.compress(json.dumps({"Records": [ct_record(number=9)]}).encode())
    (logs / "cut.json.gz").write_bytes(whole[:-30])
    (logs / "broken.json").write_text('{"Records": [{')
    (logs / "zero.json").write_text('{"kind": 0}')
    (logs / "empty.json").write_text("")
    (logs / "packed.json").write_bytes(b"\x28\xb5\x2f\xfd rest")
    done = lanner("scan", logs, "-r", rules)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3
    told = {line.removeprefix(f"unreadable: {logs}/").partition(": ")[::2] for line in done.stderr.splitlines()}
    reasons = dict(told)
    assert reasons["cut.json.gz"].startswith("the gzip data ends early")
    assert reasons["broken.json"].startswith("not JSON")
    assert reasons["zero.json"] == "holds no records of aws_cloudtrail or k8s_audit; --source says what it holds"
    assert "empty.json" not in reasons
    assert "zstd" in reasons["packed.json"]
    assert lanner("scan", logs, "-r", rules, "--strict").returncode == 1


def test_what_a_truncated_file_still_holds_is_found(tmp_path: Path, rules: Path) -> None:
    records = [ct_record("CreateUser" if number == 0 else "GetUser", number) for number in range(4000)]
    cut = tmp_path / "cut.json.gz"
    whole = gzip.compress(json.dumps({"Records": records}).encode())
    cut.write_bytes(whole[: len(whole) // 2])
    done = lanner("scan", cut, "-r", rules)
    assert done.stdout == "03:04:05.000000000: Warning made by ann from 192.0.2.1\n"
    assert f"unreadable: {cut}: the gzip data ends early" in done.stderr


def test_records_that_cannot_be_used_are_counted_with_reason_and_place(tmp_path: Path, rules: Path) -> None:
    bad = ct_record()
    del bad["eventTime"]
    trail = tmp_path / "trail.json"
    trail.write_text(json.dumps({"Records": [ct_record(), *[bad] * 5]}))
    done = lanner("scan", trail, "-r", rules, "--strict")
    assert done.returncode == 0
    assert "skipped: 5 records: no-event-time" in done.stderr
    assert f"  {trail}: $.Records[1].eventTime: missing" in done.stderr
    assert "  and 2 more" in done.stderr


def test_a_source_can_be_given(tmp_path: Path, rules: Path) -> None:
    path = tmp_path / "events.json"
    path.write_text(json.dumps(ct_record()))
    done = lanner("scan", path, "-r", rules, "--source", "k8s_audit")
    assert done.stdout == ""
    assert "skipped: 1 record" in done.stderr
    assert lanner("scan", path, "-r", rules, "--source", "syslog").returncode == 2


def test_a_path_that_is_not_there_is_a_usage_error(rules: Path) -> None:
    done = lanner("scan", "nowhere.json", "-r", rules)
    assert (done.returncode, done.stderr) == (2, "lanner: nowhere.json: No such file or directory\n")


def test_wrong_rules_are_shown_with_carets_and_nothing_is_scanned(tmp_path: Path, logs: Path) -> None:
    rules = tmp_path / "wrong.yaml"
    rules.write_text(RULES.replace("ct.name =", "ct.nam ="))
    done = lanner("scan", logs, "-r", rules)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{rules}:4:14: error[unknown-field]" in done.stderr
    assert "^^^^^^" in done.stderr
    assert "1 error in the rules; nothing was run" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rules", ["nowhere.yaml", "docs"])
def test_rules_that_are_not_there(rules: str, logs: Path) -> None:
    done = lanner("scan", logs, "-r", rules)
    assert done.returncode == 3
    assert done.stderr.startswith(f"lanner: {rules}: no")


def test_the_shipped_rules_are_the_default() -> None:
    done = lanner("scan", SAMPLES, "--json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert {one["source"] for one in found} == {"aws_cloudtrail", "k8s_audit"}
    assert "Trail stopped or deleted" in {one["rule"] for one in found}


@pytest.mark.parametrize(
    ("env", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colours(logs: Path, rules: Path, env: dict[str, str], coloured: bool) -> None:
    done = lanner("scan", logs, "-r", rules, env=environment(**env))
    assert ("\x1b[1;31m03:04:05.000006000: Critical secret for bob\x1b[0m" in done.stdout) == coloured
    assert ("\x1b[" in done.stdout + done.stderr) == coloured
    assert "\x1b[" not in lanner("scan", logs, "-r", rules, "--json", env=environment(**env)).stdout


def test_an_event_cannot_write_to_the_terminal(tmp_path: Path, rules: Path) -> None:
    trail = tmp_path / "trail.json"
    trail.write_text(json.dumps(ct_record(userIdentity={"type": "IAMUser", "userName": "a\x1b[2Jb\nc"})))
    done = lanner("scan", trail, "-r", rules)
    assert "\x1b" not in done.stdout
    assert done.stdout.count("\n") == 1


def test_a_reader_that_leaves_ends_the_scan_quietly(tmp_path: Path, rules: Path) -> None:
    audit = tmp_path / "audit.log"
    audit.write_text("".join(json.dumps(audit_event(number=n)) + "\n" for n in range(20_000)))
    process = subprocess.Popen(
        command("scan", audit, "-r", rules, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    told = process.stderr.read()
    assert (process.wait(60), told) == (0, b"")


@needs_shared
def test_a_real_trail_with_the_rules_of_falco() -> None:
    assert SHARED is not None
    rules = SHARED / "falco-rules" / "plugins" / "cloudtrail"
    done = lanner("scan", SHARED / "cloudtrail" / "invictus", "-r", rules, "--json")
    assert done.returncode == 0
    assert "2,093  aws_cloudtrail" in done.stderr
    found = [json.loads(line)["rule"] for line in done.stdout.splitlines()]
    assert {rule: found.count(rule) for rule in found} == {
        "CloudTrail Trail Created": 2,
        "Put Bucket Policy": 2,
        "Run Instances": 2,
        "Run Instances in Non-approved Region": 2,
    }


@needs_shared
@pytest.mark.parametrize("folder", ["cloudtrail/edge", "k8saudit/falco", "k8saudit"])
def test_odd_files_are_survived(folder: str) -> None:
    assert SHARED is not None
    done = lanner("scan", SHARED / folder)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "alerts: " in done.stderr


def test_a_folder_without_files_of_events_is_said_to_hold_none(tmp_path: Path) -> None:
    (tmp_path / "audit.log.1").write_text("{}")
    done = lanner("scan", str(tmp_path))
    assert done.returncode == 0
    assert "no file was found: of a folder the .json, .jsonl, .ndjson, .log and .scap files are read" in done.stderr


def test_events_of_files_are_replays(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("""
- rule: Replay
  desc: d
  condition: evt.replay = true and not evt.delay exists and not evt.late = true
  output: replayed %evt.replay %evt.delay
  priority: INFO
  source: any
""")
    (tmp_path / "trail.json").write_text(json.dumps(ct_record()))
    (tmp_path / "audit.log").write_text(json.dumps(audit_event()))
    done = lanner("scan", tmp_path / "trail.json", tmp_path / "audit.log", "-r", rules)
    assert done.stdout.count("replayed true <NA>") == 2


def test_followed_files_are_read_as_they_grow_until_interrupted(tmp_path: Path, rules: Path) -> None:
    log, checkpoint = tmp_path / "audit.log", tmp_path / "checkpoint"
    log.write_text(json.dumps(audit_event(number=1)) + "\n")

    def scanning() -> "subprocess.Popen[str]":
        arguments = command("scan", tmp_path, "-r", rules, "--json", "--follow", "--checkpoint", checkpoint)
        pipe = subprocess.PIPE
        return subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment())

    for number in (2, 3):
        process = scanning()
        try:
            assert process.stdout
            if number == 2:
                assert "Secret asked for" in process.stdout.readline()
            with log.open("a") as file:
                file.write(json.dumps(audit_event(number=number)) + "\n")
            assert "Secret asked for" in process.stdout.readline()
            assert process.poll() is None
            wait_for_checkpoint(checkpoint, log.stat().st_size)
            process.send_signal(signal.SIGINT)
            rest, told = process.communicate(timeout=60)
        finally:
            process.kill()
        assert (process.returncode, rest) == (0, "")
        assert f"alerts: {2 if number == 2 else 1}\n" in told
        assert "Traceback" not in told


def wait_for_checkpoint(path: Path, offset: int) -> None:
    for _ in range(600):
        with contextlib.closing(sqlite3.connect(path)) as database:
            if database.execute("SELECT offset FROM marks").fetchall() == [(offset,)]:
                return
        time.sleep(0.05)
    raise AssertionError("the checkpoint does not tell that all was read")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--checkpoint", "c"), "add --follow"),
        (("--follow", "-"), "standard input is read to its end"),
        (("--follow", "s3://any-bucket"), "takes one bucket, or files and folders"),
    ],
)
def test_options_that_do_not_go_together_are_told(logs: Path, arguments: tuple[str, ...], told: str) -> None:
    done = lanner("scan", logs, *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
