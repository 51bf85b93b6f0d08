"""Audit policies as YAML that says why: the rules that need an entry stand above it."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence

import yaml

from ingest.k8saudit.levels import STAGES, Level
from lanner.k8s.generate import Because
from lanner.k8s.needs import CREDENTIALS
from lanner.k8s.noise import Verdict
from lanner.k8s.policy import VERSION, Entry, GroupResources

_WIDTH = 116


def policy_text(
    entries: Sequence[Because], noise: Sequence[Verdict], rules: Sequence[str], never: Sequence[str]
) -> str:
    """
    Return a policy.

    Args:
        entries: Its entries in order.
        noise: What else is left out, or could be.
        rules: Names of all rules that it is for.
        never: Names of those that cannot fire whatever is recorded.
    """
    recorded = [because.entry for because in entries if because.entry.level > Level.NONE]
    everywhere = frozenset(STAGES).intersection(*(entry.omit_stages for entry in recorded)) if recorded else frozenset()
    lines = [*_head(rules, never), f"apiVersion: {VERSION}", "kind: Policy"]
    if everywhere:
        lines.append(f"omitStages: {_flow(_in_order(everywhere))}")
    lines += ["omitManagedFields: true", "rules:"]
    for verdict in noise:
        lines += ["", *_noise_lines(verdict)]
    for because in entries:
        lines += ["", *_because_lines(because), *_entry_lines(because.entry, everywhere)]
    if not recorded:
        lines += ["", "  # No enabled rule is about the audit of Kubernetes.", "  - level: None"]
    return "\n".join(lines) + "\n"


def _head(rules: Sequence[str], never: Sequence[str]) -> Iterator[str]:
    number = f"{len(rules)} rule{'' if len(rules) == 1 else 's'}"
    yield from _comment(
        f"Audit policy for {number}, written by 'lanner k8s audit-policy': the least that an API server has to record"
        " so that each can fire and fill its message. Pass it as --audit-policy-file; the first entry that matches"
        " decides.",
        indent="",
    )
    if never:
        yield from _comment(
            f"Not counted, because they cannot fire whatever is recorded: {'; '.join(never)}.", indent=""
        )


def _noise_lines(verdict: Verdict) -> Iterator[str]:
    if not verdict.blinded:
        yield from _comment(f"{verdict.noise.what} No rule needs to see it.")
        yield from _entry_lines(verdict.noise.entry, frozenset())
        return
    yield from _comment(
        f"{verdict.noise.what} Leaving it out would save much, and blind: {'; '.join(verdict.blinded)}."
    )
    yield from (f"  #{line[2:]}" for line in _entry_lines(verdict.noise.entry, frozenset()))


def _because_lines(because: Because) -> Iterator[str]:
    entry = because.entry
    if entry.level == Level.NONE:
        yield from _comment("Requests that are for no resource: no other rule asks for them.")
        return
    yield from _comment(f"For {'; '.join(because.rules)}.")
    if because.unknown:
        names = ", ".join(because.unknown)
        yield from _comment(
            f"It names no resource because nothing is known of the API group of {names}; where you know it, an entry"
            " with group and resource is enough for these."
        )
    secret = [path for listed in entry.resources for path in listed.resources or () if path in CREDENTIALS]
    if entry.level > Level.METADATA and secret:
        yield from _comment(
            f"Mind that bodies of {', '.join(secret)} hold credentials: they go to every audit backend, so to log files"
            " too. Without it disable these rules."
        )


def _comment(text: str, indent: str = "  ") -> Iterator[str]:
    yield from textwrap.wrap(
        text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_on_hyphens=False
    )


def _entry_lines(entry: Entry, everywhere: frozenset[str]) -> Iterator[str]:
    yield f"  - level: {entry.level.label}"
    for key, values in (
        ("users", entry.users),
        ("userGroups", entry.groups),
        ("verbs", entry.verbs),
        ("namespaces", entry.namespaces),
        ("nonResourceURLs", entry.urls),
    ):
        yield from _list_lines(key, values, "    ")
    if entry.resources:
        yield "    resources:"
        for listed in entry.resources:
            yield from _group_lines(listed)
    yield from _list_lines("omitStages", _in_order(entry.omit_stages - everywhere), "    ")


def _group_lines(listed: GroupResources) -> Iterator[str]:
    yield f"      - group: {_flow([listed.group])[1:-1]}"
    yield from _list_lines("resources", listed.resources or (), "        ")
    yield from _list_lines("resourceNames", listed.resource_names or (), "        ")


def _list_lines(key: str, values: Sequence[str], indent: str) -> Iterator[str]:
    if not values:
        return
    short = f"{indent}{key}: {_flow(values)}"
    if len(short) <= _WIDTH:
        yield short
        return
    yield f"{indent}{key}:"
    yield from (f"{indent}  - {_flow([value])[1:-1]}" for value in values)


def _flow(values: Iterable[str]) -> str:
    return yaml.safe_dump(list(values), default_flow_style=True, width=10_000).strip()


def _in_order(stages: frozenset[str]) -> list[str]:
    return [stage for stage in STAGES if stage in stages]
