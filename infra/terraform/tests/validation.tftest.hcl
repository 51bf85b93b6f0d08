# Mistakes that are told before anything is made.

mock_provider "aws" {}

variables {
  image      = "example/lanner:0.1.0"
  vpc_id     = "vpc-0123456789abcdef0"
  subnet_ids = ["subnet-0123456789abcdef0"]
}

run "organization_trail_without_organization" {
  command = plan

  variables {
    is_organization_trail = true
  }

  expect_failures = [var.is_organization_trail]
}

run "nothing_is_ever_delivered" {
  command = plan

  variables {
    create_trail = false
  }

  expect_failures = [var.create_trail]
}

run "existing_bucket_would_lose_its_notifications" {
  command = plan

  variables {
    create_bucket        = false
    existing_bucket_name = "acme-trail"
  }

  expect_failures = [var.replace_bucket_notifications]
}

run "topic_of_an_existing_trail_is_not_named" {
  command = plan

  variables {
    create_trail         = false
    create_bucket        = false
    existing_bucket_name = "acme-trail"
    notification_mode    = "cloudtrail_sns"
  }

  expect_failures = [var.create_sns_topic]
}

run "queue_without_its_bucket" {
  command = plan

  variables {
    create_queue       = false
    existing_queue_arn = "arn:aws:sqs:eu-west-1:111122223333:trail-files"
    existing_dlq_arn   = "arn:aws:sqs:eu-west-1:111122223333:trail-files-dead"
  }

  expect_failures = [var.create_bucket]
}

run "queue_without_dead_letters" {
  command = plan

  variables {
    create_trail         = false
    create_bucket        = false
    existing_bucket_name = "acme-trail"
    create_queue         = false
    existing_queue_arn   = "arn:aws:sqs:eu-west-1:111122223333:trail-files"
  }

  expect_failures = [var.existing_dlq_arn]
}

run "bucket_that_is_named_and_made" {
  command = plan

  variables {
    existing_bucket_name = "acme-trail"
  }

  expect_failures = [var.existing_bucket_name]
}

run "two_keys" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:eu-west-1:111122223333:key/1234"
  }

  expect_failures = [var.kms_key_arn]
}

run "unknown_mode" {
  command = plan

  variables {
    notification_mode = "carrier-pigeon"
  }

  expect_failures = [var.notification_mode]
}

run "consumer_without_image" {
  command = plan

  variables {
    image = null
  }

  expect_failures = [var.image]
}

run "tasks_without_subnets" {
  command = plan

  variables {
    subnet_ids = []
  }

  expect_failures = [var.subnet_ids]
}

run "function_in_subnets_without_vpc" {
  command = plan

  variables {
    consumer = "lambda"
    vpc_id   = null
  }

  expect_failures = [var.vpc_id]
}

run "function_longer_than_the_queue_hides" {
  command = plan

  variables {
    consumer       = "lambda"
    lambda_timeout = 60
  }

  expect_failures = [var.lambda_timeout]
}

run "kms_queue_without_key" {
  command = plan

  variables {
    create_kms_key   = false
    queue_encryption = "kms"
  }

  expect_failures = [var.queue_encryption]
}

run "short_retention_and_few_receives" {
  command = plan

  variables {
    queue_retention_seconds = 3600
    max_receive_count       = 1
  }

  expect_failures = [var.queue_retention_seconds, var.max_receive_count]
}

run "no_rules_at_all" {
  command = plan

  variables {
    rules_source = { bundled = [] }
  }

  expect_failures = [var.rules_source]
}

run "configuration_that_is_no_mapping" {
  command = plan

  variables {
    extra_config = "- a list"
  }

  expect_failures = [var.extra_config]
}

run "alarm_before_scaling" {
  command = plan

  variables {
    alarm_age_seconds = 120
  }

  expect_failures = [var.alarm_age_seconds]
}
