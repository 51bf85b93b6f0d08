"""What the fields ``user.*``, ``group.*``, ``container.*`` and ``k8s.*`` answer (spec: fields 6.5 and 6.6)."""

import fnmatch
import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.fields import Getter
from ingest.syscalls.call import UNKNOWN, Call
from ingest.syscalls.containers import SHORT, Container, Mount
from ingest.syscalls.host_event import HostEvent
from ingest.syscalls.users import User

NOBODY = "<NA>"
HOST = "host"
_NO_ID = 0xFFFFFFFF
_POD = "io.kubernetes.pod."
_PRIVATE = ("annotation.", "io.kubernetes.")

# Accounts


def _user_of(call: Call, uid: int) -> User | None:
    thread = call.thread
    if thread is None or call.table is None:
        return None
    found: User | None = call.table.accounts.user(thread.container_id or "", uid, thread.pid)
    return found


def _user(attribute: str) -> Getter:
    def get(event: HostEvent) -> str | None:
        call = event.record
        if call.thread is None:
            return None
        found = _user_of(call, call.thread.uid)
        return NOBODY if found is None else str(getattr(found, attribute))

    return get


def _unsigned(number: int) -> int:
    return number & _NO_ID


def _uid(event: HostEvent) -> int | None:
    thread = event.record.thread
    return None if thread is None else _unsigned(thread.uid)


def _gid(event: HostEvent) -> int | None:
    thread = event.record.thread
    return None if thread is None else _unsigned(thread.gid)


def _login_uid(event: HostEvent) -> int | None:
    thread = event.record.thread
    return None if thread is None else thread.login_uid


def _login_name(event: HostEvent) -> str | None:
    call = event.record
    if call.thread is None:
        return None
    found = _user_of(call, call.thread.login_uid) if call.thread.login_uid != UNKNOWN else None
    return NOBODY if found is None else found.name


def _group(event: HostEvent) -> str | None:
    call = event.record
    thread = call.thread
    if thread is None or call.table is None:
        return None
    found = call.table.accounts.group(thread.container_id or "", thread.gid, thread.pid)
    return NOBODY if found is None else str(found)


# Containers


def container_id(call: Call) -> str | None:
    """Return the full id of the container a call ran in, "" on the host; None when that is not known."""
    return None if call.thread is None else call.thread.container_id


def container_of(call: Call) -> Container | None:
    """Return what is known of the container a call ran in."""
    found = container_id(call)
    if not found or call.table is None:
        return None
    known: Container | None = call.table.containers.get(found)
    return known


def _id(event: HostEvent) -> str | None:
    found = container_id(event.record)
    return None if found is None else found[:SHORT] or HOST


def _on_host(value: Any, fact: Callable[[Container], Any]) -> Getter:
    """Return a getter of a container's fact that answers a value for the host; absent until the runtime has told."""

    def get(event: HostEvent) -> Any:
        call = event.record
        identifier = container_id(call)
        if not identifier:
            return None if identifier is None else value
        known = container_of(call)
        return None if known is None else fact(known)

    return get


def _full_id(event: HostEvent) -> str | None:
    found = container_id(event.record)
    if not found:
        return None if found is None else HOST
    known = container_of(event.record)
    return found if len(found) > SHORT or known is None else known.id


def shown_mount(mount: Mount) -> str:
    """Return a mount as ``container.mount`` shows it."""
    writable = "true" if mount.writable else "false"
    return f"{mount.source}:{mount.destination}:{mount.mode}:{writable}:{mount.propagation}"


def _mounts(container: Container) -> str:
    return ",".join(map(shown_mount, container.mounts))


def matches_path(pattern: str, path: str) -> bool:
    """Tell whether a path matches a glob, or a regular expression when the pattern can be no glob."""
    if fnmatch.fnmatchcase(path, pattern):
        return True
    if not re.search(r"[$^+()|\\]", pattern):
        return False
    try:
        return re.search(pattern, path) is not None
    except re.error:
        return False


def _mount(fact: Callable[[Mount], str], key: Callable[[Mount], str]) -> Getter:
    def get(event: HostEvent, which: int | str) -> str | None:
        known = container_of(event.record)
        if known is None:
            return None
        if isinstance(which, int):
            return fact(known.mounts[which]) if which < len(known.mounts) else None
        return next((fact(mount) for mount in known.mounts if matches_path(which, key(mount))), None)

    return get


def _start(event: HostEvent) -> int | None:
    call = event.record
    return (call.thread.pidns_start_ns or None) if call.thread is not None and call.thread.container_id else None


def _duration(event: HostEvent) -> int | None:
    start = _start(event)
    return None if start is None else max(0, event.time_ns - start)


def shown_labels(labels: Mapping[str, str]) -> str | None:
    """Return labels as ``container.labels`` shows them, without those that Kubernetes put there."""
    return ", ".join(f"{key}:{value}" for key, value in labels.items() if not key.startswith(_PRIVATE)) or None


def _label(event: HostEvent, key: str) -> str | None:
    known = container_of(event.record)
    return None if known is None else known.labels.get(key)


def _labels(event: HostEvent) -> str | None:
    known = container_of(event.record)
    return None if known is None else shown_labels(known.labels)


# Pods, by the labels that the runtime has


def _sandbox(event: HostEvent) -> Container | None:
    """Return what is known of the sandbox of the pod."""
    call = event.record
    known = container_of(call)
    if known is None or not known.sandbox_id or call.table is None:
        return None
    found: Container | None = call.table.containers.get(known.sandbox_id)
    return found


def _pod(key: str) -> Getter:
    def get(event: HostEvent) -> str | None:
        known = container_of(event.record)
        return None if known is None else known.labels.get(_POD + key)

    return get


def _of_pod(fact: Callable[[Container], str]) -> Getter:
    def get(event: HostEvent) -> str | None:
        known = container_of(event.record)
        if known is None or _POD + "name" not in known.labels:
            return None
        sandbox = _sandbox(event)
        return fact(known) or (fact(sandbox) if sandbox is not None else "") or None

    return get


def _pod_labels(event: HostEvent) -> Mapping[str, str]:
    known = container_of(event.record)
    if known is None:
        return {}
    sandbox = _sandbox(event)
    return known.sandbox_labels or (sandbox.labels if sandbox is not None else {})


def _pod_label(event: HostEvent, key: str) -> str | None:
    return _pod_labels(event).get(key)


def _sandbox_id(event: HostEvent) -> str | None:
    known = container_of(event.record)
    return None if known is None else known.sandbox_id or None


def _short_sandbox_id(event: HostEvent) -> str | None:
    found = _sandbox_id(event)
    return None if found is None else found[:SHORT]


WORKLOAD_GETTERS: dict[str, Getter] = {
    "user.uid": _uid,
    "user.name": _user("name"),
    "user.homedir": _user("home"),
    "user.shell": _user("shell"),
    "user.loginuid": _login_uid,
    "user.loginname": _login_name,
    "group.gid": _gid,
    "group.name": _group,
    "container.id": _id,
    "container.full_id": _full_id,
    "container.name": _on_host(HOST, lambda known: known.name),
    "container.image": _on_host("", lambda known: known.image),
    "container.image.id": _on_host("", lambda known: known.image_id),
    "container.type": _on_host(HOST, lambda known: known.runtime),
    "container.privileged": _on_host(False, lambda known: known.privileged),
    "container.mounts": _on_host("", _mounts),
    "container.mount": _mount(shown_mount, lambda mount: mount.source),
    "container.mount.source": _mount(lambda mount: mount.source, lambda mount: mount.destination),
    "container.mount.dest": _mount(lambda mount: mount.destination, lambda mount: mount.source),
    "container.mount.mode": _mount(lambda mount: mount.mode, lambda mount: mount.source),
    "container.mount.rdwr": _mount(lambda mount: "true" if mount.writable else "false", lambda mount: mount.source),
    "container.mount.propagation": _mount(lambda mount: mount.propagation, lambda mount: mount.source),
    "container.image.repository": _on_host("", lambda known: known.repository),
    "container.image.tag": _on_host("", lambda known: known.tag),
    "container.image.digest": _on_host("", lambda known: known.digest),
    "container.start_ts": _start,
    "container.duration": _duration,
    "container.ip": _on_host("", lambda known: known.ip),
    "container.cni.json": _on_host("", lambda known: known.cni),
    "container.host_pid": _on_host(False, lambda known: known.host_pid),
    "container.host_network": _on_host(False, lambda known: known.host_network),
    "container.host_ipc": _on_host(False, lambda known: known.host_ipc),
    "container.label": _label,
    "container.labels": _labels,
    "k8s.pod.name": _pod("name"),
    "k8s.ns.name": _pod("namespace"),
    "k8s.pod.id": _pod("uid"),
    "k8s.pod.uid": _pod("uid"),
    "k8s.pod.sandbox_id": _short_sandbox_id,
    "k8s.pod.full_sandbox_id": _sandbox_id,
    "k8s.pod.label": _pod_label,
    "k8s.pod.labels": lambda event: shown_labels(_pod_labels(event)),
    "k8s.pod.ip": _of_pod(lambda known: known.ip),
    "k8s.pod.cni.json": _of_pod(lambda known: known.cni),
}
"""What the fields of accounts, containers and pods answer, by name."""
