# General

variable "name" {
  description = "Name of everything that is made here, and prefix of what needs several names."
  type        = string
  default     = "lanner"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,30}[a-z0-9]$", var.name))
    error_message = "name is 3 to 32 lower-case letters, digits and hyphens, starting with a letter."
  }
}

variable "tags" {
  description = "Tags for everything that takes tags."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "permissions_boundary_arn" {
  description = "Permissions boundary of the roles that are made here."
  type        = string
  default     = null
}

# Trail

variable "create_trail" {
  description = "Whether to make a trail. Without one, the files of an existing trail are read: name its bucket, or let it write to the bucket made here with additional_trail_arns."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = var.create_trail || !var.create_bucket || length(var.additional_trail_arns) > 0
    error_message = "Nothing would ever be delivered: without create_trail name a bucket that a trail writes to already, or trails that may write to the new one in additional_trail_arns."
  }
}

variable "trail_name" {
  description = "Name of the new trail; by default that of the module."
  type        = string
  default     = null

  validation {
    condition     = var.trail_name == null || can(regex("^[A-Za-z0-9][A-Za-z0-9._-]{2,127}$", var.trail_name))
    error_message = "trail_name is 3 to 128 letters, digits, periods, underscores and hyphens."
  }
}

variable "is_organization_trail" {
  description = "Whether the new trail covers all accounts of the organisation. Apply it in the management account or a delegated administrator."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.is_organization_trail || var.organization_id != null
    error_message = "An organisation trail needs organization_id, which is part of the keys of its files."
  }
}

variable "organization_id" {
  description = "Id of the organisation, o-..., when its trail writes to the bucket made here."
  type        = string
  default     = null

  validation {
    condition     = var.organization_id == null || can(regex("^o-[a-z0-9]{10,32}$", var.organization_id))
    error_message = "organization_id looks like o-exampleorgid."
  }
}

variable "organization_management_account_id" {
  description = "Management account of the organisation, which owns an organisation trail; needed when a delegated administrator applies this."
  type        = string
  default     = null

  validation {
    condition     = var.organization_management_account_id == null || can(regex("^[0-9]{12}$", var.organization_management_account_id))
    error_message = "organization_management_account_id has 12 digits."
  }
}

variable "is_multi_region_trail" {
  description = "Whether the new trail records every region."
  type        = bool
  default     = true
  nullable    = false
}

variable "advanced_event_selectors" {
  description = "What the new trail records. By default management events only: data events are charged per event, and all of S3's may cost more than everything else together."
  type = list(object({
    name = string
    field_selectors = list(object({
      field           = string
      equals          = optional(list(string))
      not_equals      = optional(list(string))
      starts_with     = optional(list(string))
      not_starts_with = optional(list(string))
      ends_with       = optional(list(string))
      not_ends_with   = optional(list(string))
    }))
  }))
  default = [{
    name            = "Management events"
    field_selectors = [{ field = "eventCategory", equals = ["Management"] }]
  }]
  nullable = false

  validation {
    condition     = length(var.advanced_event_selectors) > 0
    error_message = "Give at least one selector: a trail without any records nothing."
  }
}

variable "enable_insights" {
  description = "Whether the new trail also records unusual rates of calls and errors (CloudTrail Insights, charged per analysed event)."
  type        = bool
  default     = false
  nullable    = false
}

variable "additional_trail_arns" {
  description = "Trails, of any account, that may write to the bucket and publish to the topic made here besides the new one."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for arn in var.additional_trail_arns : can(regex("^arn:aws[a-z-]*:cloudtrail:[a-z0-9-]+:[0-9]{12}:trail/.+$", arn))])
    error_message = "additional_trail_arns are ARNs of trails, arn:aws:cloudtrail:region:account:trail/name."
  }
}

# Bucket

variable "create_bucket" {
  description = "Whether to make a bucket for the trail files."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = !var.create_bucket || var.create_queue
    error_message = "With create_queue = false set create_bucket = false too: whoever fills the queue announces the files of a bucket that is there."
  }
}

variable "existing_bucket_name" {
  description = "Bucket of the trail files with create_bucket = false. Its policy is left alone: it has to let the trail write."
  type        = string
  default     = null

  validation {
    condition     = var.create_bucket == (var.existing_bucket_name == null)
    error_message = "Give existing_bucket_name with create_bucket = false, and only then."
  }
}

variable "existing_bucket_account_id" {
  description = "Account that owns existing_bucket_name, if it is another one."
  type        = string
  default     = null

  validation {
    condition     = var.existing_bucket_account_id == null || can(regex("^[0-9]{12}$", var.existing_bucket_account_id))
    error_message = "existing_bucket_account_id has 12 digits."
  }
}

variable "bucket_name" {
  description = "Name of the bucket made here; by default made of name, account and region."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_name == null || can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket_name))
    error_message = "bucket_name is 3 to 63 lower-case letters, digits, periods and hyphens."
  }
}

variable "log_prefix" {
  description = "What stands before AWSLogs/ in the keys of trail files, without a slash at its end."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = !startswith(var.log_prefix, "/") && !endswith(var.log_prefix, "/") && !strcontains(var.log_prefix, "AWSLogs")
    error_message = "log_prefix has no slash at its ends and does not contain AWSLogs."
  }
}

variable "log_retention_days" {
  description = "Days after which trail files in the bucket made here are deleted."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = var.log_retention_days >= 1
    error_message = "log_retention_days is 1 or more."
  }
}

variable "force_destroy" {
  description = "Whether destroying this module deletes the trail files too."
  type        = bool
  default     = false
  nullable    = false
}

variable "access_log" {
  description = "Where S3 writes the access log of the bucket made here."
  type = object({
    bucket = string
    prefix = optional(string, "")
  })
  default = null
}

# Keys

variable "create_kms_key" {
  description = "Whether to make a KMS key for trail files, topic, logs and, on demand, the queue. Without it and kms_key_arn the services' own keys are used, and a topic made here is not encrypted."
  type        = bool
  default     = true
  nullable    = false
}

variable "kms_key_arn" {
  description = "KMS key to use with create_kms_key = false. Its policy has to hold the statements of the output kms_key_policy."
  type        = string
  default     = null

  validation {
    condition     = !var.create_kms_key || var.kms_key_arn == null
    error_message = "Give kms_key_arn with create_kms_key = false: one key is in use."
  }

  validation {
    condition     = var.kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not of an alias: arn:aws:kms:region:account:key/id."
  }
}

variable "bucket_kms_key_arn" {
  description = "KMS key that files in existing_bucket_name are encrypted with; the consumer may decrypt with it. The key's own policy has to allow that too when it belongs to another account."
  type        = string
  default     = null

  validation {
    condition     = var.bucket_kms_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/.+$", var.bucket_kms_key_arn))
    error_message = "bucket_kms_key_arn is the ARN of a key, not of an alias: arn:aws:kms:region:account:key/id."
  }
}

# Notifications and queue

variable "notification_mode" {
  description = "Who announces new files: s3 (bucket to queue), sns (bucket to topic to queue), eventbridge (bucket to EventBridge to queue), cloudtrail_sns (trail to topic to queue)."
  type        = string
  default     = "s3"
  nullable    = false

  validation {
    condition     = contains(["s3", "sns", "eventbridge", "cloudtrail_sns"], var.notification_mode)
    error_message = "notification_mode is s3, sns, eventbridge or cloudtrail_sns."
  }
}

variable "create_sns_topic" {
  description = "Whether to make the topic that notification_mode sns or cloudtrail_sns needs."
  type        = bool
  default     = true
  nullable    = false

  validation {
    condition     = !var.create_sns_topic || var.notification_mode != "cloudtrail_sns" || var.create_trail || length(var.additional_trail_arns) > 0 || !var.create_queue
    error_message = "A trail that is there publishes to its own topic: name that with create_sns_topic = false and existing_sns_topic_arn, or let the trail use a new one with additional_trail_arns."
  }
}

variable "existing_sns_topic_arn" {
  description = "Topic that the bucket (sns) or the trail (cloudtrail_sns) publishes to already, with create_sns_topic = false; the queue only subscribes. It has to be in the region of the queue."
  type        = string
  default     = null

  validation {
    condition     = var.existing_sns_topic_arn == null || can(regex("^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.existing_sns_topic_arn))
    error_message = "existing_sns_topic_arn is the ARN of a standard topic, arn:aws:sns:region:account:name."
  }

  validation {
    condition     = var.create_sns_topic == (var.existing_sns_topic_arn == null)
    error_message = "Give existing_sns_topic_arn with create_sns_topic = false, and only then."
  }
}

variable "replace_bucket_notifications" {
  description = "Whether to write the notification configuration of existing_bucket_name. A bucket has one such document: whatever else it announces today is replaced. In mode eventbridge without this, EventBridge has to be switched on for the bucket already."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition = (
      var.replace_bucket_notifications || var.create_bucket || !var.create_queue ||
      contains(["eventbridge", "cloudtrail_sns"], var.notification_mode) || (var.notification_mode == "sns" && !var.create_sns_topic)
    )
    error_message = "This mode writes the existing bucket's notification configuration and drops what stands there; set replace_bucket_notifications if that is wanted, or use eventbridge, or an existing topic."
  }
}

variable "create_queue" {
  description = "Whether to make the queue, its dead-letter queue and the notifications that fill it."
  type        = bool
  default     = true
  nullable    = false
}

variable "existing_queue_arn" {
  description = "Queue that already gets the announcements, with create_queue = false."
  type        = string
  default     = null

  validation {
    condition     = var.existing_queue_arn == null || can(regex("^arn:aws[a-z-]*:sqs:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+$", var.existing_queue_arn))
    error_message = "existing_queue_arn is the ARN of a standard queue, arn:aws:sqs:region:account:name."
  }

  validation {
    condition     = var.create_queue == (var.existing_queue_arn == null)
    error_message = "Give existing_queue_arn with create_queue = false, and only then."
  }
}

variable "existing_dlq_arn" {
  description = "Dead-letter queue of existing_queue_arn, in the same account and region."
  type        = string
  default     = null

  validation {
    condition     = var.create_queue == (var.existing_dlq_arn == null)
    error_message = "Give existing_dlq_arn with existing_queue_arn, and only then: without one, messages that cannot be used are lost or come for ever."
  }
}

variable "queue_kms_key_arn" {
  description = "KMS key that existing_queue_arn and its dead-letter queue are encrypted with."
  type        = string
  default     = null
}

variable "queue_encryption" {
  description = "How the queues made here are encrypted: sqs (SQS's own keys, free) or kms (the key of this module)."
  type        = string
  default     = "sqs"
  nullable    = false

  validation {
    condition     = contains(["sqs", "kms"], var.queue_encryption)
    error_message = "queue_encryption is sqs or kms."
  }

  validation {
    condition     = var.queue_encryption == "sqs" || var.create_kms_key || var.kms_key_arn != null
    error_message = "queue_encryption kms needs create_kms_key or kms_key_arn."
  }
}

variable "queue_visibility_timeout" {
  description = "Seconds a received message stays hidden. The consumer extends it while it works, so this is how long a crash delays what was in progress."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.queue_visibility_timeout >= 60 && var.queue_visibility_timeout <= 43200
    error_message = "queue_visibility_timeout is 60 to 43200 seconds."
  }
}

variable "queue_retention_seconds" {
  description = "Seconds a message waits before SQS drops it: the longest outage without loss."
  type        = number
  default     = 1209600
  nullable    = false

  validation {
    condition     = var.queue_retention_seconds >= 345600 && var.queue_retention_seconds <= 1209600
    error_message = "queue_retention_seconds is 345600 (4 days) to 1209600 (14 days)."
  }
}

variable "max_receive_count" {
  description = "Receives after which SQS moves a message to the dead-letter queue."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.max_receive_count >= 3 && var.max_receive_count <= 1000
    error_message = "max_receive_count is 3 to 1000; below 3 a short outage fills the dead-letter queue."
  }
}

# Consumer

variable "consumer" {
  description = "What reads the queue: ecs (a Fargate service), lambda (a function), none (only the queue; output consumer_policy is what a consumer elsewhere needs)."
  type        = string
  default     = "ecs"
  nullable    = false

  validation {
    condition     = contains(["ecs", "lambda", "none"], var.consumer)
    error_message = "consumer is ecs, lambda or none."
  }
}

variable "image" {
  description = "Container image, best with a digest: the target service of infra/docker/Dockerfile for ecs, lambda (in ECR) for lambda."
  type        = string
  default     = null

  validation {
    condition     = var.consumer == "none" || var.image != null
    error_message = "The consumer needs an image."
  }
}

variable "architecture" {
  description = "Processor of image: x86_64 or arm64."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture is x86_64 or arm64."
  }
}

variable "cpu" {
  description = "CPU units of a Fargate task, 1024 to a vCPU. One consumer process uses one vCPU at most."
  type        = number
  default     = 512
  nullable    = false

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.cpu)
    error_message = "cpu is 256, 512, 1024, 2048 or 4096."
  }
}

variable "memory" {
  description = "Memory of a Fargate task or of the function in MiB. A quarter of it is the budget for trail files in progress."
  type        = number
  default     = 1024
  nullable    = false

  validation {
    condition     = var.memory >= 512 && var.memory <= 30720
    error_message = "memory is 512 to 30720 MiB."
  }
}

variable "vpc_id" {
  description = "VPC of the security group made here; needed with subnet_ids unless security_group_ids are given."
  type        = string
  default     = null

  validation {
    condition     = var.vpc_id != null || length(var.security_group_ids) > 0 || !(var.consumer == "ecs" || (var.consumer == "lambda" && length(var.subnet_ids) > 0))
    error_message = "A consumer in subnets needs vpc_id or security_group_ids."
  }
}

variable "subnet_ids" {
  description = "Subnets of the tasks, or of the function if it is to run in a VPC. They need a way to SQS, S3, KMS, SSM, CloudWatch Logs and ECR: NAT or VPC endpoints."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = var.consumer != "ecs" || length(var.subnet_ids) > 0
    error_message = "ecs needs subnet_ids, best in two or more availability zones."
  }
}

variable "security_group_ids" {
  description = "Security groups instead of the one made here, which lets nothing in and only HTTPS out."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "assign_public_ip" {
  description = "Whether tasks get a public address; for public subnets without NAT."
  type        = bool
  default     = false
  nullable    = false
}

variable "create_ecs_cluster" {
  description = "Whether to make an ECS cluster."
  type        = bool
  default     = true
  nullable    = false
}

variable "existing_ecs_cluster_name" {
  description = "ECS cluster to run in with create_ecs_cluster = false. It needs Container Insights, which scaling and an alarm count tasks with."
  type        = string
  default     = null

  validation {
    condition     = var.create_ecs_cluster == (var.existing_ecs_cluster_name == null)
    error_message = "Give existing_ecs_cluster_name with create_ecs_cluster = false, and only then."
  }
}

variable "min_capacity" {
  description = "Fewest tasks."
  type        = number
  default     = 1
  nullable    = false

  validation {
    condition     = var.min_capacity >= 1
    error_message = "min_capacity is 1 or more: with 0 tasks nobody reads the queue."
  }
}

variable "max_capacity" {
  description = "Most tasks, or most invocations of the function at a time."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.max_capacity >= max(var.min_capacity, 2) && var.max_capacity <= 1000
    error_message = "max_capacity is 2 or more, at least min_capacity, and at most 1000."
  }
}

variable "target_backlog_per_task" {
  description = "Messages waiting per task that scaling aims at: the latency that is acceptable divided by the seconds one message takes."
  type        = number
  default     = 1000
  nullable    = false

  validation {
    condition     = var.target_backlog_per_task >= 1
    error_message = "target_backlog_per_task is 1 or more."
  }
}

variable "scale_out_age_seconds" {
  description = "Age of the oldest message above which tasks are added, whatever the backlog."
  type        = number
  default     = 300
  nullable    = false

  validation {
    condition     = var.scale_out_age_seconds >= 60
    error_message = "scale_out_age_seconds is 60 or more."
  }
}

variable "scale_in_cooldown" {
  description = "Seconds between two steps down."
  type        = number
  default     = 300
  nullable    = false
}

variable "lambda_timeout" {
  description = "Seconds an invocation may take; a message that needs longer comes again. At most a sixth of queue_visibility_timeout, as AWS advises, so that Lambda's own retries fit in."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.lambda_timeout >= 10 && var.lambda_timeout <= 900
    error_message = "lambda_timeout is 10 to 900 seconds."
  }

  validation {
    condition     = var.consumer != "lambda" || 6 * var.lambda_timeout <= var.queue_visibility_timeout
    error_message = "queue_visibility_timeout has to be six times lambda_timeout or more."
  }
}

# Rules and configuration

variable "rules_source" {
  description = "Which rules are loaded: folders of the shipped ones (bundled), rule files given here (inline, file name to YAML, up to 8 KB each, kept in SSM), and rule files directly below s3_uri (s3://bucket/prefix/) or ssm_path (/path)."
  type = object({
    bundled  = optional(list(string), ["aws"])
    inline   = optional(map(string), {})
    s3_uri   = optional(string)
    ssm_path = optional(string)
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for file, text in var.rules_source.inline : can(regex("^[A-Za-z0-9][A-Za-z0-9._-]*[.]ya?ml$", file)) && length(text) <= 8192])
    error_message = "rules_source.inline maps names like my_rules.yaml to YAML of at most 8192 characters; put longer files into S3."
  }

  validation {
    condition     = var.rules_source.s3_uri == null || can(regex("^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/(.*/)?$", var.rules_source.s3_uri))
    error_message = "rules_source.s3_uri is s3://bucket/ or s3://bucket/prefix/, with a slash at its end."
  }

  validation {
    condition     = var.rules_source.ssm_path == null || can(regex("^(/[A-Za-z0-9_.-]+)+$", var.rules_source.ssm_path))
    error_message = "rules_source.ssm_path is a path of parameters like /security/rules, without a slash at its end."
  }

  validation {
    condition     = length(var.rules_source.bundled) + length(var.rules_source.inline) > 0 || var.rules_source.s3_uri != null || var.rules_source.ssm_path != null
    error_message = "rules_source names no rules at all."
  }
}

variable "rules_kms_key_arn" {
  description = "KMS key that objects below rules_source.s3_uri or secure parameters below rules_source.ssm_path are encrypted with."
  type        = string
  default     = null
}

variable "extra_config" {
  description = "Keys of Lanner's configuration as YAML, set over those of this module."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.extra_config == "" || can(keys(yamldecode(var.extra_config)))
    error_message = "extra_config is a YAML mapping."
  }
}

variable "extra_source_config" {
  description = "Keys of the configuration's cloudtrail source as YAML, set over those of this module."
  type        = string
  default     = ""
  nullable    = false

  validation {
    condition     = var.extra_source_config == "" || can(keys(yamldecode(var.extra_source_config)))
    error_message = "extra_source_config is a YAML mapping."
  }
}

variable "account_ids" {
  description = "Accounts whose files are read; empty for all that the trail covers."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for id in var.account_ids : can(regex("^[0-9]{12}$", id))])
    error_message = "account_ids have 12 digits each."
  }
}

variable "regions" {
  description = "Regions whose files are read; empty for all. Events of global services are in us-east-1."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for region in var.regions : can(regex("^[a-z]{2,4}(-[a-z]+){1,3}-[0-9]$", region))])
    error_message = "regions are names like eu-west-1."
  }
}

variable "environment" {
  description = "Environment variables of the consumer."
  type        = map(string)
  default     = {}
  nullable    = false
}

variable "secrets" {
  description = "Environment variables of the ECS tasks that hold secrets: name to ARN of an SSM parameter or Secrets Manager secret."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for arn in values(var.secrets) : can(regex("^arn:aws[a-z-]*:(ssm|secretsmanager):", arn))])
    error_message = "secrets maps names to ARNs of SSM parameters or Secrets Manager secrets."
  }

  validation {
    condition     = length(var.secrets) == 0 || var.consumer != "lambda"
    error_message = "Lambda takes no secrets by reference; let the configuration read them itself."
  }
}

variable "secrets_kms_key_arn" {
  description = "KMS key that the secrets are encrypted with, if not the services' own."
  type        = string
  default     = null
}

variable "extra_policy_json" {
  description = "Further permissions of the consumer, for outputs in AWS."
  type        = string
  default     = null

  validation {
    condition     = var.extra_policy_json == null || can(jsondecode(var.extra_policy_json).Statement)
    error_message = "extra_policy_json is an IAM policy document."
  }
}

# Watching

variable "alarm_topic_arns" {
  description = "SNS topics that alarms, and their end, are sent to."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "alarm_age_seconds" {
  description = "Age of the oldest message above which there is an alarm."
  type        = number
  default     = 900
  nullable    = false

  validation {
    condition     = var.alarm_age_seconds > var.scale_out_age_seconds
    error_message = "alarm_age_seconds is more than scale_out_age_seconds: scaling gets its chance first."
  }
}

variable "silence_minutes" {
  description = "Minutes without any new file after which there is an alarm: a trail that was stopped is itself a finding."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.silence_minutes >= 15 && var.silence_minutes <= 1440 && var.silence_minutes % 5 == 0
    error_message = "silence_minutes is a multiple of 5 from 15 to 1440."
  }
}

variable "log_group_retention_days" {
  description = "Days that the consumer's log, which holds its alerts, is kept."
  type        = number
  default     = 365
  nullable    = false

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_group_retention_days)
    error_message = "log_group_retention_days is one of the numbers CloudWatch Logs takes, such as 30, 90, 365 or 731."
  }
}
