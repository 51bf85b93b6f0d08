"""Arguments and options that several verbs share; what they mean is looked up when they are used."""

from typing import Any

import click

from engine.priority import Priority


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
