"""The breaker opens on repeated failures about different things, and one try decides when it closes."""

from ingest.cloudtrail.breaker import Breaker


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    breaker = Breaker(failures=3, distinct=2, first=30, longest=100, clock=clock)
    for subject in "aab":
        breaker.failure(subject, "denied")
    return breaker


def test_failures_about_too_few_things_do_not_open_it() -> None:
    breaker = Breaker(failures=3, distinct=2, clock=Clock())

    assert [breaker.failure("a", "denied") for _ in range(9)] == [False] * 9
    assert breaker.closed


def test_it_opens_once_and_says_so_once() -> None:
    breaker = Breaker(failures=3, distinct=2, first=30, clock=Clock())

    assert [breaker.failure(subject, "denied") for subject in "aabcd"] == [False, False, True, False, False]
    assert (breaker.closed, breaker.pause, breaker.reason) == (False, 30, "denied")


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = Breaker(failures=3, distinct=2, clock=Clock())
    breaker.failure("a", "denied")
    breaker.failure("b", "denied")
    breaker.success()

    assert not breaker.failure("c", "denied")


def test_failures_that_were_under_way_do_not_lengthen_the_pause() -> None:
    breaker = opened(Clock())
    breaker.failure("c", "denied")

    assert breaker.pause == 30


def test_each_failed_try_doubles_the_pause_up_to_the_longest() -> None:
    clock = Clock()
    breaker = opened(clock)
    pauses = []
    for _ in range(4):
        clock.now += breaker.pause
        assert breaker.pause == 0
        breaker.failure("c", "still denied")
        pauses.append(breaker.pause)

    assert pauses == [60, 100, 100, 100]


def test_a_success_closes_it_and_resets_the_pause() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now = 30
    breaker.failure("c", "denied")

    assert breaker.success()
    assert not breaker.success()
    assert breaker.closed
    assert breaker.trip("denied again")
    assert breaker.pause == 30
