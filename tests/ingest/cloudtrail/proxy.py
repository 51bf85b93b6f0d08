"""A proxy before moto that answers chosen requests with the faults moto cannot produce."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, web


@dataclass
class Seen:
    """A request: ``action`` is the SQS action, or ``GET``, ``PUT`` ... for S3."""

    action: str
    path: str
    body: bytes
    headers: dict[str, str]
    query: str = ""

    @property
    def region(self) -> str:
        """Region that the request is signed for."""
        return self.headers.get("Authorization", "///").split("/")[2]


Fault = Callable[[Seen], "web.StreamResponse | Awaitable[web.StreamResponse | None] | None"]


@dataclass
class Proxy:
    """
    Attributes:
        fault: Called for each request; its answer is sent instead of moto's, None lets the request pass.
        requests: All requests so far.
        headers: Set in every answer of moto.
    """

    target: str
    url: str = ""
    fault: Fault | None = None
    requests: list[Seen] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    def count(self, action: str) -> int:
        return sum(seen.action == action for seen in self.requests)

    def at(self, queue_url: str) -> str:
        """Spell a queue's URL so that requests would pass through here."""
        return queue_url.replace(self.target, self.url)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        action = request.headers.get("X-Amz-Target", request.method).removeprefix("AmazonSQS.")
        seen = Seen(action, request.path, await request.read(), dict(request.headers), request.query_string)
        self.requests.append(seen)
        answer = self.fault(seen) if self.fault else None
        if asyncio.iscoroutine(answer):
            answer = await answer
        return answer if isinstance(answer, web.StreamResponse) else await self.forward(request, seen.body)

    async def forward(self, request: web.Request, body: bytes) -> web.Response:
        async with ClientSession(auto_decompress=False) as session:
            url = self.target + request.raw_path
            async with session.request(request.method, url, data=body, headers=request.headers) as answer:
                kept = {k: v for k, v in answer.headers.items() if k.lower() not in ("transfer-encoding", "connection")}
                return web.Response(status=answer.status, body=await answer.read(), headers={**kept, **self.headers})


@asynccontextmanager
async def proxy(target: str) -> AsyncIterator[Proxy]:
    """Run a proxy in front of ``target``."""
    door = Proxy(target)
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", door.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    door.url = f"http://{host}:{port}"
    try:
        yield door
    finally:
        await runner.cleanup()


def s3_error(code: str, status: int, message: str = "", **headers: str) -> web.Response:
    text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message or code}</Message></Error>"
    return web.Response(status=status, text=text, content_type="application/xml", headers=headers)


def sqs_error(code: str, status: int = 400) -> web.Response:
    text = json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": code})
    headers = {"x-amzn-query-error": f"{code};Sender", "Content-Type": "application/x-amz-json-1.0"}
    return web.Response(status=status, body=text.encode(), headers=headers)


def sqs_answer(value: object) -> web.Response:
    return web.Response(body=json.dumps(value).encode(), headers={"Content-Type": "application/x-amz-json-1.0"})
