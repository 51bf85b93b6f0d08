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
