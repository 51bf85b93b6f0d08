import json

import pytest

from ingest.kubernetes.cluster import HERE
from ingest.kubernetes.objects import Object, Owner, Pod, Service
from ingest.syscalls.call import Call
from ingest.syscalls.containers import (
    Container,
    Containers,
    Identity,
    Mount,
    identify,
    pod_uid,
    read_note,
    split_image,
)
from tests.ingest.syscalls.host import SHELL, Host, field

ID = "ad64969c62e5" + "0" * 52
UID = "0b1c2d3e-0000-4111-8222-333344445555"


@pytest.mark.parametrize(
    ("path", "runtime", "name"),
    [
        (f"/machine.slice/libpod-{ID}.scope", "podman", ID),
        (f"/machine.slice/libpod-{ID}.scope/container", "podman", ID),
        (f"/libpod_parent/libpod-{ID}", "podman", ID),
        (f"/x/libpod-payload-{ID}", "podman", ID),
        (f"/docker/{ID}", "docker", ID),
        (f"/system.slice/docker-{ID}.scope", "docker", ID),
        (f"/kubepods/burstable/pod{UID}/{ID}", "docker", ID),
        (f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/crio-{ID}.scope", "cri", ID),
        (f"/kubepods.slice/x.slice/cri-containerd-{ID}.scope", "cri", ID),
        (f"/system.slice/containerd.service/kubepods-x:cri-containerd:{ID}", "cri", ID),
        (f"/system.slice/nerdctl-{ID}.scope", "cri", ID),
        ("/default/redis", "containerd", "redis"),
        ("/lxc/web", "lxc", "web"),
        ("/lxc.payload.web", "lxc", "web"),
        ("/lxc.payload/web", "lxc", "web"),
        ("/machine.slice/machine-lxc\\x2dweb.scope/libvirt", "libvirt-lxc", "web"),
        ("/machine/web.libvirt-lxc", "libvirt-lxc", "web"),
        ("/system.slice/bpm-job.scope", "bpm", "job"),
    ],
)
def test_containers_are_told_by_the_end_of_a_cgroup_path(path: str, runtime: str, name: str) -> None:
    assert identify((("cpu", path), ("memory", path))) == Identity(name, runtime)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/user.slice/user-1000.slice/session-2.scope",
        "/system.slice/ssh.service",
        "/init.scope",
        f"/docker/{ID}/inner",
        f"/docker/{ID[:-1]}",
        "/a/b/c",
        "/kubepods/besteffort",
    ],
)
def test_other_paths_are_of_the_host(path: str) -> None:
    assert identify((("cpu", path),)) == Identity("", "host")


def test_a_free_name_needs_all_subsystems() -> None:
    assert identify((("cpu", "/"), ("memory", "/default/redis"))) == Identity("", "host")


def test_the_pod_is_told_by_the_cgroup_path() -> None:
    assert pod_uid((("cpu", f"/kubepods/pod{UID}/{ID}"),)) == UID
    assert pod_uid((("cpu", f"/kubepods-pod{UID.replace('-', '_')}.slice/x"),)) == UID
    assert pod_uid((("cpu", "/kubepods/podcast"),)) == ""


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("nginx", ("nginx", "", "")),
        ("nginx:1.25", ("nginx", "1.25", "")),
        ("host:5000/a/b", ("host:5000/a/b", "", "")),
        ("host:5000/a/b:1@sha256:ff", ("host:5000/a/b", "1", "sha256:ff")),
        ("", ("", "", "")),
    ],
)
def test_images_are_split(reference: str, parts: tuple[str, str, str]) -> None:
    assert tuple(split_image(reference)) == parts


def test_a_container_is_asked_for_once() -> None:
    containers = Containers()
    for _ in range(3):
        containers.want(Identity(ID, "docker"), 7)
    assert containers.take_wanted() == [(ID, "docker", 7)]
    assert containers.take_wanted() == []
    containers.put(Container(ID))
    containers.want(Identity(ID, "docker"), 7)
    assert containers.take_wanted() == []


def in_container(host: Host, path: str = f"/docker/{ID}") -> Call:
    return host.execve(SHELL, "nginx", cgroups=f"cpu={path}\0memory={path}\0".encode())


def test_an_exec_in_a_container_is_told_at_once_by_its_id_alone() -> None:
    host = Host()
    call = in_container(host)
    expected = {
        "container.id": ID[:12],
        "container.full_id": ID,
        "container.name": None,
        "container.image": None,
        "container.type": None,
        "container.privileged": None,
        "k8s.pod.name": None,
        "fd.containername": None,
    }
    assert {name: field(call, name) for name in expected} == expected
    assert host.table.containers.take_wanted() == [(ID, "docker", SHELL)]


def test_the_host_is_a_container_named_host() -> None:
    call = Host().call("open", 3, "/x", 1)
    expected = {
        "container.id": "host",
        "container.full_id": "host",
        "container.name": "host",
        "container.type": "host",
        "container.image": "",
        "container.privileged": False,
        "container.mounts": "",
        "container.start_ts": None,
        "container.mount[0]": None,
        "fd.containername": ":/x",
        "fd.containerdirectory": ":/",
    }
    assert {name: field(call, name) for name in expected} == expected


NOTE = {
    "container": {
        "id": ID[:12],
        "full_id": ID,
        "type": 0,
        "name": "express_server",
        "image": "registry:5000/shop/web:1.2",
        "imageid": "abc",
        "privileged": True,
        "Mounts": [
            {"Source": "/etc", "Destination": "/host/etc", "Mode": "ro", "RW": False, "Propagation": "rprivate"},
            {"Source": "/var/run/docker.sock", "Destination": "/sock", "Mode": "", "RW": True, "Propagation": ""},
        ],
        "labels": {
            "app": "shop",
            "io.kubernetes.pod.name": "web-1",
            "io.kubernetes.pod.namespace": "prod",
            "io.kubernetes.pod.uid": UID,
        },
        "ip": "10.1.2.3",
        "pod_sandbox_id": "f" * 64,
        "pod_sandbox_labels": {"tier": "front"},
    }
}


def test_what_is_known_of_a_container_answers_its_fields() -> None:
    host = Host()
    host.call("container", json.dumps(NOTE), on=0)
    call = in_container(host)
    expected = {
        "container.name": "express_server",
        "container.type": "docker",
        "container.image": "registry:5000/shop/web:1.2",
        "container.image.repository": "registry:5000/shop/web",
        "container.image.tag": "1.2",
        "container.image.digest": "",
        "container.image.id": "abc",
        "container.privileged": True,
        "container.mounts": "/etc:/host/etc:ro:false:rprivate,/var/run/docker.sock:/sock::true:",
        "container.mount[1]": "/var/run/docker.sock:/sock::true:",
        "container.mount[2]": None,
        "container.mount[/etc]": "/etc:/host/etc:ro:false:rprivate",
        "container.mount[*docker.sock]": "/var/run/docker.sock:/sock::true:",
        "container.mount[^/etc$]": "/etc:/host/etc:ro:false:rprivate",
        "container.mount[/none]": None,
        "container.mount.source[/sock]": "/var/run/docker.sock",
        "container.mount.dest[/etc]": "/host/etc",
        "container.mount.mode[/etc]": "ro",
        "container.mount.rdwr[/etc]": "false",
        "container.mount.propagation[0]": "rprivate",
        "container.ip": "10.1.2.3",
        "container.label.app": "shop",
        "container.label[none]": None,
        "container.labels": "app:shop",
        "k8s.pod.name": "web-1",
        "k8s.ns.name": "prod",
        "k8s.pod.uid": UID,
        "k8s.pod.id": UID,
        "k8s.pod.ip": "10.1.2.3",
        "k8s.pod.sandbox_id": "f" * 12,
        "k8s.pod.full_sandbox_id": "f" * 64,
        "k8s.pod.label.tier": "front",
        "k8s.pod.labels": "tier:front",
    }
    assert {name: field(call, name) for name in expected} == expected
    assert host.table.containers.take_wanted() == []


def test_the_sandbox_knows_what_its_containers_do_not() -> None:
    host = Host()
    labels = {"io.kubernetes.pod.name": "web-1"}
    host.table.containers.put(Container(ID, labels=labels, sandbox_id="f" * 64))
    host.table.containers.put(Container("f" * 64, ip="10.9.9.9", labels={"tier": "back"}))
    call = in_container(host)
    assert [field(call, name) for name in ("k8s.pod.ip", "k8s.pod.label.tier")] == ["10.9.9.9", "back"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"container": []}', '{"container": {"id": 5}}', '{"container": {}}'])
def test_odd_notes_are_no_containers(text: str) -> None:
    assert read_note(text) is None


def test_odd_parts_of_a_note_are_left_out() -> None:
    found = read_note(json.dumps({"container": {"id": "x", "Mounts": [1, {}], "labels": {"a": 1}, "type": []}}))
    assert found == Container(
        "x",
        mounts=(Mount("", "", "", False, ""),),
        privileged=False,
        host_pid=False,
        host_network=False,
        host_ipc=False,
    )


def test_the_start_of_a_container_is_that_of_its_pid_namespace() -> None:
    host = Host()
    host.fork(101)
    start = host.now - 5
    host.call(
        "clone",
        0,
        on=102,
        tid=102,
        pid=102,
        ptid=101,
        cgroups=f"cpu=/docker/{ID}\0".encode(),
        pidns_init_start_ts=start,
    )
    call = host.call("getuid", 0, on=102)
    assert field(call, "container.start_ts") == start
    assert field(call, "container.duration") == host.now - start


def test_pods_owners_and_namespaces_come_from_the_metadata_of_the_cluster() -> None:
    pod = Pod(
        "u1" + UID[2:], "web-1", "prod", {"app": "web"}, Owner("ReplicaSet", "web-x", "rs1"), containers=(ID[:12],)
    )
    HERE.pods.put(pod)
    HERE.namespaces.put(Object("ns1", "prod", labels={"team": "shop"}))
    HERE.replica_sets.put(Object("rs1", "web-x", "prod", owner=Owner("Deployment", "web", "d1")))
    HERE.deployments.put(Object("d1", "web", "prod", {"d": "1"}))
    HERE.services.put(Service("s1", "front", "prod", selector={"app": "web"}))
    try:
        call = in_container(Host())
        expected = {
            "k8smeta.pod.name": "web-1",
            "k8smeta.ns.label[team]": "shop",
            "k8smeta.deployment.name": "web",
            "k8smeta.svc.name": ["front"],
            "k8s.pod.name": "web-1",
            "k8s.ns.name": "prod",
            "k8s.pod.label.app": "web",
            "k8s.pod.labels": "app:web",
            "k8s.pod.uid": None,
            "k8s.deployment.name": "web",
            "k8s.deployment.label.d": "1",
            "k8s.rs.name": "web-x",
            "k8s.rs.id": "rs1",
            "k8s.ns.id": "ns1",
            "k8s.ns.labels": "team:shop",
            "k8s.svc.name": "front",
            "k8s.rc.name": None,
        }
        assert {name: field(call, name) for name in expected} == expected
        other = in_container(Host(), "/docker/" + "e" * 64)
        assert field(other, "k8smeta.pod.name") is None
        assert field(Host().call("getuid", 0), "k8s.deployment.name") is None
    finally:
        for store in (HERE.pods, HERE.namespaces, HERE.replica_sets, HERE.deployments, HERE.services):
            for uid in list(store._by_uid):
                store._drop(store._by_uid.pop(uid))  # type: ignore[arg-type]


def test_the_pod_of_a_static_one_is_found_by_the_uid_in_the_path() -> None:
    HERE.pods.put(Pod(UID, "etcd", "kube-system"))
    try:
        call = in_container(Host(), f"/kubepods/pod{UID}/{ID}")
        names = ("k8smeta.pod.name", "k8s.pod.name", "k8s.ns.name", "k8s.pod.uid", "k8s.pod.id", "k8s.pod.ip")
        assert [field(call, name) for name in names] == ["etcd", "etcd", "kube-system", UID, UID, None]
    finally:
        HERE.pods._drop(HERE.pods._by_uid.pop(UID))
