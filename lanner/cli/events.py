"""``lanner events``: harmless events to watch rules fire."""

import click

from lanner.errors import Exit

_HELP = """
Make events that rules for hosts are about, without harm, to see alerts come out.

\b
Examples:
  lanner agent &                           watch this host
  lanner events generate --list            what can be done, and which rule it is about
  lanner events generate shadow netcat     do these two
  lanner events generate --all             do everything
"""
_GENERATE = """
Do harmless versions of what attackers do: copies of a program that does nothing are started under other names, files
with a comment are made and removed. Nothing that is there is changed. Some need root.

\b
Examples:
  lanner events generate --list
  lanner events generate shadow fileless
  lanner events generate --all --sleep 0.5
"""


@click.group(help=_HELP)
def events() -> None:
    """Stand for the verb without a subcommand."""


@events.command(help=_GENERATE)
@click.argument("actions", nargs=-1, metavar="[ACTION...]")
@click.option("--list", "listed", is_flag=True, help="List the actions and do nothing.")
@click.option("--all", "everything", is_flag=True, help="Do all of them.")
@click.option("--sleep", default=0.1, show_default=True, metavar="SECONDS", help="Wait so long between two actions.")
def generate(actions: tuple[str, ...], listed: bool, everything: bool, sleep: float) -> Exit:
    """Do some actions."""
    import difflib

    from lanner.generated import ACTIONS

    if listed:
        width = max(map(len, ACTIONS))
        for action in ACTIONS.values():
            click.echo(f"{action.name:<{width}}  {action.rule}\n{'':<{width}}  {action.does}")
        return Exit.OK
    for name in actions:
        if name not in ACTIONS:
            near = difflib.get_close_matches(name, ACTIONS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else "--list shows them"
            raise click.UsageError(f"no action {name!r}; {hint}")
    if not actions and not everything:
        raise click.UsageError("name actions, or --all; --list shows them")
    return _do(list(ACTIONS) if everything else list(actions), sleep)


def _do(names: list[str], sleep: float) -> Exit:
    import tempfile
    import time
    from pathlib import Path

    from lanner.generated import ACTIONS
    from lanner.generator import Skipped, perform

    skipped = 0
    for name in names:
        action = ACTIONS[name]
        with tempfile.TemporaryDirectory(prefix="lanner-generated-") as folder:
            try:
                perform(action, Path(folder))
                click.echo(f"done     {name}: {action.rule}")
            except (Skipped, OSError) as error:
                skipped += 1
                click.echo(f"skipped  {name}: {error}")
        time.sleep(sleep)
    return Exit.FOUND if skipped == len(names) else Exit.OK
