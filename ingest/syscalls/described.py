"""
Host events from a description, for tests of rules and for trying conditions out.

A description says what matters and leaves the rest to defaults::

    type: openat
    result: 3                                    # or the name of an error, such as ENOENT
    args: {name: /etc/shadow, flags: O_RDONLY}   # parameters by name (spec: events.yaml); flags by their names
    process: {name: cat, cmdline: cat /etc/shadow, uid: 1000}
    ancestors: [{name: bash, tty: 34816}, {name: sshd}]
    container: {id: 3ad7b26ded6d, image: "nginx:1.25"}
    fds: {3: {type: ipv4, name: "10.0.0.1:4000->192.0.2.7:443"}}
    users: {1000: ann}

The event then goes through the same state engine as one from a kernel or a capture.
"""

import re
import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from ipaddress import ip_address
from typing import Any

from engine.event import Event
from ingest.syscalls.call import Address, Call, Descriptor, Ends, Thread
from ingest.syscalls.containers import Container, Mount, split_image
from ingest.syscalls.flags import ERRNO, SIGNALS, constants
from ingest.syscalls.host_event import SOURCE as SOURCE
from ingest.syscalls.host_event import host_event
from ingest.syscalls.layouts import Layout, Param, layout
from ingest.syscalls.state import State
from ingest.syscalls.threads import ThreadTable
from ingest.syscalls.users import User
from ingest.syscalls.words import CAPABILITIES

TIME_NS = 1_767_348_000_000_000_000
"""When a described event happened: 2026-01-02 10:00 UTC."""

_KEYS = frozenset({"type", "result", "args", "process", "ancestors", "container", "fds", "users", "groups", "age"})
_PID = 1000
_ERRORS = {name: -number for number, name in ERRNO.items()}
_CAPS = {name: bit for bit, name in enumerate(CAPABILITIES)}
_SIGNALS = {name: number for number, name in SIGNALS.items()}
_TYPECHARS = {
    "file": "f",
    "directory": "d",
    "ipv4": "4",
    "ipv6": "6",
    "unix": "u",
    "pipe": "p",
    "event": "e",
    "signalfd": "s",
    "eventpoll": "l",
    "inotify": "i",
    "timerfd": "t",
    "netlink": "n",
    "bpf": "b",
    "memfd": "m",
}
_INT = re.compile(r"-?(?:0x[0-9a-fA-F]+|\d+)")
_CREATED_FD = 3


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


class BadDescription(ValueError):
    """A description that is none; the text says which key and why."""


def to_event(record: object, origin: str = "") -> Event:
    """
    Return the event that a description stands for.

    Raises:
        BadDescription: A key is unknown, or a value is none that it can have.
    """
    given = _mapping(record, "event", _KEYS)
    name = str(given.get("type", ""))
    known = layout(name)
    table = ThreadTable()
    _people(table, given)
    thread = _threads(table, given)
    params = _params(known, given, thread) if known is not None else ()
    _descriptors(thread, known, params, given)
    call = Call(name, params, TIME_NS, thread.tid)
    return host_event(State(table).apply(call), origin)


def _mapping(value: object, what: str, known: frozenset[str]) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadDescription(f"{what}: a mapping is wanted")
    for key in value:
        if key not in known:
            raise BadDescription(f"{what}: unknown key {key!r}; known are {', '.join(sorted(known))}")
    return value


def _people(table: ThreadTable, given: Mapping[str, Any]) -> None:
    container = str((given.get("container") or {}).get("id", ""))
    for uid, name in (given.get("users") or {}).items():
        table.accounts.add_user(container, int(uid), User(str(name), f"/home/{name}", "/bin/sh"))
    for gid, name in (given.get("groups") or {}).items():
        table.accounts.add_group(container, int(gid), str(name))


# Processes


_PROCESS = _names(
    "name exe exepath args cmdline cwd env uid gid login_uid tty sid pgid vpgid vpid caps exe_flags host pid"
)


def _threads(table: ThreadTable, given: Mapping[str, Any]) -> Thread:
    """Put the process and its ancestors into the table; return the process."""
    contained = _container(table, given.get("container"))
    rows = [given.get("process") or {}, *(given.get("ancestors") or ())]
    age = int(float(given.get("age", 1)) * 1e9)
    found = None
    for depth, row in reversed(list(enumerate(rows))):
        what = "process" if depth == 0 else f"ancestors[{depth - 1}]"
        made = _thread(_mapping(row, what, _PROCESS), what)
        made.tid = made.pid = int(row.get("pid", _PID - depth))
        made.vtid = made.vpid = int(row.get("vpid", made.pid))
        made.ptid = found.tid if found is not None else 1
        made.start_ns = made.since_ns = TIME_NS - age - depth * 10**9
        made.container_id = "" if row.get("host") else contained
        found = table.put(made)
    assert found is not None
    return found


def _thread(row: Mapping[str, Any], what: str) -> Thread:
    words = shlex.split(str(row.get("cmdline", "")))
    name = str(row.get("name", words[0].rpartition("/")[2] if words else "process"))
    args = row.get("args", words[1:])
    caps = sum(1 << _number(cap, _CAPS, f"{what}.caps") for cap in row.get("caps", ()))
    thread = Thread(_PID, _PID, comm=name[:15], exe=str(row.get("exe", words[0] if words else name)))
    thread.exe_path = str(row.get("exepath", f"/usr/bin/{name}"))
    thread.args = tuple(str(word) for word in (shlex.split(args) if isinstance(args, str) else args))
    thread.env = tuple(f"{key}={value}" for key, value in (row.get("env") or {}).items())
    thread.cwd = str(row.get("cwd", "/"))
    thread.caps = (0, caps, caps)
    thread.exe_flags = _flags(row.get("exe_flags", 0), "execve_flags", f"{what}.exe_flags")
    for key in ("uid", "gid", "login_uid", "tty", "sid", "pgid", "vpgid"):
        if key in row:
            setattr(thread, key, int(row[key]))
    return thread


_CONTAINER = _names(
    """
    id name image image_id privileged mounts labels user ip runtime pod namespace host_pid host_network host_ipc
    """
)
_MOUNT = frozenset({"source", "dest", "mode", "writable", "propagation"})


def _container(table: ThreadTable, given: object) -> str:
    """Note a container; return its full id, "" for the host."""
    if not given:
        return ""
    row = _mapping(given, "container", _CONTAINER)
    identifier = str(row.get("id", "0123456789ab")).ljust(64, "0")
    repository, tag, digest = split_image(str(row.get("image", "")))
    labels = {str(key): str(value) for key, value in (row.get("labels") or {}).items()}
    if "pod" in row:
        labels |= {"io.kubernetes.pod.name": str(row["pod"])}
        labels |= {"io.kubernetes.pod.namespace": str(row.get("namespace", "default"))}
    made = Container(
        identifier,
        image=str(row.get("image", "")),
        repository=repository,
        tag=tag,
        digest=digest,
        runtime=str(row.get("runtime", "docker")),
        labels=labels,
        mounts=tuple(_mount(mount) for mount in row.get("mounts") or ()),
        privileged=bool(row.get("privileged", False)),
    )
    plain = {item.name for item in fields(Container)} & row.keys() - {"id", "image", "runtime", "labels", "mounts"}
    table.containers.put(replace(made, **{key: row[key] for key in plain}))
    return identifier


def _mount(given: object) -> Mount:
    row = _mapping(given, "container.mounts", _MOUNT)
    source, dest = str(row.get("source", "")), str(row.get("dest", ""))
    return Mount(
        source, dest, str(row.get("mode", "")), bool(row.get("writable", True)), str(row.get("propagation", ""))
    )


# Parameters


def _params(known: Layout, given: Mapping[str, Any], thread: Thread) -> tuple[Any, ...]:
    present = {name: value for name, value in (given.get("args") or {}).items() if value is not None}
    args = _mapping(present, "args", frozenset(known.position))
    result = _result(given.get("result"), known)
    values: list[Any] = [_value(param, args[param.name]) if param.name in args else None for param in known.params]
    if values and "result" not in args and known.params[0].name not in args:
        values[0] = result
    if known.name in ("execve", "execveat"):
        values = [
            _executed(param, thread) if value is None else value
            for param, value in zip(known.params, values, strict=True)
        ]
        values[0] = result
    for index, param in enumerate(known.params):
        if values[index] is None and param.type == "fd":
            values[index] = -100 if param.name.endswith(("dirfd", "olddir", "newdir")) else _CREATED_FD
    return tuple(values)


def _result(given: Any, known: Layout) -> int:
    if given is None:
        return _CREATED_FD if "creates" in known.traits and known.params[0].type == "fd" else 0
    return _number(given, _ERRORS, "result")


def _number(given: Any, names: Mapping[str, int], what: str) -> int:
    if isinstance(given, int):
        return int(given)
    text = str(given).strip()
    if _INT.fullmatch(text):
        return int(text, 0)
    if text in names:
        return names[text]
    raise BadDescription(f"{what}: {text!r} is neither a number nor a name that is known there")


def _flags(given: Any, table: str, what: str) -> int:
    if isinstance(given, list):
        given = "|".join(map(str, given))
    if isinstance(given, int):
        return int(given)
    value = 0
    for word in filter(None, str(given).split("|")):
        value |= _number(word, constants(table), what)
    return value


def _value(param: Param, given: Any) -> Any:
    """Return a parameter as drivers give it."""
    what = f"args.{param.name}"
    if given is None:
        return None
    match param.type:
        case "charbuf" | "fspath" | "fsrelpath":
            return str(given)
        case "bytebuf":
            return str(given).encode("utf-8", "surrogateescape")
        case "sockaddr":
            return _address(str(given), what)
        case "socktuple":
            return ends(str(given), what)
        case "mode" if str(given).isdecimal() and isinstance(given, str):
            return int(given, 8)
        case "sigtype":
            return _number(given, _SIGNALS, what)
        case "errno" | "fd":
            return _number(given, _ERRORS | {"AT_FDCWD": -100}, what)
    if param.table and param.type != "dyn":
        return _flags(given, param.table, what)
    return _number(given, {}, what)


_SAME = _names("exe tid pid ptid cwd comm tty vpgid uid gid pgid exe_ino")
_OF_THREAD = {name: name for name in _SAME} | {
    "loginuid": "login_uid",
    "flags": "exe_flags",
    "trusted_exepath": "exe_path",
    "fdlimit": "fd_limit",
}


def _executed(param: Param, thread: Thread) -> Any:
    """Return what execve reports of the new program."""
    match param.name:
        case "args":
            return "".join(f"{word}\0" for word in thread.args).encode()
        case "env":
            return "".join(f"{word}\0" for word in thread.env).encode()
        case "cap_inheritable" | "cap_permitted" | "cap_effective":
            return thread.caps[("cap_inheritable", "cap_permitted", "cap_effective").index(param.name)]
        case name if name in _OF_THREAD:
            return getattr(thread, _OF_THREAD[name])
    return None


# Descriptors


_DESCRIPTOR = frozenset({"type", "name", "l4", "server", "dev", "ino"})


def _descriptors(thread: Thread, known: Layout | None, params: tuple[Any, ...], given: Mapping[str, Any]) -> None:
    """Give the process the descriptors that are described, and those that its call cannot do without."""
    for num, row in (given.get("fds") or {}).items():
        thread.descriptors[int(num)] = _descriptor(int(num), _mapping(row, f"fds.{num}", _DESCRIPTOR))
    if known is None or "uses" not in known.traits:
        return
    num = next((value for param, value in zip(known.params, params, strict=True) if param.type == "fd"), _CREATED_FD)
    for value in params:
        if isinstance(value, Ends):
            char = {1: "u", 2: "4", 10: "6"}.get(value.family, "o")
            thread.descriptors.setdefault(num, Descriptor(num, char, l4="tcp" if value.family != 1 else ""))


def _descriptor(num: int, row: Mapping[str, Any]) -> Descriptor:
    kind, name = str(row.get("type", "file")), str(row.get("name", ""))
    if kind not in _TYPECHARS:
        raise BadDescription(f"fds.{num}.type: {kind!r} is none of {', '.join(_TYPECHARS)}")
    made = Descriptor(num, _TYPECHARS[kind], name, dev=int(row.get("dev", 0)), ino=int(row.get("ino", 0)))
    if kind in ("ipv4", "ipv6", "unix"):
        made.l4 = str(row.get("l4", "tcp" if kind != "unix" else ""))
        if "->" in name:
            made.ends, made.connected, made.server = ends(name, f"fds.{num}.name"), True, bool(row.get("server", False))
        elif name:
            made.address, made.listening, made.server = _address(name, f"fds.{num}.name"), True, True
    return made


def ends(text: str, what: str = "tuple") -> Ends:
    """Read ``10.0.0.1:4000->192.0.2.7:443``, or the path of a UNIX socket. Raises BadDescription."""
    source, arrow, destination = text.partition("->")
    if not arrow:
        address = Address(1, path=text)
        return Ends(1, Address(1), address)
    first, second = _address(source, what), _address(destination, what)
    return Ends(second.family, first, second)


def _address(text: str, what: str) -> Address:
    """Read ``192.0.2.7:443``, ``[2001:db8::1]:443`` or a path."""
    host, colon, port = text.rpartition(":")
    if text.startswith(("/", "@")) or not colon:
        return Address(1, path=text)
    try:
        ip = ip_address(host.strip("[]"))
        return Address(2 if ip.version == 4 else 10, ip.packed, int(port))
    except ValueError:
        raise BadDescription(f"{what}: {text!r} is no address with a port, and no path") from None
