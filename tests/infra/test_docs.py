"""The commands in the manual work as they stand."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"


def blocks(page: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def test_the_walk_through_with_moto_ends_with_alerts_and_a_dead_letter(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = "set -eu\n" + "\n".join(blocks("laptop-moto.md")).replace("5000", str(port))
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(DOCS.parent),
    }
    # moto would outlive a script that fails halfway, so all of it is a group that can be ended.
    process = subprocess.Popen(
        ["bash", "-c", script], cwd=tmp_path, env=environment, text=True, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        shown, _ = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
    log = (tmp_path / "lanner.log").read_text()
    assert process.returncode == 0, log
    assert "outputs: stdout" in shown
    assert '"rule":' in shown
    assert "dead letter: no message of CloudTrail's" in shown
    assert "stopping: SIGTERM" in log


@pytest.mark.parametrize("page", ["deploy-aws.md", "cost-and-sizing.md"])
def test_the_commands_of_a_page_are_shell(page: str) -> None:
    for block in blocks(page):
        done = subprocess.run(["bash", "-n", "-c", block], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + block


@pytest.mark.parametrize("page", ["deploy-aws.md", "cost-and-sizing.md", "laptop-moto.md"])
def test_a_link_leads_to_a_file(page: str) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (DOCS / page).read_text()):
        assert (DOCS / target).exists(), target
