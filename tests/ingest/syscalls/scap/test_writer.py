"""What is written is read back the same, by this reader and by sysdig."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.syscalls import layouts
from ingest.syscalls.call import Call, Descriptor, Thread
from ingest.syscalls.scap.codes import numbers
from ingest.syscalls.scap.reader import Capture
from ingest.syscalls.scap.values import SIGNED, TEXTS, WIDTHS
from ingest.syscalls.scap.writer import CaptureWriter
from tests.ingest.syscalls.scap.made import START, calls, written
from tests.shared import SHARED, needs_shared

needs_sysdig = pytest.mark.skipif(shutil.which("sysdig") is None, reason="sysdig is not installed")


def facts(call: Call) -> tuple[object, ...]:
    return call.name, call.params, call.time_ns, call.tid, call.cpu


@pytest.mark.parametrize("compressed", [False, True])
def test_calls_come_back_as_they_were(compressed: bool) -> None:
    again = list(Capture(io.BytesIO(written(calls(), compressed))).calls())
    assert [facts(call) for call in again] == [facts(call) for call in calls()]
    assert [call.num for call in again if call.name != "connect"][:4] == [1, 2, 3, 4]


def values(kind: str) -> st.SearchStrategy[object]:
    if kind in WIDTHS:
        bits = 8 * WIDTHS[kind]
        return st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) if kind in SIGNED else st.integers(0, (1 << bits) - 1)
    if kind in TEXTS:
        return st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=20)
    return st.binary(min_size=1, max_size=20) if kind in ("bytebuf", "dyn") else st.none()


@st.composite
def any_call(draw: st.DrawFn) -> Call:
    name = draw(st.sampled_from(sorted(numbers())))
    known = layouts.layout(name)
    assert known is not None
    params = tuple(draw(st.none() | values(param.type)) for param in known.params)
    return Call(
        name, params, draw(st.integers(0, (1 << 64) - 1)), draw(st.integers(0, 1 << 22)), draw(st.integers(0, 999))
    )


@given(st.lists(any_call(), max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_call_comes_back_as_it_was(made: list[Call]) -> None:
    again = list(Capture(io.BytesIO(written(made))).calls())
    assert [facts(call) for call in again] == [facts(call) for call in made]


@pytest.mark.parametrize("params", [(None, None, None), (7, "note", b"data"), (7, "note", None)])
def test_events_of_plugins_keep_what_nobody_told(params: tuple[object, ...]) -> None:
    made = [Call("asyncevent", params, START, 1)]
    assert [call.params for call in Capture(io.BytesIO(written(made))).calls()] == [params]


def test_a_call_without_a_number_is_written_by_name_or_else_counted() -> None:
    file = io.BytesIO()
    writer = CaptureWriter(file, compressed=False)
    writer.call(Call("keyctl", (0, 1, None, None, None, None), START, 1))
    writer.call(Call("no such call", (), START, 1))
    assert (writer.written, writer.unknown) == (1, 1)
    assert [(call.name, call.params) for call in Capture(io.BytesIO(file.getvalue())).calls()] == [("keyctl", ())]


@pytest.mark.parametrize(
    "new", [Descriptor(3, "P", "/proc/1"), Descriptor(3, "u", kind="userfaultfd"), Descriptor(3, "m", "x")]
)
def test_types_of_descriptors_that_sysdig_refuses_are_written_as_not_supported(new: Descriptor) -> None:
    file = io.BytesIO()
    CaptureWriter(file, compressed=False).threads([Thread(5, 5, descriptors={3: new})])
    read = Capture(io.BytesIO(file.getvalue())).threads[5].descriptors[3]
    assert (read.typechar, read.name) == ("X", new.name)


SHOWN = "%evt.rawtime %evt.cpu %evt.type %evt.dir %thread.tid %proc.name %proc.exepath %fd.name %evt.res %user.name"


def sysdig(path: Path, *more: str) -> list[str]:
    done = subprocess.run(["sysdig", "-r", str(path), *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@needs_sysdig
def test_sysdig_reads_what_was_written_with_the_right_fields(tmp_path: Path) -> None:
    path = tmp_path / "made.scap"
    path.write_bytes(written(calls()))
    lines = sysdig(path, "-p", "*%evt.type %proc.name %proc.exepath %user.name %fd.name %evt.res", "evt.dir=<")
    assert "read bash /usr/bin/bash ana /home/ana/etc/.passwd SUCCESS" in lines
    assert "splice bash /usr/bin/bash ana pipe:[77] SUCCESS" in lines
    assert "connect bash /usr/bin/bash ana ::1:4001->::2:8080 EINPROGRESS" in lines
    assert "kill bash /usr/bin/bash ana <NA> ESRCH" in lines
    assert any(line.startswith("getcpu bash") for line in lines)


@needs_sysdig
def test_sysdig_is_told_no_number_that_nobody_knows(tmp_path: Path) -> None:
    path = tmp_path / "made.scap"
    path.write_bytes(written([Call("openat", (-2, -100, "x", 1, 0, None, None), START, 100)]))
    (line,) = sysdig(path, "-p", "%evt.args", "evt.dir=<")
    assert "dev=" not in line
    (again,) = Capture(io.BytesIO(path.read_bytes())).calls()
    assert again.params == (-2, -100, "x", 1, 0, None, None)


@needs_sysdig
def test_sysdig_filters_by_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "made.scap.gz"
    path.write_bytes(written(calls(), compressed=True))
    shown = sysdig(path, "-p", "%evt.type", "evt.dir=< and fd.num=3 and proc.pid=100 and user.name=ana")
    assert shown == ["connect", "bind", "bind"]


FILES = sorted(path.stem for path in (SHARED / "scap").glob("*.scap")) if SHARED else []


@needs_shared
@pytest.mark.parametrize("name", FILES)
def test_a_real_capture_written_again_is_the_same(name: str, tmp_path: Path) -> None:
    assert SHARED is not None
    original = SHARED / "scap" / f"{name}.scap"
    path = tmp_path / "again.scap"
    before, first, count = copied(original, path)
    with path.open("rb") as stream:
        capture = Capture(stream)
        assert (capture.machine, capture.users, capture.groups) == (before.machine, before.users, before.groups)
        assert (capture.interfaces, capture.threads) == (before.interfaces, before.threads)
        assert [facts(call) for call in capture.calls()] == first
    assert count == len(first)
    if shutil.which("sysdig"):
        of_sysdig = [line for line in sysdig(original, "-p", SHOWN) if " < " in line]
        assert [line for line in sysdig(path, "-p", SHOWN) if " < " in line] == of_sysdig


def copied(original: Path, path: Path) -> tuple[Capture, list[tuple[object, ...]], int]:
    """Write a capture again; returns it, what its calls were and how many were written."""
    with original.open("rb") as stream, path.open("wb") as file:
        capture = Capture(stream)
        writer = CaptureWriter(file)
        writer.machine(capture.machine)
        writer.interfaces(capture.interfaces)
        writer.accounts(capture.users, capture.groups)
        writer.threads(capture.threads.values())
        first = []
        for call in capture.calls():
            first.append(facts(call))
            writer.call(call)
        writer.close()
    return capture, first, writer.written
