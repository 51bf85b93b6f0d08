output "trail_arn" {
  description = "ARN of the new trail; null if none was made."
  value       = one(aws_cloudtrail.this[*].arn)
}

output "bucket_name" {
  description = "Bucket of the trail files."
  value       = var.create_bucket ? aws_s3_bucket.this[0].id : local.bucket_name
}

output "bucket_arn" {
  description = "ARN of the bucket of the trail files."
  value       = local.bucket_arn
}

output "kms_key_arn" {
  description = "ARN of the key in use; null for none."
  value       = local.kms_key_arn
}

output "kms_key_policy" {
  description = "Policy that the key has, or that kms_key_arn has to have."
  value       = data.aws_iam_policy_document.key.json
}

output "sns_topic_arn" {
  description = "ARN of the topic that announces files; null for none."
  value       = local.uses_topic ? local.topic_arn : null
}

output "queue_arn" {
  description = "ARN of the queue."
  value       = local.queue_arn
}

output "queue_name" {
  description = "Name of the queue."
  value       = local.queue_name
}

output "queue_url" {
  description = "URL of the queue."
  value       = local.queue_url
}

output "dlq_arn" {
  description = "ARN of the dead-letter queue."
  value       = local.dlq_arn
}

output "dlq_url" {
  description = "URL of the dead-letter queue."
  value       = local.dlq_url
}

output "lanner_open_params" {
  description = "The queue as Lanner's configuration and Falco's open_params name it."
  value       = "sqs://${local.queue_url}"
}

output "lanner_configuration" {
  description = "The configuration that the consumer gets, or that one elsewhere may use."
  value       = local.configuration_yaml
}

output "consumer_policy" {
  description = "IAM policy that a consumer needs, for consumer none."
  value       = data.aws_iam_policy_document.consumer.json
}

output "consumer_role_arn" {
  description = "ARN of the consumer's role; null for none."
  value       = one(aws_iam_role.consumer[*].arn)
}

output "ecs_cluster_name" {
  description = "ECS cluster; null for none."
  value       = local.create_ecs ? local.cluster_name : null
}

output "ecs_service_name" {
  description = "ECS service; null for none."
  value       = one(aws_ecs_service.this[*].name)
}

output "lambda_function_arn" {
  description = "ARN of the function; null for none."
  value       = one(aws_lambda_function.this[*].arn)
}

output "log_group_name" {
  description = "Log group of the consumer, with its alerts; null for none."
  value       = one(aws_cloudwatch_log_group.this[*].name)
}

output "alarm_arns" {
  description = "ARNs of the alarms by name."
  value = { for alarm in concat(
    [aws_cloudwatch_metric_alarm.dead_letters, aws_cloudwatch_metric_alarm.age, aws_cloudwatch_metric_alarm.silence],
    aws_cloudwatch_metric_alarm.tasks[*],
    values(aws_cloudwatch_metric_alarm.lambda),
  ) : alarm.alarm_name => alarm.arn }
}
