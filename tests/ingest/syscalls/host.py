"""A host of which tests make events by hand, one after the other, and what the fields say of them."""

from typing import Any

from engine.common import common_fields
from engine.fields import Arg
from ingest.syscalls.call import Call, Thread
from ingest.syscalls.fields import syscall_table
from ingest.syscalls.host_event import host_event
from ingest.syscalls.layouts import layout
from ingest.syscalls.state import State
from ingest.syscalls.threads import ThreadTable

TABLE = syscall_table(common_fields("h"))
START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000
AT_FDCWD = -100
SHELL = 100
CLONE_THREAD = 8192


class Host:
    """A host with init (1) and a shell (100) below it, whose clock goes on by a millisecond with every event."""

    def __init__(self, table: ThreadTable | None = None) -> None:
        self.state = State(table)
        self.table = self.state.table
        self.now = START
        self.table.fill(
            [
                Thread(1, 1, START - SECOND, comm="systemd", exe="/sbin/init", vtid=1, vpid=1, sid=1, vpgid=1, pgid=1),
                Thread(
                    SHELL,
                    SHELL,
                    START - SECOND,
                    ptid=1,
                    comm="bash",
                    exe="-bash",
                    exe_path="/bin/bash",
                    args=("-l",),
                    cwd="/home/me",
                    env=("HOME=/home/me", "PATH=/bin"),
                    vtid=SHELL,
                    vpid=SHELL,
                    sid=SHELL,
                    vpgid=SHELL,
                    pgid=SHELL,
                ),
            ]
        )

    def call(self, event: str, *values: Any, on: int = SHELL, **named: Any) -> Call:
        """Take in an event whose parameters are given in order or by name; the others are empty."""
        known = layout(event)
        assert known is not None or not (values or named), event
        params = list(values)
        if known is not None and (values or named):
            params += [None] * (len(known.params) - len(values))
            for name, value in named.items():
                params[known.position[name]] = value
        self.now += SECOND // 1000
        return self.state.apply(Call(event, tuple(params), self.now, on))

    def fork(self, tid: int, parent: int = SHELL, flags: int = 0) -> Call:
        """Take in both events of a fork and return the child's."""
        pid = parent if flags & CLONE_THREAD else tid
        self.call("clone", tid, on=parent, tid=parent, pid=parent, ptid=1, flags=flags)
        return self.call("clone", 0, on=tid, tid=tid, pid=pid, ptid=parent, flags=flags)

    def execve(self, tid: int, comm: str, *args: str, **named: Any) -> Call:
        """Take in a successful exec."""
        data = b"".join(arg.encode() + b"\0" for arg in args)
        facts = {"exe": comm, "args": data, "comm": comm, "trusted_exepath": f"/usr/bin/{comm}", **named}
        return self.call("execve", 0, on=tid, **facts)

    def thread(self, tid: int) -> Thread:
        """Return a thread as it is now."""
        found = self.table.get(tid)
        assert found is not None
        return found


def field(call: Call, name: str) -> Any:
    """Return what a field answers of an event; an argument stands in brackets or after a dot."""
    base, bracket, inner = name.partition("[")
    row, arg = TABLE.find(base) or (None, None)
    assert row is not None, name
    given: int | str | None = arg
    if bracket:
        given = int(inner[:-1]) if inner[:-1].isdecimal() else inner[:-1]
    assert row.get is not None, name
    event = host_event(call)
    return row.get(event) if row.arg is Arg.NONE else row.get(event, given)
