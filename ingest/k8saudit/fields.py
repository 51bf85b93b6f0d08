"""
Kubernetes audit events as rule fields: the ``ka.*`` table.

A record is one decoded ``audit.k8s.io`` Event. A row gives name, type, one sentence for the reference and the function
that answers; every answer is a text or a list of texts. Rows about a pod specification are in ``pods``. Meaning follows
Falco's k8saudit plugin 0.18; wanted differences are named in the test that compares with its answers
(tests/ingest/k8saudit/test_fields_oracle.py).
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from engine.event import Event
from engine.fields import Arg, Field, FieldTable, Getter, Type, ours, table
from engine.jsontext import compact, text
from ingest.jsonfields import json_fields, path_getter, text_at, value_at
from ingest.k8saudit import canonical, pods
from ingest.k8saudit.glance import EARLY
from ingest.k8saudit.record import SOURCE
from ingest.k8saudit.targets import target_fields
from ingest.k8saudit.values import SUBJECTS, elements, subjects, texts
from ingest.kubernetes.cluster import HERE

DISCRIMINATORS = ("ka.target.resource", "ka.target.subresource", "ka.user.name", "ka.verb", "ka.stage")
_ALIASES = {"evt.action": "ka.verb"}

_RULES = ("requestObject", "rules")


def k8saudit_table(common: Iterable[Field]) -> FieldTable:
    """
    Return the table of the source ``k8s_audit``.

    Args:
        common: The rows that the source shares with all others.
    """
    doc = "Requests to a Kubernetes API server, as its audit log tells them."
    groups = (common, json_fields(), FIELDS, ours(canonical.FIELDS), target_fields(HERE))
    return table(SOURCE, *groups, discriminators=DISCRIMINATORS, aliases=_ALIASES, doc=doc, early=EARLY)


def _text(name: str, doc: str, *path: str, deprecated: bool = False) -> Field:
    return Field(name, Type.STRING, doc, path_getter(*path), path=path, deprecated=deprecated, not_na=True)


def _single(name: str, doc: str, get: Getter, *, arg: Arg = Arg.NONE, deprecated: bool = False) -> Field:
    required = arg is not Arg.NONE
    return Field(name, Type.STRING, doc, get, arg=arg, arg_required=required, deprecated=deprecated, not_na=True)


def _list(name: str, doc: str, get: Getter, arg: Arg = Arg.NONE) -> Field:
    required = arg is Arg.KEY
    return Field(name, Type.STRING, doc, get, is_list=True, arg=arg, arg_required=required, not_na=True)


def _list_at(*path: str) -> Getter:
    def get(event: Event, index: int | None = None) -> list[str] | None:
        return texts(elements(value_at(event.early, *path), index))

    return get


def _rule_values(key: str) -> Getter:
    def get(event: Event, index: int | None = None) -> list[str] | None:
        role = event.early.get("requestObject")
        found: list[Any] = []
        for rule in elements(role.get("rules"), index) if type(role) is dict else ():
            values = rule.get(key) if type(rule) is dict else None
            if type(values) is list:
                found += values
        return texts(found)

    return get


def _subject_names(kind: str) -> Getter:
    def get(event: Event) -> list[str] | None:
        return texts([value_at(subject, "name") for subject in subjects(event.early, kind)])

    return get


def _account_names(event: Event) -> list[str] | None:
    accounts = subjects(event.early, "ServiceAccount")
    pairs = ((text_at(account, "namespace"), text_at(account, "name")) for account in accounts)
    return [f"{namespace}:{name}" for namespace, name in pairs if namespace is not None and name is not None] or None


def _uri_params(event: Event, key: str) -> list[str] | None:
    uri = event.early.get("requestURI")
    if not isinstance(uri, str) or "?" not in uri:
        return None
    return parse_qs(uri.partition("?")[2], keep_blank_values=True).get(key)


def _uri_param(event: Event, key: str) -> str | None:
    values = _uri_params(event, key)
    return values[0] if values else None


def _created_pod(event: Event) -> str | None:
    reference = event.record.get("objectRef")
    if value_at(reference, "resource") != "pods" or value_at(reference, "subresource"):
        return None
    return text_at(event.record, "responseObject", "metadata", "name")


def _first_image(event: Event) -> str | None:
    found = texts([value_at(_first_container(event), "image")])
    return found[0] if found else None


def _first_repository(event: Event) -> str | None:
    image = _first_image(event)
    return None if image is None else pods.repository(image)


def _first_container(event: Event) -> Any:
    containers = elements(value_at(event.early, *pods.POD_PATH, "containers"), 0)
    return containers[0] if containers else None


def _any_privileged(event: Event) -> str | None:
    containers = elements(value_at(event.early, *pods.POD_PATH, "containers"))
    if not containers:
        return None
    return text(any(value_at(container, "securityContext", "privileged") is True for container in containers))


def _mounts_host_path(event: Event, wanted: str) -> str | None:
    if not elements(value_at(event.early, *pods.POD_PATH, "volumes")):
        return None
    paths = pods.host_paths(event.early)
    if wanted.endswith("*"):
        return text(any(path.startswith(wanted[:-1]) for path in paths) or wanted in paths)
    return text(wanted in paths)


def _always_true(event: Event, _name: str) -> str | None:
    return "true"


def _info(event: Event) -> str | None:
    return compact(event.record)


def _annotation(name: str, doc: str, key: str) -> Field:
    return _text(name, doc, "annotations", key)


_SOURCE_ROWS = (
    Field("evt.pluginname", Type.STRING, "Name of the reader of this source.", lambda _event: "k8saudit"),
    Field("evt.plugininfo", Type.STRING, "The whole audit event as JSON text.", _info),
)

_REQUEST_ROWS = (
    _text("ka.auditid", "Id that all stages of one API request share.", "auditID"),
    _text("ka.stage", "Stage of the request: RequestReceived, ResponseStarted, ResponseComplete or Panic.", "stage"),
    _annotation("ka.auth.decision", "Verdict of the authorizer, allow or forbid.", "authorization.k8s.io/decision"),
    _annotation("ka.auth.reason", "Reason the authorizer gave.", "authorization.k8s.io/reason"),
    _annotation(
        "ka.auth.openshift.decision", "Verdict of OpenShift's authentication.", "authentication.openshift.io/decision"
    ),
    _annotation(
        "ka.auth.openshift.username", "User as OpenShift authenticated it.", "authentication.openshift.io/username"
    ),
    _annotation(
        "ka.validations.admission.policy.failure",
        "What a validating admission policy complained of.",
        "validation.policy.admission.k8s.io/validation_failure",
    ),
    _annotation(
        "ka.security.pod.violations",
        "What Pod Security admission complained of.",
        "pod-security.kubernetes.io/audit-violations",
    ),
    _annotation("ka.cluster.name", "Name of the cluster, where the event is annotated with it.", "cluster_name"),
    _text("ka.user.name", "User who made the request, as authenticated.", "user", "username"),
    _list("ka.user.groups", "Groups of the user who made the request.", _list_at("user", "groups")),
    _text("ka.impuser.name", "User whom the request impersonates.", "impersonatedUser", "username"),
    _text("ka.verb", "Verb of the request.", "verb"),
    _text("ka.uri", "URI of the request.", "requestURI"),
    _single("ka.uri.param", "First value of a parameter of the query.", _uri_param, arg=Arg.KEY),
    *ours([_list("ka.uri.params", "All values of a parameter of the query.", _uri_params, Arg.KEY)]),
    _text("ka.useragent", "User agent of the client.", "userAgent"),
    _list("ka.sourceips", "Addresses of the client and of proxies on the way.", _list_at("sourceIPs"), Arg.INDEX),
    _text("ka.response.code", "HTTP status code of the response.", "responseStatus", "code"),
    _text("ka.response.reason", "Reason of a failure, as one word.", "responseStatus", "reason"),
    _text("ka.resp.name", "Name of the object in the response.", "responseObject", "metadata", "name"),
)

_TARGET_ROWS = (
    _text("ka.target.name", "Name of the object that the request is about.", "objectRef", "name"),
    _text("ka.target.namespace", "Namespace of that object.", "objectRef", "namespace"),
    _text("ka.target.resource", "Resource of that object, such as pods.", "objectRef", "resource"),
    _text("ka.target.subresource", "Subresource, such as exec.", "objectRef", "subresource"),
    _single("ka.target.pod.name", "Name of the pod in the response, for requests about pods themselves.", _created_pod),
)

_OBJECT_ROWS = (
    _list("ka.req.binding.subjects", "Subjects of the requested role binding, each as JSON.", _list_at(*SUBJECTS)),
    _list("ka.req.binding.subjects.user_names", "Names of the users bound.", _subject_names("User")),
    _list(
        "ka.req.binding.subjects.serviceaccount_names",
        "Names of the service accounts bound.",
        _subject_names("ServiceAccount"),
    ),
    _list(
        "ka.req.binding.subjects.serviceaccount_ns_names",
        "The service accounts bound, as namespace:name.",
        _account_names,
    ),
    _list("ka.req.binding.subjects.group_names", "Names of the groups bound.", _subject_names("Group")),
    _text("ka.req.binding.role", "Role that the binding gives.", "requestObject", "roleRef", "name"),
    _single(
        "ka.req.binding.subject.has_name",
        "Always true; compare ka.req.binding.subjects.user_names and its siblings.",
        _always_true,
        arg=Arg.KEY,
        deprecated=True,
    ),
    _text("ka.req.configmap.name", "Name of the object, meant for requests about configmaps.", "objectRef", "name"),
    _text("ka.req.configmap.obj", "Data of the requested configmap as JSON.", "requestObject", "data"),
    _list("ka.req.role.rules", "Rules of the requested role, each as JSON.", _list_at(*_RULES)),
    _list("ka.req.role.rules.apiGroups", "API groups of the rules, or of one.", _rule_values("apiGroups"), Arg.INDEX),
    _list(
        "ka.req.role.rules.nonResourceURLs",
        "URLs that are no resources of the rules, or of one.",
        _rule_values("nonResourceURLs"),
        Arg.INDEX,
    ),
    _list("ka.req.role.rules.verbs", "Verbs of the rules, or of one.", _rule_values("verbs"), Arg.INDEX),
    _list("ka.req.role.rules.resources", "Resources of the rules, or of one.", _rule_values("resources"), Arg.INDEX),
    _text("ka.req.service.type", "Type of the requested service.", "requestObject", "spec", "type"),
    _list(
        "ka.req.service.ports",
        "Ports of the requested service, each as JSON.",
        _list_at("requestObject", "spec", "ports"),
        Arg.INDEX,
    ),
)

_OLD_ROWS = (
    _single("ka.req.container.image", "Image of the first container.", _first_image, deprecated=True),
    _single(
        "ka.req.container.image.repository",
        "Image of the first container without tag and digest.",
        _first_repository,
        deprecated=True,
    ),
    _text(
        "ka.req.container.host_network",
        "Older name of ka.req.pod.host_network.",
        *pods.POD_PATH,
        "hostNetwork",
        deprecated=True,
    ),
    _single("ka.req.container.privileged", "Whether any container is privileged.", _any_privileged, deprecated=True),
    _single(
        "ka.req.volume.hostpath",
        "Whether a volume mounts this path of the host; a path that ends in * stands for all that begin so.",
        _mounts_host_path,
        arg=Arg.KEY,
        deprecated=True,
    ),
)

FIELDS: tuple[Field, ...] = (
    *_SOURCE_ROWS,
    *_REQUEST_ROWS,
    *_TARGET_ROWS,
    *_OBJECT_ROWS,
    *pods.pod_fields(),
    *ours(pods.template_fields()),
    *_OLD_ROWS,
)
"""The fields that only this source has."""
