"""
What a real Falco answered (../shared/data/oracle), and where Lanner answers otherwise on purpose.

Wanted differences stand in ``oracle_differences.yaml``; tests demand that nothing else differs, and that each row of it
explains something.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from engine.event import Event
from ingest.cloudtrail.record import to_event as cloudtrail_event
from ingest.k8saudit.record import to_event as audit_event
from lanner.catalog import build_catalog
from tests.shared import SHARED

Record = dict[str, Any]

SOURCES = {"ct": "aws_cloudtrail", "ka": "k8s_audit"}
HOSTNAME = "oracle"
CATALOG = build_catalog(HOSTNAME)
_TO_EVENT = {"ct": cloudtrail_event, "ka": audit_event}


def path(name: str) -> Path:
    assert SHARED is not None
    return SHARED / name


def read_text(name: str) -> str:
    data = path(name).read_bytes()
    return (gzip.decompress(data) if name.endswith(".gz") else data).decode()


def lines(name: str) -> list[Record]:
    return [json.loads(line) for line in read_text(name).splitlines() if line.strip()]


@cache
def differences() -> dict[str, Any]:
    text = (Path(__file__).parent / "oracle_differences.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def event(kind: str, record: Record, num: int) -> Event:
    made = _TO_EVENT[kind](record, "")
    made.num = num
    return made


def numbered(kind: str, records: Iterable[Record]) -> Iterator[Event]:
    for num, record in enumerate(records, 1):
        yield event(kind, record, num)
