"""The AWS clients of a source, and what errors of their calls mean."""

import asyncio
import contextlib
import re
from enum import Enum
from types import TracebackType
from typing import Any

from ingest.aws.options import AwsOptions
from ingest.aws.session import ACCESS_CODES, call_errors, code_of, create_client, describe, lacks_credentials, take_role
from ingest.aws.session import new_session as _session

__all__ = ["Clients", "Fault", "call_errors", "code_of", "describe", "fault_of", "fault_of_code"]

_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+){1,3}-\d")


class Fault(Enum):
    """What a failed call to AWS means for the caller."""

    ACCESS = "access"
    """Permissions, keys or credentials: waiting for a person."""
    MISSING = "missing"
    """The object or bucket is not there."""
    NO_QUEUE = "no-queue"
    """The queue is not there, in this region and account."""
    LEASE = "lease"
    """The message is no longer ours."""
    FULL = "full"
    """Too many messages are in flight."""
    TOO_LARGE = "too-large"
    """The object is larger than is read."""
    RETRY = "retry"
    """Throttling, server faults, broken connections, and whatever is not known."""


_FAULTS = {
    Fault.MISSING: "NoSuchKey NoSuchBucket NoSuchVersion 404",
    Fault.NO_QUEUE: "AWS.SimpleQueueService.NonExistentQueue QueueDoesNotExist InvalidAddress",
    Fault.LEASE: (
        "ReceiptHandleIsInvalid MessageNotInflight AWS.SimpleQueueService.MessageNotInflight InvalidParameterValue"
    ),
    Fault.FULL: "OverLimit",
}
_FAULT_OF_CODE = dict.fromkeys(ACCESS_CODES, Fault.ACCESS) | {
    code: fault for fault, codes in _FAULTS.items() for code in codes.split()
}


def fault_of(error: BaseException) -> Fault:
    """Say what a failed call means."""
    if code := code_of(error):
        return fault_of_code(code)
    return Fault.ACCESS if lacks_credentials(error) else Fault.RETRY


def fault_of_code(code: str) -> Fault:
    """Say what an AWS error code means."""
    return _FAULT_OF_CODE.get(code, Fault.RETRY)


class Clients:
    """
    The clients of one source, made on first use and closed together.

    Polling, queue control and S3 have clients of their own, so that long polls and downloads never hold up a
    heartbeat; S3 has one per region of a bucket.

    Args:
        region: Used when neither the options nor the SDK's configuration name one, such as the queue URL's.
        pool: Connections per client.
    """

    def __init__(self, options: AwsOptions, region: str = "", pool: int = 48) -> None:
        self._options = options
        self._session = _session(options)
        self.region = options.region or region
        self._pool = pool
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._making = asyncio.Lock()
        self._exits = contextlib.AsyncExitStack()
        take_role(self._session, options, self.region)

    async def __aenter__(self) -> "Clients":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every client."""
        self._clients.clear()
        await self._exits.aclose()

    async def poll(self) -> Any:
        """Give the SQS client for long polls only."""
        return await self._get("sqs", "poll")

    async def control(self) -> Any:
        """Give the SQS client for deletes, visibility and attributes."""
        return await self._get("sqs", "control")

    async def s3(self, region: str = "") -> Any:
        """Give the S3 client of a region; a bucket elsewhere is followed there by the SDK, which remembers it."""
        return await self._get("s3", region=region if _REGION.fullmatch(region) else "")

    async def other(self, service: str) -> Any:
        """Give the client of a service that the sources themselves do without."""
        return await self._get(service)

    async def _get(self, service: str, role: str = "", region: str = "") -> Any:
        async with self._making:
            self.region = self.region or self._session.get_config_variable("region") or ""
            region = region or self.region or ("us-east-1" if service in ("s3", "sts") else "")
            key = (service, role, region)
            if key not in self._clients:
                self._clients[key] = await self._exits.enter_async_context(self._create(service, region))
        return self._clients[key]

    def _create(self, service: str, region: str) -> Any:
        return create_client(self._session, service, self._options, region, self._pool)
