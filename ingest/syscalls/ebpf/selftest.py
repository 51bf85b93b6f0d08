"""Whether what the program tells is true: a process is started, and /proc must say the same of it."""

import os
import subprocess
import time
from pathlib import Path

from ingest.syscalls.call import Call
from ingest.syscalls.ebpf.decode import Decoder
from ingest.syscalls.ebpf.driver import Driver
from ingest.syscalls.ebpf.loader import FIRST_PIDNS, LoadError

_PROGRAMS = ("/bin/cat", "/usr/bin/cat", "/bin/busybox")
_PATIENCE = 15.0

Batches = list[tuple[bytes, list[int]]]


def self_test(driver: Driver) -> Batches:
    """
    Start a process and compare what the driver tells of it; returns what was taken from the rings meanwhile.

    Raises:
        LoadError: Something differs, or nothing was told; events of such a driver would be garbage.
    """
    program = next((each for each in _PROGRAMS if os.access(each, os.X_OK)), None)
    if program is None:
        return []
    with subprocess.Popen([program, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as child:  # noqa: S603
        try:
            taken, call = _wait_for(driver, child.pid)
            wrong = _differences(call, child.pid) if call else ["it was not told of at all"]
        finally:
            child.kill()
    if call:
        driver.exclude(call.params[5])  # this process, by its number in the first pid namespace, which we cannot know
    if wrong:
        raise LoadError(f"the self-test failed, so no event of this kernel can be trusted: {'; '.join(wrong)}")
    return taken


def _wait_for(driver: Driver, pid: int) -> tuple[Batches, Call | None]:
    """Take events until the one of the started program comes; it is known by its pid in its own namespace, too."""
    decoder, taken, found = Decoder(), Batches(), None
    end = time.monotonic() + _PATIENCE
    while found is None and time.monotonic() < end:
        driver.wait(0.02)
        for batch, starts in driver.take():
            taken.append((batch, starts))
            for call, _wanted in decoder.decode(batch, starts):
                if call.name == "execve" and call.params[0] == 0 and _is(call, pid):
                    found = call
    return taken, found


def _is(call: Call, pid: int) -> bool:
    """Tell whether an event is of our child, by its number here or by its parent and executable."""
    if call.tid == pid:
        return True
    return call.params[1] in _PROGRAMS and call.params[2] == b"-\0" and _namespaced()


def _namespaced() -> bool:
    """Tell whether numbers of processes here are not the host's."""
    return os.readlink("/proc/self/ns/pid") != f"pid:[{FIRST_PIDNS}]"


def _differences(call: Call, pid: int) -> list[str]:
    told = _told(call)
    return [
        f"{name} is {found!r}, the kernel program says {told[name]!r}"
        for name, found in _found(pid).items()
        if not _agree(name, found, told[name])
    ]


def _told(call: Call) -> dict[str, object]:
    params = call.params
    groups = dict(pair.partition("=")[::2] for pair in params[14].decode().rstrip("\0").split("\0"))
    return {"pid": params[4], "ppid": params[5], "uid": params[26], "exe": params[27], "cgroup": groups.get("memory")}


def _found(pid: int) -> dict[str, object]:
    """Return the same facts from /proc."""
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text("utf-8").split("\n") if ":\t" in line
    )
    return {
        "pid": pid,
        "ppid": int(status["PPid"]),
        "uid": int(status["Uid"].split()[1]),
        "exe": os.readlink(f"/proc/{pid}/exe"),
        "cgroup": _memory_cgroup(Path(f"/proc/{pid}/cgroup").read_text("utf-8")),
    }


def _memory_cgroup(text: str) -> str | None:
    """Return the path of the memory controller's cgroup, of the only hierarchy where there is one."""
    lines = [line.split(":", 2) for line in text.splitlines()]
    by_controller = {name: path for _, names, path in lines for name in names.split(",")}
    return by_controller.get("memory", by_controller.get("") if len(by_controller) == 1 else None)


def _agree(name: str, found: object, told: object) -> bool:
    """Tell whether facts agree; in namespaces /proc shows other numbers and only the end of a cgroup's path."""
    if name == "cgroup":
        if not isinstance(found, str) or found == "/":
            return True
        return isinstance(told, str) and told.endswith(found.replace("/..", ""))
    if name in ("pid", "ppid", "uid") and _namespaced():
        return True
    return found == told
