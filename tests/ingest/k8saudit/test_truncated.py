"""Events whose text was cut off: what is whole of them is evaluated, wherever the cut falls."""

import json
from typing import Any

import pytest

from ingest.k8saudit.shapes import decode, decode_log_events
from ingest.k8saudit.truncated import MARK
from tests.ingest.k8saudit.samples import audit, body

NOON = 1_767_355_200_000_000_000  # 2026-01-02T12:00:00Z


def written(**changes: Any) -> str:
    """Return an event as the API server writes it: members in the order of its type, the objects before the times."""
    order = "kind apiVersion level auditID stage requestURI verb user sourceIPs userAgent objectRef responseStatus"
    order += " requestObject requestReceivedTimestamp stageTimestamp annotations"
    found = audit(requestObject={"spec": {"containers": [{"image": 'a"}],{[', "args": ["x" * 500]}]}}, **changes)
    return json.dumps({key: found[key] for key in order.split() if key in found}, separators=(",", ":"))


TEXT = written()
IN_THE_BODY = TEXT.index('"requestObject"') + 100


def test_an_event_that_was_cut_in_its_body_is_one_without_the_body() -> None:
    (found,) = decode_log_events([{"message": TEXT[:IN_THE_BODY] + MARK, "timestamp": NOON // 1_000_000}], "").events

    assert found.record["user"]["username"] == "alice"
    assert found.record["objectRef"]["resource"] == "pods"
    assert found.record["responseStatus"]["code"] == 200
    assert "requestObject" not in found.record
    assert found.time_ns == NOON
    assert found.record["annotations"] == {"lanner/truncated": "true", "lanner/time-inferred": "true"}


def test_a_time_that_is_still_there_holds() -> None:
    text = TEXT[: TEXT.index('"annotations"') + 10]
    (found,) = decode_log_events([{"message": text + MARK, "timestamp": 5}], "").events

    assert found.record["stageTimestamp"] == "2026-01-02T03:04:05.123456Z"
    assert found.record["annotations"] == {"lanner/truncated": "true"}


@pytest.mark.parametrize("cut", range(0, len(TEXT), 7))
def test_wherever_the_cut_falls_nothing_is_invented(cut: int) -> None:
    whole = json.loads(TEXT)
    decoded = decode_log_events([{"message": TEXT[:cut] + MARK, "timestamp": 1}], "")

    for found in decoded.events:
        kept = {key: value for key, value in found.record.items() if key not in ("annotations", "stageTimestamp")}
        assert kept.items() <= whole.items()
    after_the_user = cut > TEXT.index('"sourceIPs"')
    assert len(decoded.events) == after_the_user
    assert len(decoded.events) + len(decoded.skipped) == 1


def test_a_cut_line_of_a_log_takes_the_time_of_the_line_before() -> None:
    lines = [TEXT, TEXT[:IN_THE_BODY] + MARK, written(auditID="last")]
    decoded = decode("\n".join(lines).encode(), "")

    assert [event.record["auditID"][-4:] for event in decoded.events] == ["5555", "5555", "last"]
    assert decoded.events[1].time_ns == decoded.events[0].time_ns
    assert decoded.skipped == []


def test_a_cut_event_alone_has_the_time_at_which_it_is_read() -> None:
    (found,) = decode((TEXT[:IN_THE_BODY] + MARK + "\n").encode(), "").events

    assert found.time_ns > NOON - 10**18
    assert found.record["annotations"]["lanner/time-inferred"] == "true"


def test_a_subscription_with_a_cut_event() -> None:
    entries = [{"id": "1", "timestamp": NOON // 1_000_000, "message": TEXT[:IN_THE_BODY] + MARK}]
    (found,) = decode(body({"messageType": "DATA_MESSAGE", "logEvents": entries}), "").events

    assert found.time_ns == NOON


@pytest.mark.parametrize(
    "text",
    ["", "{", "[[[[", '{"auditID":"x","verb":5,"user":{},', "not json, ", '{"a":' * 100_000, '"' + "\\" * 99_999],
)
def test_what_tells_nothing_is_told_as_cut(text: str) -> None:
    decoded = decode((text + MARK).encode(), "")

    assert decoded.events == []
    assert [reason for reason, _ in decoded.skipped] == ["truncated"]
