"""Fewer messages about one thing: none about another is held back, and what is held back is counted and told."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lanner.config import read
from lanner.durations import Duration, seconds, shown
from lanner.errors import ConfigError
from lanner.outputs.base import Undelivered
from lanner.outputs.delivery import DeadLetters, Delivery
from lanner.outputs.throttle import COUNT, Throttle, ThrottleOptions
from tests.lanner.outputs.receiver import alert
from tests.lanner.outputs.test_delivery import Scripted


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def by(user: str, **more: Any) -> Any:
    return alert(output_fields={"ct.user": user}, **more)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def throttle(clock: Clock) -> Throttle:
    return Throttle(ThrottleOptions(("ct.user",), Duration(60), 2), clock)


def test_one_thing_is_told_so_often_in_a_while(throttle: Throttle, clock: Clock) -> None:
    assert [throttle.admits(by("ann")) for _ in range(5)] == [True, True, False, False, False]
    clock.now = 59
    assert not throttle.admits(by("ann"))
    assert throttle.due() == []
    clock.now = 60
    (follow_up,) = throttle.due()
    assert follow_up.message == "alice stopped <b>trail</b> & more (this is the last of 4 more like it within 1m)"
    assert follow_up.output_fields[COUNT] == 4
    assert throttle.admits(by("ann"))


def test_another_victim_or_rule_is_never_hidden(throttle: Throttle) -> None:
    for _ in range(9):
        throttle.admits(by("ann"))
    assert throttle.admits(by("bob"))
    assert throttle.admits(by("ann", rule="Another"))
    assert throttle.admits(alert(output_fields={}))
    assert throttle.admits(by("ann", source="k8s_audit"))


def test_nothing_follows_when_nothing_was_held_back(throttle: Throttle, clock: Clock) -> None:
    throttle.admits(by("ann"))
    clock.now = 100
    assert throttle.due() == []


def test_many_things_take_bounded_memory(throttle: Throttle) -> None:
    for number in range(60_000):
        assert throttle.admits(by(f"user{number}"))
    assert len(throttle._seen) <= 60_000


async def test_an_output_tells_of_what_it_held_back_in_time_and_at_its_end(tmp_path: Path, clock: Clock) -> None:
    output, counters = Scripted(), Counter[str]()
    made = Throttle(ThrottleOptions(("ct.user",), Duration(60)), clock)
    delivery = Delivery(output, lambda _: True, DeadLetters(tmp_path), counters, made)
    await delivery.start()
    await delivery.deliver([by("ann", uid=str(number)) for number in range(4)] + [by("bob", uid="b")])
    assert output.got == ["0", "b"]
    assert counters == {"alerts_held_back:scripted": 3}
    clock.now = 61
    for _ in range(100):
        await asyncio.sleep(0.05)
        if len(output.got) == 3:
            break
    assert output.got == ["0", "b", "3"]
    await delivery.deliver([by("ann", uid="5"), by("ann", uid="6")])
    await delivery.close()
    assert output.got == ["0", "b", "3", "5", "6"]


async def test_a_delivery_that_fails_holds_nothing_back_twice(tmp_path: Path, clock: Clock) -> None:
    output = Scripted(Undelivered("down"))
    made = Throttle(ThrottleOptions(("ct.user",), Duration(60)), clock)
    counters = Counter[str]()
    delivery = Delivery(output, lambda _: True, DeadLetters(tmp_path), counters, made)
    alerts = [by("ann", uid="1"), by("ann", uid="2"), by("bob", uid="3")]
    with pytest.raises(Undelivered):
        await delivery.deliver(alerts)
    await delivery.deliver(alerts)
    assert output.got == ["1", "3"]
    assert counters == {"alerts_held_back:scripted": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("15m", 900), ("4h", 14400), ("2d", 172800), ("1h30m", 5400), ("30", 30), ("1.5h", 5400)],
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("number", "expected"), [(90, "90s"), (900, "15m"), (14400, "4h"), (172800, "2d"), (0.5, "0.5s")]
)
def test_durations_as_people_write_them(number: float, expected: str) -> None:
    assert shown(number) == expected


@pytest.mark.parametrize(
    ("throttle", "told"),
    [
        ("{by: []}", "throttle.by: name the fields that tell one victim from another"),
        ("{by: [ct.user], window: soon}", "outputs[0].throttle.window: 'soon' is no duration; write one as 90s"),
        ("{by: [ct.user], first: 0}", "'first' is at least 1"),
        ("{window: 1h}", "outputs[0].throttle: 'by' is missing"),
    ],
)
def test_a_mistake_is_told(throttle: str, told: str) -> None:
    text = f"sources: [{{type: k8saudit}}]\noutputs: [{{type: file, name: x, filename: x, throttle: {throttle}}}]"
    with pytest.raises(ConfigError) as error:
        read(text, "f.yaml")
    assert told in str(error.value)
