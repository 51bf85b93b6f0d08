"""``lanner doctor``: whether everything is in order here."""

import click

from lanner.cli.findings import show
from lanner.cli.options import CONFIG, OVERRIDES, RULES, instead
from lanner.errors import Exit

_HELP = """
Look at everything that the service needs here, and say what to do about what fails: the clock, the configuration, the
rules, the state directory, the outbox and the dead letters, ports, what sources read from (for a queue all that lanner
cloudtrail doctor looks at, for host events the kernel), and whether outputs can be reached. Run it as the user and with
the credentials of the service, also while that runs. Nothing is started, and no alert is sent.

Without any configuration it looks at the shipped rules and at the kernel, for lanner agent.

\b
Examples:
  lanner doctor -c lanner.yaml
  lanner doctor -o 'sources[].type=syscall'        can I watch this host?
  NO_COLOR=1 lanner doctor -c lanner.yaml > report.txt

\b
Exit status:
  0  nothing failed; there may be warnings
  1  a check failed
  2  the command line is wrong
"""


@click.command(help=_HELP)
@CONFIG
@RULES
@OVERRIDES
def doctor(path: str | None, rules: tuple[str, ...], overrides: tuple[str, ...]) -> Exit:
    """Examine the set-up and print what is found as it is found."""
    import asyncio

    from ingest.cloudtrail.doctor import summary
    from ingest.cloudtrail.findings import Finding
    from lanner.configfiles import is_there
    from lanner.doctor import examine

    if not path and not overrides and not is_there():
        overrides = instead([{"type": "syscall"}])

    async def told() -> list[Finding]:
        findings = []
        async for finding in examine(path, overrides, rules):
            show(finding)
            findings.append(finding)
        return findings

    findings = asyncio.run(told())
    click.echo(summary(findings))
    return Exit.FOUND if any(finding.state == "failed" for finding in findings) else Exit.OK
