"""The fields k8smeta.* of an audit event, asked as a rule would, of a cluster that tests fill."""

import json
from typing import Any

import msgspec
import pytest

from engine.event import Event
from engine.fields import Field
from ingest.k8saudit.targets import target_fields
from ingest.kubernetes.cluster import Cluster
from ingest.kubernetes.objects import Object, Owner, read_pod, read_service
from tests.ingest.k8saudit.samples import TABLE, audit, event
from tests.ingest.kubernetes.apiserver import pod, thing

EXEC = {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": "web-5d9-x", "apiVersion": "v1"}


def raw(found: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(found).encode())


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster()
    cluster.namespaces.put(Object("u-ns", "shop", labels={"team": "shop"}))
    cluster.nodes.put(Object("u-node", "node-1", labels={"zone": "a"}))
    cluster.service_accounts.put(Object("u-sa", "web", "shop", {"app": "web"}))
    cluster.deployments.put(Object("u-dep", "web", "shop", {"tier": "front"}))
    owner = Owner("Deployment", "web", "u-dep")
    cluster.replica_sets.put(Object("u-rs", "web-5d9", "shop", {"hash": "5d9"}, owner))
    cluster.replication_controllers.put(Object("u-rc", "old", "shop", {"gen": "1"}))
    privileged = [{"image": "web:1", "securityContext": {"privileged": True}}]
    found = pod(
        "web-5d9-x", owner=("ReplicaSet", "web-5d9", "u-rs"), container="ab" * 32, hostPID=True, containers=privileged
    )
    cluster.pods.put(read_pod(raw(found)))
    cluster.pods.put(read_pod(raw(pod("old-1", owner=("ReplicationController", "old", "u-rc"), labels={}))))
    for name in ("web", "other"):
        service = {**thing(name, "shop", labels={"svc": name}), "spec": {"selector": {"app": name}}}
        cluster.services.put(read_service(raw(service)))
    return cluster


def rows(cluster: Cluster) -> dict[str, Field]:
    return {row.name: row for row in target_fields(cluster)}


def ask(cluster: Cluster, name: str, record: dict[str, Any] | Event, *key: str) -> Any:
    get = rows(cluster)[name].get
    assert get is not None
    return get(record if isinstance(record, Event) else event(record), *key)


WANTED = {
    "k8smeta.pod.name": "web-5d9-x",
    "k8smeta.pod.uid": "uid-shop-web-5d9-x",
    "k8smeta.pod.label[app]": "web",
    "k8smeta.pod.labels": ["app:web"],
    "k8smeta.pod.ip": "10.1.2.3",
    "k8smeta.pod.images": ("web:1",),
    "k8smeta.pod.digests": ("sha256:" + "0f" * 32,),
    "k8smeta.pod.privileged": True,
    "k8smeta.pod.host_pid": True,
    "k8smeta.pod.host_network": False,
    "k8smeta.pod.host_ipc": False,
    "k8smeta.ns.name": "shop",
    "k8smeta.ns.uid": "u-ns",
    "k8smeta.ns.label[team]": "shop",
    "k8smeta.ns.label[other]": None,
    "k8smeta.ns.labels": ["team:shop"],
    "k8smeta.deployment.name": "web",
    "k8smeta.deployment.uid": "u-dep",
    "k8smeta.deployment.label[tier]": "front",
    "k8smeta.deployment.labels": ["tier:front"],
    "k8smeta.rs.name": "web-5d9",
    "k8smeta.rs.uid": "u-rs",
    "k8smeta.rs.label[hash]": "5d9",
    "k8smeta.rs.labels": ["hash:5d9"],
    "k8smeta.rc.name": None,
    "k8smeta.svc.name": ["web"],
    "k8smeta.svc.uid": ["uid-shop-web"],
    "k8smeta.svc.label[svc]": ["web"],
    "k8smeta.svc.label[other]": None,
    "k8smeta.svc.labels": ["svc:web"],
    "k8smeta.node.name": "node-1",
    "k8smeta.node.uid": "u-node",
    "k8smeta.node.label[zone]": "a",
    "k8smeta.node.labels": ["zone:a"],
    "k8smeta.sa.name": "web",
    "k8smeta.sa.uid": "u-sa",
    "k8smeta.sa.label[app]": "web",
    "k8smeta.sa.labels": ["app:web"],
    "k8smeta.owner.kind": "Deployment",
    "k8smeta.owner.name": "web",
    "k8smeta.owner.uid": "u-dep",
}


@pytest.mark.parametrize("name", WANTED)
def test_what_is_known_of_the_pod_that_somebody_gets_into(cluster: Cluster, name: str) -> None:
    field, _, key = name.rstrip("]").partition("[")
    assert ask(cluster, field, audit(objectRef=EXEC), *([key] if key else [])) == WANTED[name]


def test_every_field_but_those_of_replication_controllers_is_tried_above(cluster: Cluster) -> None:
    assert set(rows(cluster)) - {name.partition("[")[0] for name in WANTED} == {
        "k8smeta.rc.uid",
        "k8smeta.rc.label",
        "k8smeta.rc.labels",
    }


def test_a_pod_of_a_replication_controller(cluster: Cluster) -> None:
    record = audit(objectRef={**EXEC, "name": "old-1"})
    names = ("k8smeta.rc.name", "k8smeta.rc.uid", "k8smeta.rc.labels", "k8smeta.owner.kind", "k8smeta.deployment.name")
    assert [ask(cluster, name, record) for name in names] == ["old", "u-rc", ["gen:1"], "ReplicationController", None]


@pytest.mark.parametrize("name", [name for name in WANTED if "[" not in name])
def test_without_an_api_server_every_field_is_absent(name: str) -> None:
    assert ask(Cluster(), name, audit(objectRef=EXEC)) is None


@pytest.mark.parametrize(
    "reference",
    [
        None,
        {},
        {"resource": "pods", "namespace": "shop"},
        {"resource": "pods", "namespace": "other", "name": "web-5d9-x"},
        {"resource": "pods", "namespace": "shop", "name": "web-5d9-x", "uid": "another one of this name"},
        {"resource": "secrets", "namespace": "shop", "name": "web-5d9-x"},
        {"resource": ["pods"], "namespace": {}, "name": 5},
        "pods",
    ],
)
def test_another_object_gets_nothing_of_the_pod(cluster: Cluster, reference: Any) -> None:
    assert ask(cluster, "k8smeta.pod.name", audit(objectRef=reference)) is None
    assert ask(cluster, "k8smeta.owner.name", audit(objectRef=reference)) is None
    assert ask(cluster, "k8smeta.svc.name", audit(objectRef=reference)) is None


def test_a_pod_whose_name_the_server_chose_is_found_by_the_response(cluster: Cluster) -> None:
    record = audit(
        verb="create",
        objectRef={"resource": "pods", "namespace": "shop"},
        responseObject={"metadata": {"name": "web-5d9-x"}},
    )
    assert ask(cluster, "k8smeta.pod.uid", record) == "uid-shop-web-5d9-x"


@pytest.mark.parametrize(
    ("reference", "name", "wanted"),
    [
        ({"resource": "namespaces", "name": "shop"}, "k8smeta.ns.labels", ["team:shop"]),
        ({"resource": "namespaces", "namespace": "shop", "name": "shop"}, "k8smeta.ns.labels", ["team:shop"]),
        ({"resource": "secrets", "namespace": "shop", "name": "s"}, "k8smeta.ns.labels", ["team:shop"]),
        ({"resource": "nodes", "name": "node-1", "subresource": "proxy"}, "k8smeta.node.labels", ["zone:a"]),
        ({"resource": "serviceaccounts", "namespace": "shop", "name": "web"}, "k8smeta.sa.uid", "u-sa"),
        ({"resource": "replicasets", "namespace": "shop", "name": "web-5d9"}, "k8smeta.owner.kind", "Deployment"),
        ({"resource": "replicasets", "namespace": "shop", "name": "web-5d9"}, "k8smeta.rs.labels", ["hash:5d9"]),
        ({"resource": "replicasets", "namespace": "shop", "name": "web-5d9"}, "k8smeta.deployment.uid", "u-dep"),
        ({"resource": "deployments", "namespace": "shop", "name": "web"}, "k8smeta.deployment.labels", ["tier:front"]),
        (
            {"resource": "deployments", "namespace": "shop", "name": "web", "subresource": "scale"},
            "k8smeta.deployment.uid",
            "u-dep",
        ),
        ({"resource": "replicationcontrollers", "namespace": "shop", "name": "old"}, "k8smeta.rc.label[gen]", "1"),
        ({"resource": "services", "namespace": "shop", "name": "web"}, "k8smeta.svc.labels", ["svc:web"]),
        ({"resource": "services", "namespace": "other", "name": "web"}, "k8smeta.svc.labels", None),
        ({"resource": "clusterroles", "name": "shop"}, "k8smeta.ns.labels", None),
    ],
)
def test_other_objects(cluster: Cluster, reference: Any, name: str, wanted: Any) -> None:
    field, _, key = name.rstrip("]").partition("[")
    assert ask(cluster, field, audit(objectRef=reference), *([key] if key else [])) == wanted


@pytest.mark.parametrize(
    ("ours", "named", "known"),
    [("", None, True), ("prod", None, True), ("prod", "prod", True), ("prod", "test", False), ("", "test", False)],
)
def test_names_are_looked_up_in_the_cluster_that_they_are_of(
    cluster: Cluster, ours: str, named: str | None, known: bool
) -> None:
    cluster.name = ours
    record = audit(objectRef=EXEC, annotations={"cluster_name": named} if named else {})
    for name in ("k8smeta.pod.name", "k8smeta.ns.name", "k8smeta.node.name", "k8smeta.sa.name", "k8smeta.owner.name"):
        assert (ask(cluster, name, record) is not None) is known, name


def test_the_table_of_the_source_has_them_as_its_own() -> None:
    found = [row for name, row in TABLE.fields.items() if name.startswith("k8smeta.")]
    assert len(found) == len(rows(Cluster()))
    assert all(row.own for row in found)
