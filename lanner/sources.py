"""The sources that can be configured: an explicit table, each loaded only when the configuration names it."""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from ingest.base import Source, SourceError
from lanner.errors import ConfigError, Exit, UserError
from lanner.settings import Reader
from lanner.yamltree import pairs


class SourceStartError(UserError):
    """A source cannot work as configured."""

    status = Exit.SOURCE


@dataclass(frozen=True, slots=True)
class SourceType:
    """
    A kind of source.

    Attributes:
        doc: One sentence.
        load: Imports it; returns the class of its options and the function that makes one of options and name.
        example: Keys that an entry of this type has, in YAML.
    """

    doc: str
    load: Callable[[], tuple[type, Callable[[Any, str], Source]]]
    example: str


def _cloudtrail() -> tuple[type, Callable[[Any, str], Source]]:
    from ingest.cloudtrail.options import SqsOptions
    from ingest.cloudtrail.sqs import SqsSource

    return SqsOptions, SqsSource


def _cloudtrail_s3() -> tuple[type, Callable[[Any, str], Source]]:
    from ingest.cloudtrail.backfill import S3Source
    from ingest.cloudtrail.options import S3Options

    return S3Options, S3Source


def _k8saudit() -> tuple[type, Callable[[Any, str], Source]]:
    from ingest.k8saudit.webhook import WebhookOptions, WebhookSource

    return WebhookOptions, WebhookSource


def _k8saudit_log() -> tuple[type, Callable[[Any, str], Source]]:
    from ingest.k8saudit.files import LogOptions, LogSource

    return LogOptions, LogSource


def _k8saudit_eks() -> tuple[type, Callable[[Any, str], Source]]:
    from ingest.k8saudit.cloudwatch import CloudWatchOptions, CloudWatchSource

    return CloudWatchOptions, CloudWatchSource


def _files() -> tuple[type, Callable[[Any, str], Source]]:
    from lanner.filesource import FilesOptions, FilesSource

    return FilesOptions, FilesSource


def _syscall() -> tuple[type, Callable[[Any, str], Source]]:
    from ingest.syscalls.agent import HostAgent, HostOptions

    return HostOptions, HostAgent


def _trace() -> tuple[type, Callable[[Any, str], Source]]:
    from ingest.syscalls.ptrace.source import TraceOptions, TraceSource

    return TraceOptions, TraceSource


SOURCE_TYPES = {
    "cloudtrail": SourceType(
        "CloudTrail files in S3, announced through an SQS queue.", _cloudtrail, "queue: sqs://my-cloudtrail-queue"
    ),
    "cloudtrail-s3": SourceType(
        "CloudTrail files that a bucket already holds, found by listing it.",
        _cloudtrail_s3,
        "location: s3://my-trail-bucket",
    ),
    "k8saudit": SourceType(
        "Kubernetes audit events, sent by the API server's audit webhook.",
        _k8saudit,
        "listen: {host: 127.0.0.1, port: 9765}",
    ),
    "k8saudit-log": SourceType(
        "Kubernetes audit events of a log file, followed as it grows.",
        _k8saudit_log,
        "path: /var/log/kubernetes/audit.log",
    ),
    "k8saudit-eks": SourceType(
        "Kubernetes audit events of an EKS cluster, from CloudWatch Logs.", _k8saudit_eks, "cluster: my-cluster"
    ),
    "syscall": SourceType("System calls and processes of this host, by eBPF.", _syscall, "mode: auto"),
    "trace": SourceType(
        "System calls of one program and all that it starts, without privileges.", _trace, "command: [sleep, '60']"
    ),
    "files": SourceType(
        "Files of events, read once as by lanner scan, or followed as they come and grow.",
        _files,
        "paths: [/var/log/trail]",
    ),
}
_OWN_KEYS = frozenset({"type", "name"})


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """
    One source: the keys ``type`` and ``name``, and those of its type.

    Attributes:
        type: Kind of source.
        name: Name of this one in logs and statistics; by default its type.
        options: Options of its type.
        notes: What is to be said of them when the service starts.
    """

    type: str
    name: str
    options: Any
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, options: Any, notes: Sequence[str] = ()) -> "SourceConfig":
        """Return a source by its options, whose class tells the type."""
        kind = next(kind for kind, known in SOURCE_TYPES.items() if known.load()[0] is type(options))
        return cls(kind, name, options, tuple(notes))

    @classmethod
    def from_node(cls, reader: Reader, node: yaml.Node, path: str) -> "SourceConfig | None":
        """Read the entry of a source; the type decides which keys it has."""
        if not isinstance(node, yaml.MappingNode):
            reader.wrong(node, path, "a source is a mapping with 'type'")
            return None
        try:
            own = {key.value: str(value.value) for key, value in pairs(node) if key.value in _OWN_KEYS}
        except ConfigError as error:
            reader.findings.append(str(error))
            return None
        kind = own.get("type", "")
        if kind not in SOURCE_TYPES:
            reader.wrong(node, f"{path}.type", _unknown(kind))
            return None
        options = reader.section(node, SOURCE_TYPES[kind].load()[0], path, _OWN_KEYS)
        return cls(kind, own.get("name", kind), options)

    def open(self) -> Source:
        """
        Make the source; it is not started yet.

        Raises:
            SourceStartError: Its options make no sense.
        """
        try:
            return SOURCE_TYPES[self.type].load()[1](self.options, self.name)
        except (SourceError, ValueError) as error:
            raise SourceStartError(f"source {self.name}: {error}") from None


def _unknown(kind: str) -> str:
    near = difflib.get_close_matches(kind, SOURCE_TYPES, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(SOURCE_TYPES)}"
    return f"unknown type '{kind}'; {hint}" if kind else f"'type' is missing: {hint}"
