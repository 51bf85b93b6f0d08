"""Everything the reader of rule files can find wrong, with the exact text that people see of it."""

import pytest

from engine.diagnostics import Report
from engine.render import render_text
from engine.rulefile import RuleFile, read_files
from tests.engine.reading import SOURCES, golden

PLUGINS = {"cloudtrail": "0.17.1", "json": "0.7.4"}


@pytest.mark.parametrize("case", golden("findings"))
def test_findings_are_told(case: dict[str, str]) -> None:
    text, report = case["file"], Report()
    read_files([RuleFile("rules.yaml", text)], SOURCES, report, plugins=PLUGINS)

    assert render_text(report.diagnostics, {"rules.yaml": text}) == case["shown"].rstrip("\n")
