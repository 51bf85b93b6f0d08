"""
Writing a capture file that Falco, sysdig and Stratoshark read.

An exit is written as of today, with all its parameters. Readers of before 2025 look for some of them in an entry, so a
call that had parameters on entry gets one, at the same time; readers of today use the exit alone.
"""

import gzip
import struct
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

from ingest.syscalls.call import Call, Thread
from ingest.syscalls.ebpf.numbers import numbers_of
from ingest.syscalls.interfaces import Interface
from ingest.syscalls.layouts import layout
from ingest.syscalls.lifecycle import BIRTHS
from ingest.syscalls.scap.blocks import BYTE_ORDER, SECTION, Kind
from ingest.syscalls.scap.codes import LARGE_CODES, UNDECODED, call_numbers, codes, numbers
from ingest.syscalls.scap.convert import ZERO
from ingest.syscalls.scap.entries import account_entry, descriptor_entry, interface_entry, thread_entry
from ingest.syscalls.scap.lists import Machine
from ingest.syscalls.scap.values import encode, encode_text
from ingest.syscalls.users import User

_HEADER = struct.Struct("<HQQIHI")
_WITHOUT_ENTRY = frozenset({"open", "openat", "openat2", "creat", "execve", "execveat"})
_COMPLETE = frozenset({"execve", "execveat", "clone", "clone3", "fork", "vfork", *ZERO})
_MOST_IN_BLOCK = 1 << 22
_MAX_VALUE = 0xFFFF


class CaptureWriter:
    """
    A capture file that is being written.

    Attributes:
        written: Events in it.
        unknown: Events that have no form in the file and were left out.
    """

    def __init__(self, file: BinaryIO, compressed: bool = True) -> None:
        """
        Begin the file.

        Args:
            file: Open for writing bytes; the caller closes it, after ``close``.
            compressed: Whether gzip is used, as Falco and sysdig do by request.
        """
        self.written = 0
        self.unknown = 0
        self._gzip = gzip.GzipFile(fileobj=file, mode="wb", compresslevel=6, mtime=0) if compressed else None
        self._out: Any = self._gzip or file
        self._block(SECTION, struct.pack("<IHHq", BYTE_ORDER, 1, 2, -1))

    def machine(self, machine: Machine) -> None:
        """Write what is known of the machine; comes first."""
        name = machine.hostname.encode("utf-8", "surrogateescape")[:127].ljust(128, b"\0")
        facts = struct.pack("<IQQ", machine.cpus, machine.memory, 0xFFFFFFFFFFFFFFFF)
        self._block(Kind.MACHINE, facts + name + struct.pack("<QQQQ", machine.boot_ns, 0, 0, 0))

    def interfaces(self, found: Iterable[Interface]) -> None:
        """Write the addresses of the machine."""
        self._list(Kind.INTERFACES, map(interface_entry, found))

    def accounts(self, users: dict[int, User], groups: dict[int, str]) -> None:
        """Write users and groups by id."""
        entries = [account_entry(uid, user) for uid, user in users.items()]
        self._list(Kind.USERS, [*entries, *(account_entry(gid, name) for gid, name in groups.items())])

    def threads(self, threads: Iterable[Thread]) -> None:
        """Write the threads that are there, and then the descriptors of their processes."""
        threads = list(threads)
        self._list(Kind.PROCESSES, map(thread_entry, threads))
        for thread in threads:
            if thread.descriptors and thread.tid == thread.pid:
                entries = b"".join(map(descriptor_entry, thread.descriptors.values()))
                self._block(Kind.DESCRIPTORS, struct.pack("<Q", thread.tid & 0xFFFFFFFFFFFFFFFF) + entries)

    def call(self, call: Call) -> None:
        """Write a call as an event, or as entry and exit."""
        shape, number = layout(call.name), numbers().get(call.name)
        if shape is None or number is None:
            self._undecoded(call)
            return
        params = _complete(call) if call.name in BIRTHS else call.params
        values = [encode(param.type, value) for param, value in zip(shape.params, params, strict=False)]
        entry = codes()[number - 1] if number % 2 and call.name not in _WITHOUT_ENTRY else None
        if entry is not None and entry.entry:
            given = [values[at] for name in entry.params or () if 0 <= (at := _at(call, name)) < len(values)]
            self._event(call, number - 1, given)
        self._event(call, number, _without_unknown(call.name, values) if number % 2 else values)
        self.written += 1

    def close(self) -> None:
        """End the file; without it a compressed one is cut short."""
        if self._gzip is not None:
            self._gzip.close()

    def _undecoded(self, call: Call) -> None:
        told = _call_numbers(call.name)
        if told is None:
            self.unknown += 1
            return
        self._event(call, UNDECODED, told)
        self._event(call, UNDECODED + 1, told)
        self.written += 1

    def _event(self, call: Call, code: int, values: list[bytes]) -> None:
        wide = code in LARGE_CODES
        if not wide:
            values = [value[:_MAX_VALUE] for value in values]
        sizes = struct.pack(f"<{len(values)}{'I' if wide else 'H'}", *map(len, values))
        body = sizes + b"".join(values)
        size = _HEADER.size - 2 + len(body)
        head = _HEADER.pack(call.cpu & 0xFFFF, call.time_ns, call.tid & 0xFFFFFFFFFFFFFFFF, size, code, len(values))
        self._block(Kind.EVENT_LARGE if len(body) > _MAX_VALUE else Kind.EVENT, head + body)

    def _list(self, kind: int, entries: Iterable[bytes]) -> None:
        for body in _joined(entries):
            self._block(kind, body)

    def _block(self, kind: int, body: bytes) -> None:
        padded = body + b"\0" * (-len(body) % 4)
        length = len(padded) + 12
        self._out.write(struct.pack("<II", kind, length) + padded + struct.pack("<I", length))


def _call_numbers(name: str) -> list[bytes] | None:
    """Return a call's number in captures and the kernel's; of one that sysdig would crash at, the kernel's alone."""
    number = call_numbers().get(name, 0)
    native = next((native for native in numbers_of(name) if native < _MAX_NATIVE), 0)
    if number > _MAX_OF_SYSDIG:
        number = 0
    return [struct.pack("<H", number), struct.pack("<H", native)] if number or native else None


_MAX_OF_SYSDIG, _MAX_NATIVE = 328, 600


def _complete(call: Call) -> tuple[Any, ...]:
    """Return the parameters of a birth; what a driver leaves to the tables (program, directory) is put in."""
    thread, params = call.thread, list(call.params)
    if thread is None or len(params) < _COMM or params[_EXE] is not None:
        return call.params
    params[_EXE], params[_ARGS] = thread.exe, b"".join(encode_text(text) + b"\0" for text in thread.args)
    params[_CWD] = params[_CWD] or thread.cwd
    return tuple(params)


_EXE, _ARGS, _CWD, _COMM = 1, 2, 6, 13


def _at(call: Call, name: str) -> int:
    shape = layout(call.name)
    return shape.position.get({"fd": "oldfd"}.get(name, name) if call.name == "dup" else name, -1) if shape else -1


def _without_unknown(name: str, values: list[bytes]) -> list[bytes]:
    """Leave out empty parameters at the end, as old events had not all: sysdig sees numbers in emptiness."""
    end = len(values)
    while end > 1 and not values[end - 1] and name not in _COMPLETE:
        end -= 1
    return values[:end]


def _joined(entries: Iterable[bytes]) -> Iterator[bytes]:
    """Join entries to bodies of a bounded size."""
    body: list[bytes] = []
    size = 0
    for entry in entries:
        body.append(entry)
        size += len(entry)
        if size >= _MOST_IN_BLOCK:
            yield b"".join(body)
            body, size = [], 0
    if body:
        yield b"".join(body)
