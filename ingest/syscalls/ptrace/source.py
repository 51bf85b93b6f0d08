"""One program, and all that it starts, as a source of host events; it needs no privilege."""

import asyncio
import logging
import platform
import queue
import shutil
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

from engine.event import Event
from engine.ruleset import RuleSet
from ingest.base import Batch, Health, SourceError
from ingest.syscalls.agent import wanted
from ingest.syscalls.ebpf.decode import Decoder
from ingest.syscalls.ebpf.source import default_numbers
from ingest.syscalls.host_event import SOURCE, changes_state, host_event
from ingest.syscalls.proc import live_table
from ingest.syscalls.ptrace.tracer import Tracer
from ingest.syscalls.state import State

log = logging.getLogger("lanner.syscalls")

_MOST_WAITING = 1000
_LONGEST_WAIT = 0.5  # seconds; a thread that waits for good would keep the interpreter from ending


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """
    What is traced.

    Attributes:
        command: The program and its arguments, a list.
    """

    command: tuple[str, ...]


class TraceSource:
    """
    Events of one program; ends when the program and all that it started have ended.

    Attributes:
        name: Instance name.
        event_source: ``syscall``.
        counters: ``events``, ``state_events``, ``records_damaged``.
        status: Exit status of the program, None while it runs.
    """

    event_source = SOURCE

    def __init__(self, options: TraceOptions, name: str = "trace") -> None:
        """
        Prepare; the program is not started yet.

        Raises:
            ValueError: There is no such program.
        """
        if not options.command:
            raise ValueError("command: what is to be run is missing")
        path = shutil.which(options.command[0])
        if path is None:
            raise ValueError(f"command: there is no program {options.command[0]!r} that may be run")
        self.name = name
        self.counters: Counter[str] = Counter()
        self.status: int | None = None
        self._command = (path, list(options.command))
        self._numbers = default_numbers()
        self._state = State(live_table())
        self._decoder = Decoder()
        self._records: queue.Queue[bytes | None] = queue.Queue(_MOST_WAITING)
        self._failure = ""
        self._tracer: Tracer | None = None
        self._thread: threading.Thread | None = None

    async def follow(self, ruleset: RuleSet) -> None:
        """Ask for what these rules want; what is traced stays as it is once the program runs."""
        if self._tracer is None:
            self._numbers = wanted(ruleset, with_filter=False).numbers

    async def start(self) -> None:
        """Start the program. Raises SourceError when nothing can be traced here."""
        if platform.system() != "Linux" or platform.machine() != "x86_64":
            raise SourceError(f"tracing knows Linux on x86-64 only, this is {platform.system()} {platform.machine()}")
        self._tracer = Tracer(self._numbers, self._records.put)
        self._thread = threading.Thread(target=self._run, args=(self._tracer,), name="tracer", daemon=True)
        self._thread.start()

    def _run(self, tracer: Tracer) -> None:
        """Trace to the end; all of it on one thread, as ptrace wants it."""
        path, argv = self._command
        try:
            self.status = tracer.run(path, argv)
            log.info("%s: %s ended with status %d", self.name, path, self.status)
        except OSError as error:
            self._failure = f"{path} cannot be traced: {error.strerror or error}"
            log.error("%s: %s", self.name, self._failure)
        finally:
            self._records.put(None)

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield batches until all has ended; each must be evaluated before the next is asked for."""
        is_over = False
        while not is_over:
            records = await asyncio.to_thread(self._next)
            is_over = bool(records) and records[-1] is None
            for events in self._together([record for record in records if record is not None]):
                yield Batch(events, independent=True)
        if self._failure:
            raise SourceError(self._failure)

    def _next(self) -> list[bytes | None]:
        """Return the records that are there, or that come within a moment; None stands for the end."""
        try:
            records = [self._records.get(timeout=_LONGEST_WAIT)]
        except queue.Empty:
            return []
        while not self._records.empty():
            records.append(self._records.get_nowait())
        return records

    def _together(self, records: list[bytes]) -> Iterator[list[Event]]:
        """Yield events, together as long as none of them changes what is known."""
        events: list[Event] = []
        for record in records:
            for call, is_wanted in self._decoder.decode(record, [0]):
                if events and changes_state(call):
                    yield events
                    events = []
                self._state.apply(call)
                self.counters["events" if is_wanted else "state_events"] += 1
                if is_wanted:
                    events.append(host_event(call))
        self.counters["records_damaged"] = self._decoder.damaged
        if events:
            yield events

    async def stop(self, grace: float) -> None:
        """End the program: with SIGTERM, and with SIGKILL when that is not enough."""
        if self._tracer is None or self._thread is None:
            return
        self._tracer.end(signal.SIGTERM)
        await asyncio.to_thread(self._thread.join, grace)
        if self._thread.is_alive():
            self._tracer.end(signal.SIGKILL)

    def health(self) -> Health:
        """Say whether the program could be traced."""
        return Health(not self._failure, self._failure)
