"""What calls tell of the descriptors of a process, event by event (spec: fields 5.7)."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from ingest.syscalls import sockets
from ingest.syscalls.call import Call, Descriptor, Thread
from ingest.syscalls.layouts import layout, names
from ingest.syscalls.paths import resolved
from ingest.syscalls.threads import ThreadTable

MAX_DESCRIPTORS = 65_536
"""Descriptors of a process that are remembered."""

O_DIRECTORY = 1024
O_CLOEXEC = 4096
UPPER_LAYER = 32768
LOWER_LAYER = 65536
F_DUPFD, F_SETFD, F_DUPFD_CLOEXEC = 1, 3, 26
CLOSE_RANGE_CLOEXEC = 4
_FD_CLOEXEC = 1

Handler = Callable[[ThreadTable, Call, Thread], None]


def value(params: tuple[Any, ...], index: int, default: Any = None) -> Any:
    """Return a parameter; the default when the event has it not, or empty."""
    found = params[index] if index < len(params) else None
    return default if found is None else found


def put(call: Call, thread: Thread, new: Descriptor) -> None:
    """Make a descriptor the one of its number and the one that the call touched."""
    call.fd = new
    if len(thread.descriptors) < MAX_DESCRIPTORS or new.num in thread.descriptors:
        thread.descriptors[new.num] = new


# Files


def opened(table: ThreadTable, call: Call, thread: Thread, at: tuple[int, int, int, int, int]) -> None:
    """Note an open; ``at`` is where path, directory, flags, device and inode are, -1 for nowhere."""
    params = call.params
    path, dirfd, flags = (value(params, index) if index >= 0 else None for index in at[:3])
    num = value(params, 0, -1)
    path = path or ""
    name = resolved(call, path, dirfd) if dirfd is not None else resolved(call, path)
    if num < 0:
        call.fd = Descriptor(-1, "f", name, path, flags=flags or 0)
        return
    new = Descriptor(num, "f", name, path, flags=flags or 0, dev=value(params, at[3], 0), ino=value(params, at[4], 0))
    new.name_changed = True
    if call.name == "creat":
        layers = value(params, 5, 0)
        new.upper_layer, new.lower_layer = bool(layers & 1), bool(layers & 2)
    else:
        new.typechar = "d" if new.flags & O_DIRECTORY else "f"
        new.upper_layer, new.lower_layer = bool(new.flags & UPPER_LAYER), bool(new.flags & LOWER_LAYER)
    put(call, thread, new)


def made(table: ThreadTable, call: Call, thread: Thread, char: str, kind: str = "", flags_at: int = -1) -> None:
    """Note a new descriptor without a name: its number is the first parameter."""
    num = value(call.params, 0, -1)
    if num >= 0:
        flags = value(call.params, flags_at, 0) if flags_at >= 0 else 0
        put(call, thread, Descriptor(num, char, kind=kind, flags=flags & O_CLOEXEC))


def memfd_create(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a file in memory; parameters fd, name, flags."""
    num, name, flags = call.params[:3]
    if num >= 0:
        put(call, thread, Descriptor(num, "m", name or "", name or "", flags=O_CLOEXEC if (flags or 0) & 1 else 0))


def pidfd_open(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a process's descriptor; parameters fd, pid."""
    num, pid = call.params[:2]
    if num >= 0:
        put(call, thread, Descriptor(num, "P", f"/proc/{pid}", flags=O_CLOEXEC))


def pidfd_getfd(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a copy from another process; parameters fd, pid_fd, target_fd."""
    num, pid_fd, target = call.params[:3]
    if num < 0:
        return
    process = thread.descriptors.get(pid_fd)
    pid = process.name.removeprefix("/proc/") if process is not None and process.typechar == "P" else ""
    other = table.get(int(pid)) if pid.isdecimal() else None
    found = other.descriptors.get(target) if other is not None else None
    put(call, thread, replace(found, num=num) if found is not None else Descriptor(num))


_NEW_BY_BPF = frozenset((0, 5, 7, 13, 14, 17, 18, 19, 28, 30, 33))
# Commands whose result is a descriptor: create, load, get, open, link, by id.


def bpf(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a descriptor of a program or map; parameters fd, cmd."""
    num, command = call.params[:2]
    if num >= 0 and command in _NEW_BY_BPF:
        put(call, thread, Descriptor(num, "b", flags=O_CLOEXEC))


def pipe(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note both ends of a pipe; parameters res, fd1, fd2, ino, flags."""
    res, one, other, ino = call.params[:4]
    if res == 0 and one is not None and other is not None:
        flags = value(call.params, 4, 0) & O_CLOEXEC
        for num in (one, other):
            put(call, thread, Descriptor(num, "p", ino=ino or 0, flags=flags))


# Copies and ends


def close(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note that a descriptor is gone; parameters res, fd."""
    res, num = call.params[:2]
    call.fd = thread.descriptors.get(num)
    if res == 0:
        thread.descriptors.pop(num, None)


def close_range(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note that many descriptors are gone; parameters res, first, last, flags."""
    res, first, last = call.params[:3]
    if res != 0 or first is None or last is None:
        return
    chosen = [num for num in thread.descriptors if first <= num <= last]
    for num in chosen:
        if value(call.params, 3, 0) & CLOSE_RANGE_CLOEXEC:
            old = thread.descriptors[num]
            thread.descriptors[num] = replace(old, flags=old.flags | O_CLOEXEC)
        else:
            del thread.descriptors[num]


def duplicated(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a copy: dup(res, oldfd), dup2(res, oldfd, newfd), dup3(res, oldfd, newfd, flags)."""
    flags = O_CLOEXEC if value(call.params, 3, 0) & O_CLOEXEC else 0
    _copy(call, thread, value(call.params, 0, -1), value(call.params, 1, -1), flags)


def _copy(call: Call, thread: Thread, num: int, old_num: int, flags: int) -> None:
    old = thread.descriptors.get(old_num)
    if num < 0:
        call.fd = old
    elif old is None:
        put(call, thread, Descriptor(num, flags=flags))
    else:
        put(call, thread, replace(old, num=num, flags=old.flags & ~O_CLOEXEC | flags))


def fcntl(table: ThreadTable, call: Call, thread: Thread) -> None:
    """Note a copy or a changed flag; parameters res, fd, cmd, arg."""
    num = value(call.params, 1)
    old = call.fd = thread.descriptors.get(num)
    res, command, argument = value(call.params, 0, -1), value(call.params, 2), value(call.params, 3, 0)
    if res < 0 or old is None:
        return
    if command in (F_DUPFD, F_DUPFD_CLOEXEC):
        _copy(call, thread, res, num, O_CLOEXEC if command == F_DUPFD_CLOEXEC else 0)
        call.fd = old
    elif command == F_SETFD:
        flags = O_CLOEXEC if argument & _FD_CLOEXEC else 0
        put(call, thread, replace(old, flags=old.flags & ~O_CLOEXEC | flags))


# Use


def used(table: ThreadTable, call: Call, thread: Thread, at: int) -> None:
    """Tell the descriptor that a call used; ``at`` is where its number is."""
    if at < len(call.params):
        call.fd = thread.descriptors.get(call.params[at])


def numbered(table: ThreadTable, call: Call, thread: Thread, at: tuple[int, ...], then: Handler) -> None:
    """Note what a call did to a descriptor only if its number is known; ``at`` is where such numbers are."""
    if all(call.params[index] is not None for index in at):
        then(table, call, thread)


def transferred(table: ThreadTable, call: Call, thread: Thread, at: int, ends: int, reads: bool) -> None:
    """Note a transfer that tells the ends of its socket."""
    num, res = value(call.params, at), value(call.params, 0, -1)
    call.fd = thread.descriptors.get(num)
    if num is not None and res >= 0:
        sockets.transfer(table, call, thread, num, value(call.params, ends), reads)


def noted(table: ThreadTable, call: Call, _thread: Thread, ends: int, reads: bool) -> None:
    """Note a transfer through a socket that the driver resolved."""
    if value(call.params, 0, -1) >= 0:
        sockets.resolved_transfer(table, call, value(call.params, ends), reads)


def _position(name: str, param: str) -> int:
    found = layout(name)
    assert found is not None
    return found.position[param]


_TRANSFERS = {
    **dict.fromkeys(("recv", "recvfrom", "recvmsg", "recvmmsg"), True),
    **dict.fromkeys(("send", "sendto", "sendmsg", "sendmmsg"), False),
}
# Transfers that may tell the ends of their socket, and whether they read.


def _transfers() -> dict[str, Handler]:
    return {
        name: partial(transferred, at=_position(name, "fd"), ends=_position(name, "tuple"), reads=reads)
        for name, reads in _TRANSFERS.items()
    }


def _uses() -> dict[str, int]:
    """Return where the number of the descriptor is that a call uses or ends."""
    found = {}
    for name in names("syscall"):
        row = layout(name)
        if row is not None and {"uses", "destroys"} & row.traits:
            at = next((index for index, param in enumerate(row.params[1:], 1) if param.type == "fd"), 0)
            found[name] = at
    return found


USED_AT = _uses()
"""Position of the parameter that is the descriptor which a call uses or ends, by event name."""

MADE_AT = {
    name: 2 if name in ("pipe", "pipe2", "socketpair") else 0
    for name in names("syscall")
    if (found := layout(name)) is not None and "creates" in found.traits
}
"""Position of the parameter that is the new descriptor, by event name."""

HANDLERS: dict[str, Handler] = {
    **{name: partial(used, at=at) for name, at in USED_AT.items() if at},
    **_transfers(),
    "open": partial(opened, at=(1, -1, 2, 4, 5)),
    "openat": partial(opened, at=(2, 1, 3, 5, 6)),
    "openat2": partial(opened, at=(2, 1, 3, 6, 7)),
    "open_by_handle_at": partial(opened, at=(3, -1, 2, 4, 5)),
    "creat": partial(opened, at=(1, -1, -1, 3, 4)),
    "eventfd": partial(made, char="e"),
    "eventfd2": partial(made, char="e", flags_at=1),
    "signalfd": partial(made, char="s"),
    "signalfd4": partial(made, char="s", flags_at=1),
    "timerfd_create": partial(made, char="t"),
    "inotify_init": partial(made, char="i"),
    "inotify_init1": partial(made, char="i", flags_at=1),
    "epoll_create": partial(made, char="l"),
    "epoll_create1": partial(made, char="l"),
    "userfaultfd": partial(made, char="u", kind="userfaultfd", flags_at=1),
    "io_uring_setup": partial(made, char="r"),
    "memfd_create": memfd_create,
    "pidfd_open": pidfd_open,
    "pidfd_getfd": pidfd_getfd,
    "bpf": bpf,
    "pipe": pipe,
    "pipe2": pipe,
    "close": close,
    "close_range": close_range,
    "dup": duplicated,
    "dup2": duplicated,
    "dup3": duplicated,
    "fcntl": fcntl,
    "socket": sockets.socket,
    "socketpair": partial(numbered, at=(1, 2), then=sockets.socketpair),
    "bind": partial(numbered, at=(2,), then=sockets.bind),
    "connect": partial(numbered, at=(2,), then=sockets.connect),
    "accept": sockets.accept,
    "accept4": sockets.accept,
    "getsockopt": sockets.getsockopt,
}
"""What an event does to the descriptors of its process, by event name."""

RESOLVED: dict[str, Handler] = {
    name: partial(noted, ends=_position(name, "tuple"), reads=reads) for name, reads in _TRANSFERS.items()
}
"""What an event tells of a descriptor that the driver resolved, by event name."""
