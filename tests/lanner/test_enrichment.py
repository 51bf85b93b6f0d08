"""The whole service with an API server beside it: alerts say what stands behind the object of a request."""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes", reason="the package kubernetes is not installed")

from tests.ingest.kubernetes.apiserver import ApiServer, fill, kubeconfig, pod, thing
from tests.lanner.support import ROOT, audit_event, environment, lanner
from tests.lanner.test_service import Running, free_port

RULES = """
- rule: Into a privileged pod
  desc: d
  condition: ka.target.subresource = exec and k8smeta.pod.privileged = true and k8smeta.ns.label[team] = shop
  output: into %ka.target.name of %k8smeta.deployment.name (%k8smeta.pod.labels)
  priority: CRITICAL
  source: k8s_audit
- rule: Exec
  desc: d
  condition: ka.target.subresource = exec
  output: exec
  priority: NOTICE
  source: k8s_audit
"""


def exec_event(name: str, **more: Any) -> dict[str, Any]:
    reference = {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": name}
    return {**audit_event(), "verb": "create", "objectRef": reference, **more}


def test_the_rule_of_the_manual_fires(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "enrichment.md").read_text("utf-8")
    (rule,) = (block for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) if "- rule:" in block)
    (tmp_path / "manual.yaml").write_text(rule)
    with ApiServer().serving() as server:
        fill(server)
        server.put("namespaces", thing("shop", labels={"env": "prod"}))
        owner = ("ReplicaSet", "web-5d9", "uid-shop-web-5d9")
        container = [{"image": "web:1", "securityContext": {"privileged": True}}]
        server.put("pods", pod("web-5d9-y", owner=owner, containers=container))
        running = Running(
            tmp_path,
            rules_files=[str(tmp_path / "manual.yaml")],
            enrichment={"enabled": True, "kubeconfig": kubeconfig(tmp_path, server)},
        )
        for name in ("web-5d9-x", "web-5d9-y"):
            assert running.post(exec_event(name, stage="ResponseStarted")) == 200
        assert running.end() == 0
    (alert,) = running.found()
    assert "Into web-5d9-y of Deployment web | user=bob node=node-1" in alert["output"]


class Enriched(Running):
    def __init__(self, folder: Path, kubeconfig: str, **enrichment: Any) -> None:
        (folder / "enriched.yaml").write_text(RULES)
        super().__init__(
            folder,
            rules_files=[str(folder / "enriched.yaml")],
            enrichment={"enabled": True, "kubeconfig": kubeconfig, **enrichment},
        )


def test_alerts_have_labels_and_owner_and_rules_can_ask_for_them(tmp_path: Path) -> None:
    with ApiServer(token="secret").serving() as server:
        fill(server)
        container = [{"image": "web:1", "securityContext": {"privileged": True}}]
        owner = ("ReplicaSet", "web-5d9", "uid-shop-web-5d9")
        server.put("pods", pod("web-5d9-y", owner=owner, containers=container))
        running = Enriched(tmp_path, kubeconfig(tmp_path, server, token="secret"))
        assert running.post(exec_event("web-5d9-x"), exec_event("web-5d9-y"), exec_event("unknown")) == 200
        assert running.end() == 0
    alerts = running.found()

    assert [alert["rule"] for alert in alerts] == ["Exec", "Into a privileged pod", "Exec", "Exec"]
    assert alerts[1]["output"].endswith("into web-5d9-y of web ((app:web))")
    known = {"k8smeta.pod.labels": ["app:web"], "k8smeta.owner.kind": "Deployment", "k8smeta.owner.name": "web"}
    namespace = ["team:shop", "kubernetes.io/metadata.name:shop"]
    assert {**known, "k8smeta.ns.labels": namespace}.items() <= alerts[0]["output_fields"].items()
    unknown = dict.fromkeys(known)
    assert {**unknown, "k8smeta.ns.labels": namespace}.items() <= alerts[3]["output_fields"].items()
    assert "pods:objects 2" in running.log.read_text()


def test_metrics_tell_what_is_known(tmp_path: Path) -> None:
    port = free_port()
    with ApiServer().serving() as server:
        fill(server)
        running = Running(
            tmp_path,
            enrichment={"enabled": True, "kubeconfig": kubeconfig(tmp_path, server), "kinds": ["pods", "nodes"]},
            webserver={"enabled": True, "listen_port": port},
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert running.end() == 0
    assert 'lanner_enrichment_objects{kind="pods"} 1.0' in text
    assert 'lanner_enrichment_objects{kind="services"} 0.0' in text
    assert 'lanner_enrichment_total{kind="nodes",what="lists"} 1.0' in text


def test_without_an_api_server_the_service_runs_and_says_so_once(tmp_path: Path) -> None:
    running = Enriched(tmp_path, kubeconfig(tmp_path, ApiServer(url="http://127.0.0.1:9")))
    assert running.post(exec_event("web-5d9-x")) == 200
    assert running.end() == 0

    assert [alert["rule"] for alert in running.found()] == ["Exec"]
    assert running.found()[0]["output_fields"]["k8smeta.pod.labels"] is None
    assert running.log.read_text().count("the API server's") == 1


def test_events_of_another_cluster_get_nothing_of_this_one(tmp_path: Path) -> None:
    with ApiServer().serving() as server:
        fill(server)
        running = Enriched(tmp_path, kubeconfig(tmp_path, server), cluster="prod", alert_fields=["k8smeta.pod.uid"])
        for cluster in ("prod", "test"):
            body = json.dumps([exec_event("web-5d9-x")]).encode()
            assert running.request("POST", f"/k8s-audit/{cluster}", body)[0] == 200
        assert running.end() == 0

    uids = [alert["output_fields"]["k8smeta.pod.uid"] for alert in running.found()]
    assert uids == ["uid-shop-web-5d9-x", None]


@pytest.mark.parametrize(
    ("enrichment", "told"),
    [({"kinds": ["secrets"]}, "'secrets' cannot be watched"), ({"alert_fields": ["k8smeta.none"]}, "k8smeta.none")],
)
def test_what_makes_no_sense_is_told_at_the_start(tmp_path: Path, enrichment: dict[str, Any], told: str) -> None:
    config = {"sources": [{"type": "k8saudit", "listen": {"port": 0}}], "outbox": {"path": ":none"}}
    (tmp_path / "rules.yaml").write_text(RULES)
    config |= {"rules_files": [str(tmp_path / "rules.yaml")], "enrichment": {"enabled": True, **enrichment}}
    (tmp_path / "lanner.yaml").write_text(json.dumps(config))

    done = lanner("run", "-c", tmp_path / "lanner.yaml", env=environment(KUBECONFIG=str(tmp_path / "none")))

    assert done.returncode in (2, 3)
    assert told in done.stderr
    assert "Traceback" not in done.stderr
