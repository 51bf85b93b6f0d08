"""``lanner outbox``: what waits for outputs, and what their destinations have refused."""

import json
from typing import TYPE_CHECKING, Any

import click

from lanner.cli.options import CONFIG, OVERRIDES
from lanner.errors import Exit

if TYPE_CHECKING:
    from lanner.config import Config
    from lanner.deadletters import Letter
    from lanner.waiting import Waiting

_HELP = """
See what outputs have not taken yet, and what their destinations refused: the dead letters.

All of it works while the service runs.

\b
Examples:
  lanner outbox list -c lanner.yaml
  lanner outbox retry -c lanner.yaml               send the dead letters again
"""
_LIST = """
List what waits for each output, and the dead letters: when, which rule, and why it was refused.

\b
Examples:
  lanner outbox list -c lanner.yaml
  lanner outbox list -c lanner.yaml --json | jq .dead_letters[].refused
"""
_RETRY = """
Send dead letters again through their outputs, of all or of those named NAME. Those that are taken leave the file; the
others stay, with what was answered this time.

\b
Examples:
  lanner outbox retry -c lanner.yaml
  lanner outbox retry slack -c lanner.yaml

\b
Exit status:
  0  all were taken, or there were none
  2  the command line or the configuration is wrong
  5  some were not
"""
_DROP = """
Delete dead letters, of all outputs or of those named NAME, after a question. What waits in the outbox stays.

\b
Examples:
  lanner outbox drop slack -c lanner.yaml
  lanner outbox drop -c lanner.yaml --yes
"""
_NAMES = click.argument("names", nargs=-1, metavar="[NAME]...")


@click.group(help=_HELP, short_help="See and settle what outputs have not taken.")
def outbox() -> None:
    """Stand for the verb without a subcommand."""


@outbox.command("list", help=_LIST, short_help="List what waits, and dead letters.")
@CONFIG
@OVERRIDES
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_outbox(path: str | None, overrides: tuple[str, ...], as_json: bool) -> Exit:
    """Print what waits and what was refused."""
    from lanner import deadletters, waiting
    from lanner.outputset import dead_letter_folder

    config = _config(path, overrides)
    found = {str(file): waiting.look(file) for file in waiting.outbox_paths(config)}
    letters = deadletters.read(dead_letter_folder(config))
    if as_json:
        click.echo(json.dumps(_as_json(found, letters), indent=2, ensure_ascii=False))
        return Exit.OK
    for file, rows in found.items():
        click.echo(f"{file}:")
        for row in rows:
            click.echo(f"  {_waiting(row)}")
    if not found:
        click.echo("no outbox is there")
    click.echo(f"dead letters: {len(letters) or 'none'}")
    for letter in letters:
        click.echo(f"  {_shown(letter)}")
    return Exit.OK


@outbox.command(help=_RETRY, short_help="Send dead letters again.")
@_NAMES
@CONFIG
@OVERRIDES
def retry(names: tuple[str, ...], path: str | None, overrides: tuple[str, ...]) -> Exit:
    """Send dead letters again."""
    import asyncio

    from lanner import deadletters
    from lanner.outputset import dead_letter_folder, opened

    config = _config(path, overrides)
    outputs = {output.name: output for _, _, output, _ in opened(config)}
    status = Exit.OK
    with deadletters.claimed(dead_letter_folder(config)) as letters:
        for name in _chosen(letters, names):
            mine = [letter for letter in letters if letter.output == name]
            if name not in outputs:
                click.echo(f"{name}: no output has this name now; {len(mine)} left", err=True)
                status = Exit.OUTPUT
                continue
            done = asyncio.run(deadletters.send_again(outputs[name], mine))
            letters[:] = [letter for letter in letters if letter.output != name] + done.left
            click.echo(f"{name}: took {done.taken}, {len(done.left)} left{f': {_reason(done)}' if done.left else ''}")
            status = Exit.OUTPUT if done.left else status
    return status


@outbox.command(help=_DROP, short_help="Delete dead letters.")
@_NAMES
@CONFIG
@OVERRIDES
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(names: tuple[str, ...], path: str | None, overrides: tuple[str, ...], yes: bool) -> Exit:
    """Delete dead letters."""
    from lanner import deadletters
    from lanner.outputset import dead_letter_folder

    config = _config(path, overrides)
    with deadletters.claimed(dead_letter_folder(config)) as letters:
        chosen = _chosen(letters, names)
        count = sum(letter.output in chosen for letter in letters)
        if not count:
            click.echo("there are no dead letters")
        elif yes or click.confirm(f"delete {count} of {', '.join(chosen)} for good?"):
            letters[:] = [letter for letter in letters if letter.output not in chosen]
            click.echo(f"deleted {count}")
    return Exit.OK


def _config(path: str | None, overrides: tuple[str, ...]) -> "Config":
    from lanner import config

    return config.load(path, overrides, needs_sources=False)


def _chosen(letters: "list[Letter]", names: tuple[str, ...]) -> list[str]:
    """Return the outputs that have letters, those named or all."""
    there = list(dict.fromkeys(letter.output for letter in letters))
    for name in names:
        if name not in there:
            known = f"there are of {', '.join(there)}" if there else "there are none"
            raise click.UsageError(f"no dead letters of {name!r}; {known}")
    return [name for name in there if name in names or not names]


def _reason(done: Any) -> str:
    return str(done.why or done.left[-1].why)


def _waiting(row: "Waiting") -> str:
    from engine.render import printable
    from engine.times import utc_json
    from lanner.summary import counted

    if row.first is None:
        return f"{row.output}: nothing waits"
    first = f"the first {row.first.rule!r} of {utc_json(row.first.time_ns)}"
    return printable(f"{row.output}: {counted(row.count, 'alert')} waiting, {first}")


def _shown(letter: "Letter") -> str:
    from engine.render import printable
    from engine.times import utc_json

    if letter.alert is None:
        return f"{letter.output}: {letter.why}"
    when = utc_json(int(letter.at) * 1_000_000_000)[:19]
    return printable(f"{letter.output}: {when}Z {letter.alert.rule!r}: {letter.why}")


def _as_json(found: "dict[str, list[Waiting]]", letters: "list[Letter]") -> dict[str, Any]:
    waiting = [
        {"outbox": file, "output": row.output, "waiting": row.count} for file, rows in found.items() for row in rows
    ]
    told = []
    for letter in letters:
        alert = json.loads(letter.alert.json(with_uid=True)) if letter.alert else None
        told.append({"output": letter.output, "refused": letter.why, "at": letter.at, "alert": alert})
    return {"waiting": waiting, "dead_letters": told}
