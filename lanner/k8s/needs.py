"""
What rules need an API server to record: for each rule the kinds of requests it could fire for, and at which level.

A condition is reduced under what is known of a kind of request (resource, verb, that a body is never there); what is
left tells users, namespaces and stages by the set algebra of ``engine.plan``. Everything that cannot be decided counts
as possible, so a need is never too small; it is too large where a condition asks for what a policy cannot tell apart.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from engine.fields import FieldTable
from engine.generate import value_test
from engine.plan import Allowed, Constraints, Reducer, discriminator
from engine.ruleset import Rule
from engine.typed import FALSE, Checked, FieldValue, Test, operands, walk
from ingest.k8saudit.levels import STAGES, Level, level_of
from lanner.k8s.conditions import Decide, assume, urls
from lanner.k8s.resources import METHODS, TARGETS, Target, groups_of

RESOURCE, SUBRESOURCE, VERB = "ka.target.resource", "ka.target.subresource", "ka.verb"
USER, STAGE, NAMESPACE, NAME, URI = (
    "ka.user.name", "ka.stage", "ka.target.namespace", "ka.target.name", "ka.uri",
)  # fmt: skip

ELSEWHERE = Target("another.example", "things", optional=True)
"""Stands for every resource that is in no table and that no rule names."""

UNKNOWN_GROUP = "?"
"""API group of a resource that a rule names and no table has."""

CREDENTIALS = frozenset({"secrets", "serviceaccounts/token", "tokenreviews"})
"""Resources whose bodies hold credentials; the message of a rule alone is no reason to record these."""

NAMING = frozenset({"get", "update", "patch", "delete"})
"""Verbs of requests whose URL names the object."""

_SILENT = frozenset({"RequestReceived"})
_WRITING = frozenset({"create", "update", "patch"})
_DELETING = frozenset({"delete", "deletecollection"})
_DELETE_OPTIONS = frozenset({
    "apiVersion", "dryRun", "gracePeriodSeconds", "ignoreStoreReadErrorWithClusterBreakingPotential", "kind",
    "orphanDependents", "preconditions", "propagationPolicy",
})  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Need:
    """
    One kind of request that a rule could fire for.

    Attributes:
        rule: The rule.
        target: What the request is for; None for no resource.
        verb: Verb of the request.
        condition: What is left of the rule's condition for such requests.
        level: From which level on the condition is answered as the rule means it.
        shown: From which level on the fields of the message are there too.
        stages: Stages at which it can fire.
        users, namespaces, names: What the condition wants of them.
        urls: Patterns of the URL, for a request for no resource; () for any.
    """

    rule: Rule
    target: Target | None
    verb: str
    condition: Checked
    level: Level
    shown: Level
    stages: frozenset[str]
    users: Allowed
    namespaces: Allowed
    names: Allowed
    urls: tuple[str, ...] = ()

    @property
    def wanted(self) -> Level:
        """The level for condition and message; the message does not count where bodies hold credentials."""
        if self.target is not None and self.target.path in CREDENTIALS:
            return self.level
        return max(self.level, self.shown)


@dataclass(slots=True)
class Analysis:
    """
    Finds the needs of rules for one table of fields.

    Attributes:
        table: The fields of ``k8s_audit``.
    """

    table: FieldTable
    _answers: dict[tuple[int, str], bool] = field(default_factory=dict)
    _levels: dict[int, Level] = field(default_factory=dict)
    _names: dict[int, str | None] = field(default_factory=dict)
    _left: dict[tuple[object, ...], tuple[Checked, Checked]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wider = dict.fromkeys((*self.table.discriminators, VERB, RESOURCE, SUBRESOURCE, STAGE, USER))
        names = (*wider, NAMESPACE, NAME, URI)
        self.table = replace(self.table, discriminators=names)

    def needs(self, rule: Rule) -> list[Need]:
        """Return the kinds of requests that a rule could fire for; none if its condition cannot hold."""
        condition = Reducer(self.table, {}).reduce(rule.condition)
        if condition is FALSE:
            return []
        return [*self._resource_needs(rule, condition), *self._other_needs(rule, condition)]

    def under(self, node: Checked, **known: str | None) -> Checked:
        """Return what is left of a condition for a user, namespace, name or uri (keywords of these names)."""
        key = (id(node), *sorted(known.items()))
        if key not in self._left:
            names = {"user": USER, "namespace": NAMESPACE, "name": NAME, "uri": URI}
            here = self._under(node, {names[word]: value for word, value in known.items()})
            self._left[key] = node, here
        return self._left[key][1]

    def at_level(self, node: Checked, level: Level) -> Checked:
        """Return what is left of a condition when bodies are not recorded above a level."""
        return assume(node, lambda test: False if self._level(test) > level else None)

    def constants(self, node: Checked, name: str) -> set[str]:
        """Return the texts that a condition compares a field with."""
        tests = (test for test in walk(node) if isinstance(test, Test) and discriminator(test, self.table) == name)
        return {value for test in tests for value in test.constants if isinstance(value, str)}

    def _resource_needs(self, rule: Rule, condition: Checked) -> Iterator[Need]:
        resources = Constraints(self.table).allowed(condition, RESOURCE)
        alike: dict[tuple[object, ...], list[Need]] = {}
        for target in (*TARGETS, *self._unknown(condition), ELSEWHERE):
            if target.resource in resources:
                decide = self._target_decider(target)
                key = (self._answers_of(condition, decide), target.verbs, target.streams, target.path in CREDENTIALS)
                if key not in alike:
                    alike[key] = list(self._target_needs(rule, target, assume(condition, decide)))
                yield from (replace(need, target=target) for need in alike[key])

    def _target_needs(self, rule: Rule, target: Target, condition: Checked) -> Iterator[Need]:
        for verb in target.verbs if condition is not FALSE else ():
            left = self._without_bodies(self._under(condition, {VERB: verb}), target, verb)
            if left is not FALSE:
                yield from self._need(rule, target, verb, left)

    def _other_needs(self, rule: Rule, condition: Checked) -> Iterator[Need]:
        """Yield the needs for requests that are for no resource."""
        nothing: dict[str, str | None] = dict.fromkeys((RESOURCE, SUBRESOURCE, NAMESPACE, NAME))
        here = self._without_bodies(self._under(condition, nothing), None, "")
        for verb in METHODS:
            left = self._under(here, {VERB: verb})
            if left is not FALSE:
                yield from self._need(rule, None, verb, left)

    def _target_decider(self, target: Target) -> Decide:
        known: dict[str, str | None] = {RESOURCE: target.resource, SUBRESOURCE: target.subresource or None}
        if target.namespaced is False and target.resource != "namespaces":
            known[NAMESPACE] = None
        by_value, by_uri = self._decider(known), _uri_decider(target, self.table)

        def decide(test: Test) -> bool | None:
            found = by_value(test)
            return by_uri(test) if found is None else found

        return decide

    def _answers_of(self, condition: Checked, decide: Decide) -> tuple[bool | None, ...]:
        return tuple(decide(node) for node in walk(condition) if isinstance(node, Test))

    def _need(self, rule: Rule, target: Target | None, verb: str, condition: Checked) -> Iterator[Need]:
        found = Constraints(self.table)
        users, namespaces, names, stages = (found.allowed(condition, name) for name in (USER, NAMESPACE, NAME, STAGE))
        at = frozenset(stage for stage in STAGES if stage in stages)
        if not at or any(_is_nothing(allowed) for allowed in (users, namespaces, names)):
            return
        found_urls = urls(condition, lambda test: self._name(test) == URI) if target is None else ()
        level = max((self._level(test) for test in walk(condition) if isinstance(test, Test)), default=Level.METADATA)
        shown = _shown(rule, target, verb)
        yield Need(
            rule, target, verb, condition, level, shown, at - _SILENT or at, users, namespaces, names, found_urls or ()
        )

    def _unknown(self, condition: Checked) -> list[Target]:
        """Return the resources that a condition names and no table has, and named subresources of those."""
        named = sorted(name for name in self.constants(condition, RESOURCE) if not groups_of(name))
        return [Target(UNKNOWN_GROUP, name, optional=True) for name in named]

    def _under(self, node: Checked, known: dict[str, str | None]) -> Checked:
        return assume(node, self._decider(known))

    def _decider(self, known: dict[str, str | None]) -> Decide:
        def decide(test: Test) -> bool | None:
            name = self._name(test)
            if name is None or name not in known:
                return None
            value = known[name]
            return False if value is None else self._answer(test, value)

        return decide

    def _name(self, test: Test) -> str | None:
        """Return the field that a comparison with constants is about, None for others."""
        if id(test) not in self._names:
            self._names[id(test)] = None if test.right is not None else discriminator(test, self.table)
        return self._names[id(test)]

    def _answer(self, test: Test, value: str) -> bool:
        key = (id(test), value)
        if key not in self._answers:
            self._answers[key] = test.op == "exists" or value_test(test)(value)
        return self._answers[key]

    def _without_bodies(self, node: Checked, target: Target | None, verb: str) -> Checked:
        """Replace comparisons with what requests of this kind never have in their bodies."""

        def decide(test: Test) -> bool | None:
            if self._level(test) == Level.METADATA:
                return None
            return False if any(_never_there(value, target, verb) for value in _fields(test)) else None

        return assume(node, decide)

    def _level(self, test: Test) -> Level:
        if id(test) not in self._levels:
            self._levels[id(test)] = _highest(_fields(test))
        return self._levels[id(test)]


def _fields(test: Test) -> Iterator[FieldValue]:
    yield from operands(test.left)
    if test.right is not None:
        yield from operands(test.right)


def _shown(rule: Rule, target: Target | None, verb: str) -> Level:
    """Return the level at which the message of a rule is as full as it can be."""
    templates = (rule.output, *(template for _, template in rule.extra_fields))
    values = (value for template in templates for token in template.tokens for value in operands(token.value))
    return _highest(value for value in values if not _never_there(value, target, verb))


def _highest(values: Iterable[FieldValue]) -> Level:
    return max(map(level_of, values), default=Level.METADATA)


def _never_there(value: FieldValue, target: Target | None, verb: str) -> bool:
    """Tell whether a field of a body is absent from all requests of a kind, whatever the level."""
    level = level_of(value)
    if level == Level.METADATA:
        return False
    if target is None or target.streams:
        return True
    if level == Level.REQUEST_RESPONSE:
        return verb == "watch"
    if verb in _DELETING:
        path = value.path or ()
        return len(path) != 1 and (len(path) < 1 or path[1] not in _DELETE_OPTIONS)
    return verb not in _WRITING


def _is_nothing(allowed: Allowed) -> bool:
    return not allowed.negative and not allowed.values


def _uri_decider(target: Target, table: FieldTable) -> Decide:
    """Decide comparisons of the URI that no request for a resource can pass, from how such URIs begin."""
    beginning = f"/apis/{target.group}/" if target.group else "/api/v1/"
    if target.group in (UNKNOWN_GROUP, ELSEWHERE.group):
        beginning = "/apis/"

    def decide(test: Test) -> bool | None:
        if discriminator(test, table) != URI or test.op not in ("=", "in", "startswith") or test.right is not None:
            return None
        texts = [text for text in test.constants if isinstance(text, str)]
        whole = test.op != "startswith"
        possible = any(text.startswith(beginning) or (not whole and beginning.startswith(text)) for text in texts)
        return None if possible else False

    return decide


def named(allowed: Allowed) -> tuple[str, ...] | None:
    """Return the values that a set is made of, None when it cannot be written as a list."""
    if allowed.negative or None in allowed.values:
        return None
    return tuple(sorted(value for value in allowed.values if value is not None))


def namespaces_of(need: Need) -> tuple[str, ...] | None:
    """Return the namespaces as a policy writes them, "" for a request outside of namespaces; None for any."""
    if need.target is None or need.namespaces.negative:
        return None
    return tuple(sorted(value or "" for value in need.namespaces.values))


def names_of(need: Need) -> tuple[str, ...] | None:
    """Return the names of objects that a policy can ask for; it does not see the name of one that is created."""
    return named(need.names) if need.verb in NAMING else None
