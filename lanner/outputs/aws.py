"""Alerts to AWS: what its services have in common. A call that is refused for one alert is made for each alone."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from engine.alert import Alert
from ingest.aws.options import AwsOptions
from ingest.aws.session import call_errors, code_of, create_client, describe, new_session, take_role
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import FormName

_HOPELESS = frozenset(
    [
        "InvalidParameterValue",
        "ValidationException",
        "InvalidMessageContents",
        "MessageTooLong",
        "RequestEntityTooLarge",
    ]
)
_POOL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsOutputOptions:
    """
    What every output to AWS can be told.

    Attributes:
        format: Form of an alert: falco-json, text, ecs, ocsf or cef.
        aws: How AWS is reached.
    """

    format: FormName = "falco-json"
    aws: AwsOptions = field(default_factory=AwsOptions)


Send = Callable[[Any, Sequence[Alert]], Any]
"""Sends alerts through a client, all in one call; awaits. Raises Undelivered or what the SDK raises."""

Batches = Callable[[Sequence[Alert]], Iterator[Sequence[Alert]]]
"""Cuts alerts into what goes into one call."""


class AwsOutput:
    """
    Sends to a service of AWS.

    Args:
        name: Of the output.
        service: As the SDK names it.
        aws: How AWS is reached.
        batches: Cuts alerts into what goes into one call.
        send: Makes that call.
    """

    def __init__(
        self,
        name: str,
        service: str,
        aws: AwsOptions,
        batches: Batches,
        send: Send,
    ) -> None:
        self.name = name
        self._service = service
        self._aws = aws
        self._batches = batches
        self._send = send
        self._exits = AsyncExitStack()
        self._client: Any = None

    async def start(self) -> None:
        """Nothing is called yet."""

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send alerts in order. Raises Undelivered."""
        done = 0
        for batch in self._batches(alerts):
            await self._try(batch, done)
            done += len(batch)

    async def _try(self, batch: Sequence[Alert], done: int) -> None:
        try:
            await self._send(await self._connected(), batch)
        except Undelivered as failure:
            failure.taken += done
            raise
        except call_errors() as error:
            hopeless = code_of(error) in _HOPELESS
            if not hopeless or len(batch) == 1:
                raise Undelivered(f"{self._service}: {describe(error)}", done, refused=hopeless) from None
            for at, alert in enumerate(batch):
                await self._try([alert], done + at)

    async def close(self) -> None:
        """Close connections."""
        await self._exits.aclose()

    async def _connected(self) -> Any:
        if self._client is None:
            session = new_session(self._aws)
            take_role(session, self._aws, self._aws.region)
            client = create_client(session, self._service, self._aws, self._aws.region, _POOL)
            self._client = await self._exits.enter_async_context(client)
        return self._client


def in_batches(
    most: int, size: int, line: Callable[[Alert], str]
) -> Callable[[Sequence[Alert]], Iterator[Sequence[Alert]]]:
    """Return what cuts alerts into batches of so many, and so many bytes, at most; a large one goes alone."""

    def batches(alerts: Sequence[Alert]) -> Iterator[Sequence[Alert]]:
        batch: list[Alert] = []
        used = 0
        for alert in alerts:
            bytes_ = len(line(alert).encode())
            if batch and (len(batch) >= most or used + bytes_ > size):
                yield batch
                batch, used = [], 0
            batch.append(alert)
            used += bytes_
        if batch:
            yield batch

    return batches


def first_failure(failed: Sequence[int], why: str, hopeless: bool = False) -> None:
    """Raise for the first of the alerts in a call that were not taken, if there is one."""
    if failed:
        raise Undelivered(why, min(failed), refused=hopeless)
