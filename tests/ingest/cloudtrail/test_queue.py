"""Queue addresses in every form, and what AWS error codes mean."""

import subprocess
import sys

import pytest

from ingest.base import SourceError
from ingest.cloudtrail.aws import Fault, fault_of_code
from ingest.cloudtrail.queue import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    {
        "sqs://lanner": Address(name="lanner"),
        "sqs://lanner.fifo": Address(name="lanner.fifo"),
        "sqs://arn:aws:sqs:eu-west-1:111122223333:q": Address(name="q", owner="111122223333", region="eu-west-1"),
        "sqs://arn:aws-cn:sqs:cn-north-1:111122223333:q": Address(name="q", owner="111122223333", region="cn-north-1"),
        "sqs://https://sqs.eu-west-1.amazonaws.com/1/q": Address(
            "https://sqs.eu-west-1.amazonaws.com/1/q", "q", region="eu-west-1"
        ),
        "sqs://https://sqs-fips.us-gov-west-1.amazonaws.com/1/q": Address(
            "https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", "q", region="us-gov-west-1"
        ),
        "sqs://https://eu-west-1.queue.amazonaws.com/1/q": Address(
            "https://eu-west-1.queue.amazonaws.com/1/q", "q", region="eu-west-1"
        ),
        "sqs://https://vpce-0a.sqs.eu-west-1.vpce.amazonaws.com/1/q": Address(
            "https://vpce-0a.sqs.eu-west-1.vpce.amazonaws.com/1/q", "q", region="eu-west-1"
        ),
        "sqs://http://127.0.0.1:4566/1/q": Address("http://127.0.0.1:4566/1/q", "q"),
    }.items(),
)
def test_every_form_of_address_is_read(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["sqs://", "sqs://a b", "sqs://arn:aws:sns:eu-west-1:1:topic", "sqs://arn:aws:sqs::1:q", "s3://bucket"]
)
def test_another_form_of_address_is_an_error(text: str) -> None:
    with pytest.raises(SourceError):
        parse_address(text)


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("AccessDenied", Fault.ACCESS),
        ("KMS.DisabledException", Fault.ACCESS),
        ("ExpiredToken", Fault.ACCESS),
        ("NoSuchKey", Fault.MISSING),
        ("NoSuchBucket", Fault.MISSING),
        ("AWS.SimpleQueueService.NonExistentQueue", Fault.NO_QUEUE),
        ("ReceiptHandleIsInvalid", Fault.LEASE),
        ("SlowDown", Fault.RETRY),
        ("KMS.ThrottlingException", Fault.RETRY),
        ("NeverHeardOf", Fault.RETRY),
    ],
)
def test_error_codes_have_a_meaning(code: str, fault: Fault) -> None:
    assert fault_of_code(code) is fault


def test_the_slow_sdk_is_not_imported_before_it_is_used() -> None:
    code = "import sys, ingest.cloudtrail.sqs; print({'aiobotocore', 'botocore', 'boto3'} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
