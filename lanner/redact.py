"""Keeping secrets out of what is shown: values under keys that name one."""

import re
from collections.abc import Mapping
from typing import Any

MASK = "***"

_SECRET = re.compile(
    r"(^|[_.-])(pass(word|phrase)?|secret|token|tokens|credential|credentials|api_?key|routing_key|authorization"
    r"|webhook_?url|dsn|headers|hmac)s?$",
    re.IGNORECASE,
)


def redacted(value: Any, key: str = "") -> Any:
    """
    Return a value with everything masked that stands under a key that names a secret.

    References such as ``${file:/run/secrets/x}`` are no secrets and stay.
    """
    if isinstance(value, Mapping):
        return {name: redacted(inner, key if _SECRET.search(key) else str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(inner, key) for inner in value]
    harmless = value is None or value == "" or isinstance(value, bool) or (isinstance(value, str) and _refers(value))
    return MASK if _SECRET.search(key) and not harmless else value


def _refers(text: str) -> bool:
    return text.startswith("${") and text.endswith("}") and text.count("${") == 1
