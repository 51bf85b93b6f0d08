"""Terraform itself on the module: it is valid, its own tests pass, and so are the examples."""

import pytest

pytest.importorskip("grpc", reason="grpcio, which Terraform's plugins speak through, is not installed")

from tests.infra.provider import Provider
from tests.infra.terraform import EXAMPLES, MODULE, Terraform, prepare


def test_the_module_is_valid(module: Terraform) -> None:
    assert "The configuration is valid" in module.succeeds("validate")


def test_a_mistake_in_the_module_is_told(provider: Provider, tmp_path) -> None:
    terraform = prepare(tmp_path / "module", provider)
    text = (terraform.folder / "logs.tf").read_text()
    (terraform.folder / "logs.tf").write_text(text.replace("retention_in_days", "retention_days"))
    done = terraform.run("validate")
    assert done.returncode == 1
    assert 'An argument named "retention_days" is not expected here' in done.stderr


def test_every_mode_has_its_resources_and_every_mistake_is_told(module: Terraform) -> None:
    passed = module.succeeds("test")
    assert " passed, 0 failed" in passed


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_is_valid(example: str, provider: Provider, tmp_path) -> None:
    terraform = prepare(tmp_path / "module", provider, f"examples/{example}")
    assert "The configuration is valid" in terraform.succeeds("validate")


def test_files_are_in_terraforms_own_layout(module: Terraform) -> None:
    done = module.run("fmt", "-check", "-recursive", str(MODULE))
    assert done.stdout == ""
