"""What a policy lists that the API server does not have there, so that the entry never matches it."""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from lanner.k8s.policy import ANY, Policy
from lanner.k8s.resources import REMOVED_GROUPS, TARGETS, group_name, groups_of

_KNOWN: dict[str, set[str]] = {}
for _target in TARGETS:
    _KNOWN.setdefault(_target.group, set()).add(_target.path)


@dataclass(frozen=True, slots=True)
class Misplaced:
    """
    One such resource.

    Attributes:
        line: Of the entry.
        group, path: As the entry has them; path "" when it is about the group as a whole.
        advice: What is wrong and what to write.
    """

    line: int
    group: str
    path: str
    advice: str


def misplaced(policy: Policy) -> Iterator[Misplaced]:
    """Yield what is listed in vain."""
    for entry in policy.entries:
        for listed in entry.resources:
            if listed.group == ANY:
                yield Misplaced(entry.line, ANY, "", "an API server older than 1.36 refuses to start with group *")
            if listed.group in REMOVED_GROUPS and not listed.resources:
                yield Misplaced(entry.line, listed.group, "", f"no API server serves the group {listed.group} any more")
            for path in listed.resources or ():
                advice = _advice(listed.group, path)
                if advice:
                    yield Misplaced(entry.line, listed.group, path, advice)


def _advice(group: str, path: str) -> str:
    if ANY in (group, path) or "/*" in path or path.startswith("*/"):
        return ""
    resource = path.partition("/")[0]
    if path in _KNOWN.get(group, ()):
        return ""
    groups = groups_of(resource)
    if groups and group not in groups:
        return f"{resource} is no resource of {group_name(group)}: it is in {' and '.join(map(group_name, groups))}"
    if group not in _KNOWN:
        return ""  # somebody's own
    near = difflib.get_close_matches(path, _KNOWN[group], n=1, cutoff=0.75)
    if not near and group_is_open(group):
        return ""
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{group_name(group)} has no {path}{hint}"


def group_is_open(group: str) -> bool:
    """Tell whether only some of a group's resources are known here."""
    return bool(group) and all(target.optional for target in TARGETS if target.group == group)
