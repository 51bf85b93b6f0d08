"""What sources measure is told to Prometheus."""

from collections import Counter
from types import SimpleNamespace
from typing import Any

from ingest.base import Health
from lanner.metrics import _Service


def source(name: str, **gauges: float) -> Any:
    return SimpleNamespace(name=name, restarts=0, counters=Counter(), health=lambda: Health(gauges=gauges))


def test_gauges_of_sources_are_families_of_their_own() -> None:
    sources = [source("a", queue_messages_waiting=3, messages_held=1), source("b", queue_messages_waiting=5)]
    live: Any = SimpleNamespace(sources=sources, pipeline=SimpleNamespace(lag={}, busy={}))
    found = {
        (family.name, sample.labels["source"]): sample.value
        for family in _Service(live)._sources()
        for sample in family.samples
        if family.name.startswith("lanner_source_") and "messages" in family.name
    }
    assert found == {
        ("lanner_source_queue_messages_waiting", "a"): 3,
        ("lanner_source_queue_messages_waiting", "b"): 5,
        ("lanner_source_messages_held", "a"): 1,
    }
