"""
The fields of a pod specification: ``ka.req.pod.*`` of a requested pod, ``ka.req.template.*`` of a workload's template.

Both families have the same suffixes. A field of containers answers with one value per container that has one
(capabilities and ports: several); an index picks the container. Meaning follows Falco's k8saudit plugin 0.18; wanted
differences are named in the test that compares with its answers (tests/ingest/k8saudit/test_fields_oracle.py).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.event import Event, Record
from engine.fields import Arg, Field, Getter, Type
from engine.jsontext import text
from ingest.jsonfields import text_at, value_at
from ingest.k8saudit.values import elements, texts

FindPod = Callable[[Record], Any]
"""Finds the pod specification in an audit event; what it returns need not be an object."""

ReadContainer = Callable[[Any, Any], Sequence[str]]
"""Reads the values of one container; the second argument is the pod specification it is part of."""

POD_PATH = ("requestObject", "spec")
_TEMPLATE_PATHS = (("template", "spec"), ("jobTemplate", "spec", "template", "spec"))
_CONTAINER_KINDS = (
    ("containers", "containers"),
    ("initContainers", "init containers"),
    ("ephemeralContainers", "ephemeral containers"),
)


@dataclass(frozen=True, slots=True)
class _ContainerRow:
    suffix: str
    what: str
    read: ReadContainer
    complete: bool = False  # absent as soon as one container has no value


def requested_pod(record: Record) -> Any:
    """Return the ``spec`` of the requested object."""
    requested = record.get("requestObject")
    return requested.get("spec") if type(requested) is dict else None


def template_pod(record: Record) -> Any:
    """Return the pod specification in the template of a requested workload (Deployment, Job, CronJob ...)."""
    spec = requested_pod(record)
    return next((pod for path in _TEMPLATE_PATHS if (pod := value_at(spec, *path)) is not None), None)


def pod_fields() -> Iterator[Field]:
    """Return the rows ``ka.req.pod.*``."""
    yield from _pod_fields("ka.req.pod", "the requested pod", requested_pod, POD_PATH)


def template_fields() -> Iterator[Field]:
    """Return the rows ``ka.req.template.*``."""
    yield from _pod_fields("ka.req.template", "the requested workload's pod template", template_pod, None)


def images(record: Record) -> list[str]:
    """Return the image references of all containers of all kinds, of a pod or of a workload's template."""
    pods = (requested_pod(record), template_pod(record))
    lists = (elements(value_at(pod, kind)) for pod in pods for kind, _ in _CONTAINER_KINDS)
    return [image for found in lists for container in found if (image := text_at(container, "image"))]


def host_paths(record: Record) -> list[str]:
    """Return the hostPath of each volume of the requested pod that has one."""
    volumes = elements(value_at(requested_pod(record), "volumes"))
    return texts([value_at(volume, "hostPath", "path") for volume in volumes]) or []


def repository(image: str) -> str:
    """Return an image reference without digest and tag; the port of a registry stays."""
    name = image.partition("@")[0] if "@" in image else image
    colon = name.rfind(":")
    return name[:colon] if colon > name.rfind("/") else name


def _pod_fields(prefix: str, where: str, find: FindPod, path: tuple[str, ...] | None) -> Iterator[Field]:
    for suffix, what, below in _POD_ROWS:
        yield Field(
            f"{prefix}.{suffix}",
            Type.STRING,
            f"{what} of {where}.",
            _pod_text(find, below),
            path=path and (*path, *below),
            not_na=True,
        )
    yield Field(
        f"{prefix}.supplemental_groups",
        Type.STRING,
        f"Supplemental group ids of {where}.",
        _supplemental_groups(find),
        is_list=True,
        not_na=True,
    )
    yield from _volume_fields(prefix, where, find)
    for kind, plural in _CONTAINER_KINDS:
        yield from _container_fields(prefix, where, find, kind, plural)


_POD_ROWS = (
    ("host_ipc", "hostIPC flag", ("hostIPC",)),
    ("host_network", "hostNetwork flag", ("hostNetwork",)),
    ("host_pid", "hostPID flag", ("hostPID",)),
    ("run_as_user", "User id set", ("securityContext", "runAsUser")),
    ("run_as_group", "Group id set", ("securityContext", "runAsGroup")),
    ("fs_group", "Group id of the volumes", ("securityContext", "fsGroup")),
)


def _pod_text(find: FindPod, below: tuple[str, ...]) -> Getter:
    return lambda event: text_at(find(event.early), *below)


def _supplemental_groups(find: FindPod) -> Getter:
    return lambda event: texts(elements(value_at(find(event.early), "securityContext", "supplementalGroups")))


def _volume_fields(prefix: str, where: str, find: FindPod) -> Iterator[Field]:
    rows: tuple[tuple[str, str, Callable[[Any], Sequence[str]]], ...] = (
        ("hostpath", "Paths of the host that the volumes mount", _one("hostPath", "path")),
        ("flexvolume_driver", "FlexVolume drivers of the volumes", _one("flexVolume", "driver")),
        ("volume_type", "Kinds of the volumes", _volume_types),
    )
    for suffix, what, read in rows:
        yield Field(
            f"{prefix}.volumes.{suffix}",
            Type.STRING,
            f"{what} of {where}; an index picks the volume.",
            _volume_values(find, read),
            is_list=True,
            arg=Arg.INDEX,
            not_na=True,
        )


def _volume_values(find: FindPod, read: Callable[[Any], Sequence[str]]) -> Getter:
    def get(event: Event, index: int | None = None) -> list[str] | None:
        pod = find(event.early)
        volumes = pod.get("volumes") if type(pod) is dict else None
        return [value for volume in elements(volumes, index) for value in read(volume)] or None

    return get


def _volume_types(volume: Any) -> list[str]:
    return [key for key in volume if key != "name"] if isinstance(volume, dict) else []


def _container_fields(prefix: str, where: str, find: FindPod, kind: str, plural: str) -> Iterator[Field]:
    for row in _CONTAINER_ROWS:
        if (kind, row.suffix) != ("ephemeralContainers", "host_port"):
            yield Field(
                f"{prefix}.{kind}.{row.suffix}",
                Type.STRING,
                f"{row.what} of the {plural} of {where}; an index picks the container.",
                _container_values(find, kind, row),
                is_list=True,
                arg=Arg.INDEX,
                not_na=True,
            )


def _container_values(find: FindPod, kind: str, row: _ContainerRow) -> Getter:
    read, complete = row.read, row.complete

    def get(event: Event, index: int | None = None) -> list[str] | None:
        pod = find(event.early)
        containers = pod.get(kind) if type(pod) is dict else None
        if not containers:
            return None
        values: list[str] = []
        for container in elements(containers, index):
            found = read(container, pod)
            if complete and not found:
                return None
            values += found
        return values or None

    return get


def _one(*path: str) -> Callable[..., Sequence[str]]:
    """Return the reader of the text at a path of a volume or container; most lack it, so its first key is asked."""
    first = path[0]

    def read(node: Any, _pod: Any = None) -> Sequence[str]:
        if type(node) is not dict or first not in node:
            return ()
        found = text_at(node, *path)
        return () if found is None else (found,)

    return read


def _repository(container: Any, _pod: Any) -> Sequence[str]:
    image = text(container.get("image")) if type(container) is dict else None
    return () if image is None else (repository(image),)


def _joined(key: str) -> ReadContainer:
    def read(container: Any, _pod: Any) -> list[str]:
        words = value_at(container, key)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            return []
        return [" ".join(words)]

    return read


def _host_ports(container: Any, _pod: Any) -> list[str]:
    ports = elements(value_at(container, "ports"))
    found = (text_at(port, "hostPort") or text_at(port, "containerPort") for port in ports)
    return [port for port in found if port]


def _capabilities(container: Any, _pod: Any) -> list[str]:
    return texts(elements(value_at(container, "securityContext", "capabilities", "add"))) or []


def _effective(key: str) -> ReadContainer:
    path = ("securityContext", key)

    def read(container: Any, pod: Any) -> list[str]:
        return [text_at(container, *path) or text_at(pod, *path) or "0"]

    return read


_CONTAINER_ROWS = (
    _ContainerRow("name", "Names", _one("name"), complete=True),
    _ContainerRow("image", "Image references", _one("image"), complete=True),
    _ContainerRow("image.repository", "Image references without tag and digest", _repository, complete=True),
    _ContainerRow("command", "Commands, each joined by blanks,", _joined("command")),
    _ContainerRow("args", "Arguments, each list joined by blanks,", _joined("args")),
    _ContainerRow("host_port", "Host ports (container ports where no host port is set)", _host_ports),
    _ContainerRow("privileged", "Privileged flags", _one("securityContext", "privileged")),
    _ContainerRow(
        "allow_privilege_escalation",
        "Flags that allow privilege escalation",
        _one("securityContext", "allowPrivilegeEscalation"),
    ),
    _ContainerRow("read_only_fs", "Read-only root flags", _one("securityContext", "readOnlyRootFilesystem")),
    _ContainerRow("run_as_user", "User ids set", _one("securityContext", "runAsUser")),
    _ContainerRow("run_as_group", "Group ids set", _one("securityContext", "runAsGroup")),
    _ContainerRow("eff_run_as_user", "User ids in effect (0 where neither sets one)", _effective("runAsUser")),
    _ContainerRow("eff_run_as_group", "Group ids in effect (0 where neither sets one)", _effective("runAsGroup")),
    _ContainerRow("proc_mount", "Kinds of /proc mount", _one("securityContext", "procMount")),
    _ContainerRow("add_capabilities", "Capabilities added", _capabilities),
)
