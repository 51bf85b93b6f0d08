"""What the CloudTrail sources can be told; durations in seconds, sizes in bytes."""

from dataclasses import dataclass, field
from typing import Literal

from ingest.aws.options import AwsOptions as AwsOptions


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """
    How objects are read.

    Attributes:
        concurrency: Downloads at the same time.
        max_object_bytes: Largest object read, as stored and when inflated.
        max_ratio: Largest ratio of those two.
        memory_budget: Bytes that objects may occupy together, as downloaded and as decoded, until their events are
            settled; one that needs more is read alone.
        include_keys: Regular expressions; a key must match one. Empty means CloudTrail's own file names.
        exclude_keys: Regular expressions; a key that matches one is never read.
        insight_events: Whether CloudTrail Insights events reach the rules.
        late_after: From an event until it was received beyond which it is late: ``evt.late`` and a count, nothing more.
    """

    concurrency: int = 32
    max_object_bytes: int = 256 * 1024 * 1024
    max_ratio: int = 200
    memory_budget: int = 256 * 1024 * 1024
    include_keys: tuple[str, ...] = ()
    exclude_keys: tuple[str, ...] = ()
    insight_events: Literal["emit", "skip"] = "emit"
    late_after: float = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class DedupOptions:
    """
    How repeats are recognised.

    Attributes:
        events: Most events remembered.
        objects: Most objects remembered.
        ttl: How long each is remembered.
    """

    events: int = 200_000
    objects: int = 50_000
    ttl: float = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class SqsOptions:
    """
    How an SQS queue is consumed.

    Attributes:
        queue: ``sqs://name``, ``sqs://https://...`` (queue URL) or ``sqs://arn:aws:sqs:...``.
        owner_account: Account that owns the queue, when it is another one and ``queue`` is a name.
        wait: Long-poll time, 0 to 20.
        max_messages: Messages per receive, 1 to 10.
        pollers: Receives at the same time.
        visibility_timeout: How long a received message stays hidden unless extended.
        heartbeat: Fraction of the visibility timeout after which held messages are extended.
        max_inflight_messages: Messages held at the same time.
        delete: When a message is deleted. ``on_receive`` loses what is in progress when the process dies.
        retry_backoff: How long a failed message stays hidden, by receive count; the last one repeats.
        poison_attempts: Receives after which a poison message is given up when there is nowhere to move it.
        dlq_url: Queue that poison messages are sent to; "" leaves that to the queue's redrive policy.
        quarantine: Directory that poison messages are written to when there is neither.
        access_pause: First pause after access was denied repeatedly; doubles.
        access_pause_max: Longest such pause.
        depth_interval: Time between two looks at how many messages the queue has; 0 never looks.
        silence: Time without any message after which that is told, as a trail may have been stopped; 0 never tells.
        aws: How AWS is reached.
        objects: How objects are read.
        dedup: How repeats are recognised.
    """

    queue: str
    owner_account: str = ""
    wait: int = 20
    max_messages: int = 10
    pollers: int = 1
    visibility_timeout: int = 300
    heartbeat: float = 0.33
    max_inflight_messages: int = 40
    delete: Literal["after_delivery", "on_receive", "never"] = "after_delivery"
    retry_backoff: tuple[int, ...] = (30, 60, 120, 300, 900)
    poison_attempts: int = 5
    dlq_url: str = ""
    quarantine: str = ""
    access_pause: float = 30.0
    access_pause_max: float = 600.0
    depth_interval: float = 60.0
    silence: float = 3600.0
    aws: AwsOptions = field(default_factory=AwsOptions)
    objects: ObjectOptions = field(default_factory=ObjectOptions)
    dedup: DedupOptions = field(default_factory=DedupOptions)


@dataclass(frozen=True, slots=True)
class S3Options:
    """
    How a bucket is read back.

    Attributes:
        location: ``s3://bucket[/prefix]``.
        interval: Which files, by the time in their names: "" for all, ``5d``, ``5d-2d``, RFC 3339 times.
        accounts: Only these accounts; empty for all.
        regions: Only these regions; empty for all.
        follow: Look for new files every ``poll_interval`` instead of ending.
        poll_interval: Pause between two looks.
        lookback: How far back each new look goes, because late files have older names.
        checkpoint: Path of the SQLite file that remembers what was delivered; "" for none.
        listers: Prefixes listed at the same time.
        retry_pause: First pause before an object or a prefix is tried again; doubles.
        access_pause: First pause, when following, after access was denied repeatedly; doubles.
        access_pause_max: Longest such pause.
        aws: How AWS is reached.
        objects: How objects are read.
        dedup: How repeats are recognised.
    """

    location: str
    interval: str = ""
    accounts: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    follow: bool = False
    poll_interval: float = 60.0
    lookback: float = 24 * 3600.0
    checkpoint: str = ""
    listers: int = 8
    retry_pause: float = 1.0
    access_pause: float = 30.0
    access_pause_max: float = 600.0
    aws: AwsOptions = field(default_factory=AwsOptions)
    objects: ObjectOptions = field(default_factory=ObjectOptions)
    dedup: DedupOptions = field(default_factory=DedupOptions)
