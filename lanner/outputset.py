"""The configured outputs together: what is on, under which name, and which alerts each gets."""

import logging
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from engine.priority import Priority
from lanner.config import Config
from lanner.outputs.base import Output
from lanner.outputs.delivery import DeadLetters, Delivery
from lanner.outputs.file import FileOutput
from lanner.outputs.lines import LineForm, line_writer
from lanner.outputs.stdout import StdoutOutput
from lanner.outputs.throttle import Throttle
from lanner.routes import wanted
from lanner.statedir import state_directory
from lanner.terminal import wants_colour

log = logging.getLogger("lanner.outputs")

DEAD_LETTERS = "dead-letters"


def line_form(config: Config) -> LineForm:
    """Return the configured form of alerts as lines, without colour."""
    included = {
        "output": config.json_include_output_property,
        "output_fields": config.json_include_output_fields_property,
        "tags": config.json_include_tags_property,
    }
    return LineForm(
        config.json_output,
        config.time_format_iso_8601,
        uid=config.alert_uid,
        without=frozenset(name for name, wanted in included.items() if not wanted),
        message=config.json_include_message_property,
    )


def make_outputs(config: Config, counters: Counter[str]) -> list[Output]:
    """Return the enabled outputs, each with its choice of alerts, not started yet."""
    dead = DeadLetters(dead_letter_folder(config))
    return [
        Delivery(output, wanted(name, least, config.routes), dead, counters, throttle)
        for name, least, output, throttle in opened(config)
    ]


def dead_letter_folder(config: Config) -> Path:
    """Return where alerts go that a destination refuses: beside the outbox."""
    beside = Path(config.outbox.path).parent if config.outbox.path not in ("", ":none") else state_directory()
    return beside / DEAD_LETTERS


def opened(config: Config) -> Iterator[tuple[str, Priority, Output, Throttle | None]]:
    """Yield each enabled output: its name for routes, its least priority, itself, not started, and its throttle."""
    form = line_form(config)
    if config.stdout_output.enabled:
        line = line_writer(replace(form, colour=wants_colour(sys.stdout)))
        yield "stdout", Priority.DEBUG, StdoutOutput(line), None
    if config.file_output.enabled:
        yield "file", Priority.DEBUG, FileOutput(config.file_output.filename, line_writer(form)), None
    for output in config.all_outputs:
        if output.name == "syslog" and config.syslog_output.enabled and not _has_syslog():
            log.warning("syslog_output: this machine has no syslog, so nothing is sent to it")
            continue
        throttle = Throttle(output.throttle) if output.throttle else None
        yield output.name, output.minimum_priority, output.open(), throttle


def _has_syslog() -> bool:
    from lanner.outputs.syslog import LOCAL

    return Path(LOCAL).exists()
