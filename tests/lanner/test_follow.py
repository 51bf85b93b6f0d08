"""Files that come, grow, are renamed, cut short and replaced: every record once, none twice, none lost."""

import gzip
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.event import Event
from ingest import logfile
from ingest.base import SourceError
from lanner import follow
from lanner.files import read_events
from lanner.follow import Follower, Reading
from lanner.marks import Marks
from tests.lanner.support import audit_event, ct_record
from tests.shared import SHARED, needs_shared


def line(number: int) -> str:
    return json.dumps(audit_event(number=number)) + "\n"


def append(path: Path, text: str) -> Path:
    with path.open("a") as file:
        file.write(text)
    return path


def trail(path: Path, *numbers: int, age: float = 60.0) -> Path:
    """Write a trail file that nobody writes to any more."""
    data = json.dumps({"Records": [ct_record(number=n) for n in numbers]}).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    os.utime(path, (time.time() - age,) * 2)
    return path


class Looking:
    """A follower that remembers all it was given."""

    def __init__(self, *paths: Path, checkpoint: Path | None = None) -> None:
        self.follower = Follower([str(path) for path in paths], "", Marks(str(checkpoint or "")))
        self.readings: list[Reading] = []

    def look(self) -> list[int]:
        """Look once; return the numbers of the events that are new."""
        found = []
        for reading in self.follower.look():
            self.readings.append(reading)
            found += [_number(event) for event in reading.decoded.events]
            self.follower.done(reading)
        return found

    @property
    def errors(self) -> list[str]:
        return [reading.error for reading in self.readings if reading.error]

    @property
    def skipped(self) -> list[str]:
        return [reason for reading in self.readings for reason, _ in reading.decoded.skipped]


def _number(event: Event) -> int:
    return int(str(event.record.get("auditID") or event.record["eventID"])[-12:])


@pytest.fixture
def looking(tmp_path: Path) -> Iterator[Callable[..., Looking]]:
    made: list[Looking] = []

    def make(*paths: Path, checkpoint: Path | None = None) -> Looking:
        made.append(Looking(*(paths or (tmp_path,)), checkpoint=checkpoint))
        return made[-1]

    yield make
    for each in made:
        each.follower.close()


def test_new_files_and_new_lines_are_found_once(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    log = append(tmp_path / "audit.log", line(1))
    trail(tmp_path / "a.json.gz", 2, 3)
    follower = looking()
    assert sorted(follower.look()) == [1, 2, 3]
    assert follower.look() == []
    append(log, line(4) + line(5)[:50])
    assert follower.look() == [4]
    append(log, line(5)[50:])
    (tmp_path / "2026").mkdir()
    trail(tmp_path / "2026" / "b.json.gz", 6)
    assert sorted(follower.look()) == [5, 6]
    assert follower.errors == []


def test_what_was_there_is_a_replay_and_what_comes_is_not(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    log = append(tmp_path / "audit.log", line(1))
    trail(tmp_path / "a.json.gz", 2)
    follower = looking()
    follower.look()
    append(log, line(3))
    trail(tmp_path / "b.json.gz", 4)
    follower.look()
    events = [event for reading in follower.readings for event in reading.decoded.events]
    assert {_number(event): bool(event.receipt and event.receipt.replay) for event in events} == {
        1: True,
        2: True,
        3: False,
        4: False,
    }


@pytest.mark.parametrize("name", ["audit-2026-01-02T03-04-05.000.log", "audit.log.1"])
def test_a_renamed_log_is_read_to_its_end(tmp_path: Path, looking: Callable[..., Looking], name: str) -> None:
    log = append(tmp_path / "audit.log", line(1))
    followers = looking(tmp_path), looking(log)
    assert [follower.look() for follower in followers] == [[1], [1]]
    append(log.rename(tmp_path / name), line(2))
    append(log, line(3))
    assert [sorted(follower.look()) for follower in followers] == [[2, 3], [2, 3]]
    assert [follower.look() for follower in followers] == [[], []]


def test_a_log_that_is_removed_is_read_to_its_end(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    log = append(tmp_path / "audit.log", line(1))
    follower = looking()
    assert follower.look() == [1]
    append(log, line(2))
    log.unlink()
    append(log, line(3))
    assert sorted(follower.look()) == [2, 3]
    assert follower.look() == []


def test_a_log_that_is_cut_short_is_read_from_its_start(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    log = append(tmp_path / "audit.log", line(1) + line(2))
    follower = looking()
    assert follower.look() == [1, 2]
    log.write_text(line(3))
    assert follower.look() == [3]
    log.write_text(line(4) + line(5) + line(6))  # longer than what was read
    assert follower.look() == [4, 5, 6]


def test_a_file_that_is_still_written_is_waited_for(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    whole = trail(tmp_path / "a.json.gz", 1, 2).read_bytes()
    file = tmp_path / "a.json.gz"
    file.write_bytes(whole[:100])
    follower = looking()
    assert follower.look() == []
    file.write_bytes(whole)
    assert follower.look() == []
    assert follower.look() == [1, 2]
    assert follower.errors == []


def test_one_line_without_an_end_is_read_when_it_is_whole(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    file = trail(tmp_path / "a.json", 1, 2, age=0)
    text = file.read_text()
    assert "\n" not in text
    follower = looking()
    assert follower.look() == [1, 2]
    log = append(tmp_path / "audit.log", line(3) + line(4).strip())
    assert follower.look() == [3, 4]
    append(log, "\n" + line(5))
    assert follower.look() == [5]


def test_json_over_many_lines_is_read_whole(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"Records": [ct_record(number=1)]}, indent=2))
    elements = ",\n".join(json.dumps(ct_record(number=n)) for n in (2, 3))
    (tmp_path / "b.json").write_text(f"[\n{elements}\n]\n")
    follower = looking()
    assert follower.look() + follower.look() == [1, 2, 3]
    assert follower.look() == []


def test_a_replaced_file_is_read_again(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    trail(tmp_path / "a.json.gz", 1)
    follower = looking()
    assert follower.look() == [1]
    trail(tmp_path / "new", 2)
    (tmp_path / "new").rename(tmp_path / "a.json.gz")
    trail(tmp_path / "a.json.gz", 2, 3, 4)
    assert follower.look() == [2, 3, 4]


def test_reading_goes_on_after_a_restart(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    folder, checkpoint = tmp_path / "logs", tmp_path / "state" / "checkpoint.sqlite"
    folder.mkdir()
    log = append(folder / "audit.log", line(1))
    trail(folder / "a.json.gz", 2)
    before = looking(folder, checkpoint=checkpoint)
    assert sorted(before.look()) == [1, 2]
    before.follower.close()

    append(log, line(3))
    append(log.rename(folder / "audit.log.1"), line(4))
    append(folder / "audit.log", line(5))
    trail(folder / "b.json.gz", 6)
    after = looking(folder, checkpoint=checkpoint)
    assert sorted(after.look()) == [3, 4, 5, 6]
    assert after.look() == []
    assert not any(event.receipt and event.receipt.replay for r in after.readings for event in r.decoded.events)


def test_what_was_not_done_comes_again_after_a_restart(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    folder, checkpoint = tmp_path / "logs", tmp_path / "checkpoint.sqlite"
    folder.mkdir()
    append(folder / "audit.log", line(1))
    trail(folder / "b.json.gz", 2)
    before = looking(folder, checkpoint=checkpoint)
    readings = before.follower.look()
    before.follower.done(next(readings))
    next(readings)  # handed out, and then the process is gone
    before.follower.close()

    assert looking(folder, checkpoint=checkpoint).look() == [2]


def test_a_file_that_cannot_be_read_is_told_once_and_costs_itself_alone(
    tmp_path: Path, looking: Callable[..., Looking]
) -> None:
    (tmp_path / "a.json.gz").write_bytes(b"\x1f\x8b broken")
    os.utime(tmp_path / "a.json.gz", (1, 1))
    append(tmp_path / "b.log", "{broken}\n" + line(1))
    follower = looking()
    assert follower.look() == [1]
    assert follower.look() == []
    assert len(follower.errors) == 1
    assert "a.json.gz: " in follower.errors[0]
    assert follower.skipped == ["not-json"]


def test_lines_that_are_too_long_are_left_out(
    tmp_path: Path, looking: Callable[..., Looking], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "MAX_BYTES", 10_000)
    monkeypatch.setattr(logfile, "CHUNK", 1000)
    append(tmp_path / "a.log", line(1) + "x" * 50_000 + "\n" + line(2))
    follower = looking()
    assert follower.look() == [1, 2]
    assert follower.skipped == ["too-long"]


def test_more_files_grow_than_are_kept_open(
    tmp_path: Path, looking: Callable[..., Looking], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "_OPEN", 2)
    logs = [append(tmp_path / f"{n}.log", line(n)) for n in range(5)]
    follower = looking()
    assert follower.look() == [0, 1, 2, 3, 4]
    for n, log in enumerate(logs):
        append(log, line(10 + n))
    logs[0].rename(tmp_path / "0.log.1")
    assert sorted(follower.look()) == [10, 11, 12, 13, 14]
    assert follower.look() == []


def test_paths_may_come_later(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    follower = looking(tmp_path / "logs", tmp_path / "a.log")
    assert follower.look() == []
    (tmp_path / "logs").mkdir()
    append(tmp_path / "logs" / "b.log", line(1))
    append(tmp_path / "a.log", line(2))
    assert follower.look() == [1, 2]


def test_files_that_are_gone_are_forgotten(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    file, log = trail(tmp_path / "a.json.gz", 1), append(tmp_path / "b.log", line(2))
    follower = looking()
    follower.look()
    file.unlink()
    log.unlink()
    follower.look()
    assert follower.follower._marks.missing(set()) == []


def test_a_checkpoint_that_is_none_is_told(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text("no database, but text that is long enough to be looked at" * 20)
    with pytest.raises(SourceError, match=r"checkpoint .*not a database"):
        Marks(str(tmp_path / "checkpoint"))


@needs_shared
def test_captures_are_read_whole_and_piece_after_piece(tmp_path: Path, looking: Callable[..., Looking]) -> None:
    assert SHARED
    capture = min((SHARED / "scap").rglob("*.scap"), key=lambda path: path.stat().st_size)
    shutil.copyfile(capture, tmp_path / "a.scap")
    os.utime(tmp_path / "a.scap", (1, 1))
    follower = looking().follower
    uids: list[str] = []
    for reading in follower.look():
        uids += [event.uid for event in reading.decoded.events]
        follower.done(reading)
    assert len(uids) == sum(len(content.events) for content in read_events(str(capture)))
    assert list(follower.look()) == []
