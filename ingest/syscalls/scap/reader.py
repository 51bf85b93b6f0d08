"""Reading a capture file: the state of the machine before the first event, then calls."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import BinaryIO

from ingest.syscalls.call import Call, Thread
from ingest.syscalls.interfaces import Interface, Interfaces
from ingest.syscalls.scap.blocks import EVENTS, PROCESSES, Block, CaptureError, Kind, read_blocks
from ingest.syscalls.scap.convert import Converter
from ingest.syscalls.scap.events import read_event
from ingest.syscalls.scap.lists import (
    Machine,
    read_accounts,
    read_descriptors,
    read_interfaces,
    read_machine,
    read_processes,
)
from ingest.syscalls.scap.packed import Short
from ingest.syscalls.threads import ThreadTable
from ingest.syscalls.users import User

MAX_LISTS = 1 << 28
"""Bytes of all lists together that are read."""

MAX_THREADS = 1 << 16
"""Threads that are remembered while events are read, or as many as there were at the beginning."""

MAX_KNOWN = 1 << 18
"""Threads, and descriptors of all of them together, that a capture may begin with; likewise accounts and interfaces."""


class Capture:
    """
    An open capture file.

    Attributes:
        machine: Where it was made.
        threads: Those that were there before the first event, by id, with their descriptors.
        users, groups: By id.
        interfaces: Addresses of the machine.
        skipped: Counts of what was not read, by reason.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """
        Read everything before the first event.

        Args:
            stream: The file, open for reading bytes; the caller closes it after the last call.

        Raises:
            CaptureError: It is no capture, or is damaged before the first event.
        """
        self.machine = Machine()
        self.threads: dict[int, Thread] = {}
        self.users: dict[int, User] = {}
        self.groups: dict[int, str] = {}
        self.interfaces: list[Interface] = []
        self._converter = Converter()
        self.skipped: Counter[str] = self._converter.skipped
        self._blocks = read_blocks(stream)
        self._first: Block | None = None
        self._room = MAX_KNOWN
        self._bytes = MAX_LISTS
        for block in self._blocks:
            if block.kind in EVENTS:
                self._first = block
                break
            self._take(block)

    def table(self) -> ThreadTable:
        """Return a table of threads as they were before the first event, with accounts and interfaces."""
        table = ThreadTable(limit=max(MAX_THREADS, len(self.threads)))
        table.interfaces = Interfaces(self.interfaces)
        for uid, user in self.users.items():
            table.accounts.add_user("", uid, user)
        for gid, name in self.groups.items():
            table.accounts.add_group("", gid, name)
        table.fill(self.threads.values())
        return table

    def calls(self) -> Iterator[Call]:
        """
        Yield the calls in the order of the file; ``num`` is their position as Falco counts it.

        Raises:
            CaptureError: The file is damaged or ends early; the calls before stay valid.
        """
        if self._first is not None:
            yield from self._calls(self._first)
        for block in self._blocks:
            if block.kind in EVENTS:
                yield from self._calls(block)
            else:
                self._take(block)

    def _calls(self, block: Block) -> Iterator[Call]:
        event = read_event(block.kind, block.body)
        if event is None:
            self.skipped["damaged-event"] += 1
            return
        call = self._converter.convert(event)
        if call is not None:
            yield call

    def _take(self, block: Block) -> None:
        """Read a list; a damaged one costs what comes after the damage in it."""
        reader = _READERS.get(block.kind)
        if reader is None:
            return
        self._bytes -= len(block.body)
        if self._bytes < 0:
            self.skipped["too-many"] += 1
            return
        try:
            reader(self, block)
        except Short:
            self.skipped["damaged-list"] += 1

    def _machine(self, block: Block) -> None:
        self.machine = read_machine(block.body)

    def _interfaces(self, block: Block) -> None:
        for found in read_interfaces(block.body, block.kind):
            if self._has_room(len(self.interfaces)):
                self.interfaces.append(found)

    def _accounts(self, block: Block) -> None:
        for number, account in read_accounts(block.body, block.kind):
            if not self._has_room(len(self.users) + len(self.groups)):
                return
            if isinstance(account, str):
                self.groups[number] = account
            else:
                self.users[number] = account

    def _processes(self, block: Block) -> None:
        for thread in read_processes(block.body, block.kind):
            if not self._has_room(len(self.threads)):
                return
            self.threads[thread.tid] = thread

    def _descriptors(self, block: Block) -> None:
        tid, found = read_descriptors(block.body, block.kind, self._room)
        self._room -= len(found)
        if self._has_room(MAX_KNOWN - self._room) and tid in self.threads:
            self.threads[tid].descriptors.update((one.num, one) for one in found)

    def _has_room(self, number: int) -> bool:
        """Tell whether one more may be remembered, and count it when not."""
        if number < MAX_KNOWN:
            return True
        self.skipped["too-many"] += 1
        return False


_READERS: dict[int, Callable[[Capture, Block], None]] = {
    Kind.MACHINE: Capture._machine,
    Kind.INTERFACES_OLD: Capture._interfaces,
    Kind.INTERFACES: Capture._interfaces,
    Kind.USERS_OLD: Capture._accounts,
    Kind.USERS: Capture._accounts,
    Kind.DESCRIPTORS_OLD: Capture._descriptors,
    Kind.DESCRIPTORS: Capture._descriptors,
    **dict.fromkeys(PROCESSES, Capture._processes),
}

__all__ = ["Capture", "CaptureError"]
