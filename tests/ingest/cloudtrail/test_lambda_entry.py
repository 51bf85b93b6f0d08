"""The Lambda function: the messages that failed are named, and only those."""

import importlib.metadata
import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from engine.event import Event
from ingest import cloudtrail
from ingest.cloudtrail.lambda_entry import Handler, InvocationError, make_handler
from ingest.cloudtrail.options import AwsOptions
from tests.ingest.cloudtrail.support import BUCKET, REGION, Aws, trail_key, trail_record


class Evaluator:
    """Takes events as a healthy program does, or refuses those of which an id is told."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.refused: set[int] = set()

    def __call__(self, events: Sequence[Event]) -> None:
        ids = [int(event.uid[-12:]) for event in events]
        if self.refused & set(ids):
            raise RuntimeError("the outbox is full")
        self.ids += ids


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator()


@pytest.fixture
def counters() -> Counter[str]:
    return Counter()


@pytest.fixture
def handler(aws: Aws, evaluator: Evaluator, counters: Counter[str]) -> Handler:
    aws.bucket()
    return make_handler(evaluator, AwsOptions(region=REGION, attempts=1), counters=counters)


def message(name: str, body: Any, receives: int = 1) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    attributes = {"ApproximateReceiveCount": str(receives)}
    return {"messageId": name, "receiptHandle": "h", "body": text, "attributes": attributes, "eventSource": "aws:sqs"}


def announcement(*keys: str) -> dict[str, Any]:
    return {"s3Bucket": BUCKET, "s3ObjectKey": list(keys)}


def failed(answer: dict[str, Any]) -> list[str]:
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_only_the_messages_that_failed_are_named(aws: Aws, handler: Handler, evaluator: Evaluator) -> None:
    evaluator.refused = {3}
    records = [
        message("good", announcement(aws.put(trail_key("a"), [trail_record(1)]))),
        message("poison", "what is this"),
        message("refused", announcement(aws.put(trail_key("b"), [trail_record(3)]))),
        message("missing", announcement(trail_key("gone"))),
        message("inline", trail_record(2)),
        message("test", {"Event": "s3:TestEvent"}),
    ]

    answer = handler({"Records": records}, None)

    assert failed(answer) == ["poison", "refused", "missing"]
    assert sorted(evaluator.ids) == [1, 2]


def test_what_failed_is_processed_when_it_comes_again_and_the_rest_is_not_repeated(
    aws: Aws, handler: Handler, evaluator: Evaluator
) -> None:
    good = message("good", announcement(aws.put(trail_key("a"), [trail_record(1)])))
    refused = message("refused", announcement(aws.put(trail_key("b"), [trail_record(2)])))
    evaluator.refused = {2}
    handler({"Records": [good, refused]}, None)
    evaluator.refused = set()

    assert failed(handler({"Records": [good, refused]}, None)) == []
    assert evaluator.ids == [1, 2]


def test_a_missing_object_is_given_up_at_the_second_receive(handler: Handler, counters: Counter[str]) -> None:
    answer = handler({"Records": [message("missing", announcement(trail_key("gone")), receives=2)]}, None)

    assert failed(answer) == []
    assert counters["objects:missing"] == 1


class Denial(BaseHTTPRequestHandler):
    """Answers every download with a denial."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.end_headers()
        self.wfile.write(b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def denying() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Denial) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_denied_objects_never_stop_the_function_from_trying(aws: Aws, denying: str, counters: Counter[str]) -> None:
    handler = make_handler(Evaluator(), AwsOptions(region=REGION, attempts=1, endpoint_url=denying), counters=counters)
    for n in range(12):
        assert failed(handler({"Records": [message("m", announcement(trail_key(f"file{n}")))]}, None)) == ["m"]

    assert counters["objects:denied"] == 12


def test_what_is_not_done_in_time_is_named(aws: Aws, handler: Handler) -> None:
    class Context:
        def get_remaining_time_in_millis(self) -> int:
            return 100

    key = aws.put(trail_key("a"), [trail_record(1)])

    assert failed(handler({"Records": [message("late", announcement(key))]}, Context())) == ["late"]


@pytest.mark.parametrize("wrap", ["plain", "sns", "eventbridge"])
def test_other_invocations_are_processed_whole(aws: Aws, handler: Handler, evaluator: Evaluator, wrap: str) -> None:
    key = aws.put(trail_key("a"), [trail_record(1)])
    notification = {"Records": [{"eventName": "ObjectCreated:Put", "eventSource": "aws:s3", "s3": s3(key)}]}
    events = {
        "plain": notification,
        "sns": {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": json.dumps(notification)}}]},
        "eventbridge": {"detail-type": "Object Created", "source": "aws.s3", "detail": s3(key)},
    }

    assert handler(events[wrap], None) == {}
    assert evaluator.ids == [1]


def s3(key: str) -> dict[str, Any]:
    return {"bucket": {"name": BUCKET}, "object": {"key": key}}


def test_another_invocation_that_fails_raises(handler: Handler) -> None:
    with pytest.raises(InvocationError, match="unknown-shape"):
        handler({"hello": "world"}, None)


def test_an_empty_batch_has_no_failures(handler: Handler) -> None:
    assert handler({"Records": []}, None) == {"batchItemFailures": []}


def test_a_package_without_the_program_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **wanted: ())
    cloudtrail._handler.cache_clear()
    with pytest.raises(LookupError, match=r"lanner\.lambda:handler; package Lanner with its \.dist-info"):
        cloudtrail.lambda_handler({}, None)
