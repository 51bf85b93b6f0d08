"""What the configuration adds to alerts and leaves out of them, and Falco's old flags for choosing rules."""

import json
from pathlib import Path

import pytest

from lanner.config import Config, read
from lanner.errors import ConfigError
from lanner.outputs.lines import line_writer
from lanner.outputset import line_form
from lanner.service import load_ruleset
from tests.lanner.support import lanner

RULES = """
- rule: One
  desc: d
  condition: ct.name = CreateUser
  output: made by %ct.user
  priority: NOTICE
  source: aws_cloudtrail
  tags: [iam]
- rule: Two
  desc: d
  condition: ct.name = CreateUser
  output: again
  priority: INFO
  source: aws_cloudtrail
"""
EVENT = {
    "eventVersion": "1.08",
    "eventID": "5c0a2f6e-0000-4000-8000-000000000001",
    "eventTime": "2026-01-02T03:04:05Z",
    "eventName": "CreateUser",
    "eventType": "AwsApiCall",
    "awsRegion": "eu-west-1",
    "userIdentity": {"type": "IAMUser", "userName": "alice"},
}


@pytest.fixture
def rules(tmp_path: Path) -> str:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return str(path)


def config(rules: str, more: str = "") -> Config:
    return read(f"rules_files: [{rules!r}]\njson_output: true\nsources: [{{type: k8saudit}}]\n{more}", "lanner.yaml")


def alerts(settings: Config) -> list[dict[str, object]]:
    from engine.alert import make_alert
    from engine.evaluate import Engine
    from ingest.cloudtrail.record import to_event

    write = line_writer(line_form(settings))
    matches = Engine(load_ruleset(settings)).evaluate(to_event(EVENT, ""))
    return [json.loads(write(make_alert(match, "host"))) for match in matches]


def test_outputs_and_fields_are_added_to_the_rules_that_match(rules: str) -> None:
    added = """
append_output:
  - match: {source: aws_cloudtrail, tags: [iam]}
    extra_output: in %ct.region
    extra_fields: [ct.name, {who: "user %ct.user"}]
"""
    one, two = alerts(config(rules, added))

    assert str(one["output"]).endswith("made by alice in eu-west-1")
    assert one["output_fields"] == {
        "evt.time": 1767323045000000000,
        "ct.user": "alice",
        "ct.region": "eu-west-1",
        "ct.name": "CreateUser",
        "who": "user alice",
    }
    assert str(two["output"]).endswith("again")


def test_an_extra_field_that_is_none_is_told_with_its_place(rules: str) -> None:
    with pytest.raises(ConfigError, match=r"lanner.yaml:5.*append_output\[0\].extra_fields\[0\]: an extra field is"):
        config(rules, "append_output:\n  - extra_fields: [[a]]\n")


def test_keys_of_alerts_are_left_out_and_added(rules: str) -> None:
    switches = """
json_include_output_property: false
json_include_tags_property: false
json_include_output_fields_property: false
json_include_message_property: true
"""
    one, _ = alerts(config(rules, switches))

    assert set(one) == {"hostname", "message", "priority", "rule", "source", "time"}
    assert one["message"] == "made by alice"


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        ([], ["One", "Two"]),
        (["-D", "On"], ["Two"]),
        (["-T", "iam"], ["Two"]),
        (["-t", "iam"], ["One"]),
    ],
)
def test_old_flags_choose_rules(rules: str, flags: list[str], found: list[str]) -> None:
    done = lanner("scan", "-", "-r", rules, "--json", *flags, stdin=json.dumps(EVENT).encode())

    assert [json.loads(line)["rule"] for line in done.stdout.splitlines()] == found


def test_old_flags_that_exclude_each_other_are_a_usage_error(rules: str) -> None:
    done = lanner("run", "-t", "iam", "-T", "x", "-r", rules, "-o", "sources[].type=k8saudit", "--dry-run")

    assert done.returncode == 2
    assert "-t cannot be used together" in done.stderr
