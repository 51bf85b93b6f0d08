"""CloudTrail fields on records made for one question each; what Falco answers is in test_fields_oracle."""

from typing import Any

import pytest

from engine.event import Event
from engine.fields import Type
from ingest.cloudtrail.fields import FIELDS
from ingest.jsonfields import text_at
from tests.ingest.cloudtrail.samples import TABLE, ask, event, identity


def request(**parameters: Any) -> Event:
    return event(requestParameters=parameters)


def test_plain_fields_say_where_their_text_is_and_answer_it() -> None:
    found = event(errorCode="AccessDenied", tlsDetails={"tlsVersion": "TLSv1.3"}, addendum={"reason": "DELIVERY_DELAY"})
    answers = {}
    for row in TABLE.fields.values():
        if row.path is not None:
            answers[row.name] = ask(row.name, found)
            assert answers[row.name] == text_at(found.record, *row.path)
    assert answers["ct.name"] == "CreateUser"
    assert answers["ct.request.username"] == "bob"
    assert answers["ct.tlsdetails.tlsversion"] == "TLSv1.3"
    assert answers["ct.addendum.reason"] == "DELIVERY_DELAY"
    assert answers["ct.response"] is None


OUTER = (
    *("userIdentity", "requestParameters", "responseElements", "additionalEventData", "resources", "eventSource"),
    *("sourceIPAddress", "addendum", "tlsDetails", "readOnly", "errorCode", "awsRegion", "eventID"),
)
FLAGS = "BlockPublicAcls=false BlockPublicPolicy=false IgnorePublicAcls=true RestrictPublicBuckets=false"
INNER = (
    *("type", "userName", "arn", "principalId", "sessionContext", "instancesSet", "host", "tagSpecificationSet"),
    *("PublicAccessBlockConfiguration", "containerDefinitions"),
)


@pytest.mark.parametrize(
    "odd", [None, 0, 1.5, True, "", "text", [], [None], [[1]], {}, {"items": 3}, {"items": [None, 1, {"tags": 7}]}]
)
def test_no_field_raises_or_is_empty_on_odd_values(odd: Any) -> None:
    inner = dict.fromkeys(INNER, odd)
    for changes in (dict.fromkeys(OUTER, odd), dict.fromkeys(OUTER, inner), {key: [inner] for key in OUTER}):
        for name in ("PutBucketPublicAccessBlock", "RunInstances"):
            found = event(**changes, eventName=name)
            for row in TABLE.fields.values():
                answer = ask(f"{row.name}[/a]" if row.arg_required else row.name, found)
                assert answer is None or (isinstance(answer, list) is row.is_list and answer != [])


@pytest.mark.parametrize(
    ("source", "short"),
    [
        ("s3.amazonaws.com", "s3"),
        ("signin.aws", "signin.aws"),
        ("a.amazonaws.com.cn", "a.amazonaws.com.cn"),
        (None, None),
    ],
)
def test_short_source(source: str | None, short: str | None) -> None:
    assert ask("ct.shortsrc", event(eventSource=source)) == short


ROLE = {
    "type": "AssumedRole",
    "principalId": "AROA1:session",
    "arn": "arn:aws:sts::1:assumed-role/admin/session",
    "sessionContext": {"sessionIssuer": {"userName": "admin"}},
}


@pytest.mark.parametrize(
    ("who", "user", "original"),
    [
        ({"type": "IAMUser", "userName": "ana"}, "ana", "ana"),
        ({"type": "Root"}, None, None),
        ({"type": "Root", "userName": "alias"}, "alias", "alias"),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, "ec2.amazonaws.com", None),
        (ROLE, "admin", "session"),
        ({**ROLE, "sessionContext": None}, "AssumedRole", "session"),
        ({**ROLE, "arn": "arn:aws:sts::1:assumed-role/path/admin/session"}, "admin", "session"),
        ({**ROLE, "arn": None, "principalId": "AROA1"}, "admin", None),
        ({"type": "AWSAccount", "accountId": "1"}, "AWSAccount", None),
        ({"type": "FederatedUser", "userName": "f"}, "FederatedUser", "f"),
        ({"type": "SAMLUser", "userName": "s"}, None, "s"),
        ({"type": "IdentityCenterUser"}, None, None),
        ({"invokedBy": "x.amazonaws.com"}, None, None),
        ({}, None, None),
    ],
)
def test_user_by_identity_type(who: dict[str, Any], user: str | None, original: str | None) -> None:
    assert ask("ct.user", identity(**who)) == user
    assert ask("ct.originaluser", identity(**who)) == original


def test_account_of_the_caller_falls_back_to_the_recipient() -> None:
    assert ask("ct.user.accountid", identity(accountId="1")) == "1"
    assert ask("ct.user.accountid", identity()) == "111122223333"
    assert ask("ct.user.accountid", event(userIdentity=None, recipientAccountId=...)) is None


@pytest.mark.parametrize(
    ("recorded", "name", "readonly"),
    [
        (True, "DeleteUser", "true"),
        (False, "GetUser", "false"),
        ("true", "DeleteUser", "true"),
        ("false", "GetUser", "false"),
        (..., "DeleteUser", "false"),
        (..., "PutObject", "false"),
        (..., "BatchDeleteImage", "false"),
        (..., "SettleUp", "true"),
        (..., "GetUser", "true"),
        (..., "ConsoleLogin", "true"),
        (..., ..., None),
    ],
)
def test_readonly_is_as_recorded_else_as_the_verb_suggests(
    recorded: object, name: object, readonly: str | None
) -> None:
    found = event(readOnly=recorded, eventName=name)
    assert ask("ct.readonly", found) == readonly
    assert ask("evt.readonly", found) == (None if readonly is None else readonly == "true")


@pytest.mark.parametrize(
    ("value", "answer"),
    [(True, "true"), ("true", "true"), (False, "false"), ("false", "false"), (None, None), (..., None)],
)
def test_flags_may_be_booleans_or_text(value: object, answer: str | None) -> None:
    found = event(sessionCredentialFromConsole=value, managementEvent=value)
    assert ask("ct.sessioncredentialfromconsole", found) == ask("ct.managementevent", found) == answer


@pytest.mark.parametrize(
    ("resources", "answer"),
    [
        ([{"ARN": "a", "type": "t"}], '{"ARN":"a","type":"t"}'),
        ([{"ARN": "a"}, {"ARN": "b"}], '{"ARN":"a"},{"ARN":"b"}'),
        ([], None),
        (None, None),
        (..., None),
    ],
)
def test_resources_are_joined_by_commas(resources: object, answer: str | None) -> None:
    assert ask("ct.resources", event(resources=resources)) == answer


def test_request_host_is_read_in_both_spellings() -> None:
    assert ask("ct.request.host", request(Host="a")) == ask("ct.request.host", request(host="a")) == "a"
    assert ask("ct.request.host", request(Host="a", host="b")) == "a"
    assert ask("ct.request.host", request(host=["a"])) == '["a"]'
    assert ask("ct.request.host", request()) is None


def test_s3_uri_needs_bucket_and_key() -> None:
    assert ask("s3.uri", request(bucketName="b", key="k/x y")) == "s3://b/k/x y"
    for parameters in (
        {"bucketName": "b"},
        {"key": "k"},
        {"bucketName": "b", "key": None},
        {"bucketName": 1, "key": "k"},
    ):
        assert ask("s3.uri", request(**parameters)) is None


@pytest.mark.parametrize(
    ("data", "up", "down", "both"),
    [
        ({"bytesTransferredIn": 3, "bytesTransferredOut": 4}, 3, 4, 7),
        ({"bytesTransferredIn": 3.9, "bytesTransferredOut": 4.0}, 3, 4, 7),
        ({"bytesTransferredOut": 0}, None, 0, 0),
        ({"bytesTransferredIn": "3", "bytesTransferredOut": 4}, None, 4, 4),
        ({"bytesTransferredIn": True, "bytesTransferredOut": -1}, None, None, None),
        ({}, None, None, None),
        (None, None, None, None),
    ],
)
def test_s3_bytes(data: object, up: int | None, down: int | None, both: int | None) -> None:
    found = event(additionalEventData=data)
    assert [ask(name, found) for name in ("s3.bytes.in", "s3.bytes.out", "s3.bytes")] == [up, down, both]


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("GetObject", [1, None, None]),
        ("PutObject", [None, 1, None]),
        ("HeadObject", [None, None, 1]),
        (..., [None, None, 1]),
    ],
)
def test_s3_counts_are_absent_and_not_zero(name: object, counts: list[int | None]) -> None:
    assert [ask(f"s3.cnt.{which}", event(eventName=name)) for which in ("get", "put", "other")] == counts


def test_ec2_name_is_the_last_name_tag_of_an_instance() -> None:
    def item(kind: str, *names: str) -> dict[str, Any]:
        return {
            "resourceType": kind,
            "tags": [{"key": "Team", "value": "t"}, *({"key": "Name", "value": n} for n in names)],
        }

    items = [item("volume", "v"), item("instance", "a", "b"), item("instance")]
    assert ask("ec2.name", request(tagSpecificationSet={"items": items})) == "b"
    assert ask("ec2.name", request(tagSpecificationSet={"items": items[:1]})) is None
    assert ask("ec2.name", request()) is None


def test_image_ids_come_from_the_instances() -> None:
    items = [{"imageId": "ami-1"}, {}, {"imageId": "ami-3"}]
    found = event(responseElements={"instancesSet": {"items": items}}, requestParameters={"imageId": "ami-9"})
    assert ask("ec2.imageids", found) == ["ami-1", "ami-3"]
    assert ask("ec2.imageids[0]", found) == ["ami-1"]
    assert ask("ec2.imageids[1]", found) is None
    assert ask("ec2.imageids[2]", found) == ["ami-3"]
    assert ask("ec2.imageids[3]", found) is None
    assert ask("ec2.imageid", found) == "ami-1"


@pytest.mark.parametrize(
    "parameters",
    [
        {"imageId": "ami-1"},
        {"DescribeFastLaunchImagesRequest": {"ImageId": {"content": "ami-1"}}},
        {"launchSpecification": {"imageId": "ami-1"}},
    ],
)
def test_image_ids_fall_back_to_the_request(parameters: dict[str, Any]) -> None:
    found = request(**parameters)
    assert ask("ec2.imageids", found) == ask("ec2.imageids[0]", found) == ["ami-1"]
    assert ask("ec2.imageids[1]", found) is None


@pytest.mark.parametrize(
    ("changes", "info"),
    [
        ({}, "ana via 198.51.100.7 → CreateUser"),
        ({"readOnly": True}, "ana via 198.51.100.7 ← CreateUser"),
        ({"errorCode": "AccessDenied"}, "ana via 198.51.100.7 !→ CreateUser"),
        ({"errorCode": None}, "ana via 198.51.100.7 → CreateUser"),
        ({"sourceIPAddress": "ana"}, "ana → CreateUser"),
        ({"requestParameters": {"bucketName": "b", "key": "k"}}, "ana via 198.51.100.7 → CreateUser URI=s3://b/k"),
        ({"requestParameters": {"bucketName": "b", "Host": "h"}}, "ana via 198.51.100.7 → CreateUser Bucket=b"),
        ({"requestParameters": {"key": "k", "Host": "h"}}, "ana via 198.51.100.7 → CreateUser Key=k"),
        ({"requestParameters": {"Host": "h"}}, "ana via 198.51.100.7 → CreateUser Host=h"),
        (
            {"requestParameters": {"bucketName": "b"}, "additionalEventData": {"bytesTransferredIn": 5}},
            "ana via 198.51.100.7 → CreateUser Size=5 Bucket=b",
        ),
        (
            {
                "eventName": "PutBucketPublicAccessBlock",
                "requestParameters": {
                    "bucketName": "b",
                    "PublicAccessBlockConfiguration": {"BlockPublicAcls": False, "IgnorePublicAcls": True},
                },
            },
            f"ana via 198.51.100.7 → PutBucketPublicAccessBlock {FLAGS} ",
        ),
        ({"userIdentity": {}}, "<invalid cloudtrail event: userIdentity field missing>"),
        ({"sourceIPAddress": ...}, "<invalid cloudtrail event: sourceIPAddress field missing>"),
        ({"eventName": ...}, "<invalid cloudtrail event: eventName field missing>"),
    ],
)
def test_info_sums_a_record_up(changes: dict[str, Any], info: str) -> None:
    assert ask("ct.info", event(**changes)) == info


def test_plugin_info_puts_region_and_service_first() -> None:
    assert ask("evt.plugininfo", event()) == "eu-west-1 ana iam CreateUser ana via 198.51.100.7 → CreateUser"
    assert ask("evt.plugininfo", event(awsRegion=...)) == "<invalid cloudtrail event: awsRegion field missing>"
    assert ask("evt.pluginname", event()) == "cloudtrail"


def test_the_table_is_complete_and_typed() -> None:
    assert {row.name for row in FIELDS if row.hidden} == {
        "ct.time",
        "s3.bytes.in",
        "s3.bytes.out",
        "s3.cnt.get",
        "s3.cnt.put",
        "s3.cnt.other",
    }
    assert {row.name for row in FIELDS if row.deprecated} == {"ec2.imageid"}
    assert {row.name for row in FIELDS if row.type is Type.UINT} == {row.name for row in FIELDS if row.minimum == 0}
    assert {row.name for row in FIELDS if row.is_list} == {"ec2.imageids"}
    assert all(row.doc.endswith(".") and row.get for row in TABLE.fields.values())
    assert {TABLE.fields[alias].path == TABLE.fields[name].path for alias, name in TABLE.aliases.items()} == {True}
