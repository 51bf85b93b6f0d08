"""What a policy means for rules, as lines for a terminal."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ingest.k8saudit.levels import Level
from lanner.k8s.check import Loss, Result, State
from lanner.k8s.misplaced import Misplaced
from lanner.k8s.needs import ELSEWHERE
from lanner.k8s.policy import Policy
from lanner.k8s.resources import Target

_ORDER = (State.DEAD, State.BLIND, State.NARROWED, State.THIN, State.NEVER)
_MOST = 4
_WIDTH = 116
_SHOWN_TARGETS = 6


def report(policy: Policy, results: Sequence[Result], found: Sequence[Misplaced]) -> Iterator[str]:
    """Yield the lines."""
    for one in found:
        yield f"{policy.name}:{one.line}: {one.advice}"
    if found:
        yield ""
    for (state, reasons), rules in _grouped(policy, results, found).items():
        yield from textwrap.wrap(f"{state.name.lower()}: {'; '.join(rules)}", _WIDTH, subsequent_indent="    ")
        yield from (f"    {reason}" for reason in reasons)
    counts = Counter(result.state for result in results)
    if any(state in counts for state in _ORDER):
        yield ""
    yield f"{policy.name}: {len(results)} rule{'' if len(results) == 1 else 's'}"
    for state in (*_ORDER, State.FULL):
        if counts[state]:
            yield f"    {counts[state]:>4} {state.name.lower():<9} {state.value}"


def _grouped(
    policy: Policy, results: Sequence[Result], found: Sequence[Misplaced]
) -> dict[tuple[State, tuple[str, ...]], list[str]]:
    """Return rules by what there is to say of them, the worst first."""
    groups: dict[tuple[State, tuple[str, ...]], list[str]] = {}
    for state in _ORDER:
        for result in results:
            if result.state is state:
                groups.setdefault((state, tuple(_reasons(policy, result, found))), []).append(result.rule.name)
    return groups


def _reasons(policy: Policy, result: Result, found: Sequence[Misplaced]) -> Iterator[str]:
    groups: dict[str, list[Loss]] = {}
    for loss in _telling(result):
        groups.setdefault(_why(policy, loss), []).append(loss)
    for why, losses in list(groups.items())[:_MOST]:
        yield f"{_what(losses)}{_example(losses, result)}: {why}"
    if len(groups) > _MOST:
        yield f"and {len(groups) - _MOST} more"
    paths = {loss.need.target.path for loss in result.losses if loss.need.target is not None}
    for one in found:
        if one.path in paths:
            yield f"{policy.name}:{one.line} lists {one.path} in vain, see above"


def _telling(result: Result) -> list[Loss]:
    """Return the losses that make the state; those of the message only where there are no others."""
    hard = [loss for loss in result.losses if loss.got < loss.need.level]
    if result.state in (State.DEAD, State.BLIND):
        return [loss for loss in hard if (loss.need.target, loss.need.verb) in result.whole] or hard
    return hard or list(result.losses)


def _why(policy: Policy, loss: Loss) -> str:
    place = f"{policy.name}:{loss.entry.line}" if loss.entry else ""
    if loss.stage:
        stages = ", ".join(sorted(loss.need.stages - {"Panic"}) or ["Panic"])
        everywhere = loss.need.stages <= policy.omit_stages
        blame = f"which {policy.name} omits altogether" if everywhere else f"omitted by {place}"
        return f"the rule looks at stage {stages}, {blame}"
    if not loss.entry:
        return f"no entry matches, so nothing is recorded; {loss.wanted.label} is needed"
    if loss.got == Level.NONE:
        return f"{place} leaves it out; {loss.wanted.label} is needed"
    purpose = "" if loss.got < loss.need.level else " for the message"
    return f"{place} records it at {loss.got.label}; {loss.wanted.label} is needed{purpose}"


def _what(losses: Iterable[Loss]) -> str:
    verbs: dict[Target | None, list[str]] = {}
    for loss in losses:
        found = verbs.setdefault(loss.need.target, [])
        if loss.need.verb not in found:
            found.append(loss.need.verb)
    targets: dict[tuple[str, ...], list[str]] = {}
    for target, done in verbs.items():
        targets.setdefault(tuple(done), []).append(_named(target))
    return "; ".join(f"{_verbs(done)} {_list(names)}" for done, names in targets.items())


def _named(target: Target | None) -> str:
    if target is None:
        return "requests for no resource"
    return "any other resource" if target == ELSEWHERE else target.path if target.group == "?" else str(target)


def _verbs(verbs: Sequence[str]) -> str:
    return "/".join(verbs) if len(verbs) < _SHOWN_TARGETS else "any verb of"


def _list(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN_TARGETS
    return ", ".join(names[:_SHOWN_TARGETS]) + (f" and {more} more" if more > 0 else "")


def _example(losses: Sequence[Loss], result: Result) -> str:
    """Return what is special about the first request, where others of its kind are recorded."""
    loss = losses[0]
    if (loss.need.target, loss.need.verb) in result.whole or loss.got >= loss.need.level:
        return ""
    request = loss.request
    parts = [
        f"user {request.user}" if request.user else "",
        f"namespace {request.namespace}" if request.namespace not in ("", "any") else "",
        f"name {request.name}" if request.name not in ("", "any") else "",
        f"path {request.path}" if request.path else "",
    ]
    return f" (such as {', '.join(part for part in parts if part)})" if any(parts) else ""
