# The queue between the trail's files and the consumer, and where messages end up that cannot be used.

resource "aws_sqs_queue" "this" {
  count = var.create_queue ? 1 : 0

  name                              = var.name
  visibility_timeout_seconds        = var.queue_visibility_timeout
  receive_wait_time_seconds         = 20
  message_retention_seconds         = var.queue_retention_seconds
  sqs_managed_sse_enabled           = var.queue_encryption == "sqs" ? true : null
  kms_master_key_id                 = local.queue_kms_key_arn
  kms_data_key_reuse_period_seconds = var.queue_encryption == "kms" ? 3600 : null
  tags                              = local.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters[0].arn
    maxReceiveCount     = var.max_receive_count
  })
}

resource "aws_sqs_queue" "dead_letters" {
  count = var.create_queue ? 1 : 0

  name                              = "${var.name}-dead-letters"
  message_retention_seconds         = 1209600
  sqs_managed_sse_enabled           = var.queue_encryption == "sqs" ? true : null
  kms_master_key_id                 = local.queue_kms_key_arn
  kms_data_key_reuse_period_seconds = var.queue_encryption == "kms" ? 3600 : null
  tags                              = local.tags
}

resource "aws_sqs_queue_redrive_allow_policy" "this" {
  count = var.create_queue ? 1 : 0

  queue_url = aws_sqs_queue.dead_letters[0].id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.this[0].arn]
  })
}

data "aws_iam_policy_document" "queue" {
  count = var.create_queue ? 1 : 0

  statement {
    sid       = "Send"
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.this[0].arn]

    principals {
      type        = "Service"
      identifiers = [local.queue_sender]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [local.queue_source_arn]
    }

    dynamic "condition" {
      for_each = var.notification_mode == "s3" ? [1] : [] # a bucket's ARN does not tell its account, the others do

      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.bucket_account]
      }
    }
  }

  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.this[0].arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

locals {
  queue_source_arn = (
    local.uses_topic ? local.topic_arn
    : local.create_rule ? local.rule_arn
    : local.bucket_arn
  )
}

resource "aws_sqs_queue_policy" "this" {
  count = var.create_queue ? 1 : 0

  queue_url = aws_sqs_queue.this[0].id
  policy    = data.aws_iam_policy_document.queue[0].json
}
