"""Metrics for Prometheus, read from what the service counts anyway when somebody asks (spec: surface 1.8)."""

import time
from collections import Counter
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ingest.kubernetes.cluster import HERE
from lanner import __version__
from lanner.live import Live

Family = CounterMetricFamily | GaugeMetricFamily | InfoMetricFamily

_FALCO = "falcosecurity_falco"


def exposition(registry: CollectorRegistry) -> bytes:
    """Return all metrics in Prometheus's text format."""
    return generate_latest(registry)


def registry(live: Live, falco: bool) -> CollectorRegistry:
    """Return the metrics of a service; ``falco`` adds Falco's names for those that Falco has."""
    made = CollectorRegistry()
    ProcessCollector(namespace="lanner", registry=made)
    PlatformCollector(registry=made)
    made.register(_Service(live))
    if falco:
        made.register(_FalcoNames(live))
    return made


class _Service(Collector):
    """The service's own metrics."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> Iterator[Family]:
        """Yield all families."""
        live = self._live
        yield InfoMetricFamily("lanner_version", "Version of Lanner.", {"version": __version__})
        yield _gauge("lanner_start_timestamp_seconds", "When the service began.", live.started_ns / 1e9)
        yield from self._rules()
        yield _counted(
            "lanner_events", "Events whose alerts are safe.", ("source",), _plain(live.detector.tally.events)
        )
        yield from self._sources()
        yield _counted("lanner_batches", "Batches settled.", ("result",), _plain(live.pipeline.counters))
        yield from _outputs(live)
        if live.reloader.loaded.config.enrichment.enabled:
            yield from _enrichment()

    def _rules(self) -> Iterator[Family]:
        live, reloader = self._live, self._live.reloader
        tally = live.detector.tally
        rules = reloader.loaded.ruleset.enabled
        yield _gauge("lanner_rules_enabled", "Rules in force.", len(rules))
        yield _gauge("lanner_reload_timestamp_seconds", "When rules were changed last.", reloader.changed_ns / 1e9)
        yield _one("lanner_reloads", "Changes of rules that were taken.", reloader.reloads)
        yield _one("lanner_reload_failures", "Changes of rules that were refused.", reloader.failures)
        matches = CounterMetricFamily(
            "lanner_rule_matches", "Alerts that are safe, by rule.", labels=("rule", "priority", "source")
        )
        for rule in rules:
            count = tally.alerts[rule.priority, rule.name]
            matches.add_metric((rule.name, rule.priority.name.lower(), rule.source), count)
        yield matches
        yield _counted("lanner_rule_failures", "Evaluations that failed: a defect.", ("rule",), _plain(tally.failures))
        yield _counted("lanner_alerts_repeated", "Alerts not told again.", ("why",), _plain(tally.repeats))
        yield _counted("lanner_alerts_silenced", "Alerts that a silence hid.", ("silence",), _plain(tally.silenced))
        files = GaugeMetricFamily("lanner_file_info", "Files that were read.", labels=("kind", "file_name", "sha256"))
        for kind, hashes in live.file_hashes().items():
            for name, digest in hashes.items():
                files.add_metric((kind, name, digest), 1)
        yield files

    def _sources(self) -> Iterator[Family]:
        sources = self._live.sources
        up = GaugeMetricFamily("lanner_source_up", "Whether a source works.", labels=("source",))
        restarts = CounterMetricFamily("lanner_source_restarts", "Starts after a failure.", labels=("source",))
        counts = CounterMetricFamily(
            "lanner_source", "What a source counts, by reason; see docs/operations.md.", labels=("source", "reason")
        )
        gauges: dict[str, GaugeMetricFamily] = {}
        for source in sources:
            health = source.health()
            up.add_metric((source.name,), float(health.ok))
            for name, value in health.gauges.items():
                doc = "What a source measures now; see docs/operations.md."
                family = GaugeMetricFamily(f"lanner_source_{name}", doc, labels=("source",))
                gauges.setdefault(name, family).add_metric((source.name,), value)
            restarts.add_metric((source.name,), source.restarts)
            for reason, count in sorted(source.counters.items()):
                counts.add_metric((source.name, reason), count)
        yield from (up, restarts, counts)
        yield from gauges.values()
        lag = GaugeMetricFamily(
            "lanner_event_lag_seconds", "Age of the event that a source had evaluated last.", labels=("source",)
        )
        for name, seconds in self._live.pipeline.lag.items():
            lag.add_metric((name,), seconds)
        yield lag
        busy = CounterMetricFamily("lanner_evaluation_seconds", "Time spent on evaluating.", labels=("source",))
        for name, seconds in self._live.pipeline.busy.items():
            busy.add_metric((name,), seconds)
        yield busy


def _outputs(live: Live) -> Iterator[Family]:
    alerts = CounterMetricFamily("lanner_output_alerts", "Alerts by what became of them.", labels=("output", "result"))
    failures = CounterMetricFamily("lanner_output_failures", "Deliveries that failed.", labels=("output",))
    for name, count in sorted(live.outputs.items()):
        what, _, output = name.partition(":")
        if what == "deliveries_failed":
            failures.add_metric((output,), count)
        elif what.startswith("alerts_"):
            alerts.add_metric((output, what.removeprefix("alerts_")), count)
    waiting = GaugeMetricFamily("lanner_output_waiting", "Alerts an output has not taken yet.", labels=("output",))
    for output, count in live.custody.waiting().items():
        waiting.add_metric((output,), count)
    yield from (alerts, failures, waiting)


def _enrichment() -> Iterator[Family]:
    objects = GaugeMetricFamily("lanner_enrichment_objects", "Objects of the cluster that are known.", labels=("kind",))
    for kind, store in HERE.stores.items():
        objects.add_metric((kind,), len(store))
    counts = CounterMetricFamily("lanner_enrichment", "What the watches of the cluster count.", labels=("kind", "what"))
    for name, count in sorted(HERE.counters.items()):
        kind, _, what = name.partition(":")
        counts.add_metric((kind, what), count)
    yield from (objects, counts)


class _FalcoNames(Collector):
    """The same under Falco's names, where Falco has them."""

    def __init__(self, live: Live) -> None:
        self._live = live

    def collect(self) -> Iterator[Family]:
        """Yield the families that Falco has too."""
        live, reloader = self._live, self._live.reloader
        yield InfoMetricFamily(f"{_FALCO}_version", "Version of Lanner.", {"version": __version__})
        yield _gauge(f"{_FALCO}_start_timestamp_nanoseconds", "When the service began.", live.started_ns)
        yield _gauge(f"{_FALCO}_reload_timestamp_nanoseconds", "When rules were changed last.", reloader.changed_ns)
        yield _one(f"{_FALCO}_duration_seconds", "How long it runs.", time.time() - live.started_ns / 1e9)
        matches: dict[tuple[str, ...], CounterMetricFamily] = {}
        for rule in reloader.loaded.ruleset.enabled:
            count = live.detector.tally.alerts[rule.priority, rule.name]
            if not count:
                continue
            tags = tuple(f"tag_{_label(tag)}" for tag in rule.tags)
            labels = ("rule_name", "priority", "source", *dict.fromkeys(tags))
            family = matches.setdefault(
                labels, CounterMetricFamily(f"{_FALCO}_rules_matches", "Alerts by rule.", labels=labels)
            )
            values = (rule.name, str(int(rule.priority)), rule.source, *(["true"] * (len(labels) - 3)))
            family.add_metric(values, count)
        yield from matches.values()
        yield _one(f"{_FALCO}_outputs_queue_num_drops", "Alerts dropped.", _dropped(live.outputs))


def _label(text: str) -> str:
    return "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in text)


def _dropped(counters: Counter[str]) -> int:
    return sum(count for name, count in counters.items() if name.startswith("alerts_dropped:"))


def _plain(counter: Counter[str]) -> dict[tuple[str, ...], float]:
    return {(name,): count for name, count in counter.items()}


def _counted(name: str, doc: str, labels: tuple[str, ...], counts: dict[tuple[str, ...], float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, doc, labels=labels)
    for values, count in sorted(counts.items()):
        family.add_metric(values, count)
    return family


def _one(name: str, doc: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, doc, value=value)


def _gauge(name: str, doc: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, doc, value=value)
