"""
Policies are read, refused and applied as an API server does it.

``recorded.jsonl`` holds policies, requests and what the package ``audit/policy`` of kube-apiserver 1.36 said of them;
the program in ``recorder`` asked it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.k8saudit.levels import Level
from lanner.k8s.policy import Policy, PolicyError, Request, deciding, load, read
from tests.lanner.k8s.auditing import HEADER, policy

RECORDED = Path(__file__).with_name("recorded.jsonl")
KEYS = ("user", "groups", "verb", "group", "resource", "subresource", "namespace", "name", "path")


def recordings() -> Iterator[dict[str, Any]]:
    with RECORDED.open() as lines:
        yield from map(json.loads, lines)


def request(values: list[Any]) -> Request:
    given = dict(zip(KEYS, values, strict=True))
    return Request(**{**given, "groups": tuple(given["groups"])})


def answer(under: Policy, of: Request) -> list[str]:
    entry = deciding(under, of)
    if entry is None:
        return ["None", *sorted(under.omit_stages)]
    return [entry.level.label, *sorted(entry.omit_stages)]


@pytest.mark.parametrize("case", list(recordings()), ids=lambda case: str(len(case["policy"]["rules"])))
def test_every_request_gets_the_level_and_stages_that_the_api_server_gave_it(case: dict[str, Any]) -> None:
    under = read(yaml.safe_dump(case["policy"]), "p.yaml")

    answers = [answer(under, request(values)) for values in case["requests"]]

    assert answers == case["answers"]


def test_the_recordings_have_all_levels_and_a_wildcard_of_each_kind() -> None:
    text = RECORDED.read_text()

    assert {answer[0] for case in recordings() for answer in case["answers"]} == {level.label for level in Level}
    for pattern in ('"group":"*"', '"*"', '"pods/*"', '"*/scale"', '"/healthz*"', '"resourceNames"'):
        assert pattern in text


# What kube-apiserver 1.36 refused, asked by the same program, and the line that is to be told.
REFUSED = {
    "no rules": (HEADER, "p.yaml: the policy has no rules"),
    "an old version": ("apiVersion: audit.k8s.io/v1beta1\nkind: Policy\nrules: [{level: Metadata}]", "no audit policy"),
    "another kind": ("apiVersion: audit.k8s.io/v1\nkind: Event\nrules: [{level: Metadata}]", "no audit policy"),
    "no level": (f"{HEADER}rules:\n- {{users: [a]}}", "p.yaml:4: level is missing"),
    "an unknown level": (f"{HEADER}rules:\n- {{level: metadata}}", "p.yaml:4: level is metadata"),
    "urls and namespaces": (
        f"{HEADER}rules:\n- {{level: Metadata, nonResourceURLs: [/x], namespaces: [a]}}",
        "p.yaml:4: nonResourceURLs stand beside",
    ),
    "a url without slash": (
        f"{HEADER}rules:\n- {{level: Metadata, nonResourceURLs: [x]}}",
        "p.yaml:4: nonResourceURLs",
    ),
    "a star inside of a url": (
        f"{HEADER}rules:\n- {{level: Metadata, nonResourceURLs: ['/a*b']}}",
        "p.yaml:4: nonResourceURLs: '/a*b'",
    ),
    "two stars": (f"{HEADER}rules:\n- {{level: Metadata, nonResourceURLs: ['/a**']}}", "p.yaml:4: nonResourceURLs"),
    "an empty url": (f"{HEADER}rules:\n- {{level: Metadata, nonResourceURLs: ['']}}", "p.yaml:4: nonResourceURLs"),
    "a group with its version": (
        f"{HEADER}rules:\n- {{level: Metadata, resources: [{{group: apps/v1}}]}}",
        "p.yaml:4: resources: 'apps/v1' is no API group",
    ),
    "a group in capitals": (f"{HEADER}rules:\n- {{level: Metadata, resources: [{{group: Apps}}]}}", "no API group"),
    "names of no resource": (
        f"{HEADER}rules:\n- {{level: Metadata, resources: [{{group: '', resourceNames: [x]}}]}}",
        "p.yaml:4: resources: resourceNames",
    ),
    "an unknown stage": (f"{HEADER}omitStages: [Complete]\nrules: [{{level: Metadata}}]", "no stage 'Complete'"),
    "an unknown stage of an entry": (
        f"{HEADER}rules:\n- {{level: Metadata, omitStages: [Complete]}}",
        "p.yaml:4: omit",
    ),
    "a text for a list": (f"{HEADER}rules:\n- {{level: Metadata, users: a}}", "p.yaml:4: rules[0].users: Expected"),
    "a number for a text": (f"{HEADER}rules:\n- {{level: Metadata, users: [1]}}", "p.yaml:4: rules[0].users[0]: Exp"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_an_api_server_refuses_is_refused_with_its_line(name: str) -> None:
    text, finding = REFUSED[name]

    with pytest.raises(PolicyError) as told:
        read(text, "p.yaml")

    assert finding in str(told.value)


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        (
            "rules:\n- {level: Metadata, userGroup: [a]}",
            "p.yaml:4: rules[0]: Object contains unknown field `userGroup`",
        ),
        ("rules:\n- level: Metadata\n  level: None", "p.yaml:5: level is given twice"),
    ],
)
def test_what_an_api_server_ignores_with_a_line_in_its_log_is_an_error(text: str, finding: str) -> None:
    with pytest.raises(PolicyError, match=r"ignore it|given twice") as told:
        read(HEADER + text, "p.yaml")

    assert finding in str(told.value)


def test_what_an_api_server_takes_is_taken() -> None:
    text = "metadata: {name: x}\nomitManagedFields: true\nrules: [{level: Metadata, omitManagedFields: false, users: }]"

    assert read(HEADER + text, "p.yaml").entries[0].level == Level.METADATA


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(PolicyError) as told:
        policy("- {level: X}\n- {level: Metadata, nonResourceURLs: [y]}\n- {level: None}\n")

    assert [line.partition(": ")[0] for line in str(told.value).splitlines()] == ["p.yaml:4", "p.yaml:5"]


@pytest.mark.parametrize(
    "text", ["", "[]", "a: [", "rules: {}", "rules: [1]", "kind: !!python/name:os.system ''", "\0"]
)
def test_no_text_makes_a_traceback(text: str) -> None:
    with pytest.raises(PolicyError):
        read(text, "p.yaml")


def test_a_file_that_is_not_there_or_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")

    with pytest.raises(PolicyError, match="cannot read the audit policy: No such file"):
        load(str(tmp_path / "missing.yaml"))
    with pytest.raises(PolicyError, match="UTF-8"):
        load(str(tmp_path / "binary.yaml"))
