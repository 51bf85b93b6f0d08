"""One record to one event."""

import json
from typing import Any

import pytest

from ingest.cloudtrail.record import BadRecord, is_record, to_event
from tests.ingest.cloudtrail.samples import RECORD, event


def test_a_record_becomes_an_event_and_stays_itself() -> None:
    found = to_event(RECORD, "s3://trail/file.json.gz")
    assert (found.source, found.origin, found.record) == ("aws_cloudtrail", "s3://trail/file.json.gz", RECORD)
    assert found.record is RECORD
    assert found.time_ns == 1_767_323_045_000_000_000
    assert found.uid == RECORD["eventID"]


@pytest.mark.parametrize("changes", [{"eventName": ...}, {"eventType": ...}, {"eventName": None}, {"eventType": 3}])
def test_name_or_type_is_enough(changes: dict[str, Any]) -> None:
    assert event(**changes).time_ns


def test_insight_events_are_events() -> None:
    found = event(eventType="AwsCloudTrailInsight", eventName=..., userIdentity=..., insightDetails={"state": "Start"})
    assert found.record["insightDetails"] == {"state": "Start"}


@pytest.mark.parametrize(
    ("changes", "slug", "key"),
    [
        ({"eventTime": ...}, "no-event-time", "eventTime"),
        ({"eventTime": None}, "no-event-time", "eventTime"),
        ({"eventTime": "yesterday"}, "bad-event-time", "eventTime"),
        ({"eventTime": "2026-13-02T03:04:05Z"}, "bad-event-time", "eventTime"),
        ({"eventTime": 1767323045}, "bad-event-time", "eventTime"),
        ({"eventTime": ["2026-01-02T03:04:05Z"]}, "bad-event-time", "eventTime"),
        ({"eventTime": {}}, "bad-event-time", "eventTime"),
        ({"eventName": ..., "eventType": ...}, "no-event-name", "eventName"),
        ({"eventName": None, "eventType": 1}, "no-event-name", "eventName"),
    ],
)
def test_bad_records_are_told_by_slug_and_key(changes: dict[str, Any], slug: str, key: str) -> None:
    with pytest.raises(BadRecord) as caught:
        event(**changes)
    assert (caught.value.slug, caught.value.key) == (slug, key)
    assert str(caught.value).startswith(f"{key}: ")


@pytest.mark.parametrize("record", [None, [], "text", 1, True])
def test_only_objects_are_records(record: object) -> None:
    with pytest.raises(BadRecord) as caught:
        to_event(record, "")
    assert caught.value.slug == "not-an-object"


@pytest.mark.parametrize("event_id", [..., None, "", "...", 17, ["x"]])
def test_without_an_id_of_its_own_a_record_is_known_by_its_content(event_id: object) -> None:
    found, other = event(eventID=event_id), event(eventID=event_id, userAgent="another")
    reordered = to_event(dict(reversed(found.record.items())), "elsewhere")
    assert len(found.uid) == 32
    assert found.uid == reordered.uid
    assert found.uid != other.uid


def test_a_record_nested_too_deeply_for_json_has_an_identity() -> None:
    deep: Any = {}
    for _ in range(5000):
        deep = {"a": deep}
    assert (
        event(eventID=..., requestParameters=deep).uid != event(eventID=..., userAgent="x", requestParameters=deep).uid
    )


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (RECORD, True),
        ({"eventTime": "t", "eventName": "n", "eventSource": "s"}, True),
        ({"eventTime": "t", "eventVersion": "1.08"}, True),
        (
            {
                "eventVersion": "2.1",
                "eventTime": "t",
                "eventSource": "aws:s3",
                "eventName": "ObjectCreated:Put",
                "s3": {},
            },
            False,
        ),
        ({"kind": "Event", "auditID": "x", "eventTime": None}, False),
        ({"eventName": "n", "eventSource": "s"}, False),
        ({}, False),
    ],
)
def test_records_are_told_from_others(value: dict[str, Any], known: bool) -> None:
    assert is_record(json.loads(json.dumps(value))) is known
