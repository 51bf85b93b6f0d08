"""What a policy hides from rules is found, with the line that decides it."""

import pytest

from lanner.k8s.check import Result, State
from lanner.k8s.misplaced import misplaced
from lanner.k8s.policy import Policy
from lanner.k8s.report import report
from tests.lanner.k8s.auditing import HEADER, checked, falco, loaded, policy, policy_of, rule_text, rules_of, shipped
from tests.shared import needs_shared

# A policy with the mistakes that policies in use have: deployments under the core group, roles left out beside cluster
# roles, a group that is gone, and exclusions for one name, one user and discovery.
COMMON_MISTAKES = """\
- level: RequestResponse
  resources: [{group: "", resources: [pods, deployments]}]
- level: RequestResponse
  resources: [{group: rbac.authorization.k8s.io, resources: [clusterroles, clusterrolebindings]}]
- level: None
  resources: [{group: "", resources: [configmaps], resourceNames: [leader]}]
- level: None
  users: ["system:kube-proxy"]
  verbs: [watch]
  resources: [{group: "", resources: [endpoints, services]}]
- level: None
  userGroups: ["system:authenticated"]
  nonResourceURLs: ["/api*"]
- level: Metadata
  resources: [{group: "", resources: [secrets]}]
- level: Request
  resources: [{group: ""}, {group: extensions}]
- level: Metadata
"""
LINES = {"pods": 5, "rbac": 7, "leader": 9, "proxy": 11, "api": 15, "secrets": 18, "core": 20, "rest": 22}
RECEIVED = "omitStages: [RequestReceived]\n"


def mistaken() -> Policy:
    return policy(COMMON_MISTAKES, RECEIVED)


def lines(result: Result) -> set[int]:
    return {loss.entry.line if loss.entry else 0 for loss in result.losses}


def one(rules: str, condition: str, output: str = "x") -> Result:
    text = rule_text(condition, output=output)
    return checked(policy(rules), rules_of(loaded(text)))["R"]


def test_the_lines_are_those_of_the_file() -> None:
    text = (HEADER + RECEIVED + "rules:\n" + COMMON_MISTAKES).splitlines()

    assert [number for number, line in enumerate(text, 1) if line.startswith("- level")] == list(LINES.values())


@needs_shared
def test_rules_about_roles_are_blind_where_only_cluster_roles_are_recorded_with_their_bodies() -> None:
    results = checked(mistaken(), rules_of(loaded(*falco())))

    blind = {name for name, result in results.items() if result.state is State.BLIND}
    assert blind == {
        "ClusterRole With Wildcard Created",
        "ClusterRole With Write Privileges Created",
        "ClusterRole With Pod Exec Created",
        "Ingress Object without TLS Certificate Created",
    }
    assert {line for name in blind for line in lines(results[name])} == {LINES["rest"]}
    assert results["Attach to cluster-admin Role"].state is State.FULL
    assert {results[name].state for name in ("K8s Role Created", "K8s RoleBinding Created")} == {State.THIN}


def test_rules_about_workloads_are_blind_where_these_are_listed_under_the_core_group() -> None:
    results = checked(mistaken(), rules_of(loaded(*shipped())))

    result = results["Privileged container started"]
    lost = {str(loss.need.target) for loss in result.losses}
    assert result.state is State.BLIND
    assert {"deployments.apps", "daemonsets.apps", "cronjobs.batch"} <= lost
    assert "pods" not in lost
    assert lines(result) == {LINES["rest"]}
    assert results["Lasting token made for a service account"].state is State.DEAD
    assert lines(results["Lasting token made for a service account"]) == {LINES["secrets"]}


def test_what_is_listed_in_vain_is_told_with_where_it_belongs() -> None:
    found = {(one.line, one.advice) for one in misplaced(mistaken())}

    assert found == {
        (LINES["pods"], "deployments is no resource of the core group: it is in apps"),
        (LINES["core"], "no API server serves the group extensions any more"),
    }


@pytest.mark.parametrize(
    ("listed", "advice"),
    [
        ('{group: "", resources: [pod]}', "the core group has no pod; did you mean pods?"),
        ('{group: "", resources: [pods/exce]}', "the core group has no pods/exce; did you mean pods/exec?"),
        ("{group: apps, resources: [jobs]}", "jobs is no resource of apps: it is in batch"),
        ('{group: "*", resources: [whatever]}', "an API server older than 1.36 refuses to start"),
        ("{group: extensions, resources: [ingresses]}", "ingresses is no resource of extensions: it is in networking"),
    ],
)
def test_advice_for_a_misplaced_resource(listed: str, advice: str) -> None:
    (found,) = misplaced(policy(f"- level: Metadata\n  resources: [{listed}]\n"))

    assert found.advice.startswith(advice)


@pytest.mark.parametrize(
    "listed",
    [
        '{group: "", resources: ["*", "*/status", "pods/*", secrets]}',
        "{group: example.com, resources: [widgets]}",
        "{group: kyverno.io, resources: [clusterpolicies, somethingnew]}",
        '{group: "", resourceNames: [x], resources: [configmaps]}',
    ],
)
def test_nothing_is_said_of_what_is_right_or_somebodys_own(listed: str) -> None:
    assert list(misplaced(policy(f"- level: Metadata\n  resources: [{listed}]\n"))) == []


POD_BODY = (
    "ka.verb = create and ka.target.resource = pods and not ka.target.subresource exists and ka.req.pod.host_pid = true"
)
METADATA = '- level: Metadata\n  resources: [{group: "", resources: [pods]}]\n'


def test_a_rule_about_a_body_that_is_not_recorded_is_dead() -> None:
    result = one(METADATA, POD_BODY)

    assert result.state is State.DEAD
    assert [(loss.got.label, loss.wanted.label, loss.unseen) for loss in result.losses] == [
        ("Metadata", "Request", True)
    ]


def test_a_rule_that_asks_what_a_body_is_not_judges_without_seeing() -> None:
    result = one(METADATA, "ka.verb = create and ka.target.resource = pods and not ka.req.pod.host_pid = true")

    assert result.state is State.BLIND
    assert any(not loss.unseen for loss in result.losses)


def test_a_rule_with_another_way_to_fire_is_blind() -> None:
    condition = (
        "ka.verb = create and ka.target.resource = pods and not ka.target.subresource exists"
        " and (ka.req.pod.host_pid = true or ka.target.name = x)"
    )

    assert one(METADATA, condition).state is State.BLIND


def test_a_resource_that_no_entry_matches_is_not_recorded() -> None:
    result = one(METADATA, "ka.verb = get and ka.target.resource = secrets")

    assert (result.state, lines(result)) == (State.DEAD, {0})


def test_a_stage_that_is_omitted_kills_a_rule_that_looks_at_it() -> None:
    entry = '- level: Metadata\n  omitStages: [ResponseStarted]\n  resources: [{group: "", resources: [pods/exec]}]\n'
    condition = "ka.target.resource = pods and ka.target.subresource = exec"

    assert one(entry, f"{condition} and ka.stage = ResponseStarted").state is State.DEAD
    assert one(entry, condition).state is State.FULL


def test_stages_omitted_for_the_whole_policy_count() -> None:
    under = policy("- level: Metadata\n", "omitStages: [ResponseComplete]\n")
    rules = rules_of(loaded(rule_text("ka.target.resource = pods and ka.stage = ResponseComplete")))

    assert checked(under, rules)["R"].state is State.DEAD


@pytest.mark.parametrize(
    ("exclusion", "condition"),
    [
        ("users: [eve]", "ka.target.resource = secrets"),
        ("userGroups: [devs]", "ka.target.resource = secrets"),
        ("userGroups: ['system:serviceaccounts']", "ka.target.resource = secrets"),
        ("namespaces: [kube-system]", "ka.target.resource = secrets"),
        ("resources: [{group: '', resources: [secrets], resourceNames: [x]}]", "ka.target.resource = secrets"),
        ("nonResourceURLs: [/version]", "not ka.target.resource exists"),
        ("resources: [{group: '', resources: [secrets]}]", "ka.useragent contains hunter"),
    ],
)
def test_a_rule_that_misses_some_is_narrowed(exclusion: str, condition: str) -> None:
    result = one(f"- level: None\n  {exclusion}\n- level: Metadata\n", condition)

    assert (result.state, lines(result)) == (State.NARROWED, {4})


@pytest.mark.parametrize(
    ("exclusion", "condition"),
    [
        ("users: [eve]", "ka.target.resource = secrets and ka.user.name != eve"),
        ("userGroups: ['system:nodes']", "ka.target.resource = secrets and not ka.user.name startswith system:"),
        ("namespaces: [kube-system]", "ka.target.resource = secrets and ka.target.namespace = shop"),
        ("namespaces: [kube-system]", "ka.target.resource = secrets and not ka.target.namespace in (kube-system)"),
        (
            "resources: [{group: '', resources: [secrets], resourceNames: [x]}]",
            "ka.target.resource = secrets and not ka.target.name = x",
        ),
        ("nonResourceURLs: [/version]", "not ka.target.resource exists and ka.uri startswith /debug"),
        ("resources: [{group: apps}]", "ka.target.resource = pods"),
        ("verbs: [watch]", "ka.target.resource = pods and ka.verb in (get, list)"),
    ],
)
def test_an_exclusion_of_what_a_rule_excludes_too_costs_it_nothing(exclusion: str, condition: str) -> None:
    assert one(f"- level: None\n  {exclusion}\n- level: Metadata\n", condition).state is State.FULL


def test_a_rule_about_everything_is_blind_without_an_entry_for_everything() -> None:
    assert one('- level: Metadata\n  resources: [{group: ""}]\n', "ka.useragent contains hunter").state is State.BLIND


def test_only_the_message_lacks_something() -> None:
    condition = "ka.verb = create and ka.target.resource = pods and not ka.target.subresource exists"

    result = one(METADATA, condition, "x %ka.req.pod.containers.image")

    assert result.state is State.THIN
    assert [loss.wanted.label for loss in result.losses] == ["Request"]


def test_what_not_every_cluster_has_blinds_no_rule() -> None:
    entry = "- level: Metadata\n  resources: [{group: networking.k8s.io, resources: [networkpolicies]}]\n"
    condition = "ka.verb = delete and ka.target.resource in (networkpolicies, ciliumnetworkpolicies)"

    assert one(entry, condition).state is State.NARROWED


def test_a_resource_of_unknown_group_is_looked_for_where_the_policy_has_it() -> None:
    condition = "ka.target.resource = widgets and ka.verb = delete"

    assert (
        one("- level: Metadata\n  resources: [{group: example.com, resources: [widgets]}]\n", condition).state
        is State.FULL
    )
    assert one('- level: Metadata\n  resources: [{group: "*", resources: [widgets]}]\n', condition).state is State.FULL
    assert one("- level: Metadata\n  resources: [{group: apps}]\n", condition).state is State.DEAD


def test_a_rule_that_cannot_hold_is_told_apart_from_one_that_the_policy_kills() -> None:
    assert one(METADATA, "ka.verb = get and ka.verb = list").state is State.NEVER


def test_a_rule_for_two_users_is_tried_for_both() -> None:
    condition = "ka.target.resource = secrets and ka.user.name in (eve, mallory)"

    assert one("- level: None\n  users: [eve]\n- level: Metadata\n", condition).state is State.NARROWED
    assert one("- level: None\n  users: [eve, mallory]\n- level: Metadata\n", condition).state is State.DEAD


# What is told --------------------------------------------------------------------------------------------------------


def told(under: Policy, *texts: str) -> str:
    results = list(checked(under, rules_of(loaded(*texts))).values())
    return "\n".join(report(under, results, list(misplaced(under))))


def test_rules_with_the_same_trouble_are_told_together_with_line_level_and_advice() -> None:
    body = "ka.verb in (create, update) and ka.target.resource = deployments and not ka.target.subresource exists"
    text = told(
        mistaken(),
        rule_text(f"{body} and jevt.value[/requestObject/spec] contains a", "A"),
        rule_text(f"{body} and jevt.value[/requestObject/spec] contains b", "B"),
    )

    assert text.splitlines()[:7] == [
        "p.yaml:5: deployments is no resource of the core group: it is in apps",
        "p.yaml:20: no API server serves the group extensions any more",
        "",
        "dead: A; B",
        "    create/update deployments.apps: p.yaml:22 records it at Metadata; Request is needed",
        "    p.yaml:5 lists deployments in vain, see above",
        "",
    ]
    assert text.splitlines()[7] == "p.yaml: 2 rules"


def test_an_example_is_given_where_only_some_requests_are_missed() -> None:
    text = told(mistaken(), rule_text("ka.verb = get and ka.target.resource = configmaps", "C"))

    assert "get configmaps (such as user somebody, name leader): p.yaml:9 leaves it out; Metadata is needed" in text


def test_an_omitted_stage_is_told() -> None:
    rule = rule_text("ka.target.resource = secrets and ka.stage = RequestReceived")
    entry = "- level: Metadata\n  omitStages: [RequestReceived]\n"

    assert "looks at stage RequestReceived, which p.yaml omits altogether" in told(mistaken(), rule)
    assert "looks at stage RequestReceived, omitted by p.yaml:4" in told(policy(entry), rule)


def test_of_rules_that_see_everything_only_their_number_is_told() -> None:
    text = told(policy_of(rule_text("ka.target.resource = pods")), rule_text("ka.target.resource = pods"))

    assert text == "made.yaml: 1 rule\n       1 full      sees all it asks about"
