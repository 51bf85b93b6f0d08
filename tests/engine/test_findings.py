"""Everything the reader of rule files can find wrong, with the exact text that people see of it."""

from pathlib import Path

import pytest
import yaml

from engine.diagnostics import Report
from engine.render import render_text
from engine.rulefile import RuleFile, read_files
from tests.engine.reading import SOURCES

PLUGINS = {"cloudtrail": "0.17.1", "json": "0.7.4"}


def cases() -> list:
    found = {}
    for path in sorted(Path(__file__).with_name("findings").glob("*.yaml")):
        for case in yaml.safe_load(path.read_text("utf-8")):
            key = f"{path.stem}: {case['case']}"
            assert key not in found, f"two cases are called {key}"
            found[key] = pytest.param(case["file"], case["shown"], id=key)
    return list(found.values())


@pytest.mark.parametrize(("text", "shown"), cases())
def test_findings_are_told(text: str, shown: str):
    report = Report()
    read_files([RuleFile("rules.yaml", text)], SOURCES, report, plugins=PLUGINS)

    assert render_text(report.diagnostics, {"rules.yaml": text}) == shown.rstrip("\n")
