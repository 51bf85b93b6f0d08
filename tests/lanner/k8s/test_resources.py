"""The table of resources is that of Kubernetes, as the ``kubernetes`` client has it from the API's own description."""

import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from lanner.k8s.resources import TARGETS, Target, groups_of

kubernetes = pytest.importorskip("kubernetes", reason="the kubernetes client is not installed")
if not kubernetes.__version__.startswith("37."):
    pytest.skip(f"the table is of Kubernetes 1.37, this client is {kubernetes.__version__}", allow_module_level=True)

_CALL = re.compile(r"method='(\w+)',\s+resource_path='([^']+)'")
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/{]+))/v[^/]+/(?P<namespaced>namespaces/\{namespace\}/)?(?P<resource>[a-z]+)"
    r"(?:/\{name\})?(?:/(?P<subresource>[a-z]+)(?:/\{path\})?)?"
)
_VERBS = {"GET": "get", "PUT": "update", "PATCH": "patch", "POST": "create", "DELETE": "delete"}


Key = tuple[str, str, str]


def operations() -> Iterator[tuple[Key, bool, str]]:
    """Yield group, resource and subresource of every operation, whether in a namespace, and the verb."""
    for file in (Path(kubernetes.__file__).parent / "client" / "api").glob("*_api.py"):
        for method, path in _CALL.findall(file.read_text("utf-8")):
            found = _PATH.fullmatch(path)
            if found and "/watch/" not in path and method in _VERBS:
                key = (found["group"] or "", found["resource"], found["subresource"] or "")
                yield key, found["namespaced"] is not None, _VERBS[method]


@cache
def described() -> dict[Key, tuple[bool, set[str]]]:
    scopes: dict[Key, bool] = defaultdict(bool)
    verbs: dict[Key, set[str]] = defaultdict(set)
    for key, namespaced, verb in operations():
        scopes[key] |= namespaced
        verbs[key].add(verb)
    return {key: (scopes[key], verbs[key]) for key in verbs}


def key_of(target: Target) -> Key:
    return target.group, target.resource, target.subresource


def test_the_description_was_understood() -> None:
    assert len(described()) > 100
    assert described()["", "pods", "exec"] == (True, {"get", "create"})


def test_every_resource_of_the_api_is_in_the_table() -> None:
    assert set(described()) - {key_of(target) for target in TARGETS} == set()


def test_the_table_has_no_other_resources_than_the_optional_ones() -> None:
    assert {key_of(target) for target in TARGETS if not target.optional} - set(described()) == set()


def test_scopes_are_right() -> None:
    wrong = [t for t in TARGETS if key_of(t) in described() and t.namespaced != described()[key_of(t)][0]]
    assert wrong == []


def test_verbs_of_subresources_are_right() -> None:
    known = [target for target in TARGETS if target.subresource and key_of(target) in described()]
    assert {str(t): set(t.verbs) for t in known} == {str(t): described()[key_of(t)][1] for t in known}


@pytest.mark.parametrize(
    ("resource", "groups"),
    [
        ("pods", [""]),
        ("deployments", ["apps"]),
        ("roles", ["rbac.authorization.k8s.io"]),
        ("events", ["", "events.k8s.io"]),
        ("ingresses", ["networking.k8s.io"]),
        ("things", []),
    ],
)
def test_groups_of_a_resource(resource: str, groups: list[str]) -> None:
    assert groups_of(resource) == groups
