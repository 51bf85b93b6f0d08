"""
Requests that every cluster makes all the time: entries with which a policy leaves them out.

A generated policy has such an entry only where no rule could fire for what it leaves out; else it is told which rules
would. Facts: what kubelets, controllers and the API server itself do in a cluster at rest.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.typed import FALSE
from ingest.k8saudit.levels import Level
from lanner.k8s.callers import callers, groups_of
from lanner.k8s.needs import ELSEWHERE, Analysis, Need
from lanner.k8s.policy import Entry, GroupResources, Policy, Request, deciding, matches
from lanner.k8s.resources import METHODS, TARGETS, Target

_Place = tuple[Target | None, str]

_ACCOUNT = "system:serviceaccount:kube-system:"
_CONTROLLERS = (
    "generic-garbage-collector",
    "horizontal-pod-autoscaler",
    "namespace-controller",
    "resourcequota-controller",
)
_READING = ("list", "watch")  # not get, which also opens command streams and reads single secrets


@dataclass(frozen=True, slots=True)
class Noise:
    """
    A kind of noise.

    Attributes:
        what: One sentence.
        entry: The entry that leaves it out.
        users: Who makes it; one user stands for all of a kind.
    """

    what: str
    entry: Entry
    users: tuple[str, ...]


def _out(
    *resources: GroupResources,
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    verbs: Sequence[str] = (),
    urls: Sequence[str] = (),
) -> Entry:
    return Entry(Level.NONE, tuple(users), tuple(groups), tuple(verbs), resources, urls=tuple(urls))


def _some(group: str, *resources: str) -> GroupResources:
    return GroupResources(group, resources)


_NODE = "system:node:any"
_ANY_ACCOUNT = "system:serviceaccount:any:any"

_LEADERS = ("system:kube-controller-manager", "system:kube-scheduler", "system:cloud-controller-manager")
_READERS = ("system:kube-controller-manager", *(_ACCOUNT + name for name in _CONTROLLERS))
_SLICERS = (f"{_ACCOUNT}endpoint-controller", f"{_ACCOUNT}endpointslice-controller")
_PROXIES = ("system:kube-proxy", f"{_ACCOUNT}kube-proxy")
_LANNER = "system:serviceaccount:lanner:lanner"

NOISE: tuple[Noise, ...] = (
    Noise(
        "Kubelets renew their leases and report what they do.",
        _out(
            _some("", "nodes/status", "pods/status"),
            _some("coordination.k8s.io", "leases"),
            groups=["system:nodes"],
            verbs=["get", "update", "patch"],
        ),
        (_NODE,),
    ),
    Noise(
        "Kubelets ask whether those who call them may.",
        _out(
            _some("authentication.k8s.io", "tokenreviews"),
            _some("authorization.k8s.io", "subjectaccessreviews"),
            groups=["system:nodes"],
        ),
        (_NODE,),
    ),
    Noise(
        "Controllers elect their leaders.",
        _out(_some("coordination.k8s.io", "leases"), users=_LEADERS, verbs=["get", "update"]),
        _LEADERS,
    ),
    Noise(
        "Controllers list and watch everything.",
        _out(users=_READERS, verbs=_READING),
        _READERS,
    ),
    Noise(
        "The API server lists and watches its own objects.",
        _out(users=["system:apiserver"], verbs=_READING),
        ("system:apiserver",),
    ),
    Noise(
        "The proxies of the nodes watch services.",
        _out(
            _some("", "endpoints", "nodes", "services"),
            _some("discovery.k8s.io", "endpointslices"),
            _some("networking.k8s.io", "servicecidrs"),
            users=_PROXIES,
            verbs=_READING,
        ),
        _PROXIES,
    ),
    Noise(
        "Controllers keep the endpoints of services.",
        _out(
            _some("", "endpoints"),
            _some("discovery.k8s.io", "endpointslices"),
            users=_SLICERS,
            verbs=["create", "update", "patch"],
        ),
        _SLICERS,
    ),
    Noise(
        "Kubelets and controllers write events, which are kept for an hour anyway.",
        _out(
            _some("", "events"),
            _some("events.k8s.io", "events"),
            groups=["system:nodes", "system:serviceaccounts"],
            verbs=["create", "patch", "update"],
        ),
        (_NODE, _ANY_ACCOUNT),
    ),
    Noise(
        "Lanner itself, where it runs under this name with enrichment.",
        _out(
            _some("", "namespaces", "nodes", "pods", "replicationcontrollers", "serviceaccounts", "services"),
            _some("apps", "deployments", "replicasets"),
            users=[_LANNER],
            verbs=_READING,
        ),
        (_LANNER,),
    ),
    Noise(
        "Everybody asks whether the server lives.",
        _out(urls=["/healthz*", "/livez*", "/readyz*", "/version"]),
        ("system:anonymous", "somebody", _NODE, _ANY_ACCOUNT),
    ),
    Noise(
        "Clients ask which resources there are, and how they look.",
        _out(urls=["/api", "/api/*", "/apis", "/apis/*", "/openapi/*"], groups=["system:authenticated"]),
        ("somebody", _NODE, _ANY_ACCOUNT),
    ),
)
"""All that is known, the most frequent first."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    What leaving out a kind of noise would cost.

    Attributes:
        noise: The noise.
        blinded: Names of the rules that could fire for some of it.
    """

    noise: Noise
    blinded: tuple[str, ...]


def verdicts(policy: Policy, needs: Iterable[Need], analysis: Analysis) -> Iterator[Verdict]:
    """Yield the kinds of noise that a policy would record, with the rules that could fire for it."""
    by_place: dict[_Place, list[Need]] = {}
    for need in needs:
        by_place.setdefault((need.target, need.verb), []).append(need)
    for noise in NOISE:
        requests = list(_requests(noise))
        if any((entry := deciding(policy, request)) and entry.level > Level.NONE for _, request in requests):
            yield Verdict(noise, tuple(sorted(_blinded(requests, by_place, noise, analysis))))


def _requests(noise: Noise) -> Iterator[tuple[_Place, Request]]:
    """Yield requests of each kind that the entry of a noise matches."""
    for user in noise.users:
        for place, request in _all_requests(noise.entry.urls or ("/any",)):
            from_user = replace(request, user=user, groups=groups_of(user))
            if matches(noise.entry, from_user):
                yield place, from_user


def _all_requests(urls: Sequence[str]) -> Iterator[tuple[_Place, Request]]:
    for target in (*TARGETS, ELSEWHERE):
        for verb in target.verbs:
            of_target = Request("", (), verb, target.group, target.resource, target.subresource, "any", "any")
            yield (target, verb), of_target
    for url in urls:
        for path in (url.rstrip("*"), url.replace("*", "/any")):
            for verb in METHODS:
                yield (None, verb), Request(verb=verb, path=path)


def _blinded(
    requests: Iterable[tuple[_Place, Request]], needs: Mapping[_Place, Sequence[Need]], noise: Noise, analysis: Analysis
) -> set[str]:
    """Return the names of rules that could fire for one of the requests, or for one like it of another user."""
    found: set[str] = set()
    users: dict[int, list[str]] = {}
    for place, request in requests:
        for need in needs.get(place, ()):
            if need.rule.name in found:
                continue
            key = id(need.condition)
            if key not in users:
                users[key] = [request.user, *callers(need, analysis)]
            likes = (replace(request, user=user, groups=groups_of(user)) for user in users[key] if user in need.users)
            if any(matches(noise.entry, like) and _could_fire(need, like, analysis) for like in likes):
                found.add(need.rule.name)
    return found


def _could_fire(need: Need, request: Request, analysis: Analysis) -> bool:
    uri = {"uri": request.path} if need.target is None else {}
    return analysis.under(need.condition, user=request.user, **uri) is not FALSE
