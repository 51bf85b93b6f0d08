"""What Prometheus and Grafana are given asks for metrics that there are."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "infra" / "monitoring"
METRIC = re.compile(r"lanner_[a-z_]+")


def expressions() -> list[str]:
    rules = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return [rule["expr"] for rule in rules] + [target["expr"] for panel in panels for target in panel["targets"]]


def known() -> set[str]:
    text = (ROOT / "lanner" / "metrics.py").read_text()
    names = set(re.findall(r'"(lanner_[a-z_]+)"', text))
    return names | {f"{name}_total" for name in names}


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_asked_for_is_made(expression: str) -> None:
    asked = {name for name in METRIC.findall(expression) if not name.startswith("lanner_process_")}
    assert asked <= known()


def test_every_alert_says_what_it_means_and_how_bad_it_is() -> None:
    rules: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"][0]["rules"]
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"].endswith((".", "where"))


def test_the_manual_names_the_metrics_that_there_are() -> None:
    told = set(METRIC.findall((ROOT / "docs" / "running.md").read_text()))
    by_others = ("lanner_process_", "lanner_source_")  # the client library's, and gauges that sources name themselves
    assert {name for name in told if not name.startswith(by_others)} <= known()
