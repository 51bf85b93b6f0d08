"""
Audit policies of an API server: reading them, and what they say of a request.

The first entry that a request matches decides; no entry means that nothing is recorded. Source: the Kubernetes API
``audit.k8s.io/v1`` and the package ``audit/policy`` of the API server 1.36, whose answers the tests hold recorded.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import yaml

from ingest.k8saudit.levels import LEVELS, STAGES, Level
from lanner.errors import ConfigError, UserError
from lanner.yamltree import pairs, parse, plain

VERSION = "audit.k8s.io/v1"
ANY = "*"

_AT = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_INDEX = re.compile(r"^\.rules\[(\d+)\]")
_GROUP = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class PolicyError(UserError):
    """A policy cannot be used; one line per finding, ``file:line: what to do``."""


class GroupResources(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """
    Resources of one API group; no resources stand for all of the group, with their subresources.

    A group ``*`` is every group, from Kubernetes 1.36 on; an older API server refuses to start with it.
    """

    group: str = ""
    resources: tuple[str, ...] | None = None
    resource_names: tuple[str, ...] | None = None


class _Written(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """An entry as the file has it."""

    level: str = ""
    users: tuple[str, ...] | None = None
    user_groups: tuple[str, ...] | None = None
    verbs: tuple[str, ...] | None = None
    resources: tuple[GroupResources, ...] | None = None
    namespaces: tuple[str, ...] | None = None
    non_resource_urls: tuple[str, ...] | None = msgspec.field(default=None, name="nonResourceURLs")
    omit_stages: tuple[str, ...] | None = None
    omit_managed_fields: bool | None = None


class _WrittenPolicy(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    api_version: str = ""
    kind: str = ""
    metadata: object = None
    omit_stages: tuple[str, ...] | None = None
    omit_managed_fields: bool | None = None
    rules: tuple[_Written, ...] | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """
    One rule of a policy; empty tuples restrict nothing.

    Attributes:
        level: What is recorded of requests that it is the first to match.
        users, groups, verbs, namespaces: Exact names; a namespace "" is a request outside of namespaces.
        resources: Resources with their API groups; with ``namespaces`` they restrict it to requests for resources.
        urls: Paths of requests for no resource; ``*`` at the end stands for any rest.
        omit_stages: Stages at which nothing is written, those of the whole policy included.
        line: Where it begins, from 1; 0 when it comes from no file.
    """

    level: Level
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[GroupResources, ...] = ()
    namespaces: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    omit_stages: frozenset[str] = frozenset()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """
    A policy.

    Attributes:
        name: Of its file, for messages.
        entries: In order.
        omit_stages: Stages at which nothing is written, whatever the entry.
    """

    name: str
    entries: tuple[Entry, ...]
    omit_stages: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Request:
    """
    A request as a policy sees it, before its body is read.

    Attributes:
        user: Who asks, as authenticated; "" for nobody.
        groups: Groups of the user.
        verb: Verb of the request.
        group, resource, subresource, namespace, name: What it is for; resource "" for none.
        path: Path of its URL, for a request that is for no resource.
    """

    user: str = ""
    groups: tuple[str, ...] = ()
    verb: str = "get"
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


def deciding(policy: Policy, request: Request) -> Entry | None:
    """Return the entry that decides over a request, None when no entry matches it."""
    return next((entry for entry in policy.entries if matches(entry, request)), None)


def matches(entry: Entry, request: Request) -> bool:
    """Tell whether an entry is about a request."""
    if entry.users and (not request.user or request.user not in entry.users):
        return False
    if entry.groups and (not request.user or not set(entry.groups).intersection(request.groups)):
        return False
    if entry.verbs and request.verb not in entry.verbs:
        return False
    if entry.namespaces or entry.resources:
        return bool(request.resource) and _matches_resource(entry, request)
    if entry.urls:
        return not request.resource and any(url_matches(url, request.path) for url in entry.urls)
    return True


def _matches_resource(entry: Entry, request: Request) -> bool:
    if entry.namespaces and request.namespace not in entry.namespaces:
        return False
    return not entry.resources or any(_in_group(found, request) for found in entry.resources)


def _in_group(listed: GroupResources, request: Request) -> bool:
    if listed.group not in (request.group, ANY):
        return False
    if not listed.resources:
        return True
    if listed.resource_names and request.name not in listed.resource_names:
        return False
    return any(resource_matches(pattern, request.resource, request.subresource) for pattern in listed.resources)


def resource_matches(pattern: str, resource: str, subresource: str) -> bool:
    """
    Tell whether an entry's resource is that of a request.

    ``*`` is every resource and subresource, ``*/scale`` one subresource of all, ``pods/*`` the pods and all below them.
    """
    path = f"{resource}/{subresource}" if subresource else resource
    if pattern in (path, ANY):
        return True
    if subresource and pattern == f"*/{subresource}":
        return True
    return pattern.endswith("/*") and pattern[:-2] == resource


def url_matches(pattern: str, path: str) -> bool:
    """Tell whether an entry's URL is that of a request."""
    if pattern in (ANY, path):
        return True
    return pattern.endswith(ANY) and path.startswith(pattern.rstrip(ANY))


def load(path: str) -> Policy:
    """
    Read a policy file.

    Raises:
        PolicyError: It cannot be read, or the API server would refuse it or ignore a part of it.
    """
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise PolicyError(f"{path}: cannot read the audit policy: {error.strerror}") from None
    except UnicodeDecodeError:
        raise PolicyError(f"{path}: an audit policy is UTF-8 text") from None
    return read(text, path)


def read(text: str, name: str) -> Policy:
    """
    Read a policy from text; ``name`` is the file's, for messages.

    Raises:
        PolicyError: As ``load``.
    """
    try:
        root = parse(text, name)
        value = plain(root)
        _refuse_repeats(root, set())
    except ConfigError as error:
        raise PolicyError(str(error)) from None
    except RecursionError:
        raise PolicyError(f"{name}: nested too deep for an audit policy") from None
    lines = _lines(root)
    try:
        written = msgspec.convert(value, _WrittenPolicy)
    except msgspec.ValidationError as error:
        raise PolicyError(_misread(str(error), name, lines)) from None
    findings = list(_findings(written, name, lines))
    if findings:
        raise PolicyError("\n".join(findings))
    rules = written.rules or ()
    everywhere = frozenset(written.omit_stages or ())
    entries = tuple(_entry(rule, everywhere, line) for rule, line in zip(rules, lines, strict=True))
    return Policy(name, entries, everywhere)


def _lines(root: yaml.MappingNode) -> list[int]:
    """Return the line of each rule."""
    rules = next((value for key, value in root.value if key.value == "rules"), None)
    return [node.start_mark.line + 1 for node in rules.value] if isinstance(rules, yaml.SequenceNode) else []


def _refuse_repeats(node: yaml.Node, seen: set[int]) -> None:
    """Raise ConfigError where a key is given twice: an API server takes one of them with only a line in its log."""
    if id(node) in seen:
        return
    seen.add(id(node))
    below = [value for _, value in pairs(node)] if isinstance(node, yaml.MappingNode) else node.value
    for child in below if isinstance(below, list) else ():
        _refuse_repeats(child, seen)


def _entry(rule: _Written, everywhere: frozenset[str], line: int) -> Entry:
    return Entry(
        LEVELS[rule.level],
        rule.users or (),
        rule.user_groups or (),
        rule.verbs or (),
        rule.resources or (),
        rule.namespaces or (),
        rule.non_resource_urls or (),
        everywhere | frozenset(rule.omit_stages or ()),
        line,
    )


def _misread(message: str, name: str, lines: Sequence[int]) -> str:
    found = _AT.search(message)
    path = found["path"] if found else ""
    index = _INDEX.match(path)
    place = f"{name}:{lines[int(index[1])]}" if index and int(index[1]) < len(lines) else name
    ignored = "; an API server would ignore it" if "unknown field" in message else ""
    return f"{place}: {path.lstrip('.') or 'the policy'}: {_AT.sub('', message)}{ignored}"


def _findings(policy: _WrittenPolicy, name: str, lines: Sequence[int]) -> Iterator[str]:
    """Yield what the API server refuses."""
    if policy.kind != "Policy" or policy.api_version != VERSION:
        yield f"{name}: this is no audit policy; it begins with apiVersion: {VERSION} and kind: Policy"
        return
    if not policy.rules:
        yield f"{name}: the policy has no rules; an API server refuses to start with it"
    for stage in policy.omit_stages or ():
        if stage not in STAGES:
            yield f"{name}: omitStages: there is no stage {stage!r}; the stages are {', '.join(STAGES)}"
    for rule, line in zip(policy.rules or (), lines, strict=True):
        yield from (f"{name}:{line}: {finding}" for finding in _rule_findings(rule))


def _rule_findings(rule: _Written) -> Iterator[str]:
    if rule.level not in LEVELS:
        yield f"level is {rule.level or 'missing'}; one of {', '.join(LEVELS)} is wanted"
    for stage in rule.omit_stages or ():
        if stage not in STAGES:
            yield f"omitStages: there is no stage {stage!r}; the stages are {', '.join(STAGES)}"
    if rule.non_resource_urls and (rule.resources or rule.namespaces):
        yield "nonResourceURLs stand beside resources or namespaces; make two rules of it"
    for url in rule.non_resource_urls or ():
        if url != ANY and (not url.startswith("/") or ANY in url[:-1]):
            yield f"nonResourceURLs: {url!r} does not begin with / or has a * that is not at its end"
    for listed in rule.resources or ():
        if listed.group not in ("", ANY) and not _GROUP.fullmatch(listed.group):
            yield f"resources: {listed.group!r} is no API group; a group has no version and no capitals, like apps"
        if listed.resource_names and not listed.resources:
            yield "resources: resourceNames need resources beside them"
