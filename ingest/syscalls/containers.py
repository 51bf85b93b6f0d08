"""
Containers: the id from cgroup paths, and what runtimes and captures tell of them (spec: fields 6.6).

The id is known at once. All else is asked of the runtime by somebody else, and absent until it has answered: what waits
here is a set of names, never an event.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

SHORT = 12
"""Characters of an id that are shown."""

MAX_CONTAINERS = 4096
"""Containers that are remembered; the one known longest makes room."""

_ID = "([0-9a-f]{64})"
_MATCHERS = (
    ("podman", rf"/libpod-(?:payload-)?{_ID}(?:\.scope)?(?:/container)?"),
    ("docker", rf"/(?:docker-{_ID}\.scope|{_ID})"),
    ("cri", rf"(?:/|/crio-|/cri-containerd-|:cri-containerd:|/docker-|/nerdctl-){_ID}(?:\.scope)?"),
    ("containerd", r"/[\w.-]+/(?![^/]*\.(?:service|slice|scope)$)([A-Za-z0-9][\w.-]{0,63})"),
    ("lxc", r"/lxc(?:\.payload)?[/.]([^/]+)"),
    ("libvirt-lxc", r"(?:/libvirt/lxc/([^/]+)|-lxc\\x2d([^/]+)\.scope(?:/libvirt)?|/([^/]+)\.libvirt-lxc)"),
    ("bpm", r"bpm-([^/]+)\.scope"),
)
_PATTERNS = tuple((name, re.compile(f"{text}$")) for name, text in _MATCHERS if name != "containerd")
_FREE_FORM = re.compile(dict(_MATCHERS)["containerd"] + "$")
# Ids of ctr are free text, so a path is only taken for one if it is that of all subsystems and none of systemd's.
_NOT_NAMESPACES = re.compile(r"/(?:user|system|machine|init|kubepods|docker|lxc|libvirt)(?:[./-]|$)")
_POD = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")


class Identity(NamedTuple):
    """
    What a cgroup path tells of a container.

    Attributes:
        id: Full id; "" on the host.
        runtime: Kind of runtime as ``container.type`` answers it, as far as the path tells.
    """

    id: str
    runtime: str


HOST = Identity("", "host")


@lru_cache(maxsize=4096)
def identify(cgroups: tuple[tuple[str, str], ...]) -> Identity:
    """Return the container that cgroup paths belong to: the first matcher that fits any of them wins."""
    paths = {path: None for _, path in cgroups if len(path) > 1}
    for runtime, pattern in _PATTERNS:
        for path in paths:
            found = pattern.search(path)
            if found is not None:
                return Identity(next(group for group in found.groups() if group), runtime)
    name = _free_form(cgroups[0][1]) if len({path for _, path in cgroups}) == 1 else ""
    return Identity(name, "containerd") if name else HOST


def _free_form(path: str) -> str:
    if path.count("/") != 2 or _NOT_NAMESPACES.match(path):
        return ""
    found = _FREE_FORM.match(path)
    return found.group(1) if found is not None else ""


@lru_cache(maxsize=4096)
def pod_uid(cgroups: tuple[tuple[str, str], ...]) -> str:
    """Return the uid of the Kubernetes pod that cgroup paths belong to, "" for none."""
    found = next((match for _, path in cgroups if (match := _POD.search(path)) is not None), None)
    return found.group(1).replace("_", "-") if found is not None else ""


class Mount(NamedTuple):
    """A mount of a container."""

    source: str
    destination: str
    mode: str
    writable: bool
    propagation: str


@dataclass(frozen=True, slots=True)
class Container:
    """
    What a runtime tells of a container; absent facts are "" or None.

    Attributes:
        id: Full id.
        name, image: As the runtime has them.
        image_id: Without the name of the algorithm.
        repository, tag, digest: Parts of the image's reference.
        runtime: As ``container.type`` answers.
        user: Configured user of the image.
        sandbox_id: Full id of the pod's sandbox container.
        sandbox_labels: Labels of the pod.
    """

    id: str
    name: str = ""
    image: str = ""
    image_id: str = ""
    repository: str = ""
    tag: str = ""
    digest: str = ""
    runtime: str = ""
    user: str = ""
    privileged: bool | None = None
    host_pid: bool | None = None
    host_network: bool | None = None
    host_ipc: bool | None = None
    ip: str = ""
    cni: str = ""
    mounts: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    sandbox_id: str = ""
    sandbox_labels: Mapping[str, str] = field(default_factory=dict)


class ImageName(NamedTuple):
    """The parts of an image's reference."""

    repository: str
    tag: str
    digest: str


def split_image(reference: str) -> ImageName:
    """Split a reference ``registry:port/name:tag@digest``; a colon before the last "/" is of the registry's port."""
    name, _, digest = reference.partition("@")
    start = name.rfind("/") + 1
    short, _, tag = name[start:].partition(":")
    return ImageName(name[:start] + short, tag, digest)


class Containers:
    """What is known of containers, and which ones somebody should ask the runtime for."""

    def __init__(self) -> None:
        self._known: dict[str, Container] = {}
        self._wanted: dict[str, tuple[str, int]] = {}
        self._asked: dict[str, None] = {}

    def get(self, identifier: str) -> Container | None:
        """Return what is known of a container by its full or short id."""
        return self._known.get(identifier[:SHORT])

    def put(self, container: Container) -> None:
        """Take in what a runtime or a capture told."""
        self._known[container.id[:SHORT]] = container
        if len(self._known) > MAX_CONTAINERS:
            del self._known[next(iter(self._known))]

    def remove(self, identifier: str) -> None:
        """Forget a container."""
        self._known.pop(identifier[:SHORT], None)
        self._asked.pop(identifier, None)

    def want(self, identity: Identity, pid: int) -> None:
        """Note that a container has come up, once; ``pid`` is a process in it."""
        if identity.id in self._asked or identity.id[:SHORT] in self._known:
            return
        self._asked[identity.id] = None
        self._wanted[identity.id] = (identity.runtime, pid)
        if len(self._asked) > MAX_CONTAINERS:
            del self._asked[next(iter(self._asked))]

    def take_wanted(self) -> list[tuple[str, str, int]]:
        """Return the containers to ask for since the last time: id, kind of runtime, a process in it."""
        taken = []
        while self._wanted:
            identifier, (runtime, pid) = self._wanted.popitem()
            taken.append((identifier, runtime, pid))
        return taken


_RUNTIMES = dict(
    enumerate(
        (
            "docker",
            "lxc",
            "libvirt-lxc",
            "mesos",
            "rkt",
            "custom",
            "cri",
            "containerd",
            "cri-o",
            "bpm",
            "static",
            "podman",
        )
    )
)


def read_note(text: str) -> Container | None:
    """Read the JSON of a ``container`` event, as captures hold them; None when it is of another form."""
    try:
        found = msgspec.json.decode(text.encode("utf-8", "surrogateescape"))
    except (msgspec.DecodeError, ValueError):
        return None
    row = found.get("container") if isinstance(found, dict) else None
    if not isinstance(row, dict) or not _text(row, "id"):
        return None
    image = split_image(_text(row, "image"))
    return Container(
        id=_text(row, "full_id") or _text(row, "id"),
        name=_text(row, "name"),
        image=_text(row, "image"),
        image_id=_text(row, "imageid"),
        repository=_text(row, "imagerepo") or image.repository,
        tag=_text(row, "imagetag") or image.tag,
        digest=_text(row, "imagedigest") or image.digest,
        runtime=_RUNTIMES.get(kind, "") if isinstance(kind := row.get("type"), int) else "",
        user=_text(row, "User"),
        privileged=_bool(row, "privileged"),
        host_pid=_bool(row, "host_pid"),
        host_network=_bool(row, "host_network"),
        host_ipc=_bool(row, "host_ipc"),
        ip=_text(row, "ip"),
        cni=_text(row, "cni_json"),
        mounts=tuple(_mounts(row.get("Mounts"))),
        labels=_labels(row.get("labels")),
        sandbox_id=_text(row, "pod_sandbox_id"),
        sandbox_labels=_labels(row.get("pod_sandbox_labels")),
    )


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _bool(row: Mapping[str, Any], key: str) -> bool:
    return row.get(key) is True


def _labels(rows: Any) -> dict[str, str]:
    if not isinstance(rows, dict):
        return {}
    return {key: value for key, value in rows.items() if isinstance(value, str)}


def _mounts(rows: Any) -> Iterable[Mount]:
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            source, destination = _text(row, "Source"), _text(row, "Destination")
            yield Mount(source, destination, _text(row, "Mode"), _bool(row, "RW"), _text(row, "Propagation"))
