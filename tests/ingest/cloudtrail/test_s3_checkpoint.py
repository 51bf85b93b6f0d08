"""The checkpoint never passes a key that was not delivered."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.cloudtrail.checkpoint import Checkpoint
from ingest.cloudtrail.listing import Root
from tests.ingest.cloudtrail.support import ACCOUNT, REGION, trail_key

ROOT = Root(f"AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/", dated=True)


def key(day: int) -> str:
    return trail_key("a", f"2026/01/{day:02}")


def at(day: int) -> datetime:
    """Say where listing goes on after a day's file: a day of lookback before it."""
    return datetime(2026, 1, day, 3, 5, tzinfo=UTC) - timedelta(days=1)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Iterator[Checkpoint]:
    made = open_again(tmp_path)
    yield made
    made.close()


def open_again(folder: Path) -> Checkpoint:
    return Checkpoint(str(folder / "trail.db"), "s3://bucket", timedelta(days=1))


def begin(checkpoint: Checkpoint, *days: int) -> None:
    for day in days:
        assert checkpoint.begin(ROOT, key(day), "e")


def finish(checkpoint: Checkpoint, *days: int) -> None:
    for day in days:
        checkpoint.finish(ROOT, key(day), "e", "done")


def test_nothing_delivered_means_from_the_beginning(checkpoint: Checkpoint) -> None:
    begin(checkpoint, 5)

    assert checkpoint.since(ROOT) is None


def test_it_follows_what_is_delivered(checkpoint: Checkpoint) -> None:
    begin(checkpoint, 5, 6)
    finish(checkpoint, 5)
    assert checkpoint.since(ROOT) == at(5)

    finish(checkpoint, 6)
    assert checkpoint.since(ROOT) == at(6)


def test_it_waits_for_earlier_keys_still_under_way(checkpoint: Checkpoint) -> None:
    begin(checkpoint, 5, 6, 7)
    finish(checkpoint, 7, 6)
    assert checkpoint.since(ROOT) is None

    finish(checkpoint, 5)
    assert checkpoint.since(ROOT) == at(7)


def test_it_never_passes_a_key_that_was_given_up_until_that_is_delivered(checkpoint: Checkpoint) -> None:
    begin(checkpoint, 5, 6)
    checkpoint.abandon(ROOT, key(5))
    finish(checkpoint, 6)
    begin(checkpoint, 20)
    finish(checkpoint, 20)
    assert checkpoint.since(ROOT) is None

    begin(checkpoint, 5)
    finish(checkpoint, 5)
    begin(checkpoint, 21)
    finish(checkpoint, 21)
    assert checkpoint.since(ROOT) == at(21)


def test_a_late_key_does_not_move_it_back(checkpoint: Checkpoint) -> None:
    begin(checkpoint, 9)
    finish(checkpoint, 9)
    begin(checkpoint, 8)
    finish(checkpoint, 8)

    assert checkpoint.since(ROOT) == at(9)


def test_a_key_is_begun_once_until_it_changes(checkpoint: Checkpoint) -> None:
    begin(checkpoint, 5)
    assert not checkpoint.begin(ROOT, key(5), "e")
    finish(checkpoint, 5)
    assert not checkpoint.begin(ROOT, key(5), "e")
    assert checkpoint.begin(ROOT, key(5), "another")


def test_it_survives_the_process(checkpoint: Checkpoint, tmp_path: Path) -> None:
    begin(checkpoint, 5, 6)
    finish(checkpoint, 5)
    checkpoint.close()

    again = open_again(tmp_path)
    assert again.since(ROOT) == at(5)
    assert not again.begin(ROOT, key(5), "e")
    assert again.begin(ROOT, key(6), "e")
    again.close()


def test_keys_that_are_never_listed_again_are_forgotten(checkpoint: Checkpoint) -> None:
    begin(checkpoint, 5, 6, 20)
    finish(checkpoint, 5, 6, 20)

    rows = checkpoint._db.execute("SELECT key FROM done").fetchall()
    assert rows == [(key(20),)]


def test_other_roots_are_apart(checkpoint: Checkpoint) -> None:
    begin(checkpoint, 5)
    finish(checkpoint, 5)

    assert checkpoint.since(Root("AWSLogs/444455556666/CloudTrail/eu-west-1/", dated=True)) is None
