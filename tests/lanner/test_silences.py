"""Silences hide what they are about, for as long as they are made for, and say so."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from engine.evaluate import Engine, Match
from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.cloudtrail.record import to_event
from lanner.catalog import build_catalog
from lanner.silences import SilenceError, Silencer, new, read, write
from tests.lanner.support import RULES, audit_event, ct_record, environment, lanner
from tests.lanner.test_operation import until
from tests.lanner.test_service import Running

CATALOG = build_catalog("h")


def match(user: str = "ann", rule: str = "User made") -> Match:
    ruleset = load_rules([RuleFile("r", RULES.replace("User made", rule))], CATALOG).ruleset
    assert ruleset is not None
    record = ct_record(userIdentity={"type": "IAMUser", "userName": user})
    (found,) = Engine(ruleset).evaluate(to_event(record, ""))
    return found


def silencer(path: Path, *rows: tuple[str, str, float]) -> Silencer:
    write(path, [new(rule, condition, seconds, "w", "me") for rule, condition, seconds in rows])
    return Silencer(path, CATALOG)


@pytest.mark.parametrize(
    ("rule", "condition", "hidden"),
    [
        ("User made", "", True),
        ("User *", "ct.user = ann", True),
        ("*", "ct.user = bob", False),
        ("Other", "", False),
        ("user made", "", False),
        ("User made", "ka.user.name = ann", False),
    ],
)
def test_what_a_silence_hides(tmp_path: Path, rule: str, condition: str, hidden: bool) -> None:
    made = silencer(tmp_path / "s", (rule, condition, 60))
    assert made.hides(match()) is hidden
    assert sum(made.counters.values()) == hidden


def test_a_silence_ends(tmp_path: Path) -> None:
    made = silencer(tmp_path / "s", ("*", "", 0.05))
    assert made.hides(match())
    time.sleep(0.06)
    assert not made.hides(match())


def test_a_change_of_the_file_is_taken_and_a_broken_file_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lanner.silences._LOOK", 0)
    path = tmp_path / "s"
    made = Silencer(path, CATALOG)
    assert not made.hides(match())
    write(path, [new("*", "", 60, "w", "me")])
    assert made.hides(match())
    path.write_text("{")
    assert made.hides(match())
    assert made.hides(match())
    assert [record.message for record in caplog.records if "cannot be read" in record.message] != []
    assert len(caplog.records) == 1
    path.unlink()
    assert not made.hides(match())


def test_a_file_is_written_whole_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "s"
    write(path, [new("a", "", 60, "w", "me")])
    assert [one.rule for one in read(path)] == ["a"]
    assert path.stat().st_mode & 0o007 == 0
    assert os.listdir(path.parent) == ["s"]
    assert read(tmp_path / "none") == []
    (tmp_path / "bad").write_text('[{"id": 1}]')
    with pytest.raises(SilenceError, match="bad: cannot be read"):
        read(tmp_path / "bad")


def silence(folder: Path, *arguments: str) -> Any:
    return lanner("silence", *arguments, "--file", str(folder / "silences.json"))


def test_the_verb_makes_lists_and_removes(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    rules = ("-r", str(tmp_path / "rules.yaml"))
    given = ("--rule", "User made", "--match", "ct.user = ann", "--for", "4h", "--why", "CHG-1")
    done = silence(tmp_path, "add", *given, *rules)
    assert done.returncode == 0, done.stderr
    made = done.stdout.split(":")[0]
    assert done.stdout == f"{made}: 'User made' is silent for 4h\n"
    listed = silence(tmp_path, "list").stdout
    assert listed.startswith(f"{made}  'User made' where ct.user = ann, 4h left: CHG-1 (")
    assert json.loads(silence(tmp_path, "list", "--json").stdout)[0]["why"] == "CHG-1"
    assert silence(tmp_path, "remove", made).returncode == 0
    assert silence(tmp_path, "list").stdout == "no silences\n"
    gone = silence(tmp_path, "remove", made)
    assert (gone.returncode, f"no silence is called {made}" in gone.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--match", "ct.usr = ann"], "did you mean 'ct.user'?"),
        (["--match", "ka.user.name = ann"], "is a field of source k8s_audit"),
        (["--for", "soon"], "'soon' is no duration; write one as 90s"),
        (["--for", "4"], "4 of what? write 4m, 4h or 4d"),
    ],
)
def test_a_mistake_is_told(tmp_path: Path, arguments: list[str], told: str) -> None:
    (tmp_path / "rules.yaml").write_text(RULES)
    given = ["--rule", "User made", "--for", "4h", "--why", "w", "-r", str(tmp_path / "rules.yaml"), *arguments]
    done = silence(tmp_path, "add", *given)
    assert done.returncode == 2
    assert told in done.stderr
    assert not (tmp_path / "silences.json").exists()


def test_a_running_service_takes_a_silence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = tmp_path / "state"
    env = environment(STATE_DIRECTORY=str(state))
    monkeypatch.setattr("tests.lanner.test_service.environment", lambda: env)
    running = Running(tmp_path)
    try:
        assert running.post(audit_event(number=1)) == 200
        until(lambda: running.alerts.exists() and len(running.found()) == 1)
        given = ("--rule", "Secret asked for", "--match", "ka.user.name = bob", "--for", "1h", "--why", "w")
        done = lanner("silence", "add", *given, "-r", str(tmp_path / "rules.yaml"), env=env)
        assert done.returncode == 0, done.stderr
        time.sleep(2.2)
        assert running.post(audit_event(number=2)) == 200
        assert running.end() == 0
        assert len(running.found()) == 1
        assert "hidden: 1 alert: silence " in running.log.read_text()
    finally:
        running.process.kill()
