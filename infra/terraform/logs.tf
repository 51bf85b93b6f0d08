# The consumer's log: what it says of itself, and its alerts as JSON lines.

locals {
  log_group_name = local.create_lambda ? "/aws/lambda/${var.name}" : "/lanner/${var.name}"
  log_group_arn  = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group:${local.log_group_name}"
}

resource "aws_cloudwatch_log_group" "this" {
  count = local.create_consumer ? 1 : 0

  name              = local.log_group_name
  retention_in_days = var.log_group_retention_days
  kms_key_id        = local.kms_key_arn
  tags              = local.tags
}
