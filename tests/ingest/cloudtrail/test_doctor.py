"""A look at a set-up: each thing that keeps events from arriving is found and told with what to do."""

import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from ingest.base import SourceError
from ingest.cloudtrail.doctor import examine
from ingest.cloudtrail.findings import Finding, State
from ingest.cloudtrail.options import AwsOptions, ObjectOptions, SqsOptions
from tests.ingest.cloudtrail.proxy import Proxy, Seen, proxy, s3_error, sqs_error
from tests.ingest.cloudtrail.support import BUCKET, REGION, Aws, trail_key, trail_record

TODAY = datetime.now(UTC).strftime("%Y/%m/%d")
GOOD = {"VisibilityTimeout": "300", "MessageRetentionPeriod": "1209600"}


@pytest.fixture
async def door(aws: Aws) -> AsyncIterator[Proxy]:
    async with proxy(aws.url) as running_proxy:
        yield running_proxy


def arn_of(aws: Aws, url: str) -> str:
    return str(aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def allow(aws: Aws, url: str, service: str = "s3.amazonaws.com", arn: str = f"arn:aws:s3:::{BUCKET}") -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sqs:SendMessage",
        "Resource": arn_of(aws, url),
        "Condition": {"ArnLike": {"aws:SourceArn": arn}},
    }
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps({"Statement": [statement]})})


def empty(aws: Aws, url: str) -> None:
    while messages := aws.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.fixture
def url(aws: Aws) -> str:
    """Set up all that a trail needs, with one file announced; return the queue's URL."""
    aws.bucket()
    url, _ = aws.queue_with_dlq(10)
    aws.sqs.set_queue_attributes(QueueUrl=url, Attributes=GOOD)
    allow(aws, url)
    queues = [{"QueueArn": arn_of(aws, url), "Events": ["s3:ObjectCreated:*"]}]
    aws.s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"QueueConfigurations": queues}
    )
    empty(aws, url)
    trail = aws.client("cloudtrail")
    trail.create_trail(Name="acme-trail", S3BucketName=BUCKET)
    trail.start_logging(Name="acme-trail")
    aws.put(trail_key("a", TODAY), [trail_record(1), trail_record(2)])
    return url


async def look(queue: str = "sqs://lanner", bucket: str = "", objects: Any = None, **aws: Any) -> dict[str, Finding]:
    """Return what was found, by check; of several findings the worst one."""
    options = AwsOptions(**{"region": REGION, "attempts": 1, **aws})
    rank = [State.SKIPPED, State.OK, State.WARNING, State.FAILED]
    found: dict[str, Finding] = {}
    async for finding in examine(SqsOptions(queue, aws=options, objects=objects or ObjectOptions()), bucket):
        if finding.check not in found or rank.index(finding.state) > rank.index(found[finding.check].state):
            found[finding.check] = finding
    return found


def problems(found: dict[str, Finding]) -> dict[str, str]:
    return {name: finding.state.value for name, finding in found.items() if finding.state is not State.OK}


async def test_a_set_up_in_order_is_told_to_be(aws: Aws, url: str) -> None:
    found = await look()
    assert problems(found) == {}
    assert found["message"].text.startswith(f"one was received: it announces s3://{BUCKET}/AWSLogs/")
    assert found["file"].text.endswith("was read, events in it: 2")
    assert "the bucket may send" in found["policy"].text
    assert "the newest file is 0 min old" in found["bucket"].text
    assert "acme-trail is logging" in found["trail"].text
    assert all(not finding.advice for finding in found.values())


async def test_nothing_is_taken_away(aws: Aws, url: str) -> None:
    await look()
    assert aws.visible(url) == 1


async def test_a_queue_that_is_not_there(aws: Aws) -> None:
    found = await look("sqs://none")
    assert problems(found) == {"queue": "failed"}
    assert "is the region right" in found["queue"].text
    assert list(found)[-1] == "queue"


async def test_an_address_that_is_none(aws: Aws) -> None:
    with pytest.raises(SourceError, match="expected sqs://"):
        await look("sqs://no queue")


async def test_regions_that_differ(aws: Aws, url: str) -> None:
    found = await look(f"sqs://{arn_of(aws, url)}", region="us-east-1")
    assert found["region"].state is State.FAILED
    assert f"set it to {REGION}" in found["region"].advice


async def test_no_region(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    found = await look(region="")
    assert (found["region"].state, found["queue"].state) == (State.FAILED, State.FAILED)
    assert "AWS_REGION" in found["region"].advice


@pytest.mark.parametrize(("variable", "value"), [("AWS_DEFAULT_REGION", ""), ("AWS_ENDPOINT_URL", "no-address:5000")])
async def test_what_is_no_address_of_aws_is_told_with_what_sets_it(
    aws: Aws, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv(variable, value)
    found = await look(region="" if variable == "AWS_DEFAULT_REGION" else REGION)
    assert found["queue"].state is State.FAILED
    assert "endpoint_url and region" in found["queue"].text
    assert "sqs:GetQueueUrl" not in found["queue"].advice


async def test_no_credentials(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    found = await look()
    assert list(found) == ["credentials"]
    assert found["credentials"].state is State.FAILED
    assert "AWS_PROFILE" in found["credentials"].advice


@pytest.mark.parametrize(
    ("minutes", "state", "text"), [(2, State.WARNING, "behind AWS"), (-7, State.FAILED, "ahead of AWS")]
)
async def test_a_clock_that_is_off(aws: Aws, door: Proxy, url: str, minutes: int, state: State, text: str) -> None:
    door.headers["Date"] = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    found = await look(endpoint_url=door.url)
    assert found["clock"].state is state
    assert found["clock"].text.endswith(text)
    assert "chrony" in found["clock"].advice


@pytest.mark.parametrize(("code", "told"), [("ExpiredToken", "have expired"), ("InvalidClientTokenId", "not accept")])
async def test_credentials_that_aws_refuses(aws: Aws, door: Proxy, url: str, code: str, told: str) -> None:
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
    door.fault = lambda seen: web.Response(status=403, text=text) if b"GetCallerIdentity" in seen.body else None
    found = await look(endpoint_url=door.url)
    assert (found["credentials"].state, list(found)[-1]) == (State.FAILED, "credentials")
    assert told in found["credentials"].text
    assert found["credentials"].advice


async def test_a_queue_with_settings_that_lose_events(aws: Aws) -> None:
    aws.queue(MessageRetentionPeriod="3600")
    found = await look()
    assert found["queue"].state is State.WARNING
    assert found["dead letters"].state is State.WARNING
    assert found["policy"].state is State.FAILED
    assert "sqs:SendMessage to s3.amazonaws.com" in found["policy"].advice
    assert found["bucket"].state is State.WARNING
    assert "--bucket" in found["bucket"].advice


async def test_dead_letters_that_wait_and_a_dead_letter_queue_that_is_gone(aws: Aws, url: str) -> None:
    dead = aws.sqs.get_queue_url(QueueName="lanner-dead")["QueueUrl"]
    aws.send(dead, "x")
    found = await look()
    assert found["dead letters"].state is State.WARNING
    assert f"receive-message --queue-url {dead}" in found["dead letters"].advice
    aws.sqs.delete_queue(QueueUrl=dead)
    assert (await look())["dead letters"].state is State.FAILED


async def test_a_message_that_means_nothing(aws: Aws, url: str) -> None:
    empty(aws, url)
    aws.send(url, "hello")
    found = await look()
    assert found["message"].state is State.FAILED
    assert "not-json" in found["message"].text
    assert aws.visible(url) == 1


async def test_a_bucket_that_announces_to_nobody(aws: Aws, url: str) -> None:
    aws.s3.put_bucket_notification_configuration(Bucket=BUCKET, NotificationConfiguration={})
    found = await look()
    assert found["notification"].state is State.WARNING
    assert "s3:ObjectCreated:*" in found["notification"].advice


async def test_a_bucket_that_announces_to_a_topic(aws: Aws, url: str) -> None:
    arn = aws.client("sns").create_topic(Name="trail")["TopicArn"]
    topics = [{"TopicArn": arn, "Events": ["s3:ObjectCreated:*"]}]
    aws.s3.put_bucket_notification_configuration(
        Bucket=BUCKET, NotificationConfiguration={"TopicConfigurations": topics}
    )
    found = await look()
    assert found["notification"].state is State.OK
    assert arn in found["notification"].text


async def test_a_bucket_that_announces_to_eventbridge(aws: Aws, door: Proxy, url: str) -> None:
    text = (  # moto keeps this setting and does not tell it
        "<NotificationConfiguration xmlns='http://s3.amazonaws.com/doc/2006-03-01/'><EventBridgeConfiguration/>"
        "</NotificationConfiguration>"
    )
    door.fault = lambda seen: web.Response(text=text) if "notification" in seen.query else None
    found = await look(endpoint_url=door.url)
    assert found["notification"].state is State.OK
    assert "does a rule send them" in found["notification"].text


async def test_a_trail_that_was_stopped(aws: Aws, url: str) -> None:
    aws.client("cloudtrail").stop_logging(Name="acme-trail")
    found = await look()
    assert found["trail"].state is State.FAILED
    assert "start-logging" in found["trail"].advice


async def test_a_bucket_without_new_files_and_one_without_any(aws: Aws, url: str) -> None:
    empty(aws, url)
    aws.s3.delete_object(Bucket=BUCKET, Key=trail_key("a", TODAY))
    aws.put(trail_key("old", "2026/01/02"), [trail_record(1)])
    found = await look()
    assert found["bucket"].state is State.WARNING
    assert "no file since yesterday" in found["bucket"].text

    aws.s3.delete_object(Bucket=BUCKET, Key=trail_key("old", "2026/01/02"))
    found = await look()
    assert found["bucket"].state is State.FAILED
    assert "holds no trail files" in found["bucket"].text


async def test_a_bucket_that_is_not_there(aws: Aws, url: str) -> None:
    found = await look(bucket="acme-other")
    assert found["bucket"].state is State.FAILED
    assert "acme-other is not there" in found["bucket"].text


def denied(action: str, code: str = "AccessDenied") -> Any:
    def fault(seen: Seen) -> web.Response | None:
        if seen.action == action:
            return sqs_error(code, 403)
        return None

    return fault


@pytest.mark.parametrize(
    ("action", "check", "permission"),
    [
        ("GetQueueUrl", "queue", "sqs:GetQueueUrl"),
        ("ReceiveMessage", "receive", "sqs:ReceiveMessage"),
        ("ChangeMessageVisibilityBatch", "visibility", "sqs:ChangeMessageVisibility"),
        ("DeleteMessageBatch", "delete", "sqs:DeleteMessage"),
    ],
)
async def test_a_permission_on_the_queue_that_is_missing(
    aws: Aws, door: Proxy, url: str, action: str, check: str, permission: str
) -> None:
    door.fault = denied(action)
    found = await look(endpoint_url=door.url)
    assert problems(found) == {check: "failed"}
    assert permission in found[check].advice


async def test_attributes_that_may_not_be_read_are_no_failure(aws: Aws, door: Proxy, url: str) -> None:
    door.fault = denied("GetQueueAttributes")
    found = await look(endpoint_url=door.url)
    assert found["queue"].state is State.WARNING
    assert found["receive"].state is State.OK
    assert found["file"].state is State.OK


KMS = "User is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:eu-west-1:111122223333:key/k"


@pytest.mark.parametrize(
    ("message", "permission"), [("Access Denied", "s3:GetObject on arn:aws:s3:::acme-trail/*"), (KMS, "kms:Decrypt")]
)
async def test_a_file_that_may_not_be_read(aws: Aws, door: Proxy, url: str, message: str, permission: str) -> None:
    def fault(seen: Seen) -> web.Response | None:
        is_object = seen.action == "GET" and "AWSLogs" in seen.path
        return s3_error("AccessDenied", 403, message) if is_object else None

    door.fault = fault
    found = await look(endpoint_url=door.url)
    assert problems(found) == {"file": "failed"}
    assert found["file"].advice.startswith(f"allow {permission}")


async def test_a_file_that_is_damaged_and_one_that_is_gone(aws: Aws, url: str) -> None:
    key = aws.put(trail_key("a", TODAY), b"\x1f\x8b broken")
    assert (await look())["file"].state is State.FAILED
    empty(aws, url)
    aws.announce(url, key)
    aws.s3.delete_object(Bucket=BUCKET, Key=key)
    found = await look()
    assert found["file"].state is State.WARNING
    assert "lifecycle" in found["file"].advice


async def test_a_file_whose_key_is_not_looked_at(aws: Aws, url: str) -> None:
    empty(aws, url)
    aws.announce(url, aws.put("copies/trail.json.gz", [trail_record(1)]))
    empty(aws, url)
    aws.announce(url, "copies/trail.json.gz")
    found = await look()
    assert found["file"].state is State.FAILED
    assert "include_keys" in found["file"].advice
    assert (await look(objects=ObjectOptions(include_keys=(".*",))))["file"].state is State.OK


@contextmanager
def enforced(aws: Aws, *allowed: str) -> Iterator[dict[str, str]]:
    """Let AWS refuse what a user is not allowed; yield the user's keys as an environment."""
    iam = aws.client("iam")
    iam.create_user(UserName="lanner")
    statement = {"Effect": "Allow", "Action": list(allowed), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="lanner", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="lanner")["AccessKey"]

    def after(number: str) -> None:
        request = urllib.request.Request(
            f"{aws.url}/moto-api/reset-auth", number.encode(), {"Content-Type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(request).close()

    after("0")
    try:
        yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    finally:
        after("inf")


async def test_the_permissions_of_the_service_are_enough_for_a_clean_bill(
    aws: Aws, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqs = [f"sqs:{name}" for name in ("GetQueueUrl", "GetQueueAttributes", "ReceiveMessage", "DeleteMessage")]
    actions = [*sqs, "sqs:ChangeMessageVisibility", "sqs:ChangeMessageVisibilityBatch", "sqs:DeleteMessageBatch"]
    with enforced(aws, *actions, "s3:GetObject", "s3:ListBucket", "s3:ListObjectsV2") as keys:
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        found = await look()
    assert problems(found) == {"notification": "skipped", "trail": "skipped"}
    assert found["file"].state is State.OK


async def test_a_user_without_rights_is_told_which_are_missing(
    aws: Aws, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with enforced(aws, "sqs:GetQueueUrl") as keys:
        for name, value in keys.items():
            monkeypatch.setenv(name, value)
        found = await look(bucket=BUCKET)
    assert found["credentials"].state is State.OK
    assert found["receive"].state is State.FAILED
    assert "s3:ListBucket" in found["bucket"].advice
