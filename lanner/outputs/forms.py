"""
The forms of an alert that destinations read: Falco's JSON, text, and the common schemas of security tools.

Sources: Elastic Common Schema 8.11 (event, rule, log, threat), OCSF 1.3 class 2004 Detection Finding, ArcSight Common
Event Format revision 25.
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

from engine import times
from engine.alert import Alert
from engine.priority import Priority
from lanner import __version__

FormName = Literal["falco-json", "text", "ecs", "ocsf", "cef"]
Form = Callable[[Alert], str]

_TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")
_OCSF_SEVERITY = {0: 6, 1: 5, 2: 5, 3: 4, 4: 3, 5: 2, 6: 1, 7: 1}
_OCSF_NAMES = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical", 6: "Fatal"}
_CEF_SEVERITY = {0: 10, 1: 10, 2: 9, 3: 8, 4: 6, 5: 4, 6: 2, 7: 0}


def form(name: FormName, iso_8601: bool = False) -> Form:
    """Return the function that makes one line of text, without its end, of an alert."""
    if name == "text":
        return lambda alert: alert.text(iso_8601)
    if name == "cef":
        return cef
    if name == "falco-json":
        return lambda alert: alert.json(iso_8601, with_uid=True)
    make = ecs if name == "ecs" else ocsf
    return lambda alert: compact(make(alert))


def content_type(name: FormName) -> str:
    """Return the media type of a form."""
    return "text/plain; charset=utf-8" if name in ("text", "cef") else "application/json"


def compact(value: Any) -> str:
    """Return JSON text on one line; what cannot be written as UTF-8 is replaced."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text.encode("utf-8", "replace").decode()


def techniques(alert: Alert) -> list[str]:
    """Return the ids of ATT&CK techniques among an alert's tags."""
    return [tag for tag in alert.tags if _TECHNIQUE.fullmatch(tag)]


def ecs(alert: Alert) -> dict[str, Any]:
    """Return an alert as a document of the Elastic Common Schema."""
    found = {
        "@timestamp": times.utc_json(alert.time_ns),
        "ecs": {"version": "8.11.0"},
        "event": {
            "kind": "alert",
            "module": "lanner",
            "dataset": f"lanner.{alert.source}",
            "id": alert.uid,
            "severity": int(alert.priority),
        },
        "message": alert.message,
        "rule": {"name": alert.rule, "ruleset": alert.source},
        "log": {"level": alert.priority.name.lower()},
        "host": {"name": alert.hostname},
        "tags": list(alert.tags),
        "lanner": {"output_fields": dict(alert.output_fields)},
    }
    if ids := techniques(alert):
        found["threat"] = {"framework": "MITRE ATT&CK", "technique": {"id": ids}}
    return found


def ocsf(alert: Alert) -> dict[str, Any]:
    """Return an alert as an OCSF Detection Finding; times there are milliseconds since the epoch."""
    severity = _OCSF_SEVERITY[alert.priority]
    milliseconds = alert.time_ns // 1_000_000
    finding: dict[str, Any] = {
        "uid": alert.uid,
        "title": alert.rule,
        "desc": alert.message,
        "created_time": milliseconds,
        "analytic": {"name": alert.rule, "type": "Rule", "type_id": 1},
    }
    if ids := techniques(alert):
        finding["attacks"] = [{"technique": {"uid": uid}, "version": "18"} for uid in ids]
    product = {"name": "Lanner", "vendor_name": "Lanner", "version": __version__}
    return {
        "activity_id": 1,
        "activity_name": "Create",
        "category_name": "Findings",
        "category_uid": 2,
        "class_name": "Detection Finding",
        "class_uid": 2004,
        "type_uid": 200401,
        "severity": _OCSF_NAMES[severity],
        "severity_id": severity,
        "status": "New",
        "status_id": 1,
        "time": milliseconds,
        "message": alert.message,
        "metadata": {"version": "1.3.0", "product": product, "uid": alert.uid, "labels": list(alert.tags)},
        "finding_info": finding,
        "device": {"hostname": alert.hostname, "type_id": 0},
        "unmapped": {"source": alert.source, "output_fields": dict(alert.output_fields)},
    }


def cef(alert: Alert) -> str:
    """Return an alert as one line of the Common Event Format."""
    head = ("Lanner", "Lanner", __version__, alert.rule, alert.rule, str(_CEF_SEVERITY[alert.priority]))
    more = {
        "rt": str(alert.time_ns // 1_000_000),
        "dvchost": alert.hostname,
        "cat": alert.source,
        "externalId": alert.uid,
        "cs1Label": "tags",
        "cs1": ",".join(alert.tags),
        "cs2Label": "outputFields",
        "cs2": compact(dict(alert.output_fields)),
        "msg": alert.message,
    }
    extension = " ".join(f"{key}={_cef_value(value)}" for key, value in more.items())
    line = f"CEF:0|{'|'.join(map(_cef_head, head))}|{extension}"
    return line.encode("utf-8", "replace").decode()


def _cef_head(text: str) -> str:
    return _one_line(text).replace("\\", "\\\\").replace("|", "\\|")


def _cef_value(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return escaped.replace("\r", "\\r").replace("\n", "\\n")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def cut(text: str, most: int) -> str:
    """Return a text of so many characters at most, with an ellipsis where it was longer."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shown_fields(alert: Alert, most: int) -> Mapping[str, str]:
    """Return the first output fields that have a value, as text."""
    present = {name: str(value) for name, value in alert.output_fields.items() if value not in (None, "", [])}
    return dict(list(present.items())[:most])


COLOURS = {
    Priority.EMERGENCY: 0x8B0000,
    Priority.ALERT: 0xB00020,
    Priority.CRITICAL: 0xD32F2F,
    Priority.ERROR: 0xE64A19,
    Priority.WARNING: 0xF9A825,
    Priority.NOTICE: 0x1976D2,
    Priority.INFORMATIONAL: 0x2E7D32,
    Priority.DEBUG: 0x757575,
}
"""Colour by priority, as a number of 24 bits."""
