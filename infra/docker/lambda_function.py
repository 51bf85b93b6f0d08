"""
Lanner as a Lambda function: the handler for messages of the queue, or whatever else announces trail files.

LANNER_FETCH names what is copied into the function before its first invocation, as ``lanner-fetch`` takes it;
LANNER_CONFIG is the configuration, the same as of the service. Of it the function uses the rules, the form of alerts,
and how its first cloudtrail source reads objects. Alerts go to standard output, thus to the function's log.
"""

import logging
import os
import sys
from collections.abc import Sequence

from fetch import fetch

from engine.evaluate import Engine
from engine.event import Event
from ingest.cloudtrail.lambda_entry import Handler, Process, make_handler
from lanner import config as configuration
from lanner import logs, service
from lanner.detect import Detector
from lanner.errors import ConfigError
from lanner.hostname import hostname
from lanner.outputs.lines import LineForm, line_writer
from lanner.outputs.stdout import write_all


def make() -> Handler:
    """
    Fetch, load and return the handler.

    Raises:
        FetchError, ConfigError, RulesError: The function cannot work as configured; Lambda logs it and tries again.
    """
    logs.set_up()
    for file in fetch(os.environ.get("LANNER_FETCH", "").split()):
        logging.getLogger("lanner.lambda").info("fetched %s", file)
    config = configuration.load(None)
    sources = [source for source in config.sources if source.type == "cloudtrail"]
    if not sources:
        raise ConfigError("the configuration has no source of type cloudtrail")
    options = sources[0].options
    return make_handler(_process(config), options.aws, options.objects, options.dedup)


def _process(config: configuration.Config) -> Process:
    detector = Detector(Engine(service.load_ruleset(config), config.rule_matching), hostname())
    line = line_writer(LineForm(config.json_output, config.time_format_iso_8601))

    def process(events: Sequence[Event]) -> None:
        write_all(sys.stdout.fileno(), "".join(map(line, detector.alerts(events))).encode())

    return process


handler = make()
