"""What the fields ``fd.*``, ``fdlist.*`` and ``fs.path.*`` answer (spec: fields 6.3 and 6.4)."""

from collections.abc import Callable, Iterable
from typing import Any

from engine.fields import Getter
from ingest.syscalls import arguments
from ingest.syscalls.call import Address, Call, Descriptor
from ingest.syscalls.containers import SHORT
from ingest.syscalls.descriptors import MADE_AT, USED_AT
from ingest.syscalls.host_event import HostEvent
from ingest.syscalls.layouts import layout
from ingest.syscalls.paths import resolved
from ingest.syscalls.sockets import show_ip
from ingest.syscalls.words import TYPES, type_word

_GUESSED = {
    **dict.fromkeys(("open", "openat", "openat2", "creat", "open_by_handle_at"), "f"),
    **dict.fromkeys(("socket", "accept", "accept4"), "4"),
    **dict.fromkeys(("pipe", "pipe2"), "p"),
    **dict.fromkeys(("eventfd", "eventfd2"), "e"),
    **dict.fromkeys(("signalfd", "signalfd4"), "s"),
    **dict.fromkeys(("epoll_create", "epoll_create1"), "l"),
    **dict.fromkeys(("inotify_init", "inotify_init1"), "i"),
    **dict.fromkeys(("socketpair", "userfaultfd"), "u"),
    "timerfd_create": "t",
    "bpf": "b",
    "io_uring_setup": "r",
    "memfd_create": "m",
    "pidfd_open": "P",
}
_NAMING = frozenset({"open", "openat", "openat2", "open_by_handle_at", "creat", "connect", "bind", "accept", "accept4"})
_NAMING |= {"send", "sendto", "sendmsg", "sendmmsg", "recv", "recvfrom", "recvmsg", "recvmmsg"}
_UNSIGNED_MINUS_ONE = 0xFFFFFFFF
_NO_PROTOCOL = "<NA>"
_HAS_ENDS = "46"
_SOCKETS = "46u"


def number(event: HostEvent) -> int | None:
    """Return the number of the descriptor that the event touched; -1 for one that was not made."""
    call = event.record
    if call.fd is not None:
        return call.fd.num
    used, made = USED_AT.get(call.name), MADE_AT.get(call.name)
    at = used if used is not None else made
    if at is None or at >= len(call.params):
        return None
    found = call.params[at]
    if type(found) is not int:
        return None
    if used is None:
        return max(found, -1)
    return -1 if found == _UNSIGNED_MINUS_ONE else found


def _known(fact: Callable[[Descriptor], Any]) -> Getter:
    """Return a getter of a fact of a descriptor that is open."""

    def get(event: HostEvent) -> Any:
        fd = event.record.fd
        return None if fd is None or fd.num < 0 else fact(fd)

    return get


def _character(event: HostEvent) -> str | None:
    call = event.record
    if call.fd is not None:
        return call.fd.typechar
    if call.name not in USED_AT and call.name not in MADE_AT:
        return None
    return _GUESSED.get(call.name, "o")


def _name(event: HostEvent) -> str | None:
    fd = event.record.fd
    return None if fd is None else fd.name


def _raw_name(event: HostEvent) -> str | None:
    fd = event.record.fd
    if fd is None:
        return None
    name = fd.name_raw or (fd.name if fd.typechar in "fd" else "")
    while "//" in name:
        name = name.replace("//", "/")
    return name


def directory_of(fd: Descriptor) -> str | None:
    """Return the directory a file is in, or a directory itself."""
    if fd.typechar == "d":
        return fd.name
    return fd.name.rpartition("/")[0] or "/" if fd.typechar == "f" else None


def _directory(event: HostEvent) -> str | None:
    fd = event.record.fd
    return None if fd is None else directory_of(fd)


def _file_name(fd: Descriptor) -> str | None:
    return fd.name.rpartition("/")[2] if fd.typechar == "f" else None


def _real_path(event: HostEvent) -> str | None:
    call = event.record
    if call.fd is not None and call.fd.real_path:
        return call.fd.real_path
    return call.extra.get("fd.realpath") if call.extra is not None else None


# Ends of sockets


def _client(fd: Descriptor) -> Address | None:
    return fd.ends.source if fd.ends is not None and fd.typechar in _HAS_ENDS else None


def _server(fd: Descriptor) -> Address | None:
    if fd.typechar not in _HAS_ENDS:
        return None
    return fd.ends.destination if fd.ends is not None else fd.address


def _here_and_there(call: Call) -> tuple[Address, Address] | None:
    """Return the end of this machine and the other one."""
    fd = call.fd
    if fd is None or fd.ends is None or fd.typechar not in _HAS_ENDS:
        return None
    client, server = fd.ends.source, fd.ends.destination
    if call.table is None or call.table.interfaces.is_local(client.ip):
        here_is_client = True
    elif call.table.interfaces.is_local(server.ip):
        here_is_client = False
    else:
        here_is_client = fd.server is False
    return (client, server) if here_is_client else (server, client)


def _end(choose: Callable[[Descriptor], Address | None], fact: Callable[[Address], Any]) -> Getter:
    def get(event: HostEvent) -> Any:
        fd = event.record.fd
        found = choose(fd) if fd is not None else None
        return None if found is None else fact(found)

    return get


def _side(which: int, fact: Callable[[Address], Any]) -> Getter:
    def get(event: HostEvent) -> Any:
        found = _here_and_there(event.record)
        return None if found is None else fact(found[which])

    return get


def _either(fact: Callable[[Address], Any]) -> Getter:
    def get(event: HostEvent) -> Any:
        fd = event.record.fd
        if fd is None:
            return None
        found = (fact(end) for end in (_client(fd), _server(fd)) if end is not None)
        return tuple(one for one in found if one is not None) or None

    return get


def _end_name(choose: Callable[[Descriptor], Address | None]) -> Getter:
    def get(event: HostEvent) -> tuple[str, ...] | None:
        call = event.record
        found = choose(call.fd) if call.fd is not None else None
        return None if found is None else _names(call, found)

    return get


def _side_name(which: int) -> Getter:
    def get(event: HostEvent) -> tuple[str, ...] | None:
        found = _here_and_there(event.record)
        return None if found is None else _names(event.record, found[which])

    return get


def _names(call: Call, end: Address) -> tuple[str, ...] | None:
    return (call.table.domains.of(end.ip) or None) if call.table is not None else None


def _ip(end: Address) -> bytes | None:
    return end.ip or None


def _port(end: Address) -> int:
    return end.port


def _port_text(end: Address) -> str:
    return str(end.port)


def _protocol(fd: Descriptor) -> str:
    has_role = fd.typechar in _HAS_ENDS and (fd.ends is not None or fd.address is not None)
    return fd.l4 or _NO_PROTOCOL if has_role else _NO_PROTOCOL


def _family(fd: Descriptor) -> str | None:
    if fd.typechar in _HAS_ENDS:
        return "ip"
    return "unix" if fd.typechar == "u" and not fd.kind else None


def _serves(event: HostEvent) -> bool | None:
    call = event.record
    fd = call.fd
    if fd is None or fd.num < 0:
        return None
    if fd.listening or fd.server:
        return True
    if fd.ends is None or fd.typechar not in _HAS_ENDS or call.table is None:
        return False
    return bool(call.table.interfaces.is_local(fd.ends.destination.ip))


def _name_changed(event: HostEvent) -> bool | None:
    call = event.record
    fd = call.fd
    return None if fd is None or fd.num < 0 else fd.name_changed and call.name in _NAMING


# Identities


def _uid(event: HostEvent) -> str | None:
    found = number(event)
    return None if found is None else f"{event.record.tid}{found}"


def _container(call: Call) -> str:
    return (call.thread.container_id or "")[:SHORT] if call.thread is not None else ""


def _container_name(event: HostEvent) -> str | None:
    name = _name(event)
    return None if name is None else f"{_container(event.record)}:{name}"


def _container_directory(event: HostEvent) -> str | None:
    name = _directory(event)
    return None if name is None else f"{_container(event.record)}:{name}"


def major(dev: int) -> int:
    """Return the major number of an encoded device."""
    return dev >> 8 & 0xFFF


def minor(dev: int) -> int:
    """Return the minor number of an encoded device."""
    return dev & 0xFF | dev >> 12 & 0xFFF00


def _types(event: HostEvent, num: int | None = None) -> list[str] | None:
    call = event.record
    if call.thread is None or number(event) is None:
        return None
    opened = dict(call.thread.descriptors)
    if call.fd is not None and call.fd.num >= 0:
        opened.setdefault(call.fd.num, call.fd)
    chosen = opened.values() if num is None else [opened[num]] if num in opened else ()
    return list(dict.fromkeys(type_word(fd) for fd in chosen if fd.typechar in TYPES)) or None


# Descriptors that are waited for


def _polled(call: Call) -> Iterable[tuple[int, Descriptor | None]]:
    found = arguments.native(call, "fds") if call.name in ("poll", "ppoll") else None
    for num, _ in found or ():
        known = call.table.descriptor(call.thread, num) if call.thread is not None and call.table is not None else None
        yield num, known


def _each_polled(fact: Callable[[int, Descriptor | None], str | None]) -> Getter:
    def get(event: HostEvent) -> str | None:
        found = (fact(num, fd) for num, fd in _polled(event.record))
        return ",".join(text for text in found if text is not None) or None

    return get


def _polled_end(choose: Callable[[Descriptor], Address | None], fact: Callable[[Address], str]) -> Getter:
    def one(_num: int, fd: Descriptor | None) -> str | None:
        end = choose(fd) if fd is not None else None
        return None if end is None else fact(end)

    return _each_polled(one)


def _ip_text(end: Address) -> str:
    return show_ip(end.ip) if end.ip else ""


# Paths of calls

_NAMES = {
    **dict.fromkeys(("mkdir", "rmdir", "unlink", "chown", "lchown"), ("", "path")),
    **dict.fromkeys(("mkdirat",), ("dirfd", "path")),
    **dict.fromkeys(("unlinkat", "openat", "openat2"), ("dirfd", "name")),
    **dict.fromkeys(("open", "umount", "umount2"), ("", "name")),
    "chmod": ("", "filename"),
    "fchmodat": ("dirfd", "filename"),
    "fchownat": ("dirfd", "pathname"),
    "quotactl": ("", "special"),
}
_BY_DESCRIPTOR = frozenset({"fchmod", "fchown"})
_SOURCES = {
    "rename": ("", "oldpath"),
    **dict.fromkeys(("renameat", "renameat2"), ("olddirfd", "oldpath")),
    "link": ("", "newpath"),
    "linkat": ("newdir", "newpath"),
    "symlink": ("", "linkpath"),
    "symlinkat": ("linkdirfd", "linkpath"),
    "mount": (None, "dev"),
}
_TARGETS = {
    "rename": ("", "newpath"),
    **dict.fromkeys(("renameat", "renameat2"), ("newdirfd", "newpath")),
    "link": ("", "oldpath"),
    "linkat": ("olddir", "oldpath"),
    "symlink": (None, "target"),
    "symlinkat": (None, "target"),
    "mount": ("", "dir"),
}
# Parameters that hold the directory ("" for the working directory, None where the text is no path) and the path.


def _path(rows: dict[str, Any], raw: bool) -> Getter:
    def get(event: HostEvent) -> str | None:
        call = event.record
        row = rows.get(call.name)
        if row is None:
            return _path_by_descriptor(call) if rows is _NAMES else None
        if not _succeeded(call):
            return None
        directory, name = row
        path = arguments.native(call, name)
        if not isinstance(path, str) or raw or directory is None:
            return path if isinstance(path, str) else None
        return resolved(call, path, arguments.native(call, directory), directory) if directory else resolved(call, path)

    return get


def _succeeded(call: Call) -> bool:
    known = layout(call.name)
    found = call.params[0] if known is not None and call.params else None
    return isinstance(found, int) and found >= 0


def _path_by_descriptor(call: Call) -> str | None:
    if call.name not in _BY_DESCRIPTOR or not _succeeded(call) or call.fd is None:
        return None
    return call.fd.name


FILE_GETTERS: dict[str, Getter] = {
    "fd.num": number,
    "fd.type": _known(type_word),
    "fd.typechar": _character,
    "fd.name": _name,
    "fd.directory": _directory,
    "fd.filename": _known(_file_name),
    "fd.ip": _either(_ip),
    "fd.cip": _end(_client, _ip),
    "fd.sip": _end(_server, _ip),
    "fd.lip": _side(0, _ip),
    "fd.rip": _side(1, _ip),
    "fd.port": _either(_port),
    "fd.cport": _end(_client, _port),
    "fd.sport": _end(_server, _port),
    "fd.lport": _side(0, _port),
    "fd.rport": _side(1, _port),
    "fd.l4proto": _known(_protocol),
    "fd.sockfamily": _known(_family),
    "fd.is_server": _serves,
    "fd.uid": _uid,
    "fd.containername": _container_name,
    "fd.containerdirectory": _container_directory,
    "fd.proto": _either(_port),
    "fd.cproto": _end(_client, _port_text),
    "fd.sproto": _end(_server, _port_text),
    "fd.lproto": _side(0, _port_text),
    "fd.rproto": _side(1, _port_text),
    "fd.net": _either(_ip),
    "fd.cnet": _end(_client, _ip),
    "fd.snet": _end(_server, _ip),
    "fd.lnet": _side(0, _ip),
    "fd.rnet": _side(1, _ip),
    "fd.connected": _known(lambda fd: fd.connected),
    "fd.name_changed": _name_changed,
    "fd.cip.name": _end_name(_client),
    "fd.sip.name": _end_name(_server),
    "fd.lip.name": _side_name(0),
    "fd.rip.name": _side_name(1),
    "fd.dev": _known(lambda fd: fd.dev),
    "fd.dev.major": _known(lambda fd: major(fd.dev)),
    "fd.dev.minor": _known(lambda fd: minor(fd.dev)),
    "fd.ino": _known(lambda fd: fd.ino),
    "fd.nameraw": _raw_name,
    "fd.types": _types,
    "fd.is_upper_layer": _known(lambda fd: fd.upper_layer),
    "fd.is_lower_layer": _known(lambda fd: fd.lower_layer),
    "fd.realpath": _real_path,
    "fdlist.nums": _each_polled(lambda num, _fd: str(num)),
    "fdlist.names": _each_polled(lambda _num, fd: fd.name if fd is not None else "<NA>"),
    "fdlist.cips": _polled_end(_client, _ip_text),
    "fdlist.sips": _polled_end(_server, _ip_text),
    "fdlist.cports": _polled_end(_client, _port_text),
    "fdlist.sports": _polled_end(_server, _port_text),
    "fs.path.name": _path(_NAMES, raw=False),
    "fs.path.nameraw": _path(_NAMES, raw=True),
    "fs.path.source": _path(_SOURCES, raw=False),
    "fs.path.sourceraw": _path(_SOURCES, raw=True),
    "fs.path.target": _path(_TARGETS, raw=False),
    "fs.path.targetraw": _path(_TARGETS, raw=True),
}
"""What the fields of descriptors and paths answer, by name."""
