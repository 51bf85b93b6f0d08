"""The spool on its own, and the webhook that answers from it."""

import asyncio
import os
from pathlib import Path

import pytest

from ingest.base import Batch, SourceError
from ingest.k8saudit.spool import Spool, SpoolFull, SpoolOptions
from ingest.k8saudit.webhook import WebhookOptions, WebhookSource
from tests.ingest.k8saudit.receiver import leave_open, receiver
from tests.ingest.k8saudit.samples import body, event_list, numbered


def opened(folder: Path, most: int = 1 << 20) -> Spool:
    return Spool(SpoolOptions(str(folder), most))


def drained(spool: Spool) -> list[bytes]:
    found = []
    while item := spool.next():
        found.append(item.body)
        spool.done(item)
    return found


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.spool"))


def test_requests_come_back_in_order_with_what_is_known_of_them(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    assert spool.next() is None
    spool.append("prod", "192.0.2.1", b"\n{}\n")
    spool.append("", "", b"")
    first = spool.next()
    assert first is not None
    assert first[:3] == ("prod", "192.0.2.1", b"\n{}\n")
    assert spool.next() == first
    assert drained(spool) == [b"\n{}\n", b""]
    assert spool.next() is None


def test_what_is_not_settled_is_there_after_a_restart_and_what_is_settled_is_not(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    for number in range(5):
        spool.append("", "", b"%d" % number)
    for _ in range(2):
        item = spool.next()
        assert item is not None
        spool.done(item)
    spool.close()
    again = opened(tmp_path)
    again.append("", "", b"5")
    assert drained(again) == [b"2", b"3", b"4", b"5"]
    again.close()
    last = opened(tmp_path)
    assert drained(last) == []
    last.append("", "", b"6")
    assert drained(last) == [b"6"]


def test_files_of_settled_requests_are_removed_so_that_there_is_room(tmp_path: Path) -> None:
    spool = opened(tmp_path, 4096)
    for number in range(100):
        spool.append("", "", b"%d" % number + b"x" * 300)
        item = spool.next()
        assert item is not None
        assert item.body.startswith(b"%d" % number)
        spool.done(item)
    assert len(files(tmp_path)) <= 2


def test_a_full_spool_refuses_and_takes_again_when_there_is_room(tmp_path: Path) -> None:
    spool = opened(tmp_path, 2000)
    for _ in range(14):
        spool.append("", "", b"x" * 120)
    with pytest.raises(SpoolFull):
        spool.append("", "", b"x" * 120)
    assert len(drained(spool)) == 14
    spool.append("", "", b"more")
    assert drained(spool) == [b"more"]


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_record_that_a_crash_cut_off_costs_itself_alone(tmp_path: Path, cut: int) -> None:
    spool = opened(tmp_path)
    spool.append("", "", b"whole")
    spool.append("", "", b"cut off here")
    spool.close()
    file = tmp_path / files(tmp_path)[0]
    os.truncate(file, file.stat().st_size - cut)
    again = opened(tmp_path)
    again.append("", "", b"later")
    assert drained(again) == [b"whole", b"later"]


def test_a_damaged_record_does_not_stop_what_is_in_later_files(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    spool.append("", "", b"first")
    spool.append("", "", b"second")
    spool.close()
    file = tmp_path / files(tmp_path)[0]
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    again = opened(tmp_path)
    again.append("", "", b"third")
    assert drained(again) == [b"first", b"third"]


@pytest.mark.parametrize("text", ["", "x", "1", "7 7 7"])
def test_a_broken_position_repeats_and_loses_nothing(tmp_path: Path, text: str) -> None:
    spool = opened(tmp_path)
    spool.append("", "", b"first")
    assert drained(spool) == [b"first"]
    spool.append("", "", b"second")
    spool.close()
    (tmp_path / "position").write_text(text)
    assert drained(opened(tmp_path)) == [b"first", b"second"]


def test_one_folder_is_used_by_one_process(tmp_path: Path) -> None:
    spool = opened(tmp_path)
    with pytest.raises(OSError, match="another lanner"):
        opened(tmp_path)
    spool.close()
    opened(tmp_path).close()


def options(folder: Path, **more: object) -> WebhookOptions:
    return WebhookOptions(spool=SpoolOptions(str(folder)), **more)  # type: ignore[arg-type]


def request(number: int) -> bytes:
    return body(event_list(*numbered(2, userAgent=f"client {number}")))


def agents(batches: list[Batch]) -> list[str]:
    return [batch.events[0].record["userAgent"] for batch in batches]


async def test_a_request_is_answered_before_it_is_evaluated_and_evaluated_after_a_restart(tmp_path: Path) -> None:
    spooled = options(tmp_path, ack="spooled")
    async with receiver(spooled, settle=leave_open) as running:
        for number in range(4):
            assert (await running.post(request(number), path="/prod")).status == 200
        await running.until(lambda: len(running.batches) == 1)
    async with receiver(spooled) as again:
        await again.until(lambda: len(again.batches) == 4)
        assert agents(again.batches) == [f"client {number}" for number in range(4)]
        assert again.events[0].record["annotations"]["cluster_name"] == "prod"
        assert again.events[0].origin == "127.0.0.1"
    async with receiver(spooled) as last:
        assert (await last.post(request(9))).status == 200
        await last.until(lambda: len(last.batches) > 0)
        assert agents(last.batches) == ["client 9"]


async def test_a_spooled_request_that_fails_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.k8saudit.replay._PAUSE", 0.01)
    tries: list[Batch] = []

    async def at_the_third(batch: Batch) -> None:
        tries.append(batch)
        await (batch.ack() if len(tries) >= 3 else batch.nack("not now"))

    async with receiver(options(tmp_path, ack="spooled"), settle=at_the_third) as running:
        assert (await running.post(request(1))).status == 200
        assert (await running.post(request(2))).status == 200
        await running.until(lambda: len(tries) == 4)
        assert agents(tries) == ["client 1"] * 3 + ["client 2"]


async def test_garbage_in_the_spool_costs_itself_alone(tmp_path: Path) -> None:
    async with receiver(options(tmp_path, ack="spooled")) as running:
        assert (await running.post(b"{")).status == 200
        assert (await running.post(request(1))).status == 200
        await running.until(lambda: len(running.batches) == 1)
        assert running.source.counters["records_skipped:not-json"] == 1


async def test_overload_goes_to_the_spool_where_it_is_to(tmp_path: Path) -> None:
    async with receiver(options(tmp_path, overload="spool", max_queue=1), consuming=False) as running:
        waiting = asyncio.create_task(running.post(request(0)))
        await running.until(lambda: running.source.waiting == 1)
        assert (await running.post(request(1))).status == 200
        assert running.source.counters["requests_spooled"] == 1
        assert running.source.health().ok
        consumer = asyncio.create_task(running.consume())
        assert (await waiting).status == 200
        await running.until(lambda: len(running.batches) == 2)
        assert sorted(agents(running.batches)) == ["client 0", "client 1"]
        await running.source.stop(1)
        await consumer


async def test_a_full_spool_is_answered_429(tmp_path: Path) -> None:
    full = WebhookOptions(spool=SpoolOptions(str(tmp_path), 100), ack="spooled")
    async with receiver(full) as running:
        answer = await running.post(request(0))
        assert answer.status == 429
        assert int(answer.headers["Retry-After"]) >= 1


async def test_answering_from_the_spool_needs_a_folder() -> None:
    with pytest.raises(SourceError, match=r"spool\.path"):
        await WebhookSource(WebhookOptions(ack="spooled")).start()


async def test_with_a_folder_overload_goes_there_unless_it_is_to_be_refused(tmp_path: Path) -> None:
    for overload, status in (("spool", 200), ("shed", 429)):
        spool = SpoolOptions(str(tmp_path / overload))
        wish = WebhookOptions(max_queue=1, spool=spool, overload=overload)  # type: ignore[arg-type]
        async with receiver(wish, consuming=False) as running:
            waiting = asyncio.create_task(running.post(request(0)))
            await running.until(lambda: running.source.waiting == 1)
            assert (await running.post(request(1))).status == status
            assert running.source.health().ok is (status == 200)
            consumer = asyncio.create_task(running.consume())
            assert (await waiting).status == 200
            await running.source.stop(1)
            await consumer


async def test_a_spool_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SourceError, match="the spool cannot be used"):
        await WebhookSource(options(tmp_path / "file")).start()
