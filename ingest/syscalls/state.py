"""
The state engine: takes in host events one by one and tells each the thread and the descriptor it is about.

Drivers that resolve descriptors in the kernel hand them in with the call; those are taken as they are.
"""

from collections.abc import Callable

from ingest.syscalls import descriptors, lifecycle
from ingest.syscalls.call import Call, Thread
from ingest.syscalls.containers import read_note
from ingest.syscalls.descriptors import value
from ingest.syscalls.events import META
from ingest.syscalls.threads import ThreadTable
from ingest.syscalls.users import User

Handler = Callable[[ThreadTable, Call, Thread], None]


class State:
    """What is known of a host, brought up to date by every event."""

    def __init__(self, table: ThreadTable | None = None) -> None:
        """Start with what a table knows, or with nothing."""
        self.table = ThreadTable() if table is None else table

    def apply(self, call: Call) -> Call:
        """Bring the tables up to date with an event and set its ``thread``, ``fd`` and ``table``; returns the call."""
        table = call.table = self.table
        table.advance(call.time_ns)
        name = call.name
        if name in lifecycle.BIRTHS:
            thread = call.thread = _maker(table, call)
            lifecycle.born(table, call, thread)
            return call
        thread = call.thread = table.of_call(call)
        if name in lifecycle.EXECS:
            lifecycle.executed(table, call, thread)
            return call
        if thread is None:
            if name in _NOTES:
                _NOTES[name](table, call)
            if name in META or table.is_live:
                return call
            thread = call.thread = table.put(lifecycle.stranger(call))
        handler = (_RESOLVED if call.resolved or call.fd is not None else _DESCRIPTORS).get(name)
        if handler is not None and call.params and call.params[0] is not None:
            handler(table, call, thread)
        handler = _THREADS.get(name)
        if handler is not None:
            handler(table, call, thread)
        elif name in _NOTES:
            _NOTES[name](table, call)
        return call


_DESCRIPTORS = descriptors.HANDLERS
_RESOLVED = descriptors.RESOLVED
_THREADS = lifecycle.HANDLERS


def _maker(table: ThreadTable, call: Call) -> Thread | None:
    """Return the thread of a birth; on the side of the child it is made, not looked up."""
    return table.get(call.tid) if value(call.params, 0) == 0 else table.of_call(call)


# Notes of user space, as captures hold them


def _container(table: ThreadTable, call: Call) -> None:
    found = read_note(value(call.params, 0, ""))
    if found is not None:
        table.containers.put(found)


def _user_added(table: ThreadTable, call: Call) -> None:
    uid, _, name, home, shell, container = (value(call.params, at, "") for at in range(6))
    table.accounts.add_user(container, uid, User(name, home, shell))


def _user_deleted(table: ThreadTable, call: Call) -> None:
    table.accounts.remove_user(value(call.params, 5, ""), value(call.params, 0, -1))


def _group_added(table: ThreadTable, call: Call) -> None:
    gid, name, container = (value(call.params, at, "") for at in range(3))
    table.accounts.add_group(container, gid, name)


def _group_deleted(table: ThreadTable, call: Call) -> None:
    table.accounts.remove_group(value(call.params, 2, ""), value(call.params, 0, -1))


_NOTES: dict[str, Callable[[ThreadTable, Call], None]] = {
    "container": _container,
    "useradded": _user_added,
    "userdeleted": _user_deleted,
    "groupadded": _group_added,
    "groupdeleted": _group_deleted,
}
