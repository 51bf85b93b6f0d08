"""``lanner reload``: other rules into a running service."""

import click

from lanner.cli.options import CONFIG, OVERRIDES
from lanner.errors import Exit

_HELP = """
Ask a running lanner run to load its rules and its configuration anew (SIGHUP), and say whether it took them.

The process is PROCESS, or that of the file of -P, or that of the file beside the outbox of the configuration. Whether
it took the rules is read from its metrics, which want webserver: {enabled: true}; without them its log says it.

\b
Examples:
  lanner reload -c lanner.yaml
  lanner reload -c lanner.yaml 4711
  lanner reload -c lanner.yaml -P /run/lanner.pid

\b
Exit status:
  0  the rules were taken, or its metrics do not tell
  1  it has not answered
  2  the configuration is wrong, or there is no such process
  3  the rules were refused; the old ones stay in force
"""


@click.command(help=_HELP)
@click.argument("number", required=False, type=click.IntRange(min=1), metavar="[PROCESS]")
@CONFIG
@OVERRIDES
@click.option("-P", "--pidfile", metavar="FILE", help="File with the process number.")
@click.option("--timeout", default=60.0, show_default=True, metavar="SECONDS", help="To wait for its answer.")
def reload(
    number: int | None, path: str | None, overrides: tuple[str, ...], pidfile: str | None, timeout: float
) -> Exit:
    """Ask for other rules."""
    from lanner import askreload, config
    from lanner.summary import counted

    loaded = config.load(path, overrides, needs_sources=False)
    process = number or askreload.process(loaded, pidfile)
    done = askreload.reload(loaded, process, timeout)
    if done.taken:
        click.echo(f"process {process} took them: {counted(done.rules, 'rule')} in force")
        return Exit.OK
    if done.taken is False:
        click.echo(f"process {process} refused them; its log says why, and the old rules stay in force", err=True)
        return Exit.RULES
    click.echo(f"process {process} was asked; {done.why}", err=True)
    return Exit.FOUND if done.why.startswith("it has not answered") else Exit.OK
