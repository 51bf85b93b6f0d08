# The trail, when there is none yet.

resource "aws_cloudtrail" "this" {
  # checkov:skip=CKV2_AWS_10:The consumer reads the files; CloudWatch Logs would be a second, dearer copy of the same events.
  count = var.create_trail ? 1 : 0

  name                          = local.trail_name
  s3_bucket_name                = local.bucket_name
  s3_key_prefix                 = var.log_prefix == "" ? null : var.log_prefix
  sns_topic_name                = var.notification_mode == "cloudtrail_sns" ? local.topic_arn : null
  kms_key_id                    = local.kms_key_arn
  is_multi_region_trail         = var.is_multi_region_trail
  is_organization_trail         = var.is_organization_trail
  include_global_service_events = true
  enable_log_file_validation    = true
  tags                          = local.tags

  dynamic "advanced_event_selector" {
    for_each = var.advanced_event_selectors

    content {
      name = advanced_event_selector.value.name

      dynamic "field_selector" {
        for_each = advanced_event_selector.value.field_selectors

        content {
          field           = field_selector.value.field
          equals          = field_selector.value.equals
          not_equals      = field_selector.value.not_equals
          starts_with     = field_selector.value.starts_with
          not_starts_with = field_selector.value.not_starts_with
          ends_with       = field_selector.value.ends_with
          not_ends_with   = field_selector.value.not_ends_with
        }
      }
    }
  }

  dynamic "insight_selector" {
    for_each = var.enable_insights ? ["ApiCallRateInsight", "ApiErrorRateInsight"] : []

    content {
      insight_type = insight_selector.value
    }
  }

  # CloudTrail tries bucket, key and topic when a trail is made.
  depends_on = [aws_s3_bucket_policy.this, aws_s3_bucket_server_side_encryption_configuration.this, aws_sns_topic_policy.this]
}
