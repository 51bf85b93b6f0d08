"""Pages that the program can make are as it makes them, and what they show works."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest

from lanner.config import read
from lanner.sources import SOURCE_TYPES

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
GENERATOR: dict[str, Any] = runpy.run_path(str(DOCS / "generate.py"))


@pytest.mark.parametrize("name", GENERATOR["PAGES"])
def test_generated_pages_are_fresh(name: str) -> None:
    assert (DOCS / name).read_text("utf-8") == GENERATOR["PAGES"][name](), "run: make docs"


def test_the_sample_configuration_loads_and_has_every_source() -> None:
    found = read((DOCS / "reference" / "lanner.yaml").read_text("utf-8"), "lanner.yaml")
    assert [source.type for source in found.sources] == list(SOURCE_TYPES)


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
