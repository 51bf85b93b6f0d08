"""Policy documents in requests: who gets in, and who becomes administrator."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from engine.event import Event
from tests.ingest.cloudtrail.samples import ask, event

OWN = "arn:aws:iam::111122223333:root"
OTHER = "arn:aws:iam::444455556666:root"


def policy(*statements: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **each} for each in statements], **more}


def asked(document: Any, key: str = "policyDocument") -> Event:
    return event(requestParameters={key: document})


PUBLIC = policy({"Principal": "*", "Action": "s3:GetObject", "Resource": "*"})


@pytest.mark.parametrize(
    "value",
    [
        PUBLIC,
        json.dumps(PUBLIC),
        json.dumps(PUBLIC, indent=2),
        quote(json.dumps(PUBLIC)),
        {"Policy": json.dumps(PUBLIC)},
        {"policy": {"policy": json.dumps(PUBLIC)}},
        [{"attributeValue": json.dumps(PUBLIC)}],
    ],
    ids=["object", "text", "pretty", "encoded", "attribute", "nested", "listed"],
)
def test_a_document_is_found_in_every_shape_it_comes_in(value: Any) -> None:
    assert ask("ct.policy.public", asked(value)) is True


@pytest.mark.parametrize(
    "value", [None, "", "{", '{"Statement"', "Statement", "%7B%7D", 7, {}, [], "arn:aws:iam::aws:policy/x"]
)
def test_without_a_document_every_field_is_absent(value: Any) -> None:
    found = asked(value)

    assert [ask(f"ct.policy.{name}", found) for name in ("public", "admin", "principals", "accounts")] == [None] * 4


def test_a_document_nested_deeper_than_any_call_has_it_is_not_searched_for() -> None:
    value: Any = PUBLIC
    for _ in range(10):
        value = {"deeper": value}

    assert ask("ct.policy.public", asked(value)) is None


@pytest.mark.parametrize(
    ("statement", "public"),
    [
        ({"Principal": "*"}, True),
        ({"Principal": {"AWS": "*"}}, True),
        ({"Principal": {"AWS": [OWN, "*"]}}, True),
        ({"NotPrincipal": {"AWS": OWN}}, True),
        ({"Principal": {"AWS": OTHER}}, False),
        ({"Principal": {"Service": "*"}}, False),
        ({"Principal": {"Service": "cloudtrail.amazonaws.com"}}, False),
        ({"Effect": "Deny", "Principal": "*"}, False),
        ({"Action": "s3:GetObject", "Resource": "*"}, False),
        ({"Principal": "*", "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-1"}}}, False),
        ({"Principal": "*", "Condition": {"StringEquals": {"AWS:SourceOwner": "111122223333"}}}, False),
        ({"Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24"]}}}, False),
        ({"Principal": "*", "Condition": {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "0.0.0.0/0"]}}}, True),
        ({"Principal": "*", "Condition": {"StringLike": {"aws:PrincipalArn": "*"}}}, True),
        ({"Principal": "*", "Condition": {"StringNotEquals": {"aws:SourceVpce": "vpce-1"}}}, True),
        ({"Principal": "*", "Condition": {"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}}, True),
        ({"Principal": "*", "Condition": {"Null": {"aws:PrincipalOrgID": "false"}}}, True),
        ({"Principal": "*", "Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True),
        ({"Principal": "*", "Condition": "odd"}, True),
    ],
)
def test_public_means_that_strangers_get_in(statement: dict[str, Any], public: bool) -> None:
    assert ask("ct.policy.public", asked(policy(statement))) is public


def test_one_open_statement_is_enough() -> None:
    narrow = {"Principal": "*", "Condition": {"StringEquals": {"AWS:SourceOwner": "111122223333"}}}

    assert ask("ct.policy.public", asked(policy(narrow, {"Principal": {"AWS": "*"}}))) is True
    assert ask("ct.policy.public", asked({"Statement": {"Effect": "Allow", "Principal": "*"}})) is True


@pytest.mark.parametrize(
    ("statement", "admin"),
    [
        ({"Action": "*", "Resource": "*"}, True),
        ({"Action": ["s3:GetObject", "*:*"], "Resource": ["*"]}, True),
        ({"Action": "IAM:*", "Resource": "*"}, True),
        ({"NotAction": "billing:*", "Resource": "*"}, True),
        ({"NotAction": ["iam:*", "organizations:*"], "Resource": "*"}, False),
        ({"Action": "*", "Resource": "arn:aws:s3:::b/*"}, False),
        ({"Action": "ec2:*", "Resource": "*"}, False),
        ({"Action": "*", "Resource": "*", "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}, False),
        ({"Effect": "Deny", "Action": "*", "Resource": "*"}, False),
    ],
)
def test_admin_means_everything_or_all_of_iam_everywhere(statement: dict[str, Any], admin: bool) -> None:
    assert ask("ct.policy.admin", asked(policy(statement))) is admin


def test_accounts_are_those_of_others_however_they_are_written() -> None:
    found = asked(policy({"Principal": {"AWS": [OWN, OTHER, "777788889999", "AIDAEXAMPLE", "*"]}}))

    assert ask("ct.policy.accounts", found) == ["444455556666", "777788889999"]
    assert ask("ct.policy.principals", found) == [OWN, OTHER, "777788889999", "AIDAEXAMPLE", "*"]
    assert ask("ct.policy.accounts", asked(policy({"Principal": {"AWS": OWN}}))) is None
    assert ask("ct.policy.accounts", asked(policy({"Effect": "Deny", "Principal": {"AWS": OTHER}}))) is None


@pytest.mark.parametrize("odd", [None, 7, "Allow", [None, 7, "x"], [{"Effect": "Allow", "Principal": 7, "Action": {}}]])
def test_odd_statements_allow_nothing(odd: Any) -> None:
    found = asked({"Statement": odd})

    assert ask("ct.policy.public", found) is False
    assert ask("ct.policy.admin", found) is False
    assert ask("ct.policy.principals", found) is None
