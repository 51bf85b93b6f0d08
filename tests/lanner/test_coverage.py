"""Which ATT&CK techniques rules cover, in the three forms."""

import json
import re

import pytest

from lanner.attack import NAMES, TACTICS, V19, tactics, techniques
from lanner.cli.app import status_of

RULES = """
- rule: a
  desc: d
  condition: ct.name = A
  output: o
  priority: ERROR
  source: aws_cloudtrail
  tags: [mitre_impact, T1485, T1562.008]
- rule: b
  desc: d
  condition: ct.name = B
  output: o
  priority: ERROR
  source: aws_cloudtrail
  tags: [mitre_impact, T1485]
  enabled: false
- rule: c <d>
  desc: d
  condition: ka.verb = c
  output: o
  priority: ERROR
  source: k8s_audit
  tags: [mitre_execution, T1609, T9999]
"""
TESTS = """
source: aws_cloudtrail
tests: [{rule: a, fires: [{x: {}}, {y: {}}]}]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "rules.yaml").write_text(RULES)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "rules.yaml").write_text(TESTS)
    return str(tmp_path)


def run(capsys, *arguments):
    status = status_of(["rules", "coverage", *arguments])
    assert status == 0
    return capsys.readouterr().out


def test_the_table_counts_rules_and_their_cases(folder, capsys):
    told = [line.split() for line in run(capsys, "-r", folder).splitlines()]

    assert ["T1485", "1", "2", "2", "aws_cloudtrail", "Data", "Destruction"] in told
    assert told[-1][:2] == ["4", "techniques"]


def test_ids_of_version_19_are_given_on_demand(folder, capsys):
    assert "T1562.008" in run(capsys, "-r", folder)
    newer = run(capsys, "-r", folder, "--attack", "19")
    assert "T1562.008" not in newer
    assert "T1685.002" in newer


def test_the_navigator_reads_the_layer(folder, capsys):
    layer = json.loads(run(capsys, "-r", folder, "--format", "navigator"))

    assert layer["domain"] == "enterprise-attack"
    assert layer["versions"] == {"attack": "18", "navigator": "5.1.0", "layer": "4.5"}
    assert layer["name"]
    assert {row["techniqueID"]: row["score"] for row in layer["techniques"]} == {
        "T1485": 1,
        "T1562.008": 1,
        "T1609": 1,
        "T9999": 1,
    }
    for row in layer["techniques"]:
        assert set(row) == {"techniqueID", "score", "comment", "enabled"}
        assert re.fullmatch(r"T\d{4}(\.\d{3})?", row["techniqueID"])
        assert isinstance(row["score"], int)
        assert isinstance(row["comment"], str)
    assert layer["gradient"] == {"colors": ["#ffffff", "#1f6f43"], "minValue": 0, "maxValue": 1}


def test_the_page_shows_tactics_and_escapes_names(folder, capsys):
    page = run(capsys, "-r", folder, "--format", "html")

    assert "<h2>Impact</h2>" in page
    assert "<h2>Persistence</h2>" not in page
    assert "c &lt;d&gt;" in page
    assert '<li class="off">b</li>' in page


def test_the_shipped_rules_name_only_techniques_and_tactics_that_there_are(capsys):
    layer = json.loads(run(capsys, "--format", "navigator"))

    assert [row["techniqueID"] for row in layer["techniques"] if row["techniqueID"] not in NAMES] == []


def test_ids_and_tactics_are_read_from_tags():
    tags = ["aws", "T1485", "mitre_impact", "mitre_discovery", "T14850", "mitre_nonsense"]

    assert techniques(tags) == ["T1485"]
    assert tactics(tags) == ["discovery", "impact"]
    assert set(TACTICS).isdisjoint(NAMES)
    assert all(techniques([old, new]) == [old, new] for old, new in V19.items())
