"""
What container runtimes tell of a container: asked in a thread of its own, never while events wait.

Docker and Podman answer on their sockets. For containerd and CRI-O the bundle that was given to the low-level runtime
is read, which has the image, the mounts and the pod in annotations; what only their gRPC interface knows (labels of
the pod, image digests) is left out. Sources: Docker Engine API 1.24 and later, OCI runtime specification 1.0, the
annotations ``io.kubernetes.cri.*`` of containerd and ``io.kubernetes.cri-o.*`` of CRI-O.
"""

import contextlib
import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ingest.syscalls.containers import Container, Containers, Mount, split_image

log = logging.getLogger("lanner.syscalls")

SOCKETS = (("docker", "var/run/docker.sock"), ("podman", "run/podman/podman.sock"))
"""Kinds of runtimes with the Docker API, and their sockets below the host's root directory."""

BUNDLES = (
    ("containerd", "run/containerd/io.containerd.runtime.v2.task/k8s.io"),
    ("containerd", "run/containerd/io.containerd.runtime.v2.task/default"),
    ("containerd", "run/containerd/io.containerd.runtime.v2.task/moby"),
    ("cri-o", "run/containers/storage/overlay-containers"),
    ("cri-o", "var/lib/containers/storage/overlay-containers"),
)
"""Kinds of runtimes and the directories of their bundles, one directory a container."""

TIMEOUT_S = 3.0
"""Seconds that a runtime may take to answer."""

MAX_ANSWER = 8 << 20
"""Bytes of an answer or bundle that are read."""

RETRIES_S = (0.0, 0.5, 2.0, 5.0)
"""Seconds after which a container is asked for that its runtime did not know yet."""

_IDLE_S = 0.25
_ALL_CAPABILITIES = 38
_CONTAINERD = "io.kubernetes.cri."
_CRIO = "io.kubernetes.cri-o."
_POD = "io.kubernetes.pod."
_PROPAGATIONS = ("private", "rprivate", "slave", "rslave", "shared", "rshared")

Ask = Callable[[str, int], Container | None]


class RuntimeLookups:
    """Asks the runtimes about every container that events come from."""

    def __init__(self, containers: Containers, ask: Ask) -> None:
        """
        Prepare; nothing is asked before ``start``.

        Args:
            containers: Where the questions are and the answers go.
            ask: Gives what runtimes know of a container by its id and a process in it; may take its time.
        """
        self._containers, self._ask = containers, ask
        self._open: list[tuple[float, int, str, int]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="runtimes", daemon=True)

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a question that is open may still end."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_IDLE_S):
            now = time.monotonic()
            self._open += [(now, 0, name, pid) for name, _, pid in self._containers.take_wanted()]
            due = [entry for entry in self._open if entry[0] <= now]
            self._open = [entry for entry in self._open if entry[0] > now]
            for entry in due:
                self._one(*entry)

    def _one(self, since: float, attempt: int, identifier: str, pid: int) -> None:
        try:
            found = self._ask(identifier, pid)
        except Exception:
            log.exception("asking about container %s failed", identifier)
            return
        if found is not None:
            self._containers.put(found)
            if found.sandbox_id not in ("", found.id) and self._containers.get(found.sandbox_id) is None:
                self._open.append((since, 0, found.sandbox_id, pid))
        elif attempt + 1 < len(RETRIES_S):
            self._open.append((since + RETRIES_S[attempt + 1], attempt + 1, identifier, pid))


def ask_runtimes(root: str = "/") -> Ask:
    """
    Return a function that asks every runtime there is.

    Args:
        root: Root directory of the host, ``/proc/1/root`` where the agent runs in a container.
    """

    def ask(identifier: str, _pid: int) -> Container | None:
        for kind, path in SOCKETS:
            found = inspect(Path(root, path), kind, identifier)
            if found is not None:
                return found
        for kind, folder in BUNDLES:
            for inner in ("config.json", "userdata/config.json"):
                found = read_bundle(Path(root, folder, identifier, inner), kind, identifier)
                if found is not None:
                    return found
        return None

    return ask


# Docker and Podman


def inspect(path: Path, kind: str, identifier: str) -> Container | None:
    """Ask the runtime behind a socket; None when there is none, or it does not know the container."""
    if not path.exists():
        return None
    row = _get(path, f"/containers/{identifier}/json")
    if row is None:
        return None
    image = _get(path, f"/images/{_text(row, 'Image')}/json") or {}
    return _inspected(row, image, kind)


def _get(path: Path, target: str) -> dict[str, Any] | None:
    connection = http.client.HTTPConnection("localhost", timeout=TIMEOUT_S)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(TIMEOUT_S)
        connection.sock.connect(str(path))
        connection.request("GET", target)
        answer = connection.getresponse()
        data = answer.read(MAX_ANSWER)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return _object(data) if answer.status == http.HTTPStatus.OK else None


def _object(data: bytes | str) -> dict[str, Any] | None:
    with contextlib.suppress(msgspec.DecodeError, ValueError):
        found = msgspec.json.decode(data)
        return found if isinstance(found, dict) else None
    return None


def _inspected(row: Mapping[str, Any], image: Mapping[str, Any], kind: str) -> Container:
    config, host, network = _inner(row, "Config"), _inner(row, "HostConfig"), _inner(row, "NetworkSettings")
    name = _text(config, "Image")
    if name.startswith("sha256:") or not name:
        name = next(_texts(image.get("RepoTags")), name)
    repository, tag, digest = split_image(name)
    if not digest:
        digest = next((text.partition("@")[2] for text in _texts(image.get("RepoDigests"))), "")
    return Container(
        id=_text(row, "Id"),
        name=_text(row, "Name").removeprefix("/"),
        image=name,
        image_id=_text(row, "Image").removeprefix("sha256:"),
        repository=repository,
        tag=tag,
        digest=digest,
        runtime=kind,
        user=_text(config, "User"),
        privileged=host.get("Privileged") is True,
        host_pid=_text(host, "PidMode") == "host",
        host_network=_text(host, "NetworkMode") == "host",
        host_ipc=_text(host, "IpcMode") == "host",
        ip=_text(network, "IPAddress") or next(_addresses(_inner(network, "Networks")), ""),
        mounts=tuple(_docker_mounts(row.get("Mounts"))),
        labels={key: value for key, value in _inner(config, "Labels").items() if isinstance(value, str)},
    )


def _addresses(networks: Mapping[str, Any]) -> Iterator[str]:
    for network in networks.values():
        if isinstance(network, dict) and _text(network, "IPAddress"):
            yield _text(network, "IPAddress")


def _docker_mounts(rows: Any) -> Iterator[Mount]:
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            source, destination = _text(row, "Source"), _text(row, "Destination")
            yield Mount(source, destination, _text(row, "Mode"), row.get("RW") is True, _text(row, "Propagation"))


# Bundles of containerd and CRI-O


def read_bundle(path: Path, kind: str, identifier: str) -> Container | None:
    """Read the configuration that a low-level runtime was given; None when there is none."""
    try:
        with path.open("rb") as file:
            row = _object(file.read(MAX_ANSWER))
    except OSError:
        return None
    return None if row is None else _bundled(row, kind, identifier)


def _bundled(row: Mapping[str, Any], kind: str, identifier: str) -> Container:
    notes = {key: value for key, value in _inner(row, "annotations").items() if isinstance(value, str)}
    labels = _pod_labels(notes)
    name = notes.get(_CONTAINERD + "container-name") or notes.get("io.kubernetes.container.name", "")
    if notes.get(_CONTAINERD + "container-type") == "sandbox" or notes.get(_CRIO + "ContainerType") == "sandbox":
        name = name or "POD"
    image = notes.get(_CONTAINERD + "image-name") or notes.get(_CRIO + "ImageName", "")
    repository, tag, digest = split_image(image)
    missing = {"pid", "network", "ipc"} - {
        _text(one, "type") for one in _inner(row, "linux").get("namespaces") or () if isinstance(one, dict)
    }
    return Container(
        id=identifier,
        name=name,
        image=image,
        image_id=notes.get(_CRIO + "ImageRef", "").removeprefix("sha256:"),
        repository=repository,
        tag=tag,
        digest=digest,
        runtime=kind,
        privileged=_is_privileged(row, notes),
        host_pid="pid" in missing,
        host_network="network" in missing,
        host_ipc="ipc" in missing,
        ip=notes.get(_CRIO + "IP.0", ""),
        mounts=tuple(_bundle_mounts(row.get("mounts"))),
        labels=labels,
        sandbox_id=notes.get(_CONTAINERD + "sandbox-id") or notes.get(_CRIO + "SandboxID", ""),
    )


def _pod_labels(notes: Mapping[str, str]) -> dict[str, str]:
    """Return labels of the container: those that CRI-O lists, and the pod's name, namespace and uid."""
    listed = _object(notes.get(_CRIO + "Labels", "")) or {}
    labels = {key: value for key, value in listed.items() if isinstance(value, str)}
    for label, theirs in (("name", "sandbox-name"), ("namespace", "sandbox-namespace"), ("uid", "sandbox-uid")):
        value = notes.get(_CONTAINERD + theirs) or notes.get(_POD + label)
        if value:
            labels[_POD + label] = value
    return labels


def _is_privileged(row: Mapping[str, Any], notes: Mapping[str, str]) -> bool:
    """Tell whether a container is privileged: it says so, or has all capabilities and nothing is hidden from it."""
    if _CRIO + "PrivilegedRuntime" in notes:
        return notes[_CRIO + "PrivilegedRuntime"] == "true"
    bounding = _inner(_inner(row, "process"), "capabilities").get("bounding")
    hidden = _inner(row, "linux").get("maskedPaths")
    return isinstance(bounding, list) and len(bounding) >= _ALL_CAPABILITIES and not hidden


def _bundle_mounts(rows: Any) -> Iterator[Mount]:
    for row in rows if isinstance(rows, list) else ():
        options = list(_texts(row.get("options"))) if isinstance(row, dict) else []
        if "bind" in options or "rbind" in options:
            propagation = next((option for option in options if option in _PROPAGATIONS), "")
            yield Mount(_text(row, "source"), _text(row, "destination"), "", "ro" not in options, propagation)


def _inner(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = row.get(key)
    return value if isinstance(value, dict) else {}


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""


def _texts(values: Any) -> Iterator[str]:
    rows: Iterable[Any] = values if isinstance(values, list) else ()
    return (value for value in rows if isinstance(value, str))
