"""The host agent as a source: the eBPF driver asked for what rules want, and the tables that its events fill."""

from dataclasses import dataclass
from functools import partial
from typing import Literal

from engine.ruleset import RuleSet
from ingest.syscalls.domains import names_in
from ingest.syscalls.ebpf.driver import DriverOptions
from ingest.syscalls.ebpf.loader import Filter
from ingest.syscalls.ebpf.predicate import filter_of, wanted_numbers
from ingest.syscalls.ebpf.source import HostSource, Wanted, default_numbers
from ingest.syscalls.host_event import SOURCE
from ingest.syscalls.proc import live_table, scan
from ingest.syscalls.pushdown import Pushdown, push_down
from ingest.syscalls.runtimes import RuntimeLookups, ask_runtimes
from ingest.syscalls.state import State
from ingest.syscalls.threads import ThreadTable
from ingest.syscalls.users import host_root


@dataclass(frozen=True, slots=True)
class HostOptions:
    """
    What the host agent can be told.

    Attributes:
        mode: Where calls are seen: "full" sees 32-bit ones too, "fast" costs calls that no rule asks for less, "auto"
            is fast where the kernel runs no 32-bit programs.
        filter: Whether the kernel holds back what no rule can match ("kernel"), or sends all events of the types that
            they name ("none").
        priority_bytes: Size of the ring for processes and rare calls, a power of two.
        bulk_bytes: Size of the ring for files and network, a power of two.
        rate: Events a second in the large ring that one process may make for long; 0 for any number.
        burst: Events that it may make at once.
        snaplen: Bytes of a buffer that are told, 4096 at most.
    """

    mode: Literal["auto", "full", "fast"] = "auto"
    filter: Literal["kernel", "none"] = "kernel"
    priority_bytes: int = 4 << 20
    bulk_bytes: int = 8 << 20
    rate: int = 0
    burst: int = 100_000
    snaplen: int = 80


def asked_by(ruleset: RuleSet) -> Pushdown:
    """Return what the enabled rules for hosts ask of the kernel."""
    rules = [rule for rule in ruleset.enabled if rule.source == SOURCE]
    return push_down(rules, ruleset.catalog.tables[SOURCE])


def wanted(ruleset: RuleSet, with_filter: bool = True) -> Wanted:
    """
    Return what rules want of the kernel; rules that name no event type want all but mere input and output.

    Args:
        ruleset: The rules.
        with_filter: Whether the kernel looks at more than the number of a call.
    """
    asked = asked_by(ruleset)
    numbers = wanted_numbers(asked)
    if asked.unbound:
        numbers &= default_numbers()
    return Wanted(numbers, filter_of(asked) if with_filter else Filter())


def _read_threads(table: ThreadTable) -> None:
    scan(table)


class HostAgent(HostSource):
    """
    Live events of this host.

    Raises:
        ValueError: An option makes no sense.
    """

    def __init__(self, options: HostOptions, name: str = SOURCE) -> None:
        for key in ("priority_bytes", "bulk_bytes"):
            size = getattr(options, key)
            if size < 4096 or size & (size - 1):
                raise ValueError(f"{key}: a ring is a power of two of at least 4096 bytes, not {size}")
        table = live_table()
        self._filter = options.filter == "kernel"
        self._lookups = RuntimeLookups(table.containers, ask_runtimes(host_root()))
        driver = DriverOptions(
            options.mode, options.priority_bytes, options.bulk_bytes, options.rate, options.burst, options.snaplen
        )
        super().__init__(State(table), Wanted(frozenset()), driver, name, partial(_read_threads, table))

    async def follow(self, ruleset: RuleSet) -> None:
        """Ask the kernel for what these rules want, now or from the start on. Raises SourceError."""
        want = wanted(ruleset, self._filter)
        self.state.table.domains.want(names_in(ruleset))
        if self.driver is None:
            self._wanted = want
        else:
            await self.reload(want)

    async def start(self) -> None:
        """Load and attach. Raises SourceError with the reason when eBPF is not possible here."""
        await super().start()
        self._lookups.start()
        self.state.table.domains.start()

    async def stop(self, grace: float) -> None:
        """Take no more events; what is loaded leaves the kernel."""
        await super().stop(grace)
        self._lookups.stop()
        self.state.table.domains.stop()
