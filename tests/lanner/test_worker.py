"""Blocking calls away from the event loop."""

import asyncio
import threading
from typing import Any

import pytest

from lanner.worker import Worker


async def test_calls_run_in_order_and_errors_reach_who_waits() -> None:
    worker, seen = Worker("w"), list[int]()
    await asyncio.gather(*(worker.run(lambda n=n: seen.append(n)) for n in range(20)))  # type: ignore[misc]
    assert seen == list(range(20))
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert await worker.run(lambda: "on") == "on"
    worker.end()


def test_a_loop_that_is_closed_while_a_call_runs_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    accidents: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", accidents.append)
    worker, begun, closed = Worker("w"), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        closed.wait(30)

    async def leave() -> None:
        task = asyncio.create_task(worker.run(slow))
        await asyncio.to_thread(begun.wait, 30)
        task.cancel()

    asyncio.run(leave())
    closed.set()
    assert asyncio.run(worker.run(lambda: "still there")) == "still there"
    worker.end()
    assert accidents == []
