"""Lists and watches through the real client, from a server over real HTTP that keeps to the API, mostly."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes", reason="the package kubernetes is not installed")

from ingest.kubernetes import reflector
from ingest.kubernetes.cluster import Cluster
from ingest.kubernetes.options import KINDS, EnrichmentOptions
from ingest.kubernetes.watch import ClusterWatch
from tests.ingest.k8saudit.certs import Authority, write
from tests.ingest.kubernetes.apiserver import ApiServer, fill, kubeconfig, pod, thing

PODS = ("pods",)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.01)


@asynccontextmanager
async def watching(
    server: ApiServer, folder: Path, cluster: Cluster | None = None, **options: Any
) -> AsyncIterator[tuple[Cluster, ClusterWatch]]:
    cluster = cluster or Cluster()
    path = kubeconfig(folder, server, options.pop("ca", None), options.pop("token", ""))
    watch = ClusterWatch(EnrichmentOptions(enabled=True, kubeconfig=path, **options), cluster, first_pause=0.02)
    await watch.start()
    try:
        yield cluster, watch
    finally:
        await watch.stop()


@pytest.fixture
def server() -> Any:
    with ApiServer().serving() as running:
        yield running


async def test_all_kinds_are_listed_before_the_start_is_over(server: ApiServer, tmp_path: Path) -> None:
    fill(server)
    async with watching(server, tmp_path) as (cluster, _):
        found = cluster.pods.find("shop", "web-5d9-x")
        assert found is not None
        assert (found.ip, found.node, found.service_account) == ("10.1.2.3", "node-1", "web")
        assert found.images == ("registry:5000/web:1",)
        assert cluster.pods.by_uid("uid-shop-web-5d9-x") is found
        assert cluster.pods.by_container("ab" * 6) is found
        assert cluster.owner(found) == cluster.owner(found)
        owner = cluster.owner(found)
        assert owner is not None
        assert (owner.kind, owner.name) == ("Deployment", "web")
        assert [service.name for service in cluster.services.selecting(found)] == ["web"]
        namespace = cluster.namespaces.find("", "shop")
        assert namespace is not None
        assert namespace.labels["team"] == "shop"
    assert {kind for kind, what, _ in server.requests if what == "list"} == set(KINDS)


async def test_only_pods_and_services_are_asked_for_in_full(server: ApiServer, tmp_path: Path) -> None:
    fill(server)
    async with watching(server, tmp_path):
        await until(lambda: all(server.watches(kind) for kind in KINDS))
    asked = zip(server.requests, server.headers, strict=True)
    assert {kind for (kind, _, _), headers in asked if "PartialObjectMetadata" not in headers["Accept"]} == {
        "pods",
        "services",
    }


async def test_changes_arrive(server: ApiServer, tmp_path: Path) -> None:
    async with watching(server, tmp_path, kinds=PODS) as (cluster, _):
        server.put("pods", pod("a", container="cd" * 32))
        await until(lambda: cluster.pods.find("shop", "a") is not None)
        server.put("pods", pod("a", labels={"app": "other"}, container="ef" * 32))
        await until(lambda: cluster.pods.by_container("ef" * 6) is not None)

        found = cluster.pods.find("shop", "a")
        assert found is not None
        assert found.labels == {"app": "other"}
        assert cluster.pods.by_container("cd" * 6) is None


async def test_a_deleted_pod_is_still_found_for_the_events_that_come_late(server: ApiServer, tmp_path: Path) -> None:
    now = 0.0
    cluster = Cluster(lambda: now)
    server.put("pods", pod("a"))
    async with watching(server, tmp_path, cluster, kinds=PODS) as (_, watch):
        server.delete("pods", "uid-shop-a")
        await until(lambda: watch.counters["pods:changes"] == 1)
        assert cluster.pods.find("shop", "a") is not None

        now = 301.0
        server.put("pods", pod("b"))
        server.delete("pods", "uid-shop-b")
        await until(lambda: watch.counters["pods:changes"] == 3)
        assert cluster.pods.find("shop", "a") is None
        assert cluster.pods.by_uid("uid-shop-a") is None


async def test_a_long_list_comes_in_pages_of_one_state(server: ApiServer, tmp_path: Path) -> None:
    server.most = 7
    for number in range(30):
        server.put("pods", pod(f"p{number}"))
    async with watching(server, tmp_path, kinds=PODS) as (cluster, _):
        assert len(cluster.pods) == 30
    assert len(server.lists("pods")) == 5
    assert {query.get("resourceVersion") for query in server.lists("pods")} == {None}


async def test_a_list_whose_pages_expire_begins_anew(server: ApiServer, tmp_path: Path) -> None:
    server.most, server.expire_tokens = 10, 1
    for number in range(25):
        server.put("pods", pod(f"p{number}"))
    async with watching(server, tmp_path, kinds=PODS) as (cluster, watch):
        await until(lambda: watch.counters["pods:lists"] == 1)
        assert len(cluster.pods) == 25
        assert watch.counters["pods:expired"] == 1


async def test_a_watch_goes_on_where_it_ended(server: ApiServer, tmp_path: Path) -> None:
    async with watching(server, tmp_path, kinds=PODS) as (cluster, watch):
        server.put("pods", pod("a"))
        await until(lambda: watch.counters["pods:changes"] == 1)
        version = str(server.version)
        server.end_watches()
        await until(lambda: len(server.watches("pods")) == 2)
        server.put("pods", pod("b"))
        await until(lambda: cluster.pods.find("shop", "b") is not None)

        assert [query["resourceVersion"] for query in server.watches("pods")][1] == version
        assert watch.counters["pods:changes"] == 2
        assert len(server.lists("pods")) == 1


async def test_a_bookmark_moves_the_place_without_a_change(server: ApiServer, tmp_path: Path) -> None:
    async with watching(server, tmp_path, kinds=PODS) as (cluster, watch):
        await until(lambda: len(server.watches("pods")) == 1)
        for _ in range(3):
            server.put("nodes", thing("other"))
        server.bookmark()
        version = str(server.version)
        server.put("pods", pod("a"))
        await until(lambda: cluster.pods.find("shop", "a") is not None)
        server.delete("pods", "uid-shop-a")
        server.bookmark()
        newest = str(server.version)
        await until(lambda: watch.counters["pods:changes"] == 2)
        await asyncio.sleep(0.1)
        server.end_watches()
        await until(lambda: len(server.watches("pods")) == 2)

        assert server.watches("pods")[0]["allowWatchBookmarks"].lower() == "true"
        assert server.watches("pods")[1]["resourceVersion"] == newest
        assert newest != version


@pytest.mark.parametrize("as_event", [False, True])
async def test_an_expired_version_means_another_list_and_what_is_gone_is_removed(
    server: ApiServer, tmp_path: Path, as_event: bool
) -> None:
    now = 0.0
    cluster = Cluster(lambda: now)
    server.as_event = as_event
    server.put("pods", pod("gone"))
    server.put("pods", pod("stays"))
    async with watching(server, tmp_path, cluster, kinds=PODS) as (_, watch):
        await until(lambda: len(server.watches("pods")) == 1)
        server.put("pods", pod("new"))
        server.vanish("pods", "uid-shop-gone")
        server.drop_connections()
        await until(lambda: watch.counters["pods:lists"] == 2)
        assert watch.counters["pods:expired"] == 1
        assert cluster.pods.find("shop", "new") is not None
        now = 301.0
        cluster.pods.forget_old()
        assert cluster.pods.find("shop", "gone") is None
        assert cluster.pods.find("shop", "stays") is not None
        await until(lambda: len(server.watches("pods")) >= 3)
        assert int(server.watches("pods")[-1]["resourceVersion"]) >= server.oldest


async def test_a_connection_cut_in_the_middle_of_a_line_costs_no_change(server: ApiServer, tmp_path: Path) -> None:
    server.drop_after = 3
    async with watching(server, tmp_path, kinds=PODS) as (cluster, watch):
        for number in range(10):
            server.put("pods", pod(f"p{number}"))
        await until(lambda: len(cluster.pods) == 10)

        assert watch.counters["pods:errors"] == 1
        assert watch.counters["pods:lists"] == 1
        assert watch.counters["pods:changes"] == 10


async def test_connections_that_break_again_and_again_lose_nothing(server: ApiServer, tmp_path: Path) -> None:
    async with watching(server, tmp_path, kinds=PODS) as (cluster, _):
        for number in range(8):
            server.put("pods", pod(f"p{number}"))
            server.drop_connections()
            await asyncio.sleep(0.02)
        await until(lambda: len(cluster.pods) == 8)


async def test_too_many_requests_are_tried_again_when_the_server_wants(server: ApiServer, tmp_path: Path) -> None:
    server.refusals["pods", "list"] = [(429, {"Retry-After": "1"}), (503, {})]
    server.put("pods", pod("a"))
    began = asyncio.get_running_loop().time()
    async with watching(server, tmp_path, kinds=PODS) as (cluster, watch):
        await until(lambda: len(cluster.pods) == 1)

        assert asyncio.get_running_loop().time() - began >= 1.0
        assert watch.counters["pods:errors"] == 2
        assert len(server.lists("pods")) == 3


async def test_pauses_grow_while_the_server_expires_every_version(server: ApiServer, tmp_path: Path) -> None:
    async with watching(server, tmp_path, kinds=PODS) as (_, watch):
        server.refusals["pods", "watch"] = [(410, {})] * 5
        server.end_watches()
        await until(lambda: watch.counters["pods:lists"] == 6)
        (running,) = watch._reflectors
        assert running._pause >= 0.02 * 2**4


async def test_a_forbidden_kind_costs_itself_alone_and_is_told_once(
    server: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lanner.kubernetes")
    fill(server)
    server.forbidden = {"nodes", "services"}
    async with watching(server, tmp_path) as (cluster, watch):
        assert cluster.pods.find("shop", "web-5d9-x") is not None
        assert cluster.nodes.find("", "node-1") is None
        await until(lambda: watch.counters["nodes:errors"] >= 3)
        told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert sorted(line.partition(":")[0] for line in told) == [
            "the API server does not let nodes be listed and watched",
            "the API server does not let services be listed and watched",
        ]
        server.forbidden.clear()
        await until(lambda: cluster.nodes.find("", "node-1") is not None)
        await until(lambda: "answers again (nodes)" in caplog.text)


async def test_no_server_is_one_line_in_the_log_and_absent_fields(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "lanner.kubernetes")
    server = ApiServer(url="http://127.0.0.1:9")
    async with watching(server, tmp_path) as (cluster, watch):
        await until(lambda: all(watch.counters[f"{kind}:errors"] >= 2 for kind in KINDS))
        assert len(cluster.pods) == 0
    assert len([record for record in caplog.records if record.levelno >= logging.INFO]) == 1
    assert "cannot be read" in caplog.text


async def test_a_server_that_comes_late_is_found(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "lanner.kubernetes")
    with ApiServer().serving() as first:
        port = int(first.url.rpartition(":")[2])
    late = ApiServer(url=first.url)
    fill(late)
    async with watching(late, tmp_path, start_wait=0.1) as (cluster, _):
        with late.serving(port=port):
            await until(lambda: cluster.pods.find("shop", "web-5d9-x") is not None)
            await until(lambda: "answers again" in caplog.text)


async def test_no_configuration_is_one_line_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    watch = ClusterWatch(EnrichmentOptions(enabled=True, kubeconfig=str(tmp_path / "none")), Cluster())
    await watch.start()
    await watch.stop()
    (record,) = caplog.records
    assert "no API server is known" in record.getMessage()


async def test_over_tls_with_a_token(tmp_path: Path) -> None:
    import ssl

    authority = Authority()
    cert, key = write(tmp_path, authority.issue("kubernetes", ip="127.0.0.1"))
    ca = tmp_path / "ca.crt"
    ca.write_bytes(authority.pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with ApiServer(token="secret").serving(context) as server:
        fill(server)
        async with watching(server, tmp_path, ca=ca, token="secret") as (cluster, _):
            assert len(cluster.pods) == 1
            server.put("pods", pod("b"))
            await until(lambda: len(cluster.pods) == 2)
        async with watching(server, tmp_path, ca=ca, token="wrong") as (cluster, watch):
            assert len(cluster.pods) == 0
            assert watch.counters["pods:errors"] >= 1


async def test_a_server_with_another_certificate_is_not_trusted(tmp_path: Path) -> None:
    import ssl

    cert, key = write(tmp_path, Authority().issue("kubernetes", ip="127.0.0.1"))
    ca = tmp_path / "ca.crt"
    ca.write_bytes(Authority("another").pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with ApiServer().serving(context) as server:
        fill(server)
        async with watching(server, tmp_path, ca=ca, kinds=PODS) as (cluster, watch):
            await until(lambda: watch.counters["pods:errors"] >= 1)
            assert len(cluster.pods) == 0
        assert server.requests == []


async def test_in_a_pod_its_own_account_is_used(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.kubernetes.client import configuration

    (tmp_path / "token").write_text("mounted")
    (tmp_path / "ca.crt").write_bytes(Authority().pem)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr("kubernetes.config.incluster_config.SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))

    found = configuration(EnrichmentOptions())

    assert found.host == "https://10.96.0.1:443"
    assert found.auth_settings()["BearerToken"]["value"] == "bearer mounted"


async def test_pods_of_one_node_only(server: ApiServer, tmp_path: Path) -> None:
    server.put("pods", pod("here", node="node-1"))
    server.put("pods", pod("there", node="node-2"))
    async with watching(server, tmp_path, kinds=PODS, node="node-1") as (cluster, _):
        assert cluster.pods.find("shop", "here") is not None
        assert cluster.pods.find("shop", "there") is None
    assert server.lists("pods")[0]["fieldSelector"] == "spec.nodeName=node-1"


async def test_only_chosen_labels_are_kept(server: ApiServer, tmp_path: Path) -> None:
    server.put("pods", pod("a", labels={"app": "web", "pod-template-hash": "5d9"}))
    async with watching(server, tmp_path, kinds=PODS, labels=("app",)) as (cluster, _):
        found = cluster.pods.find("shop", "a")
        assert found is not None
        assert found.labels == {"app": "web"}


@pytest.mark.parametrize(
    "odd",
    [
        {"metadata": {"name": 5, "uid": "u"}},
        {"metadata": {"name": "a", "uid": "u", "labels": {"a": None}}},
        {"metadata": {"name": "a", "uid": "u", "labels": []}},
        {"metadata": {"name": "a", "uid": "u"}, "spec": {"containers": [5]}},
        {"metadata": {}},
    ],
)
async def test_an_odd_object_costs_itself_alone(server: ApiServer, tmp_path: Path, odd: Any) -> None:
    async with watching(server, tmp_path, kinds=PODS) as (cluster, watch):
        server.send("pods", "ADDED", odd)
        server.put("pods", pod("a"))
        await until(lambda: cluster.pods.find("shop", "a") is not None)
        assert len(cluster.pods) == 1
        assert watch.counters["pods:lists"] == 1


@pytest.mark.parametrize("change", ["ERROR", "UNHEARD"])
async def test_an_event_of_another_kind_ends_nothing(server: ApiServer, tmp_path: Path, change: str) -> None:
    async with watching(server, tmp_path, kinds=PODS) as (cluster, _):
        server.send("pods", change, {"kind": "Status", "code": 500, "message": "etcd is away", "metadata": {}})
        server.put("pods", pod("a"))
        await until(lambda: cluster.pods.find("shop", "a") is not None)


async def test_stopping_does_not_wait_for_the_watch_to_end(server: ApiServer, tmp_path: Path) -> None:
    async with watching(server, tmp_path) as _:
        await until(lambda: all(server.watches(kind) for kind in KINDS))
        assert sum(thread.name.startswith("watch-") for thread in threading.enumerate()) == len(KINDS)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch-")]


async def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'secrets' cannot be watched"):
        ClusterWatch(EnrichmentOptions(kinds=("pods", "secrets")), Cluster())


async def test_a_page_is_asked_for_with_a_limit(server: ApiServer, tmp_path: Path) -> None:
    async with watching(server, tmp_path, kinds=PODS):
        assert server.lists("pods")[0]["limit"] == str(reflector.PAGE)
