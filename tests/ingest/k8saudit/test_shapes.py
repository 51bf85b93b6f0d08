"""The forms in which audit events arrive, and what of a broken payload is still used."""

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.base import Decoded
from ingest.k8saudit import salvage, shapes
from ingest.k8saudit.glance import TRUNCATED
from ingest.k8saudit.shapes import decode, looks_like
from tests.ingest.k8saudit.samples import Json, audit, body, event_list, numbered
from tests.shared import SHARED, needs_shared


def ids(decoded: Decoded) -> list[str]:
    return [event.record["auditID"] for event in decoded.events]


def reasons(decoded: Decoded) -> list[str]:
    return [slug for slug, _ in decoded.skipped]


E0, E1, E2 = numbered(3)


@pytest.mark.parametrize(
    ("payload", "want"),
    [
        (body(E0), ["e0"]),
        (body(event_list(E0, E1)), ["e0", "e1"]),
        (body({"kind": "EventList", "items": [E0]}), ["e0"]),
        (body(event_list(audit(auditID="e0", kind=None))), ["e0"]),
        (body([E0, event_list(E1, E2)]), ["e0", "e1", "e2"]),
        (body(E0) + b"\n" + body(E1) + b"\n", ["e0", "e1"]),
        (body(E0) + b"\r\n\r\n  " + body(event_list(E1, E2)), ["e0", "e1", "e2"]),
        (body(E0) + body(E1), ["e0", "e1"]),
        (json.dumps(event_list(E0, E1), indent=2).encode(), ["e0", "e1"]),
        (b"\xef\xbb\xbf" + body(E0), ["e0"]),
        (json.dumps(E0).encode("utf-16"), ["e0"]),
        (body(event_list()), []),
        (body({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": None}), []),
        (body([]), []),
    ],
)  # fmt: skip
def test_sound_payloads(payload: bytes, want: list[str]) -> None:
    decoded = decode(payload, "here")

    assert (ids(decoded), decoded.skipped) == (want, [])
    assert all(event.origin == "here" for event in decoded.events)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (b"{", "not-json"),
        (b"not json", "not-json"),
        (b"\x00\x01\xff", "not-json"),
        (b"{\n \"kind\": \"EventList\",\n \"items\": [\n", "not-json"),
        (b"5", "not-an-object"),
        (b"null", "not-an-object"),
        (b'"text"', "not-an-object"),
        (b'{"kind": 0}', "other-kind"),
        (b"{}", "not-an-audit-event"),
        (body({"kind": "Event", "apiVersion": "v1", "reason": "Started"}), "other-api"),
        (body({"kind": "EventList", "apiVersion": "v1", "items": [E0]}), "other-api"),
        (body({"kind": "EventList", "items": {"0": E0}}), "no-items"),
        (body({"kind": "EventList", "entries": [E0]}), "no-items"),
        (body({"Records": [{"eventName": "GetUser"}]}), "not-an-audit-event"),
        (body([[E0]]), "nested-array"),
        (b"[" * 100_000 + b"]" * 100_000, "nested-array"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not-an-audit-event"),
        (b"[" * 100_000, "not-json"),
        (gzip.compress(body(E0)), "not-json"),
        (b"NaN", "not-json"),
        (b"1" * 5000, "not-json"),
    ],
)  # fmt: skip
def test_payloads_without_any_event_say_why(payload: bytes, reason: str) -> None:
    decoded = decode(payload, "")

    assert (decoded.events, reasons(decoded)) == ([], [reason])


@pytest.mark.parametrize("absurd", [b"1" * 5000, b"1e999"])
def test_an_absurd_number_does_not_hide_the_event_of_a_list_that_has_it(absurd: bytes) -> None:
    odd = {**E1, "requestObject": {"spec": "@"}, "sourceIPs": ["192.0.2.7"]}
    found = decode(body(event_list(E0, odd)).replace(b'"@"', absurd), "")

    assert (ids(found), reasons(found)) == (["e0", "e1"], [])
    record = found.events[1].record
    assert record == {key: value for key, value in odd.items() if key != "requestObject"} | {
        "annotations": {TRUNCATED: "true", **odd.get("annotations", {})}
    }
    assert found.events[1].time_ns > 0


def test_events_of_a_list_are_those_that_a_full_reading_finds() -> None:
    plain = [E0, E1, {**E2, "later": {"x": [1, None]}, "objectRef": {"resource": "pods", "later": 1}}]
    listed, lines = decode(body(event_list(*plain)), "o"), decode(b"\n".join(map(body, plain)), "o")

    assert [(e.uid, e.time_ns, e.record, e.origin) for e in listed.events] == [
        (e.uid, e.time_ns, e.record, e.origin) for e in lines.events
    ]


@pytest.mark.parametrize("head", [{"verb": 7}, {"objectRef": None}, {"user": []}, {"stage": None}])
def test_members_of_a_wrong_type_are_left_to_the_fields(head: dict[str, Any]) -> None:
    found = decode(body(event_list({**E0, **head})), "")

    assert found.events[0].record == {**E0, **head}
    assert found.events[0].head is found.events[0].record


def test_a_time_outside_of_64_bits_is_replaced_by_another_of_the_event() -> None:
    times = {"stageTimestamp": "1960-01-01T00:00:00.000000Z", "requestReceivedTimestamp": "2026-01-02T03:04:05.000006Z"}

    assert decode(body(event_list({**E0, **times})), "").events[0].time_ns == 1767323045_000006000


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b'{"kind": 0}', "other-kind"),
        (b"null", "not-an-object"),
        (b"[[]]", "not-an-object"),
        (body({**E1, "stageTimestamp": "x", "requestReceivedTimestamp": 1}), "no-time"),
        (body({**E1, "x": "@"}).replace(b'"@"', b"NaN"), "not-json"),
        (body({**E1, "x": "@"}).replace(b'"@"', b"tru"), "not-json"),
        (body({**E1, "x": "@"}).replace(b'"@"', b'"a\\qb"'), "not-json"),
    ],
)
def test_a_bad_entry_costs_itself_alone(bad: bytes, reason: str) -> None:
    listed = body(event_list(E0, "HERE", E2)).replace(b'"HERE"', bad)
    lines = b"\n".join([body(E0), bad, body(E2)])

    assert (ids(decode(listed, "")), reasons(decode(listed, ""))) == (["e0", "e2"], [reason])
    assert ids(decode(lines, "")) == ["e0", "e2"]
    assert len(decode(lines, "").skipped) == 1


def test_the_place_of_a_bad_entry_is_told() -> None:
    assert decode(body(event_list(E0, {"kind": 0})), "").skipped == [("other-kind", "items[1]: kind is 0, not Event")]
    assert decode(body([E0, event_list(5)]), "").skipped[0][1].startswith("[1].items[0]: ")
    assert decode(body(E0) + b"\n{oops\n" + body(E1), "").skipped[0][1].startswith("line 2: ")


@pytest.mark.parametrize("text", [b'"\\ud800"', b'"\xff\xfe"', b'"\xc3"'])
def test_text_that_is_no_unicode_is_replaced(text: bytes) -> None:
    payload = body(event_list(E0, {**E1, "userAgent": "@"}, E2)).replace(b'"@"', text)

    decoded = decode(payload, "")

    assert ids(decoded) == ["e0", "e1", "e2"]
    assert "\N{REPLACEMENT CHARACTER}" in decoded.events[1].record["userAgent"]


@pytest.mark.parametrize("depth", [1_000, 5_000, 100_000])
@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
def test_what_nests_too_deeply_is_cut_out_of_its_event(depth: int, opening: bytes, closing: bytes) -> None:
    deep = opening * depth + b"1" + closing * depth
    changed = {**E1, "requestObject": {"spec": {"hostPID": True}, "deep": "@"}}
    payload = body(event_list(E0, changed, E2)).replace(b'"@"', deep)

    decoded = decode(payload, "")

    assert (ids(decoded), decoded.skipped) == (["e0", "e1", "e2"], [])
    assert decoded.events[1].record["requestObject"]["spec"] == {"hostPID": True}
    assert decoded.events[1].record["annotations"][shapes.TRUNCATED] == "true"
    assert (
        "annotations" not in decoded.events[0].record or shapes.TRUNCATED not in decoded.events[0].record["annotations"]
    )
    assert decoded.events[1].uid


def test_an_event_that_a_client_put_into_its_request_is_never_taken_for_one() -> None:
    forged = {"fake": audit(auditID="forged"), "items": [audit(auditID="forged too")], "x": "@"}
    bad = body({**E1, "requestObject": forged}).replace(b'"@"', b"NaN")

    listed = decode(body(event_list(E0, "HERE", E2)).replace(b'"HERE"', bad), "")
    lines = decode(body(E0) + b"\n" + bad + b"\n" + body(E2), "")
    alone = decode(bad, "")

    assert (ids(listed), ids(lines), ids(alone)) == (["e0", "e2"], ["e0", "e2"], [])


def test_brackets_in_texts_do_not_confuse_the_search_for_sound_entries() -> None:
    tricky = {**E0, "userAgent": '}]}"\\ [{"items":[', "requestURI": '\\"]}'}
    payload = body(event_list(tricky, {**E1, "x": "@"}, E2)).replace(b'"@"', b"NaN")

    assert ids(decode(payload, "")) == ["e0", "e2"]


def test_a_cut_off_payload_is_not_guessed_at() -> None:
    decoded = decode(body(event_list(E0, E1))[:-20], "")

    assert (decoded.events, reasons(decoded)) == ([], ["not-json"])


def test_of_equal_keys_the_last_counts() -> None:
    payload = body(E0)[:-1] + b', "verb": "first", "verb": "last"}'

    assert decode(payload, "").events[0].record["verb"] == "last"


def test_entries_over_the_limit_are_left_out_and_told() -> None:
    decoded = decode(body(event_list(*numbered(10))), "", max_items=4)

    assert ids(decoded) == ["e0", "e1", "e2", "e3"]
    assert decoded.skipped == [("too-many", "more than 4 entries, the rest is left out")]
    assert len(decode(body(numbered(3)) + b"\n" + body(numbered(3)), "", max_items=4).events) == 2


def test_millions_of_worthless_entries_are_not_all_remembered() -> None:
    decoded = decode(b"[" + b"0," * 300_000 + b"0]", "")

    assert len(decoded.skipped) == shapes.MAX_ITEMS + 1


@pytest.mark.parametrize(
    ("request_size", "response_size", "kept"),
    [(10, 10, {"requestObject", "responseObject"}), (10, 3000, {"requestObject"}), (3000, 3000, set())],
)
def test_an_event_that_is_too_large_loses_its_objects_but_not_its_facts(
    request_size: int, response_size: int, kept: set[str]
) -> None:
    large = {**E1, "requestObject": {"a": "x" * request_size}, "responseObject": {"a": "x" * response_size}}

    decoded = decode(body(event_list(E0, large)) + b" " * 2000, "", max_event_bytes=2000)

    assert ids(decoded) == ["e0", "e1"]
    record = decoded.events[1].record
    assert record.keys() & {"requestObject", "responseObject"} == kept
    assert (shapes.TRUNCATED in record["annotations"]) == (len(kept) < 2)


def test_a_broken_list_counts_no_more_entries_than_a_sound_one() -> None:
    payload = body(event_list(*numbered(10), "@")).replace(b'"@"', b"NaN")

    decoded = decode(payload, "", max_items=4)

    assert (ids(decoded), reasons(decoded)) == (["e0", "e1", "e2", "e3"], ["too-many"])


def test_a_huge_broken_payload_is_not_taken_apart() -> None:
    payload = body(event_list(E0, "@")).replace(b'"@"', b"NaN") + b" " * salvage.MAX_BYTES

    assert reasons(decode(payload, "")) == ["not-json"]


@settings(max_examples=400)
@given(st.lists(st.tuples(st.integers(0, 2000), st.sampled_from(list(b'"\\[]{},:0aN\xff\n'))), min_size=1, max_size=5))
def test_no_change_of_some_bytes_makes_it_raise_or_invent_events(changes: list[tuple[int, int]]) -> None:
    payload = bytearray(body(event_list(E0, E1, E2)))
    for at, byte in changes:
        payload[at % len(payload)] = byte

    decoded = decode(bytes(payload), "")

    assert len(decoded.events) <= 3
    assert len(decoded.events) + len(decoded.skipped) >= 1


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(data: bytes) -> None:
    decoded = decode(data, "")

    assert decoded.events == []


AZURE = {
    "records": [
        {"category": "kube-audit", "resourceId": "/SUB/X/MANAGEDCLUSTERS/PROD", "properties": {"log": json.dumps(E0)}},
        {"category": "guard", "properties": {"log": "I0102 guard is well"}},
        {"category": "kube-audit", "properties": {"log": '{"auditID": "cut off'}},
        {"category": "kube-audit-admin", "properties": {"log": json.dumps(E1), "pod": "kube-apiserver"}},
        "odd",
    ]
}


def test_azure_diagnostic_records() -> None:
    decoded = decode(body(AZURE), "")

    assert ids(decoded) == ["e0", "e1"]
    assert decoded.events[0].record["annotations"]["cluster_name"] == "PROD"
    assert reasons(decoded) == ["other-log", "not-json", "other-log"]


CLOUDWATCH = {
    "messageType": "DATA_MESSAGE",
    "logGroup": "/aws/eks/prod/cluster",
    "logStream": "kube-apiserver-audit-1",
    "logEvents": [
        {"id": "1", "timestamp": 1, "message": json.dumps(E0)},
        {"id": "2", "timestamp": 2, "message": "I0102 of the scheduler"},
        {"id": "3", "timestamp": 3, "message": '{"kind":"Event","auditID":"e9","requ[Truncated...]'},
    ],
}


def test_cloudwatch_messages_of_eks() -> None:
    decoded = decode(body(CLOUDWATCH), "")

    assert ids(decoded) == ["e0"]
    assert reasons(decoded) == ["other-log", "truncated"]


def log_entry(resource: str, method: str, **payload: Any) -> Json:
    return {
        "insertId": "e0",
        "timestamp": "2026-01-02T03:04:05.123456789Z",
        "labels": {"authorization.k8s.io/reason": "RBAC"},
        "resource": {"type": "k8s_cluster", "labels": {"cluster_name": "prod", "location": "europe-west1"}},
        "logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity",
        "protoPayload": {
            "serviceName": "k8s.io",
            "methodName": method,
            "resourceName": resource,
            "authenticationInfo": {"principalEmail": "alice@example.com"},
            "requestMetadata": {"callerIp": "203.0.113.9", "callerSuppliedUserAgent": "kubectl"},
            "authorizationInfo": [{"granted": True, "permission": "p"}],
            **payload,
        },
    }


def test_gke_log_entries_become_audit_events() -> None:
    entry = log_entry(
        "apps/v1/namespaces/web/deployments/shop", "io.k8s.apps.v1.deployments.create", request={"spec": {}}
    )

    (found,) = decode(body(entry), "").events

    assert found.time_ns == 1_767_323_045_123_456_789
    assert found.record == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "e0",
        "stage": "ResponseComplete",
        "requestURI": "/apps/v1/namespaces/web/deployments/shop",
        "verb": "create",
        "user": {"username": "alice@example.com"},
        "sourceIPs": ["203.0.113.9"],
        "userAgent": "kubectl",
        "objectRef": {
            "apiGroup": "apps",
            "apiVersion": "v1",
            "namespace": "web",
            "resource": "deployments",
            "name": "shop",
        },
        "responseStatus": {"code": 201},
        "requestObject": {"spec": {}},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.123456789Z",
        "stageTimestamp": "2026-01-02T03:04:05.123456789Z",
        "annotations": {
            "authorization.k8s.io/reason": "RBAC",
            "authorization.k8s.io/decision": "allow",
            "cluster_name": "prod",
            "location": "europe-west1",
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("resource", "want"),
    [
        ("core/v1/nodes/n1", {"resource": "nodes", "name": "n1"}),
        ("core/v1/nodes/n1/proxy", {"resource": "nodes", "name": "n1", "subresource": "proxy"}),
        ("core/v1/namespaces", {"resource": "namespaces"}),
        ("core/v1/namespaces/web", {"resource": "namespaces", "name": "web", "namespace": "web"}),
        (
            "core/v1/namespaces/web/finalize",
            {"resource": "namespaces", "name": "web", "namespace": "web", "subresource": "finalize"},
        ),
        ("core/v1/namespaces/web/pods", {"resource": "pods", "namespace": "web"}),
        (
            "core/v1/namespaces/web/pods/p/exec",
            {"resource": "pods", "namespace": "web", "name": "p", "subresource": "exec"},
        ),
        ("apps/v1/x/r", {"apiGroup": "apps", "resource": "x", "name": "r"}),
        ("", {}),
    ],
)
def test_the_object_of_a_gke_entry(resource: str, want: Json) -> None:
    (found,) = decode(body(log_entry(resource, "io.k8s.x.get")), "").events

    assert found.record["objectRef"] == ({"apiVersion": "v1", **want} if want else {})


@pytest.mark.parametrize(
    ("method", "status", "code", "stage"),
    [
        ("io.k8s.core.v1.pods.get", {}, 200, "ResponseComplete"),
        ("io.k8s.core.v1.pods.create", {"code": 0}, 201, "ResponseComplete"),
        ("io.k8s.core.v1.pods.create", {"code": 7, "message": "no"}, 403, "ResponseComplete"),
        ("io.k8s.core.v1.pods.get", {"code": 5}, 404, "ResponseComplete"),
        ("io.k8s.core.v1.pods.get", {"code": 16}, 401, "ResponseComplete"),
        ("io.k8s.core.v1.pods.get", {"code": 99}, 500, "ResponseComplete"),
    ],
)
def test_the_outcome_of_a_gke_entry(method: str, status: Json, code: int, stage: str) -> None:
    (found,) = decode(body(log_entry("core/v1/namespaces/web/pods/p", method, status=status)), "").events

    assert (found.record["responseStatus"]["code"], found.record["stage"]) == (code, stage)


def test_a_gke_exec_is_a_started_stream_and_a_refused_one_is_forbidden() -> None:
    entry = log_entry(
        "core/v1/namespaces/web/pods/p/exec", "io.k8s.core.v1.pods.exec.create", authorizationInfo=[{"granted": False}]
    )

    (found,) = decode(body(entry), "").events

    assert (found.record["stage"], found.record["responseStatus"]["code"]) == ("ResponseStarted", 101)
    assert found.record["annotations"]["authorization.k8s.io/decision"] == "forbid"  # fmt: skip


def push(data: bytes) -> Json:
    return {
        "message": {"data": base64.b64encode(data).decode(), "messageId": "1"},
        "subscription": "projects/p/subscriptions/s",
    }


def test_a_pubsub_push_holds_a_log_entry() -> None:
    assert ids(decode(body(push(body(log_entry("core/v1/nodes", "io.k8s.core.v1.nodes.list")))), "")) == ["e0"]
    assert reasons(decode(body(push(b'{"textPayload": "x"}')), "")) == ["other-log"]
    assert reasons(decode(body(push(b"{")), "")) == ["not-json"]
    assert reasons(decode(body({"message": {"data": "?"}, "subscription": "s"}), "")) == ["not-json"]
    assert reasons(decode(body({"message": {"data": 5}, "subscription": "s"}), "")) == ["not-json"]


def test_a_log_entry_of_another_service_is_none_of_ours() -> None:
    assert reasons(decode(body(log_entry("x", "y", serviceName="compute.googleapis.com")), "")) == ["other-log"]


@pytest.mark.parametrize(
    "value",
    [E0, audit(apiVersion=None), audit(kind=None, apiVersion=None), event_list(E0), event_list(), AZURE, CLOUDWATCH,
     {"kind": "EventList", "items": [E0]}, log_entry("core/v1/nodes", "io.k8s.core.v1.nodes.list")],
)  # fmt: skip
def test_what_looks_like_audit(value: Json) -> None:
    assert looks_like(value)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"kind": 0},
        {"kind": "Event", "apiVersion": "v1", "metadata": {}},
        {"kind": "EventList", "apiVersion": "v1", "items": [{"reason": "Started"}]},
        {"eventVersion": "1.11", "eventName": "GetUser", "eventSource": "iam.amazonaws.com"},
        {"Records": [{"eventName": "GetUser"}]},
        {"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "message": '{"eventVersion": "1.11"}'}]},
        {"protoPayload": {"serviceName": "compute.googleapis.com"}},
        {"records": "odd", "logEvents": 5, "items": None},
    ],
)
def test_what_does_not_look_like_audit(value: Json) -> None:
    assert not looks_like(value)


@needs_shared
def test_all_events_of_the_shared_data_set_are_read() -> None:
    assert SHARED is not None
    lines = gzip.decompress((SHARED / "k8saudit" / "perfspec-shared.jsonl.gz").read_bytes())

    decoded = decode(lines, "perfspec", max_items=100_000)

    assert (len(decoded.events), decoded.skipped) == (8281, [])
