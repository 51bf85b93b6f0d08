"""What waits and what was refused, seen and settled from the command line while the service goes on."""

import asyncio
import json
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.alert import Alert
from lanner import deadletters, waiting
from lanner.alertjson import alert_of
from lanner.cli.app import status_of
from lanner.custody import Durable
from lanner.errors import UserError
from lanner.outbox import Outbox
from lanner.outputs.delivery import DeadLetters
from tests.lanner.outputs.receiver import receiving
from tests.lanner.support import alert, lanner


def configured(folder: Path, url: str = "http://127.0.0.1:9", **more: Any) -> Path:
    path = folder / "lanner.yaml"
    config = {
        "sources": [{"type": "k8saudit"}],
        "stdout_output": {"enabled": False},
        "outbox": {"path": str(folder / "outbox.sqlite")},
        "outputs": [
            {"type": "http", "name": "desk", "url": url},
            {"type": "file", "name": "kept", "filename": str(folder / "kept.jsonl")},
        ],
        **more,
    }
    path.write_text(json.dumps(config))
    return path


def test_no_source_is_needed_as_the_agent_needs_none(tmp_path: Path) -> None:
    done = lanner("outbox", "list", "-c", configured(tmp_path, sources=[]))
    assert (done.returncode, done.stderr) == (0, "")


def refuse(folder: Path, *numbers: int, output: str = "desk") -> None:
    for number in numbers:
        DeadLetters(folder / "dead-letters").keep(output, alert(number), "400: no")


def letters(folder: Path) -> list[tuple[str, str, str]]:
    found = deadletters.read(folder / "dead-letters")
    return [(one.output, one.alert.uid if one.alert else "", one.why) for one in found]


def test_an_alert_comes_back_from_its_json_as_it_was() -> None:
    for number in range(3):
        made = alert(number)
        assert alert_of(json.loads(made.json(with_uid=True))) == made
        assert alert_of(json.loads(made.json(iso_8601=True, with_uid=True, with_message=True))) == made


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ([], "an alert is a JSON object"),
        ({"rule": "x", "time": "2026-01-02T03:04:05Z"}, "an alert has 'priority'"),
        ({"rule": "x", "priority": "loud", "time": "2026-01-02T03:04:05Z"}, "unknown priority"),
        ({"rule": "x", "priority": "Error", "time": "yesterday"}, "'time' is a time in UTC"),
        ({"rule": "x", "priority": "Error", "time": "2026-01-02T03:04:05Z", "output_fields": []}, "is an object"),
    ],
)
def test_what_is_no_alert_is_told(told: Any, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        alert_of(told)


class Down:
    """An output that takes nothing."""

    name = "down"

    async def start(self) -> None:
        pass

    async def deliver(self, alerts: list[Alert]) -> None:
        raise OSError("down")

    async def close(self) -> None:
        pass


async def test_what_waits_is_seen_while_the_outbox_is_in_use_and_after(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    custody = Durable(Outbox(path, ["down"]), [Down()], Counter())  # type: ignore[list-item]
    await custody.take([alert(1), alert(2)])
    await custody.take([alert(3)])
    (row,) = waiting.look(path)
    assert (row.output, row.count, row.first) == ("down", 3, alert(1))
    await custody.close(0)
    assert waiting.look(path) == [row]
    config = configured(tmp_path)
    done = lanner("outbox", "list", "-c", config)
    assert done.returncode == 0, done.stderr
    assert "down: 3 alerts waiting, the first 'A rule' of 2023-11-14T22:13:20.000000001Z" in done.stdout
    assert "dead letters: none" in done.stdout
    told = json.loads(lanner("outbox", "list", "-c", config, "--json").stdout)
    assert told == {"waiting": [{"outbox": str(path), "output": "down", "waiting": 3}], "dead_letters": []}


def test_an_outbox_that_is_none_is_told_in_words(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert "no outbox is there" in lanner("outbox", "list", "-c", config).stdout
    (tmp_path / "outbox.sqlite").write_text("something else" * 100)
    done = lanner("outbox", "list", "-c", config)
    assert done.returncode == 5
    assert "the outbox cannot be read" in done.stderr


def test_dead_letters_are_listed_with_rule_time_and_reason(tmp_path: Path) -> None:
    refuse(tmp_path, 1)
    (tmp_path / "dead-letters" / "desk.jsonl").open("a").write("half a li\n")
    done = lanner("outbox", "list", "-c", configured(tmp_path))
    assert "dead letters: 2\n" in done.stdout
    assert "'A rule': 400: no\n" in done.stdout
    assert "desk: this line cannot be read\n" in done.stdout
    (_, letter) = json.loads(lanner("outbox", "list", "-c", configured(tmp_path), "--json").stdout)["dead_letters"]
    assert (letter["refused"], letter["alert"]["lanner"]["uid"]) == ("400: no", "uid-1")


async def run(*arguments: str | Path) -> int:
    return await asyncio.to_thread(status_of, [str(argument) for argument in arguments])


async def test_letters_that_are_taken_leave_and_others_stay_with_what_was_answered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(tmp_path, 1, 2, 3)
    async with receiving() as receiver:
        receiver.answers = [(200, b"", {}), (422, b"never", {}), (200, b"", {})]
        config = configured(tmp_path, receiver.url)
        assert await run("outbox", "retry", "-c", config) == 5
        assert [got.json["lanner"]["uid"] for got in receiver.got] == ["uid-1", "uid-2", "uid-3"]
        assert "desk: took 2, 1 left: " in capsys.readouterr().out
        ((output, uid, why),) = letters(tmp_path)
        assert (output, uid) == ("desk", "uid-2")
        assert why.endswith("answers 422: never")
        assert await run("outbox", "retry", "desk", "-c", config) == 0
    assert letters(tmp_path) == []
    assert list((tmp_path / "dead-letters").iterdir()) == []


def test_a_destination_that_is_down_leaves_all_letters(tmp_path: Path) -> None:
    refuse(tmp_path, 1, 2)
    before = (tmp_path / "dead-letters" / "desk.jsonl").read_text()
    done = lanner("outbox", "retry", "-c", configured(tmp_path))
    assert done.returncode == 5
    assert "desk: took 0, 2 left: http://127.0.0.1:9: " in done.stdout
    assert (tmp_path / "dead-letters" / "desk.jsonl").read_text() == before


async def test_a_library_that_fails_in_its_own_way_leaves_the_letters(tmp_path: Path) -> None:
    class Odd(Down):
        async def deliver(self, alerts: list[Alert]) -> None:
            raise RuntimeError

    refuse(tmp_path, 1, 2)
    with deadletters.claimed(tmp_path / "dead-letters") as held:
        done = await deadletters.send_again(Odd(), held)  # type: ignore[arg-type]
    assert (done.taken, len(done.left), done.why) == (0, 2, "RuntimeError")
    assert len(letters(tmp_path)) == 2


def test_letters_of_an_output_that_is_gone_stay(tmp_path: Path) -> None:
    refuse(tmp_path, 1, output="gone")
    done = lanner("outbox", "retry", "-c", configured(tmp_path))
    assert done.returncode == 5
    assert "gone: no output has this name now; 1 left" in done.stderr
    assert letters(tmp_path) == [("gone", "uid-1", "400: no")]


def test_nothing_to_retry_is_fine_and_a_wrong_name_is_not(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert lanner("outbox", "retry", "-c", config).returncode == 0
    refuse(tmp_path, 1)
    done = lanner("outbox", "retry", "dsek", "-c", config)
    assert (done.returncode, letters(tmp_path)) == (2, [("desk", "uid-1", "400: no")])
    assert "no dead letters of 'dsek'; there are of desk" in done.stderr


def test_what_the_service_adds_meanwhile_is_not_lost(tmp_path: Path) -> None:
    refuse(tmp_path, *range(20))
    stop = threading.Event()
    added = []

    def service() -> None:
        number = 1000
        while not stop.is_set():
            refuse(tmp_path, number)
            added.append(f"uid-{number}")
            number += 1

    thread = threading.Thread(target=service)
    thread.start()
    try:
        for _ in range(20):
            with deadletters.claimed(tmp_path / "dead-letters") as held:
                del held[0]
    finally:
        stop.set()
        thread.join()
    left = [uid for _, uid, _ in letters(tmp_path)]
    assert len(left) == len(set(left)) == 20 + len(added) - 20
    assert set(added) - set(left) <= {f"uid-{number}" for number in range(1000, 1020)}


def test_what_a_killed_retry_had_claimed_is_still_there(tmp_path: Path) -> None:
    refuse(tmp_path, 1)
    folder = tmp_path / "dead-letters"
    (folder / "desk.jsonl").rename(folder / "desk.jsonl.claimed")
    refuse(tmp_path, 2)
    assert {uid for _, uid, _ in letters(tmp_path)} == {"uid-1", "uid-2"}
    with deadletters.claimed(folder) as held:
        assert {one.alert.uid for one in held if one.alert} == {"uid-1", "uid-2"}
    assert [path.name for path in folder.iterdir()] == ["desk.jsonl"]
    assert {uid for _, uid, _ in letters(tmp_path)} == {"uid-1", "uid-2"}


def test_two_do_not_work_on_letters_at_once(tmp_path: Path) -> None:
    refuse(tmp_path, 1)
    with (
        deadletters.claimed(tmp_path / "dead-letters"),
        pytest.raises(UserError, match="another lanner outbox"),
        deadletters.claimed(tmp_path / "dead-letters"),
    ):
        pass
    assert len(letters(tmp_path)) == 1


def test_letters_are_dropped_only_when_that_is_said(tmp_path: Path) -> None:
    refuse(tmp_path, 1, 2)
    refuse(tmp_path, 3, output="kept")
    config = configured(tmp_path)
    assert lanner("outbox", "drop", "desk", "-c", config, stdin=b"n\n").returncode == 0
    assert len(letters(tmp_path)) == 3
    assert "deleted 2" in lanner("outbox", "drop", "desk", "-c", config, stdin=b"y\n").stdout
    assert [output for output, _, _ in letters(tmp_path)] == ["kept"]
    assert "deleted 1" in lanner("outbox", "drop", "-c", config, "--yes").stdout
    assert "there are no dead letters" in lanner("outbox", "drop", "-c", config, "--yes").stdout
