"""The webhook under load, with clients that misbehave, and while it stops."""

import asyncio
import json
import logging
import resource
import sys
from asyncio.subprocess import PIPE
from typing import Any

import aiohttp
import pytest

from ingest.base import Batch
from ingest.k8saudit.webhook import WebhookOptions
from tests.ingest.k8saudit.receiver import Receiver, leave_open, listening, receiver
from tests.ingest.k8saudit.samples import body, event_list, numbered

GOOD = body(event_list(*numbered(3)))
HEAD = "POST /k8s-audit HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def distinct(number: int) -> bytes:
    return body(event_list(*numbered(2, userAgent=f"client {number}")))


async def connect(running: Receiver) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", running.source.port)


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(60):
        return await reader.read()


async def test_a_full_queue_is_answered_429_with_whole_seconds_to_wait() -> None:
    async with receiver(WebhookOptions(max_queue=2), consuming=False) as running:
        waiting = [asyncio.create_task(running.post(distinct(number))) for number in range(2)]
        await running.until(lambda: running.source.waiting == 2)

        answer = await running.post(distinct(3))

        assert answer.status == 429
        assert 1 <= int(answer.headers["Retry-After"]) <= 10
        assert json.loads(answer.text)["reason"] == "overloaded"
        assert not running.source.health().ok
        assert (await running.get("/readyz")).status == 503
        assert (await running.get("/livez")).status == 200

        consumer = asyncio.create_task(running.consume())
        assert [(await task).status for task in waiting] == [200, 200]
        assert (await running.post(distinct(3))).status == 200
        assert running.source.health().ok
        await running.source.stop(1)
        await consumer


async def test_too_many_bytes_in_hand_are_answered_429_until_they_are_settled() -> None:
    options = WebhookOptions(max_body_bytes=10_000, max_held_bytes=15_000)
    async with receiver(options, settle=leave_open) as running:
        first = asyncio.create_task(running.post(GOOD + b" " * 7_000))
        await running.until(lambda: len(running.batches) == 1)

        assert (await running.post(distinct(1) + b" " * 7_000)).status == 429
        await running.batches[0].ack()
        assert (await first).status == 200

        second = asyncio.create_task(running.post(distinct(1) + b" " * 7_000))
        await running.until(lambda: len(running.batches) == 2)
        await running.batches[1].ack()
        assert (await second).status == 200


async def test_bytes_of_a_late_batch_count_until_it_is_settled() -> None:
    options = WebhookOptions(max_body_bytes=10_000, max_held_bytes=15_000, ack_timeout=0.05)
    async with receiver(options, settle=leave_open) as running:
        assert (await running.post(GOOD + b" " * 7_000)).status == 503
        assert (await running.post(distinct(1) + b" " * 7_000)).status == 429
        await running.batches[0].ack()
        assert (await running.post(distinct(1) + b" " * 7_000)).status == 503


async def test_refused_and_broken_requests_leave_no_bytes_in_hand() -> None:
    options = WebhookOptions(max_body_bytes=10_000, max_held_bytes=10_000)
    async with receiver(options) as running:
        for data in (b"{", b"", GOOD, b"x" * 20_000):
            await running.post(data)
        for part in (b"", b"{", b"{" * 5000):
            _, writer = await connect(running)
            writer.write(HEAD.encode() + b"Content-Length: 9000\r\n\r\n" + part)
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.close()
        await running.until(lambda: running.source.counters["requests_refused:client-gone"] == 3)

        assert (await running.post(GOOD + b" " * (10_000 - len(GOOD)))).status == 200


async def test_a_client_that_sends_no_header_is_shut_out() -> None:
    async with receiver(listening(header_timeout=0.1)) as running:
        reader, writer = await connect(running)
        writer.write(b"POST /k8s-audit HT")

        assert await read_all(reader) == b""
        assert running.source.counters["connections_closed:no-request"] == 1
        assert (await running.post(GOOD)).status == 200
        writer.close()


async def test_a_client_that_has_sent_a_request_is_not_shut_out() -> None:
    async with receiver(listening(header_timeout=0.1)) as running:
        assert (await running.post(GOOD)).status == 200
        await asyncio.sleep(0.3)
        assert (await running.post(GOOD)).status == 200
        assert running.source.counters["connections_closed:no-request"] == 0


async def test_a_body_that_trickles_in_is_given_up() -> None:
    async with receiver(WebhookOptions(body_timeout=0.1)) as running:
        reader, writer = await connect(running)
        writer.write(HEAD.encode() + b"Content-Length: 100\r\n\r\n{")

        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)

        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"Connection: close" in answer
        writer.close()


async def test_a_client_that_closes_its_half_of_the_connection_harms_nobody() -> None:
    async with receiver() as running:
        reader, writer = await connect(running)
        writer.write(HEAD.encode() + f"Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD)
        writer.write_eof()

        await read_all(reader)

        await running.until(lambda: len(running.events) == 3)
        assert (await running.post(distinct(1))).status == 200
        writer.close()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET\r\n\r\n",
        b"POST /k8s-audit HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
        b"POST /k8s-audit HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /k8s-audit HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"POST /k8s-audit HTTP/1.1\r\n" + b"A: " + b"x" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_no_http_is_refused_without_noise(garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with receiver() as running:
        reader, writer = await connect(running)
        writer.write(garbage)

        answer = await read_all(reader)

        assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")), answer
        assert b"Traceback" not in answer
        assert "Traceback" not in caplog.text
        assert (await running.post(GOOD)).status == 200
        writer.close()


def connections(running: Receiver) -> int:
    return len(running.source._listener._runner.server.connections)  # type: ignore[union-attr]


async def test_beyond_the_limit_the_connection_that_said_nothing_for_longest_makes_room() -> None:
    async with receiver(listening(max_connections=2)) as running:
        assert (await running.post(GOOD)).status == 200  # which holds one of the two connections
        reader, writer = await connect(running)
        await running.until(lambda: connections(running) == 2)

        async with aiohttp.ClientSession() as session, session.post(running.url, data=GOOD, headers=JSON) as answer:
            assert answer.status == 200

        assert await read_all(reader) == b""
        assert running.source.counters["connections_closed:no-request"] == 1
        assert running.source.counters["connections_refused:too-many"] == 0
        writer.close()


async def test_beyond_the_limit_a_connection_is_closed_at_once_if_all_others_have_brought_requests() -> None:
    async with receiver(listening(max_connections=2)) as running:
        sessions = [aiohttp.ClientSession() for _ in range(2)]
        for session in sessions:
            async with session.post(running.url, data=GOOD, headers=JSON) as answer:
                assert answer.status == 200

        reader, writer = await connect(running)
        assert await read_all(reader) == b""
        assert running.source.counters["connections_refused:too-many"] == 1

        async with sessions[0].post(running.url, data=GOOD, headers=JSON) as answer:
            assert answer.status == 200
        writer.close()
        for session in sessions:
            await session.close()


IDLE = """
import socket, sys
kept = []
for line in sys.stdin:  # each asks for as many again
    for _ in range(250):
        one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        kept.append(one)
    print("there", flush=True)
"""


@pytest.mark.parametrize("most", [512, 10_500])
async def test_ten_thousand_idle_connections_keep_nobody_out(most: int) -> None:
    """The one limit closes most of them, the other lets all of them stay."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] != resource.RLIM_INFINITY and before[1] < 11_000:
        pytest.skip(f"11,000 open files are needed, the limit is {before[1]}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 11_000), before[1]))
    try:
        async with receiver(listening(max_connections=most, header_timeout=120.0)) as running:
            assert (await running.post(distinct(0))).status == 200
            crowd = await asyncio.create_subprocess_exec(
                sys.executable, "-c", IDLE, str(running.source.port), stdin=PIPE, stdout=PIPE
            )
            assert crowd.stdin is not None
            assert crowd.stdout is not None
            for number in range(1, 41):
                crowd.stdin.write(b"\n")
                there = asyncio.create_task(crowd.stdout.readline())
                assert (await running.post(distinct(number))).status == 200  # a sender that is known stays so
                assert await there == b"there\n"
                if most > 10_000:
                    await running.until(lambda number=number: connections(running) > 250 * number)  # type: ignore[misc]

            assert len(running.batches) == 41
            await running.until(lambda: connections(running) <= 2 * most)  # what is accepted in one go comes on top
            await _until_taken(running.url, distinct(0))  # and a new one gets in
            crowd.stdin.close()
            await crowd.wait()
            await running.until(lambda: connections(running) < 10)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def _until_taken(url: str, data: bytes) -> None:
    """Send as a client that tries again."""
    async with asyncio.timeout(60):
        while True:
            try:
                async with aiohttp.ClientSession() as session, session.post(url, data=data, headers=JSON) as answer:
                    assert answer.status == 200
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


async def test_stopping_under_load_answers_every_request() -> None:
    async def slowly(batch: Batch) -> None:
        await asyncio.sleep(0.01)
        await batch.ack()

    statuses: list[int] = []

    async def send(session: aiohttp.ClientSession, url: str, number: int) -> None:
        for round_ in range(100):
            try:
                async with session.post(url, data=distinct(1000 * number + round_), headers=JSON) as response:
                    statuses.append(response.status)
                    if response.status != 200:
                        return
            except aiohttp.ClientConnectionError:  # not listening, or closed while idle: nothing was taken
                return

    async with receiver(settle=slowly) as running, aiohttp.ClientSession() as session:
        senders = [asyncio.create_task(send(session, running.url, number)) for number in range(10)]
        await running.until(lambda: len(running.batches) > 30)
        await running.source.stop(10)
        await asyncio.gather(*senders)

        await running.until(lambda: running.ended)
        assert set(statuses) <= {200, 503}
        assert statuses.count(200) == len(running.batches)
        assert running.source.counters["events"] == 2 * len(running.batches)


JSON = {"Content-Type": "application/json"}


async def test_a_request_on_an_open_connection_is_told_that_the_receiver_stops() -> None:
    async with receiver(settle=leave_open) as running:
        first = asyncio.create_task(running.post(GOOD))
        reader, writer = await connect(running)
        writer.write(HEAD.encode() + b"Content-Length: 1\r\n\r\n{")
        await reader.readuntil(b"}")
        await running.until(lambda: len(running.batches) == 1)

        stopping = asyncio.create_task(running.source.stop(5))
        await asyncio.sleep(0.05)
        writer.write(HEAD.encode() + b"Content-Length: 1\r\n\r\n{")
        answer = await reader.readuntil(b"}")

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 2\r\n" in answer
        assert not running.source.health().ok

        await running.batches[0].ack()
        assert (await first).status == 200
        await stopping
        writer.close()


async def test_what_is_not_settled_in_the_time_to_stop_is_answered_503() -> None:
    async with receiver(settle=leave_open) as running:
        request = asyncio.create_task(running.post(GOOD))
        await running.until(lambda: len(running.batches) == 1)

        await running.source.stop(0.05)

        answer = await request
        assert (answer.status, json.loads(answer.text)["message"]) == (503, "the receiver stops")
        await running.until(lambda: running.ended)


async def test_stopping_ends_the_batches_after_the_last_one() -> None:
    async with receiver(WebhookOptions(ack_timeout=0.05), consuming=False) as running:
        statuses = [(await running.post(distinct(number))).status for number in range(3)]
        await running.source.stop(0.1)

        yielded = [batch async for batch in running.source.batches()]

        assert (statuses, len(yielded)) == ([503] * 3, 3)


async def test_stopping_is_possible_before_the_start_and_twice() -> None:
    async with receiver() as running:
        await running.source.stop(1)
        await running.source.stop(1)


async def test_many_clients_at_once_lose_nothing() -> None:
    async with receiver() as running:
        answers: list[Any] = await asyncio.gather(*(running.post(distinct(number)) for number in range(200)))

        assert {answer.status for answer in answers} <= {200, 429}
        taken = sum(answer.status == 200 for answer in answers)
        assert len(running.batches) == taken
        assert taken >= 64
