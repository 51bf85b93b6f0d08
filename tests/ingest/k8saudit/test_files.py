"""An audit log that is followed: as it grows, is renamed, cut short, and between two runs."""

# ruff: noqa: ASYNC240 - the files are small and nothing else waits for the loop

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ingest import logfile
from ingest.base import Batch, SourceError
from ingest.k8saudit import files
from ingest.k8saudit.files import LogOptions, LogSource
from tests.ingest.k8saudit.receiver import Settle, acknowledge
from tests.ingest.k8saudit.samples import audit, body


def lines(*ids: str) -> bytes:
    return b"".join(body(audit(auditID=name)) + b"\n" for name in ids)


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@dataclass(slots=True)
class Following:
    source: LogSource
    settle: Settle
    batches: list[Batch] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return [event.record["auditID"] for batch in self.batches for event in batch.events]

    async def consume(self) -> None:
        async for batch in self.source.batches():
            self.batches.append(batch)
            await self.settle(batch)

    async def until(self, ids: Sequence[str]) -> None:
        async with asyncio.timeout(60):
            while len(self.ids) < len(ids):  # noqa: ASYNC110 - nobody tells when the source has read on
                await asyncio.sleep(0.005)
        assert self.ids == list(ids)


@asynccontextmanager
async def following(
    path: Path, state: Path | None = None, *, from_start: bool = True, settle: Settle = acknowledge
) -> AsyncIterator[Following]:
    source = LogSource(LogOptions(str(path), str(state or ""), from_start, poll=0.01))
    await source.start()
    running = Following(source, settle)
    task = asyncio.create_task(running.consume())
    try:
        yield running
    finally:
        await source.stop(0.2)
        async with asyncio.timeout(60):
            await task


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.log"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def test_lines_are_read_as_they_come(path: Path) -> None:
    append(path, lines("a", "b"))
    async with following(path) as running:
        await running.until(["a", "b"])
        append(path, lines("c"))
        await running.until(["a", "b", "c"])

        assert running.batches[0].events[0].origin == str(path)
        assert running.source.counters["events"] == 3


async def test_a_first_start_takes_what_comes_unless_told_otherwise(path: Path) -> None:
    append(path, lines("old"))
    async with following(path, from_start=False) as running:
        append(path, lines("new"))
        await running.until(["new"])


async def test_a_log_may_appear_later(path: Path) -> None:
    async with following(path, from_start=False) as running:
        append(path, lines("a"))
        await running.until(["a"])


async def test_a_half_written_line_is_waited_for(path: Path) -> None:
    whole = lines("a")
    append(path, whole[:100])
    async with following(path) as running:
        await asyncio.sleep(0.05)
        assert running.ids == []
        append(path, whole[100:] + lines("b")[:-1])
        await running.until(["a"])
        append(path, b"\n")
        await running.until(["a", "b"])


async def test_a_renamed_log_is_read_to_its_end_before_the_new_one(path: Path) -> None:
    append(path, lines("a"))
    async with following(path) as running:
        await running.until(["a"])
        old = path.rename(path.with_name("audit-2026-01-02T03-04-05.000.log"))
        append(old, lines("b") + lines("c")[:-1])
        append(path, lines("d"))
        await running.until(["a", "b", "c", "d"])
        assert running.source.counters["positions_missed"] == 0


async def test_several_renamed_logs_are_read_in_their_order(path: Path) -> None:
    append(path, lines("a"))
    async with following(path) as running:
        await running.until(["a"])
        for number, name in enumerate("bcd"):
            path.rename(path.with_name(f"audit-2026-01-02T03-04-0{number}.000.log"))
            append(path, lines(name))
        await running.until(["a", "b", "c", "d"])


async def test_logs_renamed_by_number_are_read_in_their_order(path: Path) -> None:
    append(path, lines("a"))
    async with following(path) as running:
        await running.until(["a"])
        for name in "bcd":
            for number in (2, 1):
                old = path.with_name(f"{path.name}.{number}")
                if old.exists():
                    old.rename(path.with_name(f"{path.name}.{number + 1}"))
            path.rename(path.with_name(f"{path.name}.1"))
            append(path, lines(name))
        await running.until(["a", "b", "c", "d"])
        assert running.source.counters["positions_missed"] == 0


async def test_a_log_that_is_cut_short_is_read_from_its_start(path: Path) -> None:
    append(path, lines("a", "b"))
    async with following(path) as running:
        await running.until(["a", "b"])
        path.write_bytes(b"")
        await asyncio.sleep(0.05)
        append(path, lines("c"))
        await running.until(["a", "b", "c"])


async def test_a_log_that_was_replaced_unseen_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    append(path, lines("a"))
    async with following(path) as running:
        await running.until(["a"])
        other = path.with_name("other")
        append(other, lines("b"))
        other.replace(path)
        await running.until(["a", "b"])

        assert running.source.counters["positions_missed"] == 1
        assert "lines may be missing" in caplog.text


async def test_bad_lines_cost_themselves_alone(path: Path) -> None:
    append(path, lines("a") + b"{broken\n\n" + b'{"kind": 0}\n' + lines("b"))
    async with following(path) as running:
        await running.until(["a", "b"])

        assert running.source.counters["records_skipped:not-json"] == 1
        assert running.source.counters["records_skipped:other-kind"] == 1


async def test_lines_longer_than_a_chunk_are_read(path: Path) -> None:
    long = body(audit(auditID="long", requestObject={"x": "y" * (3 * logfile.CHUNK)}))
    append(path, lines("a") + long + b"\n" + lines("b"))
    async with following(path) as running:
        await running.until(["a", "long", "b"])


async def test_a_line_without_end_is_left_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logfile, "CHUNK", 1000)
    monkeypatch.setattr(logfile, "MAX_LINE", 10_000)
    append(path, lines("a") + b"x" * 50_000 + b"\n" + lines("b"))
    async with following(path) as running:
        await running.until(["a", "b"])

        assert running.source.counters["records_skipped:too-long"] == 1


async def test_reading_goes_on_where_it_ended(path: Path, state: Path) -> None:
    append(path, lines("a", "b"))
    async with following(path, state) as running:
        await running.until(["a", "b"])
    append(path, lines("c"))
    async with following(path, state) as running:
        await running.until(["c"])


async def test_reading_goes_on_in_a_log_that_was_renamed_meanwhile(path: Path, state: Path) -> None:
    append(path, lines("a"))
    async with following(path, state, from_start=False) as running:
        append(path, lines("b"))
        await running.until(["b"])
    append(path, lines("c"))
    path.rename(path.with_name("audit-2026-01-02T03-04-05.000.log"))
    append(path, lines("d"))
    async with following(path, state) as running:
        await running.until(["c", "d"])
        assert running.source.counters["positions_missed"] == 0


async def test_another_log_in_the_place_of_the_known_one_is_read_whole(path: Path, state: Path) -> None:
    append(path, lines("a"))
    async with following(path, state) as running:
        await running.until(["a"])
    inode = path.stat().st_ino
    path.write_bytes(lines("b", "c"))
    assert path.stat().st_ino == inode

    async with following(path, state, from_start=False) as running:
        await running.until(["b", "c"])
        assert running.source.counters["positions_missed"] == 1


async def test_what_was_not_in_custody_is_read_again_after_a_restart(path: Path, state: Path) -> None:
    async def never(_batch: Batch) -> None:
        return

    append(path, lines("a", "b"))
    async with following(path, state, settle=never) as running:
        await running.until(["a", "b"])
    assert not state.exists()
    async with following(path, state) as running:
        await running.until(["a", "b"])
    assert state.exists()


async def test_a_batch_that_failed_comes_again(path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail_twice(batch: Batch) -> None:
        await (batch.nack("full") if len(running.batches) <= 2 else batch.ack())

    monkeypatch.setattr(files, "_RETRY", (0.01,))
    append(path, lines("a"))
    async with following(path, state, settle=fail_twice) as running:
        await running.until(["a", "a", "a"])
        append(path, lines("b"))
        await running.until(["a", "a", "a", "b"])

        assert running.source.counters["retries"] == 2


async def test_a_damaged_state_is_told_and_taken_for_none(
    path: Path, state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state.write_text("{oops")
    append(path, lines("a"))
    async with following(path, state) as running:
        await running.until(["a"])
    assert "is damaged" in caplog.text


async def test_health_tells_of_a_log_that_cannot_be_read(path: Path) -> None:
    async with following(path) as running:
        assert running.source.health().ok
        path.mkdir()
        async with asyncio.timeout(60):
            while running.source.health().ok:  # noqa: ASYNC110 - nobody tells when the source has looked again
                await asyncio.sleep(0.005)
        assert f"{path} cannot be read: Is a directory" in running.source.health().detail
        path.rmdir()
        append(path, lines("a"))
        await running.until(["a"])
        assert running.source.health().ok


async def test_a_state_that_cannot_be_written_is_told_and_events_still_come(path: Path, tmp_path: Path) -> None:
    state = tmp_path / "folder" / "state"
    state.parent.mkdir()
    append(path, lines("a"))
    async with following(path, state) as running:
        await running.until(["a"])
        state.unlink(missing_ok=True)
        state.mkdir()
        append(path, lines("b"))
        await running.until(["a", "b"])
        append(path, lines("c"))
        await running.until(["a", "b", "c"])
        assert not running.source.health().ok


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (LogOptions("/no/such/folder/audit.log"), "audit log /no/such/folder/audit.log: the folder /no/such/folder"),
        (LogOptions("/tmp/audit.log", state="/no/such/state"), "state /no/such/state cannot be written"),
    ],
)
async def test_places_that_cannot_be_used_are_refused_at_the_start(options: LogOptions, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        await LogSource(options).start()


async def test_stopping_closes_the_log(path: Path) -> None:
    append(path, lines("a"))
    before = len(os.listdir("/proc/self/fd"))
    async with following(path) as running:
        await running.until(["a"])
    assert len(os.listdir("/proc/self/fd")) == before
