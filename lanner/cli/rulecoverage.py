"""``lanner rules coverage``: which ATT&CK techniques rules cover."""

from collections import Counter

import click

from lanner.cli.options import RULES
from lanner.errors import Exit

_HELP = """
Say which ATT&CK techniques rules name in their tags, how many of these rules are on, and how many test cases they have.

\b
Examples:
  lanner rules coverage                                        the shipped rules
  lanner rules coverage -r my_rules/ --format navigator > layer.json
  lanner rules coverage --format html > coverage.html
"""


@click.command("coverage", help=_HELP, short_help="Say which ATT&CK techniques rules cover.")
@RULES
@click.option("--format", "form", type=click.Choice(["table", "navigator", "html"]), default="table", show_default=True)
@click.option("--attack", type=click.Choice(["18", "19"]), default="18", show_default=True, help="Version of ATT&CK.")
def coverage(rules: tuple[str, ...], form: str, attack: str) -> Exit:
    """Print the coverage."""
    from engine.load import LoadOptions
    from lanner import coverage as cover
    from lanner import rulefiles
    from lanner.catalog import build_catalog

    found = rulefiles.load(rules, build_catalog("host"), LoadOptions()).rules
    rows = cover.covered(found, _cases(rules), int(attack))
    if form == "navigator":
        click.echo(cover.as_layer(rows, int(attack)))
    elif form == "html":
        click.echo(cover.as_html(rows), nl=False)
    else:
        for line in cover.as_table(rows):
            click.echo(line)
    return Exit.OK


def _cases(rules: tuple[str, ...]) -> Counter[str]:
    """Count the test cases that stand beside rules, by rule."""
    from lanner import rulefiles
    from lanner.ruletest import read

    folders = dict.fromkeys(file.parent / rulefiles.TESTS for file in rulefiles.find(rules))
    files = [file for folder in folders if folder.is_dir() for file in sorted(folder.glob("*.yaml"))]
    return Counter(test.rule for file in files for test in read(file).tests for _ in test.cases)
