"""``lanner agent``: the service for this host."""

import click

from lanner.cli.options import RULES, instead, selection
from lanner.errors import Exit, UserError

_HELP = """
Watch this host: evaluate the rules on its system calls and processes, deliver the alerts.

It is lanner run with one source: the system calls of this host, taken by eBPF, which wants root or CAP_BPF and
CAP_PERFMON. With --trace it is those of one COMMAND and all that it starts, taken by ptrace: for that no privilege is
needed, x86-64 Linux alone. A traced program runs slower where rules ask for its calls; it ends when lanner does, and
programs that change the user, such as sudo, do not unless you are root.

\b
Examples:
  lanner agent -r falco_rules.yaml                  Falco's rules on this host
  lanner agent -c lanner.yaml                       rules and outputs of a configuration
  lanner agent -o 'sources[0].mode=full'            see 32-bit calls, too
  lanner agent -r my_rules.yaml --trace -- make test
                                                    what does my build do?
"""


@click.command(help=_HELP)
@click.argument("command", nargs=-1, metavar="[COMMAND...]")
@click.option("--trace", is_flag=True, help="Watch COMMAND alone, without privileges.")
@click.option("-c", "--config", "path", metavar="FILE", help="Configuration file; its sources are not used.")
@RULES
@click.option(
    "-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key of the configuration over it."
)
@selection
@click.option("--dry-run", is_flag=True, help="Load configuration and rules, say what would run, start nothing.")
def agent(
    command: tuple[str, ...],
    trace: bool,
    path: str | None,
    rules: tuple[str, ...],
    overrides: tuple[str, ...],
    dry_run: bool,
    **chosen: tuple[str, ...],
) -> Exit:
    """Watch the host or a program."""
    from lanner.cli.run import start
    from lanner.sources import SourceStartError

    if trace != bool(command):
        raise UserError("--trace and a command belong together: lanner agent --trace -- COMMAND")
    source = {"type": "trace", "command": command} if trace else {"type": "syscall"}
    try:
        return start(path, (*instead([source]), *overrides), rules, dry_run, chosen)
    except SourceStartError as error:
        if trace:
            raise
        hint = "one program can be watched without privileges: lanner agent --trace -- COMMAND"
        raise SourceStartError(f"{error}\nlanner: {hint}") from None
