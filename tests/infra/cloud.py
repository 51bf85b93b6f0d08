"""Makes in moto what Terraform believes to have made, with the attributes of its state."""

import json
from dataclasses import dataclass, field
from typing import Any

import boto3

from tests.infra.provider import REGION
from tests.infra.terraform import State


@dataclass
class Cloud:
    """
    Clients of the stand-in for AWS.

    Attributes:
        url: Its endpoint.
    """

    url: str
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = boto3.client(service, endpoint_url=self.url, region_name=REGION)
        return self._clients[service]

    def waiting(self, queue: str) -> int:
        """Messages in a queue, hidden ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(map(int, counts.values()))


def build(state: State, url: str) -> Cloud:
    """Make queues, topic, bucket, rule, parameters and roles, in the order that the module's dependencies demand."""
    cloud = Cloud(url)
    _queues(state, cloud.client("sqs"))
    _topics(state, cloud.client("sns"))
    _rules(state, cloud.client("events"))
    _buckets(state, cloud.client("s3"))
    _parameters(state, cloud.client("ssm"))
    _roles(state, cloud.client("iam"))
    return cloud


def _queues(state: State, sqs: Any) -> None:
    for queue in sorted(state.all("aws_sqs_queue"), key=lambda queue: bool(queue["redrive_policy"])):
        attributes = {
            "VisibilityTimeout": str(queue["visibility_timeout_seconds"] or 30),
            "MessageRetentionPeriod": str(queue["message_retention_seconds"]),
            "ReceiveMessageWaitTimeSeconds": str(queue["receive_wait_time_seconds"] or 0),
        }
        if queue["redrive_policy"]:
            attributes["RedrivePolicy"] = queue["redrive_policy"]
        made = sqs.create_queue(QueueName=queue["name"], Attributes=attributes, tags=queue["tags"])
        assert made["QueueUrl"] == queue["url"]
    for policy in state.all("aws_sqs_queue_policy"):
        sqs.set_queue_attributes(QueueUrl=policy["queue_url"], Attributes={"Policy": policy["policy"]})
    for policy in state.all("aws_sqs_queue_redrive_allow_policy"):
        attributes = {"RedriveAllowPolicy": policy["redrive_allow_policy"]}
        sqs.set_queue_attributes(QueueUrl=policy["queue_url"], Attributes=attributes)


def _topics(state: State, sns: Any) -> None:
    for topic in state.all("aws_sns_topic"):
        assert sns.create_topic(Name=topic["name"])["TopicArn"] == topic["arn"]
    for policy in state.all("aws_sns_topic_policy"):
        sns.set_topic_attributes(TopicArn=policy["arn"], AttributeName="Policy", AttributeValue=policy["policy"])
    for subscription in state.all("aws_sns_topic_subscription"):
        raw = {"RawMessageDelivery": str(bool(subscription["raw_message_delivery"])).lower()}
        sns.subscribe(
            TopicArn=subscription["topic_arn"],
            Protocol=subscription["protocol"],
            Endpoint=subscription["endpoint"],
            Attributes=raw,
        )


def _rules(state: State, events: Any) -> None:
    for rule in state.all("aws_cloudwatch_event_rule"):
        events.put_rule(Name=rule["name"], EventPattern=rule["event_pattern"])
    for target in state.all("aws_cloudwatch_event_target"):
        events.put_targets(Rule=target["rule"], Targets=[{"Id": target["target_id"], "Arn": target["arn"]}])


def _buckets(state: State, s3: Any) -> None:
    """Make the bucket without its policy: moto denies whatever a denial is about, without a look at its condition."""
    for bucket in state.all("aws_s3_bucket"):
        s3.create_bucket(Bucket=bucket["bucket"], CreateBucketConfiguration={"LocationConstraint": REGION})
    for notification in state.all("aws_s3_bucket_notification"):
        announced = {
            f"{kind.title()}Configurations": [_announced(entry, kind) for entry in notification[kind]]
            for kind in ("queue", "topic")
        }
        if notification["eventbridge"]:
            announced["EventBridgeConfiguration"] = {}
        s3.put_bucket_notification_configuration(Bucket=notification["bucket"], NotificationConfiguration=announced)


def _announced(entry: dict[str, Any], kind: str) -> dict[str, Any]:
    rules = [{"Name": name, "Value": entry[f"filter_{name}"]} for name in ("prefix", "suffix")]
    arn = {f"{kind.title()}Arn": entry[f"{kind}_arn"]}
    return {"Id": entry["id"], **arn, "Events": entry["events"], "Filter": {"Key": {"FilterRules": rules}}}


def _parameters(state: State, ssm: Any) -> None:
    for parameter in state.all("aws_ssm_parameter"):
        ssm.put_parameter(
            Name=parameter["name"], Value=parameter["insecure_value"], Type=parameter["type"], Tier=parameter["tier"]
        )


def _roles(state: State, iam: Any) -> None:
    """Make the roles; moto checks the grammar of policies as IAM does."""
    for role in state.all("aws_iam_role"):
        iam.create_role(RoleName=role["name"], AssumeRolePolicyDocument=role["assume_role_policy"])
    for policy in state.all("aws_iam_role_policy"):
        iam.put_role_policy(RoleName=policy["role"], PolicyName=policy["name"], PolicyDocument=policy["policy"])


def trail_key(account: str) -> str:
    folder = f"AWSLogs/{account}/CloudTrail/{REGION}/2026/01/02"
    return f"{folder}/{account}_CloudTrail_{REGION}_20260102T0305Z_AbCdEfGhIjKlMnOp.json.gz"


def trail_message(bucket: str, *keys: str) -> str:
    """Make the message that CloudTrail itself publishes about files."""
    return json.dumps({"s3Bucket": bucket, "s3ObjectKey": list(keys)})
