"""``lanner capture``: what is written is what lanner scan and sysdig read, of this host, a program or a capture."""

import io
import os
import shutil
import stat
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from ingest.syscalls.scap.reader import Capture
from tests.ingest.syscalls.ptrace.live import needs_ptrace
from tests.ingest.syscalls.scap.made import calls, written
from tests.lanner.support import lanner

needs_sysdig = pytest.mark.skipif(shutil.which("sysdig") is None, reason="sysdig is not installed")


def without_ebpf() -> str:
    from ingest.syscalls.ebpf.probe import reasons

    return "; ".join(reasons())


def names(path: Path) -> Counter[str]:
    return Counter(call.name for call in Capture(io.BytesIO(path.read_bytes())).calls())


def sysdig(path: Path, *more: str) -> list[str]:
    done = subprocess.run(["sysdig", "-r", str(path), *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.scap"
    path.write_bytes(written(calls()))
    return path


def test_a_filter_chooses_the_events_of_another_capture(original: Path, tmp_path: Path) -> None:
    target = tmp_path / "some.scap"
    done = lanner("capture", "-r", original, "-w", target, "evt.type", "in", "(read, close)", "and", "proc.name=bash")
    assert done.returncode == 0, done.stderr
    assert names(target) == {"read": 1, "close": 1}
    assert "2 events are in" in done.stderr
    kept, before = Capture(io.BytesIO(target.read_bytes())), Capture(io.BytesIO(original.read_bytes()))
    assert (kept.machine, kept.users, kept.threads) == (before.machine, before.users, before.threads)


def test_without_a_filter_all_events_are_written(original: Path, tmp_path: Path) -> None:
    target = tmp_path / "all.scap"
    assert lanner("capture", "-r", original, "-w", target).returncode == 0
    assert names(target) == Counter(call.name for call in calls())


def test_a_number_of_events_is_enough(original: Path, tmp_path: Path) -> None:
    target = tmp_path / "few.scap"
    assert lanner("capture", "-r", original, "-w", target, "-n", "3").returncode == 0
    assert names(target).total() == 3


def test_only_its_owner_may_read_a_capture(original: Path, tmp_path: Path) -> None:
    target = tmp_path / "private.scap"
    lanner("capture", "-r", original, "-w", target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_capture_that_is_cut_is_copied_as_far_as_it_goes(original: Path, tmp_path: Path) -> None:
    original.write_bytes(original.read_bytes()[:-30])
    done = lanner("capture", "-r", original, "-w", tmp_path / "rest.scap")
    assert done.returncode == 0
    assert "lanner: missing: the capture cannot be read to its end" in done.stderr
    assert names(tmp_path / "rest.scap").total() == len(calls()) - 1


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("-w", "x.scap", "-r", "none.scap"), 2, "none.scap: No such file"),
        (("-w", "no/x.scap", "-r", "original.scap"), 2, "no/x.scap: No such file"),
        (("-w", "original.scap", "-r", "original.scap"), 2, "would be written over"),
        (("-w", "x.scap", "-r", "text"), 2, "it does not begin as a capture file"),
        (("-w", "x.scap", "-r", "original.scap", "evt.typ=open"), 3, "evt.typ"),
        (("-w", "x.scap", "-r", "original.scap", "--trace", "true"), 2, "not from both"),
        (("-w", "x.scap", "--trace"), 2, "--trace wants a command"),
        (("-w", "x.scap", "--trace", "--", "no-such-program"), 4, "there is no program"),
        (("-w", "x.scap", "-r", "original.scap", "--filter", "evt.num>0", "evt.num>1"), 2, "given twice"),
    ],
)
def test_mistakes_are_told_in_words(
    original: Path, arguments: tuple[str, ...], status: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (original.parent / "text").write_text("no capture")
    before = original.read_bytes()
    root = Path(__file__).resolve().parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = lanner("capture", *arguments, cwd=original.parent, env=environment)
    assert done.returncode == status, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert original.read_bytes() == before


@needs_ptrace
def test_a_traced_program_is_captured_and_its_capture_scanned(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x\n")
    target = tmp_path / "build.scap"
    command = ("sh", "-c", f"cat {tmp_path}/secret; /bin/true")
    done = lanner("capture", "-w", target, "--trace", "--", *command)
    assert done.returncode == 0, done.stderr
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "- rule: secret\n  desc: d\n  priority: INFO\n  output: '%proc.cmdline of %proc.pname by %user.uid'\n"
        "  condition: evt.type in (open, openat) and fd.name endswith /secret\n"
    )
    scanned = lanner("scan", target, "-r", rules)
    assert f"cat {tmp_path}/secret of sh by {os.getuid()}" in scanned.stdout
    if shutil.which("sysdig"):
        shown = sysdig(target, "-p", "%proc.name %proc.pname %fd.name", "evt.type=openat and evt.dir=<")
        assert f"cat sh {tmp_path}/secret" in shown


@needs_ptrace
def test_a_filter_chooses_among_the_events_of_a_program(tmp_path: Path) -> None:
    target = tmp_path / "execs.scap"
    done = lanner("capture", "-w", target, "--filter", "evt.type=execve and evt.failed=false", "--trace", "--", "true")
    assert done.returncode == 0, done.stderr
    assert names(target) == {"execve": 1}


@needs_sysdig
@pytest.mark.skipif(bool(without_ebpf()), reason=without_ebpf())
def test_this_host_is_captured_as_sysdig_reads_it(tmp_path: Path) -> None:
    target = tmp_path / "host.scap"
    probe = tmp_path / "probe"
    probe.write_text("x")
    reader = subprocess.Popen(["sh", "-c", f"while :; do cat {probe} > /dev/null; sleep 0.05; done"])
    try:
        wanted = f"evt.type in (open, openat) and fd.name={probe}"
        done = lanner("capture", "-w", target, "-n", "3", "--seconds", "60", wanted)
    finally:
        reader.kill()
        reader.wait()
    assert done.returncode == 0, done.stderr
    assert names(target) == {"openat": 3}
    assert sysdig(target, "-p", "%fd.name %evt.res", "evt.dir=<") == [f"{probe} SUCCESS"] * 3
