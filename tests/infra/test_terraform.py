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


CALLER = """
resource "aws_kms_key" "ours" {}

resource "aws_s3_bucket" "ours" {
  bucket_prefix = "ours"
}

resource "aws_sns_topic" "ours" {
  name_prefix = "ours"
}

resource "aws_ecs_cluster" "ours" {
  name = "ours"
}

module "lanner" {
  source = "./module"

  create_trail              = false
  create_bucket             = false
  existing_bucket_name      = aws_s3_bucket.ours.id
  create_kms_key            = false
  kms_key_arn               = aws_kms_key.ours.arn
  bucket_kms_key_arn        = aws_kms_key.ours.arn
  queue_encryption          = "kms"
  notification_mode         = "sns"
  create_sns_topic          = false
  existing_sns_topic_arn    = aws_sns_topic.ours.arn
  create_ecs_cluster        = false
  existing_ecs_cluster_name = aws_ecs_cluster.ours.id
  alarm_topic_arns          = [aws_sns_topic.ours.arn]
  image                     = "example/lanner:0.1.0"
  vpc_id                    = aws_kms_key.ours.id
  subnet_ids                = [aws_kms_key.ours.id]
}
"""


def test_callers_may_pass_what_they_make_in_the_same_run(provider: Provider, tmp_path) -> None:
    terraform = prepare(tmp_path / "caller" / "module", provider)
    terraform.folder = tmp_path / "caller"
    (terraform.folder / "main.tf").write_text(CALLER)
    terraform.succeeds("init", "-input=false")
    assert "Plan:" in terraform.succeeds("plan", "-input=false")
    terraform.succeeds("apply", "-input=false", "-auto-approve")


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_example_is_valid(example: str, provider: Provider, tmp_path) -> None:
    terraform = prepare(tmp_path / "module", provider, f"examples/{example}")
    assert "The configuration is valid" in terraform.succeeds("validate")


def test_files_are_in_terraforms_own_layout(module: Terraform) -> None:
    done = module.run("fmt", "-check", "-recursive", str(MODULE))
    assert done.stdout == ""
