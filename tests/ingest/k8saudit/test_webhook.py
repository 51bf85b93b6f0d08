"""The webhook over real HTTP: every answer of it, and what reaches the pipeline."""

import asyncio
import gzip
import json
import logging
import zlib
from typing import Any

import pytest

from ingest.base import Batch, SourceError
from ingest.k8saudit import webhook
from ingest.k8saudit.auth import Token
from ingest.k8saudit.webhook import WebhookOptions, WebhookSource
from tests.ingest.k8saudit.receiver import leave_open, listening, receiver
from tests.ingest.k8saudit.samples import audit, body, event_list, numbered
from tests.shared import SHARED, needs_shared

GOOD = body(event_list(*numbered(3)))


async def test_a_list_is_answered_200_with_nothing_to_read_and_its_events_are_delivered() -> None:
    async with receiver() as running:
        answer = await running.post(GOOD)

        assert (answer.status, answer.text) == (200, "")
        assert "X-Lanner-Rejected" not in answer.headers
        assert [event.record["auditID"] for event in running.events] == ["e0", "e1", "e2"]
        assert [event.origin for event in running.events] == ["127.0.0.1"] * 3
        assert len(running.batches) == 1
        assert running.source.counters["events"] == 3


@pytest.mark.parametrize("path", ["", "/", "?timeout=30s", "/?timeout=30s"])
async def test_the_path_may_have_a_slash_and_a_query(path: str) -> None:
    async with receiver() as running:
        assert (await running.post(GOOD, path)).status == 200


@pytest.mark.parametrize("path", ["/prod", "/prod/"])
async def test_the_path_may_name_the_cluster(path: str) -> None:
    named = audit(annotations={"cluster_name": "its own"})
    async with receiver() as running:
        assert (await running.post(body(event_list(audit(annotations=None), named)), path)).status == 200

        clusters = [event.record["annotations"]["cluster_name"] for event in running.events]
        assert clusters == ["prod", "its own"]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "PATCH"])
async def test_other_methods_are_refused_and_told_which_is_right(method: str) -> None:
    async with receiver() as running, running.session.request(method, running.url, data=b"{}") as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["x", "/prod/more", "/../secret"])
async def test_other_paths_are_not_found(path: str) -> None:
    async with receiver() as running:
        assert (await running.post(GOOD, path)).status == 404


@pytest.mark.parametrize("media_type", ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON",
                                        "application/x-ndjson", "application/jsonl"])  # fmt: skip
async def test_accepted_content_types(media_type: str) -> None:
    async with receiver() as running:
        assert (await running.post(GOOD, headers={"Content-Type": media_type})).status == 200


@pytest.mark.parametrize(
    "media_type", ["text/plain", "text/html", "application/x-www-form-urlencoded", "json", ";;", ""]
)
async def test_other_content_types_are_refused(media_type: str) -> None:
    async with receiver() as running:
        answer = await running.post(GOOD, headers={"Content-Type": media_type})

        assert (answer.status, json.loads(answer.text)["reason"]) == (415, "media-type")
        assert running.events == []


async def test_a_missing_content_type_is_refused() -> None:
    async with receiver() as running:
        request = running.session.post(running.url, data=GOOD, skip_auto_headers=["Content-Type"])
        assert (await request).status == 415


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"{", "not-json"),
        (b"<html>", "not-json"),
        (GOOD[:-30], "not-json"),
        (b'{"kind": 0}', "other-kind"),
        (b'{"hello": "world"}', "not-an-audit-event"),
        (b"[[]]", "nested-array"),
        (b"5", "not-an-object"),
        (b"[" * 1_000_000, "not-json"),
        (b"[" * 100_000 + b"]" * 100_000, "nested-array"),
        (b"NaN", "not-json"),
        (b"1" * 5000, "not-json"),
        (body(audit(stageTimestamp=None, requestReceivedTimestamp=None)), "no-time"),
    ],
)
async def test_a_body_of_which_nothing_is_usable_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    async with receiver() as running:
        answer = await running.post(data)

        assert (answer.status, json.loads(answer.text)["reason"]) == (400, reason)
        assert running.batches == []
        assert running.source.counters[f"requests_refused:{reason}"] == 1


@pytest.mark.parametrize(("data", "reason"), [(b"{", "not-json"), (b"", "empty"), (b'{"kind": 0}', "other-kind")])
async def test_malformed_bodies_may_be_accepted_so_that_nobody_repeats_them(data: bytes, reason: str) -> None:
    async with receiver(WebhookOptions(malformed="accept")) as running:
        answer = await running.post(data)

        assert (answer.status, answer.text, answer.headers["X-Lanner-Rejected"]) == (200, "", "1")
        assert running.batches == []
        assert running.source.counters[f"requests_malformed:{reason}"] == 1
        assert (await running.post(GOOD, headers={"Content-Type": "text/plain"})).status == 415
        assert (await running.post(GOOD)).status == 200


@pytest.mark.parametrize(
    "bad", [b'{"kind": 0}', b"null", b"[]", b"NaN", b"1" * 5000, b'{"x": tru}', b"[" * 5000 + b"]" * 5000]
)
async def test_one_bad_entry_does_not_cost_the_others(bad: bytes) -> None:
    data = body(event_list(audit(auditID="e0"), "HERE", audit(auditID="e2"))).replace(b'"HERE"', bad)
    async with receiver() as running:
        answer = await running.post(data)

        assert (answer.status, answer.headers["X-Lanner-Rejected"]) == (200, "1")
        assert [event.record["auditID"] for event in running.events] == ["e0", "e2"]


@pytest.mark.parametrize("odd", [b'"\\ud800"', b'"\xff"', b'{"a":1,"a":2}', b'{"a":' * 5000 + b"1" + b"}" * 5000])
async def test_an_odd_value_in_an_event_costs_nothing(odd: bytes) -> None:
    data = body(event_list(audit(requestObject="HERE"), audit())).replace(b'"HERE"', odd)
    async with receiver() as running:
        answer = await running.post(data)

        assert (answer.status, len(running.events)) == (200, 2)


async def test_an_empty_list_is_fine_and_wakes_nobody() -> None:
    async with receiver() as running:
        assert (await running.post(body(event_list()))).status == 200
        assert running.batches == []


async def test_other_logs_beside_audit_events_are_no_fault_of_the_sender() -> None:
    async with receiver() as running:
        answer = await running.post(body({"records": [{"category": "guard", "properties": {"log": "I am well"}}]}))

        assert (answer.status, "X-Lanner-Rejected" in answer.headers) == (200, False)
        assert running.source.counters["records_ignored:other-log"] == 1


@pytest.mark.parametrize(
    ("coding", "packed"), [("gzip", gzip.compress(GOOD, mtime=0)), ("deflate", zlib.compress(GOOD))]
)
async def test_compressed_bodies(coding: str, packed: bytes) -> None:
    async with receiver() as running:
        answer = await running.post(packed, headers={"Content-Encoding": coding})

        assert (answer.status, len(running.events)) == (200, 3)


@pytest.mark.parametrize(
    ("coding", "data"),
    [("gzip", b"no gzip"), ("gzip", gzip.compress(GOOD, mtime=0)[:-40]), ("gzip", GOOD), ("zstd", GOOD), ("x", GOOD)],
)
async def test_a_broken_or_unknown_encoding_is_refused(coding: str, data: bytes) -> None:
    async with receiver() as running:
        answer = await running.post(data, headers={"Content-Encoding": coding})

        assert answer.status == (415 if coding == "x" else 400)
        assert running.events == []
        assert (await running.post(GOOD)).status == 200


SMALL = WebhookOptions(max_body_bytes=100_000, max_held_bytes=1_000_000)


async def test_a_body_that_says_it_is_too_large_is_refused_unread() -> None:
    async with receiver(SMALL) as running:
        assert (await running.post(b"x" * 100_001)).status == 413


async def test_a_chunked_body_is_refused_where_it_gets_too_large() -> None:
    async def chunks() -> Any:
        for _ in range(30):
            yield b" " * 10_000

    async with receiver(SMALL) as running:
        assert (await running.post(chunks())).status == 413


async def test_a_gzip_bomb_is_refused_where_it_gets_too_large() -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < SMALL.max_body_bytes

    async with receiver(SMALL) as running:
        assert (await running.post(bomb, headers={"Content-Encoding": "gzip"})).status == 413
        assert running.source.health().ok


async def test_a_body_as_large_as_allowed_is_taken() -> None:
    async with receiver(SMALL) as running:
        assert (await running.post(GOOD + b" " * (100_000 - len(GOOD)))).status == 200


async def test_no_answer_before_the_batch_is_settled() -> None:
    async with receiver(settle=leave_open) as running:
        request = asyncio.create_task(running.post(GOOD))
        await running.until(lambda: len(running.batches) == 1)
        await asyncio.sleep(0.05)
        assert not request.done()

        await running.batches[0].ack()
        assert (await request).status == 200


async def test_a_batch_that_failed_is_answered_503_and_taken_again() -> None:
    async def fail_once(batch: Batch) -> None:
        await (batch.nack("the outbox is full") if len(running.batches) == 1 else batch.ack())

    async with receiver(settle=fail_once) as running:
        first, second = await running.post(GOOD), await running.post(GOOD)

        assert (first.status, json.loads(first.text)["message"]) == (503, "the outbox is full")
        assert int(first.headers["Retry-After"]) >= 1
        assert (second.status, len(running.batches)) == (200, 2)


async def test_a_request_repeated_because_its_answer_came_too_late_is_not_evaluated_twice() -> None:
    async with receiver(WebhookOptions(ack_timeout=0.05), settle=leave_open) as running:
        assert (await running.post(GOOD)).status == 503
        assert (await running.post(GOOD)).status == 503

        await running.batches[0].ack()
        assert (await running.post(GOOD)).status == 200
        assert (await running.post(GOOD)).status == 200
        assert len(running.batches) == 1
        assert running.source.counters["requests_repeated"] == 3

        assert (await running.post(body(event_list(*numbered(4))))).status == 503
        assert len(running.batches) == 2


async def test_a_request_repeated_after_its_late_batch_failed_is_evaluated_again() -> None:
    async with receiver(WebhookOptions(ack_timeout=0.05), settle=leave_open) as running:
        assert (await running.post(GOOD)).status == 503
        await running.batches[0].nack("no disk")

        assert (await running.post(GOOD)).status == 503
        assert len(running.batches) == 2


async def test_a_sender_that_left_before_the_answer_can_ask_again() -> None:
    async with receiver(settle=leave_open) as running:
        request = asyncio.create_task(running.post(GOOD))
        await running.until(lambda: len(running.batches) == 1)
        request.cancel()
        await asyncio.sleep(0.05)
        await running.batches[0].ack()
        await asyncio.sleep(0.05)

        assert (await running.post(GOOD)).status == 200
        assert len(running.batches) == 1


async def test_settling_twice_is_harmless() -> None:
    async def settle(batch: Batch) -> None:
        await batch.ack()
        await batch.nack("late")
        await batch.ack()

    async with receiver(settle=settle) as running:
        assert (await running.post(GOOD)).status == 200


DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
TOKENS = WebhookOptions(
    tokens=(
        Token("old", DIGEST),  # "test"
        Token("prod", "FCDE2B2EDBA56BF408601FB721FE9B5C338D10EE429EA04FAE5511B68FBF8FB9", "prod"),  # "bar"
    )
)


@pytest.mark.parametrize("header", ["Bearer test", "bearer test", "Bearer  test ", "Bearer bar"])
async def test_a_known_token_is_accepted(header: str) -> None:
    async with receiver(TOKENS) as running:
        assert (await running.post(GOOD, headers={"Authorization": header})).status == 200


async def test_a_token_stands_for_a_cluster_whatever_the_path_says() -> None:
    async with receiver(TOKENS) as running:
        await running.post(GOOD, "/other", headers={"Authorization": "Bearer bar"})

        assert running.events[0].record["annotations"]["cluster_name"] == "prod"


@pytest.mark.parametrize(
    "header",
    [None, "", "test", "Basic test", "Bearer", "Bearer ", "Bearer Test", "Bearer test x", f"Bearer {DIGEST}"],
)
async def test_without_a_known_token_nothing_is_taken(header: str | None) -> None:
    async with receiver(TOKENS) as running:
        answer = await running.post(GOOD, headers={} if header is None else {"Authorization": header})

        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert running.events == []


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_health_is_told_on_the_same_port(path: str) -> None:
    async with receiver() as running:
        await running.post(GOOD)

        answer = await running.get(path)

        assert answer.status == 200
        assert json.loads(answer.text) in (
            {"live": True}, {"ready": True, "detail": "", "events": 3}
        )  # fmt: skip


@pytest.mark.parametrize("blanks", [0, 2 << 20])
async def test_a_fault_of_ours_is_answered_500_without_its_traceback(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, blanks: int
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(webhook, "outline", fail)
    async with receiver(WebhookOptions(max_body_bytes=3 << 20, max_held_bytes=3 << 20)) as running:
        answer = await running.post(GOOD + b" " * blanks)

        assert answer.status == 500
        assert "secret" not in answer.text
        assert "Traceback" not in answer.text
        assert "secret detail" in caplog.text

        monkeypatch.undo()
        assert (await running.post(GOOD + b" " * blanks)).status == 200


async def test_a_large_body_is_read_beside_the_event_loop() -> None:
    many = body(event_list(*numbered(3000, userAgent="x" * 300)))
    assert len(many) > 1 << 20

    async with receiver() as running:
        assert (await running.post(many)).status == 200
        assert len(running.events) == 3000


async def test_one_reason_is_warned_of_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "lanner.k8saudit")
    async with receiver() as running:
        for _ in range(5):
            await running.post(b"{")
        await running.post(b"")

        assert [record.message.count("400") for record in caplog.records] == [1, 1]
        assert running.source.counters["requests_refused:not-json"] == 5


async def test_a_taken_port_is_an_error_that_names_it() -> None:
    async with receiver() as running:
        taken = running.source.port
        with pytest.raises(SourceError, match=f"cannot listen on 127.0.0.1:{taken}: "):
            await WebhookSource(listening(port=taken)).start()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (listening(host="no-such-host.invalid"), "cannot listen on no-such-host.invalid:9765"),
        (WebhookOptions(tokens=(Token("t", "abc"),)), "bearer token 't': sha256 is not 64 hex digits"),
        (WebhookOptions(path="k8s-audit"), "does not begin with /"),
        (WebhookOptions(max_held_bytes=5), "max_held_bytes is less than max_body_bytes"),
        (WebhookOptions(max_queue=0), "max_queue is less than 1"),
    ],
)
async def test_settings_that_cannot_work_are_refused_at_the_start(options: WebhookOptions, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        await WebhookSource(options).start()


def _falco_files() -> list[Any]:
    if SHARED is None:
        return [pytest.param(None, marks=needs_shared)]
    return [pytest.param(path, id=path.name) for path in sorted((SHARED / "k8saudit" / "falco").glob("*.json"))]


@pytest.mark.parametrize("path", _falco_files())
async def test_falcos_trace_files_over_http(path: Any) -> None:
    async with receiver() as running:
        answer = await running.post(path.read_bytes())

        usable = path.name != "fal_01_003.json"
        assert (answer.status, len(running.events) >= 1) == ((200, True) if usable else (400, False))


@needs_shared
async def test_a_recorded_cluster_over_http_loses_no_event() -> None:
    assert SHARED is not None
    lines = gzip.decompress((SHARED / "k8saudit" / "perfspec-shared.jsonl.gz").read_bytes()).splitlines()
    async with receiver() as running:
        for start in range(0, len(lines), 400):
            items = b",".join(lines[start : start + 400])
            data = b'{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + items + b"]}"
            assert (await running.post(data)).status == 200

        assert len(running.events) == len(lines) == 8281
