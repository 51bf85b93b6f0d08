"""``lanner cloudtrail``: whether what AWS has to have for it is in order."""

from typing import TYPE_CHECKING, Any

import click

from lanner.cli.findings import show
from lanner.errors import ConfigError, Exit, UserError

if TYPE_CHECKING:
    from ingest.cloudtrail.findings import Finding
    from ingest.cloudtrail.options import SqsOptions

_DOCTOR_HELP = """
Look at everything between a trail and the alerts: credentials, clock, region, the queue with its policy, dead letters
and one message, the bucket with its notification, the trail, and one file. Say what to do about what fails.

QUEUE is sqs://NAME, or sqs:// and the queue's URL or ARN; without it the first source of type cloudtrail of the
configuration is looked at. Run it with the credentials that the service has. Nothing is deleted; one message is
received and given back.

\b
Examples:
  lanner cloudtrail doctor -c lanner.yaml
  lanner cloudtrail doctor sqs://lanner-cloudtrail --profile security --region eu-west-1
  lanner cloudtrail doctor sqs://lanner-cloudtrail --bucket acme-trail

\b
Exit status:
  0  nothing failed; there may be warnings
  1  a check failed
  2  the command line or the configuration is wrong
"""


@click.group(short_help="Look whether a trail's queue, bucket and permissions are in order.")
def cloudtrail() -> None:
    """Look after what AWS has to have so that Lanner sees a trail."""


@cloudtrail.command(help=_DOCTOR_HELP, short_help="Say what keeps events from arriving, and what to do about it.")
@click.argument("queue", required=False, metavar="[QUEUE]")
@click.option("-c", "--config", "path", metavar="FILE", help="Configuration file.")
@click.option("--source", metavar="NAME", help="Name of the source in the configuration.")
@click.option("--bucket", default="", metavar="NAME", help="Bucket of the trail.  [default: told by the queue]")
@click.option("--profile", metavar="NAME", help="Profile of the AWS configuration.")
@click.option("--region", metavar="NAME", help="Region of the queue.")
@click.option("--endpoint-url", metavar="URL", help="Used instead of AWS's own.")
def doctor(queue: str | None, path: str | None, source: str | None, bucket: str, **aws: Any) -> Exit:
    """Examine a source and print what is found as it is found."""
    import asyncio

    from ingest.base import SourceError

    if queue and (path or source):
        raise UserError("give a queue, or a configuration with -c")
    options = _options(queue, path, source, {key: value for key, value in aws.items() if value})
    try:
        findings = asyncio.run(_examined(options, bucket))
    except SourceError as error:
        raise UserError(str(error)) from None
    return Exit.FOUND if any(finding.state == "failed" for finding in findings) else Exit.OK


def _options(queue: str | None, path: str | None, source: str | None, aws: dict[str, Any]) -> "SqsOptions":
    """Return the options of a queue, or of a source in the configuration, with those of the command line over them."""
    from dataclasses import replace

    from ingest.cloudtrail.options import SqsOptions
    from lanner import config

    options = SqsOptions(queue) if queue else None
    if options is None:
        for configured in config.load(path).sources:
            if isinstance(configured.options, SqsOptions) and source in (None, configured.name):
                options = configured.options
                break
    if options is None:
        raise ConfigError(f"no source of type cloudtrail{f' is named {source}' if source else ' is configured'}")
    return replace(options, aws=replace(options.aws, **aws))


async def _examined(options: "SqsOptions", bucket: str) -> "list[Finding]":
    from ingest.cloudtrail.doctor import examine, summary

    findings = []
    async for finding in examine(options, bucket):
        findings.append(finding)
        show(finding)
    click.echo(summary(findings))
    return findings
