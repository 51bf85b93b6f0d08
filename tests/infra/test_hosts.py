"""The agent as systemd and Kubernetes run it: the same rights in both, and with them it sees what it has to."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lanner.config import Config
from lanner.config import read as read_config
from tests.infra.manifests import only, problems, read
from tests.ingest.syscalls.ebpf.live import REASONS, needs_ebpf
from tests.lanner.support import ROOT, command, environment

UNITS = ROOT / "infra" / "systemd"
MANIFEST = ROOT / "infra" / "kubernetes" / "agent.yaml"
NOBODY = 65534


def settings(name: str) -> dict[str, str]:
    """Return what a unit sets, the last value of each name."""
    lines = (UNITS / name).read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def rights() -> list[str]:
    return settings("lanner-agent.service")["AmbientCapabilities"].split()


def daemon() -> dict[str, Any]:
    spec: dict[str, Any] = only(read(MANIFEST), "DaemonSet")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = daemon()["containers"]
    return dict(found)


def config() -> Config:
    return read_config(only(read(MANIFEST), "ConfigMap")["data"]["lanner.yaml"], "lanner.yaml")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on PATH")
@pytest.mark.parametrize("name", ["lanner.service", "lanner-agent.service"])
def test_systemd_understands_the_unit(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name
    unit.write_text((UNITS / name).read_text("utf-8").replace("/opt/lanner/bin/lanner", sys.executable))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["lanner.service", "lanner-agent.service"])
def test_a_unit_calls_a_verb_that_there_is(name: str) -> None:
    _, *arguments = shlex.split(settings(name)["ExecStart"])
    done = subprocess.run(
        [sys.executable, "-m", "lanner", *arguments, "--help"], capture_output=True, cwd=ROOT, env=environment()
    )
    assert done.returncode == 0


def test_rights_are_the_same_everywhere_and_no_more() -> None:
    assert settings("lanner-agent.service")["CapabilityBoundingSet"].split() == rights()
    assert [f"CAP_{name}" for name in container()["securityContext"]["capabilities"]["add"]] == rights()
    assert container()["securityContext"]["capabilities"]["drop"] == ["ALL"]
    assert "privileged" not in container()["securityContext"]
    assert settings("lanner.service")["CapabilityBoundingSet"] == ""


def test_the_manifest_fits_the_types_of_the_api() -> None:
    for manifest in read(MANIFEST):
        assert problems(manifest) == [], manifest["kind"]


def test_every_mount_has_its_volume_and_the_kubelet_asks_where_it_is_answered() -> None:
    assert {mount["name"] for mount in container()["volumeMounts"]} == {vol["name"] for vol in daemon()["volumes"]}
    (port,) = container()["ports"]
    assert (config().webserver.enabled, config().webserver.listen_port) == (True, port["containerPort"])
    for probe in ("startupProbe", "livenessProbe"):
        assert container()[probe]["httpGet"]["port"] == port["name"]


class TestLive:
    pytestmark = needs_ebpf

    @pytest.mark.skipif(os.geteuid() != 0, reason="giving rights away needs root")
    @pytest.mark.parametrize("uid", [NOBODY, 0])
    def test_with_these_rights_alone_it_sees_others(self, uid: int, tmp_path: Path) -> None:
        assert not REASONS, "; ".join(REASONS)
        tmp_path.chmod(0o755)
        state = tmp_path / "state"
        state.mkdir()
        os.chown(state, uid, uid)
        (tmp_path / "lanner.yaml").write_text("rules_files: [bundled/host]\njson_output: true\n")
        listed = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in rights())
        only_these = [f"--{kind}=-all,{listed}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
        identity = ["--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--no-new-privs"]
        out, log = tmp_path / "out", tmp_path / "log"
        with out.open("w") as stdout, log.open("w") as stderr:
            agent = subprocess.Popen(
                ["setpriv", *identity, *only_these, *command("agent", "-c", tmp_path / "lanner.yaml")],
                stdout=stdout, stderr=stderr, cwd=ROOT,
                env=environment(STATE_DIRECTORY=str(state), CACHE_DIRECTORY=str(state / "cache")),
            )  # fmt: skip
        try:
            wait(lambda: "running: syscall" in log.read_text(), agent, log)
            assert effective(agent.pid) == 4
            subprocess.run(["cat", "/etc/shadow"], stdout=subprocess.DEVNULL, check=True)
            wait(lambda: any(is_seen(line) for line in out.read_text().splitlines()), agent, log)
        finally:
            agent.send_signal(signal.SIGTERM)
            assert agent.wait(30) == 0, log.read_text()
        assert (state / "outbox.sqlite").stat().st_uid == uid


def effective(pid: int) -> int:
    """Return how many capabilities a process has in effect."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("CapEff")), 16).bit_count()


def is_seen(line: str) -> bool:
    alert = json.loads(line)
    fields = alert["output_fields"]
    return bool(fields.get("fd.name") == "/etc/shadow" and fields.get("user.name") == "root")


def wait(condition: Any, agent: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert agent.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.1)
