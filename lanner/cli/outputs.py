"""``lanner outputs``: outputs tried out, and which of them get an alert."""

import json
from typing import Any

import click

from lanner.cli.options import CONFIG, OVERRIDES
from lanner.errors import Exit, UserError

_HELP = """
Try out the configured outputs, and see which of them get an alert.

\b
Examples:
  lanner outputs test -c lanner.yaml
  lanner outputs explain alert.json -c lanner.yaml
"""
_TEST = """
Send a test alert (rule "Lanner internal: test", priority debug, source internal) to each configured output, or to those
named NAME, and say what each answered. Routes and minimum_priority do not count, and nothing goes through the outbox.

\b
Examples:
  lanner outputs test -c lanner.yaml
  lanner outputs test slack pagerduty -c lanner.yaml

\b
Exit status:
  0  all have taken it
  2  the command line or the configuration is wrong
  5  one has not
"""
_EXPLAIN = """
Say for an alert as JSON, of Lanner or of Falco, which outputs get it and why: routes and minimum_priority. In a file of
lines each is one alert; - is standard input.

\b
Examples:
  lanner outputs explain alert.json -c lanner.yaml
  tail -1 events.txt | lanner outputs explain - -c lanner.yaml
"""


@click.group(help=_HELP, short_help="Try out the outputs, and see which get an alert.")
def outputs() -> None:
    """Stand for the verb without a subcommand."""


@outputs.command(help=_TEST, short_help="Send a test alert.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@CONFIG
@OVERRIDES
@click.option("--timeout", default=30.0, show_default=True, metavar="SECONDS", help="That each output has.")
def test(names: tuple[str, ...], path: str | None, overrides: tuple[str, ...], timeout: float) -> Exit:
    """Send a test alert and print what became of it."""
    import asyncio

    from lanner import config, outputcheck
    from lanner.outputset import opened

    loaded = config.load(path, overrides, needs_sources=False)
    there = [name for name, *_ in opened(loaded)]
    for name in names:
        if name not in there:
            raise click.UsageError(f"no output is called {name!r}; there are {', '.join(there)}")

    async def told() -> Exit:
        status = Exit.OK
        async for answer in outputcheck.try_out(loaded, names, timeout):
            click.echo(f"{answer.output}: {f'FAILED: {answer.wrong}' if answer.wrong else 'took it'}")
            status = Exit.OUTPUT if answer.wrong else status
        return status

    return asyncio.run(told())


@outputs.command(help=_EXPLAIN, short_help="Say which outputs get an alert, and why.")
@click.argument("file", type=click.File("r", "utf-8"), metavar="ALERT.json")
@CONFIG
@OVERRIDES
def explain(file: Any, path: str | None, overrides: tuple[str, ...]) -> Exit:
    """Print who gets what."""
    from engine.render import printable
    from lanner import config, outputcheck
    from lanner.alertjson import alert_of

    loaded = config.load(path, overrides, needs_sources=False)
    for at, told in enumerate(_alerts(file.read(), file.name), 1):
        try:
            alert = alert_of(told)
        except ValueError as error:
            raise UserError(f"{file.name}: alert {at}: {error}") from None
        click.echo(printable(f"{alert.rule!r}, {alert.priority.name.lower()}, source {alert.source}:"))
        for choice in outputcheck.explain(loaded, alert):
            click.echo(f"  {choice.output}: {'gets it' if choice.gets else 'does not get it'}")
            for why in choice.why:
                click.echo(f"    {printable(why)}")
    return Exit.OK


def _alerts(text: str, name: str) -> list[Any]:
    """Return the JSON of a file: one value, a list of them, or one on each line."""
    try:
        whole = json.loads(text)
    except ValueError:
        pass
    else:
        return whole if isinstance(whole, list) else [whole]
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise UserError(f"{name}: an alert as JSON is wanted: {error}") from None
