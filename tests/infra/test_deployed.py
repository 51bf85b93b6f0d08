"""
The module, applied: Terraform evaluates it, its queues, bucket and notifications are made in moto from that, the
consumer fetches its configuration from there and drains the queue.
"""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("grpc", reason="grpcio, which Terraform's plugins speak through, is not installed")

from tests.infra.cloud import Cloud, build, trail_key, trail_message
from tests.infra.policies import allows
from tests.infra.provider import ACCOUNT
from tests.infra.running import Service, service
from tests.infra.terraform import ROOT, State

RULE = """
- rule: A user was made
  desc: Somebody made a user.
  condition: ct.name = CreateUser
  output: user made (id %ct.id)
  priority: NOTICE
  source: aws_cloudtrail
"""
MODES: dict[str, dict[str, Any]] = {
    mode: {
        "name": f"lanner-{mode.replace('_', '-')}",
        "notification_mode": mode,
        "rules_source": {"bundled": [], "inline": {"ours.yaml": RULE}},
    }
    for mode in ("s3", "sns", "eventbridge", "cloudtrail_sns")
}


def trail_file(*ids: str) -> bytes:
    record = {
        "eventVersion": "1.11",
        "eventTime": "2026-01-02T03:04:05Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "CreateUser",
        "awsRegion": "eu-west-1",
        "eventType": "AwsApiCall",
        "recipientAccountId": ACCOUNT,
    }
    return gzip.compress(json.dumps({"Records": [{**record, "eventID": one} for one in ids]}).encode())


def fetch(state: State, folder: Path) -> Path:
    """Let lanner-fetch copy what the first container of a task would, into another folder; return the configuration."""
    (container, _) = containers(state)
    words = [word.replace("=/etc/lanner", f"={folder}") for word in container["command"]]
    from_aws = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")}
    environment = {**from_aws, **{entry["name"]: entry["value"] for entry in container["environment"]}}
    subprocess.run([sys.executable, str(ROOT / "infra" / "docker" / "fetch.py"), *words], env=environment, check=True)
    text = (folder / "lanner.yaml").read_text().replace("/etc/lanner", str(folder))
    (folder / "lanner.yaml").write_text(text)
    return folder / "lanner.yaml"


def containers(state: State) -> list[dict[str, Any]]:
    return json.loads(state.named("aws_ecs_task_definition", "this")["container_definitions"])


def deliver(cloud: Cloud, state: State, *ids: str) -> None:
    """Put a trail file where CloudTrail would; announce it as CloudTrail would if that is its job."""
    bucket, key = state.output("bucket_name"), trail_key(ACCOUNT)
    cloud.client("s3").put_object(Bucket=bucket, Key=key, Body=trail_file(*ids))
    trail = state.named("aws_cloudtrail", "this")
    if trail["sns_topic_name"]:
        cloud.client("sns").publish(TopicArn=trail["sns_topic_name"], Message=trail_message(bucket, key))


def test_a_new_file_becomes_alerts_and_what_cannot_be_used_a_dead_letter(
    apply: Callable[..., State], aws_url: str, tmp_path: Path
) -> None:
    state = apply(**MODES["s3"])
    cloud, queue, dead_letters = build(state, aws_url), state.output("queue_url"), state.output("dlq_url")
    sqs = cloud.client("sqs")
    with service(fetch(state, tmp_path / "etc"), "sources[0].wait=1") as running:
        sqs.send_message(QueueUrl=queue, MessageBody="no message of ours")
        deliver(cloud, state, "id-1", "id-2")
        running.wait_for(lambda: len(running.alerts()) == 2)
        running.wait_for(lambda: cloud.waiting(queue) == 0)
    assert ids(running) == ["id-1", "id-2"]
    assert len({alert["lanner"]["uid"] for alert in running.alerts()}) == 2
    (dead,) = sqs.receive_message(QueueUrl=dead_letters, MessageAttributeNames=["All"])["Messages"]
    assert dead["Body"] == "no message of ours"
    assert dead["MessageAttributes"]["LannerReason"]["StringValue"] == "not-json"


def test_topic_rule_and_trail_announce_as_well_as_the_bucket(
    apply: Callable[..., State], aws_url: str, tmp_path: Path
) -> None:
    states = [apply(**MODES[mode]) for mode in ("sns", "eventbridge", "cloudtrail_sns")]
    clouds = [build(state, aws_url) for state in states]
    queues = [state.output("queue_url") for state in states]
    configurations = [yaml.safe_load(state.output("lanner_configuration")) for state in states]
    sources = [{**config["sources"][0], "name": f"queue-{n}", "wait": 1} for n, config in enumerate(configurations)]
    with service(fetch(states[0], tmp_path / "etc"), f"sources={json.dumps(sources)}") as running:
        for cloud, state in zip(clouds, states, strict=True):
            deliver(cloud, state, state.output("queue_name"))
        running.wait_for(lambda: len(running.alerts()) == len(states))
        running.wait_for(lambda: not any(clouds[0].waiting(queue) for queue in queues))
    assert ids(running) == sorted(state.output("queue_name") for state in states)


def ids(running: Service) -> list[str]:
    return sorted(alert["output_fields"]["ct.id"] for alert in running.alerts())


def test_a_message_that_nobody_settles_is_redriven(apply: Callable[..., State], aws_url: str) -> None:
    state = apply(**MODES["s3"])
    cloud = build(state, aws_url)
    sqs, queue = cloud.client("sqs"), state.output("queue_url")
    sqs.purge_queue(QueueUrl=queue)  # the test message that S3 sends
    sqs.send_message(QueueUrl=queue, MessageBody="{}")
    for _ in range(10):
        (message,) = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=0)["Messages"]
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    assert "Messages" not in sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=0)
    assert cloud.waiting(state.output("dlq_url")) == 1


def test_only_its_one_sender_may_send_to_the_queue(apply: Callable[..., State]) -> None:
    state = apply(**MODES["s3"])
    policy, queue = state.named("aws_sqs_queue_policy", "this")["policy"], state.output("queue_arn")
    ours = {"aws:SourceArn": state.output("bucket_arn"), "aws:SourceAccount": ACCOUNT, "aws:SecureTransport": "true"}
    s3 = "s3.amazonaws.com"
    assert allows(policy, "sqs:SendMessage", queue, s3, **ours)
    assert not allows(policy, "sqs:SendMessage", queue, s3, **{**ours, "aws:SourceArn": "arn:aws:s3:::other"})
    assert not allows(policy, "sqs:SendMessage", queue, s3, **{**ours, "aws:SourceAccount": "999999999999"})
    assert not allows(policy, "sqs:SendMessage", queue, s3, **{**ours, "aws:SecureTransport": "false"})
    assert not allows(policy, "sqs:SendMessage", queue, "sns.amazonaws.com", **ours)
    assert not allows(policy, "sqs:ReceiveMessage", queue, s3, **ours)


@pytest.mark.parametrize(
    ("mode", "sender", "source"),
    [
        ("sns", "sns.amazonaws.com", f"arn:aws:sns:eu-west-1:{ACCOUNT}:lanner-sns-trail-files"),
        ("cloudtrail_sns", "sns.amazonaws.com", f"arn:aws:sns:eu-west-1:{ACCOUNT}:lanner-cloudtrail-sns-trail-files"),
        (
            "eventbridge",
            "events.amazonaws.com",
            f"arn:aws:events:eu-west-1:{ACCOUNT}:rule/lanner-eventbridge-trail-files",
        ),
    ],
)
def test_the_queue_takes_from_topic_or_rule_what_the_mode_says(
    mode: str, sender: str, source: str, apply: Callable[..., State]
) -> None:
    state = apply(**MODES[mode])
    policy, queue = state.named("aws_sqs_queue_policy", "this")["policy"], state.output("queue_arn")
    assert allows(policy, "sqs:SendMessage", queue, sender, **{"aws:SourceArn": source})
    assert not allows(policy, "sqs:SendMessage", queue, sender, **{"aws:SourceArn": f"{source}-other"})


def test_only_the_trail_may_write_and_only_its_own_files(apply: Callable[..., State]) -> None:
    state = apply(is_organization_trail=True, organization_id="o-exampleorgid")
    policy, bucket = state.named("aws_s3_bucket_policy", "this")["policy"], state.output("bucket_arn")
    trail = {
        "aws:SourceArn": f"arn:aws:cloudtrail:eu-west-1:{ACCOUNT}:trail/lanner",
        "s3:x-amz-acl": "bucket-owner-full-control",
        "aws:SecureTransport": "true",
    }
    cloudtrail = "cloudtrail.amazonaws.com"
    own, members = f"{bucket}/AWSLogs/{ACCOUNT}/CloudTrail/f", f"{bucket}/AWSLogs/o-exampleorgid/999999999999/f"
    other = {**trail, "aws:SourceArn": "arn:aws:cloudtrail:eu-west-1:999999999999:trail/lanner"}
    assert allows(policy, "s3:GetBucketAcl", bucket, cloudtrail, **trail)
    assert allows(policy, "s3:PutObject", own, cloudtrail, **trail)
    assert allows(policy, "s3:PutObject", members, cloudtrail, **trail)
    assert not allows(policy, "s3:PutObject", f"{bucket}/AWSLogs/999999999999/f", cloudtrail, **trail)
    assert not allows(policy, "s3:PutObject", own, cloudtrail, **other)
    assert not allows(policy, "s3:PutObject", own, "s3.amazonaws.com", **trail)


@pytest.mark.parametrize(
    ("encryption", "senders"), [("sqs", {"s3.amazonaws.com"}), ("kms", {"s3.amazonaws.com", "sns.amazonaws.com"})]
)
def test_the_key_is_only_for_the_trail_and_for_who_sends(
    encryption: str, senders: set[str], apply: Callable[..., State]
) -> None:
    state = apply(**MODES["sns"], queue_encryption=encryption)
    policy, key = state.named("aws_kms_key", "this")["policy"], "*"
    services = {"s3.amazonaws.com", "sns.amazonaws.com", "events.amazonaws.com", "cloudtrail.amazonaws.com"}
    assert {name for name in services if allows(policy, "kms:GenerateDataKey", key, name)} == senders
    trail = f"arn:aws:cloudtrail:eu-west-1:{ACCOUNT}:trail/lanner-sns"
    context = {"aws:SourceArn": trail, "kms:EncryptionContext:aws:cloudtrail:arn": trail}
    assert allows(policy, "kms:GenerateDataKey", key, "cloudtrail.amazonaws.com", **context)
    assert not allows(
        policy, "kms:GenerateDataKey", key, "cloudtrail.amazonaws.com", **{**context, "aws:SourceArn": "x"}
    )
    assert not allows(policy, "kms:Decrypt", key, "*")


def test_ecs_takes_the_task_definition(apply: Callable[..., State], aws_url: str) -> None:
    state = apply(secrets={"TOKEN": f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/token"})
    task = state.named("aws_ecs_task_definition", "this")
    made = (
        build(state, aws_url)
        .client("ecs")
        .register_task_definition(  # refuses keys that ECS does not know
            family=task["family"],
            containerDefinitions=containers(state),
            volumes=[{"name": volume["name"]} for volume in task["volume"]],
            cpu=str(task["cpu"]),
            memory=str(task["memory"]),
            networkMode=task["network_mode"],
            requiresCompatibilities=task["requires_compatibilities"],
        )
    )
    first, second = made["taskDefinition"]["containerDefinitions"]
    assert [mount["sourceVolume"] for mount in second["mountPoints"] if not mount["readOnly"]] == ["state", "temporary"]
    assert all(c["readonlyRootFilesystem"] and c["user"] == "10001:10001" for c in (first, second))
    assert all(c["logConfiguration"]["options"]["mode"] == "blocking" for c in (first, second))
    assert second["dependsOn"] == [{"containerName": "configuration", "condition": "SUCCESS"}]
    assert second["secrets"] == [{"name": "TOKEN", "valueFrom": f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/token"}]


def test_every_alarm_goes_to_the_topic_and_means_silence_too(apply: Callable[..., State]) -> None:
    topic = f"arn:aws:sns:eu-west-1:{ACCOUNT}:oncall"
    state = apply(alarm_topic_arns=[topic])
    alarms = {alarm["alarm_name"]: alarm for alarm in state.all("aws_cloudwatch_metric_alarm")}
    scaling = alarms.pop("lanner-scale-out-by-age")
    assert set(alarms) == {"lanner-dead-letters", "lanner-age", "lanner-silence", "lanner-tasks"}
    assert all(alarm["alarm_actions"] == [topic] == alarm["ok_actions"] for alarm in alarms.values())
    assert scaling["alarm_actions"] == [state.named("aws_appautoscaling_policy", "age")["arn"]]
    assert alarms["lanner-silence"]["treat_missing_data"] == "breaching"
    assert alarms["lanner-silence"]["evaluation_periods"] * alarms["lanner-silence"]["period"] == 3600
