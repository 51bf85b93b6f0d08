"""Rule files that others wrote: Falco's own, its plugins', and the regression files of its test suite."""

import json
from pathlib import Path

import pytest
import yaml

from engine.definitions import Collection
from engine.diagnostics import Report
from engine.rulefile import RuleFile, read_files
from tests.engine.reading import SOURCES
from tests.shared import SHARED, needs_shared

PLUGINS = {
    "cloudtrail": "0.17.1",
    "json": "0.7.4",
    "k8saudit": "0.18.0",
    "k8saudit-eks": "0.12.0",
    "k8saudit-gke": "0.9.0",
    "container": "0.7.1",
    "github": "0.8.0",
    "okta": "0.11.0",
    "gcpaudit": "0.6.0",
}
REGRESSION = "regression-0.35.0/rules"
# Files that change what other files define.
OLD = "falco-0.31.1"
BASES = {
    f"{OLD}/test/rules/k8s_audit/allow_namespace_foo.yaml": [f"{OLD}/rules/k8s_audit_rules.yaml"],
    f"{OLD}/test/rules/k8s_audit/trust_nginx_container.yaml": [
        f"{OLD}/rules/falco_rules.yaml",
        f"{OLD}/rules/k8s_audit_rules.yaml",
    ],
    "plugins/k8saudit-gke/k8s_audit_rules_gke.yaml": ["plugins/k8saudit-gke/k8s_audit_rules.yaml"],
    f"{REGRESSION}/append_single_rule.yaml": [f"{REGRESSION}/single_rule.yaml"],
    f"{REGRESSION}/invalid_append_macro.yaml": [f"{REGRESSION}/invalid_base_macro.yaml"],
}
# Regression cases whose error is found when conditions are resolved, not when files are read.
LATER = {
    "invalid_append_macro",
    "invalid_append_rule_multiple_docs",
    "invalid_macro_loop",
    "invalid_overwrite_macro_multiple_docs",
    "invalid_overwrite_rule",
    "invalid_overwrite_rule_multiple_docs",
    "rule_exception_unknown_fields",
}
# Falco finds this one when it compares the loaded plugins, outside of the reader of rules.
PLUGIN_CASES = {f"{REGRESSION}/plugins/cloudtrail_incompat_plugin_version.yaml"}


def folder() -> Path:
    assert SHARED is not None
    return SHARED / "falco-rules"


def files() -> list[str]:
    return sorted(str(path.relative_to(folder())) for path in folder().rglob("*.yaml")) if SHARED else []


def regression_cases() -> list[dict]:
    if SHARED is None:
        return []
    lines = (folder() / "regression-expected.jsonl").read_text("utf-8").splitlines()
    return [case for case in map(json.loads, lines) if "validate_errors" in case["options"]]


def read(*names: str, sources: tuple[str, ...] = SOURCES) -> tuple[Collection, Report]:
    report = Report()
    rule_files = [RuleFile(name, (folder() / name).read_text("utf-8")) for name in names]
    return read_files(rule_files, sources, report, plugins=PLUGINS), report


def validated(case: dict) -> list[str]:
    return [name.removeprefix("falco-rules/") for name in case["validate"]]


def expected_to_fail() -> set[str]:
    wrong = {validated(case)[-1] for case in regression_cases() if case["name"] not in LATER}
    return wrong | PLUGIN_CASES


@needs_shared
@pytest.mark.parametrize("name", files())
def test_a_file_is_read_without_errors_unless_falco_finds_some(name):
    _, report = read(*BASES.get(name, ()), name)

    assert bool(report.errors) == (name in expected_to_fail()), [d.message for d in report.errors]


@needs_shared
@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in regression_cases()])
def test_the_errors_that_falco_finds_are_found(case):
    _, report = read(*validated(case))
    found = {(*(d.item if d.item[0] else ("rules content", "")), d.code) for d in report.errors}
    wanted = {(e["item_type"], e["item_name"], e["code"]) for e in case["options"]["validate_errors"]}

    assert found == (set() if case["name"] in LATER else wanted)


@needs_shared
def test_a_rule_of_a_source_that_is_not_there_is_skipped_with_falcos_warning():
    found, report = read(f"{REGRESSION}/plugins/cloudtrail_create_instances.yaml", sources=("syscall",))

    (warning,) = report.warnings
    assert (warning.code, warning.item) == ("LOAD_UNKNOWN_SOURCE", ("rule", "Cloudtrail Create Instance"))
    assert found.rules["Cloudtrail Create Instance"].skipped


CURRENT = [f"falcosecurity-rules/{name}_rules.yaml" for name in ("falco", "falco-incubating", "falco-sandbox")]
CURRENT += ["plugins/cloudtrail/aws_cloudtrail_rules.yaml", "plugins/k8saudit/k8s_audit_rules.yaml"]


@needs_shared
def test_falcos_current_rules_are_read_whole_and_with_no_finding():
    found, report = read(*CURRENT)
    items = [item for name in CURRENT for item in yaml.safe_load((folder() / name).read_text("utf-8"))]

    assert report.diagnostics == []
    assert len(found.rules) > 150
    for kind, defined in (("list", found.lists), ("macro", found.macros), ("rule", found.rules)):
        assert set(defined) == {item[kind] for item in items if kind in item}
    macros = {item["macro"]: item["condition"] for item in items if "macro" in item}
    rules = {
        item["rule"]: (item["condition"], item["output"].strip())
        for item in items
        if "condition" in item and "rule" in item
    }
    assert {name: macro.condition.text for name, macro in found.macros.items()} == macros
    assert {name: (rule.condition.text, rule.output.text) for name, rule in found.rules.items()} == rules


@needs_shared
def test_conditions_of_real_rules_point_into_their_files():
    found, _ = read("falcosecurity-rules/falco_rules.yaml")
    lines = (folder() / "falcosecurity-rules/falco_rules.yaml").read_text("utf-8").splitlines()

    for rule in found.rules.values():
        for text in (rule.condition, rule.output):
            for offset, character in enumerate(text.text):
                _, line, col = text.place(offset)
                assert character.isspace() or lines[line - 1][col - 1] == character
