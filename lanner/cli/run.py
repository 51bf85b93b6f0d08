"""``lanner run``: the service."""

import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from lanner.cli.falcoflags import extra_output, printed, printing, warn_of_gone
from lanner.cli.options import RULES, instead, selected, selection
from lanner.errors import Exit

if TYPE_CHECKING:
    from engine.ruleset import RuleSet
    from lanner.config import Config

_log = logging.getLogger("lanner.config")

_HELP = """
Run the service: take events from the configured sources, evaluate the rules, deliver the alerts.

The configuration is a YAML file: that of -c, else of LANNER_CONFIG, else /etc/lanner/lanner.yaml. SIGTERM and SIGINT
(Ctrl-C) end the service in order: no more is taken in, what is begun is finished, alerts are delivered; a second signal
ends it at once. SIGHUP, or a change of their files, loads rules anew; rules that are wrong change nothing. SIGUSR1 has
outputs open files and start programs anew. An input is acknowledged only when its alerts are safe, so a crash repeats
events and loses none. Falco's flags do what they do there; what they print, a verb prints, too.

\b
Examples:
  lanner run -c lanner.yaml
  lanner run -c lanner.yaml --dry-run              load everything, start nothing
  lanner run -c lanner.yaml -r my_rules.yaml       these rules instead of those of the file
  lanner run -c lanner.yaml --disable-source k8s_audit -P /run/lanner.pid
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
@click.option("--enable-source", "enabled", multiple=True, metavar="NAME", help="Run only this source: k8s_audit.")
@click.option("--disable-source", "disabled", multiple=True, metavar="NAME", help="Do not run this source.")
@click.option("-M", "seconds", type=click.FloatRange(min=0), default=0.0, metavar="SECONDS", help="Stop after that.")
@click.option("-P", "--pidfile", metavar="FILE", help="Write the process number there.  [default: beside the outbox]")
@click.option("-p", "--print", "extra", metavar="FORMAT", help="Append this to the message of every rule.")
@click.option("-U", "--unbuffered", is_flag=True, help="Has no effect: outputs are never buffered.")
@click.option("-v", "--verbose", is_flag=True, help="Log more; the same as -o log_level=debug.")
@click.option("--dry-run", is_flag=True, help="Load configuration and rules, say what would run, start nothing.")
@printing
def run(
    path: str | None,
    rules: tuple[str, ...],
    overrides: tuple[str, ...],
    files: tuple[str, ...],
    enabled: tuple[str, ...],
    disabled: tuple[str, ...],
    seconds: float,
    pidfile: str | None,
    extra: str | None,
    unbuffered: bool,
    verbose: bool,
    dry_run: bool,
    **asked: Any,
) -> Exit:
    """Run the service, only load it, or print what a flag of Falco asks for."""
    chosen = {name: asked.pop(name) for name in ("disabled_names", "disabled_tags", "only_tags")}
    warn_of_gone(asked)
    overrides = (*(("log_level=debug",) if verbose else ()), *overrides)
    done = printed(path, overrides, rules, asked)
    if done is not None:
        return done
    overrides = (*overrides, *extra_output(extra), *_instead(files))
    picked = ((), ()) if files else (enabled, disabled)
    return start(path, overrides, rules, dry_run, chosen, picked, seconds, pidfile)


def start(
    path: str | None,
    overrides: tuple[str, ...],
    rules: tuple[str, ...],
    dry_run: bool,
    chosen: dict[str, tuple[str, ...]],
    picked: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
    seconds: float = 0.0,
    pidfile: str | None = None,
) -> Exit:
    """
    Load configuration and rules, and serve.

    Args:
        path: Of the configuration file; None for the usual one.
        overrides: Set over it, in order.
        rules: Instead of those of the configuration, if any.
        dry_run: Whether to say what would run, and start nothing.
        chosen: Which rules run, as the options of ``selection`` give it.
        picked: Sources that alone run, and sources that do not.
        seconds: After which the service stops; 0 for never.
        pidfile: Of the file for the process number; None for that beside the outbox.
    """
    import asyncio
    import dataclasses
    from pathlib import Path

    from lanner import config, logs, service, sourcechoice, workers
    from lanner import pidfile as pidfiles
    from lanner.reload import Loaded
    from lanner.summary import tally_lines
    from lanner.terminal import wants_colour

    def load() -> Loaded:
        read = config.load_all(path, overrides)
        logs.set_level(read.config.log_level)
        logs.set_form(read.config.log_format)
        made = dataclasses.replace(read.config, rules_files=rules) if rules else read.config
        made = sourcechoice.chosen(made, *picked)
        for note in read.notes:
            _log.warning("%s", note)
        names = tuple(name for name, _ in read.files)
        return Loaded(made, service.load_ruleset(made, selected(**chosen)), names)

    logs.set_up()
    loaded = load()
    for line in _idle(loaded.config, loaded.ruleset):
        click.echo(f"lanner: {line}", err=True)
    if dry_run:
        _tell(loaded.config, loaded.ruleset)
        return Exit.OK

    def work(number: int) -> Exit:
        mine = loaded.config if loaded.config.workers == 1 else workers.share(loaded.config, number)
        status, tally = asyncio.run(service.serve(dataclasses.replace(loaded, config=mine), load, number, seconds))
        for line in tally_lines(tally, wants_colour(sys.stderr)):
            click.echo(line, err=True, color=True)
        return status

    with pidfiles.written(Path(pidfile) if pidfile else pidfiles.beside_outbox(loaded.config), bool(pidfile)):
        if loaded.config.workers == 1:
            return work(1)
        for number in range(1, loaded.config.workers + 1):
            workers.share(loaded.config, number)
        return workers.supervise(loaded.config.workers, work)


def _instead(files: tuple[str, ...]) -> tuple[str, ...]:
    """Return the overrides that put files in the place of all sources."""
    return instead([{"type": "files", "paths": files}]) if files else ()


def _idle(config: "Config", ruleset: "RuleSet") -> Iterator[str]:
    """Yield what can never raise an alert."""
    if not ruleset.enabled:
        yield "no rule is enabled, so nothing is told; lanner rules list shows them"
        return
    about = {rule.source for rule in ruleset.enabled}
    for source in config.sources:
        wanted = source.open().event_source
        if wanted and wanted not in about:
            yield f"no enabled rule is about {wanted}, so nothing is told of the source {source.name}"


def _tell(config: "Config", ruleset: "RuleSet") -> None:
    for source in config.sources:
        source.open()
    click.echo(f"rules:   {len(ruleset.enabled)} enabled of {len(ruleset.rules)}")
    click.echo(f"sources: {', '.join(source.name for source in config.sources)}")
    click.echo(f"outputs: {', '.join(config.output_names)}")
