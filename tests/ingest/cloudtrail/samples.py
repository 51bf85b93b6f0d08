"""Records, and how the tests ask fields about them."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.event import Event
from engine.fields import Arg, FieldTable
from ingest.cloudtrail.fields import cloudtrail_table
from ingest.cloudtrail.record import to_event
from tests.shared import SHARED

Json = dict[str, Any]

TABLE: FieldTable = cloudtrail_table([])

RECORD: Json = {
    "eventVersion": "1.08",
    "userIdentity": {
        "type": "IAMUser",
        "principalId": "AIDA1",
        "arn": "arn:aws:iam::111122223333:user/ana",
        "accountId": "111122223333",
        "accessKeyId": "AKIA1",
        "userName": "ana",
    },
    "eventTime": "2026-01-02T03:04:05Z",
    "eventSource": "iam.amazonaws.com",
    "eventName": "CreateUser",
    "awsRegion": "eu-west-1",
    "sourceIPAddress": "198.51.100.7",
    "userAgent": "aws-cli/2.0",
    "requestParameters": {"userName": "bob"},
    "responseElements": None,
    "eventID": "3a0d6ee5-3a9e-4a0c-9d6e-111111111111",
    "readOnly": False,
    "eventType": "AwsApiCall",
    "recipientAccountId": "111122223333",
}


def event(**changes: Any) -> Event:
    """The sample record with some keys changed, or left out where the change is ``...``."""
    return to_event({key: value for key, value in {**RECORD, **changes}.items() if value is not ...}, "test")


def identity(**identity: Any) -> Event:
    return event(userIdentity=identity)


def ask(name: str, found: Event) -> Any:
    """The answer of a field as rules spell it, ``ec2.imageids[0]``."""
    base, _, arg = name.partition("[")
    row = TABLE.fields[base]
    assert row.get is not None
    answer = row.get(found, int(arg[:-1]) if row.arg is Arg.INDEX else arg[:-1]) if arg else row.get(found)
    return list(answer) if isinstance(answer, tuple) else answer


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in plain(path).splitlines() if line.strip()]


def plain(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def recorded(inputs: dict[str, list[Json]], file: str) -> list[Json]:
    """The records of a file of the shared data set, as the oracle numbers them."""
    assert SHARED is not None
    if file not in inputs:
        path = SHARED / ("oracle/events/ct.json" if file == "sample" else file)
        inputs[file] = (
            [line["event"] for line in lines(path)] if path.suffix == ".jsonl" else json.loads(plain(path))["Records"]
        )
    return inputs[file]


def answers() -> Iterator[tuple[Json, Json]]:
    """Yield (what Falco answered, the record it was asked about)."""
    assert SHARED is not None
    inputs: dict[str, list[Json]] = {}
    for path in [
        *sorted((SHARED / "oracle/fields").glob("ct-*.jsonl.gz")),
        SHARED / "oracle/events/ct.fields.jsonl.gz",
    ]:
        for answer in lines(path):
            record = recorded(inputs, answer["file"])[answer["record"]]
            yield answer, {**record, **answer.get("patch", {})}
