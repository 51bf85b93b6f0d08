"""
CloudTrail's answers to the canonical fields (spec: event-model 3).

An empty text in a record is no answer, so it is absent here, unlike in the ``ct.*`` fields.
"""

import re
from typing import Any

from engine.event import Event
from engine.fields import Getter
from engine.jsontext import text
from ingest.canonical import canonical_fields
from ingest.cloudtrail import actions, values
from ingest.cloudtrail.targets import target, target_kind
from ingest.cloudtrail.values import identity, request
from ingest.indicators import INDICATORS, packed_ip
from ingest.jsonfields import text_at, value_at

_ANONYMOUS = frozenset({"anonymous", "ANONYMOUS_PRINCIPAL"})
_TYPES = {
    "Root": "root",
    "IAMUser": "user",
    "AssumedRole": "role",
    "Role": "role",
    "AWSService": "service",
    "AWSAccount": "account",
    "FederatedUser": "federated",
    "SAMLUser": "federated",
    "WebIdentityUser": "federated",
    "IdentityCenterUser": "federated",
    "Directory": "federated",
}
_DENIED = re.compile(r"(?:^|\.)AccessDenied|Unauthorized|NotAuthorized|Forbidden")


def _text(*path: str) -> Getter:
    def get(event: Event) -> str | None:
        return text_at(event.record, *path) or None

    return get


def _actor(event: Event) -> str | None:
    who = identity(event.record)
    match who.get("type"):
        case "Root":
            return "root"
        case "AWSAccount":
            return "anonymous" if _is_anonymous(who) else text(who.get("accountId")) or _own_name(who)
        case "AWSService":
            return text(who.get("invokedBy")) or None
        case "AssumedRole" | "Role":
            return text_at(who, "sessionContext", "sessionIssuer", "userName") or _role(who)
    return _own_name(who)


def _role(who: dict[str, Any]) -> str | None:
    """Return the name of the role in an ARN such as ``arn:aws:sts::1:assumed-role/name/session``."""
    kind, _, name = (text(who.get("arn")) or "").rpartition(":")[2].partition("/")
    return name.partition("/")[0] if kind == "assumed-role" else _own_name(who)


def _own_name(who: dict[str, Any]) -> str | None:
    """Return a name of an identity that is no role: user name, else the end of the ARN or principal id."""
    name = text(who.get("userName")) or text_at(who, "onBehalfOf", "userId") or text(who.get("invokedBy"))
    if name:
        return name
    for key in ("arn", "principalId"):
        last = re.split("[:/]", text(who.get(key)) or "")[-1]
        if last:
            return last
    return None


def _is_anonymous(who: dict[str, Any]) -> bool:
    return who.get("accountId") in _ANONYMOUS or who.get("principalId") in _ANONYMOUS


def _origin(event: Event) -> str | None:
    who = identity(event.record)
    source = text_at(who, "sessionContext", "sourceIdentity")
    if source:
        return source
    return values.session_name(who) or None if who.get("type") == "AssumedRole" else None


def _id(event: Event) -> str | None:
    who = identity(event.record)
    return text(who.get("arn")) or text(who.get("principalId")) or None


def _type(event: Event) -> str | None:
    who = identity(event.record)
    kind = who.get("type")
    if kind == "AWSAccount" and _is_anonymous(who):
        return "anonymous"
    if kind is None and who.get("invokedBy"):
        return "service"
    return _TYPES.get(kind) if isinstance(kind, str) else None


def _kind(event: Event) -> str | None:
    name = event.record.get("eventName")
    return actions.kind_of(name) if isinstance(name, str) else None


def _readonly(event: Event) -> bool | None:
    known = values.readonly(event)
    return None if known is None else known == "true"


def _target_user(event: Event) -> str | None:
    if event.record.get("eventSource") != "iam.amazonaws.com":
        return None
    asked = request(event.record)
    return text(asked.get("userName")) or text(asked.get("roleName")) or None


def _outcome(event: Event) -> str:
    error = text(event.record.get("errorCode"))
    if not error:
        failed = text_at(event.record, "responseElements", "ConsoleLogin") == "Failure"
        return "denied" if failed else "success"
    return "denied" if _DENIED.search(error) else "failure"


def _address(event: Event) -> bytes | None:
    return packed_ip(text(event.record.get("sourceIPAddress")) or "")


def _addresses(event: Event) -> list[bytes] | None:
    found = _address(event)
    return None if found is None else [found]


def _source_name(event: Event) -> str | None:
    name = text(event.record.get("sourceIPAddress")) or ""
    return None if packed_ip(name) else name or None


def _cluster(event: Event) -> str | None:
    if event.record.get("eventSource") != "eks.amazonaws.com":
        return None
    asked = request(event.record)
    name = text(asked.get("clusterName"))
    if not name and str(event.record.get("eventName")).endswith(("Cluster", "ClusterConfig", "ClusterVersion")):
        name = text(asked.get("name"))
    return name or None


def _ecs(*keys: str) -> Getter:
    """Return a getter of what an ECS call names by one of some keys, as plain name also when it gives an ARN."""

    def get(event: Event) -> str | None:
        if event.record.get("eventSource") != "ecs.amazonaws.com":
            return None
        asked = request(event.record)
        named = next((name for key in keys if (name := text(asked.get(key)))), "")
        return named.rpartition("/")[2] or None

    return get


def _images(event: Event) -> list[str] | None:
    containers = value_at(event.record, "requestParameters", "containerDefinitions")
    named = [text_at(each, "image") for each in containers] if isinstance(containers, list) else []
    found = [*(values.image_ids(event) or ()), *named]
    return [image for image in found if image] or None


FIELDS = canonical_fields({
    "evt.actor": _actor,
    "evt.actor.origin": _origin,
    "evt.actor.id": _id,
    "evt.actor.type": _type,
    "evt.actor.key": _text("userIdentity", "accessKeyId"),
    "evt.actor.account": _text("userIdentity", "accountId"),
    "evt.action": ("eventName",),
    "evt.action.kind": _kind,
    "evt.action.service": values.short_source,
    "evt.readonly": _readonly,
    "evt.target": target,
    "evt.target.kind": target_kind,
    "evt.target.user": _target_user,
    "evt.outcome": _outcome,
    "evt.error": ("errorCode",),
    "evt.srcip": _address,
    "evt.srcips": _addresses,
    "evt.srcname": _source_name,
    "evt.agent": _text("userAgent"),
    "evt.account": _text("recipientAccountId"),
    "evt.region": _text("awsRegion"),
    "evt.cluster": _cluster,
    "evt.namespace": _ecs("cluster"),
    "evt.pod": _ecs("task"),
    "evt.images": _images,
    "evt.uid": lambda event: event.uid,
    **INDICATORS,
})  # fmt: skip
