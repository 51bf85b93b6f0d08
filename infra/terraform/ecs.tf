# The consumer as a Fargate service.

locals {
  # A container's file system is read-only but for these, which live and die with the task.
  volumes = {
    configuration = "/etc/lanner"
    state         = "/var/lib/lanner"
    temporary     = "/tmp"
  }
  mounts = [for name, path in local.volumes : { sourceVolume = name, containerPath = path, readOnly = false }]

  environment = merge({ AWS_DEFAULT_REGION = local.region, LANNER_CONFIG = "${local.folder}/lanner.yaml" }, var.environment)

  container_basics = {
    image                  = var.image
    user                   = "10001:10001"
    readonlyRootFilesystem = true
    linuxParameters        = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = local.log_group_name
        awslogs-region        = local.region
        awslogs-stream-prefix = "task"
        mode                  = "blocking" # alerts go this way; ECS's own default drops lines when CloudWatch is slow
      }
    }
  }

  containers = [
    merge(local.container_basics, {
      name        = "configuration"
      essential   = false
      entryPoint  = ["lanner-fetch"]
      command     = local.fetched
      environment = [{ name = "AWS_DEFAULT_REGION", value = local.region }]
      mountPoints = [for mount in local.mounts : mount if mount.sourceVolume != "state"]
    }),
    merge(local.container_basics, {
      name      = "lanner"
      essential = true
      command   = ["run"]
      environment = concat(
        [for name, value in local.environment : { name = name, value = value }],
        [{ name = "LANNER_CONFIGURATION_HASH", value = local.configuration_hash }],
      )
      secrets     = [for name, arn in var.secrets : { name = name, valueFrom = arn }]
      mountPoints = [for mount in local.mounts : merge(mount, { readOnly = mount.sourceVolume == "configuration" })]
      dependsOn   = [{ containerName = "configuration", condition = "SUCCESS" }]
      stopTimeout = 120 # the most Fargate grants; shutdown_grace is less
      healthCheck = {
        command     = ["CMD", "lanner-health"]
        interval    = 60
        timeout     = 10
        retries     = 10 # a consumer that is denied access pauses for up to ten minutes; that is not its fault
        startPeriod = 120
      }
    }),
  ]
}

resource "aws_ecs_cluster" "this" {
  count = local.create_cluster ? 1 : 0

  name = var.name
  tags = local.tags

  setting {
    name  = "containerInsights" # scaling and an alarm use its count of running tasks
    value = "enabled"
  }
}

resource "aws_ecs_task_definition" "this" {
  count = local.create_ecs ? 1 : 0

  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  task_role_arn            = aws_iam_role.consumer[0].arn
  execution_role_arn       = aws_iam_role.execution[0].arn
  container_definitions    = jsonencode(local.containers)
  tags                     = local.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture == "arm64" ? "ARM64" : "X86_64"
  }

  dynamic "volume" {
    for_each = local.volumes

    content {
      name = volume.key
    }
  }
}

resource "aws_ecs_service" "this" {
  count = local.create_ecs ? 1 : 0

  name                               = var.name
  cluster                            = local.cluster_name
  task_definition                    = aws_ecs_task_definition.this[0].arn
  desired_count                      = var.min_capacity
  launch_type                        = "FARGATE"
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  enable_execute_command             = false
  propagate_tags                     = "SERVICE"
  tags                               = local.tags

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = local.security_group_ids
    assign_public_ip = var.assign_public_ip
  }

  lifecycle {
    ignore_changes = [desired_count] # scaling's
  }

  # A task that starts before it may do anything only fails.
  depends_on = [aws_iam_role_policy.consumer, aws_iam_role_policy.execution, aws_ssm_parameter.configuration, aws_ssm_parameter.rules]
}

locals {
  cluster_name = local.create_cluster ? aws_ecs_cluster.this[0].name : var.existing_ecs_cluster_name
}
