"""``lanner rules show``: what the engine made of a rule."""

from typing import TYPE_CHECKING

import click

from lanner.cli.options import RULES
from lanner.errors import Exit, UserError

if TYPE_CHECKING:
    from engine.ruleset import RuleSet

_HELP = """
Show what the engine made of a rule: its tree with macros opened, how events find it, and the Python it runs as.

\b
Examples:
  lanner rules show 'Trail stopped or deleted'
  lanner rules show 'My rule' -r my_rules.yaml --code
  lanner rules show 'My host rule' -r mine.yaml --kernel    what of it the kernel decides
"""


def unknown_rule(name: str, ruleset: "RuleSet") -> UserError:
    """Return the error for a name that no rule has."""
    from engine.similar import near

    hint = near(name, {rule.name for rule in ruleset.rules}) or "lanner rules list shows their names"
    return UserError(f"no rule is called {name!r}; {hint}")


@click.command(help=_HELP)
@click.argument("name")
@RULES
@click.option("--tree", "views", flag_value="tree", help="Only the tree of the condition.")
@click.option("--plan", "views", flag_value="plan", help="Only what leads events to the rule.")
@click.option("--code", "views", flag_value="code", help="Only the generated Python.")
@click.option("--kernel", "views", flag_value="kernel", help="Only what the kernel decides, for rules about hosts.")
def show(name: str, rules: tuple[str, ...], views: str | None) -> Exit:
    """Show a rule."""
    from engine import show as views_of
    from engine.evaluate import Engine
    from engine.load import LoadOptions
    from engine.selection import Selection
    from ingest.syscalls.host_event import SOURCE
    from ingest.syscalls.shown import kernel_view
    from lanner import rulefiles
    from lanner.catalog import build_catalog
    from lanner.hostname import hostname

    everything = LoadOptions(selection=(Selection(True, rule=name),))
    engine = Engine(rulefiles.load(rules, build_catalog(hostname()), everything))
    found = [rule for rule in engine.ruleset.rules if rule.name == name]
    if not found:
        raise unknown_rule(name, engine.ruleset)
    for rule in found:
        index = engine.index(rule.source)
        assert index is not None
        texts = {"tree": views_of.tree(rule), "plan": views_of.plan(rule, index), "code": views_of.code(rule, index)}
        if rule.source == SOURCE:
            texts["kernel"] = kernel_view(rule, index.table)
        elif views == "kernel":
            raise UserError(f"{name!r} is about {rule.source}; the kernel decides of rules about hosts only")
        for view in [views] if views else texts:
            click.echo(f"# {rule.name} ({rule.source}): {view}\n{texts[view]}\n")
    return Exit.OK
