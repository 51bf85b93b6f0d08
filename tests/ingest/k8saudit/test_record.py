"""From a decoded value to an event: what is accepted, its time, its identity."""

from typing import Any

import pytest

from ingest.k8saudit.record import BadRecord, to_event
from tests.ingest.k8saudit.samples import Json, audit, event

SECOND = 1_000_000_000
AT = 1_767_323_045 * SECOND  # 2026-01-02T03:04:05Z


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("2026-01-02T03:04:05.123456Z", AT + 123_456_000),
        ("2026-01-02T03:04:05Z", AT),
        ("2026-01-02T03:04:05.1Z", AT + 100_000_000),
        ("2026-01-02T03:04:05.123456789Z", AT + 123_456_789),
        ("2026-01-02T05:04:05.123456789+02:00", AT + 123_456_789),
        ("2026-01-01T21:34:05-05:30", AT),
        ("1970-01-01T00:00:00.000000Z", 0),
    ],
)
def test_the_time_is_that_of_the_stage_in_nanoseconds(text: str, want: int) -> None:
    assert event(audit(stageTimestamp=text)).time_ns == want


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2026-01-02", "2026-13-02T03:04:05.123456Z", "2026-01-02T03:04:60.000000Z", 5, None, True, {},
     "0001-01-01T00:00:00.000000Z", "9999-01-01T00:00:00Z", "2026-01-02T03:04:05.12345xZ"],
)  # fmt: skip
def test_an_unreadable_time_is_replaced_by_the_next_best(text: Any) -> None:
    record = audit()
    record["stageTimestamp"] = text

    assert event(record).time_ns == AT + 123_000_000

    del record["requestReceivedTimestamp"]
    record["timestamp"] = "2026-01-02T03:04:05Z"

    assert event(record).time_ns == AT


def test_an_event_without_any_time_is_refused() -> None:
    with pytest.raises(BadRecord, match="no-time: stageTimestamp is no RFC 3339 time: 'soon'"):
        event(audit(stageTimestamp="soon", requestReceivedTimestamp=None))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"apiVersion": "audit.k8s.io/v1beta1"},
        {"apiVersion": None},
        {"kind": None},
        {"auditID": None},
        {"verb": None},
        {"stage": None, "objectRef": None, "user": None},
        {"somethingNew": {"of": ["a", "later", "server"]}},
    ],
)
def test_accepted_forms_of_an_event(changes: Json) -> None:
    record = audit(**changes)

    found = event(record)

    assert (found.source, found.record, found.origin) == ("k8s_audit", record, "test")


@pytest.mark.parametrize(
    ("value", "slug"),
    [
        (None, "not-an-object"),
        ([], "not-an-object"),
        ("text", "not-an-object"),
        (5, "not-an-object"),
        ({}, "not-an-audit-event"),
        ({"kind": 0}, "other-kind"),
        (audit(kind="Pod"), "other-kind"),
        (audit(kind="event"), "other-kind"),
        (audit(apiVersion="v1"), "other-api"),
        (audit(apiVersion=5), "other-api"),
        (audit(auditID=5, verb=None), "not-an-audit-event"),
        (audit(stageTimestamp=None, requestReceivedTimestamp=None), "no-time"),
    ],
)
def test_what_is_no_audit_event_is_refused_with_a_reason(value: Any, slug: str) -> None:
    with pytest.raises(BadRecord) as refusal:
        to_event(value, "")

    assert refusal.value.slug == slug


def test_the_uid_is_the_same_for_the_same_event_whatever_the_order_of_its_keys() -> None:
    record = audit()
    reordered = dict(reversed(record.items()))

    assert event(record).uid == event(reordered).uid
    assert event(record).uid.startswith("11111111-2222-3333-4444-555555555555/ResponseComplete/")


@pytest.mark.parametrize(
    "change",
    [
        {"stage": "ResponseStarted"},
        {"verb": "delete"},
        {"stageTimestamp": "2026-01-02T03:04:05.123457Z"},
        {"user": {"username": "mallory"}},
    ],
)
def test_an_audit_id_that_a_client_chose_again_hides_no_other_event(change: Json) -> None:
    assert event(audit(**change)).uid != event(audit()).uid


def test_events_that_json_cannot_write_have_a_uid() -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]

    assert event(audit(requestObject=nested)).uid
    assert event(audit(userAgent="\ud800")).uid
