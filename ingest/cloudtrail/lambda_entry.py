"""CloudTrail in an AWS Lambda function: invoked by an SQS mapping, or by S3, SNS, EventBridge, Logs or Kinesis."""

import asyncio
import json
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from engine.event import Event
from ingest.cloudtrail.aws import Clients
from ingest.cloudtrail.breaker import Breaker
from ingest.cloudtrail.intake import Fate, Intake, Outcome, worst
from ingest.cloudtrail.options import AwsOptions, DedupOptions, ObjectOptions

logger = logging.getLogger("lanner.cloudtrail")

Process = Callable[[Sequence[Event]], None]
Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

_MARGIN = 3.0
"""Seconds before the function's time is over at which what is not done is reported as failed."""
_LONGEST = 900.0
_MISSING_RECEIVES = 2


class InvocationError(Exception):
    """What the invocation brought could not all be processed; Lambda invokes again or gives it to its destination."""


def make_handler(
    process: Process,
    aws: AwsOptions | None = None,
    objects: ObjectOptions | None = None,
    dedup: DedupOptions | None = None,
    counters: Counter[str] | None = None,
) -> Handler:
    """
    Make the function that Lambda calls.

    For an SQS mapping it answers which messages failed (the mapping must have ``ReportBatchItemFailures``); for any
    other invocation it raises InvocationError. Clients and the memory of repeats live as long as the environment.

    Args:
        process: Evaluates events and returns when their alerts are in custody; raises when they are not.
        aws: How AWS is reached; by default as the function's environment says.
        objects: How objects are read; the memory budget has to fit the function's memory.
        dedup: How repeats are recognised, which an environment does for as long as it lives.
        counters: Gets the same counts as an SQS source.
    """
    runner = asyncio.Runner()
    function = _Function(process, aws or AwsOptions(), objects, dedup, counters)

    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        return runner.run(function.invoke(event, _time_left(context)))

    return handler


def _time_left(context: Any) -> float:
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    return max(0.0, remaining() / 1000 - _MARGIN) if remaining else _LONGEST


class _Function:
    """What stays between invocations."""

    def __init__(
        self,
        process: Process,
        aws: AwsOptions,
        objects: ObjectOptions | None,
        dedup: DedupOptions | None,
        counters: Counter[str] | None,
    ) -> None:
        self._process = process
        self._aws = aws
        self._objects = objects or ObjectOptions()
        self._dedup = dedup or DedupOptions()
        self._counters = counters if counters is not None else Counter()
        self._intake: Intake | None = None

    def _open(self) -> Intake:
        """Make clients and memory on the first invocation, when the event loop runs."""
        if self._intake is None:
            clients = Clients(self._aws, "", self._objects.concurrency + 8)
            never = Breaker(failures=sys.maxsize)  # Lambda polls by itself, so there is nothing to pause
            self._intake = Intake(clients, self._objects, self._dedup, self._counters, never)
        return self._intake

    async def invoke(self, event: dict[str, Any], time_left: float) -> dict[str, Any]:
        """Process an invocation and return the answer to it."""
        intake = self._open()
        consumer = asyncio.create_task(self._consume(intake))
        try:
            if _from_sqs(event):
                return await self._messages(intake, event["Records"], time_left)
            return await self._whole(intake, event, time_left)
        finally:
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)

    async def _consume(self, intake: Intake) -> None:
        """Evaluate batches as they come."""
        async for batch in intake.deliveries.batches():
            try:
                self._process(batch.events)
            except Exception as error:  # whatever it is, it costs this batch alone
                logger.error("a batch of %d events was not processed: %s", len(batch.events), error)
                await batch.nack(str(error))
            else:
                await batch.ack()

    async def _messages(self, intake: Intake, records: Sequence[dict[str, Any]], time_left: float) -> dict[str, Any]:
        works = [self._message(intake, record) for record in records]
        outcomes = await _within(time_left, works)
        failed = []
        for record, outcome in zip(records, outcomes, strict=True):
            self._counters["messages:received"] += 1
            if outcome.fate is not Fate.DONE:
                self._counters["messages:failed"] += 1
                logger.warning("message %s: %s: %s", record.get("messageId"), outcome.reason, outcome.detail)
                failed.append({"itemIdentifier": record.get("messageId", "")})
        return {"batchItemFailures": failed}

    async def _message(self, intake: Intake, record: dict[str, Any]) -> Outcome:
        outcome = await _settled(intake, str(record.get("body", "")), f"sqs:{record.get('messageId', '')}")
        if outcome.fate is Fate.MISSING and _receive_count(record) >= _MISSING_RECEIVES:
            self._counters["objects:missing"] += 1
            logger.warning("message %s: given up, the object is gone: %s", record.get("messageId"), outcome.detail)
            return Outcome()
        return outcome

    async def _whole(self, intake: Intake, event: dict[str, Any], time_left: float) -> dict[str, Any]:
        (outcome,) = await _within(time_left, [_settled(intake, json.dumps(event), "lambda")])
        if outcome.fate is not Fate.DONE:
            raise InvocationError(f"{outcome.reason}: {outcome.detail}")
        return {}


async def _settled(intake: Intake, body: str, origin: str) -> Outcome:
    parts = await intake.message(body, origin)
    return worst(await asyncio.gather(*(part.settle() for part in parts)))


async def _within(seconds: float, works: Sequence[Awaitable[Outcome]]) -> list[Outcome]:
    """Return the outcomes in order; what is not done in time, or fails by itself, is to be tried again."""
    tasks = [asyncio.ensure_future(work) for work in works]
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    return [result if isinstance(result, Outcome) else _failure(result) for result in results]


def _failure(error: BaseException) -> Outcome:
    if isinstance(error, asyncio.CancelledError):
        return Outcome(Fate.RETRY, "out-of-time", "the function's time is nearly over")
    return Outcome(Fate.RETRY, "internal-error", f"{type(error).__name__}: {error}")


def _from_sqs(event: Any) -> bool:
    records = event.get("Records") if isinstance(event, dict) else None
    return isinstance(records, list) and all(isinstance(r, dict) and r.get("eventSource") == "aws:sqs" for r in records)


def _receive_count(record: dict[str, Any]) -> int:
    attributes = record.get("attributes")
    count = attributes.get("ApproximateReceiveCount", "1") if isinstance(attributes, dict) else "1"
    return int(count) if str(count).isdigit() else 1
