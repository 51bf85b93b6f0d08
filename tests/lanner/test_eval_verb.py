import json
from pathlib import Path

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
