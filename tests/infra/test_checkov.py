"""checkov, where it is installed (``pipx install checkov``; it is too heavy for the tests' own environment)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(not shutil.which("checkov"), reason="checkov is not installed")


@pytest.mark.parametrize(("folder", "framework"), [("infra/terraform", "terraform"), ("infra/docker", "dockerfile")])
def test_checkov_finds_nothing_but_what_is_explained(folder: str, framework: str) -> None:
    command = ["checkov", "--directory", str(ROOT / folder), "--framework", framework, "--output", "json", "--compact"]
    done = subprocess.run(command, capture_output=True, text=True)
    results = json.loads(done.stdout)["results"]
    assert results["passed_checks"]
    assert results["parsing_errors"] == []
    assert [f"{found['check_id']} {found['resource']}" for found in results["failed_checks"]] == []
