"""
Falco's own regression cases (0.35) as data: rule files, options, what they must give.

Those of a capture are replayed from the recording of its fields (recorded_host). The entry events that Falco counted
then are not in it.
"""

from collections.abc import Callable
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import pytest

from engine.evaluate import Engine, Match
from engine.fields import FieldCatalog
from engine.load import LoadOptions, LoadResult, load_rules
from engine.priority import Priority
from engine.rulefile import RuleFile
from engine.selection import from_flags
from tests.conformance.oracle import lines, read_text
from tests.conformance.recorded_host import HOST, replayed
from tests.shared import SHARED

Case = dict[str, Any]


@cache
def all_cases() -> dict[str, Case]:
    rows = lines("falco-rules/regression-expected.jsonl") if SHARED else []
    return {row["name"]: row for row in rows}


def cases(wanted: Callable[[Case], Any]) -> pytest.MarkDecorator:
    found = [case for case in all_cases().values() if wanted(case)]
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in found])


def fires_on_a_capture(case: Case) -> bool:
    """Tell whether a case says which rules fire, or that none does, when a capture is replayed."""
    return bool(case["rules"]) and case["detect"] is not None and str(case["capture"]).startswith("scap/")


def load(case: Case, names: list[str] | None = None) -> LoadResult:
    told = case["options"]
    flags = (told.get(name, []) for name in ("disabled_rules", "disable_tags", "run_tags"))
    options = LoadOptions(min_priority=Priority.parse(told.get("priority", "debug")), selection=from_flags(*flags))
    files = [RuleFile(name, read_text(name)) for name in names or case["rules"] + case["validate"]]
    catalog = FieldCatalog({"syscall": HOST.tables["syscall"]}) if case["name"].startswith("no_plugins") else HOST
    return load_rules(files, catalog, options)


def fired(case: Case) -> list[Match]:
    """Return what matches when the capture of a case is replayed; one rule fires per event, as in those days."""
    ruleset = load(case).ruleset
    assert ruleset is not None
    engine = Engine(ruleset, matching="first")
    matches = engine.evaluate_batch(replayed(PurePosixPath(case["capture"]).stem))
    assert not engine.failures
    return matches
