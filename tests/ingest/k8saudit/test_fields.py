"""What the ka.* fields answer, on events written for the purpose."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from engine.event import Event
from engine.fields import Arg, Field, Type
from ingest.k8saudit.fields import FIELDS
from ingest.k8saudit.record import SOURCE
from tests.ingest.k8saudit.samples import TABLE, ask, audit, pod
from tests.shared import SHARED, needs_shared


@needs_shared
def test_all_fields_of_falcos_plugin_are_there_with_their_kind_and_argument() -> None:
    assert SHARED is not None
    listed = yaml.safe_load(Path(SHARED.parent / "spec" / "fields.yaml").read_text())["fields"]
    kinds = {"none": (Arg.NONE, False), "optional(index)": (Arg.INDEX, False), "required(key)": (Arg.KEY, True)}

    for row in (row for row in listed if row["class"] == "ka"):
        field = TABLE.fields[row["name"]]
        assert field.is_list == (row["type"] == "list(charbuf)"), field.name
        assert (field.arg, field.arg_required) == kinds[row["arg"]], field.name
        assert field.deprecated == row["deprecated"], field.name


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_every_row_is_a_documented_text(field: Field) -> None:
    assert field.type is Type.STRING
    assert field.doc.endswith(".")
    assert field.not_na == field.name.startswith("ka.")


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("ka.auditid", "11111111-2222-3333-4444-555555555555"),
        ("ka.stage", "ResponseComplete"),
        ("ka.verb", "list"),
        ("ka.uri", "/api/v1/namespaces/default/pods"),
        ("ka.useragent", "kubectl/v1.31.0"),
        ("ka.user.name", "alice"),
        ("ka.user.groups", ["dev", "system:authenticated"]),
        ("ka.auth.decision", "allow"),
        ("ka.auth.reason", ""),
        ("ka.sourceips", ["203.0.113.7", "10.0.0.1"]),
        ("ka.sourceips[1]", ["10.0.0.1"]),
        ("ka.sourceips[2]", None),
        ("ka.target.resource", "pods"),
        ("ka.target.subresource", None),
        ("ka.response.code", "200"),
        ("ka.response.reason", None),
        ("ka.impuser.name", None),
        ("ka.req.configmap.obj", None),
        ("ka.req.binding.subject.has_name[x]", "true"),
        ("evt.pluginname", "k8saudit"),
    ],
)
def test_fields_of_a_request(name: str, want: Any) -> None:
    assert ask(name, audit()) == want


def test_plugin_info_is_the_event_as_json() -> None:
    assert json.loads(ask("evt.plugininfo", audit())) == audit()


@pytest.mark.parametrize(
    ("value", "want"),
    [
        ("text", "text"),
        ("", ""),
        (None, None),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (1.5, "1.5"),
        ({"b": [1, {"a": None}]}, '{"b":[1,{"a":null}]}'),
        ([], "[]"),
    ],
)
def test_a_value_is_shown_as_text_or_json_and_null_is_absent(value: Any, want: str | None) -> None:
    record = audit()
    record["userAgent"] = value

    assert ask("ka.useragent", record) == want


@pytest.mark.parametrize(
    ("uri", "first", "every"),
    [
        ("/p?command=ls&command=-l", "ls", ["ls", "-l"]),
        ("/p?container=c", None, None),
        ("/p?command=", "", [""]),
        ("/p?command=a%20b+c%2Fd", "a b c/d", ["a b c/d"]),
        ("/p?x=1&command=%ff", "\N{REPLACEMENT CHARACTER}", ["\N{REPLACEMENT CHARACTER}"]),
        ("/p", None, None),
        (7, None, None),
    ],
)
def test_parameters_of_the_uri(uri: Any, first: str | None, every: list[str] | None) -> None:
    record = audit(requestURI=uri)

    assert ask("ka.uri.param[command]", record) == first
    assert ask("ka.uri.params[command]", record) == every


def test_the_created_pod_is_named_only_by_requests_about_pods_themselves() -> None:
    answer = {"responseObject": {"metadata": {"name": "web-1"}}}

    assert ask("ka.target.pod.name", audit(**answer)) == "web-1"
    assert ask("ka.target.pod.name", audit(objectRef={"resource": "pods", "subresource": ""}, **answer)) == "web-1"
    assert ask("ka.target.pod.name", audit(objectRef={"resource": "pods", "subresource": "exec"}, **answer)) is None
    assert ask("ka.target.pod.name", audit(objectRef={"resource": "nodes"}, **answer)) is None
    assert ask("ka.resp.name", audit(objectRef={"resource": "nodes"}, **answer)) == "web-1"


SUBJECTS = [
    {"kind": "User", "name": "bob"},
    {"kind": "ServiceAccount", "name": "builder", "namespace": "ci"},
    {"kind": "ServiceAccount", "name": "homeless"},
    {"kind": "Group", "name": "system:masters"},
    {"kind": "User"},
    "odd",
]


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("user_names", ["bob"]),
        ("serviceaccount_names", ["builder", "homeless"]),
        ("serviceaccount_ns_names", ["ci:builder"]),
        ("group_names", ["system:masters"]),
    ],
)
def test_subjects_of_a_binding_by_kind(name: str, want: list[str]) -> None:
    record = audit(requestObject={"subjects": SUBJECTS, "roleRef": {"name": "admin"}})

    assert ask(f"ka.req.binding.subjects.{name}", record) == want
    assert ask("ka.req.binding.role", record) == "admin"
    assert ask("ka.req.binding.subjects", record)[:2] == [
        '{"kind":"User","name":"bob"}',
        '{"kind":"ServiceAccount","name":"builder","namespace":"ci"}',
    ]


def test_role_rules_are_flattened_or_one_is_picked() -> None:
    rules = [
        {"apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["get"]},
        {"nonResourceURLs": ["/metrics"], "verbs": ["get", "*"]},
    ]
    record = audit(requestObject={"rules": rules})

    assert ask("ka.req.role.rules.verbs", record) == ["get", "get", "*"]
    assert ask("ka.req.role.rules.verbs[1]", record) == ["get", "*"]
    assert ask("ka.req.role.rules.resources", record) == ["pods", "pods/exec"]
    assert ask("ka.req.role.rules.nonResourceURLs[0]", record) is None
    assert ask("ka.req.role.rules.apiGroups[0]", record) == [""]
    assert ask("ka.req.role.rules.verbs[2]", record) is None
    assert ask("ka.req.role.rules", record)[1] == '{"nonResourceURLs":["/metrics"],"verbs":["get","*"]}'


def test_service_ports_are_one_text_each() -> None:
    record = audit(requestObject={"spec": {"type": "NodePort", "ports": [{"port": 80}, {"port": 443}]}})

    assert ask("ka.req.service.type", record) == "NodePort"
    assert ask("ka.req.service.ports", record) == ['{"port":80}', '{"port":443}']
    assert ask("ka.req.service.ports[1]", record) == ['{"port":443}']


CONTAINERS = [
    {
        "name": "web",
        "image": "registry.example:5000/team/web:1.2@sha256:abc",
        "command": ["nginx", "-g"],
        "ports": [{"containerPort": 80}, {"containerPort": 443, "hostPort": 8443}, {"name": "odd"}],
        "securityContext": {"privileged": True, "capabilities": {"add": ["NET_ADMIN", "SYS_ADMIN"]}, "runAsUser": 7},
    },
    {"name": "side", "image": "busybox", "args": ["-c", "sleep 1"], "securityContext": {"runAsGroup": 8}},
]


@pytest.mark.parametrize(
    ("name", "want"),
    [
        ("name", ["web", "side"]),
        ("image", ["registry.example:5000/team/web:1.2@sha256:abc", "busybox"]),
        ("image[1]", ["busybox"]),
        ("image[2]", None),
        ("image.repository", ["registry.example:5000/team/web", "busybox"]),
        ("command", ["nginx -g"]),
        ("args", ["-c sleep 1"]),
        ("args[0]", None),
        ("host_port", ["80", "8443"]),
        ("privileged", ["true"]),
        ("privileged[1]", None),
        ("add_capabilities", ["NET_ADMIN", "SYS_ADMIN"]),
        ("run_as_user", ["7"]),
        ("eff_run_as_user", ["7", "1000"]),
        ("eff_run_as_user[1]", ["1000"]),
        ("eff_run_as_group", ["0", "8"]),
        ("read_only_fs", None),
        ("proc_mount", None),
        ("allow_privilege_escalation", None),
    ],
)
def test_containers_of_a_pod_and_of_a_template(name: str, want: list[str] | None) -> None:
    spec = {"containers": CONTAINERS, "securityContext": {"runAsUser": 1000}}
    deployment = audit(requestObject={"kind": "Deployment", "spec": {"template": {"spec": spec}}})
    cron_job = audit(requestObject={"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}})

    assert ask(f"ka.req.pod.containers.{name}", pod(**spec)) == want
    assert ask(f"ka.req.template.containers.{name}", deployment) == want
    assert ask(f"ka.req.template.containers.{name}", cron_job) == want
    assert ask(f"ka.req.template.containers.{name}", pod(**spec)) is None
    assert ask(f"ka.req.pod.containers.{name}", deployment) is None


def test_init_and_ephemeral_containers_have_fields_of_their_own() -> None:
    record = pod(initContainers=[{"image": "setup:1"}], ephemeralContainers=[{"image": "debug"}])

    assert ask("ka.req.pod.initContainers.image.repository", record) == ["setup"]
    assert ask("ka.req.pod.ephemeralContainers.image", record) == ["debug"]
    assert "ka.req.pod.ephemeralContainers.host_port" not in TABLE.fields


def test_names_and_images_are_absent_when_one_container_has_none() -> None:
    record = pod(containers=[{"image": "a"}, {"name": "b"}])

    assert ask("ka.req.pod.containers.image", record) is None
    assert ask("ka.req.pod.containers.image[0]", record) == ["a"]
    assert ask("ka.req.pod.containers.name[1]", record) == ["b"]


@pytest.mark.parametrize(
    ("image", "want"),
    [
        ("nginx", "nginx"),
        ("nginx:1.27", "nginx"),
        ("nginx@sha256:ab", "nginx"),
        ("docker.io/library/nginx:1.27@sha256:ab", "docker.io/library/nginx"),
        ("host:5000/x", "host:5000/x"),
        ("host:5000/x:1", "host:5000/x"),
        ("", ""),
    ],
)
def test_repository_of_an_image(image: str, want: str) -> None:
    assert ask("ka.req.pod.containers.image.repository", pod(containers=[{"image": image}])) == [want]


def test_pod_wide_settings() -> None:
    security = {"runAsUser": 0, "runAsGroup": 1, "fsGroup": 2, "supplementalGroups": [3, 4]}
    record = pod(hostNetwork=True, hostPID=False, securityContext=security)

    assert ask("ka.req.pod.host_network", record) == "true"
    assert ask("ka.req.container.host_network", record) == "true"
    assert ask("ka.req.pod.host_pid", record) == "false"
    assert ask("ka.req.pod.host_ipc", record) is None
    assert ask("ka.req.pod.run_as_user", record) == "0"
    assert ask("ka.req.pod.fs_group", record) == "2"
    assert ask("ka.req.pod.supplemental_groups", record) == ["3", "4"]


def test_volumes_of_a_pod() -> None:
    volumes = [
        {"name": "a", "hostPath": {"path": "/var/run/docker.sock"}},
        {"name": "b", "secret": {"secretName": "s"}},
        {"name": "c", "flexVolume": {"driver": "d/e"}},
    ]
    record = pod(volumes=volumes)

    assert ask("ka.req.pod.volumes.hostpath", record) == ["/var/run/docker.sock"]
    assert ask("ka.req.pod.volumes.hostpath[1]", record) is None
    assert ask("ka.req.pod.volumes.flexvolume_driver", record) == ["d/e"]
    assert ask("ka.req.pod.volumes.volume_type", record) == ["hostPath", "secret", "flexVolume"]
    assert ask("ka.req.pod.volumes.volume_type[1]", record) == ["secret"]
    assert ask("ka.req.volume.hostpath[/var/run/docker.sock]", record) == "true"
    assert ask("ka.req.volume.hostpath[/var/*]", record) == "true"
    assert ask("ka.req.volume.hostpath[/var]", record) == "false"
    assert ask("ka.req.volume.hostpath[/etc*]", record) == "false"
    assert ask("ka.req.volume.hostpath[/var]", pod()) is None


def test_retired_fields_of_the_first_container() -> None:
    record = pod(containers=CONTAINERS)

    assert ask("ka.req.container.image", record) == "registry.example:5000/team/web:1.2@sha256:abc"
    assert ask("ka.req.container.image.repository", record) == "registry.example:5000/team/web"
    assert ask("ka.req.container.privileged", record) == "true"
    assert ask("ka.req.container.privileged", pod(containers=[{"name": "x"}])) == "false"
    assert ask("ka.req.container.privileged", pod()) is None
    assert ask("ka.req.container.image", pod()) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
PATHS = [
    "requestURI", "user", "objectRef", "annotations", "sourceIPs", "responseStatus", "requestObject", "responseObject",
    "requestObject.spec", "requestObject.rules", "requestObject.subjects", "requestObject.spec.containers",
    "requestObject.spec.volumes", "requestObject.spec.template", "requestObject.spec.securityContext",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(PATHS), json_values, max_size=4), json_values)
def test_no_field_raises_and_no_list_is_empty_whatever_the_record(parts: dict[str, Any], element: Any) -> None:
    record: dict[str, Any] = {"requestObject": {"spec": {"containers": [element], "volumes": [element]}}}
    for path, value in sorted(parts.items()):
        node, *keys = record, *path.split(".")
        for key in keys[:-1]:
            node = node[key] if isinstance(node.get(key), dict) else node.setdefault(key + "_", {})
        node[keys[-1]] = value
    event = Event(SOURCE, 0, record, "uid")

    for field in FIELDS:
        assert field.get is not None
        arguments = {Arg.NONE: [()], Arg.INDEX: [(), (0,), (7,)], Arg.KEY: [("x*",)]}[field.arg]
        for argument in arguments:
            answer = field.get(event, *argument)
            if field.is_list:
                assert answer is None or (answer and all(isinstance(value, str) for value in answer)), field.name
            else:
                assert answer is None or isinstance(answer, str), field.name


def test_values_that_cannot_be_text_are_absent() -> None:
    nested: Any = []
    for _ in range(100_000):
        nested = [nested]

    assert ask("ka.req.configmap.obj", audit(requestObject={"data": nested})) is None
    assert ask("ka.req.configmap.obj", audit(requestObject={"data": {"x": "\ud800"}})) is None
