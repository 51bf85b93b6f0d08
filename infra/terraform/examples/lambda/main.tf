# An existing bucket that a trail writes to already, and Lanner as a function: nothing runs while nothing happens.
# EventBridge has to be on for the bucket, which changes nothing else of its notifications when added to them.

terraform {
  required_version = ">= 1.9.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0.0, < 7.0.0"
    }
  }
}

provider "aws" {
  region = var.region
}

variable "region" {
  description = "Region of the bucket."
  type        = string
  default     = "eu-west-1"
}

variable "bucket_name" {
  description = "Bucket of the trail."
  type        = string
}

variable "bucket_kms_key_arn" {
  description = "Key that the trail's files are encrypted with; null if they are encrypted by S3 alone."
  type        = string
  default     = null
}

variable "image" {
  description = "Image of Lanner in ECR, target lambda of infra/docker/Dockerfile."
  type        = string
}

variable "alarm_topic_arns" {
  description = "Topics that alarms are sent to."
  type        = list(string)
  default     = []
}

module "lanner" {
  source = "../.."

  create_trail         = false
  create_bucket        = false
  existing_bucket_name = var.bucket_name
  bucket_kms_key_arn   = var.bucket_kms_key_arn
  notification_mode    = "eventbridge"

  consumer     = "lambda"
  image        = var.image
  memory       = 1024
  max_capacity = 5

  alarm_topic_arns = var.alarm_topic_arns
}

output "lambda_function_arn" {
  description = "The function."
  value       = module.lanner.lambda_function_arn
}

output "log_group_name" {
  description = "Where the alerts are."
  value       = module.lanner.log_group_name
}
