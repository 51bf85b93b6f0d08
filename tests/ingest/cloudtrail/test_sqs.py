"""The SQS consumer against real HTTP: everything is delivered, and nothing is deleted before it is."""

from tests.ingest.cloudtrail.support import (
    Aws,
    quick,
    running,
    trail_key,
    trail_record,
)


async def test_a_queue_is_drained_and_emptied(aws: Aws) -> None:
    aws.bucket()
    url = aws.queue()
    for n in range(12):
        aws.announce(url, aws.put(trail_key(f"file{n}"), [trail_record(2 * n), trail_record(2 * n + 1)]))
    aws.send(url, trail_record(100))
    aws.send(url, "CloudTrail validation message.")

    async with running(quick(url)) as run:
        await run.until_count("messages:deleted", 14)

    assert run.ids == [*range(24), 100]
    assert aws.left(url) == 0
    assert run.source.counters["ignored:validation-message"] == 1
    assert run.source.health().ok
