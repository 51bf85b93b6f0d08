"""Looking at a trail's bucket: whether it announces files, whether these are new, and whether one can be read."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ingest.cloudtrail import aws
from ingest.cloudtrail.aws import Clients, Fault
from ingest.cloudtrail.findings import Finding, State, failed, ok, skipped, warning
from ingest.cloudtrail.interval import Interval
from ingest.cloudtrail.listing import Bucket, Root, Selection, day_folder
from ingest.cloudtrail.messages import ObjectRef
from ingest.cloudtrail.objects import ObjectError, Objects
from ingest.cloudtrail.options import SqsOptions

_ROOTS = 20  # accounts and regions whose newest file is looked for
_SILENT = timedelta(hours=1)
_LISTED = 2000


class BucketCheck:
    """
    Looks at buckets.

    Args:
        queue: ARN of the queue; "" when it is not known.
        refs: Objects that a message announced.
    """

    def __init__(self, clients: Clients, options: SqsOptions, queue: str, refs: Sequence[ObjectRef]) -> None:
        self._clients = clients
        self._options = options
        self._queue = queue
        self._refs = refs
        self._objects = Objects(clients, options.objects, Counter())

    async def findings(self, name: str) -> AsyncIterator[Finding]:
        """Yield what is found about one bucket."""
        client = await self._clients.s3(next((ref.region for ref in self._refs if ref.bucket == name), ""))
        newest: ObjectRef | None = None
        try:
            bucket = Bucket(client, name)
            roots = await bucket.roots("", Selection(Interval(None, None)))
        except aws.call_errors() as error:
            yield self._unlisted(name, error)
        else:
            newest, finding = await self._newest(bucket, roots)
            yield finding
        yield await self._notification(client, name)
        yield await self._trail(name)
        ref = next((ref for ref in self._refs if ref.bucket == name), newest)
        if ref:
            yield await self._object(ref)

    def _unlisted(self, name: str, error: BaseException) -> Finding:
        if aws.fault_of(error) is Fault.MISSING:
            return failed("bucket", f"{name} is not there", "correct the name, or the notification that names it")
        advice = f"allow s3:ListBucket on arn:aws:s3:::{name}, so that a missing file is told from a denied one"
        return warning("bucket", f"{name} cannot be listed: {aws.describe(error)}", advice)

    async def _newest(self, bucket: Bucket, roots: Sequence[Root]) -> tuple[ObjectRef | None, Finding]:
        """Return the newest trail file of the last two days, and what its age says."""
        dated = [root for root in roots if root.dated]
        if not dated:
            advice = "is this the trail's bucket? Its files lie below AWSLogs/<account>/CloudTrail/<region>/"
            return None, failed("bucket", f"{bucket.name} holds no trail files", advice)
        since, now = datetime.now(UTC) - timedelta(days=1), datetime.now(UTC)
        found: list[dict[str, Any]] = []
        for root in dated[:_ROOTS]:
            number = 0
            async for entry in bucket.objects(root.prefix, day_folder(root, since)):
                found.append(entry)
                number += 1
                if number == _LISTED:
                    break
        where = f"{bucket.name}: {len(dated)} folders of accounts and regions" if len(dated) > 1 else bucket.name
        if not found:
            advice = "is the trail logging? aws cloudtrail get-trail-status --name NAME"
            return None, warning("bucket", f"{where}, no file since yesterday", advice)
        last = max(found, key=lambda entry: entry["LastModified"])
        age, ref = now - last["LastModified"], ObjectRef(bucket.name, last["Key"], size=last["Size"])
        text = f"{where}, the newest file is {max(0, round(age.total_seconds() / 60))} min old"
        if age > _SILENT:
            return ref, warning(
                "bucket", text, "is the trail logging? Files come every few minutes where calls are made"
            )
        return ref, ok("bucket", text)

    async def _notification(self, client: Any, name: str) -> Finding:
        """Tell whether the bucket announces its files to the queue."""
        try:
            given = await client.get_bucket_notification_configuration(Bucket=name)
        except aws.call_errors() as error:
            return skipped("notification", "s3:GetBucketNotification", error)
        queues = [one["QueueArn"] for one in given.get("QueueConfigurations", [])]
        topics = [one["TopicArn"] for one in given.get("TopicConfigurations", [])]
        if self._queue in queues:
            return ok("notification", f"{name} announces files to the queue")
        if topics:
            return ok("notification", f"{name} announces files to {', '.join(topics)}; is the queue subscribed there?")
        if "EventBridgeConfiguration" in given:
            return ok("notification", f"{name} announces files to EventBridge; does a rule send them to the queue?")
        advice = "set one: s3:ObjectCreated:* to the queue; or let the trail publish to a topic the queue subscribes to"
        told = f"{name} announces files to {', '.join(queues)} only" if queues else f"{name} announces files to nobody"
        return warning("notification", told, advice)

    async def _trail(self, name: str) -> Finding:
        """Tell whether a trail is delivered to the bucket, and whether it is logging."""
        try:
            client = await self._clients.other("cloudtrail")
            trails = (await client.describe_trails())["trailList"]
            ours = [trail for trail in trails if trail.get("S3BucketName") == name]
            states = [await client.get_trail_status(Name=trail["TrailARN"]) for trail in ours]
        except aws.call_errors() as error:
            return skipped("trail", "cloudtrail:DescribeTrails and GetTrailStatus", error)
        if not ours:
            return Finding("trail", State.SKIPPED, f"no trail of this account is delivered to {name}")
        for trail, state in zip(ours, states, strict=True):
            start = f"aws cloudtrail start-logging --name {trail['TrailARN']}"
            if not state.get("IsLogging"):
                return failed("trail", f"{trail['Name']} is not logging", f"{start}; and find out who stopped it")
            if state.get("LatestDeliveryError"):
                advice = "let the bucket's and the key's policies admit CloudTrail"
                return failed("trail", f"{trail['Name']}: {state['LatestDeliveryError']}", advice)
        return ok("trail", f"{', '.join(trail['Name'] for trail in ours)} is logging to {name}")

    async def _object(self, ref: ObjectRef) -> Finding:
        """Read a file as the consumer does."""
        try:
            loaded = await self._objects.load(ref)
        except ObjectError as error:
            return _unreadable(ref, error)
        if loaded.damage:
            return failed("file", f"{ref.uri}: {loaded.damage}: {loaded.detail}", "is it a trail file, and whole?")
        if not self._objects.wanted(ref.key):
            advice = "set objects.include_keys to a pattern that such keys match"
            return failed("file", f"{ref.uri} can be read, but its key is not one that is looked at", advice)
        return ok("file", f"{ref.uri} was read, events in it: {len(loaded.events)}")


def _unreadable(ref: ObjectRef, error: ObjectError) -> Finding:
    match error.fault:
        case Fault.ACCESS if "kms" in error.detail.lower():
            advice = "allow kms:Decrypt on the key of the trail to these credentials, in their policy and the key's"
        case Fault.ACCESS:
            advice = (
                f"allow s3:GetObject on arn:aws:s3:::{ref.bucket}/* to these credentials (and kms:Decrypt on its key)"
            )
        case Fault.MISSING:
            return warning("file", f"{ref.uri} is gone", "does a lifecycle rule delete files before they are read?")
        case Fault.TOO_LARGE:
            advice = "raise objects.max_object_bytes"
        case _:
            advice = "is S3 reachable from here (VPC endpoint, NAT, proxy)?"
    return failed("file", error.detail, advice)
