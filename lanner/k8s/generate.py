"""
The smallest audit policy under which rules can fire.

Each need of a rule becomes a want for one resource and verb. Wants that another one covers go, equal ones share an
entry, and entries stand in order of their level: since the first entry that matches decides, no request is recorded
at less than some rule wants of it. Rules about all resources end as entries that name none.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ingest.k8saudit.levels import STAGES, Level
from lanner.k8s.needs import ELSEWHERE, UNKNOWN_GROUP, Need, named, names_of, namespaces_of
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
    special = {place: _kept(wants, sweeps, place) for place, wants in plan.places.items() if place[0] != ELSEWHERE}
    about_urls = list(_for_urls(special, wide))
    about_resources = list(_for_resources(special))
    silenced = [Because(Entry(Level.NONE, urls=(ANY,)))] if _records_urls_in_vain(plan.places, wide) else []
    ordered = sorted((*about_resources, *wide), key=lambda because: -because.entry.level)  # stable: wide ones last
    return [*about_urls, *silenced, *ordered]


def _widen_sweeps(sweeps: dict[str, Wants], places: Mapping[_Place, Wants]) -> None:
    """Give a sweeping want the stages of lesser ones that it stands before."""
    for verb, wants in sweeps.items():
        for want in list(wants):
            below = [
                other for (_, v), found in places.items() if v == verb for other in found if other.level < want.level
            ]
            wider = replace(want, stages=want.stages.union(*(other.stages for other in below)))
            wants[wider] = wants.pop(want) | wants.get(wider, frozenset())
        sweeps[verb] = _undominated(wants)


def _kept(wants: Wants, sweeps: Mapping[str, Wants], place: _Place) -> Wants:
    """Return the wants of a place that need an entry of their own."""
    target, verb = place
    sweeping = sweeps.get(verb, {})
    left = {want: rules for want, rules in wants.items() if not any(wide.covers(want) for wide in sweeping)}
    if target is None or not left:
        return left
    stages = frozenset().union(*(want.stages for want in (*left, *sweeping)))
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


def _records_urls_in_vain(places: Mapping[_Place, Wants], wide: Sequence[Because]) -> bool:
    """Tell whether requests for no resource would be recorded that no rule wants."""
    wanted = [want for (target, _), wants in places.items() if target is None for want in wants]
    return bool(wide) and all(want.urls is not None for want in wanted)


def _for_urls(special: Mapping[_Place, Wants], wide: Sequence[Because]) -> Iterator[Because]:
    """Yield the entries for requests that are for no resource, unless a sweeping entry has them anyway."""
    found: dict[tuple[Level, frozenset[str], Texts, Texts], tuple[set[str], set[str]]] = {}
    for (target, verb), wants in special.items():
        for want, names in wants.items() if target is None else ():
            if any(_takes_in(because.entry, want) for because in wide):
                continue
            verbs, rules = found.setdefault((want.level, want.stages, want.users, want.urls), (set(), set()))
            verbs.add(verb)
            rules.update(names)
    for (level, stages, users, urls), (_, rules) in found.items():
        want = Want(level, stages, users, None, None, urls if urls is not None else frozenset({ANY}))
        yield Because(_entry(want, ()), tuple(sorted(rules)))


def _takes_in(entry: Entry, want: Want) -> bool:
    wide_enough = not (entry.verbs or entry.resources or entry.namespaces) and entry.level >= want.level
    same_users = not entry.users or (want.users is not None and want.users <= set(entry.users))
    return wide_enough and same_users and not entry.omit_stages & want.stages


def _for_resources(special: Mapping[_Place, Wants]) -> Iterator[Because]:
    shared: dict[tuple[Want, tuple[str, ...]], dict[Target, frozenset[str]]] = {}
    for (target, want), (verbs, rules) in _by_target(special).items():
        all_verbs = () if len(verbs) == len(target.verbs) else tuple(verbs)
        shared.setdefault((want, all_verbs), {})[target] = rules
    for (want, some), targets in shared.items():
        entry = replace(_entry(want, some), resources=_grouped(targets, want.names))
        yield Because(entry, tuple(sorted(frozenset().union(*targets.values()))))


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
