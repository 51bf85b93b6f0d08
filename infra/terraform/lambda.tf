# The consumer as a Lambda function, polled for by Lambda.

resource "aws_lambda_function" "this" {
  # checkov:skip=CKV_AWS_116:A dead-letter queue here is for asynchronous invocations; messages that fail go to that of the queue.
  # checkov:skip=CKV_AWS_115:The event source mapping bounds how many run at a time; a reservation would take from other functions.
  # checkov:skip=CKV_AWS_272:Code signing does not exist for images; give image with its digest.
  # checkov:skip=CKV_AWS_50:The log tells what happened to each message; traces would add a cost per message.
  count = local.create_lambda ? 1 : 0

  function_name = var.name
  description   = "Lanner: evaluates CloudTrail files as they are announced"
  package_type  = "Image"
  image_uri     = var.image
  architectures = [var.architecture]
  role          = aws_iam_role.consumer[0].arn
  memory_size   = var.memory
  timeout       = var.lambda_timeout
  kms_key_arn   = local.kms_key_arn
  tags          = local.tags

  environment {
    variables = merge(
      {
        LANNER_CONFIG             = "${local.folder}/lanner.yaml"
        LANNER_FETCH              = join(" ", local.fetched)
        LANNER_CONFIGURATION_HASH = local.configuration_hash
      },
      var.environment,
    )
  }

  dynamic "vpc_config" {
    for_each = local.lambda_in_vpc ? [1] : []

    content {
      subnet_ids         = var.subnet_ids
      security_group_ids = local.security_group_ids
    }
  }

  depends_on = [aws_iam_role_policy.consumer, aws_cloudwatch_log_group.this, aws_ssm_parameter.configuration, aws_ssm_parameter.rules]
}

resource "aws_lambda_event_source_mapping" "this" {
  count = local.create_lambda ? 1 : 0

  event_source_arn                   = local.queue_arn
  function_name                      = aws_lambda_function.this[0].arn
  batch_size                         = 10
  maximum_batching_window_in_seconds = 5
  function_response_types            = ["ReportBatchItemFailures"] # so that one bad message costs itself alone
  tags                               = local.tags

  scaling_config {
    maximum_concurrency = var.max_capacity
  }
}
