# What the consumer is told: its configuration and its rules, as SSM parameters that it fetches when it starts.

locals {
  parameter_path = "/lanner/${var.name}"

  # Keys of files of the wanted accounts and regions; without a wish Lanner's own test of keys decides.
  include_keys = length(var.account_ids) + length(var.regions) == 0 ? [] : [join("", [
    "(^|/)AWSLogs/(o-[a-z0-9]{10,32}/)?",
    length(var.account_ids) == 0 ? "[0-9]{12}" : "(${join("|", var.account_ids)})",
    "/CloudTrail(-Insight)?/",
    length(var.regions) == 0 ? "[^/]+" : "(${join("|", var.regions)})",
    "/.*[.]json[.]gz$",
  ])]

  has_own_rules = length(var.rules_source.inline) > 0 || var.rules_source.s3_uri != null || var.rules_source.ssm_path != null
  # Where the container and the function have their files
  folder = local.create_lambda ? "/tmp/lanner" : "/etc/lanner"

  configuration = merge(
    {
      rules_files = concat(
        [for folder in var.rules_source.bundled : "bundled/${folder}"],
        local.has_own_rules ? ["${local.folder}/rules"] : [],
      )
      json_output    = true
      alert_uid      = true               # deliveries repeat; by this, receivers know repeated alerts
      outbox         = { path = ":none" } # a task has no disk that outlives it: SQS keeps what is not delivered
      shutdown_grace = 100
      sources = [merge(
        {
          type               = "cloudtrail"
          queue              = "sqs://${local.queue_url}"
          dlq_url            = local.dlq_url
          visibility_timeout = var.queue_visibility_timeout
          aws                = { region = element(split(":", local.queue_arn), 3) }
          objects = {
            memory_budget = floor(var.memory / 4) * 1024 * 1024
            include_keys  = local.include_keys
          }
        },
        yamldecode(var.extra_source_config == "" ? "{}" : var.extra_source_config),
      )]
    },
    yamldecode(var.extra_config == "" ? "{}" : var.extra_config),
  )
  configuration_yaml = yamlencode(local.configuration)

  # Pairs of source and folder for infra/docker/fetch.py
  fetched = concat(
    ["ssm:${local.parameter_path}=${local.folder}"],
    var.rules_source.ssm_path == null ? [] : ["ssm:${var.rules_source.ssm_path}=${local.folder}/rules"],
    var.rules_source.s3_uri == null ? [] : ["${var.rules_source.s3_uri}=${local.folder}/rules"],
  )
  # Changes with everything that is fetched from parameters made here, so that a change replaces the consumer.
  configuration_hash = sha256(jsonencode([local.configuration_yaml, var.rules_source]))

  rules_bucket = var.rules_source.s3_uri == null ? null : split("/", var.rules_source.s3_uri)[2]
  rules_prefix = var.rules_source.s3_uri == null ? null : trimprefix(var.rules_source.s3_uri, "s3://${local.rules_bucket}/")
}

resource "aws_ssm_parameter" "configuration" {
  # checkov:skip=CKV2_AWS_34:A configuration holds no secrets, those come through var.secrets; as plain text its changes show in plans.
  count = local.create_consumer ? 1 : 0

  name           = "${local.parameter_path}/lanner.yaml"
  description    = "Configuration of Lanner"
  type           = "String"
  tier           = length(local.configuration_yaml) > 4096 ? "Advanced" : "Standard"
  insecure_value = local.configuration_yaml # of which a plan shows the changes
  tags           = local.tags
}

resource "aws_ssm_parameter" "rules" {
  # checkov:skip=CKV2_AWS_34:Rules are no secrets; as plain text their changes show in plans.
  for_each = local.create_consumer ? var.rules_source.inline : {}

  name           = "${local.parameter_path}/rules/${each.key}"
  description    = "Rules for Lanner"
  type           = "String"
  tier           = length(each.value) > 4096 ? "Advanced" : "Standard"
  insecure_value = each.value
  tags           = local.tags
}
