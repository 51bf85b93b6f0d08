"""The service on this host's own kernel: rules in, alerts out."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ingest.syscalls.ebpf.live import REASONS, needs_ebpf
from tests.lanner.support import ROOT, environment

pytestmark = needs_ebpf

RULES = """
- rule: Secret file read
  desc: d
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true and fd.name = {folder}/secret
  output: read by %proc.name with %proc.cmdline from %proc.pname as %user.name
  priority: WARNING
- rule: Strange program
  desc: d
  condition: evt.type = execve and evt.res = SUCCESS and proc.exepath = {folder}/strange
  output: ran %proc.cmdline in %proc.cwd
  priority: CRITICAL
"""


class Agent:
    """The command, running."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        (folder / "rules.yaml").write_text(RULES.format(folder=folder))
        keys = "".join(f", {name}: {value}" for name, value in options.items())
        (folder / "lanner.yaml").write_text(
            f"rules_files: [{folder}/rules.yaml]\noutbox: {{path: ':none'}}\nsources: [{{type: syscall{keys}}}]\n"
        )
        self.log, self.out = folder / "log", folder / "out"
        with self.log.open("w") as log, self.out.open("w") as out:
            command = [sys.executable, "-m", "lanner", "run", "-c", str(folder / "lanner.yaml")]
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=out, stderr=log)
        self.until(lambda: "running: syscall" in self.log.read_text())

    def until(self, true: Callable[[], bool]) -> None:
        ends = time.monotonic() + 60
        while not true():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends, self.log.read_text()
            time.sleep(0.02)

    def alerts(self) -> list[str]:
        return self.out.read_text().splitlines()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(params=["kernel", "none"])
def agent(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Agent]:
    assert not REASONS, "; ".join(REASONS)
    (tmp_path / "secret").write_text("s")
    shutil.copy("/bin/true", tmp_path / "strange")
    found = Agent(tmp_path, filter=request.param)
    yield found
    if found.process.poll() is None:
        found.process.kill()
        found.process.wait()


def test_what_rules_are_about_is_told_with_who_did_it(agent: Agent) -> None:
    folder = agent.folder
    for _ in range(3):
        (folder / "other").write_text("o")
        (folder / "other").read_text()
    subprocess.run(["/bin/cat", str(folder / "secret")], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["/bin/cat", "secret"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    subprocess.run([str(folder / "strange"), "a", "b"], check=True, cwd="/usr")
    agent.until(lambda: len(agent.alerts()) >= 3)
    assert agent.end() == 0
    read, relative, ran = (line.partition(": ")[2] for line in agent.alerts())
    who = Path(f"/proc/{os.getpid()}/comm").read_text().strip()
    assert read == f"Warning read by cat with cat {folder}/secret from {who} as root"
    assert relative == f"Warning read by cat with cat secret from {who} as root"
    assert ran == "Critical ran strange a b in /usr/"
