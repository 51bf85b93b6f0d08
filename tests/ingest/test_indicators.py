"""Indicators: addresses, names, digests and paths anywhere in a record."""

from typing import Any

import pytest

from engine.event import Event
from ingest.indicators import INDICATORS, packed_ip

SHA256 = "ab" * 32


def found(name: str, *records: dict[str, Any]) -> list[Any]:
    return [INDICATORS[name](Event("s", 0, record, "id")) for record in records]


@pytest.mark.parametrize(
    ("name", "record", "values"),
    [
        ("evt.ips", {"a": ["10.0.0.1", {"b": "::1"}], "c": "10.0.0.1"}, [b"\x0a\0\0\1", b"\0" * 15 + b"\1"]),
        ("evt.ips", {"a": "http://10.0.0.1:8080/x"}, [b"\x0a\0\0\1"]),
        ("evt.ips", {"a": "https://[::1]/x"}, [b"\0" * 15 + b"\1"]),
        ("evt.ips", {"a": "10.0.0.256", "b": 10, "c": "1.2.3"}, None),
        ("evt.users", {"userName": "ana", "x": {"username": "bo", "user": {"userName": "ana"}}, "name": "no"},
         ["ana", "bo"]),
        ("evt.users", {"userName": "", "y": None}, None),
        ("evt.arns", {"a": "arn:aws:iam::111122223333:user/x", "b": ["arn:aws:s3:::b"]},
         ["arn:aws:iam::111122223333:user/x", "arn:aws:s3:::b"]),
        ("evt.arns", {"a": "arn:short"}, None),
        ("evt.accounts", {"a": "arn:aws:iam::111122223333:user/x", "accountId": "444455556666", "id": "777788889999"},
         ["111122223333", "444455556666"]),
        ("evt.domains", {"a": "Evil.Example.COM.", "b": "https://u:p@host.example.org/x?y", "c": "no dots"},
         ["evil.example.com", "host.example.org"]),
        ("evt.domains", {"errorCode": "Client.UnauthorizedOperation", "b": "10.0.0.1", "c": "1.2"}, None),
        ("evt.hashes", {"a": SHA256.upper(), "b": f"sha256:{SHA256}", "c": "ff" * 16, "d": "xyz", "e": "ab" * 10},
         [SHA256, "ff" * 16]),
        ("evt.paths", {"a": "/etc/passwd", "b": "/", "c": "no/path", "d": "/with blank"}, ["/etc/passwd"]),
    ],
)  # fmt: skip
def test_values_are_found_wherever_they_stand(name: str, record: dict[str, Any], values: list[Any] | None) -> None:
    assert found(name, record) == [values]


def test_each_record_has_its_own() -> None:
    one, two = {"a": "10.0.0.1"}, {"a": "10.0.0.2"}
    assert found("evt.ips", one, two, one) == [[b"\x0a\0\0\1"], [b"\x0a\0\0\2"], [b"\x0a\0\0\1"]]


def test_a_deep_record_and_a_long_text_are_no_trouble() -> None:
    deep: Any = "10.0.0.1"
    for _ in range(20_000):
        deep = {"a": [deep]}
    assert found("evt.ips", {"deep": deep, "long": "a." * 500_000}) == [[b"\x0a\0\0\1"]]


@pytest.mark.parametrize(
    "text", ["", " 10.0.0.1", "10.0.0.1 ", "010.0.0.1", "10.0.0", "::g", "10.0.0.1\0", "é", "fe80::1%eth0"]
)
def test_other_texts_are_no_addresses(text: str) -> None:
    assert packed_ip(text) is None
