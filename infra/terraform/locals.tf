data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  tags      = merge({ Application = "lanner", Name = var.name }, var.tags)

  # What is made here: decided by what is known before anything is, so that callers may pass what they make themselves
  uses_topic      = var.create_queue && contains(["sns", "cloudtrail_sns"], var.notification_mode)
  create_topic    = local.uses_topic && var.create_sns_topic
  create_rule     = var.create_queue && var.notification_mode == "eventbridge"
  create_consumer = var.consumer != "none"
  create_ecs      = var.consumer == "ecs"
  create_cluster  = local.create_ecs && var.create_ecs_cluster
  create_lambda   = var.consumer == "lambda"
  lambda_in_vpc   = local.create_lambda && length(var.subnet_ids) > 0
  notify_by_bucket = (
    var.create_queue && (var.create_bucket || var.replace_bucket_notifications) &&
    (contains(["s3", "eventbridge"], var.notification_mode) || (var.notification_mode == "sns" && local.create_topic))
  )

  # Names that policies need before the things themselves exist
  trail_name     = coalesce(var.trail_name, var.name)
  trail_account  = var.is_organization_trail ? coalesce(var.organization_management_account_id, local.account) : local.account
  new_trail_arn  = "arn:${local.partition}:cloudtrail:${local.region}:${local.trail_account}:trail/${local.trail_name}"
  trail_arns     = concat(var.create_trail ? [local.new_trail_arn] : [], var.additional_trail_arns)
  trail_accounts = distinct([for arn in local.trail_arns : split(":", arn)[4]])

  bucket_name    = var.create_bucket ? coalesce(var.bucket_name, "${var.name}-${local.account}-${local.region}") : var.existing_bucket_name
  bucket_arn     = "arn:${local.partition}:s3:::${local.bucket_name}"
  bucket_account = coalesce(var.existing_bucket_account_id, local.account)
  log_root       = var.log_prefix == "" ? "AWSLogs/" : "${var.log_prefix}/AWSLogs/"

  kms_key_arn       = var.create_kms_key ? aws_kms_key.this[0].arn : var.kms_key_arn
  queue_kms_key_arn = var.create_queue ? (var.queue_encryption == "kms" ? local.kms_key_arn : null) : var.queue_kms_key_arn

  topic_arn = local.create_topic ? aws_sns_topic.this[0].arn : var.existing_sns_topic_arn

  queue_arn  = var.create_queue ? aws_sqs_queue.this[0].arn : var.existing_queue_arn
  queue_name = var.create_queue ? aws_sqs_queue.this[0].name : local.existing_queue[5]
  queue_url  = var.create_queue ? aws_sqs_queue.this[0].url : local.existing_queue_url
  dlq_arn    = var.create_queue ? aws_sqs_queue.dead_letters[0].arn : var.existing_dlq_arn
  dlq_name   = var.create_queue ? aws_sqs_queue.dead_letters[0].name : local.existing_dlq[5]
  dlq_url    = var.create_queue ? aws_sqs_queue.dead_letters[0].url : local.existing_dlq_url

  existing_queue     = split(":", coalesce(var.existing_queue_arn, "arn::sqs:::"))
  sqs_endpoint       = "https://sqs.${local.existing_queue[3]}.${data.aws_partition.current.dns_suffix}/${local.existing_queue[4]}"
  existing_queue_url = "${local.sqs_endpoint}/${local.existing_queue[5]}"
  existing_dlq       = split(":", coalesce(var.existing_dlq_arn, "arn::sqs:::"))
  existing_dlq_url   = "${local.sqs_endpoint}/${local.existing_dlq[5]}"
}
