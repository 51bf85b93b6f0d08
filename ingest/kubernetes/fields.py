"""
The fields ``k8smeta.*``: what a cluster's metadata says of the object that an event is about.

A source gives the functions that find its event's objects; the rest is the same for all. Falco has these fields for
host events; a row of ours is one that its k8smeta plugin has not. Source of names and forms: spec fields 6.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from engine.event import Event
from engine.fields import Arg, Field, Getter, Type
from ingest.kubernetes.cluster import Cluster
from ingest.kubernetes.objects import Object, Owner, Pod

Find = Callable[[Event], Any]


def _none(_event: Event) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Subject:
    """
    How a source finds what an event is about; each function answers None where there is no such object.

    Attributes:
        relation: For the documentation, ``that the request is about``.
        pod, namespace, node, service_account: The object itself, or that which belongs to the pod.
        owned: The object whose owner is asked for.
        deployment, replica_set, replication_controller, service: The object itself, where an event can be about one.
    """

    relation: str
    pod: Callable[[Event], Pod | None]
    namespace: Callable[[Event], Object | None]
    node: Callable[[Event], Object | None]
    service_account: Callable[[Event], Object | None]
    owned: Callable[[Event], Object | None]
    deployment: Callable[[Event], Object | None] = _none
    replica_set: Callable[[Event], Object | None] = _none
    replication_controller: Callable[[Event], Object | None] = _none
    service: Callable[[Event], Object | None] = _none


def metadata_fields(cluster: Cluster, subject: Subject) -> Iterator[Field]:
    """Yield the rows of ``k8smeta.*`` for a source."""

    def itself_or_behind(direct: Find, of_pod: Callable[[Pod], Object | None]) -> Find:
        def find(event: Event) -> Object | None:
            pod = subject.pod(event)
            return of_pod(pod) if pod else direct(event)

        return find

    def owner(event: Event) -> Owner | None:
        found = subject.owned(event)
        return cluster.owner(found) if found else None

    what = subject.relation
    yield from _object_rows("pod", f"the pod {what}", subject.pod, suggested=True)
    yield from _pod_rows(f"the pod {what}", subject.pod)
    yield from _object_rows("ns", f"the namespace {what}", subject.namespace, suggested=True)
    for prefix, name, direct, of_pod in (
        ("deployment", "deployment", subject.deployment, cluster.deployment),
        ("rs", "replica set", subject.replica_set, cluster.replica_set),
        ("rc", "replication controller", subject.replication_controller, cluster.replication_controller),
    ):
        which = f"the {name} of the pod {what}" if direct is _none else f"the {name} {what}, or that of its pod"
        yield from _object_rows(prefix, which, itself_or_behind(direct, of_pod))
    which = f"the services that select the pod {what}"
    if subject.service is not _none:
        which = f"the service {what}, or those that select its pod"
    yield from _service_rows(cluster, subject, which)
    yield from _ours(_object_rows("node", f"the node {what}, or that its pod is on", subject.node))
    account = f"the service account {what}, or that its pod has"
    yield from _ours(_object_rows("sa", account, subject.service_account))
    yield from _ours(_owner_rows(f"the object {what}", owner))


def _ours(rows: Iterator[Field]) -> Iterator[Field]:
    return (replace(row, own=True) for row in rows)


def _object_rows(prefix: str, what: str, find: Find, suggested: bool = False) -> Iterator[Field]:
    def label(event: Event, key: str) -> str | None:
        found = find(event)
        return found.labels.get(key) if found else None

    def labels(event: Event) -> list[str] | None:
        found = find(event)
        return _pairs(found) if found else None

    name = f"k8smeta.{prefix}"
    yield Field(f"{name}.name", Type.STRING, f"Name of {what}.", _attribute(find, "name"), suggested=suggested)
    yield Field(f"{name}.uid", Type.STRING, f"Uid of {what}.", _attribute(find, "uid"))
    doc = f"Value of the label with this key of {what}."
    yield Field(f"{name}.label", Type.STRING, doc, label, arg=Arg.KEY, arg_required=True)
    yield Field(f"{name}.labels", Type.STRING, f"Labels of {what}, each as key:value.", labels, is_list=True)


def _pod_rows(what: str, find: Find) -> Iterator[Field]:
    doc = f"Address of {what}; a pod that starts has none yet."
    yield Field("k8smeta.pod.ip", Type.STRING, doc, _attribute(find, "ip"))
    rows = (
        ("images", Type.STRING, "Images of all containers", "images"),
        ("digests", Type.STRING, "Registry digests of the images that run", "digests"),
        ("privileged", Type.BOOL, "Whether a container is privileged", "privileged"),
        ("host_network", Type.BOOL, "Whether the network of its node is used", "host_network"),
        ("host_pid", Type.BOOL, "Whether the processes of its node are seen", "host_pid"),
        ("host_ipc", Type.BOOL, "Whether the IPC namespace of its node is used", "host_ipc"),
    )
    for suffix, kind, doc, attribute in rows:
        is_list = kind is Type.STRING
        get = _attribute(find, attribute)
        yield Field(f"k8smeta.pod.{suffix}", kind, f"{doc}, of {what}.", get, is_list=is_list, own=True)


def _owner_rows(what: str, find: Find) -> Iterator[Field]:
    doc = f"of what stands behind {what}: its controller, and of a replica set its deployment."
    yield Field("k8smeta.owner.kind", Type.STRING, f"Kind {doc}", _attribute(find, "kind"))
    yield Field("k8smeta.owner.name", Type.STRING, f"Name {doc}", _attribute(find, "name"))
    yield Field("k8smeta.owner.uid", Type.STRING, f"Uid {doc}", _attribute(find, "uid"))


def _service_rows(cluster: Cluster, subject: Subject, what: str) -> Iterator[Field]:
    def services(event: Event) -> list[Object]:
        pod = subject.pod(event)
        if pod:
            return list(cluster.services.selecting(pod))
        service = subject.service(event)
        return [service] if service else []

    def names(event: Event) -> list[str] | None:
        return [service.name for service in services(event)] or None

    def uids(event: Event) -> list[str] | None:
        return [service.uid for service in services(event)] or None

    def label(event: Event, key: str) -> list[str] | None:
        return [service.labels[key] for service in services(event) if key in service.labels] or None

    def labels(event: Event) -> list[str] | None:
        return [pair for service in services(event) for pair in _pairs(service) or ()] or None

    yield Field("k8smeta.svc.name", Type.STRING, f"Names of {what}.", names, is_list=True)
    yield Field("k8smeta.svc.uid", Type.STRING, f"Uids of {what}.", uids, is_list=True)
    doc = f"Values of the label with this key of {what}."
    yield Field("k8smeta.svc.label", Type.STRING, doc, label, is_list=True, arg=Arg.KEY, arg_required=True)
    yield Field("k8smeta.svc.labels", Type.STRING, f"Labels of {what}, each as key:value.", labels, is_list=True)


def _attribute(find: Find, name: str) -> Getter:
    """Return a getter of an attribute of what is found; an empty text or list is absent."""

    def get(event: Event) -> Any:
        found = find(event)
        value = getattr(found, name) if found else None
        return None if value == "" or value == () else value

    return get


def _pairs(found: Object) -> list[str] | None:
    return [f"{key}:{value}" for key, value in found.labels.items()] or None
