"""Sessions, clients and errors of the AWS SDK, which is slow to load and so imported on first use."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from ingest.aws.options import AwsOptions

_CONNECT_TIMEOUT = 10
_READ_TIMEOUT = 60  # must exceed the longest long poll of 20 s

_ACCESS = (
    "AccessDenied AccessDeniedException AllAccessDisabled InvalidAccessKeyId SignatureDoesNotMatch ExpiredToken "
    "ExpiredTokenException TokenRefreshRequired InvalidToken InvalidClientTokenId UnrecognizedClientException "
    "AuthFailure OptInRequired KMS.DisabledException KMS.AccessDeniedException KMS.NotFoundException "
    "KMS.InvalidStateException KmsDisabled KmsAccessDenied KmsNotFound KmsInvalidState KmsOptInRequired "
    "InvalidSecurity 403 RequestTimeTooSkewed"
)
ACCESS_CODES = frozenset(_ACCESS.split())
"""Error codes about permissions, keys or credentials: waiting for a person."""


def code_of(error: BaseException) -> str:
    """Read the AWS error code of an exception, "" if it has none (connection errors)."""
    response = getattr(error, "response", None)
    if not isinstance(response, dict):
        return ""
    return str(response.get("Error", {}).get("Code", ""))


def lacks_credentials(error: BaseException) -> bool:
    """Whether the SDK found no credentials to make a request with."""
    from botocore import exceptions as sdk

    credentials = (sdk.NoCredentialsError, sdk.PartialCredentialsError, sdk.CredentialRetrievalError)
    tokens = (sdk.TokenRetrievalError, sdk.SSOError, sdk.ProfileNotFound)
    return isinstance(error, credentials + tokens)


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


def take_role(session: Any, options: AwsOptions, region: str) -> None:
    """Have a session act as the role of the options, if they name one."""
    if options.assume_role_arn:
        provider = _RoleProvider(new_session(options), options, region)
        session.register_component("credential_provider", provider)


@asynccontextmanager
async def create_client(
    session: Any, service: str, options: AwsOptions, region: str, pool: int
) -> AsyncGenerator[Any, None]:
    """Open a client and close it; ``pool`` is its number of connections. Raises the SDK's errors."""
    from aiobotocore.config import AioConfig
    from botocore.exceptions import InvalidEndpointConfigurationError

    config = AioConfig(
        retries={"mode": "standard", "total_max_attempts": options.attempts},
        max_pool_connections=pool,
        connect_timeout=_CONNECT_TIMEOUT,
        read_timeout=_READ_TIMEOUT,
        user_agent_extra="lanner",
    )
    made = session.create_client(
        service, region_name=region or None, endpoint_url=options.endpoint_url or None, config=config
    )
    async with AsyncExitStack() as exits:
        try:
            client = await exits.enter_async_context(made)
        except ValueError as error:  # so the SDK says that an endpoint is no URL, or that a region has no name
            raise InvalidEndpointConfigurationError(msg=f"{error}; see endpoint_url and region") from error
        yield client


@cache
def _models() -> Any:
    """Return the SDK's service descriptions, megabytes of JSON, read once for all sources of the process."""
    from botocore.loaders import Loader

    return Loader()


def new_session(options: AwsOptions) -> Any:
    """Return a session as the options say, not yet in a role."""
    from aiobotocore.session import AioSession

    session = AioSession(profile=options.profile or None)
    session.register_component("data_loader", _models())
    if options.config:
        session.set_config_variable("config_file", options.config)
    if options.credentials:
        session.set_config_variable("credentials_file", options.credentials)
    return session
