"""What keeps a rule from loading in Falco is told, and nothing else is."""

from typing import Any

import pytest

from engine.lint import unportable
from lanner.catalog import build_catalog
from tests.engine.reading import loaded, rule

CATALOG = build_catalog("test")


def told(condition: str, output: str = "x", source: Any = "aws_cloudtrail") -> set[str]:
    rules = loaded([rule(condition=condition, output=output, source=source)], catalog=CATALOG).rules
    return {found.message for one in rules for found in unportable(one, CATALOG.tables[one.source])}


@pytest.mark.parametrize(
    ("condition", "source"),
    [
        ("ct.name = CreateUser and json.value[/userIdentity/type] = Root", "aws_cloudtrail"),
        ("ka.verb in (create, update) and jevt.value[/stage] = ResponseComplete", "k8s_audit"),
        ("ka.req.pod.containers.image.repository intersects (nginx)", "k8s_audit"),
        ("evt.type = open and proc.name in (cat)", "syscall"),
    ],
)
def test_rules_of_falco_fields_are_portable(condition: str, source: str) -> None:
    assert told(condition, source=source) == set()


@pytest.mark.parametrize(
    ("condition", "source", "message"),
    [
        ("evt.outcome = denied", "aws_cloudtrail", "Falco has no field 'evt.outcome'"),
        ("ct.policy.public = true", "aws_cloudtrail", "Falco has no field 'ct.policy.public'"),
        ("tolower(evt.actor) = root", "k8s_audit", "Falco has no field 'evt.actor'"),
        ("ka.uri.params[a] intersects (b)", "k8s_audit", "Falco has no field 'ka.uri.params'"),
        ("ka.user.groups contains masters", "k8s_audit", "Falco refuses 'contains' on a list"),
        ("evt.source exists", ["aws_cloudtrail", "k8s_audit"], "the rule is for more than one source"),
    ],
)
def test_what_only_lanner_has_is_told(condition: str, source: Any, message: str) -> None:
    assert told(condition, source=source) == {message}


def test_a_field_of_our_own_in_the_output_is_told() -> None:
    assert told("ct.name = X", "%evt.actor did") == {"Falco has no field 'evt.actor', which the output shows"}
