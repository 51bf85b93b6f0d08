"""Reads and loads rule files for tests, given as YAML text or as items, and looks findings up."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from engine.definitions import Collection
from engine.diagnostics import Diagnostic, Report
from engine.fields import FieldCatalog
from engine.load import LoadOptions, LoadResult, load_rules
from engine.rulefile import RuleFile, read_files
from engine.ruleset import RuleSet
from tests.engine import testfields

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


Items = list[dict[str, Any]]


def rule(name: str = "r", **keys: Any) -> dict[str, Any]:
    """Return a rule as a rule file holds it, with some text for the keys that it must have."""
    given = {"desc": "d", "output": "o", "priority": "INFO", "source": testfields.SOURCE, "condition": "t.s = a"}
    return {"rule": name, **given, **keys}


def load(*files: Items, catalog: FieldCatalog = testfields.CATALOG, options: LoadOptions | None = None) -> LoadResult:
    """Load files, given as items."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    texts = [yaml.dump(items, Dumper=dumper, sort_keys=False) for items in files]
    return load_rules([RuleFile(f"{number}.yaml", text) for number, text in enumerate(texts)], catalog, options)


def loaded(*files: Items, catalog: FieldCatalog = testfields.CATALOG, options: LoadOptions | None = None) -> RuleSet:
    """Load files that have no errors."""
    result = load(*files, catalog=catalog, options=options)
    assert result.ruleset is not None, [(found.message, found.span) for found in result.report.errors]
    return result.ruleset


def golden(folder: str) -> list[Any]:
    """Return the cases of the files in a folder beside this one, as parameters of a test."""
    found: dict[str, Any] = {}
    for path in sorted(Path(__file__).with_name(folder).glob("*.yaml")):
        for case in yaml.safe_load(path.read_text("utf-8")):
            key = f"{path.stem}: {case['case']}"
            assert key not in found, f"two cases are called {key}"
            found[key] = pytest.param(case, id=key)
    return list(found.values())
