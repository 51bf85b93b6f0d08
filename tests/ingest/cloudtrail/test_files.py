"""Payloads of all forms, sound and broken."""

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.base import Decoded
from ingest.cloudtrail.files import decode, is_candidate_key, looks_like, why_skipped
from tests.ingest.cloudtrail.samples import RECORD, Json, plain
from tests.shared import SHARED, needs_shared


def record(number: int, **changes: Any) -> Json:
    return {**RECORD, "eventID": f"3a0d6ee5-3a9e-4a0c-9d6e-{number:012}", **changes}


R1, R2, R3 = record(1), record(2), record(3)


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


def numbers(decoded: Decoded) -> list[int]:
    return [int(event.uid[-12:]) for event in decoded.events]


def reasons(decoded: Decoded) -> list[str]:
    return [reason for reason, _ in decoded.skipped]


LOG_DATA = {
    "messageType": "DATA_MESSAGE",
    "owner": "111122223333",
    "logGroup": "CloudTrail/DefaultLogGroup",
    "logEvents": [{"id": str(at), "timestamp": 0, "message": json.dumps(each)} for at, each in enumerate((R1, R2, R3))],
}


def envelope(detail: object, kind: str = "AWS API Call via CloudTrail") -> Json:
    return {"version": "0", "id": "e", "detail-type": kind, "source": "aws.iam", "detail": detail}


FORMS = {
    "file": dumped({"Records": [R1, R2, R3]}),
    "compressed file": gzip.compress(dumped({"Records": [R1, R2, R3]})),
    "twice compressed": gzip.compress(gzip.compress(dumped({"Records": [R1, R2, R3]}))),
    "indented": json.dumps({"Records": [R1, R2, R3]}, indent=2).encode(),
    "byte order mark": b"\xef\xbb\xbf" + dumped({"Records": [R1, R2, R3]}),
    "utf-16": json.dumps({"Records": [R1, R2, R3]}).encode("utf-16"),
    "array": dumped([R1, R2, R3]),
    "lines": b"\n".join(dumped(each) for each in (R1, R2, R3)),
    "concatenated": b"".join(dumped(each) for each in (R1, R2, R3)),
    "indented values": b"\n".join(json.dumps(each, indent=1).encode() for each in (R1, R2, R3)),
    "files, concatenated": dumped({"Records": [R1]}) + dumped({"Records": [R2, R3]}),
    "gzip members": gzip.compress(dumped({"Records": [R1]})) + gzip.compress(dumped({"Records": [R2, R3]})),
    "log data": dumped(LOG_DATA),
    "log data, concatenated": dumped({**LOG_DATA, "logEvents": LOG_DATA["logEvents"][:1]})
    + dumped({**LOG_DATA, "logEvents": LOG_DATA["logEvents"][1:]}),
    "envelopes": b"\n".join(dumped(envelope(each)) for each in (R1, R2, R3)),
    "array of envelopes": dumped([envelope(R1), envelope(R2, "AWS Console Sign In via CloudTrail"), R3]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_its_records(form: str) -> None:
    decoded = decode(FORMS[form], "here")
    assert numbers(decoded) == [1, 2, 3]
    assert not decoded.skipped
    assert {event.origin for event in decoded.events} == {"here"}
    assert all(event.record["eventName"] == "CreateUser" for event in decoded.events)


def test_a_single_record_is_a_payload() -> None:
    assert numbers(decode(dumped(R1), "")) == numbers(decode(dumped(envelope(R1)), "")) == [1]


def test_bad_records_are_named_by_their_place_and_cost_themselves_alone() -> None:
    bad = [R1, {**R2, "eventTime": None}, "text", {**R2, "eventTime": "soon"}, None, {"eventTime": R1["eventTime"]}, R3]
    decoded = decode(dumped({"Records": bad}), "")
    assert numbers(decoded) == [1, 3]
    assert decoded.skipped == [
        ("no-event-time", "$.Records[1].eventTime: missing"),
        ("not-an-object", "$.Records[2]: str instead of an object"),
        ("bad-event-time", "$.Records[3].eventTime: 'soon' is no RFC 3339 time"),
        ("not-an-object", "$.Records[4]: NoneType instead of an object"),
        ("no-event-name", "$.Records[5].eventName: missing, and so is eventType"),
    ]


def test_a_bad_line_is_named_and_costs_itself_alone() -> None:
    lines = [dumped(R1), dumped(R2)[:-40], dumped({**R2, "eventTime": 1}), dumped(R3)]
    decoded = decode(b"\n".join(lines), "")
    assert numbers(decoded) == [1, 3]
    assert [(reason, detail.partition(":")[0]) for reason, detail in decoded.skipped] == [
        ("not-json", "line 2 column 1"),
        ("bad-event-time", "line 3 column 1"),
    ]
    assert "$.eventTime" in decoded.skipped[1][1]


def test_records_before_and_after_a_broken_one_are_found() -> None:
    broken = json.dumps(R2).replace('"userName": "ana"}', '"userName": "ana"')
    text = f'{{"Records": [{json.dumps(R1)}, {broken}, {json.dumps(R3)}]}}'
    decoded = decode(text.encode(), "")
    assert numbers(decoded) == [1, 3]
    assert reasons(decoded) == ["not-json"]


def test_a_truncated_file_gives_the_records_that_came() -> None:
    packed = gzip.compress(dumped({"Records": [record(at, requestID=f"{at * 7919:x}") for at in range(200)]}))
    decoded = decode(packed[: len(packed) * 2 // 3], "")
    assert 50 < len(decoded.events) < 200
    assert numbers(decoded) == list(range(len(decoded.events)))
    assert reasons(decoded) == ["truncated-gzip", "not-json"]


def test_a_file_with_a_wrong_checksum_gives_all_its_records() -> None:
    packed = FORMS["compressed file"]
    decoded = decode(packed[:-8] + b"\0\1\2\3" + packed[-4:], "")
    assert numbers(decoded) == [1, 2, 3]
    assert reasons(decoded) == ["bad-gzip"]


def test_a_bomb_gives_nothing_but_its_reason() -> None:
    decoded = decode(gzip.compress(b" " * 5_000_000), "", max_ratio=100)
    assert (decoded.events, reasons(decoded)) == ([], ["bomb"])
    assert reasons(decode(FORMS["file"], "", max_bytes=100)) == ["too-large"]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (gzip.compress(b"", mtime=0), "empty"),
        (b"PAR1....PAR1", "unsupported:parquet"),
        (b"\x28\xb5\x2f\xfd....", "unsupported:zstd"),
        (b"version account-id interface-id\n2 111122223333 eni-1\n", "not-json"),
        (b"\x00\x01\x02\x03", "not-json"),
        (b"17", "not-an-object"),
        (b'"text"', "not-an-object"),
        (b"{}", "not-cloudtrail"),
        (b'{"class_uid": 6003, "metadata": {}}', "not-cloudtrail"),
        (b'{"Records": "none"}', "not-cloudtrail"),
        (b"[[[[[{}]]]]]", "not-cloudtrail"),
        (dumped(envelope({}, "EC2 Instance State-change Notification")), "not-cloudtrail"),
        (dumped(envelope("text")), "not-an-object"),
        (
            dumped({"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": "CWL CONTROL MESSAGE"}]}),
            "control-message",
        ),
        (dumped({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": "no json"}]}), "bad-message"),
        (dumped({"messageType": "DATA_MESSAGE", "logEvents": ["no object"]}), "bad-message"),
        (dumped({"messageType": "DATA_MESSAGE", "logEvents": []}), "bad-message"),
        (dumped({"messageType": "DATA_MESSAGE"}), "bad-message"),
        (dumped({"digestS3Object": "k", "logFiles": [{"s3Object": "a"}], "awsAccountId": "1"}), "digest"),
    ],
)
def test_what_holds_no_records_is_told_why(data: bytes, reason: str) -> None:
    decoded = decode(data, "")
    assert (decoded.events, reasons(decoded)) == ([], [reason])


def hostile(value: bytes) -> bytes:
    return dumped(R2).replace(b'"responseElements": null', b'"responseElements": ' + value)


@pytest.mark.parametrize(
    "bad",
    [b"NaN", b"[" * 10_000 + b"]" * 10_000, b'{"a":' * 10_000 + b"1" + b"}" * 10_000],
    ids=["NaN", "10000 arrays", "10000 objects"],
)
def test_hostile_values_cost_their_record_alone(bad: bytes) -> None:
    decoded = decode(b'{"Records": [%s, %s, %s]}' % (dumped(R1), hostile(bad), dumped(R3)), "")
    assert numbers(decoded) == [1, 3]
    assert set(reasons(decoded)) == {"not-json"}
    assert numbers(decode(b"\n".join((dumped(R1), hostile(bad), dumped(R3))), "")) == [1, 3]


@pytest.mark.parametrize("bad", [b"1e999", b"9" * 5000], ids=["out of range", "5000 digits"])
def test_hostile_numbers_hide_no_record_of_a_trail_file(bad: bytes) -> None:
    decoded = decode(b'{"Records": [%s, %s, %s]}' % (dumped(R1), hostile(bad), dumped(R3)), "")
    assert numbers(decoded) == [1, 2, 3]
    assert "responseElements" not in decoded.events[1].record
    assert numbers(decode(b"\n".join((dumped(R1), hostile(bad), dumped(R3))), "")) == [1, 3]


def test_bytes_that_are_no_utf8_are_replaced() -> None:
    data = dumped({"Records": [R1, {**R2, "userAgent": "a-agent"}]}).replace(b"a-agent", b"\xff\xfe-agent")
    decoded = decode(data, "")
    assert numbers(decoded) == [1, 2]
    assert decoded.events[1].record["userAgent"] == "\ufffd\ufffd-agent"


def test_a_record_told_inside_a_value_is_not_taken_for_one() -> None:
    inner = json.dumps({**R3, "requestParameters": None})
    data = f'{{"Records": [{json.dumps({**R1, "requestParameters": {"body": inner}})}, {{"broken": '
    assert numbers(decode(data.encode(), "")) == [1]


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 10_000), st.sampled_from(sorted(FORMS)))
def test_no_damage_raises(noise: bytes, at: int, form: str) -> None:
    data = FORMS[form]
    at %= len(data)
    for damaged in (data[:at], data[:at] + noise + data[at + len(noise) :], noise):
        decoded = decode(damaged, "")
        assert all(event.uid for event in decoded.events)
        assert decoded.events or decoded.skipped


EDGE = {
    "SerializerAllFieldsNull.json": (1, [("no-event-time", "$.Records[0].eventTime: missing")]),
    "SerializerTestFile.json": (6, []),
    "SerializerTestFileBadFieldName.json": (1, [("no-event-time", "$.Records[0].eventTime: missing")]),
    "SerializerTestFileBadJsonFormat.json": (
        1,
        [
            (
                "not-json",
                "line 1 column 1: Expecting property name enclosed in double quotes at line 37 column 9",
            )
        ],
    ),
    "SerializerTestFileCompact.json": (6, []),
    "SerializerTestFileCompact.json.gz": (6, []),
    "SerializerTestFileLocation.json": (6, []),
    "SerializerTestFileMissField.json": (
        3,
        [("bad-event-time", "$.Records[3].eventTime: 'ThisIsAWrongEventTime' is no RFC 3339 time")],
    ),
    "SerializerTestFileNewFieldAtRandomPlaces.json": (2, []),
    "SerializerTestFileNewFieldName.json": (1, [("no-event-time", "$.Records[0].eventTime: missing")]),
    "SerializerTestFileNewFieldsInRoot.json": (2, []),
    "SerializerTestFileNewFieldsInUserIdentity.json": (2, []),
    "SerializerVariousUserIdentityTestFile.json": (1, []),
    "alice_start_instances.json": (1, []),
    "alice_start_instances_bigevent.json": (1, []),
}


@needs_shared
def test_every_edge_file_gives_its_good_records_and_says_what_is_wrong_with_the_others() -> None:
    assert SHARED is not None
    found = {}
    for path in sorted((SHARED / "cloudtrail/edge").iterdir()):
        decoded = decode(path.read_bytes(), path.name)
        found[path.name] = (len(decoded.events), decoded.skipped)
    assert found == EDGE


@needs_shared
def test_real_files_decode_to_all_their_records_cut_or_not() -> None:
    assert SHARED is not None
    total = 0
    for path in sorted((SHARED / "cloudtrail/invictus").rglob("*.json.gz")):
        records = json.loads(plain(path))["Records"]
        decoded = decode(path.read_bytes(), path.name)
        assert [event.record for event in decoded.events] == records
        assert not decoded.skipped
        assert is_candidate_key(path.relative_to(SHARED / "cloudtrail/invictus").as_posix())
        cut = decode(path.read_bytes()[:-100], path.name)
        assert [event.record for event in cut.events] == records[: len(cut.events)]
        assert reasons(cut)[0] == "truncated-gzip"
        total += len(records)
    assert total > 2000


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/02/a.json.gz", ""),
        ("prefix/AWSLogs/o-abcdefghij/111122223333/CloudTrail/eu-west-1/2026/01/02/a.json.gz", ""),
        ("o-abcdefghij/AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2026/01/02/a.json", ""),
        ("AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2026/01/02/a.json.gz", "digest"),
        ("AWSLogs/111122223333/CloudTrail/", "folder"),
        ("AWSLogs/111122223333/Config/ConfigWritabilityCheckFile", "marker"),
        ("AWSLogs/111122223333/ELBAccessLogTestFile", "marker"),
        ("AWSLogs/111122223333/CloudTrail/.DS_Store", "marker"),
        ("exports/_SUCCESS", "marker"),
    ],
)
def test_keys_without_records_are_told_by_name(key: str, reason: str) -> None:
    assert why_skipped(key) == reason
    assert is_candidate_key(key) is (reason == "")


@pytest.mark.parametrize(
    "key",
    [
        "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2026/01/02/a.log.gz",
        "AWSLogs/111122223333/Config/eu-west-1/2026/1/2/ConfigHistory/a.json.gz",
        "NotAWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/02/a.json.gz",
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2026/01/02/a.csv",
        "AWSLogs/111122223333/CloudTrails/eu-west-1/2026/01/02/a.json.gz",
    ],
)
def test_keys_of_other_services_are_no_candidates(key: str) -> None:
    assert not is_candidate_key(key)
    assert why_skipped(key) == ""


@pytest.mark.parametrize(
    ("value", "known"),
    [
        (R1, True),
        ({"Records": [R1]}, True),
        (LOG_DATA, True),
        (envelope(R1), True),
        ({"digestS3Object": "k", "logFiles": []}, True),
        ({"Records": []}, False),
        ({"Records": [{"eventSource": "aws:sqs", "body": "{}"}]}, False),
        ({"Records": [base64.b64encode(b"x").decode()]}, False),
        (envelope({}, "Object Created"), False),
        ({"kind": "EventList", "items": []}, False),
        ({}, False),
    ],
)
def test_forms_of_cloudtrail_are_told_from_others(value: Json, known: bool) -> None:
    assert looks_like(value) is known
