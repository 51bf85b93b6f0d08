"""Arguments of a stopped thread's system call as the parts of a record, in the terms of the eBPF driver's policy."""

import os
import socket
import struct
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from ingest.syscalls.ebpf import policy
from ingest.syscalls.ebpf.header import Mark
from ingest.syscalls.ebpf.record import (
    ARGV,
    BYTES,
    CONTROL,
    CWD,
    FD,
    PATH,
    RET,
    SENDER,
    SOCKET,
    TEXT,
    UNIX,
    UNIX_PEER,
)
from ingest.syscalls.ptrace import kernel
from ingest.syscalls.ptrace.facts import Parts, link

SNAPLEN = 80
_AT_FDCWD = 0xFFFFFF9C
_LETTERS = ".tpfdsaoiVvMml2A"
_ENTRY = struct.Struct("<I6sHI")
_FD_PART = struct.Struct("<Q8I")
_SOCKET_PART = struct.Struct("<QQII6H16s16s4x")
_ANONYMOUS_FS, _PID_FS = 0x09041934, 0x50494446
_STREAM_STATES = {True: 10, False: 1}
_MOST_ARGUMENTS = 32
_MOST_ADDRESS = 128
_POLLED, _MOST_POLLED = 8, 15


class Plan(NamedTuple):
    """
    How the arguments of a call are read.

    Attributes:
        letters: One for each argument, as in ``ebpf.policy``.
        makes: Whether the result is a descriptor.
        starts: Whether it starts a program.
        size: Bytes of its structures.
    """

    letters: str
    makes: bool
    starts: bool
    size: int


@cache
def plan(number: int) -> Plan:
    """Return how the arguments of a call are read."""
    flags, kinds, size, _ = _ENTRY.unpack(policy.entry(number, policy.WANTED))
    letters = "".join(_LETTERS[kind] for kind in kinds)
    return Plan(letters, bool(flags & policy.RET_FD), bool(flags & policy.ARGV), size)


def texts(tid: int, number: int, args: tuple[int, ...]) -> Parts:
    """Return the texts that a call is given, and what it closes; read before it, since nobody keeps them afterwards."""
    found: Parts = descriptor(tid, 0, args[0] & 0xFFFFFFFF) if number == _CLOSE else []
    for index, letter in enumerate(plan(number).letters):
        if letter in "tp" and (value := kernel.read_text(tid, args[index])) is not None:
            found.append((TEXT + index, value))
    return found


class Reading(NamedTuple):
    """
    A call that is over, of which arguments are read.

    Attributes:
        tid, pid: The stopped thread and its process.
        number: Of the call, as of 64-bit programs.
        args, result: Its arguments and its result.
        marks: ``Mark.COMPAT`` for one of a 32-bit program.
        texts: What was read before the call.
    """

    tid: int
    pid: int
    number: int
    args: tuple[int, ...]
    result: int
    marks: int
    texts: Parts

    def parts(self) -> Parts:
        """Return all parts of the record."""
        how = plan(self.number)
        found = list(self.texts)
        given = dict(self.texts)
        for index, letter in enumerate(how.letters):
            if letter == "p" and not given.get(TEXT + index, b"").startswith(b"/"):
                found += self._directory(how.letters, index)
            elif letter != "p":
                found += self._argument(letter, index, how.size)
        if how.makes and self.result >= 0:
            found += descriptor(self.pid, RET, self.result)
        if how.starts:
            found += [(ARGV, self._command_line()), (PATH + CWD, link(f"/proc/{self.tid}/cwd"))]
        return found

    def _directory(self, letters: str, index: int) -> Parts:
        """Return the directory that a relative path starts from."""
        number = self.args[index - 1] & 0xFFFFFFFF
        if index and letters[index - 1] == "d" and number != _AT_FDCWD:
            return descriptor(self.pid, index - 1, number)
        return [(PATH + CWD, link(f"/proc/{self.tid}/cwd"))]

    def _argument(self, letter: str, index: int, size: int) -> Parts:
        value, after = self.args[index], self.args[(index + 1) % 6]
        is_done = self.result > 0
        if letter == "f":
            return descriptor(self.pid, index, value & 0xFFFFFFFF)
        if letter in "vmVM":
            limit = self.result if letter in "vm" else SNAPLEN
            read = self._vector if letter in "vV" else self._message
            return read(index, value, limit) if is_done or letter in "VM" else []
        if letter == "2":
            return self._two(index, value) if self.result >= 0 else []
        wanted = {
            "s": size,
            "a": min(after & 0xFFFFFFFF, _MOST_ADDRESS),
            "o": min(after, SNAPLEN),
            "i": min(self.result, SNAPLEN) if is_done else 0,
            "l": min(after & 0xFFFFFFFF, _MOST_POLLED) * _POLLED,
        }.get(letter, 0)
        if letter == "A" and self.result >= 0:
            length = kernel.read(self.tid, after, 4)
            wanted = min(int.from_bytes(length, "little"), _MOST_ADDRESS)
        data = kernel.read(self.tid, value, wanted) if wanted else b""
        return [(BYTES + index, data)] if data else []

    def _word(self) -> int:
        return 4 if self.marks & Mark.COMPAT else 8

    def _words(self, address: int, count: int) -> tuple[int, ...]:
        """Return pointers or sizes that lie in the thread's memory, as wide as its own."""
        width = self._word()
        data = kernel.read(self.tid, address, width * count)
        return struct.unpack_from(f"<{len(data) // width}{'I' if width == 4 else 'Q'}", data)

    def _vector(self, index: int, address: int, limit: int) -> Parts:
        first = self._words(address, 2)
        data = kernel.read(self.tid, first[0], min(first[1], limit, SNAPLEN)) if len(first) == 2 else b""
        return [(BYTES + index, data)] if data else []

    def _message(self, index: int, address: int, limit: int) -> Parts:
        """Return data, address and control data of a message, whose words have the thread's width."""
        words = self._words(address, 6)
        if len(words) < 6:
            return []
        name, name_size, vectors, _, control, control_size = words
        parts = self._vector(index, vectors, limit)
        for key, at, size in (
            (SENDER, name, min(name_size & 0xFFFFFFFF, _MOST_ADDRESS)),
            (CONTROL, control, min(control_size, SNAPLEN)),
        ):
            if at and (data := kernel.read(self.tid, at, size)):
                parts.append((BYTES + (index | key), data))
        return parts

    def _two(self, index: int, address: int) -> Parts:
        data = kernel.read(self.tid, address, 8)
        if len(data) < 8:
            return []
        return [(BYTES + index, data), *descriptor(self.pid, index, int.from_bytes(data[:4], "little"))]

    def _command_line(self) -> bytes:
        """Return the arguments that a program was to be started with, each ended by a NUL."""
        address = self.args[2 if self.number == _EXECVEAT else 1]
        found = []
        for pointer in self._words(address, _MOST_ARGUMENTS):
            text = kernel.read_text(self.tid, pointer, 2048) if pointer else None
            if text is None:
                break
            found.append(text + b"\0")
        return b"".join(found)[:4095]


_CLOSE, _EXECVEAT = 3, 322


def descriptor(pid: int, index: int, number: int) -> Parts:
    """Return what a descriptor of a process is: kind, flags, and path or both ends of a socket."""
    place = f"/proc/{pid}/fd/{number}"
    try:
        about = os.stat(place)
    except OSError:
        return []
    path, magic = _named(link(place))
    flags = _open_flags(pid, number)
    dev = os.major(about.st_dev) << 20 | os.minor(about.st_dev)
    rdev = os.major(about.st_rdev) << 20 | os.minor(about.st_rdev)
    mode = about.st_mode if not magic else 0o600
    parts = [(FD + index, _FD_PART.pack(about.st_ino, number, mode, dev, flags, 0, magic, 0, rdev))]
    if mode & 0xF000 == 0xC000:
        return parts + _socket(pid, index, number)
    return [*parts, (PATH + index, path)]


def _named(target: bytes) -> tuple[bytes, int]:
    """Return the path of an open file as the kernel has it, and the magic number of a file system without paths."""
    if target.startswith(b"anon_inode:"):
        return target[len(b"anon_inode:") :], _ANONYMOUS_FS
    if target.startswith(b"pidfd:"):
        return b"", _PID_FS
    if target.startswith(b"/memfd:"):
        return target[1:].removesuffix(b" (deleted)"), 0
    return target, 0


def _open_flags(pid: int, number: int) -> int:
    try:
        with open(f"/proc/{pid}/fdinfo/{number}", "rb") as file:
            words = file.read(256).partition(b"flags:")[2].split()
    except OSError:
        return 0
    return int(words[0], 8) if words else 0


def _socket(pid: int, index: int, number: int) -> Parts:
    """Return which socket a descriptor is, by a copy of it; nothing when none can be had."""
    try:
        found = socket.socket(fileno=kernel.borrow(pid, number))
    except OSError:
        return []
    with found:
        local, remote = _end(found.getsockname), _end(found.getpeername)
        is_listening = _option(found, socket.SO_ACCEPTCONN)
        info = _SOCKET_PART.pack(
            0,
            0,
            0,
            0,
            found.family & 0xFFFF,
            found.type & 0xF,
            found.proto & 0xFFFF,
            _STREAM_STATES[bool(is_listening)],
            local[1],
            socket.htons(remote[1]),
            local[0],
            remote[0],
        )
        parts = [(SOCKET + index, info)]
        if found.family == socket.AF_UNIX:
            parts += [(UNIX + index, local[0]), (UNIX_PEER + index, remote[0])]
        return parts


def _option(found: socket.socket, option: int) -> int:
    try:
        return found.getsockopt(socket.SOL_SOCKET, option)
    except OSError:
        return 0


def _end(ask: Callable[[], Any]) -> tuple[bytes, int]:
    """Return address and port of one end; of a UNIX socket the path, as bytes."""
    try:
        name = ask()
    except OSError:
        return b"", 0
    if isinstance(name, tuple) and len(name) >= 2 and isinstance(name[0], str) and isinstance(name[1], int):
        family = socket.AF_INET6 if ":" in name[0] else socket.AF_INET
        try:
            return socket.inet_pton(family, name[0].partition("%")[0]), name[1]
        except OSError:
            return b"", 0
    return (name if isinstance(name, bytes) else os.fsencode(name) if isinstance(name, str) else b""), 0
