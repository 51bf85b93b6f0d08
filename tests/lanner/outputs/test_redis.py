"""Lists, channels and streams of a real Redis server."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lanner.outputs.base import Undelivered
from lanner.outputs.http import TlsClientOptions
from lanner.outputs.redis import RedisOptions, RedisOutput
from tests.ingest.k8saudit import certs
from tests.lanner.outputs.receiver import alert
from tests.lanner.outputs.servers import Server, binary, free_port

redis = pytest.importorskip("redis.asyncio", reason="the package redis is missing")

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    program, started = binary("redis-server", "redis-server"), []

    def start(*options: str, port: int = 0) -> Server:
        port = port or free_port()
        listen = () if "--tls-port" in options else ("--port", str(port))
        always = ("--bind", "127.0.0.1", "--dir", str(tmp_path), "--save", "", "--appendonly", "yes")
        server = Server([program, *listen, *always, *options], port, tmp_path)
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.stop()


@pytest.fixture
async def ask(serve: Serve) -> AsyncIterator[Any]:
    """A client of a server without options; its ``port`` is the server's."""
    server = serve()
    client = redis.Redis(port=server.port)
    client.port, client.server = server.port, server
    yield client
    await client.aclose()


def output(port: int, **options: Any) -> RedisOutput:
    return RedisOutput("r", RedisOptions(**{"url": f"redis://127.0.0.1:{port}", "timeout": 5.0, **options}))


async def send(made: RedisOutput, *alerts: Any) -> None:
    await made.start()
    try:
        await made.deliver(alerts or [alert()])
    finally:
        await made.close()


def uid(text: bytes) -> str:
    return str(json.loads(text)["lanner"]["uid"])


NUMBERS = [str(n) for n in range(250)]


async def test_a_stream_has_alerts_in_order_with_what_they_are_about(ask: Any) -> None:
    await send(output(ask.port), *(alert(uid=n) for n in NUMBERS))
    entries = [entry for _, entry in await ask.xrange("lanner")]
    assert [entry[b"uid"].decode() for entry in entries] == NUMBERS
    assert [uid(entry[b"alert"]) for entry in entries] == NUMBERS
    assert (entries[0][b"rule"], entries[0][b"priority"]) == (b"Trail stopped", b"critical")


async def test_a_stream_keeps_about_as_many_as_it_is_told(ask: Any) -> None:
    await send(output(ask.port, max_length=100), *(alert(uid=str(n)) for n in range(1000)))
    assert 100 <= await ask.xlen("lanner") < 300


async def test_a_list_grows_at_its_end_and_keeps_the_newest(ask: Any) -> None:
    await send(output(ask.port, mode="list", key="q"), *(alert(uid=n) for n in NUMBERS))
    assert [uid(text) for text in await ask.lrange("q", 0, -1)] == NUMBERS
    await send(output(ask.port, mode="list", key="q", max_length=3), alert(uid="last"))
    assert [uid(text) for text in await ask.lrange("q", 0, -1)] == ["248", "249", "last"]


async def test_who_is_subscribed_to_a_channel_gets_alerts(ask: Any) -> None:
    async with ask.pubsub() as channel:
        await channel.psubscribe("alerts:*")
        await channel.get_message(timeout=5)
        made = output(ask.port, mode="channel", key="alerts:%alert.priority", format="text")
        await send(made, *(alert(uid=n) for n in NUMBERS))
        got = [await channel.get_message(timeout=5) for _ in NUMBERS]
    assert {message["channel"] for message in got} == {b"alerts:critical"}
    assert got[0]["data"].endswith(b"alice stopped <b>trail</b> & more")


async def test_a_database_and_texts_that_are_no_utf8(ask: Any) -> None:
    await send(output(ask.port, database=3), alert(rule="x\udcff", message="y\udcff"))
    await ask.select(3)
    ((_, entry),) = await ask.xrange("lanner")
    assert entry[b"rule"] == b"x?"
    assert "Critical y\ufffd" in json.loads(entry[b"alert"])["output"]


async def test_alerts_go_on_when_the_server_is_back(ask: Any) -> None:
    made = output(ask.port)
    await made.deliver([alert(uid="1")])
    ask.server.stop()
    for _ in range(2):
        with pytest.raises(Undelivered, match=f"redis://127.0.0.1:{ask.port}: ") as failure:
            await made.deliver([alert(uid="2")])
        assert not failure.value.refused
    ask.server.start()
    await made.deliver([alert(uid="2")])
    await made.close()
    assert [entry[b"uid"] for _, entry in await ask.xrange("lanner")] == [b"1", b"2"]


async def test_a_server_that_does_not_answer_is_given_up(ask: Any) -> None:
    made = output(ask.port, timeout=0.3)
    await ask.client_pause(2000)
    with pytest.raises(Undelivered, match=r"(?i)timeout") as failure:
        await made.deliver([alert()])
    assert not failure.value.refused
    await asyncio.sleep(2)
    await made.deliver([alert()])
    await made.close()


async def test_nothing_of_a_batch_is_there_when_memory_is_full_and_it_is_waited_for(serve: Serve) -> None:
    server = serve("--maxmemory", "1")
    with pytest.raises(Undelivered, match=r"OOM|maxmemory") as failure:
        await send(output(server.port), alert(uid="1"), alert(uid="2"))
    assert (failure.value.taken, failure.value.refused) == (0, False)
    assert "alice" not in str(failure.value)


async def test_a_key_that_holds_something_else_is_told(ask: Any) -> None:
    await ask.set("b", "text")
    made = output(ask.port, mode="list", key="%alert.field[to]")
    alerts = [alert(uid=key, output_fields={"to": key}) for key in ("a", "b", "c")]
    with pytest.raises(Undelivered, match=r"WRONGTYPE|wrong kind") as failure:
        await send(made, *alerts)
    assert (failure.value.taken, failure.value.refused) == (1, False)


async def test_passwords_and_users(serve: Serve) -> None:
    server = serve("--requirepass", "right", "--user", "lanner", "on", ">its-own", "~lanner", "+@all")
    await send(output(server.port, password="right"))
    await send(output(server.port, username="lanner", password="its-own"))
    for who in ({}, {"password": "wrong-one"}, {"username": "lanner", "password": "wrong-one"}):
        with pytest.raises(Undelivered, match=r"(?i)auth|password") as failure:
            await send(output(server.port, **who))
        assert not failure.value.refused
        assert "wrong-one" not in str(failure.value)
    with pytest.raises(Undelivered, match=r"(?i)permissions|NOPERM"):
        await send(output(server.port, username="lanner", password="its-own", key="other"))


async def test_tls_on_both_sides(serve: Serve, tmp_path: Path) -> None:
    authority, port = certs.Authority(), free_port()
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    cert, key = certs.write(tmp_path, authority.issue("server", ip="127.0.0.1"))
    own, own_key = certs.write(tmp_path, authority.issue("lanner"), "client")
    files = ("--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", str(ca))
    serve("--port", "0", "--tls-port", str(port), *files, port=port)
    url = f"rediss://127.0.0.1:{port}"
    mine = TlsClientOptions(ca_file=str(ca), cert_file=own, key_file=own_key)
    await send(output(port, url=url, tls=mine))
    with pytest.raises(Undelivered, match="certificate verify failed"):
        await send(output(port, url=url))
    with pytest.raises(Undelivered):
        await send(output(port, url=url, tls=TlsClientOptions(ca_file=str(ca))))


async def test_a_socket_of_this_machine(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "r.sock"
    server = serve("--unixsocket", str(path))
    await send(output(server.port, url=f"unix://{path}", mode="list"))
    client = redis.Redis(port=server.port)
    assert await client.llen("lanner") == 1
    await client.aclose()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"url": "localhost:6379"}, "url: wanted is redis://"),
        ({"url": "redis://u:p@h"}, "a URL is shown in logs"),
        ({"url": "redis://h/3"}, "a URL is shown in logs"),
        ({"url": "redis://h?password=p"}, "a URL is shown in logs"),
        ({"key": "%alert.rul"}, "key: source alert has no field 'alert.rul'"),
        ({"batch": 0}, "batch 1 or more"),
        ({"mode": "channel", "max_length": 5}, "a channel keeps nothing"),
    ],
)
def test_a_mistake_is_told(options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        RedisOutput("r", RedisOptions(**{"url": "redis://h", **options}))
