"""
The tracer: runs a program and tells every selected system call, birth, exec and end of it and of all that it starts.

It speaks in the records of the eBPF driver, so that one decoder serves both. All of it must run on one thread.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from ingest.syscalls.ebpf.header import Header, Kind, Mark
from ingest.syscalls.ebpf.numbers import COMPAT, NONE, NUMBERS, PROCEXIT, SOCKETCALL, SUBCALLS
from ingest.syscalls.ebpf.policy import STATE_NUMBERS
from ingest.syscalls.ebpf.record import HEADER, NAME, TEXT
from ingest.syscalls.ptrace import arguments, facts, kernel, seccomp

_CHILD = Path(__file__).with_name("child.py")
_BIRTHS = frozenset(NUMBERS[name] for name in ("clone", "clone3", "fork", "vfork"))
_EXECS = frozenset(NUMBERS[name] for name in ("execve", "execveat"))
_CHANGES = STATE_NUMBERS | {
    NUMBERS[name] for name in ("setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "prctl", "unshare")
}
_REAL = 600
_GROUP_STOPS = frozenset((signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU))
_VFORK_FLAGS = 0x4100

Take = Callable[[bytes], None]


class Pending:
    """A call that was entered and is not over."""

    __slots__ = ("args", "marks", "number", "texts")

    def __init__(self, number: int, args: tuple[int, ...], marks: int, texts: facts.Parts) -> None:
        self.number = number
        self.args = args
        self.marks = marks
        self.texts = texts


class Tracer:
    """
    Traces one program and its descendants.

    Attributes:
        root: Process id of the program, 0 before it runs.
        status: Its exit status as a shell tells it, None while it runs.
    """

    def __init__(self, wanted: Iterable[int], take: Take) -> None:
        """
        Prepare.

        Args:
            wanted: Numbers of the calls that rules want; those that keep the thread table right come on top.
            take: Gets each record, one at a time, on the tracer's thread. While it does not return, the thread that
                the record is about stands still.
        """
        self.root = 0
        self.status: int | None = None
        self._wanted = frozenset(wanted)
        self._take = take
        self._pending: dict[int, Pending] = {}
        self._threads: dict[int, facts.Thread] = {}
        self._alive: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def run(self, path: str, argv: list[str]) -> int:
        """
        Run a program to its end, and all that it started.

        Args:
            path: Of the program.
            argv: Its arguments, from argv[0] on.

        Returns:
            Its exit status; 128 and the number of the signal that ended it.

        Raises:
            OSError: It cannot be traced.
        """
        numbers = sorted(number for number in self._wanted | STATE_NUMBERS if number < _REAL)
        program = seccomp.program(numbers).hex()
        command = [sys.executable, "-I", str(_CHILD), program, path, *argv]
        self._process = subprocess.Popen(command)  # noqa: S603 - what the user asks for is run
        self.root = self._process.pid
        self._alive.add(self.root)
        try:
            os.waitpid(self.root, os.WUNTRACED)
            kernel.ptrace(kernel.SEIZE, self.root, 0, kernel.OPTIONS)
            os.kill(self.root, signal.SIGCONT)
            while True:
                try:
                    tid, status = os.waitpid(-1, kernel.ANY_CHILD)
                except ChildProcessError:
                    break
                self._changed(tid, status)
        finally:
            self._process.returncode = self.status if self.status is not None else -signal.SIGKILL
        return self.status if self.status is not None else 128 + signal.SIGKILL

    def end(self, number: int) -> None:
        """Send the program and all that it started a signal; may be called from another thread."""
        for tid in list(self._alive):
            with contextlib.suppress(ProcessLookupError):
                os.kill(tid, number)

    def _changed(self, tid: int, status: int) -> None:
        """Deal with what waitpid told of a thread."""
        if os.WIFSTOPPED(status):
            try:
                request, data = self._stopped(tid, os.WSTOPSIG(status), status >> 16)
                kernel.ptrace(request, tid, 0, data)
            except ProcessLookupError:
                self._pending.pop(tid, None)
        else:
            self._forget(tid)
            if tid == self.root:
                code = os.waitstatus_to_exitcode(status)
                self.status = code if code >= 0 else 128 - code

    def _stopped(self, tid: int, number: int, event: int) -> tuple[int, int]:
        """Deal with a thread that stopped; returns how it goes on: a request of ptrace and a signal."""
        deliver = 0
        if event == kernel.SECCOMP:
            self._entered(tid)
        elif event in (kernel.FORK, kernel.VFORK, kernel.CLONE):
            self._made(tid, kernel.event_message(tid))
        elif event == kernel.EXEC:
            self._started(tid)
        elif event == kernel.EXIT:
            self._ended(tid, kernel.event_message(tid))
        elif event == kernel.STOP:
            if number in _GROUP_STOPS:
                return kernel.LISTEN, 0
        elif number == signal.SIGTRAP | 0x80:
            self._returned(tid)
        else:
            deliver = number
        return (kernel.SYSCALL if tid in self._pending else kernel.CONT), deliver

    # Calls

    def _entered(self, tid: int) -> None:
        arch, number, args = kernel.entered(tid)
        marks = 0
        if arch != kernel.ARCH_X86_64:
            marks, (number, args) = Mark.COMPAT, _of_64_bits(tid, number, args)
        if number in self._wanted or number in STATE_NUMBERS:
            self._pending[tid] = Pending(number, args, marks, arguments.texts(tid, number, args))

    def _returned(self, tid: int) -> None:
        """Tell a call that is over, unless an event told it better."""
        call = self._pending.pop(tid, None)
        result = kernel.result(tid)
        if call is None or result is None:
            return
        if result >= 0 and (call.number in _BIRTHS or call.number in _EXECS):
            return
        if call.number in _CHANGES:
            self._threads.pop(tid, None)
        thread = self._thread(tid)
        reading = arguments.Reading(tid, thread.number("Tgid"), call.number, call.args, result, call.marks, call.texts)
        self._send(thread, tid, Kind.SYSCALL, call.number, reading.parts(), result, call.args, call.marks)

    # Threads

    def _made(self, tid: int, child: int) -> None:
        self._alive.add(child)
        call = self._pending.pop(tid, None)
        if call is None:
            return
        thread = self._thread(tid)
        flags = _clone_flags(tid, call)
        parts = facts.made(thread, tid, self._thread(child), child, flags)
        self._send(thread, tid, Kind.FORK, call.number, parts, child, call.args, call.marks)

    def _started(self, tid: int) -> None:
        former = kernel.event_message(tid)
        call = self._pending.pop(former, None) or self._pending.pop(tid, None)
        if former != tid:
            self._forget(former)
        self._threads.pop(tid, None)
        thread = self._thread(tid)
        parts = facts.started(thread, tid)
        if call is not None:
            at = TEXT + (0 if call.number == NUMBERS["execve"] else 1)
            parts += [(NAME, text) for key, text in call.texts if key == at]
        number = call.number if call is not None else NUMBERS["execve"]
        self._send(thread, tid, Kind.EXEC, number, parts)

    def _ended(self, tid: int, code: int) -> None:
        self._pending.pop(tid, None)
        self._send(self._thread(tid), tid, Kind.EXIT, PROCEXIT, [], 0, (code, 0, 0, 0, 0, 0))
        for child in [other for other, thread in self._threads.items() if thread.number("PPid") == tid]:
            del self._threads[child]

    def _thread(self, tid: int) -> facts.Thread:
        found = self._threads.get(tid)
        if found is None:
            try:
                found = self._threads[tid] = facts.read_thread(tid)
            except (OSError, IndexError, ValueError):
                raise ProcessLookupError from None
        return found

    def _forget(self, tid: int) -> None:
        self._alive.discard(tid)
        self._threads.pop(tid, None)
        self._pending.pop(tid, None)

    def _send(
        self,
        thread: facts.Thread,
        tid: int,
        kind: int,
        number: int,
        parts: facts.Parts,
        result: int = 0,
        args: tuple[int, ...] = (0,) * 6,
        marks: int = 0,
    ) -> None:
        """Hand on a record."""
        body = b"".join(facts.pack_part(key, data) for key, data in parts)[:0xFFFF]
        wanted = Mark.WANTED if number in self._wanted else 0
        fields: dict[str, Any] = facts.header_fields(thread, tid)
        fields |= {f"arg{index}": value for index, value in enumerate(args)}
        fields |= {"boot_ns": time.clock_gettime_ns(time.CLOCK_BOOTTIME), "ret": result, "cgroup_id": 1, "nr": number}
        fields |= {"kind": int(kind), "marks": int(marks | wanted), "cpu": 0, "size": len(body)}
        self._take(HEADER.pack(*(fields[name] for name in Header._fields)) + body)


def _clone_flags(tid: int, call: Pending) -> int:
    """Return the flags that a thread was made with, as the kernel numbers them."""
    if call.number == NUMBERS["clone"]:
        return call.args[0] & 0xFFFFFFFF
    if call.number == NUMBERS["clone3"]:
        return int.from_bytes(kernel.read(tid, call.args[0], 8), "little") & 0xFFFFFFFF
    return _VFORK_FLAGS if call.number == NUMBERS["vfork"] else 0


def _of_64_bits(tid: int, number: int, args: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
    """Return number and arguments of a 32-bit program's call as a 64-bit program would give them."""
    index = number
    if number == SOCKETCALL:
        index = SUBCALLS + (args[0] & 31)
        words = kernel.read(tid, args[1], 24).ljust(24, b"\0")
        args = tuple(int.from_bytes(words[at : at + 4], "little") for at in range(0, 24, 4))
    return (COMPAT[index] if index < len(COMPAT) else NONE), args
