"""The level that each field needs, held against what the field answers once bodies are taken away."""

from collections.abc import Iterator
from typing import Any

import pytest

from engine.event import Event
from engine.fields import Arg, Field
from engine.generate import field_getter
from engine.typed import FieldValue
from ingest.k8saudit.levels import LEVELS, STAGES, Level, level_of
from ingest.k8saudit.record import to_event
from ingest.k8saudit.shapes import decode
from lanner.catalog import build_catalog
from tests.shared import SHARED, needs_shared

TABLE = build_catalog("h").tables["k8s_audit"]
# These read the whole record, or look elsewhere when there is no body; they answer at Metadata, if with less.
WHOLE = {"evt.plugininfo", "json.obj", "jevt.obj", "evt.uid", "evt.pod"}
FOUND_ANYWHERE = {"evt.ips", "evt.users", "evt.arns", "evt.accounts", "evt.domains", "evt.hashes", "evt.paths"}

CONTAINER = {
    "name": "c",
    "image": "registry.example.com:5000/a:1",
    "command": ["sh"],
    "args": ["-c"],
    "ports": [{"hostPort": 80}],
    "securityContext": {
        "privileged": True,
        "allowPrivilegeEscalation": True,
        "readOnlyRootFilesystem": True,
        "runAsUser": 1,
        "runAsGroup": 1,
        "procMount": "Unmasked",
        "capabilities": {"add": ["ALL"]},
    },
}
POD = {
    "hostIPC": True,
    "hostNetwork": True,
    "hostPID": True,
    "securityContext": {"runAsUser": 1, "runAsGroup": 1, "fsGroup": 1, "supplementalGroups": [1]},
    "volumes": [{"name": "v", "hostPath": {"path": "/a"}}, {"name": "w", "flexVolume": {"driver": "d"}}],
    "containers": [CONTAINER],
    "initContainers": [CONTAINER],
    "ephemeralContainers": [CONTAINER],
    "template": {"spec": None},
}
POD["template"] = {"spec": {**POD, "template": None}}
FULL: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "RequestResponse",
    "auditID": "a",
    "stage": "ResponseComplete",
    "requestURI": "/api/v1/namespaces/n/pods?x=1",
    "verb": "create",
    "user": {"username": "u", "groups": ["g"]},
    "objectRef": {"resource": "pods", "namespace": "n", "name": "o"},
    "stageTimestamp": "2026-01-02T03:04:05.000006Z",
    "requestObject": {
        "spec": {**POD, "type": "NodePort", "ports": [{"port": 1}]},
        "data": {"k": "v"},
        "roleRef": {"name": "admin"},
        "subjects": [{"kind": kind, "name": "s", "namespace": "n"} for kind in ("User", "ServiceAccount", "Group")],
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "nonResourceURLs": ["/x"]}],
    },
    "responseObject": {"metadata": {"name": "o-1"}},
}
ARGUMENTS: dict[str, str | int] = {
    "ka.req.volume.hostpath": "/a",
    "ka.req.binding.subject.has_name": "s",
    "json.value": "/requestObject/spec/type",
    "jevt.value": "/responseObject/metadata/name",
}


def at(level: Level, record: dict[str, Any]) -> Event:
    dropped = {"requestObject"} if level < Level.REQUEST else set()
    dropped |= {"responseObject"} if level < Level.REQUEST_RESPONSE else set()
    return to_event({key: value for key, value in record.items() if key not in dropped}, "")


def value(row: Field) -> FieldValue:
    return FieldValue(row, ARGUMENTS.get(row.name))


def answer(row: Field, event: Event) -> Any:
    argument = ARGUMENTS.get(row.name)
    getter = field_getter(row)
    return getter(event) if argument is None else getter(event, argument)


def rows() -> Iterator[Field]:
    for row in TABLE.fields.values():
        if row.name not in WHOLE | FOUND_ANYWHERE and (row.arg is not Arg.KEY or row.name in ARGUMENTS):
            yield row


def test_no_field_answers_below_its_level_or_otherwise_from_it_on() -> None:
    wrong = []
    for row in rows():
        needed = level_of(value(row))
        answers = {level: answer(row, at(level, FULL)) for level in Level if level > Level.NONE}
        full = answers[Level.REQUEST_RESPONSE]
        for level, found in answers.items():
            if found != (full if level >= needed else None):
                wrong.append((row.name, level.label, found))
    assert wrong == []


def test_every_field_about_a_body_was_asked_with_one_that_answers() -> None:
    silent = [
        row.name
        for row in rows()
        if level_of(value(row)) > Level.METADATA and answer(row, at(Level.REQUEST_RESPONSE, FULL)) is None
    ]
    assert silent == []


@needs_shared
def test_real_events_show_no_field_below_its_level() -> None:
    assert SHARED is not None
    files = (SHARED / "k8saudit" / "falco").glob("*.json")
    real = [event.record for file in files for event in decode(file.read_bytes(), file.name).events]
    assert len(real) > 20
    wrong = set()
    for record in real:
        for row in rows():
            if answer(row, at(Level.METADATA, record)) is not None and level_of(value(row)) > Level.METADATA:
                wrong.add(row.name)
    assert wrong == set()


@pytest.mark.parametrize(
    ("pointer", "level"),
    [
        ("/requestObject/spec/type", Level.REQUEST),
        ("requestObject", Level.REQUEST),
        ("/requestObject/spec/containers/0/image", Level.REQUEST),
        ("/responseObject/metadata/name", Level.REQUEST_RESPONSE),
        ("/responseStatus/code", Level.METADATA),
        ("/user/extra/requestObject", Level.METADATA),
        ("", Level.METADATA),
    ],
)
def test_a_json_pointer_needs_the_level_of_its_first_part(pointer: str, level: Level) -> None:
    for name in ("json.value", "jevt.value"):
        assert level_of(FieldValue(TABLE.fields[name], pointer)) == level


def test_names_are_those_of_the_api() -> None:
    assert list(LEVELS) == ["None", "Metadata", "Request", "RequestResponse"]
    assert STAGES == ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")
