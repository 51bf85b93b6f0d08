"""``lanner silence``: alerts that nobody wants for a while."""

from typing import TYPE_CHECKING

import click

from lanner.cli.options import RULES
from lanner.errors import Exit

if TYPE_CHECKING:
    from pathlib import Path

    from lanner.silences import Silence

_HELP = """
Hide alerts for a while, with a reason. A running service takes it within seconds; it counts what it hides.

\b
Examples:
  lanner silence add --rule 'Trail stopped' --match 'ct.user = bob' --for 4h --why 'bob moves the trail, CHG-42'
  lanner silence list
  lanner silence remove 3fa9c1
"""
_ADD = """
Hide the alerts of a rule, or of all rules whose name fits, while a condition on the event holds.

\b
Examples:
  lanner silence add --rule 'Root *' --for 2h --why 'break-glass drill'
  lanner silence add --rule '*' --match 'ct.srcip = 192.0.2.7' --for 1d --why 'penetration test'
"""
_LIST = """
List silences that have not ended.

\b
Examples:
  lanner silence list
  lanner silence list --json
"""
_REMOVE = """
Remove silences by their ids.

\b
Examples:
  lanner silence remove 3fa9c1
"""

_FILE = click.option("--file", "path", metavar="FILE", help="File of silences; by default that of the state directory.")


@click.group(help=_HELP)
def silence() -> None:
    """Stand for the verb without a subcommand."""


@silence.command(help=_ADD)
@click.option("--rule", required=True, metavar="NAME", help="Name of the rules; * stands for any text.")
@click.option("--match", "condition", default="", metavar="CONDITION", help="Condition on the event; without it all.")
@click.option("--for", "duration", required=True, metavar="TIME", help="How long: 30m, 4h, 2d.")
@click.option("--why", required=True, metavar="TEXT", help="The reason, for whoever looks at the list.")
@RULES
@_FILE
def add(rule: str, condition: str, duration: str, why: str, rules: tuple[str, ...], path: str | None) -> Exit:
    """Make a silence."""
    import getpass
    from fnmatch import fnmatchcase

    from engine.load import LoadOptions
    from lanner import durations, rulefiles, silences
    from lanner.catalog import build_catalog
    from lanner.hostname import hostname

    try:
        if duration.strip().isdigit():
            raise ValueError(f"{duration} of what? write {duration}m, {duration}h or {duration}d")
        seconds = durations.seconds(duration)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--for") from None
    catalog = build_catalog(hostname())
    known = rulefiles.load(rules, catalog, LoadOptions()).rules
    sources = sorted({one.source for one in known if fnmatchcase(one.name, rule)})
    if not sources:
        click.echo(f"note: no shipped rule is called {rule!r}; -r names the files of yours", err=True)
    made = silences.new(rule, condition, seconds, why, getpass.getuser())
    silences.check(made, catalog, sources or catalog.sources)
    place = _place(path)
    silences.write(place, [*silences.read(place), made])
    click.echo(f"{made.id}: {rule!r} is silent for {durations.shown(seconds)}")
    return Exit.OK


@silence.command("list", help=_LIST)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@_FILE
def list_(as_json: bool, path: str | None) -> Exit:
    """List silences."""
    import json
    from dataclasses import asdict

    from lanner import silences

    found = silences.read(_place(path))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
        return Exit.OK
    if not found:
        click.echo("no silences")
    for one in found:
        click.echo(_line(one))
    return Exit.OK


@silence.command(help=_REMOVE)
@click.argument("ids", nargs=-1, required=True)
@_FILE
def remove(ids: tuple[str, ...], path: str | None) -> Exit:
    """Remove silences."""
    from lanner import silences
    from lanner.errors import UserError

    place = _place(path)
    found = silences.read(place)
    if unknown := set(ids) - {one.id for one in found}:
        raise UserError(f"no silence is called {', '.join(sorted(unknown))}; lanner silence list shows them")
    silences.write(place, [one for one in found if one.id not in ids])
    return Exit.OK


def _place(path: str | None) -> "Path":
    from pathlib import Path

    from lanner.silences import FILE
    from lanner.statedir import state_directory

    return Path(path) if path else state_directory() / FILE


def _line(one: "Silence") -> str:
    import time

    from lanner.durations import shown

    left = max(1, round((one.until - time.time()) / 60)) * 60
    where = f" where {one.match}" if one.match else ""
    return f"{one.id}  {one.rule!r}{where}, {shown(left)} left: {one.why} ({one.by})"
