import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ingest.syscalls.ebpf.live import REASONS, needs_ebpf
from tests.lanner.support import ROOT, command, environment, lanner

MOTO = pytest.importorskip("moto", reason="the demo's stand-in for AWS (extra 'demo') is not installed")


def test_the_demo_shows_alerts_of_both_sources_and_a_summary(tmp_path: Path) -> None:
    done = lanner("demo", "--no-host", "--port", "0", env=environment(FORCE_COLOR="1", TMPDIR=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^\x1b\[1;31m\S+: Critical Trail stopped or deleted: StopLogging \| .*\x1b\[0m$", done.stdout, re.M
    )
    assert re.search(r"^\x1b\[\S+: Critical .* in pods shop/node-tools \| .*\x1b\[0m$", done.stdout, re.M)
    assert "What to try next:" in done.stdout
    events = dict(re.findall(r"^ +([\d,]+)  (aws_cloudtrail|k8s_audit)$", done.stderr, re.M))
    assert set(events.values()) == {"aws_cloudtrail", "k8s_audit"}
    total = re.search(r"^alerts: (\d+)$", done.stderr, re.M)
    assert total is not None
    assert int(total[1]) == sum(": Critical" in line or " | " in line for line in done.stdout.splitlines())
    assert "ERROR" not in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


class TestHost:
    pytestmark = needs_ebpf

    def test_what_is_done_on_this_host_is_seen(self, tmp_path: Path) -> None:
        assert not REASONS, "; ".join(REASONS)
        done = lanner("demo", "--port", "0", env=environment(TMPDIR=str(tmp_path)))
        assert done.returncode == 0, done.stderr
        for alert in ("Error Password file /etc/shadow read by cat", "Critical Network tool nc used", "from memory"):
            assert f" {alert}" in done.stdout
        assert set(re.findall(r"^ +[\d,]+  (\w+)$", done.stderr, re.M)) == {"aws_cloudtrail", "k8s_audit", "syscall"}
        assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="dropping privileges needs root")
def test_without_privileges_it_says_why_this_host_is_not_watched() -> None:
    code = "import sys; from lanner.cli import main; main(['demo', '--port', '0'])"
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    done = subprocess.run(
        [*drop, sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment()
    )
    assert done.returncode == 0, done.stderr
    assert "This host is not watched: this process lacks CAP_BPF and CAP_PERFMON" in done.stdout
    assert "syscall" not in done.stderr


def test_the_demo_finds_what_scanning_the_samples_finds() -> None:
    shown = lanner("demo", "--no-host", "--port", "0")
    scanned = lanner("scan", ROOT / "lanner" / "data" / "samples")
    alerts = [line for line in shown.stdout.splitlines() if re.match(r"\d\d:\d\d:\d\d\.\d{9}: ", line)]
    assert sorted(alerts) == sorted(scanned.stdout.splitlines())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_demo_that_stays(number: int, tmp_path: Path) -> None:
    process = subprocess.Popen(
        command("demo", "--no-host", "--keep", "--port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(TMPDIR=str(tmp_path)),
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Still listening" in line:
            break
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does it
    else:
        process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "k8s_audit" in told
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = lanner("demo", "--port", port)
    assert done.returncode == 4
    assert done.stderr == (
        f"lanner: cannot listen on 127.0.0.1:{port} (Address already in use); choose another --port\n"
    )


def test_without_moto_the_demo_says_how_to_get_it() -> None:
    code = "import sys; sys.modules['moto'] = None; from lanner.cli import main; main(['demo', '--port', '0'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment())
    assert done.returncode == 4
    assert done.stderr == "lanner: the demo needs moto as a stand-in for AWS: pip install 'lanner[demo]'\n"
