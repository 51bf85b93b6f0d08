"""Runs Terraform on copies of the module, with the stand-in for the provider."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.infra.provider import Provider

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "infra" / "terraform"
EXAMPLES = sorted(path.name for path in (MODULE / "examples").iterdir())


@dataclass
class Terraform:
    """
    Terraform in a folder of its own.

    Attributes:
        folder: Where it runs.
        environment: For its process.
    """

    folder: Path
    environment: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["terraform", *words, "-no-color"]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)

    def succeeds(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"terraform {' '.join(words)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def apply(self, **variables: Any) -> "State":
        """Apply with variables; return the state."""
        (self.folder / "test.auto.tfvars.json").write_text(json.dumps(variables))
        self.succeeds("apply", "-auto-approve", "-input=false")
        return State(json.loads(self.succeeds("show", "-json"))["values"])


@dataclass
class State:
    """What Terraform believes to have made, each attribute evaluated."""

    values: dict[str, Any]

    def all(self, kind: str) -> list[dict[str, Any]]:
        resources = self.values["root_module"]["resources"]
        return [found["values"] for found in resources if found["type"] == kind and found["mode"] == "managed"]

    def named(self, kind: str, name: str) -> dict[str, Any]:
        resources = self.values["root_module"]["resources"]
        (found,) = [r for r in resources if (r["mode"], r["type"], r["name"]) == ("managed", kind, name)]
        return found["values"]

    def output(self, name: str) -> Any:
        return self.values["outputs"][name].get("value")


def prepare(target: Path, provider: Provider, subfolder: str = "") -> Terraform:
    """Copy the module and initialise it, or one of its examples, there."""
    shutil.copytree(MODULE, target, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(target),
        "TF_CLI_CONFIG_FILE": os.devnull,
        "CHECKPOINT_DISABLE": "1",
        **provider.environment,
    }
    terraform = Terraform(target / subfolder, environment)
    terraform.succeeds("init", "-input=false")
    return terraform
