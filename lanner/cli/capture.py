"""``lanner capture``: host events into a file."""

from typing import TYPE_CHECKING

import click

from lanner.errors import Exit, UserError

if TYPE_CHECKING:
    from lanner.capture import Choice, Made

_HELP = """
Write events of this host to a capture file (.scap, compressed) that lanner scan, Falco, sysdig and Stratoshark read.

FILTER is a condition in the rules' language about fields of hosts; without it all events are written but those of mere
input and output. The file begins with the processes, descriptors and accounts that are there. Ctrl-C ends it in order.
It holds what programs were given and wrote: only you may read it.

With --trace the events are those of one COMMAND and all that it starts, for which no privilege is needed; with -r they
are those of another capture.

\b
Examples:
  lanner capture -w all.scap                                     until Ctrl-C, as root
  lanner capture -w ssh.scap proc.name=sshd and evt.type=accept4
  lanner capture -w build.scap --trace -- make test              without privileges
  lanner capture -r all.scap -w opens.scap 'evt.type in (open, openat) and fd.name startswith /etc'
  lanner scan all.scap -r my_rules.yaml                          what would my rules have said?
  sysdig -r all.scap                                             or others' tools

\b
Exit status:
  0  written
  2  the command line is wrong, or a file cannot be read or written
  3  the filter is wrong
  4  events cannot be taken
"""


@click.command(help=_HELP)
@click.argument("words", nargs=-1, metavar="[FILTER... | COMMAND...]")
@click.option("-w", "--write", "target", required=True, metavar="FILE", help="Capture file that is written.")
@click.option("-r", "--read", "origin", metavar="FILE", help="Take the events of this capture.")
@click.option("--trace", is_flag=True, help="Take the events of COMMAND alone, without privileges.")
@click.option("--filter", "condition", metavar="FILTER", default="", help="The filter, where COMMAND is given.")
@click.option("-n", "--events", "most", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), metavar="S", help="End after S seconds.")
def capture(
    words: tuple[str, ...],
    target: str,
    origin: str | None,
    trace: bool,
    condition: str,
    most: int | None,
    seconds: float | None,
) -> Exit:
    """Capture, and say how much."""
    from lanner.capture import choose
    from lanner.catalog import build_catalog
    from lanner.hostname import hostname

    _check(words, origin, trace, condition)
    chosen = choose(
        condition if trace else condition or " ".join(words), build_catalog(hostname()), most or 0, seconds or 0
    )
    made = _from_file(origin, target, chosen) if origin else _live(words if trace else (), target, chosen)
    click.echo(f"{made.written:,} events are in {target}", err=True)
    for lost in made.lost:
        click.echo(f"lanner: missing: {lost}", err=True)
    return Exit.OK


def _check(words: tuple[str, ...], origin: str | None, trace: bool, condition: str) -> None:
    """Refuse what does not go together."""
    if trace and not words:
        raise UserError("--trace wants a command: lanner capture -w FILE --trace -- COMMAND")
    if trace and origin:
        raise UserError("events come from -r or from --trace, not from both")
    if condition and words and not trace:
        raise UserError("the filter is given twice")


def _from_file(origin: str, target: str, chosen: "Choice") -> "Made":
    import os

    from lanner.capture import copy, writing

    if os.path.exists(target) and os.path.exists(origin) and os.path.samefile(origin, target):
        raise UserError(f"{target}: the capture that is read would be written over")
    try:
        stream = open(origin, "rb")  # noqa: SIM115 - closed below; what else fails tells another file
    except OSError as error:
        raise UserError(f"{origin}: {error.strerror}") from None
    with stream, writing(target) as writer:
        return copy(stream, writer, chosen)


def _live(command: tuple[str, ...], target: str, chosen: "Choice") -> "Made":
    import asyncio

    from lanner.capture import record, writing
    from lanner.logs import set_up
    from lanner.sources import SourceConfig

    set_up()
    if command:
        from ingest.syscalls.ptrace.source import TraceOptions

        source = SourceConfig.of("trace", TraceOptions(command)).open()
    else:
        from ingest.syscalls.agent import HostOptions

        source = SourceConfig.of("syscall", HostOptions()).open()
    with writing(target) as writer:
        return asyncio.run(record(source, writer, chosen))
