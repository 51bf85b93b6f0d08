"""The consumer's policy holds the calls it makes, each on what it makes it, and nothing else."""

import asyncio
import contextlib
import gzip
import importlib.util
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest

pytest.importorskip("hcl2", reason="python-hcl2 is not installed")

from ingest.base import Source
from ingest.cloudtrail import aws
from ingest.cloudtrail.backfill import S3Source
from ingest.cloudtrail.options import AwsOptions, S3Options, SqsOptions
from ingest.cloudtrail.sqs import SqsSource
from tests.infra.module import parse, statements, strings
from tests.infra.policies import actions, allows

if TYPE_CHECKING:  # needs grpcio
    from tests.infra.terraform import State

REGION, ACCOUNT = "eu-west-1", "123456789012"
BUCKET = f"lanner-{ACCOUNT}-{REGION}"
FOLDER = f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/01/02"
RULES = "acme-rules"
EVERYTHING = {
    "queue_encryption": "kms",
    "rules_source": {"bundled": [], "s3_uri": f"s3://{RULES}/lanner/", "ssm_path": "/security/rules"},
}

_PERMISSION_OF = {
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "s3:ListObjectsV2": "s3:ListBucket",
}
_ON_BEHALF = {
    # What S3 and SQS do with a key in the name of who calls them.
    "s3:GetObject": {"kms:Decrypt"},
    "sqs:SendMessage": {"kms:Decrypt", "kms:GenerateDataKey"},
}


@dataclass
class Calls:
    """The calls that were made: the permission each needs, on which ARN, with which condition keys."""

    made: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def watch(self, events: Any) -> None:
        """Take part in the events of a session or of its clients to come."""
        events.register("before-parameter-build", self._remember)
        events.register("before-call", self._take)

    def _remember(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["given"] = dict(params)

    def _take(self, model: Any, context: dict[str, Any], **_: Any) -> None:
        name = f"{model.service_model.service_name}:{model.name}"
        given = context["given"]
        keys = {"s3:prefix": given["Prefix"]} if "Prefix" in given else {}
        self.made.append((_PERMISSION_OF.get(name, name), _arn(given), keys))

    def permissions(self, keys: bool) -> set[str]:
        """Return the permissions needed, those on keys included if things are encrypted with keys."""
        names = {name for name, _, _ in self.made}
        return names.union(*(_ON_BEHALF.get(name, set()) for name in names)) if keys else names


def _arn(given: dict[str, Any]) -> str:
    if "QueueUrl" in given:
        return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{given['QueueUrl'].rpartition('/')[2]}"
    if "Bucket" in given:
        return f"arn:aws:s3:::{given['Bucket']}" + (f"/{given['Key']}" if "Key" in given else "")
    return f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter{given['Path']}"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The calls of every session that Lanner and lanner-fetch make from now on."""
    calls, session_of = Calls(), aws._session

    def watched(options: AwsOptions) -> Any:
        session = session_of(options)
        calls.watch(session)
        return session

    monkeypatch.setattr(aws, "_session", watched)
    session = boto3.Session(region_name=REGION)
    calls.watch(session.events)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
    return calls


def put(s3: Any, name: str) -> dict[str, Any]:
    """Store a trail file; return the message that announces it."""
    record = {"eventVersion": "1.11", "eventID": name, "eventTime": "2026-01-02T03:04:05Z", "eventName": "CreateUser"}
    s3.put_object(Bucket=BUCKET, Key=f"{FOLDER}/{name}", Body=gzip.compress(json.dumps({"Records": [record]}).encode()))
    return announce(name)


def announce(name: str) -> dict[str, Any]:
    return {"s3Bucket": BUCKET, "s3ObjectKey": [f"{FOLDER}/{name}"]}


@contextlib.asynccontextmanager
async def consumed(source: Source) -> AsyncIterator[list[str]]:
    """Run a source and settle what it brings."""
    ids: list[str] = []

    async def settle() -> None:
        async for batch in source.batches():
            ids.extend(event.record["eventID"] for event in batch.events)
            await batch.ack()

    await source.start()
    task = asyncio.create_task(settle())
    try:
        yield ids
    finally:
        await source.stop(5)
        await asyncio.wait_for(task, 5)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - nothing tells of these
            await asyncio.sleep(0.05)


async def consume_everything(url: str, folder: Path) -> None:
    """
    Fetch configuration and rules, then drain a queue that holds a file, a missing file and nonsense, and the bucket.

    The queue is named by its URL, as the module's configuration does.
    """
    arranging = boto3.session.Session(region_name=REGION)  # not watched
    s3, sqs, ssm = (arranging.client(service, endpoint_url=url) for service in ("s3", "sqs", "ssm"))
    for bucket in (BUCKET, RULES):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_object(Bucket=RULES, Key="lanner/ours.yaml", Body=b"[]")
    ssm.put_parameter(Name="/lanner/lanner/lanner.yaml", Value="{}", Type="String")
    ssm.put_parameter(Name="/security/rules/theirs.yaml", Value="[]", Type="String")
    sources = ("ssm:/lanner/lanner", "ssm:/security/rules", f"s3://{RULES}/lanner/")
    fetch_script().fetch([f"{source}={folder}" for source in sources])
    dead = sqs.create_queue(QueueName="lanner-dead-letters")["QueueUrl"]
    queue = sqs.create_queue(QueueName="lanner")["QueueUrl"]
    for message in (put(s3, "here.json.gz"), announce("gone.json.gz"), {"non": "sense"}):
        sqs.send_message(QueueUrl=queue, MessageBody=json.dumps(message))
    options = SqsOptions(f"sqs://{queue}", wait=0, visibility_timeout=2, retry_backoff=(0,), dlq_url=dead)
    source = SqsSource(options)
    async with consumed(source) as ids:
        await until(lambda: source.counters["messages:deleted"] == 3)
    assert ids == ["here.json.gz"]
    async with consumed(S3Source(S3Options(f"s3://{BUCKET}/AWSLogs/"))) as ids:
        await until(lambda: ids == ["here.json.gz"])


def fetch_script() -> Any:
    path = Path(__file__).resolve().parents[2] / "infra" / "docker" / "fetch.py"
    spec = importlib.util.spec_from_file_location("fetch", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def test_the_source_of_the_policy_grants_what_is_called(calls: Calls, aws_url: str, tmp_path: Path) -> None:
    await consume_everything(aws_url, tmp_path)
    granted = statements(parse().data["data.aws_iam_policy_document.consumer"])
    for_service = [found for condition, found in granted.values() if not re.search(r"lambda\w* \? \[1\]", condition)]
    assert set().union(*for_service) == calls.permissions(keys=True)


def test_the_configuration_names_the_queue_by_its_url() -> None:
    assert any('queue = "sqs://${local.queue_url}"' in part for part in strings(parse().locals["configuration"]))


async def test_the_policy_allows_every_call_where_it_is_made_and_no_other(
    calls: Calls, apply: "Callable[..., State]", aws_url: str, tmp_path: Path
) -> None:
    policy = apply(**EVERYTHING).output("consumer_policy")
    await consume_everything(aws_url, tmp_path)
    for action, resource, keys in calls.made:
        assert allows(policy, action, resource, **keys), f"{action} on {resource} {keys}"
    assert actions(policy) == calls.permissions(keys=True)


def test_the_policy_ends_at_the_trails_files(apply: "Callable[..., State]") -> None:
    policy, bucket = apply(**EVERYTHING).output("consumer_policy"), f"arn:aws:s3:::{BUCKET}"
    assert not allows(policy, "s3:GetObject", f"{bucket}/other/file")
    assert not allows(policy, "s3:GetObject", f"arn:aws:s3:::{RULES}/other")
    assert not allows(policy, "s3:ListBucket", bucket, **{"s3:prefix": "other/"})
    assert allows(policy, "s3:ListBucket", bucket)  # of which GetObject on a missing file makes a 404 instead of a 403
    assert not allows(policy, "sqs:SendMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:lanner")
    assert not allows(policy, "sqs:ReceiveMessage", f"arn:aws:sqs:{REGION}:{ACCOUNT}:lanner-dead-letters")
    assert not allows(policy, "ssm:GetParametersByPath", f"arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/other")


def test_without_keys_and_own_rules_nothing_is_granted_for_them(apply: "Callable[..., State]") -> None:
    policy = apply(create_kms_key=False).output("consumer_policy")
    assert {action for action in actions(policy) if action.startswith("kms:")} == set()
    assert not allows(policy, "s3:GetObject", f"arn:aws:s3:::{RULES}/lanner/ours.yaml")


def test_a_function_may_what_lambda_needs_to_poll_for_it_and_to_log(apply: "Callable[..., State]") -> None:
    state = apply(consumer="lambda", subnet_ids=[], vpc_id=None, create_kms_key=False)
    assert actions(state.output("consumer_policy")) == {
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "s3:GetObject",
        "s3:ListBucket",
        "ssm:GetParametersByPath",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
    }
