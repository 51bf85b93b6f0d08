"""What Kubernetes audit answers to the canonical fields."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.event import Event
from engine.fields import Type
from ingest.k8saudit import canonical
from ingest.k8saudit.fields import k8saudit_table
from ingest.k8saudit.record import SOURCE
from tests.ingest.k8saudit.samples import Json, audit, event, pod

FIELDS = {field.name: field for field in canonical.FIELDS}


def ask(name: str, record: Json) -> Any:
    get = FIELDS[name].get
    assert get is not None
    return get(event(record))


def user(name: str, **more: Any) -> Json:
    return audit(user={"username": name, **more})


def about(resource: str, verb: str = "get", subresource: str = "", **more: Any) -> Json:
    reference = {"resource": resource, "subresource": subresource, "apiVersion": "v1", **more}
    return audit(verb=verb, objectRef={key: value for key, value in reference.items() if value})


def test_the_rows_fit_into_the_table_of_the_source() -> None:
    table = k8saudit_table(())

    assert FIELDS.keys() <= table.fields.keys()
    assert set(table.discriminators) <= table.fields.keys()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("alice", "user"),
        ("arn:aws:iam::123456789012:role/dev", "user"),
        ("system:serviceaccount:ci:builder", "service_account"),
        ("system:node:n1", "node"),
        ("system:anonymous", "anonymous"),
        ("system:kube-scheduler", "system"),
    ],
)
def test_the_kind_of_actor_is_told_by_its_name(name: str, kind: str) -> None:
    assert (ask("evt.actor", user(name)), ask("evt.actor.type", user(name))) == (name, kind)


def test_the_actor_is_the_impersonated_user_and_the_other_one_its_origin() -> None:
    record = audit(
        user={"username": "admin", "uid": "u1", "groups": ["ops"]},
        impersonatedUser={"username": "bob", "groups": ["dev"]},
    )

    assert ask("evt.actor", record) == "bob"
    assert ask("evt.actor.origin", record) == "admin"
    assert ask("evt.actor.id", record) == "bob"
    assert ask("evt.actor.groups", record) == ["dev"]


def test_the_identity_behind_a_user() -> None:
    extra = {
        "arn": ["arn:aws:sts::123456789012:assumed-role/dev/alice-session"],
        "sessionName": ["alice-session"],
        "accessKeyId": ["ASIAEXAMPLE"],
    }
    record = user("dev-role", uid="aws-iam:1", extra=extra)

    assert ask("evt.actor.origin", record) == "alice-session"
    assert ask("evt.actor.id", record) == "aws-iam:1"
    assert ask("evt.actor.key", record) == "ASIAEXAMPLE"
    credential = {"authentication.kubernetes.io/credential-id": ["JTI=7"]}
    assert ask("evt.actor.key", user("x", extra=credential)) == "JTI=7"
    assert ask("evt.actor.origin", user("x")) is None


@pytest.mark.parametrize(
    ("record", "kind", "readonly"),
    [
        (about("pods"), "read", True),
        (about("pods", "list"), "list", True),
        (about("pods", "watch"), "list", True),
        (about("pods", "create"), "create", False),
        (about("pods", "create", "exec"), "execute", False),
        (about("pods", "get", "exec"), "execute", False),
        (about("pods", "get", "attach"), "execute", False),
        (about("pods", "create", "portforward"), "connect", False),
        (about("nodes", "get", "proxy"), "connect", False),
        (about("pods", "get", "log"), "read", True),
        (about("pods", "patch", "ephemeralcontainers"), "update", False),
        (about("configmaps", "update"), "update", False),
        (about("secrets", "delete"), "delete", False),
        (about("secrets", "deletecollection"), "delete", False),
        (about("rolebindings", "create"), "grant", False),
        (about("clusterrolebindings", "patch"), "grant", False),
        (about("clusterrolebindings", "delete"), "delete", False),
        (about("clusterroles", "escalate"), "grant", False),
        (about("certificatesigningrequests", "update", "approval"), "grant", False),
        (about("users", "impersonate"), "assume", False),
        (about("serviceaccounts", "create", "token"), "assume", False),
        (about("selfsubjectaccessreviews", "create"), "read", False),
        (about("pods", "frobnicate"), "other", False),
        (audit(verb="post", objectRef=None), "create", False),
    ],
)
def test_the_kind_of_action_and_whether_it_changes_something(record: Json, kind: str, readonly: bool) -> None:
    assert (ask("evt.action.kind", record), ask("evt.readonly", record)) == (kind, readonly)


@pytest.mark.parametrize(
    ("reference", "target", "kind", "service"),
    [
        ({"resource": "pods", "namespace": "web", "name": "p"}, "web/pods/p", "k8s.pods", "core"),
        (
            {"resource": "pods", "namespace": "web", "name": "p", "subresource": "exec"},
            "web/pods/p/exec",
            "k8s.pods.exec",
            "core",
        ),
        ({"resource": "nodes", "name": "n"}, "nodes/n", "k8s.nodes", "core"),
        ({"resource": "deployments", "apiGroup": "apps"}, "deployments", "k8s.deployments", "apps"),
        (None, "/api/v1/namespaces/default/pods", None, None),
    ],
)
def test_the_target(reference: Json | None, target: str, kind: str | None, service: str | None) -> None:
    record = audit(objectRef=reference, requestURI="/api/v1/namespaces/default/pods?limit=5")

    assert ask("evt.target", record) == target
    assert ask("evt.target.kind", record) == kind
    assert ask("evt.action.service", record) == service


@pytest.mark.parametrize(
    ("changes", "outcome", "error"),
    [
        ({}, "success", None),
        ({"responseStatus": {"code": 201}}, "success", None),
        ({"responseStatus": {"code": 403, "reason": "Forbidden"}}, "denied", "Forbidden"),
        ({"responseStatus": {"code": 401}}, "denied", "401"),
        ({"responseStatus": {"code": 409, "reason": "AlreadyExists"}}, "failure", "AlreadyExists"),
        ({"responseStatus": {"code": 500}}, "failure", "500"),
        ({"responseStatus": None}, "unknown", None),
        ({"stage": "RequestReceived", "responseStatus": None}, "unknown", None),
        ({"stage": "ResponseStarted", "responseStatus": {"code": 101}}, "unknown", None),
        ({"stage": "Panic", "responseStatus": {"code": 500}}, "failure", "500"),
        (
            {"stage": "ResponseStarted", "annotations": {"authorization.k8s.io/decision": "forbid"}},
            "denied",
            None,
        ),
    ],
)
def test_the_outcome(changes: Json, outcome: str, error: str | None) -> None:
    record = audit(**changes)

    assert (ask("evt.outcome", record), ask("evt.error", record)) == (outcome, error)


def test_addresses_are_packed_and_what_is_none_is_left_out() -> None:
    record = audit(sourceIPs=["2001:db8::1", "no address", "10.0.0.1"])

    assert ask("evt.srcip", record) == bytes.fromhex("20010db8000000000000000000000001")
    assert ask("evt.srcips", record) == [bytes.fromhex("20010db8000000000000000000000001"), bytes([10, 0, 0, 1])]
    assert ask("evt.srcip", audit(sourceIPs=["no address"])) is None
    assert ask("evt.srcips", audit(sourceIPs=[])) is None


def test_place_and_program() -> None:
    record = audit(
        user={"username": "system:node:n1"},
        objectRef={"resource": "pods", "namespace": "web", "name": "p"},
        annotations={"cluster_name": "prod"},
    )

    assert ask("evt.host", record) == "n1"
    assert ask("evt.namespace", record) == "web"
    assert ask("evt.pod", record) == "p"
    assert ask("evt.cluster", record) == "prod"
    assert ask("evt.agent", record) == "kubectl/v1.31.0"
    assert ask("evt.action", record) == "list"
    assert ask("evt.host", audit()) is None
    assert ask("evt.uid", record) == event(record).uid


def test_a_pod_whose_name_the_server_chose_is_named_by_the_response() -> None:
    record = audit(
        objectRef={"resource": "pods", "namespace": "web"}, responseObject={"metadata": {"name": "web-7d9f"}}
    )

    assert ask("evt.pod", record) == "web-7d9f"
    assert ask("evt.pod", {**record, "objectRef": {"resource": "nodes"}}) is None


def test_images_of_pods_and_of_templates() -> None:
    spec = {"containers": [{"image": "a"}, {"name": "no image"}], "initContainers": [{"image": "b"}]}
    deployment = audit(requestObject={"spec": {"template": {"spec": spec}}})

    assert ask("evt.images", pod(**spec)) == ["a", "b"]
    assert ask("evt.images", deployment) == ["a", "b"]
    assert ask("evt.images", pod()) is None


def test_the_subject_of_a_binding_is_the_user_acted_on() -> None:
    subjects = [{"kind": "Group", "name": "g"}, {"kind": "User", "name": "u"}]

    assert ask("evt.target.user", audit(requestObject={"subjects": subjects})) == "u"
    assert ask("evt.target.user", audit()) is None


@pytest.mark.parametrize("name", ["evt.account", "evt.region", "evt.delay", "evt.dstip", "evt.dstport", "evt.srcname"])
def test_what_an_audit_event_does_not_tell_is_absent(name: str) -> None:
    assert ask(name, audit()) is None


def test_indicators_come_from_anywhere_in_the_event() -> None:
    record = audit(requestObject={"data": {"server": "https://evil.example/x", "peer": "198.51.100.9"}})

    assert bytes([198, 51, 100, 9]) in ask("evt.ips", record)
    assert "evil.example" in ask("evt.domains", record)
    assert "alice" in ask("evt.users", record)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
TYPES = {Type.STRING: str, Type.BOOL: bool, Type.IPADDR: bytes, Type.PORT: int, Type.RELTIME: int}


@given(st.dictionaries(st.sampled_from([*sorted(audit()), "impersonatedUser", "requestObject"]), values))
def test_no_answer_raises_or_is_of_another_type_whatever_the_record(record: Json) -> None:
    odd = Event(SOURCE, 0, record, "uid")
    for field in FIELDS.values():
        assert field.get is not None
        answer = field.get(odd)
        if answer is not None:
            answers = answer if field.is_list else [answer]
            assert answers, field.name
            assert all(isinstance(value, TYPES[field.type]) for value in answers), field.name
