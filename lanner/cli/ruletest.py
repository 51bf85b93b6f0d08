"""``lanner rules test``: run the tests of rules."""

import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lanner.cli.options import RULES
from lanner.errors import Exit, UserError

if TYPE_CHECKING:
    from engine.ruleset import Rule
    from lanner.ruletest import Outcome, Runner, TestFile

_HELP = """
Run tests of rules: events that must make a rule fire, and near misses that must not.

A PATH is a test file or a folder; without one the tests of the shipped rules are run. Which rules a test file is about
it says itself, or it stands in a folder 'tests' beside them, or -r says it. All rules are tested, also those that are
off by default.

\b
Examples:
  lanner rules test                               the shipped rules
  lanner rules test my_rules/ --require-tests     yours, and none may be without a test
  lanner rules test tests/iam.yaml -r iam.yaml --watch

\b
Exit status: 0 all passed    1 a test failed, or a rule has none (--require-tests)
             2 wrong command line or test file    3 a rule file is wrong
"""
_POLL_SECONDS = 0.5


@click.command("test", help=_HELP, short_help="Run the tests of rules.")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@RULES
@click.option("--require-tests", is_flag=True, help="Fail when a rule has no firing or no quiet case.")
@click.option("--coverage", is_flag=True, help="For each rule say which comparisons were never true or never false.")
@click.option("--junit", metavar="FILE", type=click.Path(dir_okay=False), help="Write the results as JUnit XML.")
@click.option("--watch", is_flag=True, help="Run again whenever a file changes, until interrupted.")
def test(
    paths: tuple[str, ...], rules: tuple[str, ...], require_tests: bool, coverage: bool, junit: str | None, watch: bool
) -> Exit:
    """Run the tests once, or again and again."""
    if not watch:
        return _run(paths, rules, require_tests, coverage, junit)
    while True:
        try:
            _run(paths, rules, require_tests, coverage, junit)
        except UserError as error:
            click.echo(f"lanner: {error}", err=True)
        before = _stamps(paths, rules)
        while before == _stamps(paths, rules):
            time.sleep(_POLL_SECONDS)
        click.echo()


def _run(
    paths: tuple[str, ...], rules: tuple[str, ...], require_tests: bool, coverage: bool, junit: str | None
) -> Exit:
    from lanner import ruletest_report as report
    from lanner.catalog import build_catalog
    from lanner.ruletest import Runner, find, read

    runner = Runner(build_catalog("host"), rules)
    files = [read(path) for path in find(paths)]
    results = {str(file.path): _shown(runner.run(file)) for file in files}
    about = _rules(files, runner)
    if coverage:
        for line in report.coverage(about, results):
            click.echo(line)
    if junit:
        report.junit(results).write(junit, encoding="utf-8", xml_declaration=True)
    lacking = report.untested(about, results) if require_tests else []
    for name in lacking:
        click.echo(f"FAIL  no firing or no quiet case: {name}")
    click.echo(report.summary(results) + (f", {len(lacking)} rules without tests" if lacking else ""))
    failed = any(outcome.problem for outcomes in results.values() for outcome in outcomes)
    return Exit.FOUND if failed or lacking else Exit.OK


def _shown(outcomes: "list[Outcome]") -> "list[Outcome]":
    from lanner.ruletest_report import failures

    for line in failures(outcomes):
        click.echo(line)
    return outcomes


def _rules(files: "Iterable[TestFile]", runner: "Runner") -> "list[Rule]":
    found = {(rule.source, rule.name): rule for file in files for rule in runner.engine(file).ruleset.rules}
    return list(found.values())


def _stamps(paths: Iterable[str], rules: Iterable[str]) -> dict[Path, int]:
    """Return the time of the last change of every file that a run may read."""
    from lanner.rulefiles import bundled

    found: dict[Path, int] = {}
    for path in [Path(name) for name in (*paths, *rules) if name] or [bundled()]:
        about = path.resolve().parent.parent if path.resolve().parent.name == "tests" else path
        for folder, _, names in os.walk(about if about.is_dir() else about.parent):
            for name in names:
                file = Path(folder, name)
                if file.suffix in (".yaml", ".yml") and file.exists():
                    found[file] = file.stat().st_mtime_ns
    return found
