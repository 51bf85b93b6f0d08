"""Arguments and options that several verbs share; what they mean is looked up when they are used."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from engine.priority import Priority

if TYPE_CHECKING:
    from engine.selection import Selection


class _Priority(click.ParamType[Priority]):
    name = "priority"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Priority:
        if isinstance(value, Priority):
            return value
        try:
            return Priority.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _FileSource(click.ParamType[str]):
    """An event source whose records can be read from files."""

    name = "source"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from lanner.formats import FORMATS

        if value not in FORMATS:
            self.fail(f"unknown event source {value!r}; one of {', '.join(FORMATS)}", param, ctx)
        return str(value)


PRIORITY = _Priority()
FILE_SOURCE = _FileSource()

CONFIG = click.option("-c", "--config", "path", metavar="FILE", help="Configuration file; by default as in lanner run.")
OVERRIDES = click.option(
    "-o", "--option", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a key of the configuration over it."
)
RULES = click.option(
    "-r",
    "--rules",
    multiple=True,
    metavar="FILE|FOLDER",
    help="Rules, in order; may be given several times. 'bundled' stands for the shipped ones.  [default: bundled]",
)
RULE_MATCHING = click.option(
    "--rule-matching",
    type=click.Choice(["all", "first"]),
    default="all",
    show_default=True,
    help="Report all rules that an event matches, or only the first.",
)


def selection(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a verb Falco's old flags for choosing rules; ``selected`` says what they mean."""
    texts = (
        ("-D", "disabled_names", "TEXT", "Disable rules whose name contains the text."),
        ("-T", "disabled_tags", "TAG", "Disable rules with the tag."),
        ("-t", "only_tags", "TAG", "Enable rules with the tag and disable all others."),
    )
    for flag, name, metavar, text in reversed(texts):
        command = click.option(flag, name, multiple=True, metavar=metavar, help=text)(command)
    return command


def selected(
    disabled_names: tuple[str, ...], disabled_tags: tuple[str, ...], only_tags: tuple[str, ...]
) -> "tuple[Selection, ...]":
    """Return what the flags of ``selection`` enable and disable."""
    from engine.selection import from_flags

    try:
        return from_flags(disabled_names, disabled_tags, only_tags)
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def instead(sources: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """Return the overrides that put other sources in the place of all that the configuration names."""
    import json

    return (f"sources={json.dumps(list(sources))}", "load_plugins=[]", "engine.kind=nodriver")


def no_sources() -> tuple[str, ...]:
    """Return the overrides that leave one source which gives nothing, for verbs that only look."""
    return instead([{"type": "files", "paths": ["/dev/null"]}])
