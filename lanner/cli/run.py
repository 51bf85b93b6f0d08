"""``lanner run``: the service."""

import logging
import sys
from typing import TYPE_CHECKING

import click

from lanner.cli.options import RULES, selected, selection
from lanner.errors import Exit

if TYPE_CHECKING:
    from engine.ruleset import RuleSet
    from lanner.config import Config

_log = logging.getLogger("lanner.config")

_HELP = """
Run the service: take events from the configured sources, evaluate the rules, deliver the alerts.

The configuration is a YAML file: that of -c, else of LANNER_CONFIG, else /etc/lanner/lanner.yaml. SIGTERM and SIGINT
(Ctrl-C) end the service in order: no more is taken in, what is begun is finished, alerts are delivered; a second signal
ends it at once. SIGHUP, or a change of their files, loads rules anew; rules that are wrong change nothing. An input is
acknowledged only when its alerts are safe, so a crash repeats events and loses none.

\b
Examples:
  lanner run -c lanner.yaml
  lanner run -c lanner.yaml --dry-run              load everything, start nothing
  lanner run -c lanner.yaml -r my_rules.yaml       these rules instead of those of the file
  lanner run -c lanner.yaml -e trace.scap          what a capture or a log holds, instead of the sources, then end
  lanner run -o 'sources[].type=k8saudit' -o json_output=true
                                                   no file: an audit webhook on 127.0.0.1:9765/k8s-audit

\b
Exit status:
  0  ended by a signal, or all sources came to an end
  2  the command line or the configuration is wrong
  3  a rule file is wrong
  4  a source cannot start, or failed
  5  an output or the outbox cannot be opened
"""


@click.command(help=_HELP)
@click.option("-c", "--config", "path", metavar="FILE", help="Configuration file.")
@RULES
@click.option(
    "-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key of the configuration over it."
)
@click.option(
    "-e", "files", multiple=True, metavar="FILE", help="Read this once instead of the sources; as lanner scan does."
)
@selection
@click.option("--dry-run", is_flag=True, help="Load configuration and rules, say what would run, start nothing.")
def run(
    path: str | None,
    rules: tuple[str, ...],
    overrides: tuple[str, ...],
    files: tuple[str, ...],
    dry_run: bool,
    **chosen: tuple[str, ...],
) -> Exit:
    """Run the service, or only load it."""
    return start(path, (*overrides, *_instead(files)), rules, dry_run, chosen)


def start(
    path: str | None,
    overrides: tuple[str, ...],
    rules: tuple[str, ...],
    dry_run: bool,
    chosen: dict[str, tuple[str, ...]],
) -> Exit:
    """
    Load configuration and rules, and serve.

    Args:
        path: Of the configuration file; None for the usual one.
        overrides: Set over it, in order.
        rules: Instead of those of the configuration, if any.
        dry_run: Whether to say what would run, and start nothing.
        chosen: Which rules run, as the options of ``selection`` give it.
    """
    import asyncio
    import dataclasses

    from lanner import config, logs, service, workers
    from lanner.reload import Loaded
    from lanner.summary import tally_lines
    from lanner.terminal import wants_colour

    def load() -> Loaded:
        read = config.load_all(path, overrides)
        logs.set_level(read.config.log_level)
        made = dataclasses.replace(read.config, rules_files=rules) if rules else read.config
        for note in read.notes:
            _log.warning("%s", note)
        names = tuple(name for name, _ in read.files)
        return Loaded(made, service.load_ruleset(made, selected(**chosen)), names)

    logs.set_up()
    loaded = load()
    if dry_run:
        _tell(loaded.config, loaded.ruleset)
        return Exit.OK

    def work(number: int) -> Exit:
        mine = loaded.config if loaded.config.workers == 1 else workers.share(loaded.config, number)
        status, tally = asyncio.run(service.serve(dataclasses.replace(loaded, config=mine), load, number))
        for line in tally_lines(tally, wants_colour(sys.stderr)):
            click.echo(line, err=True, color=True)
        return status

    if loaded.config.workers == 1:
        return work(1)
    for number in range(1, loaded.config.workers + 1):
        workers.share(loaded.config, number)
    return workers.supervise(loaded.config.workers, work)


def _instead(files: tuple[str, ...]) -> tuple[str, ...]:
    """Return the overrides that put files in the place of all sources."""
    import json

    return (
        (f"sources={json.dumps([{'type': 'files', 'paths': files}])}", "load_plugins=[]", "engine.kind=nodriver")
        if files
        else ()
    )


def _tell(config: "Config", ruleset: "RuleSet") -> None:
    for source in config.sources:
        source.open()
    click.echo(f"rules:   {len(ruleset.enabled)} enabled of {len(ruleset.rules)}")
    click.echo(f"sources: {', '.join(source.name for source in config.sources)}")
    click.echo(f"outputs: {', '.join(config.output_names)}")
