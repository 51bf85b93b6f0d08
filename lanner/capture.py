"""Captures made: events of this host, of one program or of another capture, into a file that Falco and sysdig read."""

import asyncio
import contextlib
import grp
import json
import os
import pwd
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from engine.condition import BadCondition, check_condition
from engine.diagnostics import SourceText
from engine.event import Event
from engine.fields import FieldCatalog
from engine.generate import generate
from engine.load import load_rules
from engine.rulefile import RuleFile
from engine.ruleset import RuleSet
from ingest.base import FollowsRules, Source, SourceError
from ingest.syscalls.call import Descriptor, Thread
from ingest.syscalls.host_event import SOURCE
from ingest.syscalls.proc import Procfs, boot_ns
from ingest.syscalls.scap.blocks import CaptureError
from ingest.syscalls.scap.decode import events_of
from ingest.syscalls.scap.lists import Machine
from ingest.syscalls.scap.reader import Capture
from ingest.syscalls.scap.writer import CaptureWriter
from ingest.syscalls.users import User
from lanner.errors import RulesError, UserError
from lanner.sources import SourceStartError

EVERYTHING = "evt.rawtime > 0"
"""The condition that every event meets."""

_GRACE = 5.0


class _Stoppable(Protocol):
    async def stop(self, grace: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Choice:
    """
    Which events are written.

    Attributes:
        condition: In the rules' language.
        holds: Whether it does, of an event.
        ruleset: One rule of that condition, for sources that ask the kernel for what rules want.
        most: Events after which the capture is complete; 0 for any number.
        seconds: Time after which it is; 0 for any.
    """

    condition: str
    holds: Callable[[Event], object]
    ruleset: RuleSet
    most: int = 0
    seconds: float = 0.0


def choose(condition: str, catalog: FieldCatalog, most: int = 0, seconds: float = 0.0) -> Choice:
    """
    Return a choice of events.

    Args:
        condition: In the rules' language; "" for all events.
        catalog: Fields of the host source.
        most: As in ``Choice``.
        seconds: As in ``Choice``.

    Raises:
        RulesError: The condition is wrong.
    """
    condition = condition or EVERYTHING
    text = SourceText(condition, (0,), (("filter", 1, 1),))
    try:
        checked = check_condition(text, SOURCE, catalog)
    except BadCondition as problem:
        raise RulesError(problem.report, {"filter": condition}) from None
    rule = {"rule": "filter", "desc": "d", "condition": condition, "output": "o", "priority": "INFO"}
    ruleset = load_rules([RuleFile("filter", json.dumps([rule]))], catalog).ruleset
    assert ruleset is not None
    return Choice(condition, generate([(True, checked)]).call, ruleset, most, seconds)


@dataclass(slots=True)
class Made:
    """
    How a capture went.

    Attributes:
        written: Events in it.
        lost: What is missing and why, one line each.
    """

    written: int = 0
    lost: list[str] = field(default_factory=list)


@contextlib.contextmanager
def writing(path: str) -> Iterator[CaptureWriter]:
    """
    Open a capture file for writing; nobody but its owner may read it, since it holds what programs read and wrote.

    Raises:
        UserError: It cannot be written.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            writer = CaptureWriter(file)
            try:
                yield writer
            finally:
                writer.close()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def copy(stream: BinaryIO, writer: CaptureWriter, choice: Choice) -> Made:
    """
    Write the chosen events of another capture, with the machine, processes and accounts that it began with.

    Raises:
        UserError: The other capture cannot be read at all.
    """
    try:
        capture = Capture(stream)
    except CaptureError as error:
        raise UserError(f"the capture cannot be read: {error}") from None
    writer.machine(capture.machine)
    writer.interfaces(capture.interfaces)
    writer.accounts(capture.users, capture.groups)
    writer.threads(capture.threads.values())
    made = Made()
    try:
        for decoded in events_of(capture):
            if any(_write(event, writer, choice) for event in decoded.events):
                break
    except CaptureError as error:
        made.lost.append(f"the capture cannot be read to its end: {error}")
    made.lost += [f"{count} times: {reason}" for reason, count in capture.skipped.items()]
    return _made(made, writer)


def _write(event: Event, writer: CaptureWriter, choice: Choice) -> bool:
    """Write an event if it is chosen; returns whether the capture is complete."""
    if choice.holds(event):
        writer.call(event.record)  # type: ignore[arg-type]
    return bool(choice.most) and writer.written >= choice.most


def _made(made: Made, writer: CaptureWriter) -> Made:
    made.written = writer.written
    if writer.unknown:
        made.lost.append(f"{writer.unknown} events have no form in a capture file")
    return made


async def record(source: Source, writer: CaptureWriter, choice: Choice) -> Made:
    """
    Write the chosen events of a live source, until it ends, enough is written, time is over or a signal comes.

    Raises:
        SourceStartError: The source cannot start, or failed.
    """
    try:
        if isinstance(source, FollowsRules):
            await source.follow(choice.ruleset)
        await source.start()
        _begin(writer)
        with _stopped_by_signals(source, choice.seconds):
            await _record(source, writer, choice)
    except SourceError as error:
        raise SourceStartError(f"source {source.name}: {error}") from None
    lost = [
        f"{count} events: {name}" for name, count in source.counters.items() if count and name.startswith("dropped:")
    ]
    return _made(Made(lost=lost), writer)


async def _record(source: Source, writer: CaptureWriter, choice: Choice) -> None:
    stopping: asyncio.Task[None] | None = None
    async for batch in source.batches():
        if stopping is None and any(_write(event, writer, choice) for event in batch.events):
            stopping = asyncio.create_task(source.stop(_GRACE))
    if stopping:
        await stopping


@contextlib.contextmanager
def _stopped_by_signals(source: _Stoppable, seconds: float) -> Iterator[None]:
    """Stop a source at a signal or after some time, so that what is written is complete."""
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[None]] = []

    def stop() -> None:
        tasks.append(loop.create_task(source.stop(_GRACE)))

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    timer = loop.call_later(seconds, stop) if seconds else None
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        if timer:
            timer.cancel()


def _begin(writer: CaptureWriter) -> None:
    """Write what this machine is, who has accounts, and what runs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    writer.machine(Machine(os.cpu_count() or 1, memory, os.uname().nodename, boot_ns()))
    users = {row.pw_uid: User(row.pw_name, row.pw_dir, row.pw_shell) for row in pwd.getpwall()}
    writer.accounts(users, {row.gr_gid: row.gr_name for row in grp.getgrall()})
    writer.threads(_running(Procfs()))


def _running(procfs: Procfs) -> Iterator[Thread]:
    """Yield the threads that run, with the descriptors of their processes."""
    for thread in procfs.processes():
        if thread.tid == thread.pid:
            thread.descriptors = {one.num: one for one in _open(procfs, thread.pid)}
        yield thread


def _open(procfs: Procfs, pid: int) -> Iterator[Descriptor]:
    try:
        numbers = [int(name) for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return
    for number in numbers:
        found = procfs.descriptor(pid, number)
        if found is not None:
            yield found
