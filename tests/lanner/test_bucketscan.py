"""``lanner scan s3://...``: what a bucket holds is found as in a copy of it, and what is left out is told."""

import json
import os
import pty
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest.cloudtrail.support import BUCKET, Aws, trail_key, trail_record
from tests.lanner.aws import aws_environment, aws_server
from tests.lanner.support import ROOT, RULES, SAMPLES, command, lanner

LOCATION = f"s3://{BUCKET}"


@pytest.fixture(scope="module")
def server() -> Iterator[Aws]:
    with aws_server() as served:
        yield served


@pytest.fixture
def aws(server: Aws) -> Aws:
    for bucket in server.s3.list_buckets()["Buckets"]:
        for entry in server.s3.list_objects_v2(Bucket=bucket["Name"]).get("Contents", []):
            server.s3.delete_object(Bucket=bucket["Name"], Key=entry["Key"])
        server.s3.delete_bucket(Bucket=bucket["Name"])
    server.bucket()
    return server


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.replace("made by", "made %ct.id by"))
    return path


def scan(aws: Aws, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return lanner("scan", *arguments, env=aws_environment(aws))


def found(done: "subprocess.CompletedProcess[str]") -> list[int]:
    """Return the numbers of the records that raised alerts."""
    outputs = [json.loads(line)["output"] for line in done.stdout.splitlines()]
    return sorted(int(output.split(" by ")[0][-12:]) for output in outputs)


def test_a_bucket_is_scanned_as_a_copy_of_it_is(aws: Aws) -> None:
    samples = SAMPLES / "cloudtrail"
    for file in samples.rglob("*.json"):
        aws.put(str(file.relative_to(samples)), file.read_bytes())
    done = scan(aws, LOCATION, "--json")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == sorted(lanner("scan", samples, "--json").stdout.splitlines())
    assert done.stdout
    assert "events: " in done.stderr


def test_files_and_buckets_go_together(aws: Aws, rules: Path, tmp_path: Path) -> None:
    aws.put(trail_key("a"), [trail_record(1)])
    (tmp_path / "b.json").write_text(json.dumps({"Records": [trail_record(2)]}))
    done = scan(aws, tmp_path / "b.json", LOCATION, "-r", rules, "--json")
    assert found(done) == [1, 2]
    assert "scanned 2 files" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), [1, 2, 3]),
        (("--from", "2026-01-03T00:00:00Z"), [2]),
        (("--from", "2026-01-01T00:00:00Z", "--to", "2026-01-02T12:00:00Z"), [1, 3]),
        (("--to", "2026-01-02T12:00:00Z"), [1, 3]),
        (("--regions", "us-east-1, eu-north-1"), [3]),
        (("--accounts", "444455556666"), []),
    ],
)
def test_what_is_read_can_be_told(aws: Aws, rules: Path, arguments: tuple[str, ...], expected: list[int]) -> None:
    aws.put(trail_key("a"), [trail_record(1)])
    aws.put(trail_key("b", day="2026/01/04"), [trail_record(2)])
    aws.put(trail_key("c", region="us-east-1"), [trail_record(3)])
    assert found(scan(aws, LOCATION, "-r", rules, "--json", *arguments)) == expected


def test_a_location_can_have_a_query_and_options_go_over_it(aws: Aws, rules: Path) -> None:
    aws.put(trail_key("a"), [trail_record(1)])
    aws.put(trail_key("b", region="us-east-1"), [trail_record(2)])
    location = f"{LOCATION}/AWSLogs/?regions=us-east-1&from=2026-01-01T00:00:00Z"
    assert found(scan(aws, location, "-r", rules, "--json")) == [2]
    assert found(scan(aws, location, "-r", rules, "--json", "--regions", "eu-west-1")) == [1]


def test_what_cannot_be_used_is_told_and_counted(aws: Aws, rules: Path) -> None:
    aws.put(trail_key("a"), [trail_record(1), {"eventName": "x"}])
    aws.put(trail_key("b"), b"\x1f\x8b damaged")
    done = scan(aws, LOCATION, "-r", rules, "--json", "--strict")
    assert done.returncode == 1
    assert found(done) == [1]
    assert trail_key("b") in done.stderr
    assert "1 objects: not or not wholly usable" in done.stderr
    assert "skipped: 1 record: no-event-time" in done.stderr


def test_a_checkpoint_lets_a_later_scan_go_on(aws: Aws, rules: Path, tmp_path: Path) -> None:
    again = ("-r", rules, "--json", "--checkpoint", tmp_path / "read.sqlite")
    aws.put(trail_key("a"), [trail_record(1)])
    assert found(scan(aws, LOCATION, *again)) == [1]
    aws.put(trail_key("b"), [trail_record(2)])
    assert found(scan(aws, LOCATION, *again)) == [2]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (("s3://no-such-bucket",), 4, "s3://no-such-bucket: no such bucket"),
        (("s3://",), 2, "expected s3://bucket"),
        (("s3://any-bucket?since=1",), 2, "?since= is not known"),
        (("s3://any-bucket", "--from", "yesterday"), 2, "interval 'yesterday'"),
        (("/tmp", "--from", "5d"), 2, "options for s3"),
    ],
)
def test_a_mistake_is_told(aws: Aws, arguments: tuple[str, ...], status: int, told: str) -> None:
    done = scan(aws, *arguments)
    assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (status, True, False), done.stderr


def test_a_followed_bucket_is_read_until_interrupted(aws: Aws, rules: Path) -> None:
    aws.put(trail_key("a"), [trail_record(1)])
    arguments = command("scan", LOCATION, "-r", rules, "--json", "--follow", "--endpoint-url", aws.url)
    pipe = subprocess.PIPE
    process = subprocess.Popen(arguments, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=aws_environment(aws))
    try:
        assert process.stdout is not None
        assert "0001 by" in process.stdout.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
        assert process.returncode == 0, told
        assert "alerts: 1" in told  # whether the file counts as scanned depends on the moment
    finally:
        process.kill()


def test_a_terminal_shows_objects_and_speed(aws: Aws, rules: Path) -> None:
    for number in range(60):
        aws.put(trail_key(f"f{number}"), [trail_record(number)])
    ours, theirs = pty.openpty()
    shown = bytearray()
    reader = threading.Thread(target=_read_all, args=(ours, shown))
    reader.start()
    arguments = command("scan", LOCATION, "-r", rules)
    environment = {**aws_environment(aws), "TERM": "xterm", "COLUMNS": "150"}
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=theirs, cwd=ROOT, env=environment, timeout=120)
    os.close(theirs)
    reader.join(60)
    text = shown.decode()
    assert done.returncode == 0, text
    assert "objects, " in text
    assert "events/s" in text
    assert "scanned 60 files" in text


def _read_all(descriptor: int, into: bytearray) -> None:
    try:
        while data := os.read(descriptor, 65536):
            into += data
    except OSError:  # how Linux tells the end of a pseudo-terminal
        return
    finally:
        os.close(descriptor)
