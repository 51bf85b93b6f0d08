"""
The CloudTrail consumer on a queue and a bucket that answer at once: what it costs idle, a backlog, memory, a bomb.

    python benchmarks/cloudtrail.py [idle backlog whole memory bomb ...] [--messages N] [--seconds S]

The queue and the bucket are a small server of their own process that speaks SQS's JSON protocol and S3's GET, because
an emulator would be what is measured. Objects are made when they are asked for: trail files of records like those of
IAM and EC2, each with an event id of its own, one in twenty an alert. The service is ``lanner run`` with the shipped
AWS rules, the outbox and a file output.

idle     processor time of a consumer whose queue stays empty, long polls of 20 s
backlog  messages, one object of 20 records each: time until all are deleted, peak memory, alerts on disk
whole    the same with objects of 500 records, as a busy account has them: processor time of a record from the queue
         to the disk, over that of inflating and decoding it alone with the fastest untyped decoder
memory   40 downloads at once of well compressed objects, 9 MB of JSON each: peak memory above the idle service
bomb     an object of 300 MB of blanks in 300 kB between others: peak memory, and the others' alerts

Limits (a miss makes the exit status 1): idle below 1 % of a core; every expected alert on disk, whatever the load; the
peaks of ``memory`` and ``bomb`` within ``memory_budget`` above the service before.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from aiohttp import web

ROOT = Path(__file__).resolve().parent.parent
BUDGET = 256 << 20
RECORDS = 20
RECORDS_OF_BUSY = 500
BUSY_FILES = 400
RECORDS_OF_LARGE = 10_000
BOMB = 300 << 20
LARGE_FILES = 80
SIZES = {"small": RECORDS, "busy": RECORDS_OF_BUSY, "large": RECORDS_OF_LARGE}

USER_MADE = {"eventSource": "cloudtrail.amazonaws.com", "eventName": "StopLogging"}
QUIET = {"eventSource": "ec2.amazonaws.com", "eventName": "DescribeInstances", "readOnly": True}


def record(event: str, kind: dict[str, Any]) -> dict[str, Any]:
    """Make a record of about the size that real ones have."""
    issuer = {"type": "Role", "principalId": "AROAEXAMPLE", "arn": "arn:aws:iam::111122223333:role/app"}
    identity = {
        "type": "AssumedRole",
        "principalId": "AROAEXAMPLE:session",
        "arn": "arn:aws:sts::111122223333:assumed-role/app/session",
        "accountId": "111122223333",
        "sessionContext": {"sessionIssuer": issuer, "attributes": {"mfaAuthenticated": "false"}},
    }
    return {
        "eventVersion": "1.11",
        "userIdentity": identity,
        "eventTime": "2026-01-02T03:04:05Z",
        "awsRegion": "eu-west-1",
        "sourceIPAddress": "192.0.2.1",
        "userAgent": "aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.5 md/GOARCH#amd64 api/ec2#1.170.0",
        "requestParameters": {"filterSet": {"items": [{"name": "vpc-id", "valueSet": {"items": ["vpc-1", "vpc-2"]}}]}},
        "responseElements": None,
        "eventID": event,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "recipientAccountId": "111122223333",
        **kind,
    }


def trail_file(key: str, records: int) -> bytes:
    """Return the object of a key; its first record raises an alert."""
    name = hashlib.blake2b(key.encode(), digest_size=10).hexdigest()
    ids = [f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:]}-{number:012d}" for number in range(records)]
    text = json.dumps(record("@", QUIET))
    body = ",".join([json.dumps(record(ids[0], USER_MADE)), *(text.replace("@", each) for each in ids[1:])])
    packer = zlib.compressobj(1, wbits=31)
    return packer.compress(f'{{"Records":[{body}]}}'.encode()) + packer.flush()


def bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    blanks = b" " * (1 << 20)
    return b"".join([*(packer.compress(blanks) for _ in range(BOMB >> 20)), packer.flush()])


@dataclass
class Stub:
    """A queue of keys and their bucket; messages stay with who received them."""

    keys: deque[str]
    held: set[str] = field(default_factory=set)
    deleted: int = 0
    serving: int = 0
    most_serving: int = 0

    async def sqs(self, request: web.Request) -> web.Response:
        action = request.headers["X-Amz-Target"].rpartition(".")[2]
        body = await request.json()
        answer = await getattr(self, action)(body)
        return web.json_response(answer, content_type="application/x-amz-json-1.0")

    async def GetQueueAttributes(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802 - the protocol's name
        return {"Attributes": {"VisibilityTimeout": "300", "QueueArn": "arn:aws:sqs:eu-west-1:111122223333:trail"}}

    async def ReceiveMessage(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        if not self.keys:
            await asyncio.sleep(body.get("WaitTimeSeconds", 0))
        taken = [self.keys.popleft() for _ in range(min(len(self.keys), body.get("MaxNumberOfMessages", 1)))]
        self.held.update(taken)
        return {"Messages": [self._message(key) for key in taken]} if taken else {}

    def _message(self, key: str) -> dict[str, Any]:
        text = json.dumps({"s3Bucket": "trail", "s3ObjectKey": [key]})
        digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
        count = {"ApproximateReceiveCount": "1"}
        return {"MessageId": key, "ReceiptHandle": key, "Body": text, "MD5OfBody": digest, "Attributes": count}

    async def DeleteMessageBatch(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        for entry in body["Entries"]:
            self.held.discard(entry["ReceiptHandle"])
            self.deleted += 1
        return {"Successful": [{"Id": entry["Id"]} for entry in body["Entries"]], "Failed": []}

    async def ChangeMessageVisibilityBatch(self, body: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"Successful": [{"Id": entry["Id"]} for entry in body["Entries"]], "Failed": []}

    async def object(self, request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        kind = key.partition("/")[0]
        if kind == "bomb":
            data = bomb()
        else:
            data = await asyncio.to_thread(trail_file, key, SIZES[kind])
        response = web.StreamResponse(headers={"Content-Length": str(len(data)), "ETag": f'"{key}"'})
        self.serving += 1
        self.most_serving = max(self.most_serving, self.serving)
        await response.prepare(request)
        if kind == "large":  # the first half waits for the others, so that all are under way at once
            await response.write(data[: len(data) // 2])
            await asyncio.sleep(1.0)
            data = data[len(data) // 2 :]
        await response.write(data)
        self.serving -= 1
        return response


def serve_stub(ends: Connection, keys: list[str]) -> None:
    """Serve until told to end; tells the port first, and the state whenever asked."""

    async def main() -> None:
        stub = Stub(deque(keys))
        app = web.Application()
        app.router.add_post("/", stub.sqs)
        app.router.add_get("/trail/{key:.+}", stub.object)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        ends.send(runner.addresses[0][1])
        while await asyncio.to_thread(ends.recv) != "end":
            ends.send((stub.deleted, stub.most_serving))
        os._exit(0)  # long polls would be waited for

    asyncio.run(main())


class Measured:
    """``lanner run`` on a stub."""

    def __init__(self, folder: Path, keys: list[str], **options: Any) -> None:
        self.alerts = folder / "alerts.jsonl"
        self.log = folder / "log.txt"
        self._ours, theirs = multiprocessing.Pipe()
        self._stub = multiprocessing.Process(target=serve_stub, args=(theirs, keys), daemon=True)
        self._stub.start()
        url = f"http://127.0.0.1:{self._ours.recv()}"
        objects = {"memory_budget": BUDGET, "include_keys": [".*"], **options.pop("objects", {})}
        source = {"type": "cloudtrail", "queue": f"sqs://{url}/111122223333/trail", "objects": objects}
        config = {
            "rules_files": ["bundled/aws"],
            "json_output": True,
            "stdout_output": {"enabled": False},
            "file_output": {"enabled": True, "filename": str(self.alerts)},
            "outbox": {"path": str(folder / "outbox.sqlite")},
            "sources": [{"wait": 1, **source, "aws": {"region": "eu-west-1", "endpoint_url": url}, **options}],
        }
        (folder / "lanner.yaml").write_text(json.dumps(config))
        keys_of_aws = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_EC2_METADATA_DISABLED": "true"}
        command = [sys.executable, "-m", "lanner", "run", "-c", str(folder / "lanner.yaml")]
        self.process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **keys_of_aws}, stderr=self.log.open("w"))
        while "running: " not in self.log.read_text():
            if self.process.poll() is not None:
                raise SystemExit(self.log.read_text())
            time.sleep(0.02)

    def state(self) -> tuple[int, int]:
        """Return messages deleted, and downloads under way at once at most."""
        self._ours.send("state")
        deleted, most = self._ours.recv()
        return deleted, most

    def until_deleted(self, number: int) -> float:
        began = time.monotonic()
        while self.state()[0] < number:
            if self.process.poll() is not None:
                raise SystemExit(f"it ended: {self.log.read_text()[-2000:]}")
            time.sleep(0.2)
        return time.monotonic() - began

    def memory(self, name: str) -> int:
        """Return VmRSS or VmHWM in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) << 10
        raise LookupError(name)

    def processor_time(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> int:
        """End it in order; return the number of alerts in the file."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        self._ours.send("end")
        self._stub.join(10)
        return self.alerts.read_bytes().count(b"\n") if self.alerts.exists() else 0


@contextlib.contextmanager
def measured(keys: list[str], **options: Any) -> Iterator[Measured]:
    with tempfile.TemporaryDirectory() as folder:
        running = Measured(Path(folder), keys, **options)
        try:
            yield running
        finally:
            running.process.kill()


def idle(args: argparse.Namespace) -> bool:
    with measured([], wait=20) as running:
        time.sleep(3)
        before, began = running.processor_time(), time.monotonic()
        time.sleep(args.seconds)
        share = (running.processor_time() - before) / (time.monotonic() - began)
        print(f"idle: {100 * share:.2f} % of a core over {args.seconds:.0f} s, {running.memory('VmRSS') / 1e6:.0f} MB")
        running.end()
    return share < 0.01


def backlog(args: argparse.Namespace) -> bool:
    number = args.messages
    with measured([f"small/{n}" for n in range(number)]) as running:
        seconds = running.until_deleted(number)
        peak, used = running.memory("VmHWM"), running.processor_time()
        alerts = running.end()
    print(
        f"backlog: {number:,} messages in {seconds:.1f} s: {number / seconds:,.0f} messages/s, "
        f"{RECORDS * number / seconds:,.0f} events/s, {used:.1f} s of processor time, peak {peak / 1e6:.0f} MB; "
        f"{alerts:,} alerts on disk of {number:,}"
    )
    return alerts >= number


def whole(args: argparse.Namespace) -> bool:
    total = RECORDS_OF_BUSY * BUSY_FILES
    with measured([f"busy/{n}" for n in range(BUSY_FILES)]) as running:
        before = running.processor_time()
        seconds = running.until_deleted(BUSY_FILES)
        used = (running.processor_time() - before) / total
        alerts = running.end()
    least = alone(trail_file("busy/0", RECORDS_OF_BUSY)) / RECORDS_OF_BUSY
    print(
        f"whole: {total:,} records in {seconds:.1f} s: {total / seconds:,.0f} records/s, {1e6 * used:.2f} us of "
        f"processor time each, {used / least:.2f} x the {1e6 * least:.2f} us of inflating and decoding alone; "
        f"{alerts} alerts of {BUSY_FILES}"
    )
    return alerts >= BUSY_FILES


def alone(packed: bytes) -> float:
    """Return the processor time that inflating and decoding a file takes, the least of many rounds."""
    import orjson
    from isal import isal_zlib

    times = []
    for _ in range(50):
        began = time.process_time()
        orjson.loads(isal_zlib.decompress(packed, 31))
        times.append(time.process_time() - began)
    return min(times)


def memory(args: argparse.Namespace) -> bool:
    with measured([]) as running:
        time.sleep(2)
        base = running.memory("VmHWM")
        running.end()
    with measured([f"large/{n}" for n in range(LARGE_FILES)], objects={"concurrency": 40}) as running:
        seconds = running.until_deleted(LARGE_FILES)
        peak, most = running.memory("VmHWM") - base, running.state()[1]
        alerts = running.end()
    size = len(trail_file("large", RECORDS_OF_LARGE))
    print(
        f"memory: {LARGE_FILES} objects of {size / 1e6:.1f} MB in {seconds:.1f} s, {most} downloads at once: "
        f"peak {peak / 1e6:.0f} MB above the idle {base / 1e6:.0f} MB, budget {BUDGET / 1e6:.0f} MB; {alerts} alerts"
    )
    return peak <= BUDGET and alerts == LARGE_FILES


def bomb_among_others(args: argparse.Namespace) -> bool:
    keys = ["small/1", "bomb/1", "small/2"]
    with measured(["small/0"]) as running:
        running.until_deleted(1)
        base = running.memory("VmHWM")
        running.end()
    with measured(keys, poison_attempts=1) as running:
        seconds = running.until_deleted(len(keys))
        peak = running.memory("VmHWM") - base
        told = [line for line in running.log.read_text().splitlines() if "bomb" in line]
        alerts = running.end()
    print(f"bomb: {BOMB >> 20} MB refused in {seconds:.1f} s, peak {peak / 1e6:.0f} MB more; {alerts} alerts of 2")
    print(*told, sep="\n")
    return peak <= BUDGET and alerts == 2


RUNS = {"idle": idle, "backlog": backlog, "whole": whole, "memory": memory, "bomb": bomb_among_others}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="idle, backlog, whole, memory, bomb; all by default")
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    args = parser.parse_args()
    kept = [RUNS[name](args) for name in args.runs or RUNS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
