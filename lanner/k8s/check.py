"""
What rules see under a given audit policy.

For each kind of request that a rule could fire for, requests are made up that differ in all that the policy tells apart
(user, group, namespace, name, URL); the policy says of each what is recorded, the rule's condition what it makes of it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import product

from engine.ruleset import Rule
from engine.typed import FALSE
from ingest.k8saudit.levels import Level
from lanner.k8s.callers import STAND_INS, callers, groups_of
from lanner.k8s.needs import ELSEWHERE, NAMESPACE, NAMING, UNKNOWN_GROUP, Analysis, Need, names_of, namespaces_of
from lanner.k8s.policy import ANY, Entry, Policy, Request, deciding, resource_matches
from lanner.k8s.resources import Target

_SOME = "any"


class State(Enum):
    """How a rule fares under a policy; the value says it to people."""

    DEAD = "cannot fire"
    BLIND = "misses requests that it is about, or judges them without seeing what it asks about"
    NARROWED = "misses some requests: of some users, namespaces or names, or for some of all resources"
    THIN = "fires, but fields of its message stay empty"
    FULL = "sees all it asks about"
    NEVER = "cannot fire under any policy"


@dataclass(frozen=True, slots=True)
class Loss:
    """
    A request that a rule does not see, or not enough of.

    Attributes:
        need: The kind of request.
        request: The one that was tried.
        entry: The entry that decides over it; None when none matches.
        got: The level at which it is recorded, None also when no event is written at a stage the rule looks at.
        wanted: The level that is needed.
        unseen: Whether the rule cannot fire for it.
        stage: Whether only the stages are to blame.
    """

    need: Need
    request: Request
    entry: Entry | None
    got: Level
    wanted: Level
    unseen: bool
    stage: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """
    What a policy means for a rule.

    Attributes:
        rule: The rule.
        state: How it fares.
        losses: What it lacks; of a kind of request that is lost as a whole one request.
        whole: The kinds of requests, as (target, verb), that are lost for every request that was tried.
    """

    rule: Rule
    state: State
    losses: tuple[Loss, ...] = ()
    whole: frozenset[tuple[Target | None, str]] = frozenset()


def check(policy: Policy, rules: Iterable[Rule], analysis: Analysis) -> list[Result]:
    """Return how rules fare under a policy."""
    checker = _Checker(policy, analysis)
    return [checker.result(rule, analysis.needs(rule)) for rule in rules]


@dataclass(slots=True)
class _Checker:
    policy: Policy
    analysis: Analysis
    _entries: dict[tuple[Target | None, str], list[Entry]] = field(default_factory=dict)

    def result(self, rule: Rule, needs: Sequence[Need]) -> Result:
        if not needs:
            return Result(rule, State.NEVER)
        losses: list[Loss] = []
        whole: list[Need] = []
        fires = False
        for need in needs:
            tried = list(self._requests(need))
            lost = [loss for request in tried if (loss := self._loss(need, request))]
            fires = fires or any(not loss.unseen for loss in lost) or len(lost) < len(tried)
            if len([loss for loss in lost if loss.got < need.level]) == len(tried):
                whole.append(need)
            losses += lost
        places = frozenset((need.target, need.verb) for need in whole)
        return Result(rule, _state(needs, losses, whole, fires), tuple(losses), places)

    def _loss(self, need: Need, request: Request) -> Loss | None:
        entry = deciding(self.policy, request)
        omitted = entry.omit_stages if entry else self.policy.omit_stages
        level = entry.level if entry else Level.NONE
        silent = level > Level.NONE and need.stages <= omitted
        got = Level.NONE if silent else level
        if got >= need.wanted:
            return None
        unseen = got == Level.NONE or self.analysis.at_level(need.condition, got) is FALSE
        wanted = need.level if got < need.level else need.wanted
        return Loss(need, request, entry, got, wanted, unseen, silent)

    def _requests(self, need: Need) -> Iterator[Request]:
        """Yield requests of a kind that a rule could fire for, one for each way the policy may tell them apart."""
        target, about = self._about(need)
        for (user, groups), namespace, name, path in product(
            self._users(about, need), self._namespaces(about, need), self._names(about, need), self._paths(about, need)
        ):
            if target is None:
                yield Request(user, groups, need.verb, path=path)
            else:
                yield Request(
                    user, groups, need.verb, target.group, target.resource, target.subresource, namespace, name
                )

    def _about(self, need: Need) -> tuple[Target | None, list[Entry]]:
        """Return the target, and the entries that could match some request of a kind."""
        target = self._placed(need.target)
        key = (target, need.verb)
        if key not in self._entries:
            self._entries[key] = [entry for entry in self.policy.entries if _may_match(entry, target, need.verb)]
        return target, self._entries[key]

    def _placed(self, target: Target | None) -> Target | None:
        """Return a target of an unknown group in the group in which the policy has it."""
        if target is None or target.group != UNKNOWN_GROUP:
            return target
        listed = (found for entry in self.policy.entries for found in entry.resources)
        groups = [found.group for found in listed if target.path in (found.resources or ()) and found.group != ANY]
        return replace(target, group=groups[0] if groups else ELSEWHERE.group)

    def _users(self, about: Sequence[Entry], need: Need) -> list[tuple[str, tuple[str, ...]]]:
        listed = {user for entry in about for user in entry.users}
        groups = {group for entry in about for group in entry.groups if not group.startswith("system:")}
        known = [*callers(need, self.analysis)] or [_SOME]
        if not listed and not any(entry.groups for entry in about):
            return [(known[0], groups_of(known[0]))]
        more = (user for user in sorted(listed) if user in need.users)
        users = dict.fromkeys((*known, *(user for user in more if self._possible(need, user=user))))
        members = ((known[0], (*groups_of(known[0]), group)) for group in sorted(groups))
        return [*((user, groups_of(user)) for user in users), *(members if known[0] == STAND_INS[0] else ())]

    def _namespaces(self, about: Sequence[Entry], need: Need) -> list[str]:
        target = need.target
        if target is None or (target.namespaced is False and target.resource != "namespaces"):
            return [""]
        wanted = namespaces_of(need)
        if wanted is not None:
            return list(wanted)
        listed = {namespace for entry in about for namespace in entry.namespaces}
        constants = self.analysis.constants(need.condition, NAMESPACE)
        candidates = dict.fromkeys([_SOME, *sorted(listed), *sorted(constants)])
        found = [namespace for namespace in candidates if self._possible(need, namespace=namespace or None)]
        return found if listed else found[:1] or [_SOME]

    def _names(self, about: Sequence[Entry], need: Need) -> list[str]:
        if need.target is None or need.verb not in NAMING:
            return [""]
        wanted = names_of(need)
        if wanted is not None:
            return list(wanted)
        listed = {name for entry in about for found in entry.resources for name in found.resource_names or ()}
        return [name for name in (_SOME, *sorted(listed)) if self._possible(need, name=name or None)] or [_SOME]

    def _paths(self, about: Sequence[Entry], need: Need) -> list[str]:
        if need.target is not None:
            return [""]
        wanted = [path for url in need.urls for path in _samples(url)] or ["/any"]
        listed = sorted({path for entry in about for url in entry.urls for path in _samples(url)})
        candidates = dict.fromkeys([*wanted, *listed])
        return [path for path in candidates if self._possible(need, uri=path)] or ["/any"]

    def _possible(self, need: Need, **known: str | None) -> bool:
        return self.analysis.under(need.condition, **known) is not FALSE


def _state(needs: Sequence[Need], losses: Sequence[Loss], whole: Sequence[Need], fires: bool) -> State:
    if not fires:
        return State.DEAD
    if any(need in whole for need in _essential(needs)):
        return State.BLIND
    if any(loss.got < loss.need.level for loss in losses):
        return State.NARROWED
    return State.THIN if losses else State.FULL


def _essential(needs: Sequence[Need]) -> list[Need]:
    """Return the needs that make a rule what it is: of one about everything, those for any further resource."""
    sweeping = [need for need in needs if need.target == ELSEWHERE]
    everywhere = [need for need in needs if need.target is None or not need.target.optional]
    return sweeping or everywhere or list(needs)


def _may_match(entry: Entry, target: Target | None, verb: str) -> bool:
    """Tell whether an entry matches requests for a target with a verb, of some user, namespace, name or URL."""
    if entry.verbs and verb not in entry.verbs:
        return False
    if target is None:
        return not entry.resources and not entry.namespaces
    if entry.urls:
        return False
    return not entry.resources or any(
        listed.group in (target.group, ANY)
        and (
            not listed.resources
            or any(resource_matches(pattern, target.resource, target.subresource) for pattern in listed.resources)
        )
        for listed in entry.resources
    )


def _samples(url: str) -> tuple[str, ...]:
    """Return paths that a pattern matches."""
    if url == ANY:
        return ("/any",)
    return (url[:-1], f"{url.rstrip('*').rstrip('/')}/any") if url.endswith(ANY) else (url,)
