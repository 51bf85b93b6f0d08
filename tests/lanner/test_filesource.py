import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest

from ingest.base import SourceError
from lanner import filesource
from lanner.filesource import FilesOptions, FilesSource
from tests.lanner.support import ROOT, command, ct_record, environment


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "a.json"
    file.write_text(json.dumps({"Records": [ct_record(number=1), {}]}))
    return file


async def started(path: Path) -> FilesSource:
    source = FilesSource(FilesOptions((str(path),)))
    await source.start()
    return source


async def test_events_that_were_refused_come_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesource, "_AGAIN", 0.01)
    source = await started(path)
    seen = []
    async for batch in source.batches():
        seen.append([event.uid[-1] for event in batch.events])
        await (batch.ack() if len(seen) == 3 else batch.nack("the disk is full"))
    assert seen == [["1"]] * 3
    assert source.counters["retries"] == 2
    assert source.counters["events"] == 1
    assert source.counters["files:read"] == 1
    assert sum(n for name, n in source.counters.items() if name.startswith("records_skipped")) == 1


async def test_it_ends_when_stopped_while_events_are_refused(path: Path) -> None:
    source = await started(path)
    async for batch in source.batches():
        await batch.nack("the disk is full")
        await source.stop(1)
    assert source.counters["files:read"] == 0


def test_an_unknown_event_source_is_told() -> None:
    with pytest.raises(SourceError, match="unknown event source 'x'"):
        FilesSource(FilesOptions((), "x"))


async def test_followed_files_go_on_where_they_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesource, "_AGAIN", 0.01)
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "trail.jsonl"
    options = FilesOptions((str(folder),), follow=True, poll=0.01, checkpoint=str(tmp_path / "checkpoint"))

    def write(number: int) -> None:
        with log.open("a") as file:
            file.write(json.dumps(ct_record(number=number)) + "\n")

    async def read(until: str) -> list[str]:
        source = FilesSource(options)
        await source.start()
        seen: list[str] = []
        async with asyncio.timeout(20):
            async for batch in source.batches():
                seen += [event.uid[-1] for event in batch.events]
                if seen == ["1"]:
                    write(2)
                if seen == ["1", "2"]:
                    await batch.nack("the disk is full")  # it comes again
                    continue
                await batch.ack()
                if seen[-1] == until:
                    await source.stop(1)
        return seen

    write(1)
    assert await read("2") == ["1", "2", "2"]
    write(3)
    assert await read("3") == ["3"]


def test_a_checkpoint_is_only_for_what_is_followed() -> None:
    with pytest.raises(SourceError, match="follow: true"):
        FilesSource(FilesOptions((), checkpoint="c"))


def test_a_service_that_waits_for_standard_input_ends_at_once(tmp_path: Path) -> None:
    options = ("-o", "sources[].type=files", "-o", "sources[0].paths[]='-'", "-o", f"outbox.path={tmp_path}/outbox")
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command("run", *options), stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment()
    )
    try:
        assert process.stderr
        while "running: files" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0  # its standard input is still open
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
