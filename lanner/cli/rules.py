"""``lanner rules``: rule files checked, listed and described; ``show`` and ``test`` are beside, each in its module."""

import json
import sys
from typing import TYPE_CHECKING

import click

from lanner.cli.options import RULES
from lanner.cli.rulecoverage import coverage
from lanner.cli.ruleshow import show, unknown_rule
from lanner.cli.ruletest import test
from lanner.errors import Exit

if TYPE_CHECKING:
    from engine.load import LoadResult
    from engine.rulefile import RuleFile
    from engine.ruleset import RuleSet

_CHECK_HELP = """
Load rule files together, in order, and say what is wrong with them. Runs nothing.

\b
Examples:
  lanner rules check my_rules.yaml
  lanner rules check bundled my_rules.yaml         your rules use lists and macros of the shipped ones
  lanner rules check rules/ --format github        annotations in a pull request
  lanner rules check rules/ --format sarif > findings.sarif

\b
Exit status:
  0  no errors, and with --strict no warnings
  1  only warnings, with --strict
  2  the command line is wrong
  3  errors
"""
_LIST_HELP = """
List the rules of rule files, by default the shipped ones: name, source, priority and whether it is enabled.

\b
Examples:
  lanner rules list
  lanner rules list -r my_rules.yaml --tag mitre_persistence
"""
_DESCRIBE_HELP = """
Describe what rule files hold: rules with their conditions and what they use, macros and lists.

With NAME only that rule. The JSON has the shape of Falco's -L and -l.

\b
Examples:
  lanner rules describe 'Trail stopped or deleted'
  lanner rules describe --json -r my_rules.yaml
"""
_SCHEMA_HELP = """
Print the JSON Schema of rule files, for editors that complete and check while you type.

\b
Examples:
  lanner rules schema > rules.schema.json
"""


@click.group(short_help="Check, list, describe, show and test rules.")
def rules() -> None:
    """Check, list, describe, show and test rules."""


rules.add_command(test)
rules.add_command(coverage)
rules.add_command(show)


@rules.command(help=_CHECK_HELP, short_help="Say what is wrong with rule files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "sarif", "github"]), default="text", show_default=True
)
@click.option("--strict", is_flag=True, help="Exit with 1 when there are warnings.")
@click.option("--portable", is_flag=True, help="Also say what keeps a rule from loading in Falco.")
def check(files: tuple[str, ...], form: str, strict: bool, portable: bool) -> Exit:
    """Check rule files."""
    from engine.lint import unportable
    from engine.load import load_rules
    from lanner import rulefiles
    from lanner.catalog import build_catalog
    from lanner.hostname import hostname

    read = rulefiles.read(rulefiles.find(files))
    result = load_rules(read, build_catalog(hostname()))
    if portable and result.ruleset is not None:
        for rule in result.ruleset.rules:
            for found in unportable(rule, result.ruleset.catalog.tables[rule.source]):
                result.report.add(found)
    click.echo(_rendered(result, read, form), nl=form != "github" or bool(result.report.diagnostics))
    if result.report.errors:
        return Exit.RULES
    return Exit.FOUND if strict and result.report.warnings else Exit.OK


def _rendered(result: "LoadResult", files: "list[RuleFile]", form: str) -> str:
    from engine.render import render_github
    from engine.render_json import render_falco_json, render_sarif
    from lanner import __version__

    found, texts = result.report.diagnostics, {file.name: file.text for file in files}
    if form == "json":
        return json.dumps(render_falco_json(files, result.report), indent=2)
    if form == "sarif":
        return json.dumps(render_sarif(found, texts, __version__), indent=2)
    return render_github(found, texts) if form == "github" else _as_text(result, texts)


def _as_text(result: "LoadResult", texts: dict[str, str]) -> str:
    from engine.render import render_text
    from lanner.terminal import wants_colour

    found = render_text(result.report.diagnostics, texts, wants_colour(sys.stdout))
    verdicts = [f"{name}: {_verdict(result, name)}" for name in texts]
    return "\n".join([found, "", *verdicts] if found else verdicts)


def _verdict(result: "LoadResult", name: str) -> str:
    if any(error.span.file == name for error in result.report.errors):
        return "Invalid"
    return "Ok, with warnings" if any(found.span.file == name for found in result.report.warnings) else "Ok"


@rules.command("list", help=_LIST_HELP, short_help="List rules.")
@RULES
@click.option("--source", help="Only rules for this event source.")
@click.option("--tag", help="Only rules with this tag.")
def list_rules(rules: tuple[str, ...], source: str | None, tag: str | None) -> Exit:
    """List rules."""
    found = [
        rule for rule in _loaded(rules).rules if source in (None, rule.source) and (tag is None or tag in rule.tags)
    ]
    width = max((len(rule.name) for rule in found), default=0)
    for rule in found:
        state = "" if rule.enabled else "  disabled"
        click.echo(f"{rule.name:<{width}}  {rule.source:<14}  {rule.priority.label:<13}{state}".rstrip())
    return Exit.OK


@rules.command(help=_DESCRIBE_HELP, short_help="Describe rules, macros and lists.")
@click.argument("name", required=False)
@RULES
@click.option("--json", "as_json", is_flag=True, help="Everything, in Falco's shape.")
def describe(name: str | None, rules: tuple[str, ...], as_json: bool) -> Exit:
    """Describe what rule files hold."""
    from engine.describe import describe as described

    ruleset = _loaded(rules)
    try:
        found = described(ruleset, name or "")
    except KeyError:
        raise unknown_rule(name or "", ruleset) from None
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return Exit.OK
    for rule in found["rules"]:
        click.echo("\n".join(_description(rule)))
    return Exit.OK


@rules.command(help=_SCHEMA_HELP, short_help="Print the JSON Schema of rule files.")
def schema() -> Exit:
    """Print the schema."""
    from lanner.ruleschema import schema as made

    click.echo(json.dumps(made(), indent=2))
    return Exit.OK


def _description(rule: "dict[str, dict[str, object]]") -> list[str]:
    import textwrap

    info, details = rule["info"], rule["details"]
    lines = [f"{info['name']}   {info['source']}, {info['priority']}{'' if info['enabled'] else ', disabled'}"]
    for label, text in (("", info["description"]), ("condition: ", info["condition"]), ("output: ", info["output"])):
        lines += textwrap.wrap(f"{label}{text}", 110, initial_indent="  ", subsequent_indent="    ")
    for label in ("macros", "lists", "condition_fields"):
        names = details[label]
        if isinstance(names, list) and names:
            lines += textwrap.wrap(f"{label}: {', '.join(names)}", 110, initial_indent="  ", subsequent_indent="    ")
    tags = info["tags"]
    return [*lines, f"  tags: {', '.join(tags)}" if isinstance(tags, list) else "", ""]


def _loaded(paths: tuple[str, ...]) -> "RuleSet":
    from engine.load import LoadOptions
    from lanner import rulefiles
    from lanner.catalog import build_catalog
    from lanner.hostname import hostname

    return rulefiles.load(paths, build_catalog(hostname()), LoadOptions())
