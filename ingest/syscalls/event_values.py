"""What the fields ``evt.*`` and ``syscall.type`` answer (spec: fields 5.1 to 5.4 and 6.1)."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any

from engine import times
from engine.fields import Getter, Type
from ingest.syscalls import arguments, events, flags
from ingest.syscalls.call import Address, Call, Ends
from ingest.syscalls.host_event import HostEvent
from ingest.syscalls.layouts import layout
from ingest.syscalls.paths import resolved
from ingest.syscalls.words import IO_CATEGORY

O_CREAT, O_TMPFILE, O_F_CREATED = 4, 8192, 16384
MAY_READ, MAY_WRITE = 1, 2
ANY_EXECUTE = 0o111
_SECOND = 1_000_000_000
_MILLISECOND = 1_000_000

NO_CALLS = events.TRACEPOINTS | events.META | {"pluginevent"}
"""Events that are no system calls, so that they have no return value."""

_ALL = [name for name in events.NAMES if (known := layout(name)) is not None]
_TRAITS = {name: known.traits for name in _ALL if (known := layout(name)) is not None}
_CATEGORIES = {name: known.category for name in _ALL if (known := layout(name)) is not None}
_POSITIONS = {name: known.position for name in _ALL if (known := layout(name)) is not None}
READS = frozenset(name for name, traits in _TRAITS.items() if "read" in traits and "data" in _POSITIONS[name])
WRITES = frozenset(name for name, traits in _TRAITS.items() if "write" in traits and "data" in _POSITIONS[name])
_IO_READS = frozenset(name for name, traits in _TRAITS.items() if "read" in traits)
_IO_WRITES = frozenset(name for name, traits in _TRAITS.items() if "write" in traits)
_IO = _IO_READS | _IO_WRITES
_WAITS = frozenset(name for name, traits in _TRAITS.items() if "waits" in traits)
_WITH_RESULT = frozenset(name for name, at in _POSITIONS.items() if at and name not in NO_CALLS)
_DATA_AT = {name: at["data"] for name, at in _POSITIONS.items() if "data" in at and name in _IO}
_WITH_SIZE = frozenset(name for name, category in _CATEGORIES.items() if category.startswith("io_"))
_MEMORY = frozenset(name for name, category in _CATEGORIES.items() if category == "memory")

name_of: Callable[[HostEvent], str] = attrgetter("record.name")


def result(event: HostEvent) -> int | None:
    """Return the result of the call; None for what is no call, or not decoded."""
    call = event.record
    if call.name in _WITH_RESULT and call.params:
        found = call.params[0]
        return found if type(found) is int else None
    return None


def _result_text(event: HostEvent) -> str | None:
    found = result(event)
    if found is None:
        return None
    return "SUCCESS" if found >= 0 else flags.error_name(found)


def _failed(event: HostEvent) -> bool | None:
    found = result(event)
    return None if found is None else found < 0


def _call_name(event: HostEvent) -> str | None:
    name = name_of(event)
    return None if name in NO_CALLS else name


def _is_named(event: HostEvent, name: str) -> int:
    return int(name_of(event) == name)


def _category(event: HostEvent) -> str:
    call = event.record
    if call.extra is not None and "evt.category" in call.extra:
        return str(call.extra["evt.category"])
    category = _CATEGORIES.get(call.name, "other")
    if category.startswith("io_"):
        return IO_CATEGORY.get(call.fd.typechar, "unknown") if call.fd is not None else "unknown"
    return "IPC" if category == "ipc" else category


def _args(event: HostEvent) -> str:
    return arguments.rendered(event.record)


def _arg(event: HostEvent, which: int | str) -> str | None:
    return arguments.argument(event.record, which)


def native_getter(name: str, kind: Type) -> Getter:
    """Return the getter of ``evt.rawarg`` of a parameter, whose field has a type."""
    wanted: type = {Type.STRING: str, Type.BYTES: bytes}.get(kind, int)

    def get(event: HostEvent) -> Any:
        call = event.record
        found = arguments.native(call, name)
        if wanted is bytes and isinstance(found, str | Address | Ends):
            known = layout(call.name)
            assert known is not None
            found = arguments.raw(call, known.params[known.position[name]], found).encode("utf-8", "surrogateescape")
        return found if isinstance(found, wanted) else None

    return get


# Transfers


def _data(event: HostEvent) -> bytes | None:
    call = event.record
    at = _DATA_AT.get(call.name, -1)
    found = call.params[at] if 0 <= at < len(call.params) else None
    return found if isinstance(found, bytes) else None


def _transferred(event: HostEvent) -> int | None:
    call = event.record
    found = result(event) if call.name in _WITH_SIZE and call.fd is not None else None
    return found if found is not None and found >= 0 else None


def _transfer(names: frozenset[str], chars: str) -> Getter:
    def get(event: HostEvent) -> int | None:
        call = event.record
        if call.name not in names or (chars and (call.fd is None or call.fd.typechar not in chars)):
            return None
        return _transferred(event)

    return get


def _direction_of_transfer(event: HostEvent) -> str | None:
    name = name_of(event)
    return "read" if name in _IO_READS else "write" if name in _IO_WRITES else None


def _one_of(names: frozenset[str]) -> Getter:
    return lambda event: event.record.name in names


def _is_syslog(event: HostEvent) -> bool:
    call = event.record
    return call.name in _IO_WRITES and call.fd is not None and "/dev/log" in call.fd.name


# Counts

_OPENS = frozenset({"open", "creat", "openat", "openat2", "open_by_handle_at"})
_CONNECTS = frozenset({"accept", "accept4", "connect"})
_FILES, _NETWORK = "fd", "46u"


def _errors(event: HostEvent) -> int | None:
    found = result(event)
    return None if found is None else int(found < 0)


def _file_errors(event: HostEvent) -> int | None:
    return _errors(event) if _concerns(event, _FILES, _OPENS) else None


def _network_errors(event: HostEvent) -> int | None:
    return _errors(event) if _concerns(event, _NETWORK, _CONNECTS) else None


def _memory_errors(event: HostEvent) -> int | None:
    return _errors(event) if name_of(event) in _MEMORY else None


def _other_errors(event: HostEvent) -> int | None:
    call = event.record
    if _concerns(event, _FILES + _NETWORK, _OPENS | _CONNECTS):
        return None
    return None if call.fd is None and call.name in _MEMORY else _errors(event)


def _concerns(event: HostEvent, chars: str, names: frozenset[str]) -> bool:
    call = event.record
    if call.fd is None or call.fd.num < 0:
        return call.name in names
    return call.fd.typechar in chars


def _direction(event: HostEvent) -> str:
    name = name_of(event)
    return ">" if name in NO_CALLS else "<"


def _is_exit(event: HostEvent) -> int | None:
    return None if name_of(event) in NO_CALLS else 1


def _thread_reports(event: HostEvent) -> int | None:
    return 1 if name_of(event) == "procinfo" else None


def _process_reports(event: HostEvent) -> int | None:
    call = event.record
    return 1 if call.name == "procinfo" and call.thread is not None and call.thread.tid == call.thread.pid else None


# Opens

_FLAGS_AT = {name: _POSITIONS[name]["flags"] for name in ("open", "openat", "openat2", "open_by_handle_at")}
_MODE_AT = {name: _POSITIONS[name]["mode"] for name in ("open", "openat", "openat2", "creat")}


def _param(call: Call, at: int) -> int:
    found = call.params[at] if at < len(call.params) else None
    return found if type(found) is int else 0


def _open_flags(call: Call) -> int:
    at = _FLAGS_AT.get(call.name)
    return 0 if at is None else _param(call, at)


def _opens_for(bit: int) -> Getter:
    def get(event: HostEvent) -> bool:
        call = event.record
        return call.name in _FLAGS_AT and bool(_open_flags(call) & bit)

    return get


def _creates(event: HostEvent) -> bool:
    call = event.record
    found = _open_flags(call)
    # The bit of O_TMPFILE may also stand for O_DIRECTORY, which cannot be opened for writing.
    temporary = found & O_TMPFILE and found & MAY_WRITE and _param(call, 0) >= 0
    return bool(found & O_F_CREATED or temporary)


def _creates_program(event: HostEvent) -> bool:
    call = event.record
    at = _MODE_AT.get(call.name)
    if at is None or not _param(call, at) & ANY_EXECUTE:
        return False
    return call.name == "creat" or bool(_open_flags(call) & (O_CREAT | O_TMPFILE))


# Paths

_ONE_PATH = {
    "openat": ("dirfd", "name"),
    "openat2": ("dirfd", "name"),
    "symlinkat": ("linkdirfd", "linkpath"),
    "unlinkat": ("dirfd", "name"),
    "mkdirat": ("dirfd", "path"),
    "fchmodat": ("dirfd", "filename"),
    "fchownat": ("dirfd", "pathname"),
}
_TWO_PATHS = {
    "renameat": (("olddirfd", "oldpath"), ("newdirfd", "newpath")),
    "renameat2": (("olddirfd", "oldpath"), ("newdirfd", "newpath")),
    "linkat": (("olddir", "oldpath"), ("newdir", "newpath")),
}


def _absolute(event: HostEvent, side: str | None = None) -> str | None:
    call = event.record
    if call.name == "open_by_handle_at" and side is None:
        found = arguments.native(call, "path")
        return found if found and _param(call, 0) > 0 else None
    if call.name in _TWO_PATHS:
        names = _TWO_PATHS[call.name][side == "dst"]
    elif side is None and call.name in _ONE_PATH:
        names = _ONE_PATH[call.name]
    else:
        return None
    path = arguments.native(call, names[1])
    return resolved(call, path, arguments.native(call, names[0]), names[0]) if isinstance(path, str) else None


# Times


class Within(int):
    """A distance that equals every limit it keeps, because ``evt.around[T] = D`` asks whether it is within D."""

    def __eq__(self, limit: object) -> bool:
        return isinstance(limit, int) and int(self) <= int(limit)

    def __ne__(self, limit: object) -> bool:
        return not self == limit

    __hash__ = int.__hash__


def _around(event: HostEvent, moment_ns: int) -> int:
    return Within(-(-abs(event.time_ns - moment_ns) // _MILLISECOND))


def since_previous() -> Callable[[HostEvent], int]:
    """Return a function that gives the time from the event it was asked about before, 0 for the first one."""
    seen: list[Any] = [None, 0, 0]

    def since(event: HostEvent) -> int:
        if seen[0] is not event:
            ns = max(0, event.time_ns - seen[1]) if seen[0] is not None else 0
            seen[:] = [event, event.time_ns, ns]
        return int(seen[2])

    return since


def _counter() -> Getter:
    count = [0]

    def get(_event: HostEvent) -> int:
        count[0] += 1
        return count[0]

    return get


def _zero(_event: HostEvent) -> int:
    return 0


def event_getters() -> dict[str, Getter]:
    """Return what each field of the event answers; call it once for a table, since some count from event to event."""
    since, since_s, since_ns = since_previous(), since_previous(), since_previous()
    return {
        "evt.latency": _zero,
        "evt.latency.s": _zero,
        "evt.latency.ns": _zero,
        "evt.latency.quantized": _zero,
        "evt.latency.human": lambda _event: "0ns",
        "evt.wait_latency": _zero,
        "evt.deltatime": since,
        "evt.deltatime.s": lambda event: since_s(event) // _SECOND,
        "evt.deltatime.ns": lambda event: since_ns(event) % _SECOND,
        "evt.outputtime": lambda event: times.local_time(event.time_ns),
        "evt.dir": _direction,
        "evt.type": name_of,
        "evt.type.is": _is_named,
        "syscall.type": _call_name,
        "evt.category": _category,
        "evt.cpu": attrgetter("record.cpu"),
        "evt.args": _args,
        "evt.info": _args,
        "evt.arg": _arg,
        "evt.buffer": _data,
        "evt.buflen": _transferred,
        "evt.res": _result_text,
        "evt.rawres": result,
        "evt.failed": _failed,
        "evt.is_io": _one_of(_IO),
        "evt.is_io_read": _one_of(_IO_READS),
        "evt.is_io_write": _one_of(_IO_WRITES),
        "evt.io_dir": _direction_of_transfer,
        "evt.is_wait": _one_of(_WAITS),
        "evt.is_syslog": _is_syslog,
        "evt.count": lambda _event: 1,
        "evt.count.error": _errors,
        "evt.count.error.file": _file_errors,
        "evt.count.error.net": _network_errors,
        "evt.count.error.memory": _memory_errors,
        "evt.count.error.other": _other_errors,
        "evt.count.exit": _is_exit,
        "evt.count.procinfo": _process_reports,
        "evt.count.threadinfo": _thread_reports,
        "evt.around": _around,
        "evt.abspath": _absolute,
        "evt.buflen.in": _transfer(_IO_READS, ""),
        "evt.buflen.out": _transfer(_IO_WRITES, ""),
        "evt.buflen.file": _transfer(_IO, "f"),
        "evt.buflen.file.in": _transfer(_IO_READS, "f"),
        "evt.buflen.file.out": _transfer(_IO_WRITES, "f"),
        "evt.buflen.net": _transfer(_IO, "46"),
        "evt.buflen.net.in": _transfer(_IO_READS, "46"),
        "evt.buflen.net.out": _transfer(_IO_WRITES, "46"),
        "evt.is_open_read": _opens_for(MAY_READ),
        "evt.is_open_write": _opens_for(MAY_WRITE),
        "evt.is_open_exec": _creates_program,
        "evt.is_open_create": _creates,
        "util.cnt": _counter(),
    }
