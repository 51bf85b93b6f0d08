"""Programs get alerts on standard input and nowhere else."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from lanner.errors import OutputError
from lanner.outputs.base import Undelivered
from lanner.outputs.program import ProgramOptions, ProgramOutput
from tests.lanner.outputs.receiver import alert


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


def keeper(path: Path) -> tuple[str, ...]:
    return python(
        f"import sys, os\nfor line in sys.stdin: print(os.getpid(), line, end='', file=open({str(path)!r}, 'a'))"
    )


def kept(path: Path) -> list[tuple[str, str]]:
    lines = [line.split(" ", 1) for line in path.read_text().splitlines()]
    return [(pid, json.loads(text)["lanner"]["uid"]) for pid, text in lines]


async def test_one_process_takes_all_alerts_in_order(tmp_path: Path) -> None:
    output = ProgramOutput("p", ProgramOptions(command=keeper(tmp_path / "out")))
    await output.start()
    await output.deliver([alert(uid="1"), alert(uid="2")])
    await output.deliver([alert(uid="3")])
    await output.close()
    found = kept(tmp_path / "out")
    assert [uid for _, uid in found] == ["1", "2", "3"]
    assert len({pid for pid, _ in found}) == 1


async def test_or_each_alert_has_a_process_of_its_own(tmp_path: Path) -> None:
    output = ProgramOutput("p", ProgramOptions(command=keeper(tmp_path / "out"), keep_alive=False))
    await output.start()
    await output.deliver([alert(uid="1"), alert(uid="2")])
    found = kept(tmp_path / "out")
    assert [uid for _, uid in found] == ["1", "2"]
    assert len({pid for pid, _ in found}) == 2


async def test_a_process_that_fails_has_not_taken_its_alert() -> None:
    text = "import sys; sys.exit(3 if 'bad' in sys.stdin.read() else 0)"
    output = ProgramOutput("p", ProgramOptions(command=python(text), keep_alive=False))
    with pytest.raises(Undelivered, match="ended with status 3") as failure:
        await output.deliver([alert(), alert(message="bad"), alert()])
    assert failure.value.taken == 1


async def test_a_process_that_ends_is_started_again(tmp_path: Path) -> None:
    text = f"import sys; print(sys.stdin.readline(), end='', file=open({str(tmp_path / 'out')!r}, 'a'))"
    output = ProgramOutput("p", ProgramOptions(command=python(text)))
    await output.start()
    told: list[str] = []
    while not told or len((tmp_path / "out").read_text().splitlines()) < 2:
        try:
            await output.deliver([alert()])
        except Undelivered as failure:
            told.append(str(failure))
        await asyncio.sleep(0.02)
    await output.close()
    assert all("ended with status 0" in text for text in told)


async def test_what_does_not_read_or_does_not_end_is_killed_in_time() -> None:
    sleeper = python("import time; time.sleep(60)")
    for keep_alive, told in ((True, "does not read its input"), (False, "did not end within 0.3 s")):
        output = ProgramOutput("p", ProgramOptions(command=sleeper, keep_alive=keep_alive, timeout=0.3))
        with pytest.raises(Undelivered, match=told):
            await output.deliver([alert(message="x" * 100_000)] * 20)
        await output.close()


async def test_alerts_are_never_part_of_a_shells_command(tmp_path: Path) -> None:
    command = (f"cat > {tmp_path}/out",)
    output = ProgramOutput("p", ProgramOptions(command=command, shell=True, keep_alive=False, format="text"))
    await output.start()
    await output.deliver([alert(message=f"$(touch {tmp_path}/bad); `touch {tmp_path}/bad`\ntouch {tmp_path}/bad")])
    assert "$(touch" in (tmp_path / "out").read_text()
    assert not (tmp_path / "bad").exists()


async def test_what_is_no_program_is_told() -> None:
    with pytest.raises(OutputError, match="/no/such: no such program"):
        await ProgramOutput("p", ProgramOptions(command=("/no/such",))).start()
    with pytest.raises(ValueError, match="command: a program is wanted"):
        ProgramOutput("p", ProgramOptions(command=()))
