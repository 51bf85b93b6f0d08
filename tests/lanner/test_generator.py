"""Every generated action is seen by the shipped rule it is about, on a real kernel; none leaves anything behind."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lanner.generated import ACTIONS
from lanner.generator import Skipped, perform
from lanner.rulefiles import bundled
from tests.ingest.syscalls.ebpf.live import REASONS, needs_ebpf
from tests.lanner.support import ROOT, environment, lanner

RULES = {
    name
    for path in (bundled() / "host").glob("*.yaml")
    for name in re.findall(r"^- rule: (.+)$", path.read_text("utf-8"), re.MULTILINE)
}


@pytest.mark.parametrize("name", ACTIONS)
def test_every_action_is_about_a_shipped_rule(name: str) -> None:
    assert ACTIONS[name].rule in RULES


def test_most_rules_have_an_action() -> None:
    assert len({action.rule for action in ACTIONS.values()}) >= 60


class TestLive:
    pytestmark = needs_ebpf

    def test_every_action_that_can_be_done_here_is_detected(self, tmp_path: Path) -> None:
        assert not REASONS, "; ".join(REASONS)
        (tmp_path / "lanner.yaml").write_text(
            "rules_files: [bundled/host]\njson_output: true\noutbox: {path: ':none'}\nsources: [{type: syscall}]\n"
        )
        before = {
            path: sorted(os.listdir(path))
            for path in ("/etc/cron.d", "/etc/pam.d", "/etc/init.d")
            if Path(path).is_dir()
        }
        out, log = tmp_path / "out", tmp_path / "log"
        with out.open("w") as stdout, log.open("w") as stderr:
            command = [sys.executable, "-m", "lanner", "run", "-c", str(tmp_path / "lanner.yaml")]
            agent = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=stdout, stderr=stderr)
        try:
            until_said(log, "running: syscall", agent)
            done = lanner("events", "generate", "--all", "--sleep", "0.02")
            assert done.returncode == 0, done.stderr
            acted = dict(re.findall(r"^done +(\S+): (.+)$", done.stdout, re.MULTILINE))
            assert len(acted) > 40, done.stdout
            ends = time.monotonic() + 20
            while (missed := set(acted.values()) - told(out)) and time.monotonic() < ends:
                time.sleep(0.1)
            assert not missed, log.read_text()
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait(30)
        assert {path: sorted(os.listdir(path)) for path in before} == before


def until_said(log: Path, text: str, process: "subprocess.Popen[bytes]") -> None:
    ends = time.monotonic() + 60
    while text not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < ends, log.read_text()
        time.sleep(0.05)


def told(out: Path) -> set[str]:
    return {json.loads(line)["rule"] for line in out.read_text().splitlines() if line.endswith("}")}


def test_what_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "authorized_keys").write_text("mine")
    with pytest.raises(Skipped, match="is there, and is left alone"):
        perform(ACTIONS["authorized-keys"], tmp_path)
    assert (tmp_path / "authorized_keys").read_text() == "mine"


def test_an_action_cleans_up(tmp_path: Path) -> None:
    perform(ACTIONS["authorized-keys"], tmp_path)
    assert os.listdir(tmp_path) == []


def test_the_verb_lists_and_says_what_it_does_not_know() -> None:
    listed = lanner("events", "generate", "--list").stdout
    assert all(action.rule in listed for action in ACTIONS.values())
    wrong = lanner("events", "generate", "shadw")
    assert (wrong.returncode, "did you mean 'shadow'?" in wrong.stderr) == (2, True)
    assert lanner("events", "generate").returncode == 2
