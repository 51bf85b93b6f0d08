"""
A look at a whole set-up, from the credentials to one file: what fails, why, and what to do about it.

It makes the calls that the consumer makes, and a few more where they are allowed. Nothing is deleted; one message is
received and given back, which counts as one receive of it.
"""

import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from ingest.cloudtrail import aws
from ingest.cloudtrail.aws import Clients, Fault
from ingest.cloudtrail.bucketcheck import BucketCheck
from ingest.cloudtrail.findings import Finding, failed, ok, warning
from ingest.cloudtrail.options import SqsOptions
from ingest.cloudtrail.queue import parse_address
from ingest.cloudtrail.queuecheck import QueueCheck

_SKEW_REFUSED = 300  # seconds after which AWS refuses signatures
_SKEW_WARNED = 60
_EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "RequestExpired")


async def examine(options: SqsOptions, bucket: str = "") -> AsyncIterator[Finding]:
    """
    Look at everything between the credentials and the first file.

    Args:
        options: Of the source that is to work.
        bucket: Where the trail is delivered; "" to tell it by the queue's messages and policy.

    Raises:
        SourceError: The queue's address makes no sense.
    """
    address = parse_address(options.queue)
    async with Clients(options.aws, address.region, 8) as clients:
        async for finding in _identity(clients):
            yield finding
            if finding.check == "credentials" and finding.state == "failed":
                return
        yield _region(clients, address.region)
        queue = QueueCheck(clients, options, address)
        async for finding in queue.findings():
            yield finding
        if not queue.found:
            return
        buckets = BucketCheck(clients, options, queue.arn, queue.refs)
        for name in [bucket] if bucket else sorted(queue.buckets):
            async for finding in buckets.findings(name):
                yield finding
        if not bucket and not queue.buckets:
            yield warning(
                "bucket", "neither a message nor the queue's policy names a bucket", "name it with --bucket to check it"
            )


async def _identity(clients: Clients) -> AsyncIterator[Finding]:
    """Tell who calls, and how far our clock is from AWS's."""
    finding: Finding
    headers: dict[str, str] = {}
    try:
        answer = await (await clients.other("sts")).get_caller_identity()
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        finding = ok("credentials", f"{answer['Arn']} in account {answer['Account']}")
    except aws.call_errors() as error:
        headers = _headers(error)
        finding = _no_identity(error)
    skew = _skew(headers.get("date", ""))
    if skew is not None:
        yield _clock(skew)
    yield finding


def _headers(error: BaseException) -> dict[str, str]:
    response: dict[str, Any] = getattr(error, "response", {})
    headers: dict[str, str] = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return headers


def _no_identity(error: BaseException) -> Finding:
    text = aws.describe(error)
    if aws.fault_of(error) is not Fault.ACCESS:
        return warning("credentials", f"who they are of cannot be told: {text}", "is AWS STS reachable from here?")
    if aws.code_of(error) in _EXPIRED:
        return failed("credentials", f"they have expired: {text}", "sign in again, or give a role instead of keys")
    if not aws.code_of(error):
        advice = "give some: AWS_PROFILE or aws.profile, AWS_ACCESS_KEY_ID, or a role of the machine or task"
        return failed("credentials", f"there are none: {text}", advice)
    return failed("credentials", f"AWS does not accept them: {text}", "check the keys, the clock, and aws.profile")


def _skew(date: str) -> float | None:
    """Return by how many seconds our clock is ahead of AWS's; None when it does not tell."""
    with contextlib.suppress(ValueError, TypeError):
        return (datetime.now(UTC) - parsedate_to_datetime(date)).total_seconds()
    return None


def _clock(skew: float) -> Finding:
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} AWS"
    if abs(skew) >= _SKEW_REFUSED:
        return failed("clock", text, "set the clock (chrony, systemd-timesyncd): AWS refuses requests 5 minutes off")
    if abs(skew) >= _SKEW_WARNED:
        return warning("clock", text, "let the machine's clock be set (chrony): AWS refuses requests 5 minutes off")
    return ok("clock", "within a minute of AWS")


def _region(clients: Clients, queues: str) -> Finding:
    if not clients.region:
        advice = "set aws.region or AWS_REGION, or give the queue's ARN or URL"
        return failed("region", "no region is known", advice)
    if queues and queues != clients.region:
        advice = f"leave aws.region away, or set it to {queues}"
        return failed("region", f"the queue is in {queues}, but aws.region says {clients.region}", advice)
    return ok("region", clients.region)


def summary(findings: list[Finding]) -> str:
    """Return one line about all findings."""
    counts = Counter(finding.state for finding in findings)
    return ", ".join(f"{number} {state}" for state, number in counts.items())
