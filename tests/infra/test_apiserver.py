"""
A real API server, with the policy and the kubeconfig that ``lanner k8s`` prints, sends its audit to ``lanner run``.

KUBEBUILDER_ASSETS names a folder with kube-apiserver and etcd, as for the tests of Kubernetes operators; else both are
looked for on PATH.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lanner.support import ROOT, environment, lanner

ASSETS = os.environ.get("KUBEBUILDER_ASSETS", os.environ.get("PATH", ""))
SERVER, ETCD = shutil.which("kube-apiserver", path=ASSETS), shutil.which("etcd", path=ASSETS)
pytestmark = pytest.mark.skipif(
    not (SERVER and ETCD), reason="no kube-apiserver and etcd in KUBEBUILDER_ASSETS or on PATH"
)

PATIENCE = 90.0
USERS = (
    'admin-token,admin,1,"system:masters"\n'
    'maria-token,maria,2,"platform"\n'
    'pod-token,system:serviceaccount:shop:storefront,3,"system:serviceaccounts,system:serviceaccounts:shop"\n'
    'lanner-token,system:serviceaccount:lanner:lanner,4,"system:serviceaccounts,system:serviceaccounts:lanner"\n'
)
EXPECTED = {
    "Cluster administrator rights given",
    "Privileged container started",
    "Secret of a namespace read by a person",
    "Reading of secrets is denied",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(what: str, found: Callable[[], Any]) -> Any:
    until = time.monotonic() + PATIENCE
    while not (answer := found()):
        assert time.monotonic() < until, f"waited in vain for {what}"
        time.sleep(0.2)
    return answer


@dataclass
class Cluster:
    port: int
    folder: Path

    def ask(self, method: str, path: str, body: Any = None, token: str = "admin-token") -> int:
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}",
            data=json.dumps(body).encode() if body is not None else None,
            method=method,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the server made its certificate itself
        try:
            with urllib.request.urlopen(request, timeout=10, context=context) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def audit(self) -> list[dict[str, Any]]:
        log = self.folder / "audit.log"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


class Processes:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, name: str, *command: str, env: dict[str, str] | None = None) -> Path:
        out = self.folder / f"{name}.out"
        with out.open("wb") as stdout, (self.folder / f"{name}.err").open("wb") as stderr:
            self.started.append(subprocess.Popen(command, stdout=stdout, stderr=stderr, cwd=self.folder, env=env))
        return out

    def end(self) -> None:
        for process in reversed(self.started):
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    found.end()


def start_cluster(processes: Processes, *flags: str) -> Cluster:
    folder, port, store, peers = processes.folder, free_port(), free_port(), free_port()
    (folder / "users.csv").write_text(USERS)
    key = folder / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    url, peer = f"http://127.0.0.1:{store}", f"http://127.0.0.1:{peers}"
    processes.start(
        "etcd", str(ETCD), "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--listen-client-urls", url,
        "--advertise-client-urls", url, "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
        "--initial-cluster", f"default={peer}",
    )  # fmt: skip
    processes.start(
        "kube-apiserver", str(SERVER), "--etcd-servers", url, "--secure-port", str(port), "--bind-address", "127.0.0.1",
        "--cert-dir", str(folder / "certificates"), "--service-account-issuer", "https://kubernetes.default",
        "--service-account-signing-key-file", str(key), "--service-account-key-file", str(key),
        "--service-cluster-ip-range", "10.96.0.0/16", "--token-auth-file", str(folder / "users.csv"),
        "--authorization-mode", "RBAC", "--disable-admission-plugins", "ServiceAccount", "--allow-privileged",
        "--audit-log-path", str(folder / "audit.log"), *flags,
    )  # fmt: skip
    cluster = Cluster(port, folder)
    eventually("the API server", lambda: cluster.ask("GET", "/readyz") == 200)
    return cluster


def start_webhook(processes: Processes) -> tuple[Path, Path]:
    """Start the service; return where its alerts go, and the kubeconfig of its webhook."""
    folder, port = processes.folder, free_port()
    made = subprocess.run(
        ["bash", str(ROOT / "infra" / "kubernetes" / "certificates.sh"), str(folder / "tls")], capture_output=True
    )
    assert made.returncode == 0, made.stderr
    tls = folder / "tls"
    files = f"cert: {tls}/server.crt, key: {tls}/server.key, client_ca: {tls}/ca.crt"
    options = (
        "sources[].type=k8saudit",
        f"sources[0].listen={{port: {port}, tls: {{{files}, allowed_names: [kube-apiserver]}}}}",
        f"outbox.path={folder}/outbox.sqlite",
        "json_output=true",
    )
    settings = [word for option in options for word in ("-o", option)]
    alerts = processes.start(
        "lanner", sys.executable, "-m", "lanner", "run", "-r", "bundled/k8s", *settings,
        env=environment(PYTHONPATH=str(ROOT), LANNER_CONFIG=os.devnull),
    )  # fmt: skip
    eventually("the webhook", lambda: b"listens" in (folder / "lanner.err").read_bytes())
    config = lanner(
        "k8s", "kubeconfig", "--server", f"https://127.0.0.1:{port}", "--tls-server-name", "lanner.lanner.svc",
        "--ca", tls / "ca.crt", "--client-cert", tls / "client.crt", "--client-key", tls / "client.key",
    )  # fmt: skip
    assert config.returncode == 0, config.stderr
    (folder / "webhook.yaml").write_text(config.stdout)
    return alerts, folder / "webhook.yaml"


def do_what_is_watched(cluster: Cluster) -> None:
    """Make requests that shipped rules are about; none needs a node."""
    pod = {"containers": [{"name": "c", "image": "example", "securityContext": {"privileged": True}}]}
    labels = {"app": "web"}
    deployment = {
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}
    assert cluster.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}}) == 201
    assert cluster.ask("POST", "/api/v1/namespaces/shop/secrets", {"metadata": {"name": "s"}}) == 201
    assert cluster.ask("GET", "/api/v1/namespaces/shop/secrets/s") == 200
    assert cluster.ask("GET", "/api/v1/secrets", token="maria-token") == 403
    assert cluster.ask("POST", "/apis/apps/v1/namespaces/shop/deployments", deployment) == 201
    binding = {"metadata": {"name": "b"}, "roleRef": role, "subjects": [subject]}
    assert cluster.ask("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding) == 201


def test_what_is_done_in_a_cluster_becomes_alerts_through_policy_kubeconfig_and_webhook(processes: Processes) -> None:
    alerts, webhook = start_webhook(processes)
    policy = processes.folder / "policy.yaml"
    policy.write_text(lanner("k8s", "audit-policy", "-r", "bundled/k8s").stdout)
    cluster = start_cluster(
        processes, "--audit-policy-file", str(policy), "--audit-webhook-config-file", str(webhook),
        "--audit-webhook-batch-max-wait", "1s",
    )  # fmt: skip
    do_what_is_watched(cluster)

    def rules() -> set[str]:
        lines = alerts.read_text().splitlines()
        return {json.loads(line)["rule"] for line in lines if line.startswith("{")}

    eventually("the alerts", lambda: rules() >= EXPECTED)


def test_an_api_server_writes_a_request_at_one_level_and_a_stage_once(processes: Processes) -> None:
    """What docs/kubernetes.md says of duplicates: a catch-all entry adds requests, it repeats none."""
    policy = processes.folder / "policy.yaml"
    policy.write_text(
        "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"
        "- level: RequestResponse\n  resources: [{group: '', resources: [pods, secrets]}, {group: apps}]\n"
        "- level: Metadata\n"
    )
    cluster = start_cluster(processes, "--audit-policy-file", str(policy))
    do_what_is_watched(cluster)
    requests: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in eventually("the log", cluster.audit):
        requests[event["auditID"]].append(event)

    levels = Counter(level for events in requests.values() for level in {event["level"] for event in events})
    assert set(levels) == {"Metadata", "RequestResponse"}
    assert all(len({event["level"] for event in events}) == 1 for events in requests.values())
    assert all(len({event["stage"] for event in events}) == len(events) for events in requests.values())
    assert {event["stage"] for events in requests.values() for event in events} >= {
        "RequestReceived",
        "ResponseComplete",
    }
