"""What tests of the program share: small inputs, alerts, and the command as a user calls it."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.alert import Alert
from engine.priority import Priority

ROOT = Path(__file__).resolve().parent.parent.parent
SAMPLES = ROOT / "lanner" / "data" / "samples"

RULES = """
- rule: User made
  desc: d
  condition: ct.name = CreateUser
  output: made by %ct.user from %ct.srcip
  priority: WARNING
  source: aws_cloudtrail
  tags: [aws]
- rule: Secret asked for
  desc: d
  condition: ka.target.resource = secrets
  output: secret for %ka.user.name
  priority: CRITICAL
  source: k8s_audit
"""


def ct_record(name: str = "CreateUser", number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "eventVersion": "1.11",
        "eventID": f"00000000-0000-0000-0000-{number:012d}",
        "eventTime": "2026-01-02T03:04:05Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "eventType": "AwsApiCall",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "192.0.2.1",
        "userIdentity": {"type": "IAMUser", "userName": "ann"},
        **more,
    }


def audit_event(resource: str = "secrets", number: int = 1) -> dict[str, Any]:
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": f"00000000-0000-0000-0000-{number:012d}",
        "stage": "ResponseComplete",
        "verb": "get",
        "user": {"username": "bob"},
        "objectRef": {"resource": resource, "namespace": "default", "name": "x"},
        "stageTimestamp": "2026-01-02T03:04:05.000006Z",
    }


def alert(number: int = 1, priority: Priority = Priority.WARNING, message: str = "") -> Alert:
    return Alert(
        rule="A rule",
        priority=priority,
        time_ns=1_700_000_000_000_000_000 + number,
        source="aws_cloudtrail",
        hostname="h",
        message=message or f"message {number}",
        output_fields={"ct.user": "ann", "n": number, "l": ["a", None], "absent": None, "b": True},
        tags=("aws",),
        uid=f"uid-{number}",
    )


def environment(**more: str) -> dict[str, str]:
    """Return the environment without what would change colours, host name or places."""
    dropped = ("NO_COLOR", "FORCE_COLOR", "LANNER_", "FALCO_", "AWS_", "STATE_DIRECTORY")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return {**kept, "TZ": "UTC", "LANNER_HOSTNAME": "test-host", **more}


def lanner(
    *arguments: str | Path, stdin: bytes | None = None, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run the command to its end."""
    done = subprocess.run(
        command(*arguments), input=stdin, capture_output=True, cwd=cwd, env=env or environment(), timeout=120
    )
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def command(*arguments: str | Path) -> Sequence[str]:
    return [sys.executable, "-m", "lanner", *map(str, arguments)]
