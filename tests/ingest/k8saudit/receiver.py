"""A running webhook with a pipeline behind it that a test controls, and a plain client for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp

from engine.event import Event
from ingest.base import Batch
from ingest.k8saudit.listener import ListenOptions
from ingest.k8saudit.webhook import WebhookOptions, WebhookSource

Settle = Callable[[Batch], Awaitable[None]]


async def acknowledge(batch: Batch) -> None:
    await batch.ack()


async def leave_open(_batch: Batch) -> None:
    return


@dataclass(slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass(slots=True)
class Receiver:
    """A source that listens, and the batches it has yielded."""

    source: WebhookSource
    settle: Settle
    scheme: str
    session: aiohttp.ClientSession
    batches: list[Batch] = field(default_factory=list)
    ended: bool = False

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.source.port}/k8s-audit"

    @property
    def events(self) -> list[Event]:
        return [event for batch in self.batches for event in batch.events]

    async def consume(self) -> None:
        async for batch in self.source.batches():
            self.batches.append(batch)
            await self.settle(batch)
        self.ended = True

    async def post(self, data: Any, path: str = "", **options: Any) -> Answer:
        headers = {"Content-Type": "application/json", **options.pop("headers", {})}
        async with self.session.post(self.url + path, data=data, headers=headers, **options) as response:
            return Answer(response.status, dict(response.headers), await response.text())

    async def get(self, path: str) -> Answer:
        async with self.session.get(self.url.replace("/k8s-audit", path)) as response:
            return Answer(response.status, dict(response.headers), await response.text())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110 - what is waited for tells nobody
                await asyncio.sleep(0.005)


@asynccontextmanager
async def receiver(
    options: WebhookOptions | None = None, settle: Settle = acknowledge, consuming: bool = True
) -> AsyncIterator[Receiver]:
    """Start a webhook on a free port of the loopback address, stop it afterwards."""
    options = options or WebhookOptions()
    source = WebhookSource(replace(options, listen=replace(options.listen, port=0)))
    await source.start()
    async with aiohttp.ClientSession() as session:
        running = Receiver(source, settle, "https" if options.listen.tls else "http", session)
        task = asyncio.create_task(running.consume()) if consuming else None
        try:
            yield running
        finally:
            await source.stop(0.2)
            if task:
                async with asyncio.timeout(60):
                    await task


def listening(**options: Any) -> WebhookOptions:
    return WebhookOptions(listen=ListenOptions(**options))
