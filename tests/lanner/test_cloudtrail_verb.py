"""``lanner cloudtrail doctor`` as a user calls it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ingest.cloudtrail.support import Aws, trail_key, trail_record
from tests.lanner.aws import aws_environment, aws_server
from tests.lanner.support import lanner


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with aws_server() as served:
        served.bucket()
        served.announce(served.queue(), served.put(trail_key("a"), [trail_record(1)]))
        yield served


def test_findings_come_with_advice_and_a_failure_shows_in_the_status(aws: Aws) -> None:
    done = lanner("cloudtrail", "doctor", "sqs://lanner", env=aws_environment(aws))
    assert done.returncode == 1
    assert "\nok    receive: allowed\n" in done.stdout
    assert "\nFAIL  policy: nobody but the queue's own account may send to it\n      -> allow sqs:" in done.stdout
    assert "\nok    file: s3://acme-trail/" in done.stdout
    assert ", 1 failed" in done.stdout.splitlines()[-1]
    assert done.stderr == ""


def test_the_source_of_a_configuration_is_looked_at(aws: Aws, tmp_path: Path) -> None:
    sources = [
        {"type": "cloudtrail", "name": "one", "queue": "sqs://none"},
        {"type": "cloudtrail", "name": "two", "queue": "sqs://lanner"},
    ]
    (tmp_path / "lanner.yaml").write_text(json.dumps({"sources": sources}))
    arguments = ("cloudtrail", "doctor", "-c", tmp_path / "lanner.yaml")
    assert "sqs://none in region eu-west-1: no such queue" in lanner(*arguments, env=aws_environment(aws)).stdout
    assert "ok    receive" in lanner(*arguments, "--source", "two", env=aws_environment(aws)).stdout
    done = lanner(*arguments, "--source", "three", env=aws_environment(aws))
    assert (done.returncode, done.stderr) == (2, "lanner: no source of type cloudtrail is named three\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("sqs://no queue",), "expected sqs:// and a queue's name, URL or ARN"),
        (("sqs://q", "-c", "lanner.yaml"), "give a queue, or a configuration"),
        (("-c", "/nowhere/lanner.yaml"), "/nowhere/lanner.yaml"),
    ],
)
def test_a_mistake_is_told(aws: Aws, arguments: tuple[str, ...], told: str) -> None:
    done = lanner("cloudtrail", "doctor", *arguments, env=aws_environment(aws))
    assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (2, True, False), done.stderr
