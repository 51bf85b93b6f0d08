import json
from pathlib import Path

import pytest

from lanner import rulefiles
from lanner.cli.app import status_of
from lanner.rulefiles import RuleFileError
from tests.lanner.support import RULES
from tests.shared import SHARED, needs_shared

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def good(tmp_path: Path) -> str:
    path = tmp_path / "good.yaml"
    path.write_text(RULES)
    return str(path)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    path = tmp_path / "bad.yaml"
    path.write_text(RULES.replace("ct.name =", "ct.nam =").replace("ka.target.resource =", "ka.target.resource >"))
    return str(path)


@pytest.fixture
def doubtful(tmp_path: Path) -> str:
    path = tmp_path / "doubtful.yaml"
    path.write_text(f"{RULES}\n- macro: unused\n  condition: ct.name = x\n")
    return str(path)


def told(capsys: Capture, status: int, *arguments: str) -> str:
    assert status_of(["rules", *arguments]) == status
    return capsys.readouterr().out


def test_good_rules_are_ok(capsys: Capture, good: str) -> None:
    assert told(capsys, 0, "check", good) == f"{good}: Ok\n"


def test_all_errors_are_told_with_their_places(capsys: Capture, good: str, bad: str) -> None:
    out = told(capsys, 3, "check", good, bad)
    assert f"{bad}:4:14: error[unknown-field]" in out
    assert f"{bad}:11:35: error[expected-number]" in out
    assert out.endswith(f"{good}: Ok\n{bad}: Invalid\n")


def test_warnings_fail_only_when_strict(capsys: Capture, doubtful: str) -> None:
    out = told(capsys, 0, "check", doubtful)
    assert "warning[unused-macro]" in out
    assert out.endswith(f"{doubtful}: Ok, with warnings\n")
    told(capsys, 1, "check", doubtful, "--strict")


def test_json_has_the_shape_of_falcos_validation(capsys: Capture, good: str, bad: str) -> None:
    results = json.loads(told(capsys, 3, "check", good, bad, "--format", "json"))["falco_load_results"]
    assert [(one["name"], one["successful"], len(one["errors"])) for one in results] == [
        (good, True, 0),
        (bad, False, 2),
    ]
    assert {error["code"] for error in results[1]["errors"]} == {"LOAD_ERR_COMPILE_CONDITION"}


def test_sarif_and_github(capsys: Capture, bad: str) -> None:
    sarif = json.loads(told(capsys, 3, "check", bad, "--format", "sarif"))
    assert (sarif["version"], len(sarif["runs"][0]["results"])) == ("2.1.0", 2)
    lines = told(capsys, 3, "check", bad, "--format", "github").splitlines()
    assert len(lines) == 2
    assert lines[0].startswith(f"::error file={bad},line=4,")


def test_no_findings_are_no_annotations(capsys: Capture, good: str) -> None:
    assert told(capsys, 0, "check", good, "--format", "github") == ""


def test_the_shipped_rules_have_no_findings(capsys: Capture) -> None:
    out = told(capsys, 0, "check", "bundled", "--strict")
    assert all(line.endswith(": Ok") for line in out.splitlines())


def test_a_file_that_is_not_there(capsys: Capture) -> None:
    assert status_of(["rules", "check", "nowhere.yaml"]) == 3
    assert capsys.readouterr().err == "lanner: nowhere.yaml: no such rule file or folder\n"


def test_shipped_rules_that_are_not_there(capsys: Capture) -> None:
    assert status_of(["rules", "check", "bundled/hosts"]) == 3
    told_there_are = "no such shipped rules; there are bundled/aws, bundled/host, bundled/k8s"
    assert capsys.readouterr().err == f"lanner: bundled/hosts: {told_there_are}\n"


def test_an_error_of_a_macro_is_counted_and_shown_once_for_all_its_rules(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "macro.yaml"
    rule = "- {{rule: {}, desc: d, output: o, priority: INFO, source: aws_cloudtrail, condition: m}}\n"
    path.write_text("- {macro: m, condition: ct.nam = x}\n" + rule.format("a") + rule.format("b"))
    assert status_of(["rules", "list", "-r", str(path)]) == 3
    err = capsys.readouterr().err
    assert err.count("error[unknown-field]") == 1
    assert err.count("used by macro 'm', in rule") == 2
    assert "1 error in the rules" in err


def test_a_path_of_nothing_is_not_this_folder(capsys: Capture) -> None:
    assert status_of(["rules", "check", ""]) == RuleFileError.status
    assert "an empty path is no rule file; is a variable not set?" in capsys.readouterr().err


def test_a_file_that_is_no_text(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"- rule: \xff")
    assert status_of(["rules", "check", str(path)]) == 3
    assert f"{path}:1:9: error[not-utf-8]" in capsys.readouterr().out


def test_a_folder_stands_for_its_rule_files_sorted(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "c.txt", "sub/d.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("[]")
    assert [file.name for file in rulefiles.find([str(tmp_path)])] == ["a.yml", "b.yaml"]
    with pytest.raises(RuleFileError, match=r"no \.yaml or \.yml file"):
        rulefiles.find([str(tmp_path / "sub" / "d.yaml"), str(tmp_path / "empty")[:0] or str(_empty(tmp_path))])


def _empty(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def test_bundled_stands_for_the_shipped_rules_without_their_tests() -> None:
    every, aws = rulefiles.find([]), rulefiles.find(["bundled/aws"])
    assert set(aws) < set(every)
    assert rulefiles.find(["bundled"]) == every
    assert all("tests" not in file.parts[-3:] for file in every)


def test_list(capsys: Capture, good: str) -> None:
    assert told(capsys, 0, "list", "-r", good).splitlines() == [
        "User made         aws_cloudtrail  Warning",
        "Secret asked for  k8s_audit       Critical",
    ]
    assert told(capsys, 0, "list", "-r", good, "--source", "k8s_audit").startswith("Secret asked for")
    assert told(capsys, 0, "list", "-r", good, "--tag", "aws").startswith("User made")
    assert told(capsys, 0, "list", "-r", good, "--tag", "none") == ""


def test_describe(capsys: Capture, good: str) -> None:
    out = told(capsys, 0, "describe", "User made", "-r", good)
    assert out.startswith("User made   aws_cloudtrail, Warning\n")
    assert "condition: ct.name = CreateUser" in out
    assert "Secret asked for" not in out


def test_describe_as_json_has_the_shape_of_falco(capsys: Capture, good: str) -> None:
    found = json.loads(told(capsys, 0, "describe", "--json", "-r", good))
    assert {"rules", "macros", "lists"} <= set(found)
    assert found["rules"][0]["info"]["name"] == "User made"
    assert found["rules"][0]["details"]["condition_fields"] == ["ct.name"]
    one = json.loads(told(capsys, 0, "describe", "Secret asked for", "--json", "-r", good))
    assert [rule["info"]["name"] for rule in one["rules"]] == ["Secret asked for"]


@pytest.mark.parametrize("verb", ["describe", "show"])
def test_an_unknown_rule_is_told_with_the_nearest_one(capsys: Capture, good: str, verb: str) -> None:
    assert status_of(["rules", verb, "User mad", "-r", good]) == 2
    assert capsys.readouterr().err == "lanner: no rule is called 'User mad'; did you mean 'User made'?\n"
    assert status_of(["rules", verb, "No such", "-r", good]) == 2
    assert "no rule is called 'No such'; lanner rules list shows their names" in capsys.readouterr().err


@needs_shared
@pytest.mark.parametrize(
    "files",
    [
        "falcosecurity-rules/falco_rules.yaml",
        "falcosecurity-rules/falco-incubating_rules.yaml",
        "falcosecurity-rules/falco-sandbox_rules.yaml",
        "plugins/cloudtrail",
        "plugins/k8saudit",
    ],
)
def test_the_rule_files_of_falco_load_without_edits(capsys: Capture, files: str) -> None:
    assert SHARED is not None
    assert "Invalid" not in told(capsys, 0, "check", str(SHARED / "falco-rules" / files))
