# One key for trail files, topic, logs and, on demand, the queues. It is for this use only, so that its policy can name
# who uses it and what for.

locals {
  # Services that put messages into what this key encrypts. AWS documents these grants without a condition on the source;
  # who may send at all is decided by the policies of queue and topic, which name their one source.
  key_senders = toset(concat(
    local.create_topic && var.notification_mode == "sns" ? ["s3.amazonaws.com"] : [],
    local.create_topic && var.notification_mode == "cloudtrail_sns" ? ["cloudtrail.amazonaws.com"] : [],
    var.create_queue && var.queue_encryption == "kms" ? [local.queue_sender] : [],
  ))
}

data "aws_iam_policy_document" "key" {
  # checkov:skip=CKV_AWS_109:A key policy that the account's administrators cannot change makes the key unmanageable; its resource is the key it is attached to.
  # checkov:skip=CKV_AWS_111:A key policy is always about its own key.
  # checkov:skip=CKV_AWS_356:"*" in a key policy stands for its own key.

  statement {
    sid       = "Administration"
    actions   = ["kms:*"]
    resources = ["*"]

    principals {
      type        = "AWS"
      identifiers = ["arn:${local.partition}:iam::${local.account}:root"]
    }
  }

  dynamic "statement" {
    for_each = length(local.trail_arns) > 0 ? [1] : []

    content {
      sid       = "TrailEncrypt"
      actions   = ["kms:GenerateDataKey*"]
      resources = ["*"]

      principals {
        type        = "Service"
        identifiers = ["cloudtrail.amazonaws.com"]
      }

      condition {
        test     = "StringEquals"
        variable = "aws:SourceArn"
        values   = local.trail_arns
      }

      condition {
        test     = "StringLike"
        variable = "kms:EncryptionContext:aws:cloudtrail:arn"
        values   = [for account in local.trail_accounts : "arn:${local.partition}:cloudtrail:*:${account}:trail/*"]
      }
    }
  }

  dynamic "statement" {
    for_each = length(local.trail_arns) > 0 ? [1] : []

    content {
      sid       = "TrailDescribe"
      actions   = ["kms:DescribeKey"]
      resources = ["*"]

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

  dynamic "statement" {
    for_each = length(local.key_senders) > 0 ? [1] : []

    content {
      sid       = "Senders"
      actions   = ["kms:GenerateDataKey*", "kms:Decrypt"]
      resources = ["*"]

      principals {
        type        = "Service"
        identifiers = local.key_senders
      }
    }
  }

  dynamic "statement" {
    for_each = local.create_consumer ? [1] : []

    content {
      sid       = "Logs"
      actions   = ["kms:Encrypt*", "kms:Decrypt*", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:Describe*"]
      resources = ["*"]

      principals {
        type        = "Service"
        identifiers = ["logs.${local.region}.amazonaws.com"]
      }

      condition {
        test     = "ArnEquals"
        variable = "kms:EncryptionContext:aws:logs:arn"
        values   = [local.log_group_arn]
      }
    }
  }
}

resource "aws_kms_key" "this" {
  count = var.create_kms_key ? 1 : 0

  description             = "${var.name}: trail files, notifications and logs"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy                  = data.aws_iam_policy_document.key.json
  tags                    = local.tags
}

resource "aws_kms_alias" "this" {
  count = var.create_kms_key ? 1 : 0

  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.this[0].key_id
}
