"""Runtimes that answer as Docker, containerd and CRI-O do: a server on a UNIX socket, bundles in a directory."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from ingest.syscalls.containers import Container, Containers, Identity, Mount
from ingest.syscalls.runtimes import RuntimeLookups, ask_runtimes, inspect, read_bundle

ID = "ad64969c62e5" + "0" * 52
INSPECTED = {
    "Id": ID,
    "Name": "/shop",
    "Image": "sha256:" + "b" * 64,
    "Config": {"Image": "registry:5000/shop/web:1.2", "User": "1000", "Labels": {"app": "shop"}},
    "HostConfig": {"Privileged": True, "PidMode": "host", "NetworkMode": "bridge", "IpcMode": "private"},
    "NetworkSettings": {"IPAddress": "", "Networks": {"front": {"IPAddress": "172.18.0.2"}}},
    "Mounts": [{"Source": "/etc", "Destination": "/e", "Mode": "ro", "RW": False, "Propagation": "rprivate"}],
}
IMAGE = {"RepoTags": ["shop/web:1.2"], "RepoDigests": ["registry:5000/shop/web@sha256:" + "c" * 64]}


class Runtime:
    """A runtime on a socket, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.containers: dict[str, Any] = {}
        self.asked: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        app = web.Application()
        app.router.add_get("/containers/{id}/json", self._container)
        app.router.add_get("/images/{id}/json", self._image)
        self._loop.run_until_complete(self._serve(app))
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._runner.cleanup())

    async def _serve(self, app: web.Application) -> None:
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.UnixSite(self._runner, str(self.path)).start()

    async def _container(self, request: web.Request) -> web.Response:
        self.asked.append(request.match_info["id"])
        found = self.containers.get(request.match_info["id"])
        if isinstance(found, str):
            return web.Response(text=found)
        return web.json_response(found) if found else web.json_response({"message": "No such container"}, status=404)

    async def _image(self, request: web.Request) -> web.Response:
        assert request.match_info["id"] == INSPECTED["Image"]
        return web.json_response(IMAGE)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    (tmp_path / "var/run").mkdir(parents=True)
    made = Runtime(tmp_path / "var/run/docker.sock")
    yield made
    made.stop()


def test_docker_tells_what_it_knows(runtime: Runtime, tmp_path: Path) -> None:
    runtime.containers[ID] = INSPECTED
    assert ask_runtimes(str(tmp_path))(ID, 7) == Container(
        id=ID,
        name="shop",
        image="registry:5000/shop/web:1.2",
        image_id="b" * 64,
        repository="registry:5000/shop/web",
        tag="1.2",
        digest="sha256:" + "c" * 64,
        runtime="docker",
        user="1000",
        privileged=True,
        host_pid=True,
        host_network=False,
        host_ipc=False,
        ip="172.18.0.2",
        mounts=(Mount("/etc", "/e", "ro", False, "rprivate"),),
        labels={"app": "shop"},
    )


def test_an_image_without_a_name_has_that_of_its_tags(runtime: Runtime) -> None:
    runtime.containers[ID] = INSPECTED | {"Config": {"Image": INSPECTED["Image"]}}
    found = inspect(runtime.path, "docker", ID)
    assert found is not None
    assert (found.image, found.repository) == ("shop/web:1.2", "shop/web")


@pytest.mark.parametrize("answer", ["", "[]", "not json", '{"Config": 5, "Mounts": {}, "HostConfig": []}'])
def test_odd_answers_harm_nothing(runtime: Runtime, answer: str) -> None:
    runtime.containers[ID] = answer
    found = inspect(runtime.path, "docker", ID)
    assert found is None or found.name == ""


def test_a_runtime_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.syscalls.runtimes.TIMEOUT_S", 0.2)
    path = tmp_path / "silent.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        assert inspect(path, "docker", ID) is None


def bundle(tmp_path: Path, folder: str, inner: str, content: Any) -> None:
    path = tmp_path / folder / ID / inner
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))


CONTAINERD = {
    "annotations": {
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.container-name": "web",
        "io.kubernetes.cri.image-name": "docker.io/library/nginx:1.25",
        "io.kubernetes.cri.sandbox-id": "f" * 64,
        "io.kubernetes.cri.sandbox-name": "web-1",
        "io.kubernetes.cri.sandbox-namespace": "prod",
        "io.kubernetes.cri.sandbox-uid": "u1",
    },
    "process": {"capabilities": {"bounding": ["CAP_CHOWN"]}},
    "linux": {"namespaces": [{"type": "pid"}, {"type": "ipc"}, {"type": "mount"}], "maskedPaths": ["/proc/kcore"]},
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"]},
        {"destination": "/etc/hosts", "type": "bind", "source": "/var/h", "options": ["rbind", "rprivate", "ro"]},
    ],
}


def test_containerd_is_read_from_its_bundle(tmp_path: Path) -> None:
    bundle(tmp_path, "run/containerd/io.containerd.runtime.v2.task/k8s.io", "config.json", CONTAINERD)
    assert ask_runtimes(str(tmp_path))(ID, 7) == Container(
        id=ID,
        name="web",
        image="docker.io/library/nginx:1.25",
        repository="docker.io/library/nginx",
        tag="1.25",
        runtime="containerd",
        privileged=False,
        host_pid=False,
        host_network=True,
        host_ipc=False,
        mounts=(Mount("/var/h", "/etc/hosts", "", False, "rprivate"),),
        labels={
            "io.kubernetes.pod.name": "web-1",
            "io.kubernetes.pod.namespace": "prod",
            "io.kubernetes.pod.uid": "u1",
        },
        sandbox_id="f" * 64,
    )


def test_crio_is_read_from_its_bundle(tmp_path: Path) -> None:
    notes = {
        "io.kubernetes.container.name": "web",
        "io.kubernetes.cri-o.ImageName": "quay.io/x/web:2",
        "io.kubernetes.cri-o.Labels": json.dumps({"app": "x", "io.kubernetes.pod.name": "web-1"}),
        "io.kubernetes.cri-o.SandboxID": "f" * 64,
        "io.kubernetes.cri-o.PrivilegedRuntime": "true",
        "io.kubernetes.pod.namespace": "prod",
    }
    bundle(tmp_path, "run/containers/storage/overlay-containers", "userdata/config.json", {"annotations": notes})
    found = ask_runtimes(str(tmp_path))(ID, 7)
    assert found is not None
    assert (found.name, found.runtime, found.repository, found.tag, found.privileged) == (
        *("web", "cri-o", "quay.io/x/web", "2"),
        True,
    )
    assert found.labels == {"app": "x", "io.kubernetes.pod.name": "web-1", "io.kubernetes.pod.namespace": "prod"}


def test_all_capabilities_and_nothing_hidden_is_privileged(tmp_path: Path) -> None:
    row = {"process": {"capabilities": {"bounding": [f"CAP_{n}" for n in range(41)]}}, "linux": {"maskedPaths": []}}
    bundle(tmp_path, "x", "config.json", row)
    found = read_bundle(tmp_path / "x" / ID / "config.json", "containerd", ID)
    assert found is not None
    assert found.privileged


@pytest.mark.parametrize("content", [[], {"annotations": [], "mounts": [1], "linux": {"namespaces": [1]}}, "text"])
def test_odd_bundles_harm_nothing(tmp_path: Path, content: Any) -> None:
    bundle(tmp_path, "x", "config.json", content)
    read_bundle(tmp_path / "x" / ID / "config.json", "containerd", ID)


def wait_for(containers: Containers) -> Container | None:
    end = time.monotonic() + 20
    while containers.get(ID) is None and time.monotonic() < end:
        time.sleep(0.02)
    return containers.get(ID)


def test_containers_are_asked_for_in_the_background_and_again_if_not_known_yet(
    runtime: Runtime, tmp_path: Path
) -> None:
    containers = Containers()
    lookups = RuntimeLookups(containers, ask_runtimes(str(tmp_path)))
    lookups.start()
    try:
        containers.want(Identity(ID, "docker"), 7)
        end = time.monotonic() + 20
        while not runtime.asked and time.monotonic() < end:
            time.sleep(0.02)
        assert containers.get(ID) is None
        runtime.containers[ID] = INSPECTED
        found = wait_for(containers)
        assert found is not None
        assert found.name == "shop"
        assert len(runtime.asked) >= 2
    finally:
        lookups.stop()


def test_the_sandbox_of_a_pod_is_asked_for_with_its_first_container(tmp_path: Path) -> None:
    folder = "run/containers/storage/overlay-containers"
    sandbox = "f" * 64
    bundle(tmp_path, folder, "userdata/config.json", {"annotations": {"io.kubernetes.cri-o.SandboxID": sandbox}})
    path = tmp_path / folder / sandbox / "userdata/config.json"
    path.parent.mkdir(parents=True)
    notes = {"io.kubernetes.cri-o.IP.0": "10.88.0.4", "io.kubernetes.cri-o.SandboxID": sandbox}
    path.write_text(json.dumps({"annotations": notes}))
    containers = Containers()
    lookups = RuntimeLookups(containers, ask_runtimes(str(tmp_path)))
    lookups.start()
    try:
        containers.want(Identity(ID, "cri"), 7)
        end = time.monotonic() + 20
        while containers.get(sandbox) is None and time.monotonic() < end:
            time.sleep(0.02)
        found = containers.get(sandbox)
        assert found is not None
        assert found.ip == "10.88.0.4"
    finally:
        lookups.stop()
