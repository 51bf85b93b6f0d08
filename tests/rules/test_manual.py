"""What the manual says of rules: the tutorial's rule passes its tests, the lists and fields named are there."""

import re
from pathlib import Path

import pytest

from engine.load import LoadOptions
from lanner import rulefiles
from lanner.catalog import build_catalog
from lanner.cli.app import status_of

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
FILE = re.compile(r"```yaml\n(# (my_rules/\S+)\n.*?)```", re.DOTALL)


@pytest.fixture
def tutorial(tmp_path: Path) -> Path:
    for text, name in FILE.findall((DOCS / "first-rule.md").read_text("utf-8")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path / "my_rules"


def test_the_first_rule_of_the_tutorial_is_right_and_passes_its_tests(tutorial: Path) -> None:
    assert status_of(["rules", "check", str(tutorial), "--strict"]) == 0
    assert status_of(["rules", "test", str(tutorial), "--require-tests"]) == 0


def test_a_failure_looks_as_the_tutorial_shows_it(tutorial: Path, capsys: pytest.CaptureFixture[str]) -> None:
    test = tutorial / "tests" / "tables.yaml"
    test.write_text(test.read_text().replace("deletionProtectionEnabled: true", "deletionProtectionEnabled: false"))

    assert status_of(["rules", "test", str(tutorial)]) == 1

    shown = (DOCS / "first-rule.md").read_text("utf-8").split("```\nFAIL  my_rules/", 1)[1].split("```", 1)[0]
    assert f"FAIL  {tutorial}/{shown}" in capsys.readouterr().out


def test_the_lists_and_fields_that_the_manual_names_are_there() -> None:
    page = (DOCS / "rules.md").read_text("utf-8")
    catalog = build_catalog("host")
    loaded = {
        pack: rulefiles.load([f"{rulefiles.BUNDLED}/{pack}"], catalog, LoadOptions()).collection
        for pack in ("aws", "k8s")
    }
    named = re.findall(r"^\| (aws|k8s) \| `(\w+)` \|", page, re.MULTILINE)
    fields = re.findall(r"^\| `(ct\.[a-z.]+)", page, re.MULTILINE)

    assert set(named) == {
        (pack, name) for pack, found in loaded.items() for name, has in found.lists.items() if not has.items
    }
    assert fields
    assert set(fields) <= set(catalog.tables["aws_cloudtrail"].fields)
