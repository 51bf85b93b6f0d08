# A whole organisation, from the account that security work is delegated to: an organisation trail into a bucket here, and
# a consumer that scales. Register the account first, in the management account:
#   aws cloudtrail register-organization-delegated-admin --member-account-id <this account>

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
  description = "Home region of the trail."
  type        = string
  default     = "eu-west-1"
}

variable "organization_id" {
  description = "Id of the organisation."
  type        = string
}

variable "management_account_id" {
  description = "Management account of the organisation, which owns the trail."
  type        = string
}

variable "image" {
  description = "Image of Lanner, target service of infra/docker/Dockerfile, for arm64."
  type        = string
}

variable "vpc_id" {
  description = "VPC to run in."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets with a way out through NAT or VPC endpoints."
  type        = list(string)
}

variable "alarm_topic_arns" {
  description = "Topics that alarms are sent to."
  type        = list(string)
  default     = []
}

variable "rules_bucket" {
  description = "Bucket with the organisation's own rules below lanner/."
  type        = string
}

module "lanner" {
  source = "../.."

  name = "lanner-org"

  is_organization_trail              = true
  organization_id                    = var.organization_id
  organization_management_account_id = var.management_account_id
  log_retention_days                 = 731

  # Others of the organisation may want to hear of new files too: a topic has room for them, a bucket has not.
  notification_mode = "sns"
  queue_encryption  = "kms"

  image        = var.image
  architecture = "arm64"
  cpu          = 1024
  memory       = 2048
  vpc_id       = var.vpc_id
  subnet_ids   = var.private_subnet_ids
  min_capacity = 2
  max_capacity = 20

  rules_source = {
    bundled = ["aws"]
    s3_uri  = "s3://${var.rules_bucket}/lanner/"
  }

  alarm_topic_arns = var.alarm_topic_arns
}

output "bucket_name" {
  description = "Where the trail files are."
  value       = module.lanner.bucket_name
}

output "sns_topic_arn" {
  description = "Topic that announces new trail files to whoever subscribes."
  value       = module.lanner.sns_topic_arn
}

output "log_group_name" {
  description = "Where the alerts are."
  value       = module.lanner.log_group_name
}
