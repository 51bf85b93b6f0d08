import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from engine.alert import Alert
from engine.priority import Priority
from lanner.errors import OutputError
from lanner.outbox import Outbox, OutboxFull, decode, encode
from tests.lanner.support import ROOT, alert


def held(outbox: Outbox, output: str) -> list[str]:
    return [found.uid for row in outbox.after(outbox.taken(output), 100) for found in row.alerts]


@pytest.mark.parametrize(
    "original",
    [
        alert(),
        alert(priority=Priority.EMERGENCY, message='quote " newline \n umlaut ü astral \U0001f985'),
        alert(message="half of a pair \ud800 and a byte \udcff"),
    ],
)
def test_an_alert_comes_out_as_it_went_in(original: Alert) -> None:
    assert decode(encode([original, original])) == [original, original]


def test_every_output_gets_all_alerts_in_order(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", ["a", "b"])
    outbox.add([alert(1), alert(2)])
    outbox.add([alert(3)])
    assert held(outbox, "a") == held(outbox, "b") == ["uid-1", "uid-2", "uid-3"]
    assert [(row.number, len(row.alerts)) for row in outbox.after(0, 2)] == [(2, 2)]
    assert [(row.number, len(row.alerts)) for row in outbox.after(1, 2)] == [(2, 1), (3, 1)]


def test_what_one_output_took_is_kept_for_the_others(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", ["a", "b"])
    outbox.add([alert(1), alert(2), alert(3)])
    outbox.take({"a": 2})
    assert (held(outbox, "a"), outbox.waiting("a")) == (["uid-3"], 1)
    assert (len(held(outbox, "b")), outbox.waiting("b")) == (3, 3)


def test_what_all_outputs_took_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    outbox = Outbox(path, ["a", "b"])
    outbox.add([alert(1), alert(2)])
    outbox.take({"a": 2})
    outbox.take({"b": 1})
    assert sqlite3.connect(path).execute("SELECT count(*) FROM alerts").fetchone() == (1,)


def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "o.sqlite"
    outbox = Outbox(path, ["a"])
    outbox.add([alert(1), alert(2)])
    outbox.take({"a": 1})
    outbox.close()
    again = Outbox(path, ["a"])
    assert held(again, "a") == ["uid-2"]
    again.add([alert(3)])
    assert [row.number for row in again.after(1, 9)] == [2, 3]


def test_a_new_output_gets_what_is_held_and_a_removed_one_holds_nothing_back(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    outbox = Outbox(path, ["a", "b"])
    outbox.add([alert(1), alert(2)])
    outbox.take({"a": 1})
    outbox.close()
    again = Outbox(path, ["a", "c"])
    assert (held(again, "a"), held(again, "c")) == (["uid-2"], ["uid-1", "uid-2"])
    again.take({"a": 2})
    again.close()
    last = Outbox(path, ["a"])
    assert held(last, "a") == []
    assert sqlite3.connect(path).execute("SELECT count(*) FROM alerts").fetchone() == (0,)


def test_numbers_are_never_used_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", ["a"])
    for number in (1, 2, 3):
        outbox.add([alert(number)])
        assert [row.number for row in outbox.after(number - 1, 9)] == [number]
        outbox.take({"a": number})


def test_a_full_outbox_takes_nothing_until_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    outbox = Outbox(path, ["a"], most=3)
    outbox.add([alert(1), alert(2)])
    with pytest.raises(OutboxFull, match="holds 2 alerts"):
        outbox.add([alert(3), alert(4)])
    assert held(outbox, "a") == ["uid-1", "uid-2"]
    outbox.take({"a": 1})
    outbox.add([alert(3), alert(4)])
    outbox.close()
    with pytest.raises(OutboxFull):
        Outbox(path, ["a"], most=3).add([alert(5)])


def test_one_process_at_a_time(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", ["a"])
    with pytest.raises(OutputError, match=r"another lanner uses it; outbox\.path names another"):
        Outbox(tmp_path / "o.sqlite", ["a"])
    outbox.close()
    Outbox(tmp_path / "o.sqlite", ["a"]).close()


def test_a_file_that_is_no_outbox_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no database, " * 100)
    with pytest.raises(OutputError, match="the outbox cannot be used: file is not a database"):
        Outbox(tmp_path / "text", ["a"])
    with sqlite3.connect(tmp_path / "newer") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(OutputError, match="another version of Lanner"):
        Outbox(tmp_path / "newer", ["a"])
    with pytest.raises(OutputError, match="File exists"):
        Outbox(tmp_path / "text" / "o.sqlite", ["a"])


def test_alerts_survive_the_death_of_the_process(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    code = (
        "import os, signal, sys; from pathlib import Path; from lanner.outbox import Outbox; "
        "from tests.lanner.support import alert; "
        f"outbox = Outbox(Path({str(path)!r}), ['a']); outbox.add([alert(1), alert(2)]); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == -signal.SIGKILL
    assert held(Outbox(path, ["a"]), "a") == ["uid-1", "uid-2"]


def test_only_its_owner_reads_the_outbox(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", ["a"])
    outbox.add([alert()])
    files = [file for file in tmp_path.iterdir() if file.suffix != ".lock"]
    assert len(files) == 3
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}


def test_a_file_that_takes_no_more_is_named(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    outbox = Outbox(path, ["a"])
    outbox._db.execute("PRAGMA query_only = 1")
    with pytest.raises(OutputError, match=f"{path}: the outbox cannot be written to"):
        outbox.add([alert()])
