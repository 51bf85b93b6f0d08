"""Looking at a queue: its settings, who may send to it, where dead letters go, and what a message of it means."""

import json
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any

from ingest.cloudtrail import aws
from ingest.cloudtrail.aws import Clients
from ingest.cloudtrail.findings import Finding, failed, ok, skipped, warning
from ingest.cloudtrail.messages import Ack, Bad, Inline, Item, ObjectRef, Poison, classify
from ingest.cloudtrail.options import SqsOptions
from ingest.cloudtrail.policies import listed
from ingest.cloudtrail.queue import Address, find_url, setting_warnings, start_error

_WAIT = 2  # seconds for a message
_HIDDEN = 30  # seconds that a received one stays hidden if it cannot be given back
_NOBODY = "lanner-doctor"  # a receipt handle of no message: who may delete is told that, others that they may not
_SENDERS = {
    "s3.amazonaws.com": "the bucket",
    "sns.amazonaws.com": "an SNS topic",
    "events.amazonaws.com": "an EventBridge rule",
}
_BUCKET_ARN = re.compile(r"arn:aws[a-z-]*:s3:::([a-z0-9][a-z0-9.-]+)")


class QueueCheck:
    """
    Looks at one queue.

    Attributes:
        found: Whether it is there.
        arn: Its name for policies; "" when that is not known.
        buckets: Names that its messages and its policy tell.
        refs: Objects that a message of it announces.
    """

    def __init__(self, clients: Clients, options: SqsOptions, address: Address) -> None:
        self.found = False
        self.arn = ""
        self.buckets: set[str] = set()
        self.refs: list[ObjectRef] = []
        self._clients = clients
        self._options = options
        self._address = address
        self._url = address.url
        self._name = address.name
        self._attributes: dict[str, str] = {}

    async def findings(self) -> AsyncIterator[Finding]:
        """Yield what is found, from its address to one message."""
        yield await self._open()
        if not self.found:
            return
        if self._attributes:
            for warned in setting_warnings(self._attributes, self._options):
                yield warning("queue", warned, "change the queue's settings; the Terraform module has good ones")
            yield await self._dead_letters()
            yield self._policy()
        async for finding in self._message():
            yield finding
        yield await self._delete()

    async def _open(self) -> Finding:
        try:
            self._url = self._url or await find_url(self._clients, self._address, self._options.owner_account)
            client = await self._clients.control()
            answer = await client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["All"])
        except aws.call_errors() as error:
            text = start_error(self._options.queue, self._clients.region, error)
            fault = aws.fault_of(error)
            if self._url and fault is aws.Fault.ACCESS:
                self.found = True
                return warning("queue", text, _grant("sqs:GetQueueAttributes", self._name))
            return failed("queue", text, self._advice(fault))
        self.found, self._attributes = True, answer["Attributes"]
        self.arn = self._attributes["QueueArn"]
        waiting, hidden = (self._attributes.get(f"ApproximateNumberOfMessages{of}", "?") for of in ("", "NotVisible"))
        key = self._attributes.get("KmsMasterKeyId")
        encrypted = f", encrypted with the key {key}" if key else ""
        return ok("queue", f"{self._name}: messages waiting {waiting}, in progress {hidden}{encrypted}")

    def _advice(self, fault: aws.Fault) -> str:
        if fault is aws.Fault.NO_QUEUE:
            return "name another, or make it"
        if fault is aws.Fault.ACCESS:
            return _grant("sqs:GetQueueUrl", self._name)
        return "are the region and the endpoint right, and is AWS SQS reachable from here?"

    async def _dead_letters(self) -> Finding:
        policy = _json(self._attributes.get("RedrivePolicy", ""))
        arn = str(policy.get("deadLetterTargetArn", ""))
        if not arn:
            where = self._options.dlq_url or self._options.quarantine
            if where:
                return ok("dead letters", f"no redrive policy; what cannot be used goes to {where}")
            advice = "give the queue a redrive policy, or set dlq_url or quarantine"
            return warning("dead letters", "there is no dead-letter queue", advice)
        name, owner = arn.split(":")[-1], arn.split(":")[-2]
        try:
            client = await self._clients.control()
            url = (await client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=owner))["QueueUrl"]
            answer = await client.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        except aws.call_errors() as error:
            if aws.fault_of(error) is aws.Fault.NO_QUEUE:
                return failed("dead letters", f"{name} is not there", "make it, or correct the redrive policy")
            return skipped("dead letters", f"looking at {name}", error)
        number = int(answer["Attributes"]["ApproximateNumberOfMessages"])
        if number:
            advice = f"look at them: aws sqs receive-message --queue-url {url} --message-attribute-names LannerReason"
            return warning("dead letters", f"{number} wait in {name}", advice)
        return ok("dead letters", f"{name} is empty; {policy.get('maxReceiveCount')} receives lead there")

    def _policy(self) -> Finding:
        """Tell who may send, and learn the buckets that the policy names."""
        statements = [one for one in listed(_json(self._attributes.get("Policy", "")).get("Statement")) if _sends(one)]
        self.buckets.update(bucket for one in statements for bucket in _BUCKET_ARN.findall(json.dumps(one)))
        senders = [who for service, who in _SENDERS.items() if any(service in json.dumps(one) for one in statements)]
        if senders:
            return ok("policy", f"{', '.join(senders)} may send to it")
        advice = (
            "allow sqs:SendMessage to s3.amazonaws.com (or sns, events) in the queue's policy, with the condition "
            "aws:SourceArn of the bucket (topic, rule)"
        )
        if statements:
            return warning("policy", "neither S3, SNS nor EventBridge is named in it as a sender", advice)
        return failed("policy", "nobody but the queue's own account may send to it", advice)

    async def _message(self) -> AsyncIterator[Finding]:
        """Receive a message, say what it means, and give it back."""
        client = await self._clients.poll()
        try:
            answer = await client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=1, WaitTimeSeconds=_WAIT, VisibilityTimeout=_HIDDEN
            )
        except aws.call_errors() as error:
            yield failed("receive", aws.describe(error), _grant("sqs:ReceiveMessage", self._name, key=True))
            return
        messages = answer.get("Messages", [])
        yield ok("receive", "allowed" if messages else "allowed; no message waits")
        if messages:
            yield self._explained(messages[0]["Body"])
        yield await self._visibility([message["ReceiptHandle"] for message in messages] or [_NOBODY])

    async def _visibility(self, handles: list[str]) -> Finding:
        entries = [{"Id": "0", "ReceiptHandle": handle, "VisibilityTimeout": 0} for handle in handles]
        try:
            client = await self._clients.control()
            await client.change_message_visibility_batch(QueueUrl=self._url, Entries=entries)
        except aws.call_errors() as error:
            if aws.fault_of(error) is aws.Fault.ACCESS:
                return failed("visibility", aws.describe(error), _grant("sqs:ChangeMessageVisibility", self._name))
            return skipped("visibility", "sqs:ChangeMessageVisibilityBatch", error)
        return ok("visibility", "allowed" if handles == [_NOBODY] else "allowed; the message was given back")

    def _explained(self, body: str) -> Finding:
        try:
            items = classify(body)
        except Poison as poison:
            advice = "who else sends to this queue? Such messages go to the dead letters"
            return failed("message", f"one was received and means nothing: {poison.reason}, {poison.detail}", advice)
        self.refs = [item for item in items if isinstance(item, ObjectRef)]
        self.buckets.update(ref.bucket for ref in self.refs)
        return ok("message", _meaning(items))

    async def _delete(self) -> Finding:
        """Ask for the deletion of a message that is none: the answer tells whether it would be allowed."""
        if self._options.delete == "never":
            return ok("delete", "never done, as delete: never says")
        try:
            client = await self._clients.control()
            await client.delete_message_batch(QueueUrl=self._url, Entries=[{"Id": "0", "ReceiptHandle": _NOBODY}])
        except aws.call_errors() as error:
            if aws.fault_of(error) is aws.Fault.ACCESS:
                return failed("delete", aws.describe(error), _grant("sqs:DeleteMessage", self._name))
            return skipped("delete", "sqs:DeleteMessageBatch for no message", error)
        return ok("delete", "allowed")


def _grant(action: str, name: str, key: bool = False) -> str:
    more = ", and kms:Decrypt on its key if it has one" if key else ""
    return f"allow {action} on the queue {name}{more} to these credentials, in their policy or the queue's"


def _json(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _sends(statement: Any) -> bool:
    """Whether a statement of a policy lets somebody send."""
    if not isinstance(statement, dict) or statement.get("Effect") != "Allow":
        return False
    actions = {str(action).lower() for action in listed(statement.get("Action"))}
    return not actions.isdisjoint({"*", "sqs:*", "sqs:sendmessage", "sqs:send*"})


def _meaning(items: Iterable[Item]) -> str:
    """Say in words what a message asks for."""
    parts = []
    for item in items:
        match item:
            case ObjectRef():
                parts.append(f"announces {item.uri}")
            case Inline():
                parts.append(f"holds the record {item.record.get('eventID')} ({item.record.get('eventName')})")
            case Ack():
                parts.append(f"needs nothing done ({item.reason})")
            case Bad():
                parts.append(f"has a part that cannot be used ({item.reason}: {item.detail})")
    more = f" and {len(parts) - 3} more" if len(parts) > 3 else ""
    return f"one was received: it {', '.join(parts[:3])}{more}"
