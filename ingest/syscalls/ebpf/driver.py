"""The running driver: rings, counters, own processes, the change from one set of rules to the next."""

import os
import select
import struct
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ingest.syscalls.ebpf import bpf
from ingest.syscalls.ebpf.loader import (
    Compiled,
    Filter,
    Loaded,
    LoadError,
    Source,
    compiled,
    hooks_source,
    kernel_offsets,
    load_hooks,
    load_stages,
    stages_source,
)
from ingest.syscalls.ebpf.numbers import COMPAT, NUMBERS, PROCEXIT
from ingest.syscalls.ebpf.policy import entries
from ingest.syscalls.ebpf.ring import Ring

COUNTS = (
    *("sent:priority", "sent:bulk", "dropped:priority", "dropped:bulk", "limited", "truncated", "faults", "own"),
    "tail",
)
"""Names of the kernel's counters by number (``COUNT_*`` in kernel/common.c)."""

_TRACEFS = (Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing"))
_RINGS = ("priority", "bulk")
_KERNEL_NAMES = {
    **{name: f"new{name}" for name in ("stat", "lstat", "fstat", "uname")},
    "sendfile": "sendfile64",
    "umount2": "umount",
}
"""Calls whose tracepoint has the name of the kernel's function."""

_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class DriverOptions:
    """
    How events are taken.

    Attributes:
        mode: ``full`` sees all calls at one place, 32-bit ones too; ``fast`` sees each kind of call at a tracepoint of
            its own, which costs the others less but misses 32-bit calls; ``auto`` is fast where there are none.
        priority_bytes, bulk_bytes: Sizes of the rings, powers of two of at least a page.
        rate: Events a second in the bulk ring that one process may make for long; 0 for any number.
        burst: Events it may make at once.
        snaplen: Bytes of a buffer that are told, 4096 at most.
    """

    mode: str = "auto"
    priority_bytes: int = 4 << 20
    bulk_bytes: int = 8 << 20
    rate: int = 0
    burst: int = 100_000
    snaplen: int = 80


class Driver:
    """
    Events of this host from the kernel.

    Attributes:
        mode: ``full`` or ``fast``, as chosen.
        missing: Hooks this kernel does not have.
        cached: Whether the last set of rules needed no compiling.
    """

    def __init__(self, options: DriverOptions | None = None) -> None:
        self._options = options or DriverOptions()
        self._known: dict[str, int] = {}
        self._stages: Loaded | None = None
        self._rings: dict[str, Ring] = {}
        self._loaded: Loaded | None = None
        self._generation = 0
        self._processors = bpf.processors()
        self._epoll = select.epoll()
        self.mode = _mode(self._options.mode)
        self._fast = self.mode == "fast"
        self.missing: list[str] = []
        self.cached = False

    @property
    def fd(self) -> int:
        """A descriptor that is readable when events wait that should not wait long."""
        return self._epoll.fileno()

    def load(self, wanted: Iterable[int], chosen: Filter | None = None) -> None:
        """
        Have the kernel send what rules may want; whatever was loaded before ends in the same moment, call by call.

        Args:
            wanted: Numbers of the calls and tracepoints that rules name.
            chosen: Which of their events; None for all.

        Raises:
            LoadError: It cannot be compiled or loaded. What was loaded before goes on.
        """
        chosen = chosen or Filter()
        generation = 2 if self._generation == 1 else 1
        hooks, stages = self._compiled(hooks_source(self._offsets(), chosen, generation, self._fast))
        if stages is not None:
            self._begin(stages)
        assert self._stages is not None
        loaded = load_hooks(hooks, self._fast, self._stages.maps)
        try:
            for name, pairs in chosen.contents.items():
                for key, value in pairs:
                    bpf.update(loaded.maps[name], key, value)
            policy = entries(frozenset(wanted), generation)
            self.missing = loaded.attach(self._tracepoints(policy))
        except BaseException:
            loaded.close()
            raise
        self._switch(loaded, policy, generation)
        self.cached = hooks.cached and (stages is None or stages.cached)

    def _offsets(self) -> dict[str, int]:
        if not self._known:
            self._known = kernel_offsets()
        return self._known

    def _compiled(self, hooks: Source) -> tuple[Compiled, Compiled | None]:
        """Return hooks, and for the first time the stages: both are compiled at once, which halves the time."""
        if self._stages is not None:
            return compiled(hooks), None
        stages = stages_source(self._offsets(), min(self._options.snaplen, 4096))
        with ThreadPoolExecutor(1) as other:
            waiting = other.submit(compiled, stages)
            return compiled(hooks), waiting.result()

    def _begin(self, stages: Compiled) -> None:
        """Load what all sets of rules share, and fill its maps."""
        sizes = {"priority": self._options.priority_bytes, "bulk": self._options.bulk_bytes}
        self._stages = load_stages(stages, self._fast, sizes)
        maps = self._stages.maps
        numbers = list(map(_U32.pack, range(len(COMPAT))))
        bpf.update_all(maps["compat_numbers"], numbers, list(map(_U32.pack, COMPAT)))
        for index, value in enumerate((self._options.rate, self._options.burst)):
            bpf.update(maps["settings"], _U32.pack(index), _U64.pack(value))
        self.exclude(os.getpid())
        for name, size in sizes.items():
            ring = self._rings[name] = Ring(maps[name], size)
            self._epoll.register(ring.fd, select.EPOLLIN)

    def _tracepoints(self, policy: dict[int, bytes]) -> list[int]:
        """Return the numbers in tracefs of the calls' own tracepoints; [] when all are seen at one place."""
        if not self._fast:
            return []
        chosen = {number for number, entry in policy.items() if number < PROCEXIT and _U32.unpack_from(entry)[0] & 3}
        folder = _events_folder()
        if folder is None:
            raise LoadError("tracefs is not mounted: mount -t tracefs nodev /sys/kernel/tracing, or use mode full")
        names = (name for name, number in NUMBERS.items() if number in chosen)
        paths = (folder / f"sys_exit_{_KERNEL_NAMES.get(name, name)}" / "id" for name in names)
        return [int(path.read_text("ascii")) for path in paths if path.is_file()]

    def _switch(self, loaded: Loaded, policy: dict[int, bytes], generation: int) -> None:
        """Let the new programs take the events, number by number, then end the old ones."""
        bpf.update_all(self._map("policies"), [_U32.pack(number) for number in policy], list(policy.values()))
        if self._loaded:
            bpf.update(self._map("takes"), _U32.pack(0), bytes(16 * self._processors))
            self._loaded.close()
        self._loaded, self._generation = loaded, generation

    def _map(self, name: str) -> int:
        assert self._stages is not None
        return self._stages.maps[name]

    def put(self, name: str, key: bytes, value: bytes) -> None:
        """Put a value into a map of the filter, at once. Raises BpfError."""
        assert self._loaded is not None
        bpf.update(self._loaded.maps[name], key, value)

    def remove(self, name: str, key: bytes) -> bool:
        """Take a key out of a map of the filter; tell whether it was there."""
        assert self._loaded is not None
        return bpf.delete(self._loaded.maps[name], key)

    def exclude(self, pid: int) -> None:
        """Tell nothing more of a process of the agent's own."""
        bpf.update(self._map("own"), _U32.pack(pid), b"\1")

    def include(self, pid: int) -> None:
        """Take back ``exclude``."""
        bpf.delete(self._map("own"), _U32.pack(pid))

    def wait(self, seconds: float) -> bool:
        """Wait until the kernel says that events wait, or time is over; tell whether any wait."""
        self._epoll.poll(seconds)
        return any(ring.pending() for ring in self._rings.values())

    def take(self) -> list[tuple[bytes, list[int]]]:
        """
        Return batches of both rings and where in them records begin.

        The small ring is read last: no event of the other one then comes before the birth or program it belongs to.
        """
        return [taken for name in reversed(_RINGS) if (taken := self._rings[name].take())[1]]

    def counts(self) -> Counter[str]:
        """Return the kernel's counters: sent and dropped by ring, limited, truncated ..., uses of io_uring."""
        found: Counter[str] = Counter()
        for index, name in enumerate(COUNTS):
            found[name] = self._sum("counts", index)
        return found

    def io_uring(self) -> dict[int, int]:
        """Return how often each operation was asked of io_uring, by opcode; calls made so are not seen as calls."""
        uses = ((opcode, self._sum("io_uring_uses", opcode)) for opcode in range(80))
        return {opcode: count for opcode, count in uses if count}

    def _sum(self, name: str, index: int) -> int:
        values = bpf.lookup(self._map(name), _U32.pack(index), 8 * self._processors)
        return sum(value for (value,) in _U64.iter_unpack(values))

    def close(self) -> None:
        """Detach and free everything."""
        if self._loaded:
            self._loaded.close()
            self._loaded = None
        for ring in self._rings.values():
            ring.close()
        self._rings = {}
        if self._stages:
            self._stages.close()
            self._stages = None
        if not self._epoll.closed:
            self._epoll.close()


def ia32_possible() -> bool:
    """Tell whether this kernel runs 32-bit programs."""
    try:
        arguments = Path("/proc/cmdline").read_text("utf-8").split()
    except OSError:
        arguments = []
    settings = [each.partition("=")[2] for each in arguments if each.startswith("ia32_emulation=")]
    if settings:
        return settings[-1].lower() not in ("0", "off", "false", "n")
    return True


def _mode(asked: str) -> str:
    """Return the way to see calls. Raises LoadError for one that is none."""
    if asked not in ("auto", "full", "fast"):
        raise LoadError(f"no such mode: {asked!r}; there are auto, full and fast")
    if asked == "auto":
        return "full" if ia32_possible() or not _events_folder() else "fast"
    return asked


def _events_folder() -> Path | None:
    return next((base / "events" / "syscalls" for base in _TRACEFS if (base / "events" / "syscalls").is_dir()), None)
