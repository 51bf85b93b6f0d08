"""A configuration of Falco's CloudTrail plugin means the same here; what has no effect is said."""

import json
from typing import Any

import pytest

from ingest.base import SourceError
from ingest.cloudtrail.open_params import Opened, translate
from ingest.cloudtrail.options import AwsOptions, ObjectOptions, S3Options, SqsOptions

ALL: dict[str, Any] = {
    "s3DownloadConcurrency": 64,
    "s3Interval": "5d-2d",
    "s3AccountList": "111122223333, 444455556666",
    "sqsDelete": False,
    "sqsOwnerAccount": "111122223333",
    "useS3SNS": True,
    "useAsync": False,
    "aws": {"profile": "p", "region": "eu-west-1", "config": "/c", "credentials": "/k"},
}
AWS = AwsOptions(profile="p", region="eu-west-1", config="/c", credentials="/k")


@pytest.mark.parametrize("init_config", ["", "  ", "{}", {}])
def test_without_a_configuration_the_defaults_hold(init_config: Any) -> None:
    assert translate("sqs://queue", init_config) == Opened(SqsOptions("sqs://queue"))
    assert translate("s3://bucket/a", init_config) == Opened(S3Options("s3://bucket/a"))


@pytest.mark.parametrize("init_config", [ALL, json.dumps(ALL)])
def test_every_key_of_the_plugin_has_its_meaning(init_config: Any) -> None:
    queue = translate("sqs://queue", init_config)
    bucket = translate("s3://bucket/a", init_config)

    assert queue.options == SqsOptions(
        "sqs://queue", owner_account="111122223333", delete="never", aws=AWS, objects=ObjectOptions(concurrency=64)
    )
    assert bucket.options == S3Options(
        "s3://bucket/a",
        interval="5d-2d",
        accounts=("111122223333", "444455556666"),
        aws=AWS,
        objects=ObjectOptions(concurrency=64),
    )
    assert [note.split()[0] for note in queue.notes] == ["useS3SNS", "useAsync"]


def test_deleting_is_after_delivery_and_that_is_said() -> None:
    opened = translate("sqs://queue", {"sqsDelete": True})

    assert opened.options == SqsOptions("sqs://queue", delete="after_delivery")
    assert "after its alerts are safe" in opened.notes[0]


def test_unknown_keys_are_tolerated_and_said() -> None:
    opened = translate("sqs://queue", {"sqsDelet": True, "aws": {"regoin": "x"}})

    assert opened.notes == ["sqsDelet is not known and has no effect", "aws.regoin is not known and has no effect"]


@pytest.mark.parametrize(
    ("query", "changes"),
    {
        "": {},
        "from=5d": {"interval": "5d"},
        "from=5d&to=2d": {"interval": "5d-2d"},
        "to=2026-01-02T00:00:00Z": {"interval": "1970-01-01T00:00:00Z-2026-01-02T00:00:00Z"},
        "accounts=1,2&regions=eu-west-1": {"accounts": ("1", "2"), "regions": ("eu-west-1",)},
        "follow=true&checkpoint=/var/lib/a b.db": {"follow": True, "checkpoint": "/var/lib/a b.db"},
    }.items(),
)
def test_a_bucket_takes_its_choices_in_the_address(query: str, changes: dict[str, Any]) -> None:
    assert translate(f"s3://bucket/a?{query}").options == S3Options("s3://bucket/a", **changes)


@pytest.mark.parametrize(("text", "path"), [("trail.json", "trail.json"), ("file:///logs", "/logs"), ("-", "-")])
def test_anything_else_is_a_path(text: str, path: str) -> None:
    assert translate(text) == Opened(path=path)


@pytest.mark.parametrize(
    ("open_params", "init_config", "message"),
    [
        ("", "", "open_params is empty"),
        ("sqs://q", "{", "init_config is no JSON"),
        ("sqs://q", "[]", "init_config is no JSON object"),
        ("sqs://q", {"sqsDelete": "yes"}, "init_config.sqsDelete: 'yes' is of type str, not bool"),
        ("sqs://q", {"s3DownloadConcurrency": True}, "is of type bool, not int"),
        ("s3://b", {"s3DownloadConcurrency": 0}, "less than 1"),
        ("sqs://q", {"aws": "eu-west-1"}, "init_config.aws is no mapping"),
        ("s3://b?form=5d", "", r"\?form= is not known; known are from"),
        ("s3://b?follow=yes", "", "expected true or false"),
    ],
)
def test_a_wrong_value_is_an_error_that_names_it(open_params: str, init_config: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        translate(open_params, init_config)
