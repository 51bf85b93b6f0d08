"""Host events of this machine as a source: from the rings through the state engine to batches."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from engine.event import Event
from ingest.base import Batch, Health, SourceError
from ingest.syscalls.call import Call
from ingest.syscalls.ebpf.bpf import BpfError
from ingest.syscalls.ebpf.decode import Decoder
from ingest.syscalls.ebpf.driver import Driver, DriverOptions, ia32_possible
from ingest.syscalls.ebpf.loader import Filter, LoadError
from ingest.syscalls.ebpf.numbers import EVENTS
from ingest.syscalls.ebpf.probe import reasons
from ingest.syscalls.ebpf.selftest import Batches, self_test
from ingest.syscalls.host_event import SOURCE, host_event
from ingest.syscalls.layouts import layout
from ingest.syscalls.lifecycle import BIRTHS, HANDLERS
from ingest.syscalls.state import State

log = logging.getLogger("lanner.syscalls")

_LONGEST_WAIT = 0.04
_MOST_TOGETHER = 500
_COUNT_EVERY = 1.0
_TELL_EVERY = 30.0
_CHANGES = (frozenset(HANDLERS) | BIRTHS | {"task_rename"}) - {"mmap", "mmap2", "munmap", "brk"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What rules may want of the kernel.

    Attributes:
        numbers: Of calls and tracepoints; see ``default_numbers``.
        chosen: Which of their events.
    """

    numbers: frozenset[int]
    chosen: Filter = field(default_factory=Filter)


def default_numbers() -> frozenset[int]:
    """Return the numbers of all events but mere input and output, for rules that name none (spec: fields 7)."""
    rows = ((number, layout(name)) for number, name in EVENTS.items())
    return frozenset(number for number, row in rows if row is None or "ignored" not in row.traits)


class HostSource:
    """
    Live host events as a source; among them ``drop``, at most every 30 seconds, when the kernel had no room for some.

    Attributes:
        name: Instance name.
        event_source: ``syscall``.
        counters: ``events``, ``state_events``, ``records_damaged``; of the kernel ``sent:<ring>``, ``dropped:<ring>``,
            ``limited``, ``truncated``, ``faults``, ``own``, ``io_uring:<opcode>``.
        driver: The driver, from ``start`` on.
        state: Threads of this host.
    """

    event_source = SOURCE

    def __init__(
        self,
        state: State,
        wanted: Wanted,
        options: DriverOptions | None = None,
        name: str = "syscall",
        scan: Callable[[], None] | None = None,
    ) -> None:
        """
        Prepare; nothing is loaded yet.

        Args:
            state: What is known of this host's threads.
            wanted: What rules may want.
            options: How events are taken.
            name: Instance name.
            scan: Reads the threads that exist already into ``state``; called once events are being taken.
        """
        self.name = name
        self.counters: Counter[str] = Counter()
        self.driver: Driver | None = None
        self.state = state
        self._wanted, self._options, self._scan = wanted, options, scan
        self._decoder = Decoder()
        self._early: Batches = []
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self._counted = 0.0
        self._lost_at = -_TELL_EVERY
        self._told = (0, 0)

    async def start(self) -> None:
        """Load and attach. Raises SourceError with the reason when eBPF is not possible here."""
        found = await asyncio.to_thread(reasons)
        if found:
            raise SourceError("; ".join(found))
        try:
            await asyncio.to_thread(self._open)
        except (LoadError, BpfError, OSError) as error:
            if self.driver:
                self.driver.close()
            raise SourceError(f"host events cannot be taken: {error}") from None

    def _open(self) -> None:
        self.driver = Driver(self._options)
        self.driver.load(self._wanted.numbers, self._wanted.chosen)
        self._early = self_test(self.driver)
        if self._scan:
            self._scan()
        log.info("%s takes host events with eBPF (%s)", self.name, self.driver.mode)
        if self.driver.mode == "fast" and ia32_possible():
            log.warning("%s: mode fast does not see the calls of 32-bit programs, which this kernel runs", self.name)
        for hook in self.driver.missing:
            log.warning("%s: this kernel has no tracepoint %s; use of it is not counted", self.name, hook)

    async def reload(self, wanted: Wanted) -> None:
        """Have the kernel send what other rules want. Raises SourceError; what was loaded before goes on then."""
        assert self.driver is not None
        try:
            await asyncio.to_thread(self.driver.load, wanted.numbers, wanted.chosen)
        except (LoadError, BpfError) as error:
            raise SourceError(f"the rules cannot be loaded into the kernel: {error}") from None
        self._wanted = wanted

    def exclude(self, pid: int) -> None:
        """Tell nothing of a process of the agent's own, such as a program that takes alerts."""
        if self.driver:
            self.driver.exclude(pid)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield batches until ``stop``; each must be evaluated before the next is asked for."""
        assert self.driver is not None
        try:
            while not self._stopping.is_set():
                taken = self._early or self.driver.take()
                self._early = []
                if taken:
                    for batch in self._batches(taken):
                        yield batch
                        await asyncio.sleep(0)
                else:
                    await self._wait(self.driver)
                if self._count(self.driver):
                    yield Batch([self._loss()], independent=True)
        finally:
            self.driver.close()
            self._stopped.set()

    def _batches(self, taken: Batches) -> Iterable[Batch]:
        """Yield the events that were taken; what changes the tables begins a new batch."""
        events: list[Event] = []
        for call, wanted in self._calls(taken):
            if events and (len(events) >= _MOST_TOGETHER or call.name in _CHANGES):
                yield Batch(events, independent=True)
                events = []
            self.state.apply(call)
            if wanted:
                events.append(host_event(call))
                self.counters["events"] += 1
            else:
                self.counters["state_events"] += 1
        if events:
            yield Batch(events, independent=True)

    def _calls(self, taken: Batches) -> list[tuple[Call, bool]]:
        """Return events of both rings in the order of time."""
        decoder = self._decoder
        calls = [pair for batch, starts in taken for pair in decoder.decode(batch, starts)]
        if len(taken) > 1:
            calls.sort(key=lambda pair: pair[0].time_ns)
        self.counters["records_damaged"] = decoder.damaged
        return calls

    async def _wait(self, driver: Driver) -> None:
        """Wait until the kernel wakes us, or a little while for the events it does not wake us for."""
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        timer = loop.call_later(_LONGEST_WAIT, wake)
        loop.add_reader(driver.fd, wake)
        try:
            await woken
        finally:
            timer.cancel()
            loop.remove_reader(driver.fd)

    def _count(self, driver: Driver) -> bool:
        """Read the kernel's counters now and then; tell whether a loss is to be told of."""
        now = time.monotonic()
        if now - self._counted < _COUNT_EVERY:
            return False
        self._counted = now
        self.counters.update(driver.counts() - self.counters)
        for opcode, count in driver.io_uring().items():
            self.counters[f"io_uring:{opcode}"] = count
        if self._dropped() > self._told[0] and now - self._lost_at >= _TELL_EVERY:
            self._lost_at = now
            return True
        return False

    def _loss(self) -> Event:
        """Return the event ``drop``: what share of the events since the last one of its kind was lost, in percent."""
        lost, sent = self._dropped(), self.counters["sent:priority"] + self.counters["sent:bulk"]
        more, whole = lost - self._told[0], lost + sent - sum(self._told)
        self._told = (lost, sent)
        log.warning("%s: the kernel had no room for %d of %d events", self.name, more, whole)
        call = Call("drop", (max(1, more * 100 // whole),), time.time_ns(), 0)
        call.table = self.state.table
        return host_event(call)

    def _dropped(self) -> int:
        return self.counters["dropped:priority"] + self.counters["dropped:bulk"]

    async def stop(self, grace: float) -> None:
        """Take no more events; what is loaded leaves the kernel."""
        self._stopping.set()
        try:
            async with asyncio.timeout(grace):
                await self._stopped.wait()
        except TimeoutError:
            if self.driver:
                self.driver.close()

    def health(self) -> Health:
        """Say whether events are taken, and whether some were lost in the last minute."""
        if self.driver is None or self._stopped.is_set():
            return Health(False, "no host events are taken")
        if self._dropped() and time.monotonic() - self._lost_at < 60:
            return Health(True, f"the kernel had no room for events, {self._dropped()} were lost since the start")
        return Health()
