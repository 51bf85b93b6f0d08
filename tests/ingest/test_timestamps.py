"""RFC 3339 timestamps to nanoseconds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.timestamps import epoch_ns

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2013-11-01T00:00:00Z", 1_383_264_000 * SECOND),
        ("2013-11-01t00:00:00z", 1_383_264_000 * SECOND),
        ("2013-11-01T00:00:00", 1_383_264_000 * SECOND),
        ("2013-11-01 00:00:00", 1_383_264_000 * SECOND),
        ("2013-11-01T02:00:00+02:00", 1_383_264_000 * SECOND),
        ("2013-10-31T19:00:00.5-05:00", 1_383_264_000 * SECOND + 500_000_000),
        ("2013-11-01T00:00:00.123456Z", 1_383_264_000 * SECOND + 123_456_000),
        ("2013-11-01T00:00:00.123456789Z", 1_383_264_000 * SECOND + 123_456_789),
        ("2013-11-01T00:00:00.1234567891Z", 1_383_264_000 * SECOND + 123_456_789),
        ("2013-11-01T02:00:00.1234567+02:00", 1_383_264_000 * SECOND + 123_456_700),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
    ],
)
def test_times_are_exact_to_the_nanosecond(text: str, ns: int) -> None:
    assert epoch_ns(text) == ns


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "2013-11-01",
        "20131101T000000Z",
        "2013-W44-5T00:00:00Z",
        "2013-11-01T25:00:00Z",
        "2013-13-01T00:00:00Z",
        "1383264000",
        "\N{FULLWIDTH DIGIT TWO}013-11-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
    ],
)
def test_anything_else_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 3339|out of range"):
        epoch_ns(text)


@given(st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1)))
def test_times_agree_with_datetime(time: datetime) -> None:
    since = time.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    assert epoch_ns(time.isoformat()) == (since.days * 86400 + since.seconds) * SECOND + since.microseconds * 1000
