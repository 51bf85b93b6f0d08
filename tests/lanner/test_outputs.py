import asyncio
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine.alert import Alert
from engine.priority import Priority
from lanner.errors import OutputError
from lanner.outputs.base import OutputClosed
from lanner.outputs.file import FileOutput
from lanner.outputs.leaving import leaving
from lanner.outputs.lines import LineForm, line_writer
from lanner.outputs.stdout import StdoutOutput
from tests.lanner.support import alert


def plain(one: Alert) -> str:
    return f"{one.uid}\n"


def test_text_lines() -> None:
    assert line_writer(LineForm(iso_8601=True))(alert()) == ("2023-11-14T22:13:20.000000001+0000: Warning message 1\n")


def test_json_lines_are_never_coloured() -> None:
    line = line_writer(LineForm(json=True, colour=True))(alert())
    assert json.loads(line)["rule"] == "A rule"
    assert line.count("\n") == 1
    assert "\x1b" not in line


def test_a_uid_is_told_only_when_asked_for() -> None:
    falco = json.loads(line_writer(LineForm(json=True))(alert()))
    ours = json.loads(line_writer(LineForm(json=True, uid=True))(alert()))
    assert ours.pop("lanner") == {"uid": "uid-1"}
    assert ours == falco


@pytest.mark.parametrize("priority", Priority)
def test_every_priority_has_a_colour_that_ends(priority: Priority) -> None:
    line = line_writer(LineForm(colour=True))(alert(priority=priority))
    assert line.startswith("\x1b[")
    assert line.endswith("\x1b[0m\n")


@pytest.fixture
async def file_output(tmp_path: Path) -> FileOutput:
    output = FileOutput(str(tmp_path / "alerts.txt"), plain)
    await output.start()
    return output


async def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "alerts.txt"
    path.write_text("before\n")
    output = FileOutput(str(path), plain)
    await output.start()
    await output.deliver([alert(1), alert(2)])
    await output.deliver([alert(3)])
    await output.close()
    assert path.read_text() == "before\nuid-1\nuid-2\nuid-3\n"


async def test_a_line_that_a_killed_process_left_unfinished_costs_no_other(tmp_path: Path) -> None:
    path = tmp_path / "alerts.txt"
    path.write_text("uid-1\nui")
    output = FileOutput(str(path), plain)
    await output.start()
    await output.deliver([alert(2)])
    await output.close()
    assert path.read_text() == "uid-1\nui\nuid-2\n"


async def test_a_new_file_is_not_for_everybody(file_output: FileOutput, tmp_path: Path) -> None:
    assert (tmp_path / "alerts.txt").stat().st_mode & 0o007 == 0
    await file_output.close()


@pytest.mark.parametrize("rotate", [lambda path: path.rename(f"{path}.1"), lambda path: path.unlink()])
async def test_rotation_makes_a_new_file(
    file_output: FileOutput, tmp_path: Path, rotate: Callable[[Path], object]
) -> None:
    path = tmp_path / "alerts.txt"
    await file_output.deliver([alert(1)])
    rotate(path)
    await file_output.deliver([alert(2)])
    await file_output.close()
    assert path.read_text() == "uid-2\n"


async def test_a_file_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    output = FileOutput(str(tmp_path / "no" / "alerts.txt"), plain)
    with pytest.raises(OutputError, match="cannot write alerts to this file: its folder is not there"):
        await output.start()


async def test_a_full_disk_is_an_error_and_leaves_no_glued_line(
    file_output: FileOutput, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, room = os.write, [3]

    def write(descriptor: int, data: bytes) -> int:
        if not room:
            return real(descriptor, data)
        if room[0] == 0:
            room.clear()
            raise OSError(28, "No space left on device")
        written = real(descriptor, bytes(data)[: room[0]])
        room[0] = 0
        return written

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space left"):
        await file_output.deliver([alert(1)])
    await file_output.deliver([alert(1)])
    await file_output.close()
    assert (tmp_path / "alerts.txt").read_text() == "uid\nuid-1\n"


async def test_a_device_can_be_the_file() -> None:
    output = FileOutput("/dev/null", plain)
    await output.start()
    await output.deliver([alert(1)])
    await output.close()


async def test_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    output = StdoutOutput(plain)
    await output.start()
    await output.deliver([alert(1), alert(2)])
    await output.close()
    assert capfd.readouterr().out == "uid-1\nuid-2\n"


async def test_a_closed_standard_output_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", closefd=True) as stream:
        monkeypatch.setattr("sys.stdout", stream)
        with pytest.raises(OutputClosed):
            await StdoutOutput(plain).deliver([alert(1)])


async def test_a_reader_that_does_not_read_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, os.fdopen(reader, "rb") as other:
        monkeypatch.setattr("sys.stdout", stream)
        output = StdoutOutput(lambda _one: "x" * 1_000_000)
        delivery = asyncio.create_task(output.deliver([alert(1)]))
        await asyncio.sleep(0.05)
        assert not delivery.done()
        assert len(await asyncio.to_thread(other.read, 1_000_000)) == 1_000_000
        await delivery
        await output.close()


class Leaver:
    """An output whose reader leaves after some deliveries."""

    def __init__(self, name: str, after: int) -> None:
        self.name, self.after = name, after
        self.taken: list[str] = []

    async def start(self) -> None:
        pass

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        if not self.after:
            raise OutputClosed(f"{self.name} was closed")
        self.after -= 1
        self.taken += [one.uid for one in alerts]

    async def close(self) -> None:
        pass


async def test_the_reader_of_one_output_may_leave_but_not_that_of_the_last() -> None:
    counters: Counter[str] = Counter()
    first, second = leaving([Leaver("first", 1), Leaver("second", 2)], counters)
    for _ in range(2):
        await first.deliver([alert(1)])
        await second.deliver([alert(1)])
    assert counters == {"alerts_dropped:first": 1}
    with pytest.raises(OutputClosed, match="second was closed"):
        await second.deliver([alert(1)])
    with pytest.raises(OutputClosed, match="second was closed"):  # and the alerts stay in custody
        await second.deliver([alert(1)])
    assert counters == {"alerts_dropped:first": 1}
