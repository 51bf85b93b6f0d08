"""What the image brings besides Lanner: fetch, health check and Lambda function; and the recipe it is made by."""

import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import pytest

from tests.infra.running import ROOT, service

DOCKER = ROOT / "infra" / "docker"
REGION = "eu-west-1"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make the image's scripts importable for one test, each time anew."""
    monkeypatch.syspath_prepend(str(DOCKER))
    yield
    for name in ("fetch", "health", "lambda_function"):
        sys.modules.pop(name, None)


@pytest.fixture
def fetch(scripts: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    return importlib.import_module("fetch")


@pytest.fixture
def health(scripts: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = importlib.import_module("health")
    monkeypatch.setattr(module, "_MEMORY", tmp_path / "health")
    monkeypatch.setattr(module, "_PATIENCE", 1.0)
    return module


def client(service: str, url: str) -> Any:
    return boto3.client(service, endpoint_url=url, region_name=REGION)


# Fetching


def put_parameters(url: str, **values: str) -> None:
    for name, value in values.items():
        client("ssm", url).put_parameter(Name=f"/lanner/{name.replace('__', '/')}", Value=value, Type="String")


def put_rules(url: str, *keys: str) -> None:
    client("s3", url).create_bucket(Bucket="acme-rules", CreateBucketConfiguration={"LocationConstraint": REGION})
    for key in keys:
        client("s3", url).put_object(Bucket="acme-rules", Key=key, Body=key.encode())


def test_parameters_and_objects_become_files(fetch: ModuleType, aws_url: str, tmp_path: Path) -> None:
    put_parameters(aws_url, config="sources: []", rules__ours="[]")
    put_rules(aws_url, "lanner/", "lanner/a.yaml", "lanner/deeper/b.yaml", "other.yaml")
    fetch.fetch([f"ssm:/lanner={tmp_path}", f"s3://acme-rules/lanner/={tmp_path}/rules"])
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"config", "rules/ours", "rules/a.yaml"}
    assert (tmp_path / "rules/a.yaml").read_text() == "lanner/a.yaml"


def test_many_parameters_come_over_several_pages(fetch: ModuleType, aws_url: str, tmp_path: Path) -> None:
    put_parameters(aws_url, **{f"rules__r{n}": "[]" for n in range(23)})
    assert len(fetch.fetch([f"ssm:/lanner={tmp_path}"])) == 23


@pytest.mark.parametrize("source", ["ssm:/nothing", "s3://acme-rules/nothing/"])
def test_a_source_that_holds_nothing_is_an_error(source: str, fetch: ModuleType, aws_url: str, tmp_path: Path) -> None:
    put_rules(aws_url, "other.yaml")
    with pytest.raises(fetch.FetchError, match="there is nothing"):
        fetch.fetch([f"{source}={tmp_path}"])


@pytest.mark.parametrize("key", ["lanner/..", "lanner//etc/passwd"])
def test_no_name_leaves_the_folder(key: str, fetch: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(fetch.FetchError, match="is no name of a file below"):
        fetch._write(tmp_path, key.removeprefix("lanner/"), b"")


@pytest.mark.parametrize("assignment", ["", "/etc", "http://x=/etc", "s3://bucket=/etc"])
def test_what_is_no_source_is_told(assignment: str, fetch: ModuleType) -> None:
    with pytest.raises(fetch.FetchError, match="expected ssm:/path=FOLDER or s3://bucket/prefix/=FOLDER"):
        fetch.fetch([assignment])


def test_a_failure_is_one_line_and_a_status(aws_url: str, tmp_path: Path) -> None:
    command = [sys.executable, str(DOCKER / "fetch.py"), f"s3://no-such-bucket/={tmp_path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(r"lanner-fetch: .*NoSuchBucket.*\n", done.stderr)


# Health


def check(health: ModuleType, pid: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(sys, "argv", ["lanner-health", str(pid)])
    return health.main() == 0


def configuration(folder: Path, source: dict[str, Any]) -> Path:
    path = folder / "lanner.yaml"
    path.write_text(json.dumps({"outbox": {"path": ":none"}, "rules_files": ["bundled/k8s"], "sources": [source]}))
    return path


def test_a_consumer_is_healthy_while_its_loop_turns(
    health: ModuleType, aws_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = client("sqs", aws_url).create_queue(QueueName="lanner")["QueueUrl"]
    source = {"type": "cloudtrail", "queue": f"sqs://{url}", "wait": 1, "aws": {"region": REGION}}
    with service(configuration(tmp_path, source)) as running:
        assert check(health, running.process.pid, monkeypatch)
        for _ in range(3):
            running.wait_for(lambda: check(health, running.process.pid, monkeypatch))
        running.process.send_signal(signal.SIGSTOP)
        try:
            running.wait_for(lambda: not check(health, running.process.pid, monkeypatch))
        finally:
            running.process.send_signal(signal.SIGCONT)
        running.wait_for(lambda: check(health, running.process.pid, monkeypatch))
    assert not check(health, running.process.pid, monkeypatch)


def test_a_listener_is_healthy_while_it_wakes_for_a_connection(
    health: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    source = {"type": "k8saudit", "listen": {"host": "127.0.0.1", "port": port}}
    with service(configuration(tmp_path, source)) as running:
        running.wait_for(lambda: health.ports(running.process.pid) == {port})
        time.sleep(0.5)  # let it finish what starting leaves to do
        assert check(health, running.process.pid, monkeypatch)
        running.process.send_signal(signal.SIGSTOP)
        assert not check(health, running.process.pid, monkeypatch)
        running.process.send_signal(signal.SIGCONT)


def test_the_process_is_found_by_its_command(health: ModuleType, tmp_path: Path) -> None:
    for pid, words in {
        "1": "/sbin/docker-init\0--\0lanner\0run\0",
        "7": "/opt/lanner/bin/python\0/opt/lanner/bin/lanner-health\0",
        "8": "/opt/lanner/bin/python\0/opt/lanner/bin/lanner\0run\0",
        "9": "sh\0-c\0run lanner\0",
    }.items():
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_text(words)
    assert health.find(tmp_path) == 8
    assert health.find(tmp_path / "8") == 0


# Lambda

RULE = """
- rule: A user was made
  desc: Somebody made a user.
  condition: ct.name = CreateUser
  output: user made (id %ct.id)
  priority: NOTICE
  source: aws_cloudtrail
"""


def test_the_function_evaluates_messages_and_names_those_that_failed(
    scripts: None, aws_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    source = {"type": "cloudtrail", "queue": "sqs://unused", "aws": {"region": REGION}}
    config = {"json_output": True, "alert_uid": True, "rules_files": [f"{tmp_path}/rules"], "sources": [source]}
    put_parameters(aws_url, **{"lanner.yaml": json.dumps(config), "rules__ours.yaml": RULE})
    monkeypatch.setenv("LANNER_FETCH", f"ssm:/lanner={tmp_path}")
    monkeypatch.setenv("LANNER_CONFIG", f"{tmp_path}/lanner.yaml")
    handler = importlib.import_module("lambda_function").handler
    record = {"eventVersion": "1.11", "eventID": "id-1", "eventTime": "2026-01-02T03:04:05Z", "eventName": "CreateUser"}
    event = {"Records": [_message("good", json.dumps(record)), _message("bad", "no message of ours")]}
    assert handler(event, None) == {"batchItemFailures": [{"itemIdentifier": "bad"}]}
    (alert,) = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert alert["output_fields"]["ct.id"] == "id-1"
    assert alert["lanner"]["uid"]


def _message(name: str, body: str) -> dict[str, Any]:
    attributes = {"ApproximateReceiveCount": "1"}
    return {"messageId": name, "receiptHandle": "h", "body": body, "attributes": attributes, "eventSource": "aws:sqs"}


# Recipe


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions: word and arguments."""
    text = re.sub(r"\\\n\s*", "", (DOCKER / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def test_everything_that_is_copied_is_there_and_reaches_the_builder() -> None:
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().splitlines()
    taken = [line[1:] for line in ignored if line.startswith("!")]
    copied = [words.split() for word, words in instructions() if word == "COPY" and "--from" not in words]
    sources = [source for words in copied for source in words[:-1] if not source.startswith("--")]
    assert len(sources) > 8
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(Path(source).match(pattern) for pattern in taken), source


def test_what_the_wheel_is_made_of_is_copied() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    wanted = re.search(r"packages = \[(.*)\]", project)
    assert wanted
    copied = " ".join(words for word, words in instructions() if word == "COPY")
    for name in [*re.findall(r'"(\w+)"', wanted[1]), "rules", "pyproject.toml", "README.md", "LICENSE"]:
        assert name in copied.split(), name


def test_the_service_is_the_last_stage_and_nobody_special_runs_it() -> None:
    stages: list[dict[str, str]] = []
    for word, words in instructions():
        if word == "FROM":
            stages.append({"name": words.rpartition(" AS ")[2]})
        elif stages:
            stages[-1][word] = words
    assert stages[-1]["name"] == "service"
    users = {stage["name"]: stage["USER"] for stage in stages if "ENTRYPOINT" in stage}
    assert users == {"lambda": "10001:10001", "agent": "0:0", "service": "10001:10001"}
    assert "lanner-health" in stages[-1]["HEALTHCHECK"]
    assert json.loads(stages[-1]["VOLUME"]) == ["/etc/lanner", "/var/lib/lanner", "/tmp"]


@pytest.mark.parametrize("name", ["fetch.py", "health.py"])
def test_a_script_starts_with_the_images_interpreter(name: str) -> None:
    assert (DOCKER / name).read_text().startswith("#!/usr/bin/env python\n")
    assert os.access(DOCKER / name, os.R_OK)
