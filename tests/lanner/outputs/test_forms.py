"""The common schemas, as their specifications have them."""

import json

import pytest

from engine.priority import Priority
from lanner.alertfields import BadText, alert_test, alert_text
from lanner.outputs.forms import cef, cut, ecs, form, ocsf
from tests.lanner.outputs.receiver import alert


def test_ecs() -> None:
    found = ecs(alert())
    assert (found["event"]["kind"], found["event"]["id"], found["event"]["severity"]) == ("alert", "00ff", 2)
    assert (found["rule"]["name"], found["log"]["level"], found["host"]["name"]) == ("Trail stopped", "critical", "h1")
    assert found["threat"] == {"framework": "MITRE ATT&CK", "technique": {"id": ["T1562.008"]}}
    assert "threat" not in ecs(alert(tags=("aws",)))


@pytest.mark.parametrize(("priority", "severity"), [(0, 6), (1, 5), (2, 5), (3, 4), (4, 3), (5, 2), (6, 1), (7, 1)])
def test_ocsf(priority: int, severity: int) -> None:
    found = ocsf(alert(priority=Priority(priority)))
    assert (found["class_uid"], found["type_uid"], found["severity_id"]) == (2004, 200401, severity)
    assert found["time"] == 1_760_000_000_123
    assert found["finding_info"]["uid"] == found["metadata"]["uid"] == "00ff"
    assert found["finding_info"]["attacks"][0]["technique"]["uid"] == "T1562.008"


def test_cef_escapes_what_its_parsers_split_at() -> None:
    line = cef(alert(rule="a|b\\c\nd", message="x=y\\z\nnext", tags=()))
    head, _, extension = line.partition("rt=")
    assert head.split("|")[0] == "CEF:0"
    assert r"|a\|b\\c d|" in head
    assert extension.endswith(r"msg=x\=y\\z\nnext")
    assert "\n" not in line
    assert head.rstrip().endswith("|9|")


@pytest.mark.parametrize("name", ["falco-json", "ecs", "ocsf"])
def test_what_cannot_be_written_as_utf_8_is_replaced(name: str) -> None:
    line = form(name)(alert(message="half \ud800 pair", output_fields={"x": "\udcff"}))  # type: ignore[arg-type]
    json.loads(line.encode())
    assert "\n" not in line


def test_texts_are_cut_to_a_length() -> None:
    assert (cut("abc", 3), cut("abcd", 3)) == ("abc", "ab…")


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("alert.priority = critical", True),
        ("alert.severity <= 3", True),
        ("alert.severity > 3", False),
        ("alert.source in (k8s_audit, aws_cloudtrail)", True),
        ("alert.tags intersects (aws, x)", True),
        ("alert.rule glob 'Trail *' and not alert.hostname = h2", True),
        ("alert.field[ct.user] = alice", True),
        ("alert.field[n] = 3", True),
        ("alert.field[gone] exists", False),
        ("alert.message contains stopped", True),
    ],
)
def test_conditions_over_alerts(condition: str, holds: bool) -> None:
    assert alert_test(condition)(alert()) is holds


def test_templates_over_alerts() -> None:
    made = alert_text("%alert.priority %alert.rule by %alert.field[ct.user] %alert.field[gone] at %alert.time")
    assert made(alert()) == "critical Trail stopped by alice <NA> at 2025-10-09T08:53:20.123456789Z"


def test_a_wrong_condition_or_template_says_what_and_where() -> None:
    with pytest.raises(BadText, match=r"no field 'alert.prio' \(column 5\); did you mean"):
        alert_test("not alert.prio = x")
    with pytest.raises(BadText, match="expected a field or transformer after '%'"):
        alert_text("100% sure")
