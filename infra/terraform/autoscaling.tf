# Tasks by backlog per task, and more of them whenever the oldest message gets old.

resource "aws_appautoscaling_target" "this" {
  count = local.create_ecs ? 1 : 0

  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${local.cluster_name}/${aws_ecs_service.this[0].name}"
  min_capacity       = var.min_capacity
  max_capacity       = var.max_capacity
  tags               = local.tags
}

resource "aws_appautoscaling_policy" "backlog" {
  count = local.create_ecs ? 1 : 0

  name               = "${var.name}-backlog-per-task"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[0].resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = var.target_backlog_per_task
    scale_in_cooldown  = var.scale_in_cooldown
    scale_out_cooldown = 60

    customized_metric_specification {
      metrics {
        id          = "visible"
        label       = "Messages waiting"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "AWS/SQS"
            metric_name = "ApproximateNumberOfMessagesVisible"

            dimensions {
              name  = "QueueName"
              value = local.queue_name
            }
          }
        }
      }

      metrics {
        id          = "tasks"
        label       = "Running tasks"
        return_data = false

        metric_stat {
          stat = "Average"

          metric {
            namespace   = "ECS/ContainerInsights"
            metric_name = "RunningTaskCount"

            dimensions {
              name  = "ClusterName"
              value = local.cluster_name
            }

            dimensions {
              name  = "ServiceName"
              value = aws_ecs_service.this[0].name
            }
          }
        }
      }

      metrics {
        id          = "backlog"
        label       = "Messages waiting per running task"
        expression  = "IF(FILL(tasks, 0) > 0, visible / tasks, visible)"
        return_data = true
      }
    }
  }
}

resource "aws_appautoscaling_policy" "age" {
  count = local.create_ecs ? 1 : 0

  name               = "${var.name}-age"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.this[0].service_namespace
  scalable_dimension = aws_appautoscaling_target.this[0].scalable_dimension
  resource_id        = aws_appautoscaling_target.this[0].resource_id

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    cooldown                = 120
    metric_aggregation_type = "Maximum"

    # Bounds are seconds above scale_out_age_seconds.
    step_adjustment {
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = 600
      scaling_adjustment          = 1
    }

    step_adjustment {
      metric_interval_lower_bound = 600
      scaling_adjustment          = 3
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "scale_out" {
  count = local.create_ecs ? 1 : 0

  alarm_name          = "${var.name}-scale-out-by-age"
  alarm_description   = "Adds tasks: the oldest message waits longer than ${var.scale_out_age_seconds} s. Not for people."
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateAgeOfOldestMessage"
  dimensions          = { QueueName = local.queue_name }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 2
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.scale_out_age_seconds
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.age[0].arn]
  tags                = local.tags
}
