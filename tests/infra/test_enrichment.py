"""A real API server is listed and watched with the rights that the manifests give, and no others."""

import asyncio
import json
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
import yaml

pytest.importorskip("kubernetes", reason="the package kubernetes is not installed")

from ingest.kubernetes.client import configuration
from ingest.kubernetes.cluster import Cluster as Metadata
from ingest.kubernetes.options import EnrichmentOptions
from ingest.kubernetes.watch import ClusterWatch
from tests.infra.manifests import read
from tests.infra.test_apiserver import (
    ETCD,
    SERVER,
    Cluster,
    Processes,
    eventually,
    processes,  # noqa: F401 - a fixture
    start_cluster,
)
from tests.lanner.support import ROOT, lanner

pytestmark = pytest.mark.skipif(
    not (SERVER and ETCD), reason="no kube-apiserver and etcd in KUBEBUILDER_ASSETS or on PATH"
)


def send(cluster: Cluster, path: str, **headers: str) -> int:
    request = urllib.request.Request(f"https://127.0.0.1:{cluster.port}{path}", headers=headers)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def give_rights(cluster: Cluster) -> None:
    for manifest in read(ROOT / "infra" / "kubernetes" / "enrichment.yaml"):
        plural = manifest["kind"].lower() + "s"
        assert cluster.ask("POST", f"/apis/rbac.authorization.k8s.io/v1/{plural}", manifest) == 201


def create(cluster: Cluster, path: str, name: str, owner: tuple[str, str, str] | None = None, **more: Any) -> str:
    """Create an object and return its uid."""
    metadata: dict[str, Any] = {"name": name, "labels": {"app": "web"}}
    if owner:
        kind, owner_name, uid = owner
        reference = {"apiVersion": "apps/v1", "kind": kind, "name": owner_name, "uid": uid, "controller": True}
        metadata["ownerReferences"] = [reference]
    body = json.dumps({"metadata": metadata, **more}).encode()
    request = urllib.request.Request(
        f"https://127.0.0.1:{cluster.port}{path}",
        body,
        {"Authorization": "Bearer admin-token", "Content-Type": "application/json"},
    )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with urllib.request.urlopen(request, timeout=10, context=context) as answer:
        return str(json.load(answer)["metadata"]["uid"])


def fill(cluster: Cluster) -> None:
    create(cluster, "/api/v1/namespaces", "shop")
    create(cluster, "/api/v1/nodes", "node-1")
    create(cluster, "/api/v1/namespaces/shop/serviceaccounts", "web")
    create(
        cluster, "/api/v1/namespaces/shop/services", "web", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]}
    )
    pod = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}}
    spec = {"selector": {"matchLabels": {"app": "web"}}, "template": pod}
    apps = "/apis/apps/v1/namespaces/shop"
    deployment = create(cluster, f"{apps}/deployments", "web", spec=spec)
    replicas = create(cluster, f"{apps}/replicasets", "web-5d9", ("Deployment", "web", deployment), spec=spec)
    more = {"nodeName": "node-1", "serviceAccountName": "web", "hostNetwork": True}
    owner = ("ReplicaSet", "web-5d9", replicas)
    create(cluster, "/api/v1/namespaces/shop/pods", "web-5d9-x", owner, spec={**pod["spec"], **more})


def account(cluster: Cluster) -> str:
    """Write a kubeconfig with the token of the account that the manifests make."""
    found = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [
            {"name": "c", "cluster": {"server": f"https://127.0.0.1:{cluster.port}", "insecure-skip-tls-verify": True}}
        ],
        "users": [{"name": "u", "user": {"token": "lanner-token"}}],
    }
    path = cluster.folder / "enrichment.yaml"
    path.write_text(yaml.safe_dump(found))
    return str(path)


def compact(processes: Processes) -> None:  # noqa: F811
    """Have etcd forget all versions but the newest."""
    words = list(map(str, processes.started[0].args))  # type: ignore[arg-type]
    url = words[words.index("--listen-client-urls") + 1]

    def ask(path: str, body: dict[str, str]) -> dict[str, Any]:
        with urllib.request.urlopen(f"{url}{path}", json.dumps(body).encode(), timeout=10) as answer:
            return dict(json.load(answer))

    ask("/v3/kv/compaction", {"revision": ask("/v3/maintenance/status", {})["header"]["revision"]})


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.05)


async def test_a_real_cluster_is_known_and_its_changes_arrive(processes: Processes) -> None:  # noqa: F811
    cluster = await asyncio.to_thread(start_cluster, processes)
    await asyncio.to_thread(give_rights, cluster)
    await asyncio.to_thread(fill, cluster)
    metadata = Metadata()
    watch = ClusterWatch(EnrichmentOptions(enabled=True, kubeconfig=account(cluster)), metadata)
    await watch.start()
    try:
        pod = metadata.pods.find("shop", "web-5d9-x")
        assert pod is not None
        owner = metadata.owner(pod)
        assert owner is not None
        assert (owner.kind, owner.name, pod.node, pod.service_account) == ("Deployment", "web", "node-1", "web")
        assert (pod.images, pod.host_network, pod.privileged) == (("web:1",), True, False)
        assert [service.name for service in metadata.services.selecting(pod)] == ["web"]
        assert metadata.deployment(pod) is not None
        for store in (metadata.namespaces, metadata.nodes):
            assert len(store) >= 1
        assert metadata.service_accounts.find("shop", "web") is not None

        await asyncio.to_thread(create, cluster, "/api/v1/namespaces", "later")
        await until(lambda: metadata.namespaces.find("", "later") is not None)
        changes = watch.counters["pods:changes"]
        path = "/api/v1/namespaces/shop/pods/web-5d9-x?gracePeriodSeconds=0"
        assert await asyncio.to_thread(cluster.ask, "DELETE", path) == 200
        await until(lambda: watch.counters["pods:changes"] > changes)
        assert {
            name: count for name, count in watch.counters.items() if name.endswith((":errors", ":unreadable"))
        } == {}
    finally:
        await watch.stop()


async def test_an_api_server_that_starts_anew_is_followed_again(processes: Processes) -> None:  # noqa: F811
    cluster = await asyncio.to_thread(start_cluster, processes)
    await asyncio.to_thread(give_rights, cluster)
    await asyncio.to_thread(fill, cluster)
    metadata = Metadata()
    watch = ClusterWatch(EnrichmentOptions(enabled=True, kubeconfig=account(cluster)), metadata)
    await watch.start()
    try:
        server = processes.started[-1]
        server.kill()
        await asyncio.to_thread(server.wait)
        await until(lambda: watch.counters["namespaces:errors"] >= 1)
        assert metadata.pods.find("shop", "web-5d9-x") is not None
        processes.start("kube-apiserver again", *server.args)
        await asyncio.to_thread(eventually, "the API server", lambda: cluster.ask("GET", "/readyz") == 200)
        await asyncio.to_thread(create, cluster, "/api/v1/namespaces", "after")

        await until(lambda: metadata.namespaces.find("", "after") is not None)
        assert metadata.pods.find("shop", "web-5d9-x") is not None
    finally:
        await watch.stop()


async def test_a_version_that_a_real_server_has_forgotten_means_another_list(processes: Processes) -> None:  # noqa: F811
    cluster = await asyncio.to_thread(start_cluster, processes, "--watch-cache=false")
    await asyncio.to_thread(give_rights, cluster)
    await asyncio.to_thread(fill, cluster)
    await asyncio.to_thread(compact, processes)
    metadata, options = Metadata(), EnrichmentOptions(enabled=True, kubeconfig=account(cluster))
    watch = ClusterWatch(options, metadata, first_pause=0.1)
    reflector = watch._reflector("pods", configuration(options))
    reflector._version = "1"
    thread = threading.Thread(target=reflector.run, daemon=True)
    thread.start()
    try:
        await until(lambda: metadata.pods.find("shop", "web-5d9-x") is not None)
        assert (watch.counters["pods:expired"], watch.counters["pods:lists"]) == (1, 1)
    finally:
        reflector.stop()
        await asyncio.to_thread(thread.join, 10)


def test_a_refused_impersonation_is_told_by_the_shipped_rule(processes: Processes) -> None:  # noqa: F811
    policy = processes.folder / "policy.yaml"
    policy.write_text(lanner("k8s", "audit-policy", "-r", "bundled/k8s").stdout)
    cluster = start_cluster(processes, "--audit-policy-file", str(policy))
    by_maria = {"Authorization": "Bearer maria-token"}
    assert send(cluster, "/api/v1/pods", **by_maria, **{"Impersonate-User": "root"}) == 403
    assert send(cluster, "/api/v1/pods", **by_maria, **{"Impersonate-User": "maria"}) == 403
    extra = {"Impersonate-User": "maria", "Impersonate-Extra-Scopes": "all"}
    assert send(cluster, "/api/v1/pods", **by_maria, **extra) == 403

    done = lanner("scan", str(cluster.folder / "audit.log"), "-r", "bundled/k8s", "--json")
    alerts = [json.loads(line) for line in done.stdout.splitlines()]
    found = [alert for alert in alerts if alert["rule"] == "Request in the name of somebody else is denied"]
    assert len(found) == 3
    assert all("cannot impersonate" in alert["output"] for alert in found)
