"""The outbox on disks that are full, read-only or damaged: nothing is lost without a word, and nothing crashes."""

import asyncio
import contextlib
import json
import logging
import shutil
import sqlite3
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from engine.alert import Alert
from lanner import custody as custody_module
from lanner.custody import Durable
from lanner.errors import OutputError
from lanner.outbox import Outbox
from tests.lanner.support import alert

MOUNT = shutil.which("mount")


class Sink:
    """An output that keeps what it is given, once it may."""

    def __init__(self, open_at_once: bool = True) -> None:
        self.name = "sink"
        self.taken: list[str] = []
        self.may = asyncio.Event()
        if open_at_once:
            self.may.set()

    async def start(self) -> None:
        pass

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        await self.may.wait()
        self.taken += [one.uid for one in alerts]

    async def close(self) -> None:
        pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = MOUNT and subprocess.run(
        [MOUNT, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("file systems cannot be mounted here: that takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def big(number: int) -> Alert:
    return alert(number, message="x" * 3000)


def uids(outbox: Outbox) -> list[str]:
    rows = outbox.after(outbox.taken("sink"), 100_000)
    return [one.uid for row in rows for one in row.alerts]


def add_until_full(outbox: Outbox, first: int = 0) -> list[str]:
    """Add alerts until one is refused, in words; return the uids of those that were not."""
    kept: list[str] = []
    try:
        for number in range(first, 10_000):
            outbox.add([big(number)])
            kept.append(f"uid-{number}")
    except OutputError as error:
        assert "o.sqlite: the outbox cannot be written to: database or disk is full" in str(error)  # noqa: PT017
        return kept
    raise AssertionError("the disk is not full")


def fill(folder: Path) -> Path:
    """Leave no room on a disk."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return path


def test_a_full_disk_refuses_alerts_in_words_and_keeps_those_it_has(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "o.sqlite", ["sink"])
    kept = add_until_full(outbox)
    assert len(kept) > 50
    assert uids(outbox) == kept
    outbox.close()
    assert uids(Outbox(small_disk / "o.sqlite", ["sink"])) == kept


def test_a_full_disk_does_not_keep_taken_alerts_from_being_forgotten(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "o.sqlite", ["sink"])
    for number in range(20):
        outbox.add([big(number)])
    fill(small_disk)
    add_until_full(outbox, 20)
    outbox.take({"sink": outbox.last})
    assert outbox.waiting("sink") == 0
    outbox.add([big(20_000)])
    assert uids(outbox) == ["uid-20000"]


def test_there_is_room_again(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "o.sqlite", ["sink"])
    outbox.add([big(1)])
    ballast = fill(small_disk)
    kept = add_until_full(outbox, 2)
    ballast.unlink()
    outbox.add([big(10_000)])
    assert uids(outbox) == ["uid-1", *kept, "uid-10000"]


def test_a_disk_that_is_full_at_the_start_is_told(small_disk: Path) -> None:
    fill(small_disk)
    with pytest.raises(OutputError, match=r"o\.sqlite: the outbox cannot be used: .*(full|No space|I/O)"):
        Outbox(small_disk / "o.sqlite", ["sink"])


def test_a_disk_that_becomes_read_only_refuses_alerts_in_words(small_disk: Path) -> None:
    outbox = Outbox(small_disk / "o.sqlite", ["sink"])
    outbox.add([alert(1)])
    outbox.close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(OutputError, match=r"o\.sqlite: the outbox cannot be used: .*[Rr]ead-only"):
        Outbox(small_disk / "o.sqlite", ["sink"])


async def test_batches_wait_for_room_and_nothing_is_lost(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink(open_at_once=False)
    custody = Durable(Outbox(small_disk / "o.sqlite", ["sink"]), [sink], Counter())
    kept: list[str] = []
    refused = 0
    for number in range(1_000):
        try:
            await custody.take([big(number)])
        except OutputError:
            sink.may.set()
            refused += 1
            await asyncio.sleep(0.01)
        else:
            kept.append(f"uid-{number}")
    assert refused
    assert await custody.close(20.0) == 0
    assert sink.taken == kept
    assert len(kept) > 150
    assert "Traceback" not in caplog.text


def damage(path: Path, every: int = 1, begin: int = 2) -> None:
    """Write nonsense over pages of a database, but for the first two."""
    data = bytearray(path.read_bytes())
    for page in range(begin, len(data) // 4096, every):
        data[page * 4096 : page * 4096 + 4096] = b"\xa5" * 4096
    path.write_bytes(data)


def filled(path: Path, rows: int = 300) -> None:
    outbox = Outbox(path, ["sink"])
    for number in range(rows):
        outbox.add([big(number)])
    outbox.close()


@pytest.mark.parametrize(("every", "begin"), [(1, 2), (7, 5), (40, 30)])
def test_a_damaged_file_is_set_aside_and_what_can_be_read_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, every: int, begin: int
) -> None:
    path = tmp_path / "o.sqlite"
    filled(path)
    damage(path, every, begin)

    outbox = Outbox(path, ["sink"])
    saved = uids(outbox)
    outbox.add([alert(1000)])

    assert uids(outbox) == [*saved, "uid-1000"]
    assert saved == sorted(saved, key=lambda uid: int(uid[4:]))
    assert (tmp_path / "o.sqlite.damaged-1").stat().st_size > 500_000
    told = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(told) == 1
    assert f"is damaged (database disk image is malformed) and kept as {path}.damaged-1" in told[0].getMessage()
    assert f"; {len(saved)} alerts of it go on" in told[0].getMessage()
    outbox.close()
    assert uids(Outbox(path, ["sink"])) == [*saved, "uid-1000"]


def test_few_damaged_pages_cost_only_the_alerts_on_them(tmp_path: Path) -> None:
    filled(tmp_path / "o.sqlite")
    damage(tmp_path / "o.sqlite", every=40, begin=30)
    assert 200 < len(uids(Outbox(tmp_path / "o.sqlite", ["sink"]))) < 300


def test_the_next_damaged_file_does_not_replace_the_first(tmp_path: Path) -> None:
    for _ in range(2):
        filled(tmp_path / "o.sqlite")
        damage(tmp_path / "o.sqlite")
        Outbox(tmp_path / "o.sqlite", ["sink"]).close()
        (tmp_path / "o.sqlite").unlink()
    assert {file.name for file in tmp_path.glob("*.damaged-?")} == {"o.sqlite.damaged-1", "o.sqlite.damaged-2"}


async def test_damage_while_it_runs_ends_in_one_line_and_later_alerts_go_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "o.sqlite"
    filled(path, 2000)
    outbox, sink = Outbox(path, ["sink"]), Sink(open_at_once=False)
    custody = Durable(outbox, [sink], Counter())
    outbox._db.execute("PRAGMA cache_size = 1")
    damage(path)
    sink.may.set()
    for number in range(5000, 5050):
        await custody.take([alert(number)])
    assert await custody.close(20.0) == 0
    assert [uid for uid in sink.taken if int(uid[4:]) >= 5000] == [f"uid-{number}" for number in range(5000, 5050)]
    told = [record.getMessage() for record in caplog.records if "is damaged" in record.getMessage()]
    assert len(told) == 1


def test_a_file_of_the_version_before_is_read(tmp_path: Path) -> None:
    path = tmp_path / "o.sqlite"
    bodies = [
        json.dumps(["r", 4, number, "s", "h", "m", {"a": "\ud800"}, ["t"], f"uid-{number}"]) for number in (1, 2, 3)
    ]
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE alerts (number INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);"
            "CREATE TABLE outputs (name TEXT PRIMARY KEY, taken INTEGER NOT NULL) WITHOUT ROWID;"
            "PRAGMA user_version = 1; INSERT INTO outputs VALUES ('sink', 7);"
        )
        db.executemany("INSERT INTO alerts VALUES (?, ?)", list(enumerate(bodies, 7)))
        db.commit()
    outbox = Outbox(path, ["sink"])
    assert uids(outbox) == ["uid-2", "uid-3"]
    outbox.add([alert(4)])
    assert (outbox.last, uids(outbox)) == (10, ["uid-2", "uid-3", "uid-4"])
    outbox.take({"sink": 10})
    outbox.close()
    again = Outbox(path, ["sink"])
    assert (again.last, again.waiting("sink")) == (10, 0)


async def test_a_disk_that_hangs_holds_up_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(custody_module, "_HUNG", 0.05)
    monkeypatch.setattr(custody_module, "_CLOSING", 0.05)
    outbox, hung = Outbox(tmp_path / "o.sqlite", ["sink"]), threading.Event()
    custody = Durable(outbox, [Sink()], Counter())
    monkeypatch.setattr(outbox, "_insert", lambda _bodies: hung.wait())
    waiting = asyncio.create_task(custody.take([alert(1)]))
    await asyncio.sleep(0.1)
    async with asyncio.timeout(10):
        await custody.close(0.1)
    hung.set()
    assert waiting.cancelled() or isinstance(waiting.exception(), OutputError)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "the disk has not answered for 0 s; nothing is acknowledged until it does",
        "the disk does not answer; outputs may get their last alerts once more",
    ]


async def test_an_error_at_the_end_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outbox = Outbox(tmp_path / "o.sqlite", ["sink"])

    def fail() -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(outbox, "_note", fail)
    sink = Sink()
    custody = Durable(outbox, [sink], Counter())
    await custody.take([alert(1)])
    assert await custody.close(1.0) == 0
    assert "the outbox cannot be written to: disk I/O error; outputs may get" in caplog.text
    assert "Traceback" not in caplog.text


async def test_without_outputs_nothing_is_kept(tmp_path: Path) -> None:
    custody = Durable(Outbox(tmp_path / "o.sqlite", []), [], Counter())
    await custody.take([alert(1)])
    assert await custody.close(1.0) == 0


async def test_an_output_that_is_far_behind_reads_from_the_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custody_module, "_IN_MEMORY", 20)
    slow, quick = Sink(open_at_once=False), Sink()
    slow.name, quick.name = "slow", "quick"
    custody = Durable(Outbox(tmp_path / "o.sqlite", ["slow", "quick"]), [slow, quick], Counter())
    for number in range(300):
        await custody.take([alert(3 * number + part) for part in range(3)])
    assert max(feed.held for feed in custody._feeds) < 30
    slow.may.set()
    assert await custody.close(20.0) == 0
    assert slow.taken == quick.taken == [f"uid-{number}" for number in range(900)]


async def test_batches_that_wait_together_are_committed_together(tmp_path: Path) -> None:
    outbox, sink = Outbox(tmp_path / "o.sqlite", ["sink"]), Sink()
    custody = Durable(outbox, [sink], Counter())
    await asyncio.gather(*(custody.take([alert(number)]) for number in range(50)))
    assert len(outbox.after(0, 1000)) <= 2
    assert await custody.close(10.0) == 0
    assert sink.taken == [f"uid-{number}" for number in range(50)]
