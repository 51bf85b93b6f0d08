"""AWS sessions and clients, and what errors of their calls mean; the SDK, slow to load, is imported on first use."""

import asyncio
import contextlib
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import TracebackType
from typing import Any

from ingest.cloudtrail.options import AwsOptions

_CONNECT_TIMEOUT = 10
_READ_TIMEOUT = 60  # must exceed the longest long poll of 20 s
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
    Fault.ACCESS: (
        "AccessDenied AccessDeniedException AllAccessDisabled InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken "
        "ExpiredTokenException TokenRefreshRequired InvalidToken InvalidClientTokenId UnrecognizedClientException "
        "AuthFailure OptInRequired KMS.DisabledException KMS.AccessDeniedException KMS.NotFoundException "
        "KMS.InvalidStateException KmsDisabled KmsAccessDenied KmsNotFound KmsInvalidState KmsOptInRequired "
        "InvalidSecurity 403 RequestTimeTooSkewed"
    ),
    Fault.MISSING: "NoSuchKey NoSuchBucket NoSuchVersion 404",
    Fault.NO_QUEUE: "AWS.SimpleQueueService.NonExistentQueue QueueDoesNotExist InvalidAddress",
    Fault.LEASE: (
        "ReceiptHandleIsInvalid MessageNotInflight AWS.SimpleQueueService.MessageNotInflight InvalidParameterValue"
    ),
    Fault.FULL: "OverLimit",
}
_FAULT_OF_CODE = {code: fault for fault, codes in _FAULTS.items() for code in codes.split()}


def fault_of(error: BaseException) -> Fault:
    """Say what a failed call means."""
    return fault_of_code(code_of(error)) if code_of(error) else _fault_of_sdk(error)


def fault_of_code(code: str) -> Fault:
    """Say what an AWS error code means."""
    return _FAULT_OF_CODE.get(code, Fault.RETRY)


def code_of(error: BaseException) -> str:
    """Read the AWS error code of an exception, "" if it has none (connection errors)."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", ""))


def _fault_of_sdk(error: BaseException) -> Fault:
    """Judge errors that the SDK raises before or without an answer."""
    from botocore import exceptions as sdk

    credentials = (sdk.NoCredentialsError, sdk.PartialCredentialsError, sdk.CredentialRetrievalError)
    tokens = (sdk.TokenRetrievalError, sdk.SSOError, sdk.ProfileNotFound)
    return Fault.ACCESS if isinstance(error, credentials + tokens) else Fault.RETRY


def call_errors() -> tuple[type[Exception], ...]:
    """List what a call to AWS may raise: the SDK's errors, and the transport's that the SDK does not wrap."""
    from aiohttp import ClientError as TransportError
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    return (ClientError, BotoCoreError, ResponseParserError, TransportError, TimeoutError, OSError)


def describe(error: BaseException) -> str:
    """One line about a failed call, without its request."""
    text = " ".join(str(error).split())
    return f"{text[:300]}" if code_of(error) else f"{type(error).__name__}: {text[:300]}"


@dataclass(slots=True)
class _RoleProvider:
    """Gives a session the credentials of an assumed role, refreshed as they expire."""

    session: Any
    options: AwsOptions
    region: str

    async def load_credentials(self) -> Any:
        from aiobotocore.credentials import AioAssumeRoleCredentialFetcher, AioDeferredRefreshableCredentials

        extra = {"RoleSessionName": "lanner"}
        if self.options.external_id:
            extra["ExternalId"] = self.options.external_id
        fetcher = AioAssumeRoleCredentialFetcher(
            self._client, await self._source(), self.options.assume_role_arn, extra_args=extra
        )
        return AioDeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")

    async def _source(self) -> Any:
        from botocore.exceptions import NoCredentialsError

        credentials = await self.session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        return credentials

    def _client(self, service: str, **keys: Any) -> Any:
        return self.session.create_client(
            service, region_name=self.region or "us-east-1", endpoint_url=self.options.endpoint_url or None, **keys
        )


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
        if options.assume_role_arn:
            provider = _RoleProvider(_session(options), options, self.region)
            self._session.register_component("credential_provider", provider)

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

    async def _get(self, service: str, role: str = "", region: str = "") -> Any:
        async with self._making:
            self.region = self.region or self._session.get_config_variable("region") or ""
            region = region or self.region or ("us-east-1" if service == "s3" else "")
            key = (service, role, region)
            if key not in self._clients:
                self._clients[key] = await self._exits.enter_async_context(self._create(service, region))
        return self._clients[key]

    def _create(self, service: str, region: str) -> Any:
        from aiobotocore.config import AioConfig

        config = AioConfig(
            retries={"mode": "standard", "total_max_attempts": self._options.attempts},
            max_pool_connections=self._pool,
            connect_timeout=_CONNECT_TIMEOUT,
            read_timeout=_READ_TIMEOUT,
            user_agent_extra="lanner",
        )
        return self._session.create_client(
            service, region_name=region or None, endpoint_url=self._options.endpoint_url or None, config=config
        )


@cache
def _models() -> Any:
    """Return the SDK's service descriptions, megabytes of JSON, read once for all sources of the process."""
    from botocore.loaders import Loader

    return Loader()


def _session(options: AwsOptions) -> Any:
    from aiobotocore.session import AioSession

    session = AioSession(profile=options.profile or None)
    session.register_component("data_loader", _models())
    if options.config:
        session.set_config_variable("config_file", options.config)
    if options.credentials:
        session.set_config_variable("credentials_file", options.credentials)
    return session
