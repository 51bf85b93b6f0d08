"""
Alerts that wake people: PagerDuty, Opsgenie, Alertmanager.

A repeat of an alert carries the same key (its uid), so that it opens no second incident.
Sources: PagerDuty Events API v2, Opsgenie Alert API, Alertmanager's OpenAPI v2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from engine import times
from engine.alert import Alert
from engine.priority import Priority
from lanner.outputs.forms import cut
from lanner.outputs.http import HttpOptions, Request, Service, checked_url, json_request

_PAGERDUTY = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}
_OPSGENIE = {"us": "https://api.opsgenie.com", "eu": "https://api.eu.opsgenie.com"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDutyOptions(HttpOptions):
    """
    A service of PagerDuty.

    Attributes:
        routing_key: Integration key of the service, Events API v2.
        region: Where the account is.
        url: Instead of the region's own.
    """

    routing_key: str
    region: Literal["us", "eu"] = "us"
    url: str = ""


def pagerduty(options: PagerDutyOptions) -> Service:
    """Return PagerDuty: an alert triggers, and its uid is the deduplication key."""
    url = f"{checked_url(options.url or _PAGERDUTY[options.region])}/v2/enqueue"

    def request(alerts: Sequence[Alert]) -> Request:
        return json_request(url, _trigger(alerts[0], options.routing_key))

    return Service(request)


def _trigger(alert: Alert, key: str) -> dict[str, Any]:
    severity = {0: "critical", 1: "critical", 2: "critical", 3: "error", 4: "warning"}.get(alert.priority, "info")
    payload = {
        "summary": cut(f"{alert.rule}: {alert.message}", 1024),
        "source": alert.hostname or "lanner",
        "severity": severity,
        "timestamp": times.utc_json(alert.time_ns),
        "component": alert.source,
        "class": alert.rule,
        "custom_details": {**alert.output_fields, "priority": alert.priority.label, "tags": list(alert.tags)},
    }
    return {
        "routing_key": key,
        "event_action": "trigger",
        "dedup_key": alert.uid,
        "payload": payload,
        "client": "Lanner",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class OpsgenieOptions(HttpOptions):
    """
    An integration of Opsgenie.

    Attributes:
        api_key: Key of the integration.
        region: Where the account is.
        url: Instead of the region's own.
    """

    api_key: str
    region: Literal["us", "eu"] = "us"
    url: str = ""


def opsgenie(options: OpsgenieOptions) -> Service:
    """Return Opsgenie: the alert's uid is the alias, so that a repeat counts and does not open another."""
    url = f"{checked_url(options.url or _OPSGENIE[options.region])}/v2/alerts"
    headers = {"Authorization": f"GenieKey {options.api_key}"}

    def request(alerts: Sequence[Alert]) -> Request:
        return json_request(url, _opsgenie_alert(alerts[0]), headers)

    return Service(request)


def _opsgenie_alert(alert: Alert) -> dict[str, Any]:
    return {
        "message": cut(alert.rule, 130),
        "alias": alert.uid,
        "description": cut(alert.message, 15_000),
        "priority": {0: "P1", 1: "P1", 2: "P2", 3: "P3", 4: "P4"}.get(alert.priority, "P5"),
        "tags": [cut(tag, 50) for tag in alert.tags[:20]],
        "details": {name: cut(str(value), 500) for name, value in list(alert.output_fields.items())[:30]},
        "source": cut(alert.hostname, 100),
        "entity": cut(alert.source, 512),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerOptions(HttpOptions):
    """
    An Alertmanager.

    Attributes:
        url: Of the Alertmanager.
        expires_after: Seconds after which an alert is resolved; 0 leaves that to the Alertmanager.
        label_fields: Output fields that become labels; each new value of one is a new alert there.
        extra_labels: More labels of every alert, a mapping.
        extra_annotations: More annotations of every alert, a mapping.
        severities: The label "severity" by priority, a mapping, over the usual information, warning, critical.
    """

    url: str
    expires_after: float = 0
    label_fields: tuple[str, ...] = ()
    extra_labels: Mapping[str, str] = field(default_factory=dict)
    extra_annotations: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, str] = field(default_factory=dict)


def alertmanager(options: AlertmanagerOptions) -> Service:
    """Return an Alertmanager. Raises ValueError when an option makes no sense."""
    url = f"{checked_url(options.url)}/api/v2/alerts"
    severities = {Priority.parse(name): text for name, text in options.severities.items()}

    def request(alerts: Sequence[Alert]) -> Request:
        return json_request(url, [_posted(alert, options, severities) for alert in alerts])

    return Service(request, at_once=100)


def _posted(alert: Alert, options: AlertmanagerOptions, severities: Mapping[Priority, str]) -> dict[str, Any]:
    usual = "critical" if alert.priority <= 2 else "warning" if alert.priority <= 4 else "information"
    labels = {
        "alertname": alert.rule,
        "source": "lanner",
        "rule": alert.rule,
        "eventsource": alert.source,
        "hostname": alert.hostname,
        "priority": alert.priority.label,
        "severity": severities.get(alert.priority, usual),
        "tags": ",".join(alert.tags),
    }
    for name in options.label_fields:
        if (value := alert.output_fields.get(name)) is not None:
            labels[_label(name)] = str(value)
    annotations = {"summary": alert.rule, "description": alert.message, "info": alert.message, "uid": alert.uid}
    starts = datetime.fromtimestamp(alert.time_ns / 1e9, UTC)
    posted: dict[str, Any] = {
        "labels": {name: value for name, value in {**labels, **options.extra_labels}.items() if value},
        "annotations": {**annotations, **options.extra_annotations},
        "startsAt": starts.isoformat(),
    }
    if options.expires_after:
        posted["endsAt"] = (datetime.now(UTC) + timedelta(seconds=options.expires_after)).isoformat()
    return posted


def _label(name: str) -> str:
    """Return a name as Prometheus allows it for a label."""
    kept = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name)
    return f"_{kept}" if kept[:1].isdigit() else kept
