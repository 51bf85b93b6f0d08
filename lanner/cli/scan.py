"""``lanner scan``: detect in files."""

import sys
from typing import TYPE_CHECKING

import click

from engine.priority import Priority
from lanner.cli.options import FILE_SOURCE, PRIORITY, RULE_MATCHING, RULES
from lanner.errors import Exit, UserError

if TYPE_CHECKING:
    from lanner.detect import Detector
    from lanner.outputs.lines import LineForm
    from lanner.payloads import Payload
    from lanner.scan import Scan

_HELP = """
Read files of events, evaluate the rules and print the alerts. Changes nothing and sends nothing.

A PATH is a file, a folder (all .json, .jsonl, .ndjson and .log files in it and below, also with .gz), or - for standard
input. What a file holds is told by its content: CloudTrail files, single records and lookup-events answers; Kubernetes
audit Events, EventLists, arrays and logs with one event per line; compressed or not.

Alerts go to standard output, progress and statistics to standard error.

\b
Examples:
  lanner scan AWSLogs/                              the shipped rules on a copy of a trail's bucket
  lanner scan audit.log.1.gz -r rules.yaml --json   your rules, one JSON object per alert
  kubectl logs audit-0 | lanner scan -              whatever comes on standard input
  lanner scan AWSLogs/ --fail-on critical           for scripts: exit status 1 when it is serious

\b
Exit status:
  0  all files were scanned
  1  an alert of the priority given with --fail-on or worse; or, with --strict, a file that cannot be read
  2  the command line is wrong
  3  a rule file is wrong
"""


@click.command(help=_HELP)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@RULES
@click.option(
    "--source", type=FILE_SOURCE, metavar="NAME", help="Event source of all files.  [default: told by content]"
)
@click.option("--json", "as_json", is_flag=True, help="Alerts as JSON in Falco's form, one per line.")
@click.option("--min-priority", type=PRIORITY, default="debug", show_default=True, help="Leave out less severe rules.")
@click.option("--fail-on", type=PRIORITY, help="Exit with 1 when an alert is this severe or more.")
@click.option("--strict", is_flag=True, help="Exit with 1 when a file cannot be read.")
@RULE_MATCHING
@click.option("--iso-time", is_flag=True, help="Times in UTC as ISO 8601 instead of the local time of day.")
def scan(
    paths: tuple[str, ...],
    rules: tuple[str, ...],
    source: str | None,
    as_json: bool,
    min_priority: Priority,
    fail_on: Priority | None,
    strict: bool,
    rule_matching: str,
    iso_time: bool,
) -> Exit:
    """Scan, and say how it went by the exit status."""
    from lanner.outputs.lines import LineForm
    from lanner.scan import Scan
    from lanner.summary import scan_lines
    from lanner.terminal import wants_colour

    payloads = _find(paths)
    scan = Scan(_detector(rules, min_priority, rule_matching), source or "")
    _print_alerts(scan, payloads, LineForm(as_json, iso_time, wants_colour(sys.stdout)))
    for line in scan_lines(scan.detector.tally, scan.outcome, wants_colour(sys.stderr)):
        click.echo(line, err=True, color=True)
    failed = (fail_on is not None and scan.detector.tally.reached(fail_on)) or (strict and scan.outcome.unreadable)
    return Exit.FOUND if failed else Exit.OK


def _find(paths: tuple[str, ...]) -> "list[Payload]":
    from lanner.payloads import find

    try:
        return find(paths)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None


def _detector(rules: tuple[str, ...], min_priority: Priority, rule_matching: str) -> "Detector":
    from engine.evaluate import Engine
    from engine.load import LoadOptions
    from lanner import rulefiles
    from lanner.catalog import build_catalog
    from lanner.detect import Detector
    from lanner.hostname import hostname

    name = hostname()
    ruleset = rulefiles.load(rules, build_catalog(name), LoadOptions(min_priority=min_priority))
    return Detector(Engine(ruleset, matching=rule_matching), name)


def _print_alerts(scan: "Scan", payloads: "list[Payload]", form: "LineForm") -> None:
    from lanner.cli.progress import bar
    from lanner.outputs.lines import line_writer

    write = line_writer(form)
    with bar(sum(payload.size for payload in payloads)) as shown:
        scan.advance = shown.advance
        for alerts in scan.alerts(payload.path for payload in payloads):
            if alerts:
                with shown.aside():
                    sys.stdout.write("".join(map(write, alerts)))
    sys.stdout.flush()
