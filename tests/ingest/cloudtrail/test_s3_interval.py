"""The interval option: Falco's spellings, blanks allowed, both ends included."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.base import SourceError
from ingest.cloudtrail.interval import Interval, parse_interval

NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)


def ago(**units: int) -> datetime:
    return NOW - timedelta(**units)


JANUARY = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("", None, None),
        ("  ", None, None),
        ("5d", ago(days=5), None),
        ("36h", ago(hours=36), None),
        ("90m", ago(minutes=90), None),
        ("10s", ago(seconds=10), None),
        ("2w", ago(weeks=2), None),
        ("5d-2d", ago(days=5), ago(days=2)),
        (" 5d - 2d ", ago(days=5), ago(days=2)),
        ("2026-01-02T03:04:05Z", JANUARY, None),
        ("2026-01-02T03:04:05Z-2d", JANUARY, ago(days=2)),
        ("2026-01-02T03:04:05Z-2026-01-03T03:04:05Z", JANUARY, JANUARY + timedelta(days=1)),
    ],
)
def test_every_spelling_is_read(text: str, start: datetime | None, end: datetime | None) -> None:
    assert parse_interval(text, NOW) == Interval(start, end)


@pytest.mark.parametrize(
    "text",
    [
        "5",
        "d",
        "5y",
        "-5d",
        "5d-",
        "2d-5d",
        "yesterday",
        "2026-01-02",
        "2026-13-02T00:00:00Z",
        "999999999w",
        "5d-2d-1d",
    ],
)
def test_anything_else_is_an_error_that_repeats_it(text: str) -> None:
    with pytest.raises(SourceError, match="interval"):
        parse_interval(text, NOW)


def test_both_ends_are_included() -> None:
    interval = parse_interval("5d-2d", NOW)

    assert [ago(days=n) in interval for n in (6, 5, 3, 2, 1)] == [False, True, True, True, False]
    assert NOW in Interval()
