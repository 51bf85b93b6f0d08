"""
The Kubernetes objects behind a host event, in what the process knows of its cluster: ``k8smeta.*`` and old ``k8s.*``.

The pod is found by the uid in the cgroup path, else by the container's id.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from engine.fields import Field, Getter
from ingest.kubernetes.cluster import Cluster
from ingest.kubernetes.fields import Subject, metadata_fields
from ingest.kubernetes.objects import Object, Pod
from ingest.syscalls.containers import SHORT, pod_uid
from ingest.syscalls.host_event import HostEvent

_RELATION = "of the process"


def pod_of(cluster: Cluster, event: HostEvent) -> Pod | None:
    """Return the pod that an event comes from."""
    thread = event.record.thread
    if thread is None or not thread.container_id:
        return None
    uid = pod_uid(thread.cgroups)
    found = cluster.pods.by_uid(uid) if uid else None
    return found or cluster.pods.by_container(thread.container_id[:SHORT])


def pod_fields(cluster: Cluster) -> Iterator[Field]:
    """Yield the rows of ``k8smeta.*`` for host events."""
    return metadata_fields(cluster, _subject(cluster))


def _subject(cluster: Cluster) -> Subject:
    def pod(event: Any) -> Pod | None:
        return pod_of(cluster, event)

    def of_pod(find: Callable[[Pod], Object | None]) -> Callable[[Any], Object | None]:
        def found(event: Any) -> Object | None:
            owner = pod_of(cluster, event)
            return None if owner is None else find(owner)

        return found

    return Subject(
        _RELATION,
        pod,
        of_pod(lambda found: cluster.namespaces.find("", found.namespace)),
        of_pod(lambda found: cluster.nodes.find("", found.node)),
        of_pod(lambda found: cluster.service_accounts.find(found.namespace, found.service_account)),
        pod,
    )


def pod_getters(cluster: Cluster, by_runtime: Mapping[str, Getter]) -> dict[str, Getter]:
    """
    Return what ``k8s.pod.*`` and ``k8s.ns.name`` answer: by the runtime's labels, else by the cluster's metadata.

    The uid of a pod is in the cgroup path, so that it is known at once.
    """

    def uid(event: HostEvent) -> str | None:
        thread = event.record.thread
        return (pod_uid(thread.cgroups) or None) if thread is not None and thread.container_id else None

    facts: dict[str, Callable[[Pod], str | None]] = {
        "k8s.pod.name": lambda pod: pod.name,
        "k8s.ns.name": lambda pod: pod.namespace,
        "k8s.pod.ip": lambda pod: pod.ip,
        "k8s.pod.labels": lambda pod: _shown(pod.labels),
    }
    getters = {name: _first(by_runtime[name], _of(cluster, _itself, fact)) for name, fact in facts.items()}
    for name in ("k8s.pod.uid", "k8s.pod.id"):
        getters[name] = _first(by_runtime[name], uid)
    getters["k8s.pod.label"] = _first(by_runtime["k8s.pod.label"], _label(cluster, _itself))
    return getters


def _first(one: Getter, other: Getter) -> Getter:
    def get(event: HostEvent, *arg: Any) -> Any:
        found = one(event, *arg)
        return other(event, *arg) if found is None else found

    return get


def _itself(pod: Pod) -> Object | None:
    return pod


def retired_getters(cluster: Cluster) -> dict[str, Getter]:
    """Return what the fields of Kubernetes objects answer that old rules name, by what ``k8smeta.*`` knows."""
    kinds: dict[str, Callable[[Pod], Object | None]] = {
        "k8s.ns": lambda pod: cluster.namespaces.find("", pod.namespace),
        "k8s.rc": cluster.replication_controller,
        "k8s.rs": cluster.replica_set,
        "k8s.deployment": cluster.deployment,
        "k8s.svc": lambda pod: next(iter(cluster.services.selecting(pod)), None),
    }
    getters: dict[str, Getter] = {}
    for name, find in kinds.items():
        if name != "k8s.ns":
            getters[f"{name}.name"] = _of(cluster, find, lambda found: found.name)
        getters[f"{name}.id"] = _of(cluster, find, lambda found: found.uid)
        getters[f"{name}.labels"] = _of(cluster, find, lambda found: _shown(found.labels))
        getters[f"{name}.label"] = _label(cluster, find)
    return getters


def _of(cluster: Cluster, find: Callable[[Pod], Object | None], fact: Callable[[Any], str | None]) -> Getter:
    def get(event: HostEvent) -> str | None:
        pod = pod_of(cluster, event)
        found = None if pod is None else find(pod)
        return None if found is None else fact(found) or None

    return get


def _label(cluster: Cluster, find: Callable[[Pod], Object | None]) -> Getter:
    def get(event: HostEvent, key: str) -> str | None:
        pod = pod_of(cluster, event)
        found = None if pod is None else find(pod)
        return None if found is None else found.labels.get(key)

    return get


def _shown(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}:{value}" for key, value in labels.items())
