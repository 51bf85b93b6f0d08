"""The plain manifests, the examples for kubeadm, kind and k3s, and the certificates they speak of."""

import asyncio
import os
import shutil
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from engine.event import Event
from ingest.k8saudit.webhook import WebhookOptions, WebhookSource
from ingest.kubernetes.client import LISTINGS
from ingest.kubernetes.options import KINDS
from lanner.config import read as read_config
from lanner.k8s.kubeconfig import Webhook, kubeconfig
from tests.infra.manifests import only, problems, read
from tests.lanner.support import ROOT, audit_event

FOLDER = ROOT / "infra" / "kubernetes"
CLUSTER_WIDE = ("Namespace", "ClusterRole", "ClusterRoleBinding")
CLUSTER_CONFIG = os.environ.get("LANNER_TEST_KUBECONFIG")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on PATH")


@pytest.mark.parametrize("name", ["lanner.yaml", "networkpolicy.yaml", "enrichment.yaml"])
def test_manifests_fit_the_types_of_the_api(name: str) -> None:
    for manifest in read(FOLDER / name):
        assert problems(manifest) == [], manifest["kind"]
        assert manifest["kind"] in CLUSTER_WIDE or manifest["metadata"]["namespace"] == "lanner"


def test_the_rights_for_enrichment_are_those_that_the_watches_need() -> None:
    role = only(read(FOLDER / "enrichment.yaml"), "ClusterRole")
    rights = {(group, name) for rule in role["rules"] for group in rule["apiGroups"] for name in rule["resources"]}

    assert rights == {("apps" if LISTINGS[kind].api == "AppsV1Api" else "", kind) for kind in KINDS}
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list", "watch"}


def test_the_rights_for_enrichment_go_to_the_account_of_the_pods() -> None:
    binding = only(read(FOLDER / "enrichment.yaml"), "ClusterRoleBinding")
    pod = only(read(FOLDER / "lanner.yaml"), "Deployment")["spec"]["template"]["spec"]
    (subject,) = binding["subjects"]

    assert (subject["name"], subject["namespace"]) == (pod["serviceAccountName"], "lanner")
    assert binding["roleRef"]["name"] == only(read(FOLDER / "enrichment.yaml"), "ClusterRole")["metadata"]["name"]


@pytest.mark.skipif(not CLUSTER_CONFIG, reason="LANNER_TEST_KUBECONFIG names no cluster to ask")
@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
def test_an_api_server_takes_the_manifests(tmp_path: Path) -> None:
    def kubectl(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = ["kubectl", "--kubeconfig", str(CLUSTER_CONFIG), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    manifests = [m for m in read(FOLDER / "lanner.yaml") if m["kind"] != "Namespace"]
    for manifest in manifests:
        manifest["metadata"]["namespace"] = "default"
        if manifest["kind"] == "Service":
            del manifest["spec"]["clusterIP"]  # not every cluster has it in its network
    (tmp_path / "m.yaml").write_text(yaml.safe_dump_all(manifests))
    done = kubectl("apply", "--dry-run=server", "-f", str(tmp_path / "m.yaml"))
    assert done.returncode == 0, done.stderr


def test_the_service_understands_its_configuration() -> None:
    (source,) = configured().sources

    assert source.options.listen.tls.allowed_names == ("kube-apiserver",)
    source.open()


def configured() -> Any:
    text = only(read(FOLDER / "lanner.yaml"), "ConfigMap")["data"]["lanner.yaml"]
    return read_config(text, "lanner.yaml")


# The API server's flags -----------------------------------------------------------------------------------------------


def example(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text("utf-8"))


def flags(cluster_configuration: dict[str, Any]) -> dict[str, str]:
    """Return the flags in kubeadm's configuration: in v1beta3 a mapping of texts, in v1beta4 a list."""
    arguments = cluster_configuration["apiServer"]["extraArgs"]
    if cluster_configuration["apiVersion"] == "kubeadm.k8s.io/v1beta3":
        assert isinstance(arguments, dict)
    else:
        assert cluster_configuration["apiVersion"] == "kubeadm.k8s.io/v1beta4"
        arguments = {entry["name"]: entry["value"] for entry in arguments}
    assert all(isinstance(value, str) for value in arguments.values())
    return dict(arguments)


def patches() -> list[dict[str, Any]]:
    (node,) = (node for node in example("kind/cluster.yaml")["nodes"] if node["role"] == "control-plane")
    return [yaml.safe_load(patch) for patch in node["kubeadmConfigPatches"]]


def test_both_versions_of_kubeadms_format_give_the_same_flags_and_volume() -> None:
    old, new = example("kubeadm/v1beta3.yaml"), example("kubeadm/v1beta4.yaml")

    assert flags(old) == flags(new)
    assert old["apiServer"]["extraVolumes"] == new["apiServer"]["extraVolumes"]


def test_kind_gets_a_patch_for_each_version_with_the_same_meaning() -> None:
    old, new = patches()

    assert (old["apiVersion"], new["apiVersion"]) == ("kubeadm.k8s.io/v1beta3", "kubeadm.k8s.io/v1beta4")
    assert flags(old) == flags(new)
    assert old["apiServer"]["extraVolumes"] == new["apiServer"]["extraVolumes"]
    assert flags(old).items() <= flags(example("kubeadm/v1beta3.yaml")).items()


def test_k3s_gets_the_flags_of_kubeadm() -> None:
    arguments = dict(entry.split("=", 1) for entry in example("k3s/config.yaml")["kube-apiserver-arg"])

    assert arguments == flags(example("kubeadm/v1beta4.yaml"))


def test_every_file_that_a_flag_names_is_in_the_folder_that_is_mounted() -> None:
    for configuration in (*patches(), example("kubeadm/v1beta3.yaml"), example("kubeadm/v1beta4.yaml")):
        (volume,) = configuration["apiServer"]["extraVolumes"]
        files = [Path(value) for name, value in flags(configuration).items() if name.endswith("-file")]
        assert {str(file.parent) for file in files} == {volume["mountPath"]}
        assert [file.name for file in files] == ["policy.yaml", "webhook.yaml"]
    (mount,) = example("kind/cluster.yaml")["nodes"][0]["extraMounts"]
    assert mount["containerPath"] == patches()[0]["apiServer"]["extraVolumes"][0]["hostPath"]


def test_the_services_address_is_in_kinds_service_network() -> None:
    import ipaddress

    network = ipaddress.ip_network(example("kind/cluster.yaml")["networking"]["serviceSubnet"])
    address = only(read(FOLDER / "lanner.yaml"), "Service")["spec"]["clusterIP"]

    assert ipaddress.ip_address(address) in network


# Certificates ---------------------------------------------------------------------------------------------------------


def make(folder: Path, *addresses: str) -> str:
    script = FOLDER / "certificates.sh"
    done = subprocess.run(["bash", str(script), str(folder), *addresses], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_openssl
async def test_with_the_certificates_a_batch_gets_through_as_the_kubeconfig_says(tmp_path: Path) -> None:
    """The webhook as the manifests configure it, a client as the kubeconfig describes it, over a real connection."""
    make(tmp_path, "127.0.0.1")
    source = WebhookSource(_on_loopback(configured().sources[0].options, tmp_path))
    await source.start()
    try:
        config = yaml.safe_load(kubeconfig(_webhook(source.port, tmp_path)))
        received, status = await asyncio.gather(_first(source), _post(config))
        assert status == 200
        assert [event.record["user"]["username"] for event in received] == ["bob"]
    finally:
        await source.stop(1)


def _on_loopback(options: WebhookOptions, folder: Path) -> WebhookOptions:
    assert options.listen.tls is not None
    files = {
        name: str(folder / f) for name, f in (("cert", "server.crt"), ("key", "server.key"), ("client_ca", "ca.crt"))
    }
    tls = replace(options.listen.tls, **files)
    return replace(options, listen=replace(options.listen, host="127.0.0.1", port=0, tls=tls))


def _webhook(port: int, folder: Path) -> Webhook:
    return Webhook(
        server=f"https://127.0.0.1:{port}",
        ca=str(folder / "ca.crt"),
        client_cert=str(folder / "client.crt"),
        client_key=str(folder / "client.key"),
        tls_server_name="lanner.lanner.svc",
    )


async def _first(source: WebhookSource) -> list[Event]:
    async for batch in source.batches():
        await batch.ack()
        return list(batch.events)
    raise AssertionError("the source ended")


async def _post(config: dict[str, Any]) -> int:
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cafile=cluster["certificate-authority"])
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    body = {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [audit_event()]}
    async with aiohttp.ClientSession() as session:
        answer = await session.post(
            f"{cluster['server']}?timeout=30s", json=body, ssl=context, server_hostname=cluster["tls-server-name"]
        )
        return answer.status


@needs_openssl
def test_the_commands_it_shows_make_the_secrets_that_the_manifests_mount(tmp_path: Path) -> None:
    told = make(tmp_path / "a", "10.96.0.200")
    pod = only(read(FOLDER / "lanner.yaml"), "Deployment")["spec"]["template"]["spec"]
    secrets = {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}

    assert secrets == {"lanner-tls", "lanner-client-ca"}
    assert all(f" {secret} " in told for secret in secrets)
    assert (tmp_path / "a" / "ca.key").stat().st_mode & 0o777 == 0o600


@needs_openssl
def test_what_is_there_stays_and_a_removed_certificate_is_made_anew_by_the_same_authority(tmp_path: Path) -> None:
    make(tmp_path, "10.96.0.200")
    before = {name: (tmp_path / name).read_bytes() for name in ("ca.crt", "client.crt", "server.crt")}
    (tmp_path / "server.crt").unlink()
    make(tmp_path, "10.96.0.200", "192.0.2.7")
    after = {name: (tmp_path / name).read_bytes() for name in before}

    assert {name for name in before if before[name] != after[name]} == {"server.crt"}
    shown = subprocess.run(
        ["openssl", "x509", "-in", str(tmp_path / "server.crt"), "-noout", "-text"], capture_output=True, text=True
    ).stdout
    assert "IP Address:192.0.2.7" in shown


def test_it_says_what_it_needs() -> None:
    done = subprocess.run(["bash", str(FOLDER / "certificates.sh")], capture_output=True, text=True)

    assert done.returncode != 0
    assert "give the folder to write to" in done.stderr
