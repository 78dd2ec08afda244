# evtrig relay, from the outbox to its destinations, started every minute.
#
# Deploy with
#     evtrig lambda build -o evtrig-lambda.zip --routes … --tls-ca global-bundle.pem
#     terraform init && terraform apply
# The destinations stand in the policy as well as in the environment: to change them, make
# this file anew.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.0"
    }
  }
}

variable "function_name" {
  type    = string
  default = "evtrig-relay"
}

variable "subnet_ids" {
  type        = list(string)
  description = "Private subnets that reach the database, in several availability zones, with a NAT gateway or VPC endpoints for what the relay calls"
}

variable "security_group_ids" {
  type        = list(string)
  description = "What the database lets in at its port"
}

variable "database_host" {
  type        = string
  description = "Endpoint of the writer, by its own name; a token is not good for an alias"
}

variable "database_port" {
  type    = number
  default = 3306
}

variable "database_user" {
  type        = string
  description = "The account that is IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS'"
}

variable "database_resource_id" {
  type        = string
  description = "Resource id of the cluster (cluster-…), of an instance (db-…) or of RDS Proxy (prx-…); not its name"

  validation {
    condition     = can(regex("^(cluster|db|prx)-[A-Za-z0-9]+$", var.database_resource_id))
    error_message = "It begins with cluster-, db- or prx-."
  }
}

variable "tls_ca" {
  type        = string
  default     = "/var/task/ca.pem"
  description = "Where evtrig lambda build --tls-ca puts the CA; empty for the CAs of the system, which is right for RDS Proxy"
}

variable "outbox" {
  type        = string
  default     = "shop_outbox"
  description = "Schema of the outbox"
}

variable "on_refused" {
  type        = string
  default     = "block"
  description = "What becomes of an event that its destination will never take: block, park-key or park-event"

  validation {
    condition     = contains(["block", "park-key", "park-event"], var.on_refused)
    error_message = "It is block, park-key or park-event."
  }
}

variable "timeout" {
  type = number
  # Two intervals of the schedule: the next invocation takes over after one, and if none
  # comes this one goes on for another. Less costs less, and events wait longer.
  default     = 120
  description = "Seconds; an invocation publishes until 5 seconds before"

  validation {
    condition     = var.timeout >= 15 && var.timeout <= 900
    error_message = "Lambda takes up to 900 seconds, and below 15 there is little time to publish."
  }
}

variable "memory_size" {
  type = number
  # Lambda gives CPU by memory, one vCPU for 1,769 MB: of that this is 0.29. The relay
  # itself takes less than 100 MB, and what it has read of the events.
  default     = 512
  description = "MB"
}

variable "max_age" {
  type        = number
  default     = 300
  description = "Seconds that the oldest event may have waited before the alarm goes off"
}

variable "log_retention" {
  type        = number
  default     = 14
  description = "Days"
}

variable "alarm_topic_arn" {
  type        = string
  default     = ""
  description = "SNS topic that hears of alarms; without one they are seen in CloudWatch only"
}

data "aws_partition" "current" {}

data "aws_region" "current" {}

data "aws_caller_identity" "current" {}

locals {
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region
  account   = data.aws_caller_identity.current.account_id
  alarms    = var.alarm_topic_arn == "" ? [] : [var.alarm_topic_arn]
}

resource "aws_lambda_function" "relay" {
  function_name    = var.function_name
  description      = "evtrig relay"
  filename         = "evtrig-lambda.zip"
  source_code_hash = filebase64sha256("evtrig-lambda.zip")
  handler          = "evtrig.relay.lambda_handler"
  runtime          = "python3.13"
  # Costs a fifth less than x86_64; nothing in the archive is compiled.
  architectures = ["arm64"]
  memory_size   = var.memory_size
  timeout       = var.timeout
  # The newest invocation takes over from the one before, so both must run: with 1 no
  # relay would run from the end of one to the next minute. A third is of no use.
  reserved_concurrent_executions = 2
  role                           = aws_iam_role.relay.arn

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.relay.name
  }

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = var.security_group_ids
  }

  environment {
    variables = merge(
      {
        EVTRIG_DSN               = "mysql://${var.database_user}@${var.database_host}:${var.database_port}/?auth=rds-iam"
        EVTRIG_OUTBOX            = var.outbox
        EVTRIG_ROUTES            = "/var/task/evtrig-relay.json"
        EVTRIG_RELAY_ON_REFUSED  = var.on_refused
        EVTRIG_RELAY_ON_OVERSIZE = "s3://orders-large/events"
      },
      var.tls_ca == "" ? {} : { EVTRIG_TLS_CA = var.tls_ca },
    )
  }

  # Without its permissions it could not be connected to the VPC.
  depends_on = [aws_iam_role_policy.relay]
}

# A repeated invocation is an old one: the next is never more than a minute away.
# Throttled ones are repeated in any case, for six hours unless this says less.
resource "aws_lambda_function_event_invoke_config" "relay" {
  function_name                = aws_lambda_function.relay.function_name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = 60
}

resource "aws_cloudwatch_log_group" "relay" {
  name              = "/aws/lambda/${var.function_name}"
  retention_in_days = var.log_retention
}

resource "aws_iam_role" "relay" {
  name_prefix = "evtrig-relay-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "relay" {
  name = "relay"
  role = aws_iam_role.relay.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # SQS: publish, and ask for its limits first.
      {
        Effect = "Allow"
        Action = [
          "sqs:SendMessage",
          "sqs:GetQueueAttributes",
        ]
        Resource = [
          "arn:aws:sqs:eu-west-1:123456789012:orders.fifo",
        ]
      },
      # SNS: publish, and ask for its limits first.
      {
        Effect = "Allow"
        Action = [
          "sns:Publish",
          "sns:GetTopicAttributes",
        ]
        Resource = [
          "arn:aws:sns:eu-west-1:123456789012:shipped",
        ]
      },
      # Kinesis: publish, and ask for its limits first.
      {
        Effect = "Allow"
        Action = [
          "kinesis:PutRecords",
          "kinesis:DescribeStreamSummary",
        ]
        Resource = [
          "arn:${local.partition}:kinesis:${local.region}:${local.account}:stream/audit",
        ]
      },
      # EventBridge: publish, and ask for its limits first.
      {
        Effect = "Allow"
        Action = [
          "events:PutEvents",
          "events:DescribeEventBus",
        ]
        Resource = [
          "arn:${local.partition}:events:${local.region}:${local.account}:event-bus/default",
        ]
      },
      # S3: events larger than the destination takes.
      {
        Effect = "Allow"
        Action = [
          "s3:PutObject",
        ]
        Resource = [
          "arn:${local.partition}:s3:::orders-large/events/*",
        ]
      },
      # KMS: what the keys encrypt.
      {
        Effect = "Allow"
        Action = [
          "kms:GenerateDataKey",
          "kms:Decrypt",
        ]
        Resource = [
          "arn:aws:kms:eu-west-1:123456789012:key/0d1a",
        ]
      },
      # RDS: a token instead of a password.
      {
        Effect = "Allow"
        Action = [
          "rds-db:connect",
        ]
        Resource = [
          "arn:${local.partition}:rds-db:${local.region}:${local.account}:dbuser:${var.database_resource_id}/${var.database_user}",
        ]
      },
      # Lambda: its logs, among them the metrics.
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.relay.arn}:*"]
      },
      # Lambda connects the function to the VPC in the name of this role, …
      {
        Effect = "Allow"
        Action = [
          "ec2:CreateNetworkInterface",
          "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeSubnets",
          "ec2:DeleteNetworkInterface",
          "ec2:AssignPrivateIpAddresses",
          "ec2:UnassignPrivateIpAddresses",
        ]
        Resource = ["*"]
      },
      # … and the function's own code has no business there.
      {
        Effect   = "Deny"
        Action   = ["ec2:*"]
        Resource = ["*"]
        Condition = {
          ArnEquals = {
            "lambda:SourceFunctionArn" = ["arn:${local.partition}:lambda:${local.region}:${local.account}:function:${var.function_name}"]
          }
        }
      },
    ]
  })
}

resource "aws_scheduler_schedule" "relay" {
  name                = var.function_name
  schedule_expression = "rate(1 minute)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.relay.arn
    role_arn = aws_iam_role.schedule.arn

    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = 60
    }
  }

  # Without it the first invocations would not be allowed.
  depends_on = [aws_iam_role_policy.schedule]
}

resource "aws_iam_role" "schedule" {
  name_prefix = "evtrig-schedule-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      # No schedule of another account, by mistake or on purpose.
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "schedule" {
  name = "invoke"
  role = aws_iam_role.schedule.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = [aws_lambda_function.relay.arn]
    }]
  })
}

# Goes off if events wait too long, and if nothing is heard of the relay any more: what is
# missing counts as bad. So it also goes off until a new relay has run for a minute.
resource "aws_cloudwatch_metric_alarm" "old" {
  alarm_name          = "${var.function_name}-old"
  alarm_description   = "${var.function_name} is behind, or does not run"
  namespace           = "evtrig"
  metric_name         = "OldestEventAge"
  dimensions          = { Relay = var.outbox }
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 5
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.max_age
  treat_missing_data  = "breaching"
  alarm_actions       = local.alarms
  ok_actions          = local.alarms
}

# One failed invocation is made good by the next, as after a failover of the database.
# That there is none at all is for the alarm above to say.
resource "aws_cloudwatch_metric_alarm" "errors" {
  alarm_name          = "${var.function_name}-errors"
  alarm_description   = "${var.function_name} fails again and again; its log says why"
  namespace           = "AWS/Lambda"
  metric_name         = "Errors"
  dimensions          = { FunctionName = aws_lambda_function.relay.function_name }
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = 5
  datapoints_to_alarm = 3
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarms
  ok_actions          = local.alarms
}

output "function_arn" {
  value = aws_lambda_function.relay.arn
}

output "log_group_name" {
  value = aws_cloudwatch_log_group.relay.name
}
