"""A server of HTTP on loopback that keeps what it is sent and answers as it is told."""

import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from engine.alert import Alert
from engine.priority import Priority


@dataclass
class Received:
    """One request."""

    method: str
    path: str
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> bytes:
        return gzip.decompress(self.raw) if self.headers.get("Content-Encoding") == "gzip" else self.raw

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class Receiver:
    """What came, and the answers to come: (status, body, headers), the last one for ever."""

    url: str = ""
    got: list[Received] = field(default_factory=list)
    answers: list[tuple[int, bytes, dict[str, str]]] = field(default_factory=lambda: [(200, b"", {})])
    before: Callable[[], Any] | None = None

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.got.append(Received(request.method, request.path_qs, request.headers, body))
        if self.before is not None:
            await self.before()
        status, text, headers = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return web.Response(status=status, body=text, headers=headers)

    def answer(self, status: int, body: Any = b"", **headers: str) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answers = [(status, text, {name.replace("_", "-"): value for name, value in headers.items()})]


@contextlib.asynccontextmanager
async def receiving(**more: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application(client_max_size=2**26)
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, auto_decompress=False)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, **more)
    await site.start()
    scheme = "https" if more.get("ssl_context") else "http"
    receiver.url = f"{scheme}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()


def alert(**changed: Any) -> Alert:
    given: dict[str, Any] = {
        "rule": "Trail stopped",
        "priority": Priority.CRITICAL,
        "time_ns": 1_760_000_000_123_456_789,
        "source": "aws_cloudtrail",
        "hostname": "h1",
        "message": "alice stopped <b>trail</b> & more",
        "output_fields": {"ct.user": "alice", "ct.region": "eu-west-1", "n": 3, "gone": None},
        "tags": ("T1562.008", "aws"),
        "uid": "00ff",
    }
    return Alert(**{**given, **changed})
