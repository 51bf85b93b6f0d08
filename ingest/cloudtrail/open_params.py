"""Falco's configuration of its CloudTrail plugin (``open_params`` and ``init_config``) as options of our sources."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl

from ingest.base import SourceError
from ingest.cloudtrail.options import AwsOptions, ObjectOptions, S3Options, SqsOptions

_DEFAULTS: dict[str, bool | int | str] = {
    "s3DownloadConcurrency": 32,
    "s3Interval": "",
    "s3AccountList": "",
    "sqsDelete": True,
    "sqsOwnerAccount": "",
    "useS3SNS": False,
    "useAsync": True,
}
_AWS = ("profile", "region", "config", "credentials")
_S3_QUERY = ("from", "to", "accounts", "regions", "follow", "checkpoint")


@dataclass(slots=True)
class Opened:
    """
    What a plugin configuration asks for.

    Attributes:
        options: Options of the queue or bucket; None for local files.
        path: Local file or directory; "" for a queue or a bucket.
        notes: One line for each key that has no effect here, and why.
    """

    options: SqsOptions | S3Options | None = None
    path: str = ""
    notes: list[str] = field(default_factory=list)


def translate(open_params: str, init_config: str | Mapping[str, Any] = "") -> Opened:
    """
    Read a plugin configuration.

    Args:
        open_params: ``sqs://...``, ``s3://bucket[/prefix]``, or a path. A bucket may be followed by ``?`` and any of
            ``from=``, ``to=``, ``accounts=``, ``regions=``, ``follow=`` and ``checkpoint=``.
        init_config: JSON text, a mapping, or "" for the plugin's defaults.

    Raises:
        SourceError: A value is of the wrong type, or makes no sense.
    """
    given = _mapping(init_config)
    config = {key: _value(given, key, default) for key, default in _DEFAULTS.items()}
    aws = _aws(given)
    notes = _notes(given)
    if open_params.startswith("sqs://"):
        return Opened(_sqs(open_params, config, aws), notes=notes)
    if open_params.startswith("s3://"):
        return Opened(_s3(open_params, config, aws), notes=notes)
    if not open_params:
        raise SourceError("open_params is empty; expected a path, s3://bucket/prefix or sqs://queue")
    return Opened(path=open_params.removeprefix("file://"), notes=notes)


def _mapping(init_config: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(init_config, str):
        return init_config
    if not init_config.strip():
        return {}
    try:
        value = json.loads(init_config)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"init_config is no JSON: {error}") from None
    if not isinstance(value, dict):
        raise SourceError("init_config is no JSON object")
    return value


def _value(given: Mapping[str, Any], key: str, default: bool | int | str) -> Any:
    value = given.get(key, default)
    if value is None:
        return default
    if type(value) is not type(default):
        raise SourceError(
            f"init_config.{key}: {value!r} is of type {type(value).__name__}, not {type(default).__name__}"
        )
    return value


def _aws(given: Mapping[str, Any]) -> AwsOptions:
    section = given.get("aws") or {}
    if not isinstance(section, Mapping):
        raise SourceError("init_config.aws is no mapping")
    return AwsOptions(**{key: _value(section, key, "") for key in _AWS})


def _notes(given: Mapping[str, Any]) -> list[str]:
    notes = [f"{key} is not known and has no effect" for key in given if key not in _DEFAULTS and key != "aws"]
    section = given.get("aws") or {}
    notes += [f"aws.{key} is not known and has no effect" for key in section if key not in _AWS]
    if "useS3SNS" in given:
        notes.append("useS3SNS has no effect: every form of notification is recognised by its shape")
    if "useAsync" in given:
        notes.append("useAsync has no effect: it tunes Falco's plugin interface")
    if given.get("sqsDelete") is True:
        notes.append("sqsDelete deletes a message after its alerts are safe, not when it is received")
    return notes


def _sqs(open_params: str, config: Mapping[str, Any], aws: AwsOptions) -> SqsOptions:
    return SqsOptions(
        queue=open_params,
        owner_account=config["sqsOwnerAccount"],
        delete="after_delivery" if config["sqsDelete"] else "never",
        aws=aws,
        objects=_objects(config),
    )


def _objects(config: Mapping[str, Any]) -> ObjectOptions:
    if config["s3DownloadConcurrency"] < 1:
        raise SourceError("init_config.s3DownloadConcurrency is less than 1")
    return ObjectOptions(concurrency=config["s3DownloadConcurrency"])


def _s3(open_params: str, config: Mapping[str, Any], aws: AwsOptions) -> S3Options:
    location, _, query = open_params.partition("?")
    options = S3Options(
        location=location,
        interval=config["s3Interval"],
        accounts=_list(config["s3AccountList"]),
        aws=aws,
        objects=_objects(config),
    )
    return replace(options, **_from_query(query))


def _from_query(query: str) -> dict[str, Any]:
    given = dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True))
    for key in given:
        if key not in _S3_QUERY:
            raise SourceError(f"?{key}= is not known; known are {', '.join(_S3_QUERY)}")
    changes: dict[str, Any] = {key: _list(given[key]) for key in ("accounts", "regions") if key in given}
    if "from" in given or "to" in given:
        changes["interval"] = interval_between(given.get("from", ""), given.get("to", ""))
    if "checkpoint" in given:
        changes["checkpoint"] = given["checkpoint"]
    if "follow" in given:
        if given["follow"] not in ("true", "false"):
            raise SourceError(f"?follow={given['follow']}: expected true or false")
        changes["follow"] = given["follow"] == "true"
    return changes


def interval_between(start: str, end: str) -> str:
    """Return the interval option for two points of time, each of which may be ""."""
    return f"{start or '1970-01-01T00:00:00Z'}-{end}" if end else start


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
