import time
from collections.abc import Iterator

import pytest

from engine import times

NS = 1_700_000_000_000_000_042  # 2023-11-14 22:13:20 UTC


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("berlin")
def test_local_formats_follow_the_time_zone() -> None:
    assert times.local_time(NS) == "23:13:20.000000042"
    assert times.local_time_s(NS) == "23:13:20"
    assert times.local_datetime(NS) == "2023-11-14 23:13:20.000000042"
    assert times.local_datetime_s(NS) == "2023-11-14 23:13:20"


@pytest.mark.usefixtures("berlin")
def test_utc_formats_do_not() -> None:
    assert times.utc_iso(NS) == "2023-11-14T22:13:20.000000042+0000"
    assert times.utc_json(NS) == "2023-11-14T22:13:20.000000042Z"


def test_times_before_the_epoch_and_full_seconds() -> None:
    assert times.utc_json(-1) == "1969-12-31T23:59:59.999999999Z"
    assert times.utc_json(0) == "1970-01-01T00:00:00.000000000Z"
