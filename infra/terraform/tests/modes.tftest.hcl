# Which resources there are in which mode. `terraform init && terraform test` needs the provider, but no AWS account.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }

  mock_data "aws_region" {
    defaults = { region = "eu-west-1" }
  }

  mock_data "aws_iam_policy_document" {
    defaults = { json = "{\"Version\":\"2012-10-17\",\"Statement\":[]}" }
  }
}

variables {
  image      = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/lanner:0.1.0"
  vpc_id     = "vpc-0123456789abcdef0"
  subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]
}

run "defaults" {
  command = plan

  assert {
    condition     = length(aws_cloudtrail.this) == 1 && length(aws_s3_bucket.this) == 1 && length(aws_sqs_queue.this) == 1
    error_message = "By default there are a trail, a bucket and a queue."
  }

  assert {
    condition     = length(aws_s3_bucket_notification.this[0].queue) == 1 && length(aws_sns_topic.this) == 0 && length(aws_cloudwatch_event_rule.this) == 0
    error_message = "By default the bucket announces to the queue."
  }

  assert {
    condition     = one(aws_s3_bucket_notification.this[0].queue).filter_prefix == "AWSLogs/"
    error_message = "Only trail files are announced."
  }

  assert {
    condition     = aws_sqs_queue.this[0].receive_wait_time_seconds == 20 && aws_sqs_queue.this[0].visibility_timeout_seconds == 300 && aws_sqs_queue.this[0].message_retention_seconds == 1209600
    error_message = "The queue polls long, hides for five minutes and keeps for two weeks."
  }

  assert {
    condition     = aws_cloudtrail.this[0].enable_log_file_validation && aws_cloudtrail.this[0].is_multi_region_trail && !aws_cloudtrail.this[0].is_organization_trail
    error_message = "The trail covers every region of the account and its files can be validated."
  }

  assert {
    condition     = length(aws_cloudtrail.this[0].advanced_event_selector) == 1
    error_message = "Management events only, unless asked for more."
  }

  assert {
    condition     = !aws_s3_bucket.this[0].force_destroy && aws_kms_key.this[0].enable_key_rotation
    error_message = "Nothing is destroyed with the module, and the key rotates."
  }

  assert {
    condition     = length(aws_ecs_service.this) == 1 && length(aws_lambda_function.this) == 0 && aws_appautoscaling_target.this[0].max_capacity == 10
    error_message = "The consumer is a Fargate service that scales."
  }

  assert {
    condition     = output.bucket_arn == "arn:aws:s3:::lanner-111122223333-eu-west-1"
    error_message = "The bucket's name tells account and region."
  }
}

run "sns" {
  command = plan

  variables {
    notification_mode = "sns"
  }

  assert {
    condition     = length(aws_s3_bucket_notification.this[0].topic) == 1 && length(aws_s3_bucket_notification.this[0].queue) == 0
    error_message = "The bucket announces to the topic."
  }

  assert {
    condition     = aws_sns_topic_subscription.this[0].raw_message_delivery
    error_message = "The queue gets messages without SNS's wrapping."
  }

  assert {
    condition     = length(local.key_senders) == 1 && contains(local.key_senders, "s3.amazonaws.com")
    error_message = "S3 may encrypt what it publishes."
  }
}

run "cloudtrail_sns" {
  command = plan

  variables {
    notification_mode = "cloudtrail_sns"
    queue_encryption  = "kms"
  }

  assert {
    condition     = length(aws_s3_bucket_notification.this) == 0 && length(aws_sns_topic.this) == 1
    error_message = "The trail announces, the bucket does not."
  }

  assert {
    condition     = local.key_senders == toset(["cloudtrail.amazonaws.com", "sns.amazonaws.com"])
    error_message = "CloudTrail encrypts for the topic and SNS for the queue."
  }

  assert {
    condition     = aws_sqs_queue.this[0].kms_data_key_reuse_period_seconds == 3600
    error_message = "The queue is encrypted with the key, one data key an hour."
  }
}

run "eventbridge" {
  command = plan

  variables {
    notification_mode = "eventbridge"
    log_prefix        = "security"
  }

  assert {
    condition     = aws_s3_bucket_notification.this[0].eventbridge && length(aws_s3_bucket_notification.this[0].queue) == 0
    error_message = "The bucket tells EventBridge."
  }

  assert {
    condition     = jsondecode(aws_cloudwatch_event_rule.this[0].event_pattern).detail.object.key[0].prefix == "security/AWSLogs/"
    error_message = "The rule takes trail files only."
  }

  assert {
    condition     = local.rule_arn == "arn:aws:events:eu-west-1:111122223333:rule/lanner-trail-files"
    error_message = "The queue's policy names the rule."
  }
}

run "existing_bucket" {
  command = plan

  variables {
    create_trail         = false
    create_bucket        = false
    existing_bucket_name = "acme-trail"
    bucket_kms_key_arn   = "arn:aws:kms:eu-west-1:444455556666:key/1234"
    notification_mode    = "eventbridge"
  }

  assert {
    condition     = length(aws_cloudtrail.this) == 0 && length(aws_s3_bucket.this) == 0 && length(aws_s3_bucket_notification.this) == 0
    error_message = "Nothing of what exists is touched."
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.this) == 1 && one(local.file_keys) == "arn:aws:kms:eu-west-1:444455556666:key/1234"
    error_message = "The files are announced and can be decrypted."
  }
}

run "existing_topic" {
  command = plan

  variables {
    create_trail           = false
    create_bucket          = false
    existing_bucket_name   = "acme-trail"
    notification_mode      = "cloudtrail_sns"
    create_sns_topic       = false
    existing_sns_topic_arn = "arn:aws:sns:eu-west-1:444455556666:trail"
  }

  assert {
    condition     = length(aws_sns_topic.this) == 0 && aws_sns_topic_subscription.this[0].topic_arn == "arn:aws:sns:eu-west-1:444455556666:trail"
    error_message = "The queue subscribes to the topic that is there."
  }
}

run "existing_queue" {
  command = plan

  variables {
    create_trail         = false
    create_bucket        = false
    existing_bucket_name = "acme-trail"
    create_queue         = false
    existing_queue_arn   = "arn:aws:sqs:us-east-1:444455556666:trail-files"
    existing_dlq_arn     = "arn:aws:sqs:us-east-1:444455556666:trail-files-dead"
  }

  assert {
    condition     = length(aws_sqs_queue.this) == 0 && length(aws_s3_bucket_notification.this) == 0 && length(aws_ecs_service.this) == 1
    error_message = "There is only a consumer."
  }

  assert {
    condition     = output.lanner_open_params == "sqs://https://sqs.us-east-1.amazonaws.com/444455556666/trail-files"
    error_message = "The queue's URL follows from its ARN."
  }

  assert {
    condition     = yamldecode(output.lanner_configuration).sources[0].dlq_url == "https://sqs.us-east-1.amazonaws.com/444455556666/trail-files-dead" && yamldecode(output.lanner_configuration).sources[0].aws.region == "us-east-1"
    error_message = "The consumer knows the dead-letter queue and the region."
  }
}

run "organization" {
  command = plan

  variables {
    is_organization_trail              = true
    organization_id                    = "o-exampleorgid"
    organization_management_account_id = "999988887777"
  }

  assert {
    condition     = one(local.trail_arns) == "arn:aws:cloudtrail:eu-west-1:999988887777:trail/lanner"
    error_message = "The trail belongs to the management account."
  }
}

run "lambda" {
  command = plan

  variables {
    consumer   = "lambda"
    subnet_ids = []
    vpc_id     = null
  }

  assert {
    condition     = length(aws_ecs_service.this) == 0 && length(aws_ecs_cluster.this) == 0 && length(aws_security_group.this) == 0
    error_message = "A function needs neither cluster nor network."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.this[0].function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "Failed messages are named one by one."
  }
}

run "no_consumer_no_key" {
  command = plan

  variables {
    consumer       = "none"
    create_kms_key = false
  }

  assert {
    condition     = length(aws_kms_key.this) == 0 && length(aws_iam_role.consumer) == 0 && length(aws_ssm_parameter.configuration) == 0 && length(aws_cloudwatch_log_group.this) == 0
    error_message = "There is only what announces files, and the queue."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this[0].rule).apply_server_side_encryption_by_default).sse_algorithm == "AES256"
    error_message = "Files are encrypted all the same."
  }
}

run "rules_and_configuration" {
  command = plan

  variables {
    create_trail         = false
    create_bucket        = false
    existing_bucket_name = "acme-trail"
    create_queue         = false
    existing_queue_arn   = "arn:aws:sqs:eu-west-1:111122223333:trail-files"
    existing_dlq_arn     = "arn:aws:sqs:eu-west-1:111122223333:trail-files-dead"
    memory               = 2048
    account_ids          = ["111122223333", "444455556666"]
    regions              = ["eu-west-1"]
    extra_config         = "priority: warning"
    extra_source_config  = "pollers: 2"
    rules_source = {
      bundled = []
      inline  = { "ours.yaml" = "- list: x\n  items: []\n" }
      s3_uri  = "s3://acme-rules/lanner/"
    }
  }

  assert {
    condition     = yamldecode(output.lanner_configuration).rules_files == ["/etc/lanner/rules"] && yamldecode(output.lanner_configuration).priority == "warning"
    error_message = "Own rules replace the shipped ones, and extra keys are set."
  }

  assert {
    condition     = yamldecode(output.lanner_configuration).sources[0].objects.memory_budget == 536870912 && yamldecode(output.lanner_configuration).sources[0].pollers == 2
    error_message = "The budget is a quarter of the memory, and extra keys of the source are set."
  }

  assert {
    condition = alltrue([
      for key, wanted in {
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/02/f.json.gz"                  = true
        "AWSLogs/o-exampleorgid/444455556666/CloudTrail/eu-west-1/2026/01/02/f.json.gz"   = true
        "AWSLogs/777788889999/CloudTrail/eu-west-1/2026/01/02/f.json.gz"                  = false
        "AWSLogs/111122223333/CloudTrail/us-east-1/2026/01/02/f.json.gz"                  = false
        "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/01/02/f.json.gz"           = false
        "security/AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2026/01/02/f.json.gz" = true
      } : can(regex(yamldecode(output.lanner_configuration).sources[0].objects.include_keys[0], key)) == wanted
    ])
    error_message = "Only files of the wanted accounts and regions are read."
  }

  assert {
    condition     = keys(aws_ssm_parameter.rules) == ["ours.yaml"] && local.fetched == ["ssm:/lanner/lanner=/etc/lanner", "s3://acme-rules/lanner/=/etc/lanner/rules"]
    error_message = "Rules come from SSM and S3."
  }
}
