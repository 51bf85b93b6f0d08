"""A system call from the ring that is taken apart when somebody asks: most rules decide by a few of its facts."""

from typing import Any

from ingest.syscalls.call import Call, Descriptor, Seen
from ingest.syscalls.ebpf.descriptors import descriptor, open_flags
from ingest.syscalls.ebpf.header import Header
from ingest.syscalls.ebpf.params import DIRECTORIES, PARAMS
from ingest.syscalls.ebpf.policy import fd_index
from ingest.syscalls.ebpf.record import CWD, PATH, RET, Record
from ingest.syscalls.layouts import layout
from ingest.syscalls.paths import absolute

_OPENS = {"open": 1, "openat": 2, "openat2": 2, "creat": 1, "open_by_handle_at": 3}
_OPEN_FLAGS = {"open": 2, "openat": 3, "openat2": 3, "open_by_handle_at": 2}
_O_DIRECTORY = 1024
_CREAT = 0o1101
_BPF_NEW = frozenset((0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 33))
_UNREAD: Any = object()


class KernelCall(Call):
    """A call whose ``params``, ``fd`` and ``extra`` are read from its record at first use."""

    __slots__ = ("_at", "_batch", "_extra", "_fd", "_head", "_params", "_record")

    def __init__(self, name: str, time_ns: int, head: Header, seen: Seen, batch: bytes, at: int) -> None:
        """Make the call of the record that begins at a place of a batch."""
        self.name = name
        self.time_ns = time_ns
        self.tid = head.tid
        self.cpu = head.cpu
        self._head = head
        self.seen = seen
        self.thread = None
        self.num = 0
        self.table = None
        self._batch, self._at = batch, at
        self._record: Record | None = None
        self._params = self._fd = self._extra = _UNREAD

    @property
    def record(self) -> Record:
        """What the ring held of it."""
        if self._record is None:
            self._record = Record(self._batch, self._at, self._head)
        return self._record

    @property
    def params(self) -> tuple[Any, ...]:
        """As of ``Call``."""
        if self._params is _UNREAD:
            record = self.record
            self._params = tuple([get(record) for get in PARAMS.get(self.name, ())])
        found: tuple[Any, ...] = self._params
        return found

    @params.setter
    def params(self, new: tuple[Any, ...]) -> None:
        self._params = new

    @property
    def extra(self) -> dict[str, Any] | None:
        """As of ``Call``."""
        if self._extra is _UNREAD:
            self._extra = _extra(self.record, self.name)
        found: dict[str, Any] | None = self._extra
        return found

    @extra.setter
    def extra(self, new: dict[str, Any] | None) -> None:
        self._extra = new

    @property
    def fd(self) -> Descriptor | None:
        """As of ``Call``; the kernel's own answer, not that of the tables."""
        if self._fd is _UNREAD:
            if fd_index(self._head.nr) < 0:
                self._fd = None
            else:
                self._fd = _opened(self, self.name) if self.name in _OPENS else _touched(self.record, self.name)
        found: Descriptor | None = self._fd
        return found

    @fd.setter
    def fd(self, new: Descriptor | None) -> None:
        self._fd = new

    @property
    def resolved(self) -> bool:  # type: ignore[override]
        """Whether the kernel was asked for the descriptor."""
        return fd_index(self._head.nr) >= 0


def _extra(record: Record, name: str) -> dict[str, Any] | None:
    """Return the working directory and directories of descriptors, where relative paths needed them."""
    parts = record.parts
    extra: dict[str, Any] = {}
    if PATH + CWD in parts:
        extra["proc.cwd"] = record.path(CWD)
    for index, at in DIRECTORIES.get(name, ()):
        if PATH + index in parts:
            found = layout(name)
            if found is not None:
                extra[found.params[at].name] = record.path(index)
    if PATH + RET in parts:
        extra["fd.realpath"] = record.path(RET)
    return extra or None


def _opened(call: KernelCall, name: str) -> Descriptor | None:
    """Return the descriptor of an open: its name is what was asked for, made absolute by text alone."""
    record, params = call.record, call.params
    path: str | None = params[_OPENS[name]]
    flags = open_flags(record.fd(RET), _CREAT) if name == "creat" else params[_OPEN_FLAGS[name]]
    found = descriptor(record, RET) if record.head.ret >= 0 else None
    if found is None:
        num = record.head.ret if record.head.ret >= 0 else -1
        return Descriptor(num, "f", _lexical(call, path or ""), path or "", flags=flags)
    if path is not None:  # else it could not be read, or there is none: the kernel's own is all there is
        found.name, found.name_raw = _lexical(call, path) or found.name, path
    found.flags, found.name_changed = flags, True
    if name != "creat" and found.typechar in "fd":
        found.typechar = "d" if flags & _O_DIRECTORY else "f"
    return found


def _lexical(call: KernelCall, path: str) -> str:
    """Return a path made absolute; as it is when nobody knows from where."""
    if path.startswith("/"):
        return absolute("", path)
    extra = call.extra or {}
    base = extra.get("dirfd", extra.get("proc.cwd"))
    return absolute("", f"{base}/{path}") if base and path else path


def _touched(record: Record, name: str) -> Descriptor | None:
    """Return the descriptor that a call made or used, None when it has none or nobody knows it."""
    head = record.head
    index = fd_index(head.nr)
    accepts = name in ("accept", "accept4")
    if name == "bpf" and head.arg0 not in _BPF_NEW:
        return None
    if index == RET and head.ret < 0:
        return Descriptor(-1, "4") if accepts else None
    found = descriptor(record, index, "server" if accepts else "client" if name == "connect" else "")
    if found is not None and name == "pidfd_open":
        found.name = f"/proc/{head.arg0 & 0xFFFFFFFF}"
    return found
