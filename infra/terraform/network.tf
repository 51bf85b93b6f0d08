# Nothing comes in; out goes HTTPS, to AWS and to wherever alerts are sent. DNS needs no rule: security groups do not
# filter a VPC's own resolver.

locals {
  create_security_group = length(var.security_group_ids) == 0 && (local.create_ecs ? true : local.lambda_in_vpc)
  security_group_ids    = local.create_security_group ? [aws_security_group.this[0].id] : var.security_group_ids
}

resource "aws_security_group" "this" {
  count = local.create_security_group ? 1 : 0

  name        = "${var.name}-consumer"
  description = "Lanner: HTTPS out, nothing in"
  vpc_id      = var.vpc_id
  tags        = local.tags
}

resource "aws_vpc_security_group_egress_rule" "https" {
  count = local.create_security_group ? 1 : 0

  security_group_id = aws_security_group.this[0].id
  description       = "AWS and receivers of alerts"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}
