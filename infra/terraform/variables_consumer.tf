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
