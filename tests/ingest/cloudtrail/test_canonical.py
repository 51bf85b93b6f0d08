"""What CloudTrail answers to the canonical fields."""

from socket import AF_INET6, inet_pton
from typing import Any

import pytest

from engine.event import Event
from ingest.canonical import CANONICAL
from ingest.cloudtrail.record import to_event
from tests.ingest.cloudtrail.samples import TABLE, Json, answers, ask, event, identity
from tests.shared import needs_shared

ISSUER = {"sessionIssuer": {"userName": "admin"}}
ROLE_ARN = "arn:aws:sts::1:assumed-role/admin/session"
ROLE = {"type": "AssumedRole", "arn": ROLE_ARN, "principalId": "AROA1:session", "sessionContext": ISSUER}


@pytest.mark.parametrize(
    ("who", "actor", "kind", "actor_id", "origin"),
    [
        ({"type": "Root", "arn": "arn:aws:iam::1:root"}, "root", "root", "arn:aws:iam::1:root", None),
        ({"type": "IAMUser", "userName": "ana", "principalId": "AIDA1"}, "ana", "user", "AIDA1", None),
        ({"type": "IAMUser", "arn": "arn:aws:iam::1:user/p/ana"}, "ana", "user", "arn:aws:iam::1:user/p/ana", None),
        (ROLE, "admin", "role", ROLE_ARN, "session"),
        ({**ROLE, "sessionContext": {}}, "admin", "role", ROLE_ARN, "session"),
        ({**ROLE, "sessionContext": {**ISSUER, "sourceIdentity": "ana@x"}}, "admin", "role", ROLE_ARN, "ana@x"),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com", "service", None, None),
        ({"invokedBy": "ec2.amazonaws.com", "accountId": "1"}, "ec2.amazonaws.com", "service", None, None),
        ({"type": "FederatedUser", "arn": "arn:aws:sts::1:federated-user/bo"}, "bo", "federated",
         "arn:aws:sts::1:federated-user/bo", None),
        ({"type": "SAMLUser", "userName": "s", "principalId": "x:s"}, "s", "federated", "x:s", None),
        ({"type": "WebIdentityUser", "principalId": "idp:app:w"}, "w", "federated", "idp:app:w", None),
        ({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "u-1"}}, "u-1", "federated", None, None),
        ({"type": "AWSAccount", "accountId": "999", "principalId": "AIDA9"}, "999", "account", "AIDA9", None),
        ({"type": "AWSAccount", "accountId": "ANONYMOUS_PRINCIPAL"}, "anonymous", "anonymous", None, None),
        ({"type": "AWSAccount", "accountId": "anonymous"}, "anonymous", "anonymous", None, None),
        ({"type": "Unknown", "principalId": "p"}, "p", None, "p", None),
        ({"type": "IAMUser", "userName": "", "arn": ""}, None, "user", None, None),
        ({}, None, None, None, None),
    ],
)  # fmt: skip
def test_actor(who: Json, actor: str | None, kind: str | None, actor_id: str | None, origin: str | None) -> None:
    found = identity(**who)
    names = ("evt.actor", "evt.actor.type", "evt.actor.id", "evt.actor.origin")
    assert [ask(name, found) for name in names] == [actor, kind, actor_id, origin]


@pytest.mark.parametrize(
    ("changes", "outcome", "error"),
    [
        ({}, "success", None),
        ({"errorCode": None}, "success", None),
        ({"errorCode": "AccessDenied"}, "denied", "AccessDenied"),
        ({"errorCode": "AccessDeniedException"}, "denied", "AccessDeniedException"),
        ({"errorCode": "Client.UnauthorizedOperation"}, "denied", "Client.UnauthorizedOperation"),
        ({"errorCode": "OperationNotAuthorizedException"}, "denied", "OperationNotAuthorizedException"),
        ({"errorCode": "Forbidden"}, "denied", "Forbidden"),
        ({"errorCode": "NoSuchBucket"}, "failure", "NoSuchBucket"),
        ({"errorCode": "ThrottlingException"}, "failure", "ThrottlingException"),
        ({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Failure"}}, "denied", None),
        ({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Success"}}, "success", None),
    ],
)
def test_outcome(changes: Json, outcome: str, error: str | None) -> None:
    found = event(**changes)
    assert (ask("evt.outcome", found), ask("evt.error", found)) == (outcome, error)


@pytest.mark.parametrize(
    ("address", "packed", "name"),
    [
        ("198.51.100.7", bytes((198, 51, 100, 7)), None),
        ("2001:db8::1", inet_pton(AF_INET6, "2001:db8::1"), None),
        ("AWS Internal", None, "AWS Internal"),
        ("ec2.amazonaws.com", None, "ec2.amazonaws.com"),
        ("999.1.1.1", None, "999.1.1.1"),
        ("", None, None),
        (None, None, None),
    ],
)
def test_source_address_or_name(address: object, packed: bytes | None, name: str | None) -> None:
    found = event(sourceIPAddress=address)
    assert ask("evt.srcip", found) == packed
    assert ask("evt.srcips", found) == (None if packed is None else [packed])
    assert ask("evt.srcname", found) == name


BUCKET = "arn:aws:s3:::b"


def resource(arn: str, kind: str | None = None) -> Json:
    return {"resources": [{"ARN": arn, "type": kind, "accountId": "1"}], "requestParameters": {"userName": "other"}}


def asked(source: str = "iam.amazonaws.com", **parameters: Any) -> Json:
    return {"eventSource": source, "requestParameters": parameters}


@pytest.mark.parametrize(
    ("changes", "target", "kind"),
    [
        (resource(BUCKET, "AWS::S3::Bucket"), BUCKET, "aws.s3.bucket"),
        (resource(BUCKET), BUCKET, "aws.s3.bucket"),
        (resource(f"{BUCKET}/k"), f"{BUCKET}/k", "aws.s3.object"),
        (resource("arn:aws:kms:eu-west-1:1:key/k-1"), "arn:aws:kms:eu-west-1:1:key/k-1", "aws.kms.key"),
        (resource("arn:aws:lambda:r:1:function:f:1"), "arn:aws:lambda:r:1:function:f:1", "aws.lambda.function"),
        (resource("arn:aws:sns:eu-west-1:1:topic"), "arn:aws:sns:eu-west-1:1:topic", "aws.sns"),
        (resource("odd"), "odd", None),
        (asked("s3.amazonaws.com", bucketName="b", key="k"), "s3://b/k", "aws.s3.object"),
        (asked("s3.amazonaws.com", bucketName="b"), "b", "aws.s3.bucket"),
        (asked(userName="bob", policyArn="arn:p"), "bob", "aws.iam.user"),
        (asked(roleName="r", policyName="p"), "r", "aws.iam.role"),
        (asked("lambda.amazonaws.com", functionName="f"), "f", "aws.lambda.function"),
        (asked("ec2.amazonaws.com", instancesSet={"items": [{"instanceId": "i-1"}, {"instanceId": "i-2"}]}), "i-1",
         "aws.ec2.instance"),
        (asked("cloudtrail.amazonaws.com", name="main"), "main", "aws.cloudtrail"),
        (asked("cloudtrail.amazonaws.com", name="arn:aws:cloudtrail:eu-west-1:1:trail/main"),
         "arn:aws:cloudtrail:eu-west-1:1:trail/main", "aws.cloudtrail.trail"),
        (asked(userName="", maxItems=3), None, None),
        (asked(), None, None),
    ],
)  # fmt: skip
def test_target(changes: Json, target: str | None, kind: str | None) -> None:
    found = event(**changes)
    assert (ask("evt.target", found), ask("evt.target.kind", found)) == (target, kind)


def test_target_user_is_of_iam_calls_only() -> None:
    assert ask("evt.target.user", event(**asked(userName="bob", roleName="r"))) == "bob"
    assert ask("evt.target.user", event(**asked(roleName="r"))) == "r"
    assert ask("evt.target.user", event(**asked("connect.amazonaws.com", userName="bob"))) is None


def test_where_it_happened() -> None:
    found = identity(accountId="999988887777", accessKeyId="AKIA1")
    assert ask("evt.account", found) == "111122223333"
    assert ask("evt.actor.account", found) == "999988887777"
    assert ask("evt.actor.key", found) == "AKIA1"
    assert ask("evt.region", found) == "eu-west-1"
    assert ask("evt.agent", found) == "aws-cli/2.0"
    assert ask("evt.action.service", found) == "iam"
    assert ask("evt.actor.key", identity(accessKeyId="")) is None


@pytest.mark.parametrize(
    ("changes", "cluster", "namespace", "pod"),
    [
        (asked("eks.amazonaws.com", name="prod") | {"eventName": "DeleteCluster"}, "prod", None, None),
        (asked("eks.amazonaws.com", clusterName="prod") | {"eventName": "CreateNodegroup"}, "prod", None, None),
        (asked("eks.amazonaws.com", name="n") | {"eventName": "ListTags"}, None, None, None),
        (asked("ecs.amazonaws.com", cluster="c", task="t"), None, "c", "t"),
        (
            asked("ecs.amazonaws.com", cluster="arn:aws:ecs:r:1:cluster/c", task="arn:aws:ecs:r:1:task/c/t"),
            None,
            "c",
            "t",
        ),
        (asked("rds.amazonaws.com", cluster="c", name="prod") | {"eventName": "DeleteCluster"}, None, None, None),
    ],
)
def test_clusters(changes: Json, cluster: str | None, namespace: str | None, pod: str | None) -> None:
    found = event(**changes)
    assert [ask(name, found) for name in ("evt.cluster", "evt.namespace", "evt.pod")] == [cluster, namespace, pod]


def test_images_are_those_of_instances_and_of_task_definitions() -> None:
    assert ask("evt.images", event(requestParameters={"imageId": "ami-1"})) == ["ami-1"]
    containers = [{"image": "repo/a:1"}, {"name": "no image"}, {"image": "repo/b"}]
    assert ask("evt.images", event(requestParameters={"containerDefinitions": containers})) == ["repo/a:1", "repo/b"]
    assert ask("evt.images", event()) is None


def test_uid_is_that_of_the_event() -> None:
    assert ask("evt.uid", event()) == event().record["eventID"]
    assert ask("evt.uid", event(eventID=...)) == event(eventID=...).uid


@pytest.mark.parametrize("name", ["evt.actor.groups", "evt.dstip", "evt.dstport", "evt.host", "evt.delay"])
def test_what_cloudtrail_does_not_tell_is_absent(name: str) -> None:
    assert ask(name, event()) is None


ENUMS = {
    "evt.actor.type": {"root", "user", "role", "service", "federated", "account", "anonymous"},
    "evt.action.kind": {
        "read",
        "list",
        "create",
        "update",
        "delete",
        "execute",
        "connect",
        "login",
        "assume",
        "grant",
        "other",
    },
    "evt.outcome": {"success", "denied", "failure"},
}


@needs_shared
def test_real_records_answer_within_the_enums_and_never_with_nothing() -> None:
    seen: dict[str, set[Any]] = {name: set() for name in ENUMS}
    told = dict.fromkeys((row.name for row in CANONICAL), 0)
    events = 0
    for _, record in answers():
        found: Event = to_event(record, "")
        events += 1
        for row in CANONICAL:
            answer = ask(row.name, found)
            told[row.name] += answer is not None
            assert answer not in ("", [])
            assert answer is None or isinstance(answer, list) is TABLE.fields[row.name].is_list
            if row.name in ENUMS and answer is not None:
                seen[row.name].add(answer)
    for name, values in ENUMS.items():
        assert seen[name] <= values
    for name in ("evt.action", "evt.action.kind", "evt.action.service", "evt.readonly", "evt.outcome", "evt.uid"):
        assert told[name] == events
    assert told["evt.actor"] > events * 0.99
    assert told["evt.srcip"] + told["evt.srcname"] > events * 0.99
