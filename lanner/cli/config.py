"""``lanner config``: what the configuration says, and whether it is right."""

import click

from lanner.errors import Exit

_HELP = """
Show, check and describe the configuration.

\b
Examples:
  lanner config check -c lanner.yaml            find mistakes, and keys that have no effect
  lanner config show -c lanner.yaml             what all files and -o together say, and where
  lanner config sample > lanner.yaml            a file to start from, every key with its sentence
  lanner config schema > lanner.schema.json     for the editor
"""
_CHECK = """
Check the configuration; exit status 2 when something is wrong.

\b
Examples:
  lanner config check -c lanner.yaml
  lanner config check -c falco.yaml --strict        also fail on keys that have no effect
"""
_SHOW = """
Show what all files and -o together say, each key with its place; secrets are masked.

\b
Examples:
  lanner config show -c lanner.yaml
  lanner config show -c lanner.yaml -o json_output=true
"""
_SCHEMA = """
Print the JSON Schema of the configuration.

\b
Examples:
  lanner config schema > lanner.schema.json
"""
_SAMPLE = """
Print a configuration file with every key at its default.

\b
Examples:
  lanner config sample > lanner.yaml
"""
_FILE = click.option("-c", "--config", "path", metavar="FILE", help="Configuration file; by default as in lanner run.")
_OVER = click.option(
    "-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key of the configuration over it."
)


@click.group(help=_HELP)
def config() -> None:
    """Stand for the verb without a subcommand."""


@config.command(help=_CHECK)
@_FILE
@_OVER
@click.option("--strict", is_flag=True, help="Also fail on keys without effect and variables that are not set.")
def check(path: str | None, overrides: tuple[str, ...], strict: bool) -> Exit:
    """Read the configuration and tell what is wrong with it."""
    from lanner import config as configuration

    loaded = configuration.load_all(path, overrides)
    for note in loaded.notes:
        click.echo(f"note: {note}", err=True)
    if strict and loaded.notes:
        return Exit.USAGE
    names = ", ".join(name for name, _ in loaded.files) or "the command line"
    click.echo(f"{names}: the configuration is right")
    return Exit.OK


@config.command(help=_SHOW)
@_FILE
@_OVER
def show(path: str | None, overrides: tuple[str, ...]) -> Exit:
    """Print the merged configuration."""
    import yaml

    from lanner import config as configuration
    from lanner.redact import redacted
    from lanner.yamltree import pairs, place, plain

    for key, node in pairs(configuration.load_all(path, overrides).tree):
        value = redacted({key.value: plain(node)})
        click.echo(f"# {place(node)}\n{yaml.safe_dump(value, sort_keys=False, allow_unicode=True)}", nl=False)
    return Exit.OK


@config.command(help=_SCHEMA)
def schema() -> Exit:
    """Print the schema."""
    import json

    from lanner.configschema import schema as made

    click.echo(json.dumps(made(), indent=2))
    return Exit.OK


@config.command(help=_SAMPLE)
def sample() -> Exit:
    """Print the sample."""
    from lanner.configsample import sample as made

    click.echo(made(), nl=False)
    return Exit.OK
