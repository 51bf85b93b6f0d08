"""
The service as an AWS Lambda function, which names ``ingest.cloudtrail.lambda_handler`` as its handler.

What announces trail files invokes it (an SQS mapping with ``ReportBatchItemFailures``, or S3, SNS, EventBridge and the
like directly); alerts go to standard output, which is the function's log. A message is done when its alerts are written
there, so no outbox and no other output takes part. The configuration is that of ``lanner run``; its first source of
type cloudtrail says how objects are read. Without one, the shipped rules apply and alerts are JSON.
"""

import dataclasses
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from engine.evaluate import Engine
from engine.event import Event
from ingest.cloudtrail.lambda_entry import Handler, Process, make_handler
from ingest.cloudtrail.options import ObjectOptions, SqsOptions
from lanner import config as configuration
from lanner import configfiles, logs, service
from lanner.config import Config
from lanner.detect import Detector
from lanner.hostname import hostname
from lanner.outputs.lines import line_writer
from lanner.outputs.stdout import write_all
from lanner.outputset import line_form

_MEMORY = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"  # in MiB, set by Lambda
_BUDGET_SHARE = 2  # of the memory
_OBJECT_SHARE = 12  # half the memory too: a file occupies up to six times its JSON text while it is decoded


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """
    Process an invocation.

    Raises:
        ConfigError, RulesError: The function cannot work as configured.
        InvocationError: What was not announced by SQS could not all be processed.
    """
    return from_environment()(event, context)


def make(config: Config) -> Handler:
    """
    Make the function that Lambda calls.

    Raises:
        RulesError: The rules do not load.
    """
    source = next((s.options for s in config.sources if isinstance(s.options, SqsOptions)), SqsOptions(""))
    objects = within(source.objects, int(os.environ.get(_MEMORY, "0")) << 20)
    return make_handler(_process(config), source.aws, objects, source.dedup)


def within(objects: ObjectOptions, memory: int) -> ObjectOptions:
    """Return how objects are read in a function that has some bytes of memory; 0 when that is not known."""
    if not memory:
        return objects
    return dataclasses.replace(
        objects,
        memory_budget=min(objects.memory_budget, memory // _BUDGET_SHARE),
        max_object_bytes=min(objects.max_object_bytes, memory // _OBJECT_SHARE),
    )


@cache
def from_environment() -> Handler:
    """
    Make the function that Lambda calls as the environment configures it, once.

    Raises:
        ConfigError, RulesError: It cannot work as configured.
    """
    logs.set_up()
    return make(_configured())


def _configured() -> Config:
    if configfiles.is_there():
        return configuration.load(None)
    return Config(json_output=True)


def _process(config: Config) -> Process:
    detector = Detector(Engine(service.load_ruleset(config), config.rule_matching), hostname())
    line = line_writer(line_form(config))

    def process(events: Sequence[Event]) -> None:
        write_all(sys.stdout.fileno(), "".join(map(line, detector.alerts(events))).encode())

    return process
