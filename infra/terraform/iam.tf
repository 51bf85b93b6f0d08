# What the consumer may do, and nothing else: tests/infra compares the actions with the calls it makes.

locals {
  # Keys that S3 decrypts files with on the consumer's behalf
  trail_files_use_key = (var.create_kms_key || var.kms_key_arn != null) && (var.create_bucket || var.create_trail)
  reads_with_key      = local.trail_files_use_key || var.bucket_kms_key_arn != null || var.rules_kms_key_arn != null
  file_keys           = compact([local.trail_files_use_key ? local.kms_key_arn : null, var.bucket_kms_key_arn, var.rules_kms_key_arn])
  queue_uses_key      = var.create_queue ? var.queue_encryption == "kms" : var.queue_kms_key_arn != null

}

data "aws_iam_policy_document" "consumer" {
  source_policy_documents = compact([var.extra_policy_json])

  statement {
    sid       = "Queue" # not GetQueueUrl: the configuration has the URL
    actions   = concat(["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"], local.create_lambda ? [] : ["sqs:ChangeMessageVisibility"])
    resources = [local.queue_arn]
  }

  dynamic "statement" {
    for_each = local.create_lambda ? [] : [1] # Lambda moves nothing: it leaves that to the queue

    content {
      sid       = "DeadLetters"
      actions   = ["sqs:SendMessage"]
      resources = [local.dlq_arn]
    }
  }

  dynamic "statement" {
    for_each = local.queue_uses_key ? [1] : []

    content {
      sid       = "QueueKey"
      actions   = concat(["kms:Decrypt"], local.create_lambda ? [] : ["kms:GenerateDataKey"])
      resources = [local.queue_kms_key_arn]

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["sqs.*.amazonaws.com"]
      }
    }
  }

  statement {
    sid       = "TrailFiles"
    actions   = ["s3:GetObject"]
    resources = ["${local.bucket_arn}/${local.log_root}*"]
  }

  statement {
    # A missing file is told from a forbidden one only to those who may list. The condition lets a request without a
    # prefix pass, because that of GetObject has none.
    sid       = "TrailFilesList"
    actions   = ["s3:ListBucket"]
    resources = [local.bucket_arn]

    condition {
      test     = "StringLikeIfExists"
      variable = "s3:prefix"
      values   = ["", "${local.log_root}*"]
    }
  }

  dynamic "statement" {
    for_each = local.reads_with_key ? [1] : []

    content {
      sid       = "FileKeys"
      actions   = ["kms:Decrypt"]
      resources = local.file_keys

      condition {
        test     = "StringLike"
        variable = "kms:ViaService"
        values   = ["s3.*.amazonaws.com", "ssm.*.amazonaws.com"]
      }
    }
  }

  dynamic "statement" {
    for_each = local.create_consumer ? [1] : []

    content {
      sid     = "Configuration"
      actions = ["ssm:GetParametersByPath"]
      resources = flatten([
        for path in compact([local.parameter_path, var.rules_source.ssm_path]) : [
          "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${path}",
          "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${path}/*",
        ]
      ])
    }
  }

  dynamic "statement" {
    for_each = var.rules_source.s3_uri == null ? [] : [1]

    content {
      sid       = "Rules"
      actions   = ["s3:GetObject"]
      resources = ["arn:${local.partition}:s3:::${local.rules_bucket}/${local.rules_prefix}*"]
    }
  }

  dynamic "statement" {
    for_each = var.rules_source.s3_uri == null ? [] : [1]

    content {
      sid       = "RulesList"
      actions   = ["s3:ListBucket"]
      resources = ["arn:${local.partition}:s3:::${local.rules_bucket}"]

      condition {
        test     = "StringEquals"
        variable = "s3:prefix"
        values   = [local.rules_prefix]
      }
    }
  }

  dynamic "statement" {
    for_each = local.create_lambda ? [1] : []

    content {
      sid       = "Logs"
      actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      resources = ["${local.log_group_arn}:*"]
    }
  }

  dynamic "statement" {
    for_each = local.lambda_in_vpc ? [1] : []

    content {
      sid       = "Vpc"
      actions   = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:DeleteNetworkInterface"]
      resources = ["*"]
    }
  }
}

data "aws_iam_policy_document" "consumer_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = [local.create_lambda ? "lambda.amazonaws.com" : "ecs-tasks.amazonaws.com"]
    }

    dynamic "condition" {
      for_each = local.create_ecs ? [1] : []

      content {
        test     = "StringEquals"
        variable = "aws:SourceAccount"
        values   = [local.account]
      }
    }
  }
}

resource "aws_iam_role" "consumer" {
  count = local.create_consumer ? 1 : 0

  name                 = "${var.name}-consumer"
  description          = "Reads the queue and the trail files"
  assume_role_policy   = data.aws_iam_policy_document.consumer_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "consumer" {
  count = local.create_consumer ? 1 : 0

  name   = "consumer"
  role   = aws_iam_role.consumer[0].id
  policy = data.aws_iam_policy_document.consumer.json
}

# What ECS itself does for a task: pull the image, write its log, read its secrets.

data "aws_iam_policy_document" "execution" {
  statement {
    sid       = "RegistryLogin"
    actions   = ["ecr:GetAuthorizationToken"]
    resources = ["*"]
  }

  dynamic "statement" {
    for_each = local.image_repository_arn == null ? [] : [1]

    content {
      sid       = "Pull"
      actions   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      resources = [local.image_repository_arn]
    }
  }

  statement {
    sid       = "Logs"
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${local.log_group_arn}:*"]
  }

  dynamic "statement" {
    for_each = length(local.parameter_secrets) > 0 ? [1] : []

    content {
      sid       = "Parameters"
      actions   = ["ssm:GetParameters"]
      resources = local.parameter_secrets
    }
  }

  dynamic "statement" {
    for_each = length(local.manager_secrets) > 0 ? [1] : []

    content {
      sid       = "Secrets"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = local.manager_secrets
    }
  }

  dynamic "statement" {
    for_each = var.secrets_kms_key_arn == null ? [] : [1]

    content {
      sid       = "SecretsKey"
      actions   = ["kms:Decrypt"]
      resources = [var.secrets_kms_key_arn]
    }
  }
}

locals {
  parameter_secrets = [for arn in values(var.secrets) : arn if split(":", arn)[2] == "ssm"]
  # A reference may end in :json-key:version-stage:version-id, which is no part of the secret's ARN.
  manager_secrets = [for arn in values(var.secrets) : join(":", slice(split(":", arn), 0, 7)) if split(":", arn)[2] == "secretsmanager"]

  # account.dkr.ecr.region.amazonaws.com/repository:tag; null for an image elsewhere
  image_in_ecr         = regexall("^([0-9]{12})[.]dkr[.]ecr[.]([a-z0-9-]+)[.][^/]+/([^:@]+)", coalesce(var.image, "none"))
  image_repository_arn = length(local.image_in_ecr) == 0 ? null : "arn:${local.partition}:ecr:${local.image_in_ecr[0][1]}:${local.image_in_ecr[0][0]}:repository/${local.image_in_ecr[0][2]}"
}

data "aws_iam_policy_document" "execution_trust" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_iam_role" "execution" {
  count = local.create_ecs ? 1 : 0

  name                 = "${var.name}-execution"
  description          = "Starts the tasks: image, log, secrets"
  assume_role_policy   = data.aws_iam_policy_document.execution_trust.json
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags
}

resource "aws_iam_role_policy" "execution" {
  count = local.create_ecs ? 1 : 0

  name   = "execution"
  role   = aws_iam_role.execution[0].id
  policy = data.aws_iam_policy_document.execution.json
}
