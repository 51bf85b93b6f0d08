"""A destination that refuses for an hour and recovers, with the waiting of the service a thousand times as fast."""

import asyncio
import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from engine.alert import Alert
from lanner import custody as custody_module
from lanner.config import Config, read
from lanner.custody import Durable
from lanner.outbox import Outbox
from lanner.outputs.base import Output
from lanner.outputset import make_outputs
from tests.lanner.outputs.receiver import Receiver, receiving
from tests.lanner.support import alert

FASTER = 1000
HOUR = 3600 / FASTER
LONGEST = 60 / FASTER


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_PAUSE", "_LONGEST_PAUSE", "_LONGEST_ASKED"):
        monkeypatch.setattr(custody_module, name, getattr(custody_module, name) / FASTER)


def configured(folder: Path, down: Receiver, healthy: Receiver) -> Config:
    text = f"""
    sources: [{{type: k8saudit}}]
    stdout_output: {{enabled: false}}
    outbox: {{path: {folder}/outbox.sqlite}}
    outputs:
      - {{type: http, name: down, url: "{down.url}", batch: 100}}
      - {{type: http, name: healthy, url: "{healthy.url}", batch: 100}}
    """
    return read(text, "lanner.yaml")


@contextlib.asynccontextmanager
async def delivering(config: Config, counters: Counter[str]) -> AsyncIterator[Durable]:
    """The way of alerts from custody on, as the service builds it."""
    outputs: Sequence[Output] = make_outputs(config, counters)
    for output in outputs:
        await output.start()
    custody = Durable(Outbox(Path(config.outbox.path), [output.name for output in outputs]), outputs, counters)
    try:
        yield custody
    finally:
        await custody.close(0)
        for output in outputs:
            await output.close()


def uids(receiver: Receiver, first: int = 0) -> list[str]:
    return [told["lanner"]["uid"] for got in receiver.got[first:] for told in got.json]


async def taken(custody: Durable, output: str) -> None:
    async with asyncio.timeout(60):
        while custody.waiting()[output]:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


async def spread(custody: Durable, alerts: Sequence[Alert], over: float) -> None:
    """Hand over alerts as an engine does that finds them over some time."""
    batches = [alerts[at : at + 50] for at in range(0, len(alerts), 50)]
    for batch in batches:
        await custody.take(batch)
        await asyncio.sleep(over / len(batches))


async def test_an_hour_of_refusals_loses_nothing_and_delays_no_other_output(tmp_path: Path) -> None:
    alerts = [alert(number) for number in range(15_000)]  # more than are held in memory for one output
    everything, counters = [one.uid for one in alerts], Counter[str]()
    async with receiving() as down, receiving() as healthy:
        down.answer(503, "maintenance")
        over = asyncio.create_task(asyncio.sleep(HOUR))
        async with delivering(configured(tmp_path, down, healthy), counters) as custody:
            await spread(custody, alerts, HOUR / 2)
            await taken(custody, "healthy")
            assert uids(healthy) == everything
            await over
            refused = len(down.got)
            assert custody.waiting() == {"down": len(alerts), "healthy": 0}
            assert counters["alerts_delivered:down"] == 0
            assert 5 < refused <= HOUR / (0.8 * LONGEST) + 10, "it was asked again and again, and not too often"
            down.answer(200)
            await taken(custody, "down")
            assert uids(down, refused) == everything
            assert len(uids(healthy)) == len(everything)
            assert counters["deliveries_failed:down"] == refused
            assert counters["alerts_delivered:down"] == counters["alerts_delivered:healthy"] == len(alerts)
        assert not (tmp_path / "dead-letters").exists()


async def test_what_came_during_an_outage_outlives_the_service(tmp_path: Path) -> None:
    alerts = [alert(number) for number in range(3_000)]
    everything, counters = [one.uid for one in alerts], Counter[str]()
    async with receiving() as down, receiving() as healthy:
        down.answer(503, "maintenance")
        config = configured(tmp_path, down, healthy)
        for part in (alerts[:1000], alerts[1000:]):
            async with delivering(config, counters) as custody:
                await spread(custody, part, HOUR / 8)
                await taken(custody, "healthy")
        refused = len(down.got)
        down.answer(200)
        async with delivering(config, counters) as custody:
            await taken(custody, "down")
    assert uids(down, refused) == everything
    assert list(dict.fromkeys(uids(healthy))) == everything


async def test_a_destination_that_hangs_delays_no_other_output(tmp_path: Path) -> None:
    hanging = asyncio.Event()
    alerts = [alert(number) for number in range(2_000)]
    async with receiving() as down, receiving() as healthy:
        down.before = hanging.wait
        async with delivering(configured(tmp_path, down, healthy), Counter()) as custody:
            await spread(custody, alerts, 0.1)
            await taken(custody, "healthy")
            assert uids(healthy) == [one.uid for one in alerts]
            assert custody.waiting()["down"] == len(alerts)
            hanging.set()
            await taken(custody, "down")
    assert uids(down) == [one.uid for one in alerts]


async def test_a_destination_that_takes_some_of_every_other_request_gets_all_in_order(tmp_path: Path) -> None:
    alerts = [alert(number) for number in range(1_000)]
    async with receiving() as down, receiving() as healthy:
        down.answers = [*itertools.islice(itertools.cycle([(503, b"", {}), (200, b"", {})]), 40), (200, b"", {})]
        refusals = [number for number in range(40) if number % 2 == 0]
        async with delivering(configured(tmp_path, down, healthy), Counter()) as custody:
            await spread(custody, alerts, 0.1)
            await taken(custody, "down")
    got = [told["lanner"]["uid"] for at, one in enumerate(down.got) if at not in refusals for told in one.json]
    assert got == [one.uid for one in alerts]
