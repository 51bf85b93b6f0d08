"""
What the policy documents in a request allow: the ``ct.policy.*`` fields.

A document is found wherever ``requestParameters`` holds one: as an object, as JSON text, or as URL-encoded JSON text.
Only its ``Allow`` statements count. Without a readable document every field is absent; no field judges more than the
document itself, so a public policy behind a public access block is public.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import msgspec

from engine.event import Event
from engine.fields import Field, Getter, Type

MAX_DEPTH = 5
"""Objects within objects that are looked through for documents."""

EVERYONE = "*"

NARROWING_KEYS = frozenset({
    *("aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount", "aws:principalarn", "aws:userid"),
    *("aws:sourceaccount", "aws:sourceowner", "aws:sourcearn", "aws:sourceorgid", "aws:sourceorgpaths"),
    *("aws:sourceip", "aws:sourcevpc", "aws:sourcevpce", "aws:vpcsourceip"),
    *("kms:calleraccount", "kms:viaservice", "sts:externalid", "s3:dataaccesspointaccount", "s3:dataaccesspointarn"),
    *("lambda:functionurlauthtype", "elasticfilesystem:accesspointarn"),
})  # fmt: skip
"""Condition keys, in lower case, that keep the public out of a statement which names everyone."""

_decode = msgspec.json.Decoder().decode
_OPEN_VALUES = frozenset({"*", "0.0.0.0/0", "::/0"})
_ACCOUNT = re.compile(r"(?:arn:aws[a-z-]*:(?:iam|sts)::)?(\d{12})(?::|\Z)")
_ALL_ACTIONS = frozenset({"*", "*:*", "iam:*"})

Statement = dict[str, Any]


def documents(value: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """Yield the policy documents in a JSON value."""
    if isinstance(value, str):
        value = _parsed(value)
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict) and "Statement" in value:
        yield value
        return
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        if isinstance(child, dict | list) or (isinstance(child, str) and ("Statement" in child or "%7" in child)):
            yield from documents(child, depth + 1)


def _parsed(text: str) -> Any:
    start = text.lstrip()
    if start[:3] in ("%7B", "%7b"):
        start = unquote(start)
    if not start.startswith("{") or "Statement" not in start:
        return None
    try:
        return _decode(start)
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=1)  # several fields of one event ask
def allowed(event: Event) -> list[Statement] | None:
    """Return the ``Allow`` statements of all documents in the request; None when there is no document."""
    found = list(documents(event.record.get("requestParameters")))
    if not found:
        return None
    statements = (each for document in found for each in listed(document["Statement"]))
    return [each for each in statements if isinstance(each, dict) and each.get("Effect") == "Allow"]


def listed(value: Any) -> list[Any]:
    """Return a value that a policy may give alone or in a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def principals(statement: Statement) -> list[str]:
    """Return whom a statement names: ``*``, ARNs, account ids, service names; ``NotPrincipal`` names everyone."""
    if "NotPrincipal" in statement:
        return [EVERYONE]
    given = statement.get("Principal")
    groups = given.values() if isinstance(given, dict) else [given]
    return [name for group in groups for name in listed(group) if isinstance(name, str)]


def narrowed(statement: Statement) -> bool:
    """
    Tell whether a condition keeps the public out.

    A key counts when it is in ``NARROWING_KEYS``, none of its values stands for everything, and its operator must hold:
    negated ones, those that end in IfExists and Null do not keep strangers out.
    """
    conditions = statement.get("Condition")
    for operator, keys in conditions.items() if isinstance(conditions, dict) else ():
        if "Not" in operator or operator.endswith("IfExists") or operator == "Null" or not isinstance(keys, dict):
            continue
        for key, values in keys.items():
            if key.lower() in NARROWING_KEYS and not _OPEN_VALUES.intersection(map(str, listed(values))):
                return True
    return False


def _public(statement: Statement) -> bool:
    given = statement.get("Principal")
    anybody = given.get("AWS") if isinstance(given, dict) else given
    everyone = "NotPrincipal" in statement or EVERYONE in listed(anybody)
    return everyone and not narrowed(statement)


def _admin(statement: Statement) -> bool:
    if statement.get("Condition") or EVERYONE not in listed(statement.get("Resource")):
        return False
    if "NotAction" in statement:
        return not {"iam:*", EVERYONE}.intersection(_texts(statement["NotAction"]))
    return not _ALL_ACTIONS.isdisjoint(_texts(statement.get("Action")))


def _texts(value: Any) -> list[str]:
    return [text.lower() for text in listed(value) if isinstance(text, str)]


def _any(test: Any) -> Getter:
    def get(event: Event) -> bool | None:
        statements = allowed(event)
        return None if statements is None else any(map(test, statements))

    return get


def _principals(event: Event) -> list[str] | None:
    return list(dict.fromkeys(name for each in allowed(event) or () for name in principals(each))) or None


def _accounts(event: Event) -> list[str] | None:
    own = event.record.get("recipientAccountId")
    named = (_ACCOUNT.match(name) for name in _principals(event) or ())
    return list(dict.fromkeys(found[1] for found in named if found and found[1] != own)) or None


FIELDS = (
    Field(
        "ct.policy.public",
        Type.BOOL,
        "Whether a policy document in the request lets everyone in, with no condition that keeps strangers out.",
        _any(_public),
    ),
    Field(
        "ct.policy.admin",
        Type.BOOL,
        "Whether a policy document in the request allows every action, or every action of IAM, on every resource.",
        _any(_admin),
    ),
    Field(
        "ct.policy.principals",
        Type.STRING,
        "Whom the policy documents in the request allow something: *, ARNs, account ids, service names.",
        _principals,
        is_list=True,
    ),
    Field(
        "ct.policy.accounts",
        Type.STRING,
        "Ids of the accounts that the policy documents in the request let in, other than the account of the record.",
        _accounts,
        is_list=True,
    ),
)
