"""Alerts out of Falco's JSON, the other way round from ``Alert.json``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from engine.alert import Alert, alert_uid
from engine.priority import Priority

_SECOND = 1_000_000_000
_TIMES = ("evt.time", "evt.time.iso8601")


def alert_of(told: Any) -> Alert:
    """
    Return the alert that a JSON object tells of, of Lanner or of Falco.

    Raises:
        ValueError: It is no such object; the text says what is missing.
    """
    if not isinstance(told, Mapping):
        raise ValueError("an alert is a JSON object")
    try:
        priority, time_ns = Priority.parse(str(told["priority"])), _nanoseconds(told)
        fields = {name: value for name, value in _fields(told).items() if name not in _TIMES or value != time_ns}
        rule, source = str(told["rule"]), str(told.get("source", "syscall"))
    except KeyError as missing:
        raise ValueError(f"an alert has {missing}") from None
    message = told.get("message") or _message(str(told.get("output", "")), priority)
    tags = tuple(str(tag) for tag in told.get("tags") or ())
    known = told.get("lanner")
    uid = str(known["uid"]) if isinstance(known, Mapping) and "uid" in known else _uid(rule, source, told)
    return Alert(rule, priority, time_ns, source, str(told.get("hostname", "")), str(message), fields, tags, uid)


def _fields(told: Mapping[str, Any]) -> Mapping[str, Any]:
    found = {} if told.get("output_fields") is None else told["output_fields"]
    if not isinstance(found, Mapping):
        raise ValueError("'output_fields' is an object")
    return found


def _nanoseconds(told: Mapping[str, Any]) -> int:
    """Return the time to the nanosecond, which ``datetime`` does not hold."""
    text = str(told["time"]).removesuffix("Z")
    whole, _, fraction = text.partition(".")
    try:
        seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
        return seconds * _SECOND + int(fraction[:9].ljust(9, "0"))
    except ValueError:
        raise ValueError("'time' is a time in UTC such as 2026-01-02T03:04:05.000000006Z") from None


def _message(output: str, priority: Priority) -> str:
    """Return the message without time and priority."""
    _, found, message = output.partition(f": {priority.label} ")
    return message if found else output


def _uid(rule: str, source: str, told: Mapping[str, Any]) -> str:
    return alert_uid(rule, source, msgspec.json.encode(told, order="sorted").decode())
