"""
The demonstration: ``lanner run`` itself, fed with made-up events over the transports it has in production.

A moto server on loopback stands in for AWS: files put into its bucket are announced on its queue. Audit events are
posted to the webhook as an API server would. Where eBPF works, this host is watched too, while harmless versions of
what attackers do are done on it. Nothing leaves this machine and nothing of it outlives the command.
"""

import contextlib
import gzip
import http.client
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lanner.errors import Exit, UserError

ACTIONS = ("shadow", "netcat", "fileless")
"""What is done on this host, of the actions of ``lanner events generate``."""

SAMPLES = Path(__file__).resolve().parent / "data" / "samples"
WEBHOOK_PATH = "/k8s-audit"

_HOST = "127.0.0.1"
_REGION = "us-east-1"
_BUCKET = "example-trail-logs"
_QUEUE = "lanner-cloudtrail"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo", "AWS_EC2_METADATA_DISABLED": "true"}
_PATIENCE = 180.0
_ANSWER = 10.0
_INTERVAL = 0.1


class DemoError(UserError):
    """The demonstration cannot go on."""

    status = Exit.SOURCE


@dataclass(slots=True)
class Cloud:
    """
    The stand-in for AWS.

    Attributes:
        endpoint: URL of its API.
        queue_url: URL of the queue that announces new files.
    """

    endpoint: str
    queue_url: str
    _s3: Any
    _sqs: Any

    def upload(self, folder: Path) -> int:
        """Put the files below a folder into the bucket, compressed as CloudTrail does; return their number."""
        files = sorted(folder.rglob("*.json"))
        for file in files:
            key = f"{file.relative_to(folder).as_posix()}.gz"
            self._s3.put_object(Bucket=_BUCKET, Key=key, Body=gzip.compress(file.read_bytes()))
        return len(files)

    def is_settled(self) -> bool:
        """Tell whether every announcement was deleted: all alerts of its file are safe then."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        counts = self._sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=names)["Attributes"]
        return not any(int(counts[name]) for name in names)


@contextlib.contextmanager
def cloud() -> Iterator[Cloud]:
    """
    Run the stand-in for AWS with a bucket whose new files are announced on a queue.

    Raises:
        DemoError: moto is not installed.
    """
    try:
        import boto3
        from moto.server import ThreadedMotoServer
    except ImportError:
        raise DemoError("the demo needs moto as a stand-in for AWS: pip install 'lanner[demo]'") from None
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address=_HOST, port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        session = boto3.Session("demo", "demo", region_name=_REGION)
        yield _furnished(
            endpoint, session.client("s3", endpoint_url=endpoint), session.client("sqs", endpoint_url=endpoint)
        )
    finally:
        server.stop()


def _furnished(endpoint: str, s3: Any, sqs: Any) -> Cloud:
    s3.create_bucket(Bucket=_BUCKET)
    _, dead_letters = _queue(sqs, f"{_QUEUE}-dead-letters", {})
    redrive = {"deadLetterTargetArn": dead_letters, "maxReceiveCount": 5}
    url, arn = _queue(sqs, _QUEUE, {"VisibilityTimeout": "300", "RedrivePolicy": json.dumps(redrive)})
    announced = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    s3.put_bucket_notification_configuration(Bucket=_BUCKET, NotificationConfiguration=announced)
    return Cloud(endpoint, url, s3, sqs)


def _queue(sqs: Any, name: str, attributes: dict[str, str]) -> tuple[str, str]:
    """Make a queue; return its URL and ARN."""
    url = sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def free_port(port: int) -> int:
    """
    Return the port, or a free one for 0.

    Raises:
        DemoError: Something else listens on it.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise DemoError(f"cannot listen on {_HOST}:{port} ({error.strerror}); choose another --port") from None
        return int(probe.getsockname()[1])


def configuration(found: Cloud, port: int, folder: Path, with_host: bool = False) -> dict[str, Any]:
    """Return the configuration of the service: a queue, a webhook, maybe this host; all else as it is by default."""
    queue = {"type": "cloudtrail", "queue": f"sqs://{found.queue_url}", "wait": 1}
    aws = {"endpoint_url": found.endpoint, "region": _REGION}
    webhook = {"type": "k8saudit", "listen": {"host": _HOST, "port": port}, "path": WEBHOOK_PATH}
    host = [{"type": "syscall"}] if with_host else []
    return {"sources": [{**queue, "aws": aws}, webhook, *host], "outbox": {"path": str(folder / "outbox.sqlite")}}


def without_host() -> str:
    """Return why this host cannot be watched; "" where it can."""
    from ingest.syscalls.ebpf import probe

    return "; ".join(probe.reasons())


def act(folder: Path) -> None:
    """Do the actions on this host in a folder that is there for them; what cannot be done here is left out."""
    from lanner import generated
    from lanner.generator import Skipped, perform

    for name in ACTIONS:
        (folder / name).mkdir()
        with contextlib.suppress(Skipped, OSError):
            perform(generated.ACTIONS[name], folder / name)


@dataclass(slots=True)
class Service:
    """A running ``lanner run``."""

    process: "subprocess.Popen[bytes]"
    url: str

    def post(self, body: bytes) -> None:
        """
        Send audit events as an API server does; they are evaluated when this returns.

        Raises:
            DemoError: They were not taken.
        """
        request = urllib.request.Request(self.url, body, {"Content-Type": "application/json"})  # noqa: S310 - loopback
        try:
            urllib.request.urlopen(request, timeout=_PATIENCE).close()  # noqa: S310 - loopback
        except (OSError, http.client.HTTPException) as error:
            raise DemoError(f"the webhook did not take the audit events: {error}") from None

    def is_ready(self) -> bool:
        """Tell whether the service takes events."""
        ready = self.url.removesuffix(WEBHOOK_PATH) + "/readyz"
        try:
            urllib.request.urlopen(ready, timeout=_ANSWER).close()  # noqa: S310 - loopback
        except (OSError, http.client.HTTPException):
            return False
        return True

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """
        Wait for a condition.

        Raises:
            DemoError: It took too long, or the service ended.
        """
        until = time.monotonic() + _PATIENCE
        while not condition():
            if self.process.poll() is not None:
                raise DemoError(f"lanner run ended with status {self.process.returncode}")
            if time.monotonic() > until:
                raise DemoError(f"{what} took longer than {_PATIENCE:.0f} seconds")
            time.sleep(_INTERVAL)


@contextlib.contextmanager
def service(found: Cloud, port: int, folder: Path, with_host: bool = False) -> Iterator[Service]:
    """Run ``lanner run``; at the end stop it in order and wait for it."""
    path = folder / "lanner.yaml"
    path.write_text(json.dumps(configuration(found, port, folder, with_host), indent=2), "utf-8")
    process = subprocess.Popen(  # noqa: S603 - this very program
        [sys.executable, "-m", "lanner", "run", "-c", str(path)], env={**os.environ, **_CREDENTIALS}
    )
    try:
        yield Service(process, f"http://{_HOST}:{port}{WEBHOOK_PATH}")
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Stop the service, also when Ctrl-C, which it got too, comes while waiting."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    while True:
        try:
            process.wait(_PATIENCE)
        except KeyboardInterrupt:
            continue
        except subprocess.TimeoutExpired:
            process.kill()
            continue
        return
