"""``lanner k8s`` as people and scripts use it."""

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from lanner.cli.app import status_of
from tests.lanner.k8s.auditing import HEADER, rule_text
from tests.lanner.support import lanner

Capture = pytest.CaptureFixture[str]


def told(capsys: Capture, status: int, *arguments: str | Path) -> str:
    assert status_of(["k8s", *map(str, arguments)]) == status
    return capsys.readouterr().out


def refused(capsys: Capture, *arguments: str | Path) -> str:
    assert status_of(["k8s", *map(str, arguments)]) == 2
    return capsys.readouterr().err


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(rule_text("ka.target.resource = secrets and ka.verb = get", "Secrets read"))
    return path


@pytest.fixture
def silent(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(f"{HEADER}rules:\n- level: None\n  resources: [{{group: ''}}]\n- level: Metadata\n")
    return path


def test_the_policy_goes_to_standard_output_and_passes_its_own_check(
    capsys: Capture, rules: Path, tmp_path: Path
) -> None:
    text = told(capsys, 0, "audit-policy", "-r", rules)
    made = tmp_path / "made.yaml"
    made.write_text(text)

    assert yaml.safe_load(text)["rules"] == [
        {"level": "Metadata", "verbs": ["get"], "resources": [{"group": "", "resources": ["secrets"]}]}
    ]
    assert "1 full" in told(capsys, 0, "audit-policy", "-r", rules, "--check", made)


def test_the_shipped_rules_are_the_default(tmp_path: Path) -> None:
    made = tmp_path / "made.yaml"
    done = lanner("k8s", "audit-policy")
    made.write_text(done.stdout)

    assert done.returncode == 0
    assert done.stderr == ""
    check = lanner("k8s", "audit-policy", "--check", made)
    assert (check.returncode, check.stderr) == (0, "")
    assert "dead" not in check.stdout


def test_a_dead_rule_is_a_finding(capsys: Capture, rules: Path, silent: Path) -> None:
    out = told(capsys, 1, "audit-policy", "-r", rules, "--check", silent)

    assert f"dead: Secrets read\n    get secrets: {silent}:4 leaves it out; Metadata is needed\n" in out


def test_a_wrong_policy_is_told_with_its_line(capsys: Capture, rules: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(f"{HEADER}rules:\n- level: All\n")

    err = refused(capsys, "audit-policy", "-r", rules, "--check", wrong)

    assert err == f"lanner: {wrong}:4: level is All; one of None, Metadata, Request, RequestResponse is wanted\n"


def test_a_wrong_rule_file_is_status_3(capsys: Capture, tmp_path: Path) -> None:
    wrong = tmp_path / "rules.yaml"
    wrong.write_text(rule_text("ka.nothing = x"))

    assert status_of(["k8s", "audit-policy", "-r", str(wrong)]) == 3
    assert "unknown-field" in capsys.readouterr().err


FULL = (
    "--server", "https://10.96.0.200", "--tls-server-name", "lanner.lanner.svc", "--ca", "/etc/ca.crt",
    "--client-cert", "/etc/c.crt", "--client-key", "/etc/c.key",
)  # fmt: skip


def written(capsys: Capture, *arguments: str | Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(told(capsys, 0, "kubeconfig", *arguments))
    return config


def test_a_kubeconfig_with_client_certificate(capsys: Capture) -> None:
    config = written(capsys, *FULL)

    assert config["clusters"][0]["cluster"] == {
        "server": "https://10.96.0.200:9765/k8s-audit",
        "certificate-authority": "/etc/ca.crt",
        "tls-server-name": "lanner.lanner.svc",
    }
    assert config["users"][0]["user"] == {"client-certificate": "/etc/c.crt", "client-key": "/etc/c.key"}
    assert config["current-context"] == config["contexts"][0]["name"]
    assert config["contexts"][0]["context"] == {
        "cluster": config["clusters"][0]["name"],
        "user": config["users"][0]["name"],
    }


def test_a_kubeconfig_with_token_port_path_and_embedded_authority(capsys: Capture, tmp_path: Path) -> None:
    ca = tmp_path / "ca.crt"
    ca.write_text("-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n")
    arguments = ("--server", "https://[2001:db8::1]:30007/audit/prod", "--token-file", "/etc/token")

    config = written(capsys, *arguments, "--ca", ca, "--embed-ca")

    cluster = config["clusters"][0]["cluster"]
    assert cluster["server"] == "https://[2001:db8::1]:30007/audit/prod"
    assert base64.b64decode(cluster["certificate-authority-data"]) == ca.read_bytes()
    assert config["users"][0]["user"] == {"tokenFile": "/etc/token"}


def test_a_kubeconfig_for_plain_http(capsys: Capture) -> None:
    config = written(capsys, "--server", "http://127.0.0.1")

    assert config["clusters"][0]["cluster"] == {"server": "http://127.0.0.1:9765/k8s-audit"}
    assert config["users"][0]["user"] == {}


@pytest.mark.parametrize(
    ("arguments", "finding"),
    [
        (("--server", "10.96.0.200"), "give a URL such as"),
        (("--server", "ftp://x"), "give a URL such as"),
        (("--server", "https://x:99999"), "give a URL such as"),
        (("--server", "https://u:p@x"), "scheme, host, port and path only"),
        (("--server", "https://x/p?a=b"), "scheme, host, port and path only"),
        (("--server", "https://lanner.lanner.svc"), "and --tls-server-name lanner.lanner.svc"),
        (("--server", "https://lanner.lanner.svc.cluster.local"), "give the clusterIP"),
        (("--server", "https://x", "--client-cert", "c"), "belong together"),
        (("--server", "https://x", "--client-key", "c"), "belong together"),
        (
            ("--server", "https://x", "--client-cert", "c", "--client-key", "k", "--token-file", "t"),
            "either a client certificate or a token file",
        ),
        (("--server", "http://x", "--token-file", "t"), "is plain HTTP, where --token-file has no meaning"),
        (("--server", "http://x", "--ca", "t"), "is plain HTTP, where --ca has no meaning"),
        (("--server", "https://x", "--ca", "/nowhere", "--embed-ca"), "cannot read the file to embed: No such file"),
        (("--server", "https://x", "--ca", "/etc/hostname", "--embed-ca"), "no PEM certificate"),
    ],
)
def test_settings_that_make_no_sense_are_refused(capsys: Capture, arguments: tuple[str, ...], finding: str) -> None:
    err = refused(capsys, "kubeconfig", *arguments)

    assert err.startswith("lanner: ")
    assert finding in err


def test_the_server_is_required(capsys: Capture) -> None:
    assert "Missing option '--server'" in refused(capsys, "kubeconfig")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl on PATH")
def test_kubectl_reads_the_kubeconfig(capsys: Capture, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text(told(capsys, 0, "kubeconfig", *FULL))
    asked = [
        "kubectl",
        "--kubeconfig",
        str(config),
        "config",
        "view",
        "--minify",
        "-o",
        "jsonpath={.clusters[0].cluster}",
    ]

    done = subprocess.run(asked, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert '"server":"https://10.96.0.200:9765/k8s-audit"' in done.stdout
