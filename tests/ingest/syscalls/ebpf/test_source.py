"""The source of live host events, and what it says where there can be none."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.base import SourceError
from ingest.syscalls.ebpf import probe
from ingest.syscalls.ebpf.driver import DriverOptions
from ingest.syscalls.ebpf.loader import Filter, LoadError
from ingest.syscalls.ebpf.numbers import NUMBERS
from ingest.syscalls.ebpf.source import HostSource, Wanted, default_numbers
from ingest.syscalls.state import State
from tests.ingest.syscalls.ebpf.live import needs_ebpf, needs_tracefs, own_programs

ROOT = Path(__file__).resolve().parents[4]
OPENS = Wanted(frozenset({NUMBERS["openat"]}))


async def until(source: HostSource, path: str) -> list[str]:
    """Return the events of the process that opened a path, up to that one."""
    found = []
    async with asyncio.timeout(60):
        async for batch in source.batches():
            for event in batch.events:
                call = event.record
                found.append(call)
                if call.fd is not None and call.fd.name == path:
                    return [each.name for each in found if each.tid == call.tid]
    return []


@pytest.mark.ebpf
@needs_ebpf[1]
async def test_events_come_until_the_source_is_stopped(tmp_path: Path) -> None:
    source = HostSource(State(), OPENS, DriverOptions(mode="full"))
    before = own_programs()
    await source.start()
    assert source.health().ok
    path = tmp_path / "seen"
    path.touch()

    async def act() -> None:
        child = await asyncio.create_subprocess_exec("/bin/cat", str(path))
        await child.wait()

    acting = asyncio.create_task(act())
    assert "openat" in await until(source, str(path))
    await acting
    assert source.counters["events"] > 0
    await source.stop(1)
    assert not source.health().ok
    assert own_programs() == before


@pytest.mark.ebpf
@needs_ebpf[1]
async def test_other_rules_are_loaded_while_events_come(tmp_path: Path) -> None:
    source = HostSource(State(), Wanted(frozenset()), DriverOptions(mode="full"))
    await source.start()
    await source.reload(OPENS)
    with pytest.raises(
        SourceError, match="the rules cannot be loaded into the kernel: the BPF program cannot be compil"
    ):
        await source.reload(Wanted(frozenset(), Filter(early="return nonsense;")))
    path = tmp_path / "seen"
    path.touch()
    child = await asyncio.create_subprocess_exec("/bin/cat", str(path))
    assert await until(source, str(path))
    await child.wait()
    await source.stop(1)


@pytest.mark.ebpf
@needs_ebpf[1]
async def test_losses_are_an_event_a_counter_and_a_note_on_health() -> None:
    source = HostSource(State(), OPENS, DriverOptions(mode="full", bulk_bytes=4096))
    await source.start()
    program = "import os\nfor _ in range(2000): os.close(os.open('/', 0))"
    await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=True)
    async with asyncio.timeout(60):
        async for batch in source.batches():
            lost = [event.record for event in batch.events if event.record.name == "drop"]
            if lost:
                break
    assert 1 <= lost[0].params[0] <= 100
    assert source.counters["dropped:bulk"] > 1000
    assert "were lost since the start" in source.health().detail
    await source.stop(1)


@pytest.mark.ebpf
@needs_ebpf[1]
@needs_tracefs
async def test_mode_fast_warns_of_what_it_does_not_see(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for possible in (True, False):
        caplog.clear()
        monkeypatch.setattr("ingest.syscalls.ebpf.source.ia32_possible", lambda found=possible: found)
        source = HostSource(State(), OPENS, DriverOptions(mode="fast"))
        await source.start()
        await source.stop(0)
        assert ("does not see the calls of 32-bit programs" in caplog.text) == possible


async def test_where_there_is_no_ebpf_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.syscalls.ebpf.source.reasons", lambda: ["this is a toaster", "it is off"])
    with pytest.raises(SourceError, match=r"^this is a toaster; it is off$"):
        await HostSource(State(), OPENS).start()


async def test_a_driver_that_fails_to_load_is_told_and_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.syscalls.ebpf.source.reasons", list)

    class Refusing:
        closed = False

        def __init__(self, options: object) -> None: ...

        def load(self, *what: object) -> None:
            raise LoadError("no room")

        def close(self) -> None:
            Refusing.closed = True

    monkeypatch.setattr("ingest.syscalls.ebpf.source.Driver", Refusing)
    with pytest.raises(SourceError, match="host events cannot be taken: no room"):
        await HostSource(State(), OPENS).start()
    assert Refusing.closed


@pytest.mark.ebpf
@needs_ebpf[1]
def test_a_user_without_capabilities_is_told_which() -> None:
    code = """
import encodings.ascii, os  # nobody may not be allowed to read where Python is
from ingest.syscalls.ebpf.probe import reasons
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(reasons())
"""
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "lacks CAP_BPF and CAP_PERFMON" in told


@pytest.mark.ebpf
@needs_ebpf[1]
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_four_capabilities_are_enough(tmp_path: Path) -> None:
    capabilities = "+bpf,+perfmon,+dac_read_search,+sys_ptrace"
    code = """
from ingest.syscalls.ebpf.driver import Driver, DriverOptions
from ingest.syscalls.ebpf.probe import reasons
from ingest.syscalls.ebpf.selftest import self_test
assert reasons() == []
driver = Driver(DriverOptions(mode="full"))
driver.load([])
print(len(self_test(driver)) > 0)
"""
    os.chown(tmp_path, 65534, 65534)
    done = subprocess.run(
        [
            *("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", f"--inh-caps={capabilities}"),
            *(f"--ambient-caps={capabilities}", f"--bounding-set=-all,{capabilities}", sys.executable, "-c", code),
        ],
        cwd=ROOT, env=os.environ | {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout == "True\n", done.stderr


def test_other_systems_and_machines_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    assert probe.reasons() == ["the eBPF driver knows x86-64 only, this is riscv64"]
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("platform.release", lambda: "5.10.0-28-amd64")
    assert probe.reasons() == ["the eBPF driver needs Linux 5.15 or later, this is 5.10.0-28-amd64"]
    monkeypatch.setattr("platform.system", lambda: "Plan9")
    assert probe.reasons() == ["host events need Linux, this is Plan9"]


def test_without_the_compiler_and_a_cache_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr(probe, "find_bcc", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    assert any("apt-get install python3-bpfcc" in reason for reason in probe.reasons())


def test_rules_that_name_no_event_get_all_but_mere_input_and_output() -> None:
    numbers = default_numbers()
    assert {NUMBERS[name] for name in ("execve", "openat", "connect", "close", "procexit")} <= numbers
    assert not {NUMBERS[name] for name in ("read", "write", "sendfile")} & numbers
