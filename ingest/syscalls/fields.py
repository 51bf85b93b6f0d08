"""
All fields of the host source, and the table the engine sees.

No row has a getter yet: the names, types and arguments are known, so that rules for hosts load and are checked; the
values come with the agent that captures events.
"""

from collections.abc import Iterable

from engine.fields import Field, FieldTable, table
from ingest.syscalls import events
from ingest.syscalls.event_fields import EVENT_FIELDS
from ingest.syscalls.file_fields import FD_FIELDS, PATH_FIELDS
from ingest.syscalls.process_fields import PROCESS_FIELDS, THREAD_FIELDS
from ingest.syscalls.removed_fields import REMOVED_FIELDS
from ingest.syscalls.workload_fields import CONTAINER_FIELDS, KUBERNETES_FIELDS, USER_FIELDS

SOURCE = "syscall"


def syscall_table(common: Iterable[Field]) -> FieldTable:
    """Return the table of the host source, given the rows that all sources share."""
    return table(
        SOURCE,
        common,
        EVENT_FIELDS,
        _raw_arguments(),
        PROCESS_FIELDS,
        THREAD_FIELDS,
        FD_FIELDS,
        PATH_FIELDS,
        USER_FIELDS,
        CONTAINER_FIELDS,
        KUBERNETES_FIELDS,
        REMOVED_FIELDS,
        discriminators=("evt.type",),
        aliases={"syscall.type": "evt.type"},
        doc="System calls and other events of a Linux host.",
    )


def _raw_arguments() -> Iterable[Field]:
    """Rows of ``evt.rawarg.NAME``: one for each parameter, because each has a type of its own."""
    for name, kind in events.PARAMETERS.items():
        doc = f"Raw value of the event's parameter {name}."
        yield Field(f"evt.rawarg.{name}", kind, doc, hidden=True, no_rhs=True, no_transformer=True)
