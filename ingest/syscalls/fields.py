"""All fields of the host source with the functions that answer them, and the table the engine sees."""

from collections.abc import Iterable
from dataclasses import replace

from engine.event import Event
from engine.fields import Field, FieldTable, Match, Type, table
from ingest.kubernetes.cluster import HERE
from ingest.syscalls import events
from ingest.syscalls.event_fields import EVENT_FIELDS
from ingest.syscalls.event_values import event_getters, native_getter
from ingest.syscalls.file_fields import FD_FIELDS, PATH_FIELDS
from ingest.syscalls.file_values import FILE_GETTERS
from ingest.syscalls.host_event import SOURCE
from ingest.syscalls.pods import pod_fields, pod_getters, retired_getters
from ingest.syscalls.process_fields import PROCESS_FIELDS, THREAD_FIELDS
from ingest.syscalls.process_values import PROCESS_GETTERS, shown_ancestors
from ingest.syscalls.removed_fields import REMOVED_FIELDS
from ingest.syscalls.workload_fields import CONTAINER_FIELDS, KUBERNETES_FIELDS, USER_FIELDS
from ingest.syscalls.workload_values import WORKLOAD_GETTERS


def syscall_table(common: Iterable[Field]) -> FieldTable:
    """Return the table of the host source, given the rows that all sources share."""
    rows = [*EVENT_FIELDS, *PROCESS_FIELDS, *THREAD_FIELDS, *FD_FIELDS, *PATH_FIELDS]
    rows += [*USER_FIELDS, *CONTAINER_FIELDS, *KUBERNETES_FIELDS]
    return table(
        SOURCE,
        _numbered(common),
        _answered(rows),
        _raw_arguments(),
        pod_fields(HERE),
        REMOVED_FIELDS,
        discriminators=("evt.type",),
        aliases={"syscall.type": "evt.type"},
        doc="System calls and other events of a Linux host.",
    )


def _numbered(common: Iterable[Field]) -> Iterable[Field]:
    """Return the rows that all sources share; an event of a capture has the number that Falco gives it there."""
    return (replace(row, get=_number) if row.name == "evt.num" else row for row in common)


def _number(event: Event) -> int:
    return getattr(event.record, "num", 0) or event.num


def _answered(rows: Iterable[Field]) -> Iterable[Field]:
    getters = {**event_getters(), **PROCESS_GETTERS, **FILE_GETTERS, **WORKLOAD_GETTERS}
    getters |= retired_getters(HERE) | pod_getters(HERE, WORKLOAD_GETTERS)
    for row in rows:
        display = shown_ancestors if row.match is Match.ANY and row.type is Type.STRING else row.display
        yield replace(row, get=getters[row.name], display=display) if row.name in getters else row


def _raw_arguments() -> Iterable[Field]:
    """Rows of ``evt.rawarg.NAME``: one for each parameter, because each has a type of its own."""
    for name, kind in events.PARAMETERS.items():
        doc = f"Raw value of the event's parameter {name}."
        get = native_getter(name, kind)
        yield Field(f"evt.rawarg.{name}", kind, doc, get, hidden=True, no_rhs=True, no_transformer=True)
