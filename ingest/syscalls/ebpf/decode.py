"""From bytes of the ring to host events (``Call``), with what the kernel said of the thread and the descriptor."""

import struct
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from ingest.syscalls.call import UNKNOWN, Call, Seen
from ingest.syscalls.ebpf.descriptors import falco_flags
from ingest.syscalls.ebpf.header import Header, Kind, Mark
from ingest.syscalls.ebpf.kernel_call import KernelCall
from ingest.syscalls.ebpf.numbers import EVENTS, NUMBERS
from ingest.syscalls.ebpf.offsets import SUBSYSTEMS
from ingest.syscalls.ebpf.record import (
    ARGV,
    CWD,
    ENV,
    EXE,
    EXEC,
    EXEC_INFO,
    FORK,
    FORK_INFO,
    HEADER,
    NAME,
    ExecInfo,
    ForkInfo,
    Record,
)

_PAGE_KB = 4
_CLONE_PARENT, _CLONE_THREAD, _CLONE_NEWPID = 0x8000, 0x10000, 0x20000000
_CHILD_IN_PIDNS = 536_870_912
_EXEC_NUMBERS = frozenset((NUMBERS["execve"], NUMBERS["execveat"]))
_WANTED = int(Mark.WANTED)


@lru_cache(8192)
def _name(comm: bytes) -> str:
    return comm.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _login(uid: int) -> int:
    return UNKNOWN if uid == 0xFFFFFFFF else uid


class Decoder:
    """
    Makes events of records.

    Attributes:
        damaged: Records that could not be taken apart.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._epoch = self._offset = _since_epoch()

    def decode(self, batch: bytes, starts: Iterable[int]) -> list[tuple[Call, bool]]:
        """Return the events of a batch, each with whether rules may want it (else it only keeps the tables right)."""
        self._offset = _since_epoch()
        found: list[tuple[Call, bool]] = []
        for at in starts:
            try:
                head = Header._make(HEADER.unpack_from(batch, at))
                if head.kind or head.nr in _EXEC_NUMBERS:
                    found += self._process(Record(batch, at, head))
                else:
                    found.append((self._call(head, batch, at), head.marks & _WANTED != 0))
            except (struct.error, LookupError, ValueError):
                self.damaged += 1
        return found

    def _call(self, head: Header, batch: bytes, at: int) -> Call:
        if at + HEADER.size + head.size > len(batch):
            raise struct.error("a record is cut off")
        return KernelCall(EVENTS[head.nr], head.boot_ns + self._offset, head, self._seen(head), batch, at)

    def _process(self, record: Record) -> Iterable[tuple[Call, bool]]:
        """Yield the events about programs and processes."""
        head = record.head
        wanted, kind = head.marks & _WANTED != 0, head.kind
        if kind == Kind.EXEC:
            yield self._executed(record, head), wanted
        elif kind == Kind.FORK:
            yield from ((call, wanted) for call in self._forked(record, head, wanted))
        elif kind == Kind.EXIT:
            yield self._exited(head), wanted
        elif kind == Kind.SYSCALL:
            yield self._not_executed(record, head, EVENTS[head.nr]), wanted
        elif kind == Kind.RENAME and head.arg0 == head.tid:
            renamed = Call("task_rename", (), head.boot_ns + self._offset, head.tid, head.cpu)
            renamed.seen = self._seen(head)._replace(comm=_name(record.parts.get(NAME, b"")))
            yield renamed, False

    def _seen(self, head: Header) -> Seen:
        return Seen(
            head.tgid,
            head.thread_start_boot_ns + self._epoch,
            head.ppid,
            head.euid,
            head.egid,
            _login(head.login_uid),
            _name(head.comm),
            head.vtid,
            head.vpid,
            head.sid,
        )

    def _new(self, name: str, params: tuple[Any, ...], head: Header) -> Call:
        call = Call(name, params, head.boot_ns + self._offset, head.tid, head.cpu)
        call.seen = self._seen(head)
        return call

    # Processes

    def _executed(self, record: Record, head: Header) -> Call:
        info = ExecInfo._make(EXEC.unpack(record.parts[EXEC_INFO]))
        exe, _, args = record.parts.get(ARGV, b"").partition(b"\0")
        params = (
            0,
            exe.decode("utf-8", "surrogateescape"),
            args,
            head.tid,
            head.tgid,
            head.ppid,
            record.path(CWD),
            info.fd_limit,
            info.faults_major,
            info.faults_minor,
            info.total_vm * _PAGE_KB,
            info.rss * _PAGE_KB,
            info.swap * _PAGE_KB,
            _name(head.comm),
            _cgroups(record),
            record.parts.get(ENV, b""),
            info.tty,
            info.vpgid,
            _login(head.login_uid),
            info.flags,
            info.cap_inheritable,
            info.cap_permitted,
            info.cap_effective,
            info.ino,
            info.ctime_s * 1_000_000_000 + info.ctime_ns,
            info.mtime_s * 1_000_000_000 + info.mtime_ns,
            head.euid,
            record.path(EXE),
            info.pgid,
            head.egid,
            _text(record.parts.get(NAME)),
        )
        return self._new(EVENTS[head.nr], params, head)

    def _not_executed(self, record: Record, head: Header, name: str) -> Call:
        """Return a failed exec; what it says of the program is what was asked for."""
        exe, _, args = record.parts.get(ARGV, b"").partition(b"\0")
        path = record.text(0 if name == "execve" else 1)
        known = (head.ret, exe.decode("utf-8", "surrogateescape"), args, head.tid, head.tgid, head.ppid)
        rest: tuple[Any, ...] = (record.path(CWD), *(None,) * 6, _name(head.comm), *(None,) * 4, _login(head.login_uid))
        params = (*known, *rest, *(None,) * 7, head.euid, None, None, head.egid, path)
        return self._new(name, params, head)

    def _forked(self, record: Record, head: Header, wanted: bool) -> Iterable[Call]:
        info = ForkInfo._make(FORK.unpack(record.parts[FORK_INFO]))
        flags = falco_flags("clone_flags", info.flags & 0xFFFFFFFF)
        if info.flags & _CLONE_NEWPID:
            flags |= _CHILD_IN_PIDNS
        name = EVENTS[head.nr]
        if wanted:
            yield self._maker(record, head, info, name, flags)
        ppid = head.ppid if info.flags & (_CLONE_PARENT | _CLONE_THREAD) else head.tgid
        params = self._birth(record, head, info, flags, (0, info.tid, info.tgid, ppid, info.vtid, info.vpid))
        child = self._new(name, params, head)
        child.tid = info.tid
        child.seen = Seen(
            info.tgid,
            info.thread_start + self._epoch,
            ppid,
            head.euid,
            head.egid,
            _login(head.login_uid),
            _name(head.comm),
            info.vtid,
            info.vpid,
            head.sid,
        )
        yield child

    def _maker(self, record: Record, head: Header, info: ForkInfo, name: str, flags: int) -> Call:
        same = info.pidns == head.pidns
        ids = (info.vtid if same else info.tid, head.tid, head.tgid, head.ppid, head.vtid, head.vpid)
        return self._new(name, self._birth(record, head, info, flags, ids), head)

    def _birth(
        self, record: Record, head: Header, info: ForkInfo, flags: int, ids: tuple[int, int, int, int, int, int]
    ) -> tuple[Any, ...]:
        """Return the parameters of clone and its like; ``ids`` are result, tid, pid, ptid, vtid and vpid."""
        return (
            ids[0],
            None,
            None,
            *ids[1:4],
            record.path(CWD),
            info.fd_limit,
            info.faults_major,
            info.faults_minor,
            info.total_vm * _PAGE_KB,
            info.rss * _PAGE_KB,
            info.swap * _PAGE_KB,
            _name(head.comm),
            _cgroups(record) if record.cgroups else None,
            flags,
            head.euid,
            head.egid,
            *ids[4:6],
            info.pidns_start + self._epoch,
        )

    def _exited(self, head: Header) -> Call:
        code = head.arg0
        params = (code, code >> 8 & 0xFF, code & 0x7F, int(bool(code & 0x80)), 0)
        return self._new("procexit", params, head)


def _since_epoch() -> int:
    """Return the nanoseconds between the epoch and the boot."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "surrogateescape")


def _cgroups(record: Record) -> bytes:
    """Return ``subsys=path`` texts, each ended by a NUL."""
    pairs = (f"{SUBSYSTEMS[index]}={path}\0" for index, path in record.cgroup_paths())
    return "".join(pairs).encode("utf-8", "surrogateescape")
