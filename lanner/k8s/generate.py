"""
The smallest audit policy under which rules can fire.

Each need of a rule becomes a want for one resource and verb. Wants that another one covers go, equal ones share an
entry, and entries stand in order of their level: since the first entry that matches decides, no request is recorded
at less than some rule wants of it. Rules about all resources end as entries that name none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingest.k8saudit.levels import STAGES, Level
from lanner.k8s.needs import CREDENTIALS, ELSEWHERE, UNKNOWN_GROUP, Need, named, names_of, namespaces_of
from lanner.k8s.policy import ANY, Entry, GroupResources
from lanner.k8s.resources import VERBS, Target

Texts = frozenset[str] | None
"""Values that are wanted; None for all there are."""

_ALWAYS = frozenset({"Panic"})  # rare, and when a request brings the server down somebody wants to know


@dataclass(frozen=True, slots=True)
class Want:
    """What is to be recorded of requests for one resource with one verb."""

    level: Level
    stages: frozenset[str]
    users: Texts
    namespaces: Texts
    names: Texts
    urls: Texts

    def covers(self, other: "Want") -> bool:
        """Tell whether this one holds all that another asks for."""
        pairs = (
            (self.users, other.users),
            (self.namespaces, other.namespaces),
            (self.names, other.names),
            (self.urls, other.urls),
        )
        within = all(mine is None or (theirs is not None and theirs <= mine) for mine, theirs in pairs)
        return within and self.level >= other.level and self.stages >= other.stages


Wants = dict[Want, frozenset[str]]
"""Wants with the names of the rules that have them."""

_Place = tuple[Target | None, str]


@dataclass(frozen=True, slots=True)
class Because:
    """
    An entry of a generated policy.

    Attributes:
        entry: The entry.
        rules: Names of the rules that need it, sorted.
        unknown: Resources that rules name and that no API group is known for; the entry stands for them.
    """

    entry: Entry
    rules: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(slots=True)
class _Plan:
    """Wants by what the request is for."""

    places: dict[_Place, Wants] = field(default_factory=dict)
    unknown: dict[str, set[str]] = field(default_factory=dict)

    def add(self, need: Need) -> None:
        target = need.target
        if target is not None and target.group == UNKNOWN_GROUP:
            self.unknown.setdefault(need.rule.name, set()).add(target.path)
            target = ELSEWHERE
        wants = self.places.setdefault((target, need.verb), {})
        want = _want(need)
        wants[want] = wants.get(want, frozenset()) | {need.rule.name}


def _want(need: Need) -> Want:
    texts = (named(need.users), namespaces_of(need), names_of(need), need.urls or None)
    users, namespaces, names, urls = (None if found is None else frozenset(found) for found in texts)
    return Want(need.wanted, need.stages | _ALWAYS, users, namespaces, names, urls)


def entries(needs: Iterable[Need]) -> list[Because]:
    """Return the entries of the smallest policy for needs, in their order."""
    plan = _Plan()
    for need in needs:
        plan.add(need)
    sweeps = {verb: wants for (target, verb), wants in plan.places.items() if target == ELSEWHERE}
    _widen_sweeps(sweeps, plan.places)
    wide = list(_sweeping(sweeps, plan.unknown))
    own = {place: wants for place, wants in plan.places.items() if place[0] not in (None, ELSEWHERE)}
    guarded = {place: wants for place, wants in own.items() if _is_guarded(place, wants, sweeps)}
    special = {place: _kept(wants, sweeps, place) for place, wants in own.items() if place not in guarded}
    ordered = sorted((*_for_resources(special), *wide), key=lambda because: -because.entry.level)  # stable: wide last
    return [*_for_urls(plan.places, wide), *_for_resources(_alone(guarded)), *ordered]


def _is_guarded(place: _Place, wants: Wants, sweeps: Mapping[str, Wants]) -> bool:
    """Tell whether a sweeping entry would record bodies with credentials that nobody looks into."""
    target, verb = place
    if target is None or target.path not in CREDENTIALS:
        return False
    needed = max(want.level for want in wants)
    return any(want.level > needed for want in sweeps.get(verb, {}))


def _alone(places: Mapping[_Place, Wants]) -> dict[_Place, Wants]:
    """Return one want for each place, which decides over all requests there."""
    found: dict[_Place, Wants] = {}
    for place, wants in places.items():
        level = max(want.level for want in wants)
        whole = Want(level, _all_stages(wants), None, None, None, None)
        found[place] = {whole: frozenset().union(*wants.values())}
    return found


def _widen_sweeps(sweeps: dict[str, Wants], places: Mapping[_Place, Wants]) -> None:
    """Give a sweeping want the stages of all that it may decide over: of other sweeping ones, and of lesser ones."""
    for verb, wants in sweeps.items():
        here = {want for (target, v), found in places.items() if v == verb and target is not None for want in found}
        wider: Wants = {}
        for want, rules in wants.items():
            stages = _all_stages(other for other in here if other in wants or other.level < want.level)
            full = replace(want, stages=stages)
            wider[full] = wider.get(full, frozenset()) | rules
        sweeps[verb] = _undominated(wider)


def _all_stages(wants: Iterable[Want]) -> frozenset[str]:
    return frozenset().union(*(want.stages for want in wants))


def _kept(wants: Wants, sweeps: Mapping[str, Wants], place: _Place) -> Wants:
    """Return the wants of a place that need an entry of their own."""
    sweeping = sweeps.get(place[1], {})
    left = {want: rules for want, rules in wants.items() if not any(wide.covers(want) for wide in sweeping)}
    stages = _all_stages((*left, *sweeping))
    raised: Wants = {}
    for want, rules in left.items():
        full = replace(want, stages=stages)
        raised[full] = raised.get(full, frozenset()) | rules
    return _undominated(raised)


def _undominated(wants: Wants) -> Wants:
    """Leave out wants that others cover; the rules go over to those."""
    kept: Wants = {}
    for want in sorted(wants, key=lambda want: (-want.level, -len(want.stages), _narrowness(want))):
        wider = next((other for other in kept if other.covers(want)), want)
        kept[wider] = kept.get(wider, frozenset()) | wants[want]
    return kept


def _narrowness(want: Want) -> tuple[int, int]:
    """Return what sorts wants that restrict little before those that restrict much."""
    lists = [texts for texts in (want.users, want.namespaces, want.names, want.urls) if texts is not None]
    return len(lists), -sum(map(len, lists))


def _sweeping(sweeps: Mapping[str, Wants], unknown: Mapping[str, set[str]]) -> Iterator[Because]:
    verbs: dict[Want, list[str]] = {}
    rules: Wants = {}
    for verb in VERBS:
        for want, names in sweeps.get(verb, {}).items():
            verbs.setdefault(want, []).append(verb)
            rules[want] = rules.get(want, frozenset()) | names
    for want, some in verbs.items():
        alone = rules[want] <= unknown.keys()  # else the entry would be there for the other rules anyway
        named_there = sorted({path for rule in rules[want] for path in unknown[rule]}) if alone else []
        entry = _entry(want, () if len(some) == len(VERBS) else tuple(some))
        yield Because(entry, tuple(sorted(rules[want])), tuple(named_there))


def _for_urls(places: Mapping[_Place, Wants], wide: Sequence[Because]) -> Iterator[Because]:
    """Yield the entries for requests that are for no resource, so that sweeping entries record only what is wanted."""
    wants = [want for (target, _), found in places.items() if target is None for want in found]
    all_urls = any(want.urls is None for want in wants)
    stages = _all_stages(wants)
    own: Wants = {}
    for (target, _), found in places.items():
        for want, names in found.items() if target is None else ():
            full = replace(want, namespaces=None, names=None, stages=stages)
            if not (all_urls and any(_takes_in(because.entry, full) for because in wide)):
                own[full] = own.get(full, frozenset()) | names
    for want, names in _undominated(own).items():
        yield Because(_entry(replace(want, urls=want.urls or frozenset({ANY})), ()), tuple(sorted(names)))
    if wide and not all_urls:
        yield Because(Entry(Level.NONE, urls=(ANY,)))


def _takes_in(entry: Entry, want: Want) -> bool:
    wide_enough = not (entry.verbs or entry.resources or entry.namespaces) and entry.level >= want.level
    same_users = not entry.users or (want.users is not None and want.users <= set(entry.users))
    return wide_enough and same_users and not entry.omit_stages & want.stages


def _for_resources(special: Mapping[_Place, Wants]) -> Iterator[Because]:
    shared: dict[tuple[Want, tuple[str, ...]], dict[Target, frozenset[str]]] = {}
    found = _by_target(special)
    for (target, want), (verbs, rules) in sorted(found.items(), key=lambda item: _is_whole(item[0][0], item[1][0])):
        keys = (listed for kept, listed in shared if kept == want and _picks(listed, target, verbs))
        key = next(keys, () if _is_whole(target, verbs) else tuple(verbs))
        shared.setdefault((want, key), {})[target] = rules
    for (want, some), targets in shared.items():
        entry = replace(_entry(want, some), resources=_grouped(targets, want.names))
        yield Because(entry, tuple(sorted(frozenset().union(*targets.values()))))


def _is_whole(target: Target, verbs: Sequence[str]) -> bool:
    return len(verbs) == len(target.verbs)


def _picks(listed: Sequence[str], target: Target, verbs: Sequence[str]) -> bool:
    """Tell whether the verbs of an entry take just these of a target."""
    return set(listed or target.verbs) & set(target.verbs) == set(verbs)


def _by_target(special: Mapping[_Place, Wants]) -> dict[tuple[Target, Want], tuple[list[str], frozenset[str]]]:
    """Return, for each resource and want, its verbs and the rules."""
    found: dict[tuple[Target, Want], tuple[list[str], frozenset[str]]] = {}
    for (target, verb), wants in special.items():
        for want, rules in wants.items() if target is not None else ():
            assert target is not None
            verbs, others = found.get((target, want), ([], frozenset()))
            found[target, want] = ([*verbs, verb], others | rules)
    return found


def _entry(want: Want, verbs: tuple[str, ...]) -> Entry:
    return Entry(
        level=want.level,
        users=tuple(sorted(want.users or ())),
        verbs=verbs,
        namespaces=tuple(sorted(want.namespaces or ())),
        urls=tuple(sorted(want.urls or ())),
        omit_stages=frozenset(STAGES) - want.stages,
    )


def _grouped(targets: Iterable[Target], names: Texts) -> tuple[GroupResources, ...]:
    groups: dict[str, list[str]] = {}
    for target in targets:
        groups.setdefault(target.group, []).append(target.path)
    only = None if names is None else tuple(sorted(names))
    return tuple(GroupResources(group, tuple(sorted(paths)), only) for group, paths in groups.items())
