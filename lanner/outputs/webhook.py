"""Alerts to any server by HTTP: in one of Lanner's forms, or as CloudEvents 1.0."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from engine import times
from engine.alert import Alert
from lanner.outputs.forms import FormName, content_type, form
from lanner.outputs.http import HttpOptions, Request, Service, checked_url, json_request

SIGNATURE = "X-Lanner-Signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions(HttpOptions):
    """
    A server of any kind.

    Attributes:
        url: Where alerts are posted.
        method: POST or PUT.
        format: Form of an alert: falco-json, text, ecs, ocsf or cef.
        batch: Alerts per request at most; with more than one they are a JSON array, or lines when they are no JSON.
        token: Sent as "Authorization: Bearer".
        hmac_secret: Key of the HMAC-SHA256 of the body, sent in hexadecimal as X-Lanner-Signature after "sha256=".
    """

    url: str
    method: Literal["POST", "PUT"] = "POST"
    format: FormName = "falco-json"
    batch: int = 1
    token: str = ""
    hmac_secret: str = ""


def webhook(options: WebhookOptions) -> Service:
    """Return the service. Raises ValueError when an option makes no sense."""
    url = checked_url(options.url)
    if options.batch < 1:
        raise ValueError(f"batch: at least one alert goes into a request, not {options.batch}")
    body = _body(options)

    def request(alerts: Sequence[Alert]) -> Request:
        data, headers = body(alerts), {"Content-Type": content_type(options.format)}
        if options.token:
            headers["Authorization"] = f"Bearer {options.token}"
        if options.hmac_secret:
            digest = hmac.new(options.hmac_secret.encode(), data, hashlib.sha256).hexdigest()
            headers[SIGNATURE] = f"sha256={digest}"
        return Request(url, data, headers)

    return Service(request, options.batch, method=options.method)


def _body(options: WebhookOptions) -> Callable[[Sequence[Alert]], bytes]:
    line = form(options.format)
    if options.batch == 1:
        return lambda alerts: line(alerts[0]).encode()
    if options.format in ("text", "cef"):
        return lambda alerts: "".join(f"{line(alert)}\n" for alert in alerts).encode()
    return lambda alerts: f"[{','.join(map(line, alerts))}]".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEventsOptions(HttpOptions):
    """
    A receiver of CloudEvents 1.0, such as a Knative broker; each alert is one event in structured mode.

    Attributes:
        url: Where events are posted.
        event_type: The attribute "type" of the events.
    """

    url: str
    event_type: str = "dev.lanner.alert.v1"


def cloudevents(options: CloudEventsOptions) -> Service:
    """Return the service. Raises ValueError when an option makes no sense."""
    url = checked_url(options.url)

    def request(alerts: Sequence[Alert]) -> Request:
        event = _cloudevent(alerts[0], options.event_type)
        return json_request(url, event, {"Content-Type": "application/cloudevents+json"})

    return Service(request)


def _cloudevent(alert: Alert, event_type: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": alert.uid,
        "source": f"/lanner/{alert.hostname}/{alert.source}",
        "type": event_type,
        "subject": alert.rule,
        "time": times.utc_json(alert.time_ns),
        "datacontenttype": "application/json",
        "data": msgspec.json.decode(alert.json(with_uid=True)),
    }
