"""
Cloud Logging entries of a GKE cluster as audit events.

GKE keeps no audit event as the API server wrote it; this puts the parts back where the audit API has them. Groups, uid
and extra of the user and the query of the URI are not in such an entry. Source: ingest spec B4; google.rpc.Code.
"""

from typing import Any

from engine.event import Record
from ingest.jsonfields import value_at

SERVICE = "k8s.io"

_HTTP_OF_RPC = {
    1: 499,
    3: 400,
    4: 504,
    5: 404,
    6: 409,
    7: 403,
    8: 429,
    9: 400,
    10: 409,
    12: 501,
    13: 500,
    14: 503,
    16: 401,
}
_STREAMING = frozenset({"exec", "attach", "portforward"})
_NAMESPACE_SUBRESOURCES = frozenset({"finalize", "status"})


def is_log_entry(value: Record) -> bool:
    """Whether a JSON object is a Cloud Logging entry with an audit log in it, of whatever service."""
    return isinstance(value.get("protoPayload"), dict)


def of_cluster(entry: Record) -> bool:
    """Whether a log entry tells of a request to a Kubernetes API server."""
    return bool(value_at(entry, "protoPayload", "serviceName") == SERVICE)


def audit_event(entry: Record) -> Record:
    """Return the audit event of a log entry of a cluster."""
    payload = entry["protoPayload"]
    method, name = _str(payload.get("methodName")), _str(payload.get("resourceName"))
    verb = method.rpartition(".")[2]
    reference = _reference(name)
    streaming = reference.get("subresource") in _STREAMING
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Request" if streaming else "RequestResponse",
        "auditID": entry.get("insertId"),
        "stage": "ResponseStarted" if streaming else "ResponseComplete",
        "requestURI": f"/{name}",
        "verb": verb,
        "user": {"username": value_at(payload, "authenticationInfo", "principalEmail")},
        "sourceIPs": [ip for ip in [value_at(payload, "requestMetadata", "callerIp")] if ip],
        "userAgent": value_at(payload, "requestMetadata", "callerSuppliedUserAgent"),
        "objectRef": reference,
        "responseStatus": _status(payload, verb, streaming),
        "requestObject": payload.get("request"),
        "responseObject": payload.get("response"),
        "requestReceivedTimestamp": entry.get("timestamp"),
        "stageTimestamp": entry.get("timestamp") or entry.get("receiveTimestamp"),
        "annotations": _annotations(entry, payload),
    }
    return {key: value for key, value in event.items() if value is not None}


def _reference(resource_name: str) -> Record:
    """Read ``group/version[/namespaces/NAMESPACE]/RESOURCE[/NAME[/SUBRESOURCE]]``."""
    group, _, rest = resource_name.partition("/")
    version, _, rest = rest.partition("/")
    parts = rest.split("/") if rest else []
    reference = {"apiGroup": "" if group == "core" else group, "apiVersion": version}
    if len(parts) > 2 and parts[0] == "namespaces" and not (len(parts) == 3 and parts[2] in _NAMESPACE_SUBRESOURCES):
        reference["namespace"] = parts[1]
        parts = parts[2:]
    elif len(parts) > 1 and parts[0] == "namespaces":
        reference["namespace"] = parts[1]
    reference.update(zip(("resource", "name"), parts, strict=False))
    if len(parts) > 2:
        reference["subresource"] = "/".join(parts[2:])
    return {key: value for key, value in reference.items() if value}


def _status(payload: Record, verb: str, streaming: bool) -> Record:
    code = value_at(payload, "status", "code")
    if isinstance(code, int) and code:
        return {"code": _HTTP_OF_RPC.get(code, 500), "message": value_at(payload, "status", "message")}
    return {"code": 101 if streaming else 201 if verb == "create" else 200}


def _annotations(entry: Record, payload: Record) -> Record:
    labels = value_at(entry, "labels"), value_at(entry, "resource", "labels")
    found = {key: value for some in labels if isinstance(some, dict) for key, value in some.items()}
    granted = _granted(payload)
    if granted is not None:
        found.setdefault("authorization.k8s.io/decision", "allow" if granted else "forbid")
    return found


def _granted(payload: Record) -> bool | None:
    checks = payload.get("authorizationInfo")
    if not isinstance(checks, list) or not checks:
        return None
    return all(value_at(check, "granted") is True for check in checks)


def _str(value: Any) -> str:
    return value if isinstance(value, str) else ""
