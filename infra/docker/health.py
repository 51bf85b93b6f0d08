#!/usr/bin/env python
"""
Tells whether the service in this container lives: exit status 0 if it does.

Usage: lanner-health [PID]

Its event loop has to turn. A loop that turns sleeps and wakes, and the kernel counts that: Lanner's main thread must
have slept since the last check. Where it listens, a connection wakes it at once; else it wakes by itself for every long
poll and heartbeat of the queue, so there the check needs the count of the one before, which a file keeps.
"""

import os
import socket
import sys
import tempfile
import time
from pathlib import Path

_MEMORY = Path(tempfile.gettempdir()) / "lanner-health"
_LISTENING = "0A"
_PATIENCE = 5.0


def find(proc: Path = Path("/proc")) -> int:
    """Return the process id of ``lanner run``; 0 if there is none."""
    return next((int(entry.name) for entry in proc.glob("[0-9]*") if _is_service(entry)), 0)


def _is_service(entry: Path) -> bool:
    """Tell whether a process is the service itself, not an init process that started it."""
    try:
        program, *words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    before = words[: words.index("run")] if "run" in words else []
    return Path(program).name.startswith("python") and any(Path(word).name == "lanner" for word in before)


def sleeps(pid: int) -> int:
    """Return how often the main thread of a process went to sleep by itself."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "voluntary_ctxt_switches":
            return int(value)
    return 0


def ports(pid: int) -> set[int]:
    """Return the TCP ports a process listens on."""
    sockets = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        if target.startswith("socket:["):
            sockets.add(target[len("socket:[") : -1])
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTENING and fields[9] in sockets:
                found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def wakes(pid: int, port: int) -> bool:
    """Tell whether a process takes a connection and its main thread wakes for it."""
    before, until = sleeps(pid), time.monotonic() + _PATIENCE
    try:
        socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE).close()
    except OSError:
        return False
    while sleeps(pid) == before:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def has_slept(pid: int) -> bool:
    """Tell whether the main thread has slept since the last call for this process."""
    now = f"{pid} {sleeps(pid)}"
    before = _MEMORY.read_text() if _MEMORY.exists() else ""
    _MEMORY.write_text(now)
    return now != before


def main() -> int:
    """Check; return the exit status."""
    pid = int(sys.argv[1]) if len(sys.argv) > 1 else find()
    if not pid:
        print("lanner run does not run")
        return 1
    try:
        listening = ports(pid)
        alive = all(wakes(pid, port) for port in listening) if listening else has_slept(pid)
    except OSError as error:
        print(f"lanner run has ended, or cannot be looked at: {error}")
        return 1
    print("the event loop turns" if alive else "the event loop stands still")
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main())
