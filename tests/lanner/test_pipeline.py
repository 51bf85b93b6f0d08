import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.alert import Alert
from engine.evaluate import Engine
from engine.event import Event, Receipt
from engine.load import LoadOptions, load_rules
from engine.rulefile import RuleFile
from ingest.base import Batch, Health
from ingest.cloudtrail.record import to_event
from lanner import custody as custody_module
from lanner.catalog import build_catalog
from lanner.custody import Direct, Durable
from lanner.detect import Detector
from lanner.outbox import Outbox
from lanner.outputs.base import OutputClosed
from lanner.pipeline import Pipeline
from tests.lanner.support import RULES, alert, ct_record


class ListSource:
    """A source of given batches, with the settlement of each."""

    event_source = "aws_cloudtrail"
    name = "list"

    def __init__(self, *batches: Sequence[Event]) -> None:
        self.counters: Counter[str] = Counter()
        self.settled: list[str] = []
        self._batches = batches

    async def start(self) -> None:
        pass

    async def batches(self) -> AsyncIterator[Batch]:
        for events in self._batches:
            yield Batch(events, self._ack, self._nack)

    async def stop(self, grace: float) -> None:
        pass

    def health(self) -> Health:
        return Health()

    async def _ack(self) -> None:
        self.settled.append("ack")

    async def _nack(self, reason: str) -> None:
        self.settled.append(f"nack: {reason}")


class ListOutput:
    """An output that keeps alerts, and fails as often as it is told."""

    def __init__(self, name: str = "list", fails: int = 0, error: Exception | None = None) -> None:
        self.name = name
        self.taken: list[str] = []
        self.tries = 0
        self._fails = fails
        self._error = error or OSError("down")

    async def start(self) -> None:
        pass

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        self.tries += 1
        if self.tries <= self._fails:
            raise self._error
        self.taken += [one.uid for one in alerts]

    async def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def engine() -> Engine:
    result = load_rules([RuleFile("rules", RULES)], build_catalog("h"), LoadOptions())
    assert result.ruleset
    return Engine(result.ruleset)


@pytest.fixture
def detector(engine: Engine) -> Detector:
    return Detector(engine, "h")


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custody_module, "_FIRST_PAUSE", 0.001)


def made(number: int = 1) -> Event:
    return to_event(ct_record(number=number), "test")


def other(number: int = 1) -> Event:
    return to_event(ct_record("GetUser", number), "test")


async def test_a_batch_is_acknowledged_when_its_alerts_are_delivered(detector: Detector) -> None:
    source, output = ListSource([other(), made()], [other()], []), ListOutput()
    pipeline = Pipeline(detector, Direct([output], Counter()))
    await pipeline.consume(source)
    assert source.settled == ["ack", "ack", "ack"]
    assert len(output.taken) == 1
    assert pipeline.counters == {"batches:acked": 3}
    assert detector.tally.events == {"aws_cloudtrail": 3}


async def test_a_batch_goes_back_when_an_output_fails(detector: Detector) -> None:
    source, good, bad = ListSource([made(1)], [made(2)]), ListOutput("good"), ListOutput("bad", fails=1)
    counters: Counter[str] = Counter()
    await Pipeline(detector, Direct([good, bad], counters)).consume(source)
    assert source.settled == ["nack: its alerts could not be kept", "ack"]
    assert (len(good.taken), len(bad.taken)) == (2, 1)
    assert counters == {"alerts_delivered:good": 2, "alerts_delivered:bad": 1, "deliveries_failed:bad": 1}


async def test_trouble_is_told_once_and_its_end_too(detector: Detector, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "lanner.pipeline")
    source = ListSource([made(1)], [other()], [made(2)], [made(3)], [made(4)])
    await Pipeline(detector, Direct([ListOutput(fails=3)], Counter())).consume(source)
    assert [record.getMessage() for record in caplog.records] == [
        "list: a batch goes back: down",
        "list: batches are taken again; 3 went back",
    ]


async def test_a_batch_without_alerts_needs_no_output(detector: Detector) -> None:
    source = ListSource([other()])
    await Pipeline(detector, Direct([ListOutput(fails=9)], Counter())).consume(source)
    assert source.settled == ["ack"]


async def test_events_are_numbered_over_all_batches(detector: Detector) -> None:
    first, second = [other(1), other(2)], [other(3)]
    await Pipeline(detector, Direct([], Counter())).consume(ListSource(first, second))
    assert [event.num for event in [*first, *second]] == [1, 2, 3]


async def test_a_failure_of_the_engine_gives_the_batch_back(
    detector: Detector, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(events: Any) -> None:
        raise RuntimeError("engine broke")

    monkeypatch.setattr(detector.engine, "evaluate_batch", broken)
    source = ListSource([made()])
    await Pipeline(detector, Direct([], Counter())).consume(source)
    assert source.settled == ["nack: its alerts could not be kept"]


async def test_an_output_that_cannot_be_rendered_costs_only_its_alert(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lanner import detect

    real = detect.make_alert

    def fails_for_second(match: Any, hostname: str) -> Alert:
        if match.event.uid.endswith("2"):
            raise RuntimeError("field broke")
        return real(match, hostname)

    monkeypatch.setattr(detect, "make_alert", fails_for_second)
    detector, output = Detector(engine, "h"), ListOutput()
    source = ListSource([made(1), made(2), made(3)])
    await Pipeline(detector, Direct([output], Counter())).consume(source)
    assert len(output.taken) == 2
    assert source.settled == ["ack"]
    assert detector.tally.failures == {"User made": 1}


async def test_a_cancelled_batch_goes_back(detector: Detector) -> None:
    class Stuck(ListOutput):
        async def deliver(self, alerts: Sequence[Alert]) -> None:
            await asyncio.Event().wait()

    source = ListSource([made()])
    task = asyncio.create_task(Pipeline(detector, Direct([Stuck()], Counter())).consume(source))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert source.settled == ["nack: the service stops"]


async def test_a_source_that_cannot_settle_does_not_end_the_pipeline(detector: Detector) -> None:
    class Forgetful(ListSource):
        async def _ack(self) -> None:
            raise ConnectionError("gone")

    pipeline = Pipeline(detector, Direct([], Counter()))
    await pipeline.consume(Forgetful([other()], [other()]))
    assert pipeline.counters["ack_errors"] == 2


async def test_alerts_are_in_the_outbox_before_the_batch_is_acknowledged(detector: Detector, tmp_path: Path) -> None:
    output = ListOutput(fails=1_000)
    outbox = Outbox(tmp_path / "o.sqlite", [output.name])
    custody = Durable(outbox, [output], Counter())
    source = ListSource([made(1)], [made(2)])
    await Pipeline(detector, custody).consume(source)
    assert source.settled == ["ack", "ack"]
    assert output.taken == []
    assert await custody.close(0.0) == 2
    assert Outbox(tmp_path / "o.sqlite", [output.name]).waiting(output.name) == 2


async def test_a_batch_goes_back_when_the_outbox_is_full(detector: Detector, tmp_path: Path) -> None:
    output = ListOutput(fails=1_000)
    custody = Durable(Outbox(tmp_path / "o.sqlite", [output.name], most=1), [output], Counter())
    source = ListSource([made(1)], [made(2)])
    await Pipeline(detector, custody).consume(source)
    assert source.settled == ["ack", "nack: its alerts could not be kept"]
    await custody.close(0.0)


@pytest.mark.usefixtures("quick_retries")
async def test_an_output_that_is_down_delays_only_itself(tmp_path: Path) -> None:
    good, bad = ListOutput("good"), ListOutput("bad", fails=5)
    counters: Counter[str] = Counter()
    custody = Durable(Outbox(tmp_path / "o.sqlite", ["good", "bad"]), [good, bad], counters)
    for number in range(1, 4):
        await custody.take([alert(number)])
    assert await custody.close(20.0) == 0
    assert good.taken == bad.taken == ["uid-1", "uid-2", "uid-3"]
    assert bad.tries > 5
    assert counters["deliveries_failed:bad"] == 5


async def test_what_was_left_goes_out_at_the_next_start(tmp_path: Path) -> None:
    path, output = tmp_path / "o.sqlite", ListOutput()
    outbox = Outbox(path, [output.name])
    outbox.add([alert(1)])
    outbox.close()
    custody = Durable(Outbox(path, [output.name]), [output], Counter())
    await custody.take([alert(2)])
    assert await custody.close(10.0) == 0
    assert output.taken == ["uid-1", "uid-2"]


async def test_an_output_closed_by_its_reader_is_told(tmp_path: Path) -> None:
    closed = ListOutput(fails=1, error=OutputClosed("gone"))
    custody = Durable(Outbox(tmp_path / "o.sqlite", [closed.name]), [closed], Counter())
    await custody.take([alert(1)])
    await asyncio.wait_for(custody.closed.wait(), 10)
    assert await custody.close(1.0) == 1
    direct = Direct([ListOutput(fails=1, error=OutputClosed("gone"))], Counter())
    with pytest.raises(OutputClosed):
        await direct.take([alert(1)])
    assert direct.closed.is_set()


async def test_events_are_stamped_when_their_source_has_not_said_when_they_came(detector: Detector) -> None:
    told, untold = made(1), made(2)
    told.receipt = receipt = Receipt(7, replay=True)
    before = time.time_ns()

    await Pipeline(detector, Direct([ListOutput()], Counter())).consume(ListSource([told], [untold]))

    assert told.receipt is receipt
    assert untold.receipt
    assert before <= untold.receipt.time_ns <= time.time_ns()
    assert not untold.receipt.replay


async def test_what_goes_back_is_counted_when_it_comes_again_and_only_then(engine: Engine) -> None:
    detector, output = Detector(engine, "h"), ListOutput(fails=1)
    pipeline = Pipeline(detector, Direct([output], Counter()))

    await pipeline.consume(ListSource([made(1), other(2)]))
    assert (detector.tally.events, detector.tally.alerts) == ({}, {})

    await pipeline.consume(ListSource([made(1), other(2)]))
    assert detector.tally.events == {"aws_cloudtrail": 2}
    assert list(detector.tally.alerts.values()) == [1]
