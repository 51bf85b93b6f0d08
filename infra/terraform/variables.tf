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
