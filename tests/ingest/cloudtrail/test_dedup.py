"""Repeats are known only once their first appearance is safe."""

from ingest.cloudtrail.dedup import Claim, Seen


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def test_a_committed_key_is_a_repeat() -> None:
    seen = Seen(10, 60)
    first, second = Claim(), Claim()

    assert seen.reserve("a", first)
    first.commit()

    assert not seen.reserve("a", second)
    assert second.waits_for == set()
    assert await first.settled


async def test_a_released_key_is_new_again() -> None:
    seen = Seen(10, 60)
    first = Claim()
    seen.reserve("a", first)
    first.release()

    assert seen.reserve("a", Claim())
    assert not await first.settled


async def test_a_key_under_way_elsewhere_is_waited_for() -> None:
    seen = Seen(10, 60)
    first, second = Claim(), Claim()
    seen.reserve("a", first)

    assert not seen.reserve("a", second)
    assert second.waits_for == {first}


async def test_a_key_twice_in_one_claim_is_a_repeat_without_waiting() -> None:
    seen = Seen(10, 60)
    claim = Claim()
    seen.reserve("a", claim)

    assert not seen.reserve("a", claim)
    assert claim.waits_for == set()


async def test_the_oldest_keys_are_forgotten_first() -> None:
    seen = Seen(2, 60)
    for key in "abc":
        claim = Claim()
        seen.reserve(key, claim)
        claim.commit()

    assert len(seen) == 2
    assert seen.reserve("a", Claim())
    assert not seen.reserve("c", Claim())


async def test_keys_are_forgotten_after_their_time() -> None:
    clock = Clock()
    seen = Seen(10, 60, clock)
    old = Claim()
    seen.reserve("a", old)
    old.commit()
    clock.now = 60.0

    young = Claim()
    assert seen.reserve("a", young)
    young.commit()
    assert len(seen) == 1


async def test_keys_under_way_do_not_count_towards_the_limit() -> None:
    seen = Seen(1, 60)
    claim = Claim()
    assert [seen.reserve(n, claim) for n in range(5)] == [True] * 5
    assert len(seen) == 0

    claim.commit()
    assert len(seen) == 1


async def test_settling_twice_keeps_the_first_answer() -> None:
    seen = Seen(10, 60)
    claim = Claim()
    seen.reserve("a", claim)
    claim.commit()
    claim.release()

    assert await claim.settled
    assert not seen.reserve("a", Claim())
