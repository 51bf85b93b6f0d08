"""What an IAM policy document decides, for the elements and conditions that the module uses."""

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any


def allows(document: str | dict[str, Any], action: str, resource: str, principal: str = "", **context: str) -> bool:
    """
    Decide a request: an explicit denial wins, and without a permission it is denied.

    Args:
        principal: Service that asks, for policies of resources.
        context: Condition keys and their values.
    """
    statements = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    effects = {s["Effect"] for s in statements if _covers(s, action, resource, principal, context)}
    return effects == {"Allow"}


def actions(document: str | dict[str, Any]) -> set[str]:
    """Return all actions that a document allows, as it spells them."""
    statements = (json.loads(document) if isinstance(document, str) else document)["Statement"]
    return {action for s in statements if s["Effect"] == "Allow" for action in _list(s["Action"])}


def _covers(statement: dict[str, Any], action: str, resource: str, principal: str, keys: Mapping[str, str]) -> bool:
    return (
        any(fnmatchcase(action, pattern) for pattern in _list(statement["Action"]))
        and any(fnmatchcase(resource, pattern) for pattern in _list(statement["Resource"]))
        and _is_for(statement.get("Principal"), principal)
        and all(_holds(test, wanted, keys) for test, wanted in statement.get("Condition", {}).items())
    )


def _is_for(principals: Any, principal: str) -> bool:
    if principals is None or principals == "*":
        return True
    return any(principal == name for names in principals.values() for name in _list(names))


_EQUAL: Callable[[str, str], bool] = str.__eq__
_TESTS: dict[str, Callable[[str, str], bool]] = {
    "StringEquals": _EQUAL,
    "StringLike": fnmatchcase,
    "ArnEquals": fnmatchcase,
    "Bool": _EQUAL,
}


def _holds(test: str, wanted: dict[str, Any], keys: Mapping[str, str]) -> bool:
    compare = _TESTS[test.removesuffix("IfExists")]
    for key, values in wanted.items():
        if key not in keys:
            if not test.endswith("IfExists"):
                return False
        elif not any(compare(keys[key], value) for value in _list(values)):
            return False
    return True


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
