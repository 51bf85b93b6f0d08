"""``lanner scan``: detect in files."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from engine.priority import Priority
from lanner.cli.options import FILE_SOURCE, PRIORITY, RULE_MATCHING, RULES, selected, selection
from lanner.errors import Exit, UserError

if TYPE_CHECKING:
    from engine.selection import Selection
    from ingest.cloudtrail.options import S3Options
    from lanner.detect import Detector
    from lanner.outputs.lines import LineForm
    from lanner.payloads import Payload
    from lanner.scan import Scan

_S3 = "s3://"
_BETWEEN_LOOKS = 1.0  # seconds
_HELP = """
Read files of events, evaluate the rules and print the alerts. Changes nothing and sends nothing.

A PATH is a file, a folder (all .json, .jsonl, .ndjson, .log and .scap files in it and below, also with .gz), or - for
standard input, or s3://BUCKET[/PREFIX] for the CloudTrail files of a bucket, found in any layout that AWS delivers.
What a file holds is told by its content: CloudTrail files, single records and lookup-events answers; Kubernetes audit
Events, EventLists, arrays and logs with one event per line; captures of Falco, sysdig and Stratoshark (.scap);
compressed or not.

Alerts go to standard output, progress and statistics to standard error.

\b
Examples:
  lanner scan AWSLogs/                              the shipped rules on a copy of a trail's bucket
  lanner scan audit.log.1.gz -r rules.yaml --json   your rules, one JSON object per alert
  kubectl logs audit-0 | lanner scan -              whatever comes on standard input
  lanner scan trace.scap -r falco_rules.yaml        Falco's rules on a capture of host events
  lanner scan AWSLogs/ --fail-on critical           for scripts: exit status 1 when it is serious
  lanner scan s3://my-trail --from 5d --to 2d       three days of a trail in its bucket
  lanner scan s3://my-trail --from 1h --follow      and what comes from now on, until Ctrl-C
  lanner scan AWSLogs/ audit.log --follow           also files and folders, as they come and grow

\b
Exit status:
  0  all files were scanned
  1  an alert of the priority given with --fail-on or worse; or, with --strict, a file that cannot be read
  2  the command line is wrong
  3  a rule file is wrong
  4  a bucket cannot be read, or not to its end
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
@selection
@RULE_MATCHING
@click.option("--iso-time", is_flag=True, help="Times in UTC as ISO 8601 instead of the local time of day.")
@click.option("--from", "start", metavar="TIME", help="s3: files from then on: 5d, 36h or 2026-01-02T00:00:00Z.")
@click.option("--to", "end", metavar="TIME", help="s3: files until then, in the same forms.")
@click.option("--accounts", metavar="ID,...", help="s3: only these accounts.")
@click.option("--regions", metavar="NAME,...", help="s3: only these regions.")
@click.option("--profile", metavar="NAME", help="s3: profile of the AWS configuration.")
@click.option("--endpoint-url", metavar="URL", help="s3: used instead of AWS's own.")
@click.option("--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--checkpoint", metavar="FILE", help="s3, --follow: remembers what was read, so that a later scan goes on there."
)
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
    follow: bool,
    checkpoint: str | None,
    disabled_names: tuple[str, ...],
    disabled_tags: tuple[str, ...],
    only_tags: tuple[str, ...],
    **bucket: Any,
) -> Exit:
    """Scan, and say how it went by the exit status."""
    from lanner.outputs.lines import LineForm
    from lanner.scan import Scan
    from lanner.sources import SourceStartError
    from lanner.summary import scan_lines
    from lanner.terminal import wants_colour

    buckets = [
        _bucket(path, {**bucket, "follow": follow, "checkpoint": checkpoint}) for path in paths if path.startswith(_S3)
    ]
    local = [path for path in paths if not path.startswith(_S3)]
    payloads = _find(local)
    _check(local, len(buckets), any(bucket.values()), follow, checkpoint)
    chosen = selected(disabled_names, disabled_tags, only_tags)
    scan = Scan(_detector(rules, min_priority, rule_matching, chosen), source or "")
    form = LineForm(as_json, iso_time, wants_colour(sys.stdout))
    failure: UserError | None = None
    if payloads and not follow:
        _print_alerts(scan, payloads, form)
    try:
        if local and follow:
            _print_alerts_as_they_come(scan, local, checkpoint or "", form)
        for options in buckets:
            _print_alerts_of_bucket(scan, options, form)
    except SourceStartError as error:
        failure = error
    except KeyboardInterrupt:
        if not follow:
            raise
    for line in scan_lines(scan.detector.tally, scan.outcome, wants_colour(sys.stderr)):
        click.echo(line, err=True, color=True)
    if failure:
        raise failure
    failed = (fail_on is not None and scan.detector.tally.reached(fail_on)) or (strict and scan.outcome.unreadable)
    return Exit.FOUND if failed else Exit.OK


def _check(local: Sequence[str], buckets: int, for_bucket: bool, follow: bool, checkpoint: str | None) -> None:
    """Refuse what does not go together."""
    if for_bucket and (local or not buckets):
        raise UserError("options for s3 do not go with other paths")
    if checkpoint and local and not follow:
        raise UserError("--checkpoint is for buckets, and for what is followed: add --follow")
    if follow and (buckets > 1 or (buckets and local)):
        raise UserError("--follow takes one bucket, or files and folders; start another scan for the others")
    if follow and "-" in local:
        raise UserError("standard input is read to its end; it cannot be followed")


def _bucket(location: str, given: dict[str, Any]) -> "S3Options":
    """Return the options of a bucket: those of its location, and over them those of the command line."""
    from dataclasses import replace

    from ingest.base import SourceError
    from ingest.cloudtrail import open_params
    from ingest.cloudtrail.interval import parse_interval, utc_now
    from ingest.cloudtrail.listing import parse_location
    from ingest.cloudtrail.options import S3Options

    changes: dict[str, Any] = {key: _parts(given[key]) for key in ("accounts", "regions") if given[key]}
    changes |= {key: given[key] for key in ("checkpoint", "follow") if given[key]}
    if given["start"] or given["end"]:
        changes["interval"] = open_params.interval_between(given["start"] or "", given["end"] or "")
    try:
        options = open_params.translate(location).options
        assert isinstance(options, S3Options)
        aws = {key: given[key] for key in ("profile", "endpoint_url") if given[key]}
        options = replace(options, **changes, aws=replace(options.aws, **aws))
        parse_location(options.location)
        parse_interval(options.interval, utc_now())
    except SourceError as error:
        raise UserError(f"{location}: {error}") from None
    return options


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _find(paths: Sequence[str]) -> "list[Payload]":
    from lanner.payloads import find

    try:
        found = find(paths)
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None
    if paths and not found:
        what = "of a folder the .json, .jsonl, .ndjson, .log and .scap files are read, also with .gz"
        click.echo(f"lanner: no file was found: {what}", err=True)
    return found


def _detector(
    rules: tuple[str, ...], min_priority: Priority, rule_matching: str, chosen: "tuple[Selection, ...]"
) -> "Detector":
    from engine.evaluate import Engine
    from engine.load import LoadOptions
    from lanner import rulefiles
    from lanner.catalog import build_catalog
    from lanner.detect import Detector
    from lanner.hostname import hostname

    name = hostname()
    ruleset = rulefiles.load(rules, build_catalog(name), LoadOptions(min_priority=min_priority, selection=chosen))
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


def _print_alerts_as_they_come(scan: "Scan", paths: Sequence[str], checkpoint: str, form: "LineForm") -> None:
    from ingest.base import SourceError
    from lanner.follow import Follower
    from lanner.marks import Marks
    from lanner.outputs.lines import line_writer
    from lanner.sources import SourceStartError

    write = line_writer(form)
    began, told = time.monotonic(), 0
    try:
        follower = Follower(paths, scan.source, Marks(checkpoint))
        while True:
            for alerts in scan.look(follower):
                sys.stdout.write("".join(map(write, alerts)))
                sys.stdout.flush()
            for what in scan.outcome.unreadable[told:]:
                click.echo(f"lanner: {what}", err=True)
            told = len(scan.outcome.unreadable)
            time.sleep(_BETWEEN_LOOKS)
    except SourceError as error:
        raise SourceStartError(str(error)) from None
    finally:
        scan.outcome.seconds = time.monotonic() - began


def _print_alerts_of_bucket(scan: "Scan", options: "S3Options", form: "LineForm") -> None:
    from lanner.bucketscan import BucketScan
    from lanner.cli.progress import bucket_bar
    from lanner.outputs.lines import line_writer

    write = line_writer(form)
    with bucket_bar() as shown, _noted(shown.note):
        reading = BucketScan(scan, options, measured=shown.shown)
        counters = reading.source.counters
        for alerts in reading.alerts():
            shown.update(counters["objects:done"], counters["bytes"], counters["events"], reading.total)
            if alerts:
                with shown.aside():
                    sys.stdout.write("".join(map(write, alerts)))
                    sys.stdout.flush()


@contextmanager
def _noted(note: Callable[[str], None]) -> Iterator[None]:
    """Show what the source warns of while it reads."""
    import logging

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            note(record.getMessage())

    handler, logger = Noting(logging.WARNING), logging.getLogger("lanner.cloudtrail")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
