"""The outputs that can be configured: an explicit table, each loaded only when the configuration names it."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from engine.priority import Priority
from lanner.errors import ConfigError
from lanner.outputs.base import Output
from lanner.outputs.throttle import Throttle, ThrottleOptions
from lanner.settings import Reader
from lanner.yamltree import pairs

Make = Callable[[str, Any], Output]
"""Makes an output of its name and its options. Raises ValueError when an option makes no sense."""


@dataclass(frozen=True, slots=True)
class OutputType:
    """
    A kind of output.

    Attributes:
        doc: One sentence.
        load: Imports it; returns the class of its options and the function that makes one.
        example: Keys that an entry of this type has, in YAML.
    """

    doc: str
    load: Callable[[], tuple[type, Make]]
    example: str


def _http(module: str, options: str, service: str) -> Callable[[], tuple[type, Make]]:
    """Return the loader of a service by HTTP: the names of its options and of its function in a module here."""

    def load() -> tuple[type, Make]:
        from importlib import import_module

        from lanner.outputs.http import HttpOutput

        found = import_module(f"lanner.outputs.{module}")
        make = getattr(found, service)
        return getattr(found, options), lambda name, given: HttpOutput(name, make(given), given)

    return load


def _direct(module: str, options: str, output: str) -> Callable[[], tuple[type, Make]]:
    """Return the loader of an output that is a class of its own."""

    def load() -> tuple[type, Make]:
        from importlib import import_module

        found = import_module(f"lanner.outputs.{module}")
        return getattr(found, options), getattr(found, output)

    return load


def _file() -> tuple[type, Make]:
    from lanner.outputs.file import FileOptions, FileOutput
    from lanner.outputs.forms import form

    def make(name: str, options: FileOptions) -> Output:
        text = form(options.format)
        return FileOutput(options.filename, lambda alert: f"{text(alert)}\n", name)

    return FileOptions, make


def _aws(options: str, function: str) -> Callable[[], tuple[type, Make]]:
    """Return the loader of an output to AWS: the names of its options and of its function."""

    def load() -> tuple[type, Make]:
        from lanner.outputs import awsservices

        return getattr(awsservices, options), getattr(awsservices, function)

    return load


_ROOM = "webhook_url: ${file:/run/secrets/%s}"

OUTPUT_TYPES = {
    "http": OutputType(
        "Any server that takes a POST or PUT.",
        _http("webhook", "WebhookOptions", "webhook"),
        "url: https://alerts.example.com/in",
    ),
    "cloudevents": OutputType(
        "CloudEvents 1.0, for Knative and other brokers.",
        _http("webhook", "CloudEventsOptions", "cloudevents"),
        "url: http://broker-ingress.knative-eventing/default/default",
    ),
    "slack": OutputType("A channel of Slack.", _http("chat", "ChatOptions", "slack"), _ROOM % "slack"),
    "teams": OutputType("A channel of Microsoft Teams.", _http("chat", "ChatOptions", "teams"), _ROOM % "teams"),
    "discord": OutputType("A channel of Discord.", _http("chat", "ChatOptions", "discord"), _ROOM % "discord"),
    "mattermost": OutputType("A channel of Mattermost.", _http("chat", "ChatOptions", "attachments"), _ROOM % "room"),
    "rocketchat": OutputType("A channel of Rocket.Chat.", _http("chat", "ChatOptions", "attachments"), _ROOM % "room"),
    "googlechat": OutputType("A space of Google Chat.", _http("chat", "ChatOptions", "google_chat"), _ROOM % "space"),
    "telegram": OutputType(
        "A chat of Telegram.",
        _http("chat", "TelegramOptions", "telegram"),
        "token: ${file:/run/secrets/telegram}\nchat_id: '-1001234567890'",
    ),
    "pagerduty": OutputType(
        "A service of PagerDuty.",
        _http("oncall", "PagerDutyOptions", "pagerduty"),
        "routing_key: ${file:/run/secrets/pagerduty}",
    ),
    "opsgenie": OutputType(
        "An integration of Opsgenie.",
        _http("oncall", "OpsgenieOptions", "opsgenie"),
        "api_key: ${file:/run/secrets/opsgenie}",
    ),
    "alertmanager": OutputType(
        "An Alertmanager of Prometheus.",
        _http("oncall", "AlertmanagerOptions", "alertmanager"),
        "url: http://alertmanager:9093",
    ),
    "elasticsearch": OutputType(
        "Elasticsearch or OpenSearch.",
        _http("stores", "ElasticsearchOptions", "elasticsearch"),
        "url: https://elasticsearch:9200",
    ),
    "loki": OutputType("Grafana Loki.", _http("stores", "LokiOptions", "loki"), "url: http://loki:3100"),
    "splunk": OutputType(
        "Splunk, by its HTTP Event Collector.",
        _http("stores", "SplunkOptions", "splunk"),
        "url: https://splunk:8088\ntoken: ${file:/run/secrets/splunk}",
    ),
    "datadog": OutputType(
        "Datadog logs.", _http("stores", "DatadogOptions", "datadog"), "api_key: ${file:/run/secrets/datadog}"
    ),
    "otlp": OutputType(
        "OpenTelemetry logs, by OTLP over HTTP.", _http("stores", "OtlpOptions", "otlp"), "url: http://collector:4318"
    ),
    "file": OutputType("A file, a line for each alert.", _file, "filename: /var/log/lanner/critical.jsonl"),
    "sqs": OutputType(
        "A queue of Amazon SQS.",
        _aws("SqsOutputOptions", "sqs"),
        "url: https://sqs.eu-west-1.amazonaws.com/111122223333/alerts",
    ),
    "sns": OutputType(
        "A topic of Amazon SNS.",
        _aws("SnsOptions", "sns"),
        "topic_arn: arn:aws:sns:eu-west-1:111122223333:alerts",
    ),
    "kinesis": OutputType("A stream of Amazon Kinesis.", _aws("KinesisOptions", "kinesis"), "stream: alerts"),
    "firehose": OutputType("Amazon Data Firehose.", _aws("FirehoseOptions", "firehose"), "stream: alerts"),
    "cloudwatch-logs": OutputType(
        "A log group of CloudWatch Logs.",
        _aws("CloudWatchLogsOptions", "cloudwatch_logs"),
        "log_group: /lanner/alerts",
    ),
    "s3": OutputType("Objects in Amazon S3.", _aws("S3OutputOptions", "s3"), "bucket: my-alerts"),
    "lambda": OutputType("A function of AWS Lambda.", _aws("LambdaOptions", "aws_lambda"), "function: on-alert"),
    "eventbridge": OutputType(
        "A bus of Amazon EventBridge.", _aws("EventBridgeOptions", "eventbridge"), "bus: security"
    ),
    "securityhub": OutputType(
        "Findings in AWS Security Hub.",
        _aws("SecurityHubOptions", "security_hub"),
        "account: '111122223333'\nregion: eu-west-1",
    ),
    "kafka": OutputType(
        "A topic of Kafka; needs `pip install 'lanner[kafka]'`.",
        _direct("kafka", "KafkaOptions", "KafkaOutput"),
        "brokers: [kafka-1:9093, kafka-2:9093]\ntopic: alerts\nencryption: tls\nsasl: scram-sha-512\n"
        "username: lanner\npassword: ${file:/run/secrets/kafka}",
    ),
    "nats": OutputType(
        "NATS, and its JetStream; needs `pip install 'lanner[nats]'`.",
        _direct("nats", "NatsOptions", "NatsOutput"),
        "servers: [tls://nats.example.com:4222]\ncredentials_file: /run/secrets/nats.creds\njetstream: true",
    ),
    "redis": OutputType(
        "A list, channel or stream of Redis or Valkey; needs `pip install 'lanner[redis]'`.",
        _direct("redis", "RedisOptions", "RedisOutput"),
        "url: rediss://redis.example.com:6379\npassword: ${file:/run/secrets/redis}",
    ),
    "syslog": OutputType(
        "Syslog: this machine's, or a server by UDP, TCP or TLS.",
        _direct("syslog", "SyslogOptions", "SyslogOutput"),
        "host: syslog.example.com\nprotocol: tls",
    ),
    "program": OutputType(
        "A program's standard input.",
        _direct("program", "ProgramOptions", "ProgramOutput"),
        "command: [/usr/bin/logger, -t, lanner]",
    ),
    "smtp": OutputType(
        "Mail.",
        _direct("smtp", "SmtpOptions", "SmtpOutput"),
        "host: mail.example.com\nsender: lanner@example.com\nrecipients: [soc@example.com]",
    ),
}
_OWN_KEYS = frozenset({"type", "name", "minimum_priority", "throttle"})


@dataclass(frozen=True, slots=True)
class OutputConfig:
    """
    One output: the keys ``type``, ``name``, ``minimum_priority`` and ``throttle``, and those of its type.

    Attributes:
        type: Kind of output.
        name: Name of this one, for routes, logs and statistics; by default its type.
        minimum_priority: Less severe alerts do not go there.
        options: Options of its type.
        throttle: How often one thing is told; None for always.
    """

    type: str
    name: str
    minimum_priority: Priority
    options: Any
    throttle: ThrottleOptions | None = None

    @classmethod
    def from_node(cls, reader: Reader, node: yaml.Node, path: str) -> "OutputConfig | None":
        """Read the entry of an output; the type decides which keys it has."""
        if not isinstance(node, yaml.MappingNode):
            reader.wrong(node, path, "an output is a mapping with 'type'")
            return None
        try:
            own = {key.value: value for key, value in pairs(node) if key.value in _OWN_KEYS}
        except ConfigError as error:
            reader.findings.append(str(error))
            return None
        kind = str(own["type"].value) if "type" in own else ""
        if kind not in OUTPUT_TYPES:
            reader.wrong(node, f"{path}.type", _unknown(kind))
            return None
        options_class, make = OUTPUT_TYPES[kind].load()
        options = reader.section(node, options_class, path, _OWN_KEYS)
        name = str(own["name"].value) if "name" in own else kind
        least = Priority.DEBUG
        if "minimum_priority" in own:
            least = reader.value(own["minimum_priority"], Priority, f"{path}.minimum_priority")
        throttle = None
        if "throttle" in own:
            throttle = reader.value(own["throttle"], ThrottleOptions, f"{path}.throttle")
        if options is None or least is None or ("throttle" in own and throttle is None):
            return None
        try:
            make(name, options)
            if throttle:
                Throttle(throttle)
        except ValueError as error:
            reader.wrong(node, path, str(error))
            return None
        return cls(kind, name, least, options, throttle)

    def open(self) -> Output:
        """Make the output; it is not started yet."""
        return OUTPUT_TYPES[self.type].load()[1](self.name, self.options)


def _unknown(kind: str) -> str:
    near = difflib.get_close_matches(kind, OUTPUT_TYPES, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"one of {', '.join(OUTPUT_TYPES)}"
    return f"unknown type '{kind}'; {hint}" if kind else f"'type' is missing: {hint}"
