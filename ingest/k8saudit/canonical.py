"""
Kubernetes audit's answers to the canonical fields (spec: event-model 3).

The actor is the user whose rights were used, so the impersonated one where a request impersonates. What an audit event
does not tell (cloud account and region, time of receipt) is absent.
"""

from typing import Any

from engine.event import Event, Record
from engine.fields import Getter
from ingest.canonical import canonical_fields
from ingest.indicators import INDICATORS, packed_ip
from ingest.jsonfields import text_at, value_at
from ingest.k8saudit.pods import images
from ingest.k8saudit.values import elements, subjects, texts

_CREDENTIAL = "authentication.kubernetes.io/credential-id"
_EXECUTING = frozenset({"exec", "attach"})
_CONNECTING = frozenset({"portforward", "proxy"})
_BINDINGS = frozenset({"rolebindings", "clusterrolebindings"})
_REVIEWS = frozenset({
    "tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "localsubjectaccessreviews",
    "selfsubjectrulesreviews", "selfsubjectreviews",
})  # fmt: skip
_READING = frozenset({"get", "list", "watch", "head", "options"})
_KIND_OF_VERB = {
    "get": "read", "head": "read", "options": "read", "list": "list", "watch": "list",
    "create": "create", "post": "create", "update": "update", "patch": "update", "put": "update",
    "delete": "delete", "deletecollection": "delete",
    "bind": "grant", "escalate": "grant", "approve": "grant", "impersonate": "assume",
}  # fmt: skip


def _actor(record: Record) -> Any:
    impersonated = record.get("impersonatedUser")
    return impersonated if text_at(impersonated, "username") else record.get("user")


def _name(event: Event) -> str | None:
    return text_at(_actor(event.early), "username")


def _origin(event: Event) -> str | None:
    user = event.early.get("user")
    if _actor(event.early) is not user:
        return text_at(user, "username")
    return _extra(user, "sessionName") or _extra(user, "arn")  # EKS: the IAM session behind the user


def _id(event: Event) -> str | None:
    return text_at(_actor(event.early), "uid") or _name(event)


def _type(event: Event) -> str | None:
    name = _name(event)
    if name is None:
        return None
    if name == "system:anonymous":
        return "anonymous"
    if name.startswith("system:serviceaccount:"):
        return "service_account"
    if name.startswith("system:node:"):
        return "node"
    return "system" if name.startswith("system:") else "user"


def _groups(event: Event) -> list[str] | None:
    return texts(elements(value_at(_actor(event.early), "groups")))


def _key(event: Event) -> str | None:
    user = event.early.get("user")
    return _extra(user, _CREDENTIAL) or _extra(user, "accessKeyId")


def _extra(user: Any, key: str) -> str | None:
    """Return the first value of an extra attribute of a user; None also when it is empty."""
    found = texts(elements(value_at(user, "extra", key), 0))
    return (found[0] or None) if found else None


def _reference(record: Record) -> tuple[str, str]:
    """Return resource and subresource, "" for each that there is not."""
    reference = record.get("objectRef")
    return text_at(reference, "resource") or "", text_at(reference, "subresource") or ""


def _kind(event: Event) -> str | None:
    verb = text_at(event.early, "verb")
    if verb is None:
        return None
    resource, subresource = _reference(event.early)
    if subresource in _EXECUTING:
        return "execute"
    if subresource in _CONNECTING:
        return "connect"
    kind = _KIND_OF_VERB.get(verb.lower(), "other")
    if kind == "create" and (resource, subresource) == ("serviceaccounts", "token"):
        return "assume"
    if kind == "create" and resource in _REVIEWS:
        return "read"
    if kind in ("create", "update") and (resource in _BINDINGS or subresource == "approval"):
        return "grant"
    return kind


def _service(event: Event) -> str | None:
    if not _reference(event.early)[0]:
        return None
    return text_at(event.early, "objectRef", "apiGroup") or "core"


def _readonly(event: Event) -> bool | None:
    verb = text_at(event.early, "verb")
    if verb is None:
        return None
    return verb.lower() in _READING and _reference(event.early)[1] not in _EXECUTING | _CONNECTING


def _target(event: Event) -> str | None:
    reference = event.early.get("objectRef")
    parts = (text_at(reference, key) for key in ("namespace", "resource", "name", "subresource"))
    found = "/".join(part for part in parts if part)
    return found or (text_at(event.early, "requestURI") or "").partition("?")[0] or None


def _target_kind(event: Event) -> str | None:
    resource, subresource = _reference(event.early)
    if not resource:
        return None
    return f"k8s.{resource}.{subresource}" if subresource else f"k8s.{resource}"


def _target_user(event: Event) -> str | None:
    bound = [subject for kind in ("User", "ServiceAccount", "Group") for subject in subjects(event.early, kind)]
    found = texts([value_at(subject, "name") for subject in bound])
    return found[0] if found else None


def _outcome(event: Event) -> str:
    code = _code(event.early)
    if code in (401, 403) or text_at(event.early, "annotations", "authorization.k8s.io/decision") == "forbid":
        return "denied"
    stage = event.early.get("stage")
    if stage == "Panic":
        return "failure"
    if stage != "ResponseComplete" or code is None:
        return "unknown"
    return "success" if code < 400 else "failure"


def _code(record: Record) -> int | None:
    code = value_at(record, "responseStatus", "code")
    return code if type(code) is int else None


def _error(event: Event) -> str | None:
    reason = text_at(event.early, "responseStatus", "reason")
    code = _code(event.early)
    return reason or (str(code) if code is not None and code >= 400 else None)


def _source_ips(event: Event) -> list[bytes] | None:
    return [packed for ip in elements(event.early.get("sourceIPs")) if (packed := _packed(ip)) is not None] or None


def _source_ip(event: Event) -> bytes | None:
    first = elements(event.early.get("sourceIPs"), 0)
    return _packed(first[0]) if first else None


def _packed(ip: Any) -> bytes | None:
    return packed_ip(ip) if isinstance(ip, str) else None


def _node(event: Event) -> str | None:
    name = text_at(event.early, "user", "username") or ""
    return name.removeprefix("system:node:") if name.startswith("system:node:") else None


def _pod(event: Event) -> str | None:
    if _reference(event.early)[0] != "pods":
        return None
    name = text_at(event.early, "objectRef", "name")  # a pod whose name the server chose has it in the response only
    return name or text_at(event.record, "responseObject", "metadata", "name")


_GETTERS: dict[str, Getter | tuple[str, ...]] = {
    "evt.actor": _name,
    "evt.actor.origin": _origin,
    "evt.actor.id": _id,
    "evt.actor.type": _type,
    "evt.actor.groups": _groups,
    "evt.actor.key": _key,
    "evt.action": ("verb",),
    "evt.action.kind": _kind,
    "evt.action.service": _service,
    "evt.readonly": _readonly,
    "evt.target": _target,
    "evt.target.kind": _target_kind,
    "evt.target.user": _target_user,
    "evt.outcome": _outcome,
    "evt.error": _error,
    "evt.srcip": _source_ip,
    "evt.srcips": _source_ips,
    "evt.agent": ("userAgent",),
    "evt.cluster": ("annotations", "cluster_name"),
    "evt.host": _node,
    "evt.namespace": ("objectRef", "namespace"),
    "evt.pod": _pod,
    "evt.images": lambda event: images(event.early) or None,
    "evt.uid": lambda event: event.uid,
    **INDICATORS,
}

FIELDS = tuple(canonical_fields(_GETTERS))
"""The rows of the canonical fields for ``k8s_audit``."""
