"""
Alerts where they are searched: Elasticsearch and OpenSearch, Loki, Splunk, Datadog, OTLP logs.

An alert's uid is the document's id where the store has ids, so that a repeat makes no second document.
Sources: Elasticsearch bulk API, Loki push API, Splunk HTTP Event Collector, Datadog logs intake v2, OTLP 1.x over HTTP
in JSON.
"""

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from engine import times
from engine.alert import Alert
from lanner import __version__
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import compact, ecs, form
from lanner.outputs.http import Answer, HttpOptions, Request, Service, checked_url, json_request, said_by

_TAKEN_ALREADY = 409


def _basic(user: str, password: str) -> dict[str, str]:
    pair = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"} if user else {}


def _document(alert: Alert) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(alert.json(with_uid=True))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticsearchOptions(HttpOptions):
    """
    Elasticsearch or OpenSearch.

    Attributes:
        url: Of the cluster.
        index: Index or data stream.
        suffix: Date after the index name, from the alert's time in UTC.
        format: Form of a document: ecs, or falco-json with "@timestamp".
        pipeline: Ingest pipeline.
        username: For basic authentication.
        password: For basic authentication.
        api_key: Instead of them, as the cluster gives it, in Base64.
        batch: Alerts per request at most.
    """

    url: str
    index: str = "lanner-alerts"
    suffix: Literal["none", "daily", "monthly", "annually"] = "none"
    format: Literal["ecs", "falco-json"] = "ecs"
    pipeline: str = ""
    username: str = ""
    password: str = ""
    api_key: str = ""
    batch: int = 500


def elasticsearch(options: ElasticsearchOptions) -> Service:
    """Return the service; documents are made with ``create``, so that one that is there already stays."""
    url = f"{checked_url(options.url)}/_bulk"
    if options.pipeline:
        url += f"?pipeline={options.pipeline}"
    auth = {"Authorization": f"ApiKey {options.api_key}"} if options.api_key else {}
    headers = {"Content-Type": "application/x-ndjson", **_basic(options.username, options.password), **auth}

    def request(alerts: Sequence[Alert]) -> Request:
        lines = [line for alert in alerts for line in _bulk(alert, options)]
        return Request(url, "".join(f"{line}\n" for line in lines).encode(), headers)

    return Service(request, options.batch, _check_bulk)


_SUFFIX = {"daily": "-%Y.%m.%d", "monthly": "-%Y.%m", "annually": "-%Y", "none": ""}


def _bulk(alert: Alert, options: ElasticsearchOptions) -> tuple[str, str]:
    suffix = time.strftime(_SUFFIX[options.suffix], time.gmtime(alert.time_ns // 1_000_000_000))
    action = {"create": {"_index": f"{options.index}{suffix}", "_id": alert.uid}}
    if options.format == "ecs":
        return compact(action), compact(ecs(alert))
    return compact(action), compact({"@timestamp": times.utc_json(alert.time_ns), **_document(alert)})


def _check_bulk(answer: Answer) -> None:
    """Find the first document that was not taken: the answer is 200 even when all of them failed."""
    try:
        found = json.loads(answer.body)
        items = found["items"] if found["errors"] else []
    except (ValueError, KeyError, TypeError):
        raise Undelivered(f"this is no answer of a bulk request: {said_by(answer)}") from None
    for at, item in enumerate(items):
        result = next(iter(item.values()))
        status = result.get("status", 0)
        if not (200 <= status < 300 or status == _TAKEN_ALREADY):
            reason = (result.get("error") or {}).get("reason", "")
            raise Undelivered(f"a document was not taken ({status}): {reason}", at, refused=status == 400)


@dataclass(frozen=True, slots=True, kw_only=True)
class LokiOptions(HttpOptions):
    """
    Grafana Loki.

    Attributes:
        url: Of Loki, without the path of the push API.
        username: For basic authentication.
        password: For basic authentication.
        tenant: Sent as X-Scope-OrgID.
        format: Form of a line: falco-json, text, ecs, ocsf or cef.
        extra_labels: More labels of every stream, a mapping; keep them few.
        batch: Alerts per request at most.
    """

    url: str
    username: str = ""
    password: str = ""
    tenant: str = ""
    format: Literal["falco-json", "text", "ecs", "ocsf", "cef"] = "falco-json"
    extra_labels: Mapping[str, str] = field(default_factory=dict)
    batch: int = 200


def loki(options: LokiOptions) -> Service:
    """Return the service; only source, priority, rule and host are labels, since each new value makes a stream."""
    url, line = f"{checked_url(options.url)}/loki/api/v1/push", form(options.format)
    headers = _basic(options.username, options.password)
    if options.tenant:
        headers["X-Scope-OrgID"] = options.tenant

    def request(alerts: Sequence[Alert]) -> Request:
        streams: dict[tuple[str, ...], list[list[str]]] = {}
        for alert in alerts:
            key = (alert.source, alert.priority.name.lower(), alert.rule, alert.hostname)
            streams.setdefault(key, []).append([str(alert.time_ns), line(alert)])
        made = [{"stream": _labels(key, options), "values": lines} for key, lines in streams.items()]
        return json_request(url, {"streams": made}, headers)

    return Service(request, options.batch)


def _labels(key: tuple[str, ...], options: LokiOptions) -> dict[str, str]:
    named = dict(zip(("source", "priority", "rule", "hostname"), key, strict=True))
    return {"job": "lanner"} | named | dict(options.extra_labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplunkOptions(HttpOptions):
    """
    Splunk, through its HTTP Event Collector.

    Attributes:
        url: Of the collector; /services/collector/event is added when it has no path.
        token: Of the collector.
        index: Index instead of the token's own.
        sourcetype: Sourcetype of the events.
        batch: Alerts per request at most.
    """

    url: str
    token: str
    index: str = ""
    sourcetype: str = "lanner:alert"
    batch: int = 200


def splunk(options: SplunkOptions) -> Service:
    """Return the service."""
    base = checked_url(options.url)
    url = base if base.count("/") > 2 else f"{base}/services/collector/event"
    headers = {"Authorization": f"Splunk {options.token}", "Content-Type": "application/json"}

    def request(alerts: Sequence[Alert]) -> Request:
        return Request(url, "".join(compact(_hec(alert, options)) for alert in alerts).encode(), headers)

    return Service(request, options.batch)


def _hec(alert: Alert, options: SplunkOptions) -> dict[str, Any]:
    about = {"time": alert.time_ns / 1e9, "host": alert.hostname, "source": f"lanner:{alert.source}"}
    index = {"index": options.index} if options.index else {}
    return {**about, **index, "sourcetype": options.sourcetype, "event": _document(alert)}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatadogOptions(HttpOptions):
    """
    Datadog logs.

    Attributes:
        api_key: Of the organisation.
        site: Of the account, such as datadoghq.eu.
        service: The attribute "service".
        url: Instead of the site's own.
        batch: Alerts per request at most.
    """

    api_key: str
    site: str = "datadoghq.com"
    service: str = "lanner"
    url: str = ""
    batch: int = 200


def datadog(options: DatadogOptions) -> Service:
    """Return the service."""
    url = f"{checked_url(options.url or f'https://http-intake.logs.{options.site}')}/api/v2/logs"
    headers = {"DD-API-KEY": options.api_key}

    def request(alerts: Sequence[Alert]) -> Request:
        return json_request(url, [_datadog(alert, options.service) for alert in alerts], headers)

    return Service(request, options.batch)


def _datadog(alert: Alert, service: str) -> dict[str, Any]:
    tags = [f"rule:{alert.rule}", f"eventsource:{alert.source}", *alert.tags]
    about = {"ddsource": "lanner", "ddtags": ",".join(tag.replace(",", "_") for tag in tags), "service": service}
    return {**_document(alert), **about, "message": alert.message, "status": alert.priority.name.lower()}


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpOptions(HttpOptions):
    """
    An OpenTelemetry collector, or what speaks OTLP over HTTP.

    Attributes:
        url: Of the collector; /v1/logs is added when it has no path.
        attributes: More attributes of the resource, a mapping.
    """

    url: str
    attributes: Mapping[str, str] = field(default_factory=dict)


_OTLP_SEVERITY = {0: 24, 1: 23, 2: 21, 3: 17, 4: 13, 5: 10, 6: 9, 7: 5}


def otlp(options: OtlpOptions) -> Service:
    """Return the service: alerts as log records, one a request, since an answer does not say which one it rejected."""
    base = checked_url(options.url)
    url = base if base.count("/") > 2 else f"{base}/v1/logs"

    def request(alerts: Sequence[Alert]) -> Request:
        resource = _attributes({"service.name": "lanner", **options.attributes})
        scope = {"scope": {"name": "lanner", "version": __version__}, "logRecords": [_record(alerts[0])]}
        return json_request(url, {"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [scope]}]})

    return Service(request, check=_check_partial)


def _record(alert: Alert) -> dict[str, Any]:
    about = {"rule": alert.rule, "source": alert.source, "tags": list(alert.tags), "uid": alert.uid}
    return {
        "timeUnixNano": str(alert.time_ns),
        "observedTimeUnixNano": str(time.time_ns()),
        "severityNumber": _OTLP_SEVERITY[alert.priority],
        "severityText": alert.priority.label,
        "body": {"stringValue": alert.message},
        "attributes": _attributes({"host.name": alert.hostname, **_prefixed(about), **alert.output_fields}),
    }


def _prefixed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"lanner.{name}": value for name, value in values.items()}


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _any_value(value)} for name, value in values.items() if value is not None]


def _any_value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list | tuple):
        return {"arrayValue": {"values": [_any_value(item) for item in value]}}
    return {"stringValue": str(value)}


def _check_partial(answer: Answer) -> None:
    """See whether a collector took the request and not what is in it; that must not be tried again."""
    try:
        partial = json.loads(answer.body or b"{}").get("partialSuccess") or {}
        rejected = int(partial.get("rejectedLogRecords", 0))
    except (ValueError, AttributeError, TypeError):
        return
    if rejected:
        raise Undelivered(f"the record was rejected: {partial.get('errorMessage', '')}", refused=True)
