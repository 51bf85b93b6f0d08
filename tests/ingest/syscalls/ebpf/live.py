"""Children whose every call is watched through the driver, while the rest of the machine goes on unseen."""

import os
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ingest.syscalls.call import Call
from ingest.syscalls.ebpf import probe
from ingest.syscalls.ebpf.decode import Decoder
from ingest.syscalls.ebpf.driver import Driver, DriverOptions
from ingest.syscalls.ebpf.loader import Filter

PYTHON = "/usr/bin/python3"
REASONS = probe.reasons()
REQUIRED = os.environ.get("LANNER_REQUIRE_EBPF") == "1"
needs_ebpf = [
    pytest.mark.ebpf,
    pytest.mark.skipif(bool(REASONS) and not REQUIRED, reason="; ".join(REASONS) or "eBPF works here"),
]

needs_tracefs = pytest.mark.skipif(
    not Path("/sys/kernel/tracing/events/syscalls").is_dir(), reason="tracefs is not mounted at /sys/kernel/tracing"
)

WATCHED = Filter(
    declarations="BPF_HASH(f_watched, u32, u8, 1024);",
    early="u32 pid = v->tgid; return f_watched.lookup(&pid) != 0;",
)
"""Lets pass what watched processes do; births and new programs come anyway."""

_WAIT = "import sys; print(flush=True); sys.stdin.readline()\n"


class Watch:
    """A driver and the processes it watches."""

    def __init__(self, numbers: Any = range(1024), options: DriverOptions | None = None) -> None:
        assert not REASONS, "; ".join(REASONS)
        self.driver = Driver(options or DriverOptions(mode="full"))
        self.driver.load(numbers, WATCHED)
        self.decoder = Decoder()

    def add(self, pid: int) -> None:
        self.driver.put("f_watched", struct.pack("<I", pid), b"\1")

    def spawn(self, code: str, *args: str, **options: Any) -> "subprocess.Popen[str]":
        """Start a Python program that is watched from its first line on."""
        command = [PYTHON, "-I", "-S", "-c", _WAIT + code, *args]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **options)
        assert child.stdout is not None
        child.stdout.readline()
        self.add(child.pid)
        return child

    def run(self, code: str, *args: str, **options: Any) -> "Seen":
        """Run a Python program to its end; return what it and its descendants did, and what it printed."""
        child = self.spawn(code, *args, **options)
        printed, _ = child.communicate("\n", timeout=120)
        return Seen(child.pid, self.until_exit(child.pid), printed.strip())

    def take(self) -> list[Call]:
        calls = [call for batch, starts in self.driver.take() for call, _ in self.decoder.decode(batch, starts)]
        return sorted(calls, key=lambda call: call.time_ns)

    def until_exit(self, pid: int, seconds: float = 60.0) -> list[Call]:
        """Return what comes until a process ends, and what else is there by then."""
        found: list[Call] = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.driver.wait(0.02)
            found += self.take()
            if any(call.name == "procexit" and call.tid == pid for call in found):
                return found + self.take()
        raise AssertionError(f"process {pid} was not seen to end")


class Seen:
    """What a process and its descendants did."""

    def __init__(self, pid: int, calls: list[Call], printed: str) -> None:
        self.pid, self.printed = pid, printed
        self.family = {pid}
        for call in calls:
            if call.seen and call.seen.ptid in self.family:
                self.family.add(call.seen.pid)
        self.calls = [call for call in calls if call.seen and call.seen.pid in self.family]

    def all(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.name == name]

    def one(self, name: str, text: str = "") -> Call:
        """Return the only event of a name, and of a parameter, where one is given."""
        found = [call for call in self.all(name) if not text or text in call.params]
        assert len(found) == 1, [call.params for call in found] or {call.name for call in self.calls}
        return found[0]


def status(pid: int | str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def own_programs(pid: int | str = "self") -> set[int]:
    """Return the ids of the kernel programs that a process holds; others may load and free some meanwhile."""
    found = set()
    for path in Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            lines = path.read_text("ascii", "replace").splitlines()
        except OSError:
            continue
        found |= {int(line.split()[1]) for line in lines if line.startswith("prog_id:")}
    return found


def settles(holds: Callable[[], bool]) -> bool:
    """Wait for what the kernel frees a moment later."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.02)
    return False
