"""What a generated policy records is enough for every rule, and nothing could be left away."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.k8saudit.levels import STAGES, Level
from ingest.k8saudit.record import SOURCE
from ingest.k8saudit.shapes import decode
from lanner.k8s.check import State
from lanner.k8s.needs import CREDENTIALS, NAMING
from lanner.k8s.noise import NOISE, Verdict, verdicts
from lanner.k8s.policy import Entry, GroupResources, Policy, deciding, read
from lanner.k8s.resources import TARGETS, Target, groups_of
from lanner.k8s.write import policy_text
from lanner.ruletest import TestFile, find, merged
from lanner.ruletest import read as read_tests
from tests.lanner.k8s.auditing import (
    Record,
    analysis,
    checked,
    falco,
    fired,
    loaded,
    made_for,
    matches,
    needs_of,
    policy_for,
    policy_of,
    recorded,
    request_of,
    rule_text,
    rules_of,
    shipped,
)
from tests.shared import SHARED, needs_shared

NEVER_FIRING = {
    "Create Disallowed Pod",
    "All K8s Audit Events",
    "Full K8s Administrative Access",
    "Untrusted Node Successfully Joined the Cluster",
    "Untrusted Node Unsuccessfully Tried to Join the Cluster",
}


def realistic(record: Record) -> Record:
    """Give a made-up event the API group that its resource has."""
    target = record.get("objectRef") or {}
    groups = groups_of(target.get("resource", ""))
    if not groups or target.get("apiGroup", "") in groups:
        return record
    return merged(record, {"objectRef": {"apiGroup": groups[0]}})


def audit_tests() -> list[TestFile]:
    files = map(read_tests, find([]))
    return [file for file in files if any(test.source == SOURCE for test in file.tests)]


def firing_cases() -> Iterator[tuple[str, str, Record]]:
    """Yield rule, further rule items and event of every case in which a shipped rule has to fire."""
    for file in audit_tests():
        for test in file.tests:
            yield from ((test.rule, test.given, realistic(case.record)) for case in test.cases if case.fires)


def test_every_event_for_which_a_shipped_rule_fires_is_recorded_so_that_it_does() -> None:
    tried, lost = set(), []
    enabled = {rule.name for rule in rules_of(loaded(*shipped()))}
    for rule, more, record in firing_cases():
        texts = (*shipped(), more) if more else shipped()
        if rule in enabled:
            tried.add(rule)
            if rule not in fired(recorded(record, policy_of(*texts)), *texts):
                lost.append((rule, request_of(record)))
    assert lost == []
    assert tried == enabled


def test_the_message_is_as_full_as_with_everything_recorded_but_where_bodies_hold_credentials() -> None:
    different = []
    for rule, more, record in firing_cases():
        texts = (*shipped(), more) if more else shipped()
        kept = recorded(record, policy_of(*texts))
        if kept is None or request_of(record).resource in {path.partition("/")[0] for path in CREDENTIALS}:
            continue
        told = {match.rule.name: match.rule.output.render(match.event) for match in matches(kept, *texts)}
        full = {match.rule.name: match.rule.output.render(match.event) for match in matches(record, *texts)}
        if told.get(rule) != full.get(rule):
            different.append((rule, told.get(rule), full.get(rule)))
    assert different == []


def real_events() -> Iterator[Record]:
    assert SHARED is not None
    files = [*(SHARED / "k8saudit" / "falco").iterdir(), SHARED / "k8saudit" / "audit2rbac-demo.jsonl"]
    for file in files:
        yield from (event.record for event in decode(file.read_bytes(), file.name).events)


def events_for_falco() -> Iterator[Record]:
    yield from real_events()
    for file in audit_tests():
        yield from (realistic(case.record) for test in file.tests for case in test.cases)
    base: Record = {
        "auditID": "a",
        "stage": "ResponseComplete",
        "stageTimestamp": "2026-01-02T03:04:05.000006Z",
        "user": {"username": "maria"},
        "responseStatus": {"code": 201},
    }
    rbac = {"apiGroup": "rbac.authorization.k8s.io", "namespace": "shop", "name": "x"}
    yield base | {"verb": "create", "objectRef": {"resource": "pods"}, "requestObject": {"spec": {"hostIPC": True}}}
    yield base | {"verb": "create", "objectRef": {**rbac, "resource": "roles"}}
    yield base | {"verb": "delete", "objectRef": {**rbac, "resource": "rolebindings"}}


@needs_shared
def test_every_event_for_which_one_of_falcos_rules_fires_is_recorded_so_that_it_does() -> None:
    under = policy_of(*falco())
    tried, lost = set(), []
    for record in events_for_falco():
        before = fired(record, *falco())
        tried |= before
        if before - fired(recorded(record, under), *falco()):
            lost.append((before, request_of(record)))
    assert lost == []
    every = {rule.name for rule in rules_of(loaded(*falco()))}
    assert len(every) == 48
    assert every - tried == NEVER_FIRING


@needs_shared
def test_no_rule_misses_anything_under_the_policy_made_for_it() -> None:
    for texts in (shipped(), falco()):
        rules = rules_of(loaded(*texts))
        states = {result.rule.name: result.state for result in checked(policy_of(*texts), rules).values()}
        assert {name for name, state in states.items() if state not in (State.FULL, State.NEVER)} == set()


def weaker(policy: Policy) -> Iterator[tuple[Entry, Policy]]:
    """Yield a policy with each of its recording entries one level lower, and without it."""
    for at, entry in enumerate(policy.entries):
        if entry.level > Level.NONE:
            before, after = policy.entries[:at], policy.entries[at + 1 :]
            lower = replace(entry, level=Level(entry.level - 1))
            yield entry, replace(policy, entries=(*before, lower, *after))
            yield entry, replace(policy, entries=(*before, *after))


def test_no_entry_can_go_or_record_less() -> None:
    texts = (
        rule_text("ka.verb = create and ka.target.resource = pods and ka.req.pod.host_network = true", "Body"),
        rule_text("ka.verb = delete and ka.target.resource in (deployments, events)", "Two groups"),
        rule_text("ka.target.resource = configmaps and ka.target.namespace = kube-system", "Namespace"),
        rule_text(
            "ka.verb in (update, patch) and ka.target.name = aws-auth and ka.target.resource = configmaps", "Name"
        ),
        rule_text("ka.user.name = system:anonymous and ka.target.resource = secrets", "User"),
        rule_text("ka.uri startswith /debug/ and not ka.target.resource exists", "URL"),
    )
    rules = rules_of(loaded(*texts))
    under = policy_of(*texts)

    useless = [
        entry
        for entry, less in weaker(under)
        if all(result.state is State.FULL for result in checked(less, rules).values())
    ]

    assert len(under.entries) == 6
    assert useless == []


@needs_shared
def test_no_entry_for_falcos_rules_can_go_or_record_less() -> None:
    rules = rules_of(loaded(*falco()))

    useless = [
        entry
        for entry, less in weaker(policy_of(*falco()))
        if all(result.state in (State.FULL, State.NEVER) for result in checked(less, rules).values())
    ]

    assert useless == []


def entry_for(*conditions: str, output: str = "x") -> list[Entry]:
    texts = [rule_text(condition, f"R{at}", output) for at, condition in enumerate(conditions)]
    return list(policy_of(*texts).entries)


def some(group: str, *resources: str, names: tuple[str, ...] | None = None) -> GroupResources:
    return GroupResources(group, resources, names)


LATER = frozenset({"RequestReceived"})
COMPLETE = frozenset({"RequestReceived", "ResponseStarted"})


def test_resources_are_in_their_groups() -> None:
    (entry,) = entry_for(
        "ka.verb = create and ka.target.resource in (pods, deployments, roles, events)"
        " and not ka.target.subresource exists"
    )

    assert entry.resources == (
        some("", "events", "pods"),
        some("apps", "deployments"),
        some("events.k8s.io", "events"),
        some("rbac.authorization.k8s.io", "roles"),
    )
    assert (entry.level, entry.verbs, entry.omit_stages) == (Level.METADATA, ("create",), LATER)


def test_a_subresource_is_not_its_resource() -> None:
    (alone,) = entry_for("ka.target.resource = pods and not ka.target.subresource exists")
    (below,) = entry_for("ka.target.resource = pods and ka.target.subresource in (exec, attach)")

    assert alone.resources == (some("", "pods"),)
    assert below.resources == (some("", "pods/attach", "pods/exec"),)
    assert alone.verbs == below.verbs == ()


def test_a_condition_is_read_per_resource_and_verb() -> None:
    entries = entry_for(
        "(ka.target.resource = secrets and ka.verb = get)"
        " or (ka.target.resource = services and ka.verb = create and ka.req.service.type = NodePort)"
        " or (ka.target.resource = services and ka.verb = delete)"
    )

    assert [(e.level, e.verbs, e.resources) for e in entries if e.verbs != ("delete",)] == [
        (Level.REQUEST, ("create",), (some("", "services"),)),
        (Level.METADATA, ("get",), (some("", "secrets"),)),
    ]


def test_bodies_that_are_never_there_ask_for_no_level() -> None:
    for condition in (
        "ka.target.resource = pods and ka.target.subresource = exec and not ka.req.pod.host_network = true",
        "ka.target.resource = pods and ka.verb in (get, watch, delete) and not ka.req.pod.host_network = true",
    ):
        assert {entry.level for entry in entry_for(condition)} == {Level.METADATA}
    assert entry_for("ka.target.resource = pods and ka.verb = get and ka.req.pod.host_network = true") == []


def test_options_of_a_deletion_are_a_body() -> None:
    condition = (
        "ka.verb = delete and ka.target.resource = pods and jevt.value[/requestObject/propagationPolicy] = Orphan"
    )

    assert [entry.level for entry in entry_for(condition)] == [Level.REQUEST]


def test_the_message_raises_the_level_but_not_where_bodies_hold_credentials() -> None:
    output = "x %jevt.value[/requestObject/metadata] %ka.resp.name"

    assert entry_for("ka.target.resource = pods and ka.verb = create", output=output)[0].level == Level.REQUEST_RESPONSE
    assert entry_for("ka.target.resource = secrets and ka.verb = create", output=output)[0].level == Level.METADATA
    condition = "ka.target.resource = secrets and ka.verb = create and jevt.value[/requestObject/type] = Opaque"
    assert entry_for(condition, output=output)[0].level == Level.REQUEST


def test_bodies_with_credentials_are_not_recorded_along_with_everything_else_for_a_message() -> None:
    entries = entry_for("ka.useragent contains hunter", output="x %jevt.value[/requestObject/spec]")

    guards = [entry for entry in entries if entry.resources]
    bodies = next(entry for entry in entries if entry.level == Level.REQUEST)
    assert {path for entry in guards for listed in entry.resources for path in listed.resources or ()} == CREDENTIALS
    assert {entry.level for entry in guards} == {Level.METADATA}
    assert (bodies.verbs, bodies.resources) == (("create", "update", "patch"), ())
    assert all(entries.index(guard) < entries.index(bodies) for guard in guards)


def test_bodies_with_credentials_are_recorded_where_a_condition_looks_into_all_bodies() -> None:
    entries = entry_for("ka.verb = create and jevt.value[/requestObject/spec] contains hunter")

    assert [(entry.level, entry.resources) for entry in entries if entry.level > Level.NONE] == [(Level.REQUEST, ())]


@pytest.mark.parametrize(
    ("condition", "url"),
    [
        ("ka.uri = /configz", "/configz"),
        ("ka.uri startswith /debug", "/debug*"),
        ("ka.uri startswith /healthz?", "/healthz"),
        ("ka.uri startswith /a*b", "/a*"),
        ("ka.uri startswith /a%2Fb", "/a*"),
    ],
)
def test_a_uri_becomes_a_pattern_of_its_path(condition: str, url: str) -> None:
    (entry,) = entry_for(f"{condition} and not ka.target.resource exists")

    assert entry.urls == (url,)
    read(policy_text(made_for(rules_of(loaded(rule_text(condition)))), [], ["R"], []), "made.yaml")


def test_a_stage_is_recorded_that_a_rule_asks_for() -> None:
    started = "ka.target.resource = pods and ka.target.subresource = exec and ka.stage = ResponseStarted"
    received = "ka.target.resource = secrets and ka.stage = RequestReceived"

    assert entry_for(started)[0].omit_stages == {"RequestReceived", "ResponseComplete"}
    assert entry_for(received)[0].omit_stages == {"ResponseStarted", "ResponseComplete"}
    assert entry_for("ka.target.resource = secrets")[0].omit_stages == LATER


def test_an_entry_has_the_stages_of_all_that_it_decides_over() -> None:
    entries = entry_for(
        "ka.target.resource = pods and ka.verb = create and ka.req.pod.host_pid = true and ka.stage = ResponseComplete",
        "ka.stage = ResponseStarted",
    )

    assert [(entry.level, entry.omit_stages) for entry in entries] == [
        (Level.REQUEST, LATER),
        (Level.METADATA, frozenset({"RequestReceived", "ResponseComplete"})),
    ]


def test_users_namespaces_and_names_narrow_an_entry() -> None:
    (entry,) = entry_for(
        "ka.target.resource = configmaps and ka.verb in (update, delete) and ka.user.name in (eve, mallory)"
        " and ka.target.namespace = kube-system and ka.target.name = aws-auth"
    )

    assert entry.users == ("eve", "mallory")
    assert entry.namespaces == ("kube-system",)
    assert entry.resources == (some("", "configmaps", names=("aws-auth",)),)


def test_the_name_of_what_is_created_is_no_part_of_the_request() -> None:
    entries = entry_for("ka.target.resource = configmaps and ka.verb in (create, patch) and ka.target.name = aws-auth")

    assert {entry.verbs: entry.resources[0].resource_names for entry in entries} == {
        ("create",): None,
        ("patch",): ("aws-auth",),
    }


def test_a_request_outside_of_namespaces_has_the_empty_one() -> None:
    (entry,) = entry_for("ka.target.resource = secrets and ka.verb = list and not ka.target.namespace exists")

    assert entry.namespaces == ("",)


def test_what_is_excluded_narrows_nothing() -> None:
    (entry,) = entry_for("ka.target.resource = secrets and not ka.user.name = me and ka.target.namespace != a")

    assert (entry.users, entry.namespaces) == ((), ())


def test_urls_are_recorded_without_everything_else() -> None:
    entries = entry_for("(ka.uri startswith /debug/pprof or ka.uri = /configz) and ka.stage = ResponseComplete")

    assert entries == [Entry(Level.METADATA, urls=("/configz", "/debug/pprof*"), omit_stages=COMPLETE)]


def test_a_rule_about_everything_makes_an_entry_about_everything() -> None:
    assert entry_for("ka.useragent contains hunter") == [Entry(Level.METADATA, omit_stages=LATER)]
    assert entry_for("ka.target.resource exists and ka.useragent contains hunter") == [
        Entry(Level.NONE, urls=("*",)),
        Entry(Level.METADATA, omit_stages=LATER),
    ]


def test_a_resource_of_unknown_group_makes_an_entry_that_names_none_and_says_so() -> None:
    rules = rules_of(loaded(rule_text("ka.target.resource in (widgets, pods) and ka.verb = delete", "W")))
    made = made_for(rules)

    assert [(because.entry.verbs, because.entry.resources, because.unknown) for because in made][-1] == (
        ("delete",),
        (),
        ("widgets",),
    )
    assert "nothing is known of the API group of widgets" in policy_text(made, [], ["W"], [])


def test_rules_that_cannot_hold_need_nothing() -> None:
    for condition in ("ka.verb = get and ka.verb = list", "jevt.rawtime = 0", "ka.stage = Nowhere"):
        assert entry_for(condition) == []


# The text -----------------------------------------------------------------------------------------------------------


def written(*texts: str) -> tuple[str, Policy, list[Verdict]]:
    rules = rules_of(loaded(*texts))
    needs, made = needs_of(rules), made_for(rules)
    noise = list(verdicts(Policy("", tuple(because.entry for because in made)), needs, analysis()))
    text = policy_text(made, noise, [rule.name for rule in rules], [])
    return text, read(text, "made.yaml"), noise


def test_the_text_is_the_policy() -> None:
    text, policy, noise = written(*shipped())

    active = [verdict.noise.entry for verdict in noise if not verdict.blinded]
    planned = [*active, *policy_of(*shipped()).entries]
    assert [replace(entry, line=0) for entry in policy.entries] == [
        replace(entry, omit_stages=entry.omit_stages | policy.omit_stages) for entry in planned
    ]
    assert "# For " in text


def test_every_entry_names_the_rules_that_need_it() -> None:
    text, _, _ = written(
        rule_text("ka.target.resource = pods and ka.verb = create", "Pods made"),
        rule_text("ka.target.resource = secrets and ka.verb = get", "Secrets read"),
    )

    assert "# For Pods made.\n  - level: Metadata\n    verbs: [create]" in text
    assert "# For Secrets read.\n  - level: Metadata\n    verbs: [get]" in text


def test_bodies_with_credentials_are_warned_of() -> None:
    text, _, _ = written(rule_text("ka.target.resource = secrets and jevt.value[/requestObject/type] = Opaque"))

    assert "Mind that bodies of secrets hold credentials" in " ".join(text.replace("#", "").split())


def test_without_rules_for_the_audit_nothing_is_recorded() -> None:
    _, policy, _ = written(rule_text("evt.type = open").replace("k8s_audit", "syscall").replace("%ka.verb", ""))

    assert [entry.level for entry in policy.entries] == [Level.NONE]


def test_noise_is_left_out_only_where_no_rule_could_fire_for_it() -> None:
    quiet, policy, noise = written(rule_text("not ka.user.name startswith system: and ka.target.resource exists"))
    loud, _, known = written(rule_text("ka.useragent contains hunter", "Hunter"))

    assert {verdict.blinded for verdict in noise} == {()}
    assert policy.entries[0].groups == ("system:nodes",)
    assert {verdict.blinded for verdict in known} == {("Hunter",)}
    assert quiet.count("- level: None") == len(noise) + 1  # and one for requests that are for no resource
    assert loud.count("  #- level: None") == len(known) == len(NOISE)
    assert "and blind: Hunter." in loud


def test_noise_that_would_not_be_recorded_anyway_is_not_spoken_of() -> None:
    _, policy, noise = written(rule_text("ka.target.resource = pods and ka.target.subresource = exec"))

    assert noise == []
    assert len(policy.entries) == 1


def test_a_rule_about_one_node_keeps_the_noise_of_nodes() -> None:
    _, _, noise = written(rule_text("ka.user.name startswith system:node:gpu- and ka.target.resource = leases", "Node"))

    assert [verdict.blinded for verdict in noise if verdict.noise is NOISE[0]] == [("Node",)]


# Any rule, any event ------------------------------------------------------------------------------------------------

ATOMS = (
    "ka.verb = create",
    "ka.verb in (get, list, watch)",
    "ka.verb != delete",
    "evt.action = patch",
    "ka.target.resource = pods",
    "ka.target.resource in (secrets, deployments, roles)",
    "ka.target.resource exists",
    "jevt.value[/objectRef/resource] = nodes",
    "ka.target.subresource exists",
    "ka.target.subresource in (exec, status)",
    "ka.user.name = system:anonymous",
    "ka.user.name in (eve, mallory)",
    "ka.user.name startswith system:",
    "ka.user.groups intersects (devs)",
    "ka.target.namespace = kube-system",
    "ka.target.namespace exists",
    "ka.target.name = x",
    "ka.target.name startswith x",
    "jevt.value[/stage] = ResponseComplete",
    "ka.stage = ResponseStarted",
    "ka.stage = RequestReceived",
    "ka.uri startswith /debug",
    "ka.uri = /healthz",
    "ka.uri startswith /api/v1/namespaces",
    "ka.useragent contains hunter",
    "ka.response.code = 201",
    "ka.req.pod.host_network = true",
    "jevt.value[/requestObject/spec] exists",
    "ka.resp.name startswith x",
    "tolower(ka.verb) = create",
)
CONDITIONS = st.recursive(
    st.sampled_from(ATOMS),
    lambda below: st.one_of(
        st.tuples(below, below).map(lambda pair: f"({pair[0]} and {pair[1]})"),
        st.tuples(below, below).map(lambda pair: f"({pair[0]} or {pair[1]})"),
        below.map(lambda one: f"not ({one})"),
    ),
    max_leaves=6,
)
NAMES = ("pods", "secrets", "deployments", "roles", "nodes", "configmaps", "namespaces")
COMMON = [target for target in TARGETS if target.resource in NAMES and not target.optional]
USERS = {
    "eve": ["system:authenticated"],
    "mallory": ["devs", "system:authenticated"],
    "system:anonymous": ["system:unauthenticated"],
    "system:node:a": ["system:nodes", "system:authenticated"],
}


@st.composite
def events(draw: st.DrawFn) -> Record:
    """Events as an API server writes them: what it cannot see when the request comes is not in the request."""
    user = draw(st.sampled_from(sorted(USERS)))
    event: Record = {
        "auditID": "a",
        "stage": draw(st.sampled_from(STAGES)),
        "stageTimestamp": "2026-01-02T03:04:05.000006Z",
        "user": {"username": user, "groups": USERS[user]},
        "userAgent": draw(st.sampled_from(["kubectl", "kube-hunter"])),
        "responseStatus": {"code": draw(st.sampled_from([200, 201, 403]))},
    }
    if draw(st.integers(0, 5)) == 0:
        path = draw(st.sampled_from(["/healthz", "/debug/pprof/heap", "/version"]))
        return event | {"verb": draw(st.sampled_from(["get", "post"])), "requestURI": f"{path}?timeout=1s"}
    return event | draw(requests_for(draw(st.sampled_from(COMMON))))


@st.composite
def requests_for(draw: st.DrawFn, target: Target) -> Record:
    verb = draw(st.sampled_from(target.verbs))
    namespace = draw(st.sampled_from(["kube-system", "a", None])) if target.namespaced else None
    name = draw(st.sampled_from(["x", "x1", "y"])) if verb in NAMING or verb == "create" else None
    root = f"/apis/{target.group}/v1" if target.group else "/api/v1"
    reference: dict[str, Any] = {"resource": target.resource, "apiGroup": target.group, "name": name}
    reference |= {"subresource": target.subresource or None, "namespace": namespace}
    found: Record = {
        "verb": verb,
        "requestURI": f"{root}/{f'namespaces/{namespace}/' if namespace else ''}{target.path}",
        "objectRef": {key: value for key, value in reference.items() if value},
    }
    if verb in ("create", "update", "patch") and not target.streams and draw(st.booleans()):
        found["requestObject"] = {"spec": {"hostNetwork": draw(st.booleans())}}
    if verb != "watch" and not target.streams and draw(st.booleans()):
        found["responseObject"] = {"metadata": {"name": draw(st.sampled_from(["x1", "y"]))}}
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(CONDITIONS, min_size=1, max_size=3), st.lists(events(), min_size=1, max_size=12))
def test_for_any_rules_and_any_event_the_policy_records_what_fires(conditions: list[str], some: list[Record]) -> None:
    texts = tuple(rule_text(condition, f"R{at}") for at, condition in enumerate(conditions))
    under = policy_for(rules_of(loaded.__wrapped__(*texts)))
    for record in some:
        entry = deciding(under, request_of(record))
        if record["stage"] == "RequestReceived" and not (entry and "RequestReceived" not in entry.omit_stages):
            continue  # the same rule sees a later stage of the request
        assert fired(record, *texts) <= fired(recorded(record, under), *texts)
