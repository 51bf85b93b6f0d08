"""
Objects of a cluster, reduced to what is kept of them, and their reading from what an API server answers.

Whatever else an object holds is stepped over while decoding and never becomes a Python object. Source: the Kubernetes
API, types v1 and apps/v1.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any

import msgspec

MOST_LABELS = 64
"""Labels kept of an object; more is no use, and whoever may make objects could fill the memory with them."""
_CONTAINER_ID = 12  # characters of a container's id, as ``container.id`` has it
_NONE: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Owner:
    """The controller of an object: what made it and would make it again."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Object:
    """What is kept of any object; ``namespace`` is "" where the kind has none."""

    uid: str
    name: str
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Pod(Object):
    """
    A pod.

    Attributes:
        mirror: The uid that the kubelet gave a static pod, which its cgroups have; "" for other pods.
        containers: First 12 characters of the ids of its containers.
        images: Of all containers, as the specification has them.
        digests: Of the images that its containers run, as their registries have them.
        privileged: Whether any container is.
    """

    mirror: str = ""
    ip: str = ""
    node: str = ""
    service_account: str = ""
    containers: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    privileged: bool = False
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False


@dataclass(frozen=True, slots=True)
class Service(Object):
    """A service; without a selector it selects no pods."""

    selector: Mapping[str, str] = field(default_factory=dict)

    def selects(self, pod: Pod) -> bool:
        """Whether requests to it go to the pod, once that is ready."""
        return bool(self.selector) and self.namespace == pod.namespace and self.selector.items() <= pod.labels.items()


class _Camel(msgspec.Struct, rename="camel", gc=False):
    pass


class _Reference(_Camel):
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class _Annotations(msgspec.Struct, gc=False):
    mirror: str = msgspec.field(name="kubernetes.io/config.mirror", default="")


class _Metadata(_Camel):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    owner_references: list[_Reference] | None = None
    annotations: _Annotations | None = None


class _Security(_Camel):
    privileged: bool | None = None


class _Container(_Camel):
    image: str = ""
    security_context: _Security | None = None


class _Spec(_Camel):
    node_name: str = ""
    service_account_name: str = ""
    host_network: bool = False
    host_pid: bool = msgspec.field(name="hostPID", default=False)
    host_ipc: bool = msgspec.field(name="hostIPC", default=False)
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    ephemeral_containers: list[_Container] | None = None
    selector: Any = None


class _ContainerStatus(_Camel):
    container_id: str = msgspec.field(name="containerID", default="")
    image_id: str = msgspec.field(name="imageID", default="")


class _Status(_Camel):
    pod_ip: str = msgspec.field(name="podIP", default="")
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None
    ephemeral_container_statuses: list[_ContainerStatus] | None = None


class _Whole(_Camel):
    metadata: _Metadata
    spec: _Spec | None = None
    status: _Status | None = None


class _Bare(_Camel):
    metadata: _Metadata


class Page(_Camel):
    """A page of a list; the items are still to be read, so that an odd one costs itself alone."""

    class Metadata(_Camel):
        """Where the list stands; ``continue_`` is "" on the last page."""

        resource_version: str = ""
        continue_: str = msgspec.field(name="continue", default="")

    metadata: Metadata
    items: list[msgspec.Raw] | None = None


class Change(msgspec.Struct):
    """A line of a watch; ``object`` is still to be read."""

    type: str
    object: msgspec.Raw


class Status(msgspec.Struct):
    """What an API server says of a failure."""

    code: int = 0
    message: str = ""
    reason: str = ""


class _Version(_Camel):
    resource_version: str = ""


class _Versioned(_Camel):
    metadata: _Version


_versioned = msgspec.json.Decoder(_Versioned)
_whole = msgspec.json.Decoder(_Whole)
_bare = msgspec.json.Decoder(_Bare)


def version_of(raw: msgspec.Raw) -> str:
    """Return the resource version of an object, of which all else may be odd. Raises ValueError."""
    return _versioned.decode(raw).metadata.resource_version


def read_object(raw: msgspec.Raw, kept: Collection[str] = ()) -> Object:
    """Return an object of any kind; only labels with a key in ``kept`` if there is one. Raises ValueError."""
    return Object(*_common(_bare.decode(raw).metadata, kept))


def read_pod(raw: msgspec.Raw, kept: Collection[str] = ()) -> Pod:
    """Return a pod; arguments and errors as ``read_object``."""
    found = _whole.decode(raw)
    spec, status = found.spec or _Spec(), found.status or _Status()
    containers = [*(spec.containers or ()), *(spec.init_containers or ()), *(spec.ephemeral_containers or ())]
    running = _statuses(status)
    return Pod(
        *_common(found.metadata, kept),
        mirror=found.metadata.annotations.mirror if found.metadata.annotations else "",
        ip=status.pod_ip,
        node=intern(spec.node_name),
        service_account=intern(spec.service_account_name),
        containers=tuple(id_ for found in running if (id_ := found.container_id.rpartition("//")[2][:_CONTAINER_ID])),
        images=tuple(intern(container.image) for container in containers if container.image),
        digests=tuple(intern(found.image_id.partition("@")[2]) for found in running if "@" in found.image_id),
        privileged=any(each.security_context and each.security_context.privileged for each in containers),
        host_network=spec.host_network,
        host_pid=spec.host_pid,
        host_ipc=spec.host_ipc,
    )


def read_service(raw: msgspec.Raw, kept: Collection[str] = ()) -> Service:
    """Return a service; arguments and errors as ``read_object``."""
    found = _whole.decode(raw)
    selector = found.spec.selector if found.spec else None
    return Service(*_common(found.metadata, kept), selector=selector if isinstance(selector, dict) else {})


def _common(metadata: _Metadata, kept: Collection[str]) -> tuple[str, str, str, Mapping[str, str], Owner | None]:
    owner = next((found for found in metadata.owner_references or () if found.controller), None)
    return (
        metadata.uid,
        metadata.name,
        intern(metadata.namespace),
        _labels(metadata.labels, kept),
        Owner(intern(owner.kind), owner.name, owner.uid) if owner else None,
    )


def _labels(given: dict[str, str] | None, kept: Collection[str]) -> Mapping[str, str]:
    """Return the labels that are kept; keys and values are shared, as most objects have those of others."""
    if not given:
        return _NONE
    chosen = [(key, value) for key, value in given.items() if not kept or key in kept][:MOST_LABELS]
    return {intern(key): intern(value) for key, value in chosen} or _NONE


def _statuses(status: _Status) -> list[_ContainerStatus]:
    """Return what is said of each container; ids are ``containerd://<64 hex digits>``, images ``name@sha256:...``."""
    lists = (status.container_statuses, status.init_container_statuses, status.ephemeral_container_statuses)
    return [found for each in lists for found in each or ()]
