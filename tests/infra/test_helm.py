"""
The Helm chart: rendered by Helm itself where there is one, else only what its files promise by themselves.

Helm is the program ``helm`` on PATH, or the one that LANNER_HELM names.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import lanner
from ingest.kubernetes.client import LISTINGS
from ingest.kubernetes.options import KINDS
from lanner.cli.app import status_of
from lanner.config import Config, read
from tests.infra.manifests import Manifest, load, only, problems
from tests.infra.manifests import read as read_manifests
from tests.lanner.support import ROOT

CHART = ROOT / "infra" / "helm" / "lanner"
PLAIN = ROOT / "infra" / "kubernetes" / "lanner.yaml"
HELM = os.environ.get("LANNER_HELM") or shutil.which("helm")
needs_helm = pytest.mark.skipif(HELM is None, reason="no helm on PATH, and LANNER_HELM names none")

TOKEN = {"name": "prod", "sha256": "ab" * 32, "cluster": "prod"}
CERTIFICATE = {"tls": {"existingSecret": "server"}}
MUTUAL = {"tls": {"existingSecret": "server", "clientCA": {"existingSecret": "authority"}}}
MANAGED = {"tls": {"certManager": {"enabled": True, "issuerRef": {"name": "ours"}}}}
VALUES: dict[str, dict[str, Any]] = {
    "certificate": CERTIFICATE,
    "mutual": MUTUAL,
    "cert-manager": {**MANAGED, "service": {"clusterIP": "10.96.0.200"}},
    "plain": {"tls": {"enabled": False}, "replicas": 1},
    "node port": {**CERTIFICATE, "service": {"type": "NodePort", "nodePort": 30007}},
    "tokens": {**CERTIFICATE, "tokens": [TOKEN]},
    "enrichment": {**CERTIFICATE, "clusterName": "prod", "enrichment": {"enabled": True, "labels": ["app"]}},
    "metrics": {**CERTIFICATE, "metrics": {"enabled": True, "port": 9000}, "serviceMonitor": {"enabled": True}},
    "agent": {**CERTIFICATE, "agent": {"enabled": True, "rules": {"files": {"mine.yaml": "[]"}}}},
    "persistent": {**MUTUAL, "persistence": {"enabled": True, "storageClass": "fast"}},
    "everything": {
        **MUTUAL,
        "image": {"repository": "registry.example.com/lanner", "tag": "x", "digest": f"sha256:{'0' * 64}"},
        "imagePullSecrets": [{"name": "registry"}],
        "fullnameOverride": "audit",
        "replicas": 3,
        "webhook": {"overload": "spool", "max_body_bytes": 1048576},
        "rules": {"bundled": ["bundled"], "files": {"b.yaml": "[]", "a.yml": "[]"}},
        "config": {"priority": "warning", "rules": [{"disable": {"tag": "maturity_sandbox"}}]},
        "networkPolicy": {"enabled": True, "from": ["192.0.2.0/28"], "metricsFrom": [{"namespaceSelector": {}}]},
        "metrics": {"enabled": True},
        "serviceMonitor": {"enabled": True, "interval": "1m30s", "labels": {"release": "prometheus"}},
        "enrichment": {"enabled": True, "kinds": ["pods", "replicasets"]},
        "podDisruptionBudget": {"minAvailable": 2},
        "serviceAccount": {"annotations": {"a": "b"}},
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "security"},
        "nodeSelector": {"a": "b"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "topologySpreadConstraints": [],
        "priorityClassName": "system-cluster-critical",
    },
}


# Without Helm ---------------------------------------------------------------------------------------------------------


def chart_file(name: str) -> Any:
    return yaml.safe_load((CHART / name).read_text("utf-8"))


def keys(values: dict[str, Any], above: str = "") -> Iterator[str]:
    """Yield the dotted names of all values, those of mappings included."""
    for key, value in values.items():
        yield f"{above}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{above}{key}.")


def schema_keys(schema: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, below in schema.get("properties", {}).items():
        yield f"{above}{key}"
        yield from schema_keys(below, f"{above}{key}.")


def test_the_chart_is_of_this_version() -> None:
    assert chart_file("Chart.yaml")["appVersion"] == lanner.__version__


def test_every_value_has_a_comment_above_it_or_above_its_block() -> None:
    bare, explained = [], False
    for line in (CHART / "values.yaml").read_text("utf-8").splitlines():
        word = line.strip()
        if not word:
            explained = False
        elif word.startswith("#"):
            explained = True
        elif not explained:
            bare.append(word)
    assert bare == []


def test_the_values_name_every_kind_that_can_be_watched() -> None:
    kinds = json.loads((CHART / "values.schema.json").read_text())["properties"]["enrichment"]["properties"]["kinds"]

    assert tuple(chart_file("values.yaml")["enrichment"]["kinds"]) == KINDS
    assert tuple(kinds["items"]["enum"]) == KINDS


def test_the_schema_has_exactly_the_values() -> None:
    ours = ("", "agent.")
    resources = {f"{of}resources.{kind}" for of in ours for kind in ("requests", "limits")}  # free, as in any container
    free = {f"{name}.{key}" for name in resources for key in ("cpu", "memory")} | resources
    values = set(keys(chart_file("values.yaml"))) - free - {f"{of}config.json_output" for of in ours}

    assert set(schema_keys(json.loads((CHART / "values.schema.json").read_text()))) - {"global"} == values


@pytest.mark.parametrize("name", VALUES)
def test_the_schema_takes_the_defaults_and_the_values_that_are_tried_here(name: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((CHART / "values.schema.json").read_text())

    jsonschema.validate(chart_file("values.yaml"), schema)
    jsonschema.validate(VALUES[name], schema)


def test_templates_use_only_values_that_there_are_and_all_of_them() -> None:
    text = "".join(path.read_text("utf-8") for path in (CHART / "templates").iterdir())
    used = set(re.findall(r"\.Values\.([A-Za-z.]+)", text))
    known = set(keys(chart_file("values.yaml")))
    leaves = {name for name in known if not any(other.startswith(f"{name}.") for other in known)}

    assert used - known == set()
    assert {leaf for leaf in leaves if not any(leaf == name or leaf.startswith(f"{name}.") for name in used)} == set()


# With Helm ------------------------------------------------------------------------------------------------------------


def helm(*arguments: str, values: dict[str, Any], chart: Path = CHART) -> "subprocess.CompletedProcess[str]":
    assert HELM is not None
    return subprocess.run(
        [HELM, *arguments, str(chart), "--namespace", "lanner", "--values", "-"],
        input=json.dumps(values), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def rendered(values: dict[str, Any]) -> list[Manifest]:
    done = helm("template", "lanner", "--kube-version", "1.36.0", values=values)
    assert done.returncode == 0, done.stderr
    return load(done.stdout)


def workload(manifests: list[Manifest]) -> Manifest:
    (found,) = (manifest for manifest in manifests if manifest["kind"] in ("Deployment", "StatefulSet"))
    return found


def pod(manifests: list[Manifest]) -> dict[str, Any]:
    spec: dict[str, Any] = workload(manifests)["spec"]["template"]["spec"]
    return spec


def container(manifests: list[Manifest]) -> dict[str, Any]:
    (found,) = pod(manifests)["containers"]
    return dict(found)


def config_of(manifests: list[Manifest]) -> Config:
    name = next(volume["configMap"]["name"] for volume in pod(manifests)["volumes"] if volume["name"] == "config")
    (found,) = (m for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"] == name)
    return read(found["data"]["lanner.yaml"], "lanner.yaml")


@needs_helm
@pytest.mark.parametrize("name", VALUES)
def test_helm_finds_nothing_to_complain_of(name: str) -> None:
    done = helm("lint", "--strict", "--kube-version", "1.36.0", values=VALUES[name])

    assert done.returncode == 0, done.stdout


@needs_helm
@pytest.mark.parametrize("name", VALUES)
def test_what_is_rendered_fits_the_types_of_the_api(name: str) -> None:
    for manifest in rendered(VALUES[name]):
        assert problems(manifest) == [], manifest["kind"]


@needs_helm
@pytest.mark.parametrize("name", VALUES)
def test_the_service_understands_its_configuration_and_every_file_in_it_is_mounted(name: str) -> None:
    manifests = rendered(VALUES[name])
    (source,) = config_of(manifests).sources
    mounts = {mount["mountPath"] for mount in container(manifests)["volumeMounts"]}
    listen = source.options.listen
    files = [*config_of(manifests).rules_files, *(([listen.tls.cert, listen.tls.key]) if listen.tls else ())]
    files += [listen.tls.client_ca] if listen.tls and listen.tls.client_ca else []

    assert source.type == "k8saudit"
    source.open()
    for file in files:
        assert file.startswith("bundled") or str(Path(file).parent) in mounts, file
    assert not source.options.spool.path or Path(source.options.spool.path).is_relative_to("/var/lib/lanner")
    assert "/var/lib/lanner" in mounts


@needs_helm
@pytest.mark.parametrize("name", VALUES)
def test_every_mount_has_its_volume_and_selectors_select_the_pods(name: str) -> None:
    manifests = rendered(VALUES[name])
    labels = workload(manifests)["spec"]["template"]["metadata"]["labels"].items()
    claims = [claim["metadata"]["name"] for claim in workload(manifests)["spec"].get("volumeClaimTemplates", [])]
    volumes = {volume["name"] for volume in pod(manifests)["volumes"]} | set(claims)
    selectors = [workload(manifests)["spec"]["selector"]["matchLabels"]]
    for manifest in manifests:
        if manifest["kind"] == "Service":
            selectors.append(manifest["spec"]["selector"])
            named = {port["name"] for port in container(manifests)["ports"]}
            assert {port["targetPort"] for port in manifest["spec"]["ports"]} <= named
        elif manifest["kind"] == "PodDisruptionBudget":
            selectors.append(manifest["spec"]["selector"]["matchLabels"])
        elif manifest["kind"] == "NetworkPolicy":
            selectors.append(manifest["spec"]["podSelector"]["matchLabels"])

    assert {mount["name"] for mount in container(manifests)["volumeMounts"]} == volumes
    assert all(selector.items() <= labels for selector in selectors)
    assert container(manifests)["ports"][0] == {"name": "audit", "containerPort": 9765}


@needs_helm
def test_pods_have_no_rights_beyond_their_own() -> None:
    manifests = rendered(MUTUAL)

    assert pod(manifests)["automountServiceAccountToken"] is False
    assert pod(manifests)["securityContext"]["runAsNonRoot"] is True
    assert container(manifests)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not [m for m in manifests if "Role" in m["kind"]]


@needs_helm
def test_with_enrichment_they_have_the_rights_that_the_watches_need_and_no_others() -> None:
    manifests = rendered(VALUES["enrichment"])
    role, binding = only(manifests, "ClusterRole"), only(manifests, "ClusterRoleBinding")

    assert pod(manifests)["automountServiceAccountToken"] is True
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list", "watch"}
    rights = {(group, name) for rule in role["rules"] for group in rule["apiGroups"] for name in rule["resources"]}
    assert rights == {("apps" if LISTINGS[kind].api == "AppsV1Api" else "", kind) for kind in KINDS}
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    account = only(manifests, "ServiceAccount")["metadata"]["name"]
    assert (subject["name"], subject["namespace"]) == (account, "lanner")
    assert pod(manifests)["serviceAccountName"] == account


@needs_helm
def test_enrichment_is_configured_for_the_cluster_that_the_webhook_names() -> None:
    enrichment = config_of(rendered(VALUES["enrichment"])).enrichment

    assert (enrichment.enabled, enrichment.cluster, enrichment.labels) == (True, "prod", ("app",))
    assert set(enrichment.kinds) == set(KINDS)
    assert not config_of(rendered(CERTIFICATE)).enrichment.enabled


@needs_helm
def test_rights_are_only_for_the_kinds_that_are_watched() -> None:
    rules = only(rendered(VALUES["everything"]), "ClusterRole")["rules"]

    assert [(rule["apiGroups"], rule["resources"]) for rule in rules] == [([""], ["pods"]), (["apps"], ["replicasets"])]


@needs_helm
def test_tls_tokens_and_names_reach_the_webhook() -> None:
    (source,) = config_of(rendered({**MUTUAL, "tokens": [TOKEN], "path": "/audit/"})).sources

    assert source.options.path == "/audit"
    assert source.options.listen.tls.client_ca == "/etc/lanner-client-ca/ca.crt"
    assert source.options.listen.tls.allowed_names == ("kube-apiserver",)
    assert [(token.name, token.sha256, token.cluster) for token in source.options.tokens] == [tuple(TOKEN.values())]


@needs_helm
def test_rules_and_further_keys_reach_the_configuration() -> None:
    config = config_of(rendered(VALUES["everything"]))

    assert config.rules_files == ("bundled", "/etc/lanner-rules/a.yml", "/etc/lanner-rules/b.yaml")
    assert config.priority.label == "Warning"
    assert config.json_output is True
    assert config.sources[0].options.max_body_bytes == 1048576
    assert config.sources[0].options.spool.path == "/var/lib/lanner/spool"


@needs_helm
def test_requests_are_only_kept_on_a_volume_unless_somebody_wants_it_otherwise() -> None:
    def overload(values: dict[str, Any]) -> str:
        return str(config_of(rendered(values)).sources[0].options.overload)

    assert overload(MUTUAL) == "shed"
    assert overload(VALUES["persistent"]) == "spool"
    assert overload(VALUES["everything"]) == "spool"
    assert overload({**VALUES["persistent"], "webhook": {"overload": "shed"}}) == "shed"


@needs_helm
def test_the_shipped_rules_load_by_the_names_that_the_chart_gives() -> None:
    from engine.load import LoadOptions
    from lanner import rulefiles
    from lanner.catalog import build_catalog

    ruleset = rulefiles.load(config_of(rendered(CERTIFICATE)).rules_files, build_catalog("h"), LoadOptions())

    assert {rule.source for rule in ruleset.rules} == {"k8s_audit"}


@needs_helm
def test_pods_are_replaced_when_configuration_or_rules_change_and_only_then() -> None:
    def sums(values: dict[str, Any]) -> dict[str, str]:
        return dict(workload(rendered({**CERTIFICATE, **values}))["spec"]["template"]["metadata"]["annotations"])

    before = sums({})
    assert sums({"replicas": 5}) == before
    config, rules = sums({"config": {"priority": "error"}}), sums({"rules": {"files": {"a.yaml": "[]"}}})
    assert (config["checksum/config"] != before["checksum/config"], config["checksum/rules"]) == (
        True,
        before["checksum/rules"],
    )
    assert rules["checksum/rules"] != before["checksum/rules"]


@needs_helm
def test_the_kubelet_asks_the_webhook_unless_it_would_need_a_certificate() -> None:
    asked = container(rendered(CERTIFICATE))["readinessProbe"]["httpGet"]

    assert (asked["path"], asked["port"], asked["scheme"]) == ("/readyz", "audit", "HTTPS")
    assert container(rendered(VALUES["plain"]))["readinessProbe"]["httpGet"]["scheme"] == "HTTP"
    assert container(rendered(MUTUAL))["readinessProbe"]["tcpSocket"] == {"port": "audit"}


@needs_helm
def test_pods_have_time_for_what_they_have_begun() -> None:
    manifests = rendered(CERTIFICATE)
    pause = int(container(manifests)["lifecycle"]["preStop"]["exec"]["command"][1])

    assert pod(manifests)["terminationGracePeriodSeconds"] > pause + config_of(manifests).shutdown_grace


@needs_helm
def test_a_certificate_has_the_names_and_the_address_that_an_api_server_calls() -> None:
    more = {"certManager": {**MANAGED["tls"]["certManager"], "ipAddresses": ["192.0.2.7"], "dnsNames": ["a.example"]}}
    manifests = rendered({"tls": more, "service": {"clusterIP": "10.96.0.200"}})
    spec = only(manifests, "Certificate")["spec"]

    assert spec["dnsNames"] == ["lanner.lanner.svc", "lanner.lanner.svc.cluster.local", "a.example"]
    assert spec["ipAddresses"] == ["10.96.0.200", "192.0.2.7"]
    assert spec["secretName"] == next(
        v["secret"]["secretName"] for v in pod(manifests)["volumes"] if v["name"] == "tls"
    )
    assert only(manifests, "Service")["spec"]["clusterIP"] == "10.96.0.200"


@needs_helm
def test_one_pod_has_no_disruption_budget() -> None:
    assert [m for m in rendered({**CERTIFICATE, "replicas": 1}) if m["kind"] == "PodDisruptionBudget"] == []
    assert only(rendered(CERTIFICATE), "PodDisruptionBudget")["spec"]["minAvailable"] == 1


@needs_helm
def test_the_agent_has_its_own_pods_with_four_rights() -> None:
    manifests = rendered(VALUES["agent"])
    found = only(manifests, "DaemonSet")["spec"]
    (agent,) = found["template"]["spec"]["containers"]
    (text,) = (m["data"] for m in manifests if m["kind"] == "ConfigMap" and m["metadata"]["name"] == "lanner-agent")

    assert found["selector"]["matchLabels"].items() <= found["template"]["metadata"]["labels"].items()
    assert (
        not workload(manifests)["spec"]["selector"]["matchLabels"].items() <= found["selector"]["matchLabels"].items()
    )
    assert agent["securityContext"]["capabilities"]["add"] == ["BPF", "PERFMON", "DAC_READ_SEARCH", "SYS_PTRACE"]
    config = read(text["lanner.yaml"], "lanner.yaml")
    assert [source.type for source in config.sources] == ["syscall"]
    assert config.rules_files == ("bundled/host", "/etc/lanner/mine.yaml")
    assert config.webserver.listen_port == agent["ports"][0]["containerPort"]
    assert [m for m in rendered(CERTIFICATE) if m["kind"] == "DaemonSet"] == []


@needs_helm
def test_with_persistence_each_pod_keeps_its_state() -> None:
    found = workload(rendered(VALUES["persistent"]))

    assert found["kind"] == "StatefulSet"
    (claim,) = found["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["storageClassName"] == "fast"
    assert "emptyDir" not in str([v for v in found["spec"]["template"]["spec"]["volumes"] if v["name"] == "state"])


@needs_helm
def test_only_the_given_addresses_come_through_the_network_policy() -> None:
    audit, metrics = only(rendered(VALUES["everything"]), "NetworkPolicy")["spec"]["ingress"]

    assert audit["from"] == [{"ipBlock": {"cidr": "192.0.2.0/28"}}]
    assert audit["ports"] == [{"protocol": "TCP", "port": "audit"}]
    assert metrics["from"] == [{"namespaceSelector": {}}]
    assert metrics["ports"] == [{"protocol": "TCP", "port": "metrics"}]


@needs_helm
@pytest.mark.parametrize("name", ["metrics", "everything"])
def test_a_service_monitor_selects_the_service_of_metrics_and_no_other(name: str) -> None:
    manifests = rendered(VALUES[name])
    monitor = only(manifests, "ServiceMonitor")["spec"]
    wanted = monitor["selector"]["matchLabels"].items()
    services = [m for m in manifests if m["kind"] == "Service" and wanted <= m["metadata"]["labels"].items()]
    config = config_of(manifests).webserver

    (service,) = services
    (endpoint,) = monitor["endpoints"]
    (port,) = service["spec"]["ports"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")
    assert service["spec"]["clusterIP"] == "None"
    assert {"name": "metrics", "containerPort": port["port"]} in container(manifests)["ports"]
    assert (config.enabled, config.prometheus_metrics_enabled, config.listen_port) == (True, True, port["port"])
    assert config.listen_address == config_of(manifests).sources[0].options.listen.host


@needs_helm
def test_a_service_monitor_has_the_labels_that_prometheus_selects_by() -> None:
    found = only(rendered(VALUES["everything"]), "ServiceMonitor")

    assert found["metadata"]["labels"]["release"] == "prometheus"
    assert found["metadata"]["labels"]["app.kubernetes.io/component"] == "metrics"
    assert found["spec"]["endpoints"][0]["interval"] == "1m30s"


@needs_helm
def test_without_metrics_there_is_no_port_for_them() -> None:
    manifests = rendered(CERTIFICATE)

    assert container(manifests)["ports"] == [{"name": "audit", "containerPort": 9765}]
    assert not config_of(manifests).webserver.enabled
    assert [m["metadata"]["name"] for m in manifests if m["kind"] == "Service"] == ["lanner"]


@needs_helm
@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "set tls.existingSecret or tls.certManager.enabled"),
        ({"tls": {"enabled": False, "existingSecret": "s"}}, "without TLS there are no certificates"),
        ({"tls": {"existingSecret": "s", "certManager": {"enabled": True}}}, "choose who makes the certificate"),
        ({"tls": {"certManager": {"enabled": True}}}, "needs tls.certManager.issuerRef.name"),
        ({**CERTIFICATE, "service": {"nodePort": 30007}}, "needs service.type=NodePort"),
        ({**CERTIFICATE, "networkPolicy": {"enabled": True}}, "needs networkPolicy.from"),
        ({**CERTIFICATE, "podDisruptionBudget": {"minAvailable": 2}}, "less than replicas"),
        ({**CERTIFICATE, "replica": 3}, "replica"),
        ({**CERTIFICATE, "replicas": "many"}, "replicas"),
        ({**CERTIFICATE, "tokens": [{"name": "a", "sha256": "secret"}]}, "sha256"),
        ({**CERTIFICATE, "config": {"sources": []}}, "config"),
        ({**CERTIFICATE, "webhook": {"path": "/x"}}, "webhook"),
        ({**CERTIFICATE, "rules": {"files": {"rules": ""}}}, "rules"),
        ({**CERTIFICATE, "service": {"clusterIP": "lanner.lanner.svc"}}, "clusterIP"),
        ({**CERTIFICATE, "enrichment": {"enabled": True}, "serviceAccount": {"create": False}}, "needs an account"),
        ({**CERTIFICATE, "enrichment": {"kinds": ["secrets"]}}, "kinds"),
        ({**CERTIFICATE, "serviceMonitor": {"enabled": True}}, "needs metrics.enabled"),
        ({**CERTIFICATE, "metrics": {"enabled": True, "port": 9765}}, "choose another one"),
        (
            {**CERTIFICATE, "metrics": {"enabled": True}, "networkPolicy": {"enabled": True, "from": ["192.0.2.0/28"]}},
            "networkPolicy.metricsFrom",
        ),
        ({**CERTIFICATE, "serviceMonitor": {"interval": "soon"}}, "interval"),
        ({**CERTIFICATE, "config": {"enrichment": {}}}, "config"),
    ],
)
def test_values_that_make_no_sense_are_refused_in_words(values: dict[str, Any], told: str) -> None:
    done = helm("template", "lanner", "--kube-version", "1.36.0", values=values)

    assert done.returncode != 0
    assert told in done.stderr


def notes(values: dict[str, Any], folder: Path) -> str:
    """Return what an installation shows; Helm renders it only for a cluster, so a template asks for it here."""
    chart = folder / "chart"
    shutil.copytree(CHART, chart, dirs_exist_ok=True)
    shutil.move(chart / "templates" / "NOTES.txt", chart / "notes")
    (chart / "templates" / "asked.yaml").write_text('notes: {{ tpl (.Files.Get "notes") . | quote }}')
    done = helm(
        "template", "lanner", "--kube-version", "1.36.0", "-s", "templates/asked.yaml", values=values, chart=chart
    )
    assert done.returncode == 0, done.stderr
    return str(yaml.safe_load(done.stdout)["notes"])


@needs_helm
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "cert-manager",
            {"server": "https://10.96.0.200:9765/k8s-audit/prod", "tls-server-name": "lanner.lanner.svc"},
        ),
        ("plain", {"server": "http://10.96.0.200:9765/k8s-audit/prod"}),
    ],
)
def test_the_notes_show_a_command_that_makes_the_kubeconfig(
    name: str, expected: dict[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    text = notes({**VALUES[name], "clusterName": "prod", "service": {"clusterIP": "10.96.0.200"}}, tmp_path)
    server = re.search(r"SERVER=(\S+)", text)
    command = re.search(r"lanner (k8s kubeconfig .*?)> /etc", text, re.DOTALL)
    assert server
    assert command
    words = shlex.split(command[1].replace("\\\n", " ").replace("$SERVER", server[1]))

    assert status_of(words) == 0
    cluster = yaml.safe_load(capsys.readouterr().out)["clusters"][0]["cluster"]
    assert {key: cluster[key] for key in expected} == expected


@needs_helm
def test_the_notes_warn_of_a_door_that_is_open(tmp_path: Path) -> None:
    assert "without TLS" in notes(VALUES["plain"], tmp_path)
    assert "neither tls.clientCA nor tokens" in notes(CERTIFICATE, tmp_path)
    assert "WARNING" not in notes(MUTUAL, tmp_path)
    assert "WARNING" not in notes(VALUES["tokens"], tmp_path)


@needs_helm
def test_the_plain_manifests_are_what_the_chart_makes() -> None:
    """They differ in labels and in the checksums, which only Helm can compute."""
    secrets = {"existingSecret": "lanner-tls", "clientCA": {"existingSecret": "lanner-client-ca"}}
    chart = rendered({"tls": secrets, "service": {"clusterIP": "10.96.0.200"}})
    plain = read_manifests(PLAIN)

    assert pod(plain) == _plain_labels(pod(chart))
    service = _plain_labels(only(chart, "Service")["spec"])
    assert service.pop("type") == "ClusterIP"  # which is the default
    assert only(plain, "Service")["spec"] == service
    assert only(plain, "PodDisruptionBudget")["spec"] == _plain_labels(only(chart, "PodDisruptionBudget")["spec"])
    assert config_of(plain) == config_of(chart)


def _plain_labels(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_labels(item) for key, item in value.items() if key != "app.kubernetes.io/instance"}
    return [_plain_labels(item) for item in value] if isinstance(value, list) else value
