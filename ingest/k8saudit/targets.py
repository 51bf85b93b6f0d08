"""The objects of a cluster that an audit event is about, for the fields ``k8smeta.*``."""

from collections.abc import Iterable

from engine.event import Event, Record
from engine.fields import Field, ours
from ingest.jsonfields import text_at, value_at
from ingest.kubernetes.cluster import Cluster, Store, T
from ingest.kubernetes.fields import Subject, metadata_fields
from ingest.kubernetes.objects import Object, Pod

_RELATION = "that the request is about"


def target_fields(cluster: Cluster) -> Iterable[Field]:
    """Return the rows ``k8smeta.*`` of ``k8s_audit``, all of them Lanner's own: Falco has them for hosts."""
    return ours(metadata_fields(cluster, _subject(cluster)))


def _subject(cluster: Cluster) -> Subject:
    def pod(event: Event) -> Pod | None:
        record = event.record
        return _named(cluster.pods, record, "pods") if _is_here(cluster, record) else None

    def namespace(event: Event) -> Object | None:
        record = event.record
        if not _is_here(cluster, record):
            return None
        name = text_at(record, "objectRef", "namespace") or _name(record, "namespaces")
        return cluster.namespaces.find("", name) if name else None

    def node(event: Event) -> Object | None:
        return _direct(cluster, cluster.nodes, event, "nodes") or _of_pod(pod(event))

    def _of_pod(found: Pod | None) -> Object | None:
        return cluster.nodes.find("", found.node) if found else None

    def service_account(event: Event) -> Object | None:
        found = _direct(cluster, cluster.service_accounts, event, "serviceaccounts")
        if found:
            return found
        behind = pod(event)
        return cluster.service_accounts.find(behind.namespace, behind.service_account) if behind else None

    def replica_set(event: Event) -> Object | None:
        return _direct(cluster, cluster.replica_sets, event, "replicasets")

    def deployment(event: Event) -> Object | None:
        below = replica_set(event)
        if below and below.owner:
            return cluster.deployments.by_uid(below.owner.uid)
        return _direct(cluster, cluster.deployments, event, "deployments")

    def replication_controller(event: Event) -> Object | None:
        return _direct(cluster, cluster.replication_controllers, event, "replicationcontrollers")

    def service(event: Event) -> Object | None:
        return _direct(cluster, cluster.services, event, "services")

    def owned(event: Event) -> Object | None:
        return pod(event) or replica_set(event)

    return Subject(
        _RELATION,
        pod,
        namespace,
        node,
        service_account,
        owned,
        deployment,
        replica_set,
        replication_controller,
        service,
    )


def _is_here(cluster: Cluster, record: Record) -> bool:
    """Whether an event is of the cluster that is watched: names are good for one cluster only."""
    named = value_at(record, "annotations", "cluster_name")
    return named is None or named == cluster.name


def _direct(cluster: Cluster, store: Store[T], event: Event, resource: str) -> T | None:
    return _named(store, event.record, resource) if _is_here(cluster, event.record) else None


def _named(store: Store[T], record: Record, resource: str) -> T | None:
    name = _name(record, resource)
    if name is None:
        return None
    namespace = text_at(record, "objectRef", "namespace") if resource != "nodes" else None
    return store.find(namespace or "", name, text_at(record, "objectRef", "uid") or "")


def _name(record: Record, resource: str) -> str | None:
    """Return the name of the object if it is of this resource; the server's choice stands in the response only."""
    if text_at(record, "objectRef", "resource") != resource:
        return None
    return text_at(record, "objectRef", "name") or text_at(record, "responseObject", "metadata", "name")
