# One account: a trail, its bucket, and Lanner in an existing VPC.

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
  description = "Region of everything; the trail covers all regions."
  type        = string
  default     = "eu-west-1"
}

variable "image" {
  description = "Image of Lanner, target service of infra/docker/Dockerfile."
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

variable "on_call_email" {
  description = "Who gets the alarms."
  type        = string
}

module "lanner" {
  source = "../.."

  image            = var.image
  vpc_id           = var.vpc_id
  subnet_ids       = var.private_subnet_ids
  alarm_topic_arns = [aws_sns_topic.alarms.arn]

  rules_source = {
    bundled = ["aws"]
    inline  = { "ours.yaml" = file("${path.module}/rules.yaml") }
  }
}

resource "aws_sns_topic" "alarms" {
  # checkov:skip=CKV_AWS_26:Alarms say nothing secret, and the key that AWS manages for SNS does not admit CloudWatch.
  name = "lanner-alarms"
}

resource "aws_sns_topic_subscription" "alarms" {
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.on_call_email
}

output "queue_url" {
  description = "Queue that announces new trail files."
  value       = module.lanner.queue_url
}

output "log_group_name" {
  description = "Where the alerts are: aws logs tail --follow <this>."
  value       = module.lanner.log_group_name
}
