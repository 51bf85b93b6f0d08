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
