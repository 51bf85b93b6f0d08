"""Reads rule files for tests, given as YAML text, and looks findings up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.definitions import Collection
from engine.diagnostics import Diagnostic, Report
from engine.rulefile import RuleFile, read_files

SOURCES = ("syscall", "aws_cloudtrail", "k8s_audit")


def read(*texts: str, plugins: Mapping[str, str] | None = None) -> tuple[Collection, Report]:
    """Read texts as the files ``a.yaml``, ``b.yaml``, ..."""
    report = Report()
    files = [RuleFile(f"{chr(ord('a') + number)}.yaml", text) for number, text in enumerate(texts)]
    return read_files(files, SOURCES, report, plugins=plugins), report


def fine(*texts: str) -> Collection:
    """Read texts that have nothing wrong with them."""
    collection, report = read(*texts)
    assert report.diagnostics == []
    return collection


def only(report: Report) -> Diagnostic:
    """Return the one finding there is."""
    assert len(report.diagnostics) == 1, [(d.slug, d.message) for d in report.diagnostics]
    return report.diagnostics[0]


def slugs(report: Report) -> list[str]:
    """Return what was found, in order."""
    return [diagnostic.slug for diagnostic in report.diagnostics]


def golden(folder: str) -> list[Any]:
    """Return the cases of the files in a folder beside this one, as parameters of a test."""
    found: dict[str, Any] = {}
    for path in sorted(Path(__file__).with_name(folder).glob("*.yaml")):
        for case in yaml.safe_load(path.read_text("utf-8")):
            key = f"{path.stem}: {case['case']}"
            assert key not in found, f"two cases are called {key}"
            found[key] = pytest.param(case, id=key)
    return list(found.values())
