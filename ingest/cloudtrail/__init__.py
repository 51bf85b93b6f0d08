"""AWS CloudTrail: records, fields, files, SQS and S3; and ``lambda_handler``, the entry point of a Lambda function."""

from functools import cache
from typing import Any

_GROUP, _NAME = "lanner.lambda", "handler"


def lambda_handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """
    Process an invocation: ``ingest.cloudtrail.lambda_handler`` is what a Lambda function names as its handler.

    A source does not know the program that evaluates its events; the installed one says which function takes them, by
    the entry point ``handler`` in the group ``lanner.lambda``.

    Raises:
        LookupError: None is installed, such as when the package's metadata was left out.
        Exception: What the program's handler raises.
    """
    answer: dict[str, Any] = _handler()(event, context)
    return answer


@cache
def _handler() -> Any:
    from importlib.metadata import entry_points

    found = entry_points(group=_GROUP, name=_NAME)
    if not found:
        raise LookupError(f"no entry point {_GROUP}:{_NAME}; package Lanner with its .dist-info folder")
    return next(iter(found)).load()
