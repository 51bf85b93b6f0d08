"""The plugins section of a Falco configuration starts what the plugins would."""

import http.client
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ingest.cloudtrail.options import AwsOptions, ObjectOptions, S3Options, SqsOptions
from ingest.k8saudit.cloudwatch import CloudWatchOptions
from ingest.k8saudit.files import LogOptions
from ingest.k8saudit.listener import ListenOptions
from ingest.k8saudit.webhook import WebhookOptions
from lanner.config import read
from lanner.errors import ConfigError
from lanner.filesource import FilesOptions
from lanner.sources import SourceConfig
from tests.lanner.support import ROOT, RULES, audit_event, command, ct_record, environment, lanner
from tests.lanner.test_service import free_port

FALCO = """
plugins:
  - name: container
    library_path: libcontainer.so
    init_config: {label_max_len: 100, with_size: false}
  - name: k8saudit
    library_path: libk8saudit.so
    init_config:
      webhookMaxBatchSize: 1000000
    open_params: "http://:9765/k8s-audit"
  - name: cloudtrail
    library_path: libcloudtrail.so
    init_config: '{"s3DownloadConcurrency": 8, "useS3SNS": true, "aws": {"region": "eu-west-1"}}'
    open_params: sqs://trail
  - name: json
    library_path: libjson.so
    init_config: ""
"""


def sources(text: str, *overrides: str) -> tuple[SourceConfig, ...]:
    return read(text, "falco.yaml", overrides).sources


def findings(text: str) -> str:
    with pytest.raises(ConfigError) as error:
        read(text, "falco.yaml")
    return str(error.value)


def test_plugins_become_sources() -> None:
    audit, trail = sources(FALCO)
    listen = ListenOptions("0.0.0.0", 9765)
    assert (audit.type, audit.options) == ("k8saudit", WebhookOptions(listen, max_body_bytes=1_000_000))
    queue = SqsOptions("sqs://trail", aws=AwsOptions(region="eu-west-1"), objects=ObjectOptions(concurrency=8))
    assert (trail.type, trail.name, trail.options) == ("cloudtrail", "cloudtrail", queue)
    assert [note.split()[0] for note in trail.notes] == ["useS3SNS"]


def test_only_the_plugins_to_load_are_loaded_in_their_order() -> None:
    assert [s.name for s in sources(FALCO + "load_plugins: [cloudtrail, json, k8saudit]")] == ["cloudtrail", "k8saudit"]
    assert [s.name for s in sources(FALCO + "load_plugins: [k8saudit]")] == ["k8saudit"]


def test_sources_stand_beside_plugins() -> None:
    found = sources(FALCO + "load_plugins: []\nsources: [{type: k8saudit}]")
    assert [source.options for source in found] == [WebhookOptions()]


@pytest.mark.parametrize(
    ("name", "open_params", "kind", "options"),
    [
        ("cloudtrail", "s3://b/p?from=5d", "cloudtrail-s3", S3Options("s3://b/p", interval="5d")),
        ("cloudtrail", "/var/trail", "files", FilesOptions(("/var/trail",), "aws_cloudtrail")),
        ("k8saudit", "file:///a.log", "k8saudit-log", LogOptions("/a.log")),
        ("k8saudit", "/var/audit", "files", FilesOptions(("/var/audit",), "k8s_audit")),
        ("k8saudit-eks", "prod", "k8saudit-eks", CloudWatchOptions("prod")),
    ],
)
def test_open_params_tell_the_type(name: str, open_params: str, kind: str, options: Any) -> None:
    (found,) = sources(f"plugins: [{{name: {name}, open_params: '{open_params}'}}]")
    assert (found.type, found.options) == (kind, options)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("plugins: [{name: okta}]", "falco.yaml:1: plugins[0]: plugin 'okta' is not known here; known are cloudtrail"),
        ("plugins: [{name: cloudtrail}]", "falco.yaml:1: plugins[0]: open_params is empty"),
        ("plugins: [{name: cloudtrail, open_parms: x}]", "open_parms: unknown key; did you mean 'open_params'?"),
        ("plugins: [{library_path: x}]", "'name' is missing"),
        ("plugins: [{name: k8saudit, init_config: 5}]", "init_config is a mapping or JSON text"),
        ("load_plugins: [cloudtrail]", "load_plugins: no plugin 'cloudtrail' is in 'plugins'"),
        ("load_plugins: cloudtrail", "load_plugins: wanted is list of text or nothing"),
        (FALCO + "load_plugins: [json]", "no source is configured"),
        (FALCO + "sources: [{type: k8saudit}]", "two sources have one name"),
    ],
)
def test_a_mistake_is_told(text: str, finding: str) -> None:
    assert finding in findings(text)


def test_a_plugin_that_is_not_loaded_may_be_wrong() -> None:
    text = "plugins: [{name: okta}, {name: k8saudit, open_params: 'http://:1/x'}]\nload_plugins: [k8saudit]"
    assert len(sources(text)) == 1


def configured(folder: Path, plugins: list[dict[str, Any]]) -> Path:
    (folder / "rules.yaml").write_text(RULES)
    path = folder / "falco.yaml"
    config = {"rules_files": [str(folder / "rules.yaml")], "json_output": True, "plugins": plugins}
    path.write_text(json.dumps({**config, "outbox": {"path": str(folder / "outbox.sqlite")}}))
    return path


def test_files_of_plugins_are_read_to_their_end(tmp_path: Path) -> None:
    trail, audit = tmp_path / "trail", tmp_path / "audit"
    trail.mkdir()
    audit.mkdir()
    (trail / "a.json").write_text(json.dumps({"Records": [ct_record(number=1), ct_record("ListUsers", 2)]}))
    (trail / "b.json").write_text("{")
    (audit / "a.log").write_text(json.dumps(audit_event()) + "\n")
    plugins = [
        {"name": "cloudtrail", "init_config": {"useAsync": True}, "open_params": str(trail)},
        {"name": "k8saudit", "open_params": str(audit)},
    ]
    done = lanner("run", "-c", configured(tmp_path, plugins))
    assert done.returncode == 0, done.stderr
    assert sorted(json.loads(line)["rule"] for line in done.stdout.splitlines()) == ["Secret asked for", "User made"]
    assert done.stderr.count("source cloudtrail: useAsync has no effect") == 1
    assert "b.json" in done.stderr


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    plugins = [{"name": "cloudtrail", "open_params": str(tmp_path / "none")}]
    done = lanner("run", "-c", configured(tmp_path, plugins))
    assert done.returncode == 4
    assert "source cloudtrail: " in done.stderr
    assert "Traceback" not in done.stderr


def test_the_webhook_of_a_plugin_takes_events(tmp_path: Path) -> None:
    port = free_port()
    plugins = [{"name": "k8saudit", "open_params": f"http://127.0.0.1:{port}/audit"}]
    arguments = command("run", "-c", configured(tmp_path, plugins))
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT, env=environment())
    try:
        assert posted(port, "/audit", audit_event()) == 200
        process.terminate()
        out, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert json.loads(out)["rule"] == "Secret asked for"


def posted(port: int, path: str, event: Any) -> int:
    """Post an event as soon as somebody listens."""
    for _ in range(600):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            connection.request("POST", path, json.dumps(event), {"Content-Type": "application/json"})
            return connection.getresponse().status
        except ConnectionRefusedError:
            time.sleep(0.05)
        finally:
            connection.close()
    raise AssertionError("nobody listens")


def test_the_plugin_for_metadata_is_built_in() -> None:
    text = "plugins:\n  - {name: k8smeta, library_path: x.so, init_config: {collectorPort: 45000, nodeName: n}}\n"
    assert sources(text + "sources: [{type: k8saudit}]") == sources("sources: [{type: k8saudit}]")
