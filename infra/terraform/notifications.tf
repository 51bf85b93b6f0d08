# How a new file becomes a message: bucket, topic or EventBridge rule to queue.

locals {
  queue_senders = {
    s3             = "s3.amazonaws.com"
    sns            = "sns.amazonaws.com"
    eventbridge    = "events.amazonaws.com"
    cloudtrail_sns = "sns.amazonaws.com"
  }
  queue_sender = local.queue_senders[var.notification_mode]
  rule_name    = "${var.name}-trail-files"
  rule_arn     = "arn:${local.partition}:events:${local.region}:${local.account}:rule/${local.rule_name}"
}

# Topic

resource "aws_sns_topic" "this" {
  count = local.create_topic ? 1 : 0

  name              = "${var.name}-trail-files"
  kms_master_key_id = local.kms_key_arn
  tags              = local.tags
}

data "aws_iam_policy_document" "topic" {
  count = local.create_topic ? 1 : 0

  dynamic "statement" {
    for_each = var.notification_mode == "sns" ? [1] : []

    content {
      sid       = "BucketPublish"
      actions   = ["sns:Publish"]
      resources = [aws_sns_topic.this[0].arn]

      principals {
        type        = "Service"
        identifiers = ["s3.amazonaws.com"]
      }

      condition {
        test     = "ArnEquals"
        variable = "aws:SourceArn"
        values   = [local.bucket_arn]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.bucket_account]
      }
    }
  }

  dynamic "statement" {
    for_each = var.notification_mode == "cloudtrail_sns" ? [1] : []

    content {
      sid       = "TrailPublish"
      actions   = ["sns:Publish"]
      resources = [aws_sns_topic.this[0].arn]

      principals {
        type        = "Service"
        identifiers = ["cloudtrail.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceArn"
        values   = local.trail_arns
      }
    }
  }

  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this[0].arn]

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

resource "aws_sns_topic_policy" "this" {
  count = local.create_topic ? 1 : 0

  arn    = aws_sns_topic.this[0].arn
  policy = data.aws_iam_policy_document.topic[0].json
}

resource "aws_sns_topic_subscription" "this" {
  count = local.uses_topic ? 1 : 0

  topic_arn            = local.topic_arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.this[0].arn
  raw_message_delivery = true

  depends_on = [aws_sqs_queue_policy.this]
}

# EventBridge

resource "aws_cloudwatch_event_rule" "this" {
  count = local.create_rule ? 1 : 0

  name        = local.rule_name
  description = "New trail files in ${local.bucket_name}"
  tags        = local.tags
  event_pattern = jsonencode({
    source        = ["aws.s3"]
    "detail-type" = ["Object Created"]
    detail = {
      bucket = { name = [local.bucket_name] }
      object = { key = [{ prefix = local.log_root }] }
    }
  })
}

resource "aws_cloudwatch_event_target" "this" {
  count = local.create_rule ? 1 : 0

  rule      = aws_cloudwatch_event_rule.this[0].name
  target_id = "queue"
  arn       = aws_sqs_queue.this[0].arn

  depends_on = [aws_sqs_queue_policy.this]
}

# Bucket. It has one notification document, so this resource owns all of it.

resource "aws_s3_bucket_notification" "this" {
  count = local.notify_by_bucket ? 1 : 0

  bucket      = var.create_bucket ? aws_s3_bucket.this[0].id : local.bucket_name
  eventbridge = local.create_rule

  dynamic "queue" {
    for_each = var.notification_mode == "s3" ? [1] : []

    content {
      id            = "${var.name}-trail-files"
      queue_arn     = aws_sqs_queue.this[0].arn
      events        = ["s3:ObjectCreated:*"]
      filter_prefix = local.log_root
      filter_suffix = ".json.gz"
    }
  }

  dynamic "topic" {
    for_each = var.notification_mode == "sns" ? [1] : []

    content {
      id            = "${var.name}-trail-files"
      topic_arn     = aws_sns_topic.this[0].arn
      events        = ["s3:ObjectCreated:*"]
      filter_prefix = local.log_root
      filter_suffix = ".json.gz"
    }
  }

  # S3 sends a test message at once and refuses the configuration when that fails.
  depends_on = [aws_sqs_queue_policy.this, aws_sns_topic_policy.this]
}
