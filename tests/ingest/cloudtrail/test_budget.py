"""Downloads wait for bytes, first come first served, and nothing waits for ever."""

import asyncio

from ingest.cloudtrail.budget import Budget


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_waiting_is_first_come_first_served() -> None:
    budget = Budget(100)
    await budget.take(80)
    large = asyncio.create_task(budget.take(60))
    small = asyncio.create_task(budget.take(10))
    await settle()
    assert not large.done()
    assert not small.done()

    budget.give(80)
    await settle()
    assert large.done()
    assert small.done()
    assert budget.used == 70


async def test_more_than_the_whole_budget_waits_until_it_is_alone() -> None:
    budget = Budget(100)
    await budget.take(1)
    huge = asyncio.create_task(budget.take(10_000))
    await settle()
    assert not huge.done()

    budget.give(1)
    assert await huge == 100


async def test_a_corrected_estimate_may_exceed_the_total_and_holds_up_the_next() -> None:
    budget = Budget(100)
    taken = await budget.take(50)
    taken = budget.resize(taken, 300)
    waiting = asyncio.create_task(budget.take(10))
    await settle()
    assert not waiting.done()

    budget.give(taken)
    assert await waiting == 10
    assert budget.used == 10


async def test_one_who_gives_up_waiting_lets_the_next_go() -> None:
    budget = Budget(100)
    await budget.take(50)
    large = asyncio.create_task(budget.take(60))
    small = asyncio.create_task(budget.take(10))
    await settle()
    large.cancel()
    await settle()

    assert small.done()
    assert budget.used == 60


async def test_one_who_gives_up_just_when_its_turn_comes_gives_it_back() -> None:
    budget = Budget(100)
    await budget.take(100)
    waiting = asyncio.create_task(budget.take(10))
    await settle()
    budget.give(100)
    waiting.cancel()
    await settle()

    assert waiting.cancelled()
    assert budget.used == 0
