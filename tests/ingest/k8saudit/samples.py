"""Audit events written for tests, and a way to ask a field as a rule would."""

import json
from typing import Any

from engine.event import Event
from engine.fields import Arg, FieldTable
from ingest.k8saudit.fields import k8saudit_table
from ingest.k8saudit.record import to_event

TABLE: FieldTable = k8saudit_table(())

Json = dict[str, Any]


def audit(**changes: Any) -> Json:
    """Return a small audit event; a key set to None is left out."""
    event = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "11111111-2222-3333-4444-555555555555",
        "stage": "ResponseComplete",
        "requestURI": "/api/v1/namespaces/default/pods",
        "verb": "list",
        "user": {"username": "alice", "groups": ["dev", "system:authenticated"]},
        "sourceIPs": ["203.0.113.7", "10.0.0.1"],
        "userAgent": "kubectl/v1.31.0",
        "objectRef": {"resource": "pods", "namespace": "default", "apiVersion": "v1"},
        "responseStatus": {"metadata": {}, "code": 200},
        "requestReceivedTimestamp": "2026-01-02T03:04:05.123000Z",
        "stageTimestamp": "2026-01-02T03:04:05.123456Z",
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }
    event.update(changes)
    return {key: value for key, value in event.items() if value is not None}


def pod(**spec: Any) -> Json:
    """Return an audit event of a pod that is created with a specification."""
    reference = {"resource": "pods", "namespace": "default", "apiVersion": "v1"}
    return audit(verb="create", objectRef=reference, requestObject={"kind": "Pod", "apiVersion": "v1", "spec": spec})


def event_list(*items: Any) -> Json:
    return {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": list(items)}


def numbered(count: int, **changes: Any) -> list[Json]:
    """Return audit events with the ids e0, e1 and so on."""
    return [audit(auditID=f"e{number}", **changes) for number in range(count)]


def body(value: Any) -> bytes:
    return json.dumps(value).encode()


def event(record: Json) -> Event:
    return to_event(record, "test")


def ask(name: str, record: Json | Event) -> Any:
    """Return what a field answers for an event; the name may have a bracket argument."""
    name, _, arg = name.rstrip("]").partition("[")
    row = TABLE.fields[name]
    found = record if isinstance(record, Event) else event(record)
    assert row.get is not None
    if row.arg is Arg.NONE:
        return row.get(found)
    return row.get(found, int(arg) if arg and row.arg is Arg.INDEX else arg or None)
