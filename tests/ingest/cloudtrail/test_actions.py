"""What kind of action an API name is."""

import pytest

from ingest.cloudtrail.actions import changes, kind_of
from tests.ingest.cloudtrail.samples import answers
from tests.shared import needs_shared


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ConsoleLogin", "login"),
        ("AssumeRoleWithSAML", "assume"),
        ("GetFederationToken", "assume"),
        ("AttachUserPolicy", "grant"),
        ("PutBucketPolicy", "grant"),
        ("AddPermission20150331v2", "grant"),
        ("AuthorizeSecurityGroupIngress", "grant"),
        ("SendCommand", "execute"),
        ("InvokeModelWithResponseStream", "execute"),
        ("StartSession", "connect"),
        ("RunInstances", "create"),
        ("CreateFunction20150331", "create"),
        ("DeleteTrail", "delete"),
        ("BatchDeleteImage", "delete"),
        ("BatchGetItem", "read"),
        ("TerminateInstances", "delete"),
        ("StopLogging", "update"),
        ("PutEventSelectors", "update"),
        ("GetObject", "read"),
        ("DescribeInstances", "read"),
        ("ListBuckets", "list"),
        ("ListObjectsV2", "list"),
        ("SettleUp", "other"),
        ("Batch", "other"),
        ("", "other"),
    ],
)
def test_kinds(name: str, kind: str) -> None:
    assert kind_of(name) == kind


@needs_shared
def test_the_verb_agrees_with_what_cloudtrail_records() -> None:
    recorded = {
        record["eventName"]: record["readOnly"] for _, record in answers() if isinstance(record.get("readOnly"), bool)
    }
    wrong = {name for name, readonly in recorded.items() if changes(name) is readonly}
    assert wrong <= {"SharedSnapshotVolumeCreated"}
    assert len(recorded) > 200
