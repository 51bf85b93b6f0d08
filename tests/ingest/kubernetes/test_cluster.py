"""The stores by themselves: names that are used again, bounds, and what is kept of an object."""

import json
from typing import Any

import msgspec
import pytest

from ingest.kubernetes import cluster as module
from ingest.kubernetes.cluster import Cluster, Pods, Services, Store
from ingest.kubernetes.objects import MOST_LABELS, Object, Pod, Service, read_object, read_pod, read_service
from tests.ingest.kubernetes.apiserver import pod, thing


def raw(found: Any) -> msgspec.Raw:
    return msgspec.Raw(json.dumps(found).encode())


def test_a_name_that_is_used_again_stands_for_the_newer_object_and_a_uid_for_the_very_one() -> None:
    store: Store[Object] = Store()
    old, new = Object("u1", "web-0", "shop"), Object("u2", "web-0", "shop")
    store.put(old)
    store.remove("u1")
    store.put(new)

    assert store.find("shop", "web-0") is new
    assert store.find("shop", "web-0", "u1") is old
    assert store.find("shop", "web-0", "u3") is None
    assert store.find("other", "web-0") is None


def test_forgetting_the_old_object_of_a_name_leaves_the_new_one() -> None:
    now = 0.0
    store: Store[Object] = Store(lambda: now)
    store.put(Object("u1", "web-0", "shop"))
    store.remove("u1")
    store.put(Object("u2", "web-0", "shop"))
    now = module.KEPT_DELETED + 1
    store.forget_old()

    assert store.by_uid("u1") is None
    found = store.find("shop", "web-0")
    assert found is not None
    assert found.uid == "u2"


def test_an_object_that_comes_back_is_not_forgotten() -> None:
    now = 0.0
    store: Store[Object] = Store(lambda: now)
    store.put(Object("u1", "a"))
    store.keep_only(())
    store.put(Object("u1", "a"))
    now = module.KEPT_DELETED + 1
    store.forget_old()

    assert store.find("", "a") is not None


def test_there_is_an_end_to_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OBJECTS", 100)
    monkeypatch.setattr(module, "MOST_DELETED", 10)
    store: Store[Object] = Store()
    for number in range(150):
        store.put(Object(f"u{number}", f"n{number}"))
    assert (len(store), store.left_out) == (100, 50)

    store.keep_only({"u1"})
    assert len(store) == 11
    store.put(Object("u1", "renamed"))
    assert store.find("", "renamed") is not None


def test_an_object_without_uid_is_none() -> None:
    store: Store[Object] = Store()
    store.put(Object("", "a"))
    assert len(store) == 0


def test_nothing_is_left_of_pods_that_came_and_went() -> None:
    now = 0.0
    pods, services = Pods(lambda: now), Services(lambda: now)
    for number in range(1000):
        pods.put(Pod(f"u{number}", f"n{number}", "shop", mirror=f"m{number}", containers=(f"c{number}",)))
        pods.put(Pod(f"u{number}", f"n{number}", "shop", mirror=f"m{number}", containers=(f"d{number}",)))
        pods.remove(f"u{number}")
        services.put(Service(f"u{number}", "s", f"ns{number}", selector={"a": "b"}))
        services.remove(f"u{number}")
    now = module.KEPT_DELETED + 1
    pods.forget_old()
    services.forget_old()

    assert not any((pods._by_uid, pods._by_name, pods._by_container, pods._by_mirror, pods._deleted))
    assert not any((services._by_uid, services._by_name, services._by_namespace, services._deleted))


def test_a_static_pod_is_found_by_the_uid_that_its_cgroups_have() -> None:
    found = read_pod(raw(pod("etcd", metadata={"annotations": {"kubernetes.io/config.mirror": "0a1b"}})))
    pods = Pods()
    pods.put(found)

    assert pods.by_uid("0a1b") is found
    assert pods.by_uid("uid-shop-etcd") is found


def test_what_is_kept_of_a_pod() -> None:
    spec = {
        "hostNetwork": True,
        "hostPID": True,
        "hostIPC": True,
        "initContainers": [{"image": "init:1", "securityContext": {"privileged": True}}],
        "ephemeralContainers": [{"image": "debug:1"}],
        "volumes": [{"hostPath": {"path": "/"}}],
    }
    owner = ("ReplicaSet", "web-5d9", "u9")
    found = read_pod(raw(pod("a", container="ab" * 32, owner=owner, **spec)))

    assert (found.privileged, found.host_network, found.host_pid, found.host_ipc) == (True, True, True, True)
    assert found.images == ("registry:5000/web:1", "init:1", "debug:1")
    assert found.containers == ("ab" * 6,)
    assert found.digests == ("sha256:" + "0f" * 32,)
    assert found.owner is not None
    assert (found.owner.kind, found.owner.name, found.owner.uid) == owner


def test_only_the_controller_is_the_owner() -> None:
    references = [
        {"kind": "Node", "name": "n", "uid": "u1"},
        {"kind": "Node", "name": "n", "uid": "u2", "controller": False},
    ]
    assert read_object(raw(thing("a", ownerReferences=references))).owner is None


def test_labels_without_end_are_cut() -> None:
    found = read_object(raw(thing("a", labels={f"k{number}": "v" for number in range(10_000)})))
    assert len(found.labels) == MOST_LABELS


def test_equal_labels_are_held_once() -> None:
    one, other = (read_object(raw(thing(name, labels={"some-key": "some-value"}))) for name in "ab")
    ((key, value),), ((other_key, other_value),) = one.labels.items(), other.labels.items()
    assert key is other_key
    assert value is other_value


def test_services_select_by_all_their_labels_within_their_namespace() -> None:
    services = Services()
    for number, (namespace, selector) in enumerate(
        [("shop", {"app": "web"}), ("shop", {"app": "web", "tier": "x"}), ("other", {"app": "web"}), ("shop", None)]
    ):
        spec = {"selector": selector} if selector else {}
        services.put(read_service(raw({**thing(f"s{number}", namespace), "spec": spec})))

    assert [each.name for each in services.selecting(Pod("u", "p", "shop", {"app": "web", "z": "1"}))] == ["s0"]


def test_the_owner_of_a_pod_without_a_known_replica_set_is_the_replica_set() -> None:
    cluster = Cluster()
    found = read_pod(raw(pod("a", owner=("ReplicaSet", "web-5d9", "u9"))))
    owner = cluster.owner(found)
    assert owner is not None
    assert owner.kind == "ReplicaSet"
    assert cluster.deployment(found) is None


def test_a_pod_takes_about_a_kilobyte() -> None:
    import tracemalloc

    def made(number: int) -> msgspec.Raw:
        labels = {"app": "web", "pod-template-hash": "5d94d6cf8", "app.kubernetes.io/part-of": "shop"}
        uid = f"0f1e2d3c-0000-4000-8000-{number:012d}"
        found = pod(f"web-{number}", container=f"{number:064x}"[::-1], labels=labels, owner=("ReplicaSet", "w", "u"))
        found["metadata"]["uid"] = uid
        found["metadata"]["managedFields"] = [{"manager": "kubelet", "fieldsV1": {"f:status": {"x": "y" * 2000}}}]
        return raw(found)

    pods, count = Pods(), 2000
    tracemalloc.start()
    for number in range(count):
        pods.put(read_pod(made(number)))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held / count < 2048
