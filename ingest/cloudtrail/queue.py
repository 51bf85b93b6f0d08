"""One SQS queue: its address, and the calls that receive, extend, hide, delete and move its messages."""

import asyncio
import contextlib
import json
import logging
import re
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.base import SourceError
from ingest.cloudtrail import aws
from ingest.cloudtrail.aws import Clients, Fault
from ingest.cloudtrail.options import SqsOptions

logger = logging.getLogger("lanner.cloudtrail")

_LONGEST_LEASE = 43_200  # SQS ends a lease 12 hours after the receive, whatever is asked for
_BATCH = 10
_FIRST_LEASE = 60
_BODY_LIMIT = 1024 * 1024 - 4096  # leaves room for attributes below SQS's limit of 1 MiB
_DEPTHS = {
    "ApproximateNumberOfMessages": "queue_messages_waiting",
    "ApproximateNumberOfMessagesNotVisible": "queue_messages_in_progress",
    "ApproximateNumberOfMessagesDelayed": "queue_messages_delayed",
}
_REGION_IN_HOST = re.compile(r"(?:^|\.)sqs(?:-fips)?\.([a-z0-9-]+)\.|^([a-z0-9-]+)\.queue\.")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a queue is: a URL, or a name with the owner's account; ``region`` when the address tells it."""

    url: str = ""
    name: str = ""
    owner: str = ""
    region: str = ""


def parse_address(text: str) -> Address:
    """
    Read ``sqs://name``, ``sqs://https://host/account/name`` or ``sqs://arn:aws:sqs:region:account:name``.

    Raises:
        SourceError: It is none of these.
    """
    rest = text.removeprefix("sqs://")
    if rest.startswith(("https://", "http://")):
        host = rest.split("/")[2]
        found = _REGION_IN_HOST.search(host)
        return Address(url=rest, name=rest.rsplit("/", 1)[-1], region=(found[1] or found[2]) if found else "")
    if rest.startswith("arn:"):
        parts = rest.split(":")
        if len(parts) != 6 or parts[2] != "sqs" or not all(parts[3:]):
            raise SourceError(f"{text}: not the ARN of a queue (arn:aws:sqs:region:account:name)")
        return Address(name=parts[5], owner=parts[4], region=parts[3])
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}(\.fifo)?", rest):
        raise SourceError(f"{text}: expected sqs:// and a queue's name, URL or ARN")
    return Address(name=rest)


async def find_url(clients: Clients, address: Address, owner: str = "") -> str:
    """Return the URL of the queue of a name; raises the SDK's errors."""
    owner = address.owner or owner
    extra = {"QueueOwnerAWSAccountId": owner} if owner else {}
    client = await clients.control()
    return str((await client.get_queue_url(QueueName=address.name, **extra))["QueueUrl"])


@dataclass(eq=False, slots=True)
class Held:
    """
    A received message.

    Attributes:
        lost: The lease is over, or there is none: it must not be deleted or extended.
        sent: When it came into the queue, seconds since the Unix epoch; 0 when not told.
    """

    id: str
    handle: str
    body: str
    receive_count: int
    received: float = field(default_factory=time.monotonic)
    lost: bool = False
    sent: float = 0.0


class Queue:
    """
    The queue of one source.

    Attributes:
        redrives: Whether the queue moves messages to a dead-letter queue by itself.
        first_lease: Seconds that a message stays hidden before it is extended for the first time. Short, so that what
            a poll brings that nobody waits for any more soon comes again.
    """

    def __init__(self, clients: Clients, options: SqsOptions, address: Address, counters: Counter[str]) -> None:
        self._clients = clients
        self._options = options
        self._address = address
        self._counters = counters
        self.url = address.url
        self.redrives = False
        self.first_lease = min(options.visibility_timeout, _FIRST_LEASE)

    async def open(self) -> None:
        """Find the queue and warn about settings that lose or repeat messages; raises SourceError."""
        try:
            self.url = self.url or await find_url(self._clients, self._address, self._options.owner_account)
            attributes = await self._attributes()
        except aws.call_errors() as error:
            raise SourceError(start_error(self._options.queue, self._clients.region, error)) from error
        self.redrives = bool(attributes.get("RedrivePolicy"))
        for warning in setting_warnings(attributes, self._options):
            logger.warning("queue %s: %s", self._address.name, warning)
        waiting = attributes.get("ApproximateNumberOfMessages", "unknown")
        logger.info("queue %s is open, messages waiting: %s", self._address.name, waiting)

    async def _attributes(self) -> dict[str, str]:
        client = await self._clients.control()
        try:
            answer = await client.get_queue_attributes(QueueUrl=self.url, AttributeNames=["All"])
        except aws.call_errors() as error:
            if not aws.code_of(error).startswith("AccessDenied"):
                raise
            logger.warning("queue %s: sqs:GetQueueAttributes is denied, its settings are not checked", self.url)
            return {"RedrivePolicy": "unknown", "VisibilityTimeout": "60"}
        attributes: dict[str, str] = answer.get("Attributes", {})
        return attributes

    async def receive(self, limit: int) -> list[Held]:
        """Long-poll for up to ``limit`` messages; raises the SDK's errors."""
        client = await self._clients.poll()
        answer = await client.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=min(limit, self._options.max_messages, _BATCH),
            WaitTimeSeconds=self._options.wait,
            VisibilityTimeout=self.first_lease,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
        )
        return [_held(message) for message in answer.get("Messages", [])]

    async def depth(self) -> dict[str, float]:
        """Return how many messages it has, about; raises the SDK's errors."""
        client = await self._clients.control()
        answer = await client.get_queue_attributes(QueueUrl=self.url, AttributeNames=list(_DEPTHS))
        return {gauge: float(answer.get("Attributes", {}).get(name, 0)) for name, gauge in _DEPTHS.items()}

    async def extend(self, messages: Iterable[Held]) -> None:
        """Keep messages hidden for another visibility timeout; those no longer ours are marked lost."""
        now = time.monotonic()
        entries = []
        for held in messages:
            seconds = min(self._options.visibility_timeout, int(_LONGEST_LEASE - (now - held.received)))
            if seconds > 0:
                entries.append((held, seconds))
            else:
                self._lose(held, "12 hours are over")
        await self._change_visibility(entries)

    async def hide(self, messages: Sequence[Held], seconds: int) -> None:
        """Let messages come again after ``seconds``, 0 for at once."""
        await self._change_visibility([(held, seconds) for held in messages if not held.lost])

    async def _change_visibility(self, changes: Sequence[tuple[Held, int]]) -> None:
        for start in range(0, len(changes), _BATCH):
            part = changes[start : start + _BATCH]
            entries = [
                {"Id": str(n), "ReceiptHandle": held.handle, "VisibilityTimeout": seconds}
                for n, (held, seconds) in enumerate(part)
            ]
            try:
                client = await self._clients.control()
                answer = await client.change_message_visibility_batch(QueueUrl=self.url, Entries=entries)
            except aws.call_errors() as error:
                self._counters["visibility_errors"] += 1
                logger.warning("queue %s: visibility not changed: %s", self._address.name, aws.describe(error))
                continue
            for failed in answer.get("Failed", []):
                self._visibility_failed(part[int(failed["Id"])][0], failed)

    def _visibility_failed(self, held: Held, failed: dict[str, Any]) -> None:
        if aws.fault_of_code(failed.get("Code", "")) is Fault.LEASE:
            self._lose(held, failed.get("Message") or failed["Code"])
        else:
            self._counters["visibility_errors"] += 1

    def _lose(self, held: Held, why: str) -> None:
        if held.lost:
            return
        held.lost = True
        self._counters["lease_lost"] += 1
        logger.warning("message %s is no longer ours and will come again: %s", held.id, why)

    async def delete(self, messages: Sequence[Held]) -> dict[Held, bool]:
        """Delete up to ten messages; return those that were not, with whether another try makes sense."""
        entries = [{"Id": str(n), "ReceiptHandle": held.handle} for n, held in enumerate(messages)]
        try:
            client = await self._clients.control()
            answer = await client.delete_message_batch(QueueUrl=self.url, Entries=entries)
        except aws.call_errors() as error:
            logger.warning("queue %s: delete failed: %s", self._address.name, aws.describe(error))
            return dict.fromkeys(messages, True)
        return {messages[int(failed["Id"])]: not failed.get("SenderFault") for failed in answer.get("Failed", [])}

    async def send_to_dlq(self, held: Held, reason: str) -> bool:
        """Copy a poison message to ``dlq_url``; False when that failed."""
        attributes = {"LannerReason": {"DataType": "String", "StringValue": reason}}
        extra = {"MessageAttributes": attributes} if len(held.body.encode()) < _BODY_LIMIT else {}
        try:
            client = await self._clients.control()
            await client.send_message(QueueUrl=self._options.dlq_url, MessageBody=held.body, **extra)
        except aws.call_errors() as error:
            logger.warning("message %s could not be moved: %s", held.id, aws.describe(error))
            return False
        return True

    async def quarantine(self, held: Held, reason: str) -> bool:
        """Write a poison message into the quarantine directory; False when that failed."""
        path = Path(self._options.quarantine) / f"{re.sub(r'[^A-Za-z0-9-]', '_', held.id)}.json"
        text = json.dumps({"queue": self.url, "message_id": held.id, "reason": reason, "body": held.body})
        try:
            await asyncio.to_thread(_write, path, text)
        except OSError as error:
            logger.warning("message %s could not be written to quarantine: %s", held.id, error)
            return False
        return True


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8", errors="replace")


def _held(message: dict[str, Any]) -> Held:
    attributes = message.get("Attributes", {})
    return Held(
        id=message.get("MessageId", ""),
        handle=message["ReceiptHandle"],
        body=message.get("Body", ""),
        receive_count=int(attributes.get("ApproximateReceiveCount", 1)),
        sent=int(attributes.get("SentTimestamp", 0)) / 1000,
    )


def start_error(queue: str, region: str, error: BaseException) -> str:
    """Say why a queue cannot be opened."""
    where = f"{queue} in region {region or '(none)'}"
    fault = aws.fault_of(error)
    if fault is Fault.NO_QUEUE:
        return f"{where}: no such queue; is the region right, and owner_account if another account owns it?"
    if fault is Fault.ACCESS:
        return f"{where}: access denied: {aws.describe(error)}; check the credentials and sqs:GetQueueUrl"
    if type(error).__name__ == "NoRegionError":
        return f"{queue}: no region is known; set aws.region or AWS_REGION, or give the queue's ARN"
    return f"{where}: {aws.describe(error)}"


def setting_warnings(attributes: dict[str, str], options: SqsOptions) -> list[str]:
    """Return what in a queue's settings loses or repeats messages."""
    warnings = []
    policy = attributes.get("RedrivePolicy", "")
    if not policy and not options.dlq_url and not options.quarantine:
        warnings.append(f"no redrive policy; unreadable messages are dropped after {options.poison_attempts} receives")
    if _number(attributes, "VisibilityTimeout", 60) < 60:
        warnings.append("its visibility timeout is below 60 s; other consumers would see messages twice")
    if _number(attributes, "MessageRetentionPeriod", 345_600) < 345_600:
        warnings.append("it keeps messages for less than 4 days; a longer outage loses events")
    if attributes.get("FifoQueue") == "true":
        warnings.append("it is a FIFO queue; ordering gains nothing here and costs throughput")
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        if int(json.loads(policy).get("maxReceiveCount", 3)) < 3:
            warnings.append("maxReceiveCount is below 3; short outages send messages to the dead-letter queue")
    return warnings


def _number(attributes: dict[str, str], name: str, default: int) -> int:
    text = attributes.get(name, "")
    return int(text) if text.isdigit() else default
