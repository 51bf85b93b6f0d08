"""An API server's part of auditing, for tests: what is left of an event when it is recorded under a policy."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from engine.evaluate import Engine, Match
from engine.load import LoadOptions, load_rules
from engine.rulefile import RuleFile
from engine.ruleset import Rule, RuleSet
from ingest.k8saudit.levels import Level
from ingest.k8saudit.record import SOURCE, to_event
from lanner import rulefiles
from lanner.catalog import build_catalog
from lanner.k8s.check import Result, check
from lanner.k8s.generate import Because, entries
from lanner.k8s.needs import Analysis, Need
from lanner.k8s.policy import Policy, Request, deciding, read
from tests.shared import SHARED

Record = dict[str, Any]

CATALOG = build_catalog("test-host")
FALCO = "falco-rules/plugins/k8saudit/k8s_audit_rules.yaml"
HEADER = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
_BY_NAME = {"get", "update", "patch", "delete"}


@cache
def loaded(*texts: str) -> RuleSet:
    result = load_rules([RuleFile(f"r{at}.yaml", text) for at, text in enumerate(texts)], CATALOG, LoadOptions())
    assert result.ruleset is not None, result.report.errors
    return result.ruleset


@cache
def engine(*texts: str) -> Engine:
    return Engine(loaded(*texts))


def rule_text(condition: str, name: str = "R", output: str = "x %ka.verb", more: str = "") -> str:
    return (
        f"- rule: {name}\n  desc: d\n  condition: >\n    {condition}\n  output: {output}\n"
        f"  priority: NOTICE\n  source: k8s_audit\n{more}"
    )


def rules_of(ruleset: RuleSet) -> list[Rule]:
    return [rule for rule in ruleset.enabled if rule.source == SOURCE]


def analysis() -> Analysis:
    return Analysis(CATALOG.tables[SOURCE])


def needs_of(rules: Iterable[Rule]) -> list[Need]:
    finder = analysis()
    return [need for rule in rules for need in finder.needs(rule)]


def made_for(rules: Iterable[Rule]) -> list[Because]:
    return entries(needs_of(rules))


def policy_for(rules: Iterable[Rule]) -> Policy:
    return Policy("made.yaml", tuple(because.entry for because in made_for(rules)))


@cache
def shipped() -> tuple[str, ...]:
    return tuple(file.text for file in rulefiles.read(rulefiles.find(["bundled/k8s"])))


@cache
def falco() -> tuple[str, ...]:
    assert SHARED is not None
    return ((SHARED / FALCO).read_text("utf-8"),)


@cache
def policy_of(*texts: str) -> Policy:
    return policy_for(rules_of(loaded(*texts)))


def checked(policy: Policy, rules: Sequence[Rule]) -> dict[str, Result]:
    return {result.rule.name: result for result in check(policy, rules, analysis())}


def policy(rules: str, head: str = "") -> Policy:
    return read(f"{HEADER}{head}rules:\n{rules}", "p.yaml")


def request_of(record: Record) -> Request:
    """Return what the policy sees of the request that an event is about."""
    user, target = record.get("user") or {}, record.get("objectRef") or {}
    return Request(
        user=user.get("username", ""),
        groups=tuple(user.get("groups") or ()),
        verb=record.get("verb", ""),
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace") or "",
        name=(target.get("name") or "") if record.get("verb") in _BY_NAME or target.get("subresource") else "",
        path=record.get("requestURI", "").partition("?")[0],
    )


def recorded(record: Record, under: Policy) -> Record | None:
    """Return an event as a server with a policy writes it; None when it writes none."""
    entry = deciding(under, request_of(record))
    level = entry.level if entry else Level.NONE
    omitted = entry.omit_stages if entry else under.omit_stages
    if level == Level.NONE or record.get("stage") in omitted:
        return None
    dropped = {"requestObject"} if level < Level.REQUEST else set()
    dropped |= {"responseObject"} if level < Level.REQUEST_RESPONSE else set()
    return {**{key: value for key, value in record.items() if key not in dropped}, "level": level.label}


def matches(record: Record, *texts: str) -> list[Match]:
    return engine(*texts).evaluate(to_event(record, ""))


def fired(record: Record | None, *texts: str) -> set[str]:
    return set() if record is None else {match.rule.name for match in matches(record, *texts)}
