"""The driver's own affairs: losses, reloads, its end, its own processes, damage."""

import os
import signal
import struct
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.syscalls.ebpf import bpf, loader
from ingest.syscalls.ebpf.driver import Driver, DriverOptions
from ingest.syscalls.ebpf.loader import Filter, LoadError
from ingest.syscalls.ebpf.numbers import NUMBERS
from ingest.syscalls.ebpf.selftest import self_test
from tests.ingest.syscalls.ebpf.live import WATCHED, Watch, needs_ebpf, needs_tracefs, own_programs, settles

pytestmark = needs_ebpf
STAT = "import os\nfor n in range(int(sys.argv[1])):\n    try: os.stat(f'/nowhere/{n}')\n    except OSError: pass\n"
STATS = (NUMBERS["stat"], NUMBERS["newfstatat"])


def numbers(calls: list) -> list[int]:
    """Return the numbers at the end of the paths that ``STAT`` asked for."""
    paths = (param for call in calls for param in call.params if isinstance(param, str))
    return [int(path.rpartition("/")[2]) for path in paths if path.startswith("/nowhere/")]


def test_what_does_not_fit_is_counted_exactly() -> None:
    small = Watch(STATS, DriverOptions(mode="full", bulk_bytes=4096))
    try:
        child = small.spawn(STAT, "500")
        child.communicate("\n", timeout=120)
        counts = small.driver.counts()
        assert counts["sent:bulk"] + counts["dropped:bulk"] == 500
        assert counts["sent:bulk"] < 30
        assert numbers(small.take()) == list(range(counts["sent:bulk"]))
    finally:
        small.driver.close()


def test_a_flood_of_one_process_is_limited_and_counted() -> None:
    slow = Watch(STATS, DriverOptions(mode="full", rate=1, burst=50))
    try:
        slow.run(STAT, "400")
        counts = slow.driver.counts()
        assert 400 <= counts["sent:bulk"] + counts["limited"] < 410  # the interpreter may look at a file itself
        assert 50 <= counts["sent:bulk"] < 60
    finally:
        slow.driver.close()


def test_a_reload_loses_and_repeats_nothing(watch: Watch) -> None:
    for _ in range(2):
        watch.driver.load(range(1024), WATCHED)  # compiles both generations, so that the reloads below are quick
    before = watch.driver.counts()["dropped:bulk"]
    child = watch.spawn(STAT, "1000000000")
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()
    taken = []
    with ThreadPoolExecutor(1) as elsewhere:
        for _ in range(5):
            loading = elsewhere.submit(watch.driver.load, range(1024), _keeping(child.pid))
            while not loading.done():
                watch.driver.wait(0.01)
                taken += watch.driver.take()
            loading.result()
    child.kill()
    child.communicate()
    taken += watch.driver.take()
    calls = [call for batch, starts in taken for call, _ in watch.decoder.decode(batch, starts)]
    assert watch.driver.counts()["dropped:bulk"] == before
    found = numbers(calls)
    assert len(found) > 1000
    assert found == list(range(len(found)))


def _keeping(pid: int) -> Filter:
    """A filter's maps begin anew with it; what they hold comes with it."""
    return Filter(WATCHED.early, WATCHED.late, WATCHED.declarations, {"f_watched": [(struct.pack("<I", pid), b"\1")]})


def test_reloads_leave_nothing_behind(watch: Watch) -> None:
    watch.driver.load([], WATCHED)
    watch.driver.load([], WATCHED)
    before, programs = len(os.listdir("/proc/self/fd")), len(own_programs())
    for _ in range(10):
        watch.driver.load([], WATCHED)
    assert len(os.listdir("/proc/self/fd")) == before
    assert len(own_programs()) == programs
    watch.driver.load(range(1024), WATCHED)


def test_own_processes_are_not_told_of(watch: Watch) -> None:
    watch.add(os.getpid())
    watch.take()
    Path("/nowhere/own").exists()
    assert not [call for call in watch.take() if call.seen and call.seen.pid == os.getpid()]
    child = watch.spawn("import os; os.stat('/')")
    watch.driver.exclude(child.pid)
    watch.take()
    child.communicate("\n", timeout=120)
    assert not [call for call in watch.take() if call.seen and call.seen.pid == child.pid]
    watch.driver.include(os.getpid())
    Path("/nowhere/own").exists()
    assert [call for call in watch.take() if "/nowhere/own" in call.params]
    watch.driver.exclude(os.getpid())


AGENT = """
import time
from ingest.syscalls.ebpf.driver import Driver, DriverOptions
driver = Driver(DriverOptions(mode="full"))
driver.load([])
print(flush=True)
time.sleep(60)
"""


def test_nothing_stays_in_the_kernel_when_the_agent_is_killed() -> None:
    agent = subprocess.Popen([sys.executable, "-c", AGENT], stdout=subprocess.PIPE, text=True)
    assert agent.stdout is not None
    agent.stdout.readline()
    loaded = own_programs(agent.pid)
    assert len(loaded) >= 8
    assert loaded <= set(bpf.program_ids())
    agent.send_signal(signal.SIGKILL)
    agent.communicate()
    assert settles(lambda: not loaded & set(bpf.program_ids()))


def test_a_program_that_reads_at_wrong_places_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    right = loader.kernel_offsets()
    wrong = right | {"OFF_MM_EXE": right["OFF_MM_EXE"] + 8}
    monkeypatch.setattr("ingest.syscalls.ebpf.driver.kernel_offsets", lambda: wrong)
    driver = Driver(DriverOptions(mode="full"))
    try:
        driver.load([])
        with pytest.raises(LoadError, match=r"exe is '/.*', the kernel program says"):
            self_test(driver)
    finally:
        driver.close()


def test_the_self_test_gives_back_what_it_took() -> None:
    driver = Driver(DriverOptions(mode="full"))
    try:
        driver.load([])
        assert sum(len(starts) for _, starts in self_test(driver)) >= 1
    finally:
        driver.close()


def test_c_that_is_wrong_is_told_and_changes_nothing(watch: Watch) -> None:
    with pytest.raises(LoadError, match="cannot be compiled"):
        watch.driver.load([], Filter(early="return nonsense;"))
    assert watch.run("import os; os.getcwd()").one("getcwd")


@needs_tracefs
def test_calls_are_seen_at_their_own_tracepoints() -> None:
    fast = Watch(STATS, DriverOptions(mode="fast"))
    try:
        assert numbers(fast.run(STAT, "20").calls) == list(range(20))
    finally:
        fast.driver.close()


def test_the_program_comes_from_the_cache_the_second_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    source = loader.hooks_source(loader.kernel_offsets(), Filter(early="return v->nr != 0;"), 1, False)
    assert not loader.compiled(source).cached
    again = loader.compiled(source)
    assert again.cached
    monkeypatch.setattr(loader, "find_bcc", lambda: None)
    with pytest.raises(LoadError, match="bcc is not installed"):
        loader.compiled(loader.Source(source.text + " ", source.functions))


@pytest.mark.parametrize("folder", ["lanner/ebpf", "lanner"])
def test_a_cache_that_others_could_write_is_not_trusted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    source = loader.Source("int nothing(void *ctx) { return 0; }", ("nothing",))
    loader.compiled(source)
    assert loader.compiled(source).cached
    (tmp_path / folder).chmod(0o777)
    assert not loader.compiled(source).cached


INSIDE = """
import os, sys
from ingest.syscalls.ebpf.decode import Decoder
from ingest.syscalls.ebpf.driver import Driver, DriverOptions
from ingest.syscalls.ebpf.numbers import NUMBERS
from ingest.syscalls.ebpf.selftest import self_test
assert os.getpid() == 1
driver = Driver(DriverOptions(mode="full", bulk_bytes=32 << 20))
driver.load([NUMBERS["openat"]])
self_test(driver)
try:
    open("/nowhere/own")
except OSError:
    os.spawnv(os.P_WAIT, "/bin/cat", ["cat", "/nowhere/other"])
calls = [call for taken in driver.take() for call, _ in Decoder().decode(*taken)]
paths = {text for call in calls for text in call.params if isinstance(text, str)}
print("/nowhere/own" in paths, "/nowhere/other" in paths)
"""


def test_an_agent_in_a_pid_namespace_knows_itself() -> None:
    command = ["/usr/bin/unshare", "-pf", "--mount-proc", sys.executable, "-c", INSIDE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
