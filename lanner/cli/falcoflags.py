"""Falco's flags on ``lanner run``: those that only print, by the verbs that print it, and those that are gone."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click

from lanner.errors import Exit


class Gone(NamedTuple):
    """Flags that Falco had or has and that have no effect here."""

    flags: tuple[str, ...]
    takes: bool
    instead: str


_CLUSTER = "labels and owners come from the API server with enrichment: {enabled: true}"
_RUNTIME = "the sockets of container runtimes are found where they usually are"
_GVISOR = "gVisor's events are no source; lanner agent watches hosts"
_STATISTICS = "statistics are metrics: webserver: {enabled: true}"

GONE = (
    Gone(("-A",), False, "the kernel is asked for what the rules name"),
    Gone(("-b", "--print-base64"), False, "bytes in alerts are always written as text"),
    Gone(("-d", "--daemon"), False, "the service stays in the foreground; let a supervisor such as systemd start it"),
    Gone(("-k", "--k8s-api"), True, _CLUSTER),
    Gone(("-K", "--k8s-api-cert"), True, _CLUSTER),
    Gone(("-m", "--mesos-api"), True, "there are no fields of Mesos"),
    Gone(("-s",), True, _STATISTICS),
    Gone(("--stats-interval",), True, _STATISTICS),
    Gone(("-S", "--snaplen"), True, "the key snaplen of the source syscall says it"),
    Gone(("-u", "--userspace"), False, "lanner agent --trace watches one program without privileges"),
    Gone(("--cri",), True, _RUNTIME),
    Gone(("--disable-cri-async",), False, _RUNTIME),
    Gone(("--gvisor-config",), True, _GVISOR),
    Gone(("--gvisor-generate-config",), True, _GVISOR),
    Gone(("--gvisor-root",), True, _GVISOR),
    Gone(("--modern-bpf",), False, "the source syscall is eBPF always"),
    Gone(("--nodriver",), False, "only configured sources run"),
)
_NO_FORMATS = ("c", "container", "k", "kubernetes", "m", "mesos")
"""What -p stood for once; Falco ignores these now."""

_PRINTING = (
    ("-L", "describe_all", {"is_flag": True}, "Describe all rules; as JSON with -o json_output=true."),
    ("-l", "describe_one", {"metavar": "NAME"}, "Describe one rule."),
    ("--list", "list_fields", {"is_flag": False, "flag_value": "", "metavar": "[SOURCE]"}, "List the fields."),
    ("-N", "names", {"is_flag": True}, "With --list, names only."),
    ("--format", "form", {"type": click.Choice(["text", "markdown", "json"])}, "With --list and --list-events, how."),
    ("--markdown", "markdown", {"is_flag": True, "hidden": True}, ""),
    ("-V", "validate", {"multiple": True, "metavar": "FILE"}, "Check rule files together and exit."),
    ("--list-events", "list_events", {"is_flag": True}, "List the types of host events."),
    ("-i", "on_demand", {"is_flag": True}, "List the types of host events that come only when a rule names them."),
    ("--list-plugins", "list_plugins", {"is_flag": True}, "List the plugins of Falco that are built in."),
    ("--config-schema", "config_schema", {"is_flag": True}, "Print the JSON Schema of the configuration."),
    ("--rule-schema", "rule_schema", {"is_flag": True}, "Print the JSON Schema of rule files."),
    ("--support", "support", {"is_flag": True}, "Print what helps to help, as JSON; secrets are masked."),
    ("--version", "version", {"is_flag": True}, "Print versions; as JSON with -o json_output=true."),
)
_LONGER = {"-V": "--validate"}


def printing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb Falco's flags that print something and exit, and those that are gone."""
    for gone in reversed(GONE):
        more: dict[str, Any] = {"metavar": "TEXT"} if gone.takes else {"is_flag": True}
        command = click.option(*gone.flags, _word(gone), hidden=True, **more)(command)
    for flag, name, how, text in reversed(_PRINTING):
        flags = [flag, _LONGER[flag]] if flag in _LONGER else [flag]
        command = click.option(*flags, name, help=text, **how)(command)
    return command


def _word(gone: Gone) -> str:
    return "gone_" + gone.flags[-1].strip("-").replace("-", "_")


def warn_of_gone(asked: dict[str, Any]) -> None:
    """Say once for each flag without effect what to use, and forget it."""
    for gone in GONE:
        if asked.pop(_word(gone)):
            click.echo(f"lanner: {gone.flags[0]} has no effect: {gone.instead}", err=True)


def extra_output(text: str | None) -> tuple[str, ...]:
    """Return the overrides that ``-p`` stands for."""
    if not text:
        return ()
    if text in _NO_FORMATS:
        click.echo(
            f"lanner: -p{text} has no effect: rules name the fields they want; append_output adds more", err=True
        )
        return ()
    click.echo("lanner: -p is short for the key append_output with extra_output; that stays in the file", err=True)
    return (f"append_output[]={json.dumps({'extra_output': text})}",)


def printed(path: str | None, overrides: Sequence[str], rules: tuple[str, ...], asked: dict[str, Any]) -> Exit | None:
    """Do what a printing flag asks for, by the verb that does the same; None when there is none."""
    from lanner.cli import config as config_verb
    from lanner.cli import fields as fields_verb
    from lanner.cli import rules as rules_verb

    context = click.get_current_context()
    if asked["config_schema"]:
        return _status(context.invoke(config_verb.schema))
    if asked["rule_schema"]:
        return _status(context.invoke(rules_verb.schema))
    if asked["list_fields"] is not None:
        form = asked["form"] or ("markdown" if asked["markdown"] else "text")
        return _status(
            context.invoke(fields_verb.fields, source=asked["list_fields"] or None, form=form, names=asked["names"])
        )
    if asked["list_events"] or asked["on_demand"]:
        return _events(asked["form"] == "json", asked["on_demand"])
    if asked["list_plugins"]:
        return _plugins()
    if asked["support"]:
        return _support(path, overrides, rules)
    if not any(asked[name] for name in ("version", "validate", "describe_all", "describe_one")):
        return None
    return _by_configuration(context, path, overrides, rules, asked)


def _by_configuration(
    context: click.Context, path: str | None, overrides: Sequence[str], rules: tuple[str, ...], asked: dict[str, Any]
) -> Exit:
    """Print what ``json_output`` and ``rules_files`` have a say in."""
    from lanner import config
    from lanner.cli import rules as rules_verb
    from lanner.cli.options import no_sources

    loaded = config.load(path, (*overrides, *no_sources()))
    as_json = loaded.json_output
    if asked["version"]:
        return _version(as_json)
    if asked["validate"]:
        return _status(context.invoke(rules_verb.check, files=asked["validate"], form="json" if as_json else "text"))
    chosen = rules or loaded.rules_files
    return _status(context.invoke(rules_verb.describe, name=asked["describe_one"], rules=chosen, as_json=as_json))


def _status(given: Any) -> Exit:
    return Exit(given or Exit.OK)


def _events(as_json: bool, on_demand: bool) -> Exit:
    from lanner import eventlist

    if on_demand:
        click.echo("\n".join(eventlist.on_demand()))
    else:
        click.echo(json.dumps(eventlist.as_json(), indent=2) if as_json else "\n".join(eventlist.as_text()))
    return Exit.OK


def _plugins() -> Exit:
    from lanner.catalog import PLUGINS

    for name, version in PLUGINS.items():
        click.echo(f"{name} {version}")
    return Exit.OK


def _version(as_json: bool) -> Exit:
    from lanner.versions import versions

    told = versions()
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo(f"lanner {told['lanner_version']}\nengine {told['engine_version_semver']}")
    return Exit.OK


def _support(path: str | None, overrides: Sequence[str], rules: Sequence[str]) -> Exit:
    from lanner.support import bundle

    click.echo(json.dumps(bundle(path, overrides, rules, sys.argv), indent=2, ensure_ascii=False, default=str))
    return Exit.OK
