import json
from pathlib import Path

import pytest

from tests.lanner.support import ct_record, lanner

CONDITION = ("eval", "--source", "aws_cloudtrail", "ct.name = CreateUser")


def test_a_folder_stands_for_the_files_in_it(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({"Records": [ct_record(number=1)]}))
    (tmp_path / "two.json").write_text(json.dumps({"Records": [ct_record("DeleteUser", number=2)]}))
    done = lanner(*CONDITION, str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["true", "false"]


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    done = lanner(*CONDITION, str(tmp_path / "no"))
    assert (done.returncode, done.stderr) == (2, f"lanner: {tmp_path / 'no'}: No such file or directory\n")


GOOD = {"condition": "ct.name = CreateUser", "source": "aws_cloudtrail", "event": ct_record()}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"nope", "not JSON: "),
        (b"\xff", "not JSON: "),
        (b"[" * 100_000, "not JSON: "),
        (b"[1]", "a case is an object"),
        (json.dumps({**GOOD, "event": []}).encode(), "'event' is an object"),
        (json.dumps({**GOOD, "source": []}).encode(), "'source' is one of "),
        (json.dumps({**GOOD, "macros": {"m": 5}}).encode(), "'macros' is an object of texts"),
        (json.dumps({**GOOD, "lists": ["l"]}).encode(), "'lists' is an object of arrays"),
    ],
)
def test_a_line_that_is_no_case_costs_only_its_own_answer(line: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "cases").write_bytes(line + b"\n" + json.dumps(GOOD).encode() + b"\n")
    done = lanner("eval", "--cases", str(tmp_path / "cases"), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    wrong, right = map(json.loads, done.stdout.splitlines())
    assert wrong["error"]["code"] == "BAD_CASE"
    assert wrong["error"]["message"].startswith(message)
    assert right == {"result": True}
