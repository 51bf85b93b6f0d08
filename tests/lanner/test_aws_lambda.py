"""The Lambda function as Lambda runs it: in a process of its own, told by environment and events only."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.cloudtrail.options import ObjectOptions
from lanner.aws_lambda import within
from tests.ingest.cloudtrail.support import Aws, trail_key, trail_record
from tests.ingest.cloudtrail.test_lambda_entry import announcement, message
from tests.lanner.aws import aws_environment, aws_server
from tests.lanner.support import ROOT, RULES

RUNTIME = """
import importlib, json, sys
module, _, name = sys.argv[1].rpartition(".")
handler = getattr(importlib.import_module(module), name)
for line in sys.stdin:
    print("answer " + json.dumps(handler(json.loads(line), None)), flush=True)
"""


@pytest.fixture
def aws() -> Iterator[Aws]:
    with aws_server() as served:
        served.bucket()
        yield served


def invoke(aws: Aws, *events: Any, **environment: str) -> tuple[list[Any], list[str], str]:
    """Invoke the function; return its answers, the other lines it wrote, and its log."""
    done = subprocess.run(
        [sys.executable, "-c", RUNTIME, "ingest.cloudtrail.lambda_handler"],
        input="".join(f"{json.dumps(event)}\n" for event in events),
        env={**aws_environment(aws), **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = done.stdout.splitlines()
    answers = [json.loads(line.removeprefix("answer ")) for line in lines if line.startswith("answer ")]
    return answers, [line for line in lines if not line.startswith("answer ")], done.stderr


def configured(folder: Path, **more: Any) -> str:
    (folder / "rules.yaml").write_text(RULES)
    path = folder / "lanner.yaml"
    source = {"type": "cloudtrail", "queue": "sqs://any"}
    path.write_text(json.dumps({"rules_files": [str(folder / "rules.yaml")], "sources": [source], **more}))
    return str(path)


def test_alerts_are_written_and_messages_that_failed_are_named(aws: Aws, tmp_path: Path) -> None:
    path = configured(tmp_path, json_output=True, alert_uid=True)
    key = aws.put(trail_key("a"), [trail_record(1), trail_record(2, eventName="ListUsers")])
    records = [message("good", announcement(key)), message("gone", announcement(trail_key("b")))]

    answers, alerts, log = invoke(aws, {"Records": records}, {"Records": records[:1]}, LANNER_CONFIG=path)

    assert answers == [{"batchItemFailures": [{"itemIdentifier": "gone"}]}, {"batchItemFailures": []}], log
    assert [json.loads(alert)["rule"] for alert in alerts] == ["User made"]
    assert json.loads(alerts[0])["lanner"]["uid"]


def test_without_configuration_the_shipped_rules_apply_and_alerts_are_json(aws: Aws) -> None:
    stopped = trail_record(1, eventSource="cloudtrail.amazonaws.com", eventName="StopLogging")
    answers, alerts, log = invoke(aws, {"Records": [message("m", announcement(aws.put(trail_key("a"), [stopped])))]})

    assert answers == [{"batchItemFailures": []}], log
    assert [json.loads(alert)["source"] for alert in alerts] == ["aws_cloudtrail"]


def test_alerts_have_the_form_of_the_configuration(aws: Aws, tmp_path: Path) -> None:
    event = {"Records": [message("m", trail_record(1))]}
    _, alerts, _ = invoke(aws, event, LANNER_CONFIG=configured(tmp_path))

    assert len(alerts) == 1
    assert "Warning made by" in alerts[0]


def test_objects_that_do_not_fit_the_function_are_refused(aws: Aws, tmp_path: Path) -> None:
    key = aws.put(trail_key("a"), b"[" + b" " * (17 << 20) + b"]")
    event = {"Records": [message("m", announcement(key))]}
    answers, _, log = invoke(
        aws, event, LANNER_CONFIG=configured(tmp_path), AWS_LAMBDA_FUNCTION_MEMORY_SIZE=str(16 * 4)
    )

    assert answers == [{"batchItemFailures": [{"itemIdentifier": "m"}]}], log
    assert "too-large" in log


@pytest.mark.parametrize(
    ("memory", "budget", "largest"), [(0, 256, 256), (240, 120, 20), (1800, 256, 150), (10_240, 256, 256)]
)
def test_the_memory_of_the_function_bounds_what_is_read(memory: int, budget: int, largest: int) -> None:
    found = within(ObjectOptions(), memory << 20)
    assert (found.memory_budget, found.max_object_bytes) == (budget << 20, largest << 20)
