"""
The service: sources, engine, custody and outputs, wired from the configuration.

Start goes from the end of an event's way to its beginning, stop from its beginning to its end, so that whatever came
in can go out.
"""

import asyncio
import contextlib
import gc
import logging
import math
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.evaluate import Engine
from engine.load import LoadOptions
from engine.priority import Priority
from engine.ruleset import RuleSet
from engine.selection import Selection
from ingest.k8saudit.record import SOURCE as K8S_AUDIT
from ingest.k8saudit.requests import request_of
from lanner import rulefiles
from lanner.catalog import build_catalog
from lanner.config import NO_OUTBOX, Config
from lanner.custody import Custody, Direct, Durable
from lanner.detect import Detector, Tally
from lanner.enrichment import alert_fields, watching
from lanner.errors import Exit
from lanner.hostname import hostname
from lanner.internal import internal_alert
from lanner.live import Live
from lanner.outbox import Outbox
from lanner.outputs.base import Output
from lanner.outputs.leaving import Leaving, leaving
from lanner.outputset import make_outputs
from lanner.pipeline import Pipeline
from lanner.reload import Load, Loaded, Reloader
from lanner.repeats import Repeats
from lanner.silences import FILE as SILENCES
from lanner.silences import Silencer
from lanner.spooling import with_spools
from lanner.statedir import state_directory
from lanner.summary import counted
from lanner.supervision import Kept, Tell
from lanner.webserver import serving

_log = logging.getLogger("lanner.service")

_SOURCES_SHARE, _CONSUMERS_SHARE = 0.7, 0.8  # of the grace; the rest is for the outputs
_SAME_SIGNAL = 1.0  # seconds in which a terminal and a supervisor may both say what is one wish


def load_ruleset(config: Config, more: Sequence[Selection] = ()) -> RuleSet:
    """Load the configured rules; ``more`` selects after the configuration. Raises RulesError."""
    selection = [*(entry for step in config.rules for entry in step.entries()), *more]
    additions = [addition.entry() for addition in config.append_output] + alert_fields(config.enrichment)
    options = LoadOptions(min_priority=config.priority, selection=selection, append_output=additions)
    return rulefiles.load(config.rules_files, build_catalog(hostname(), config.static_fields), options)


def make_sources(config: Config, tell: Tell) -> list[Kept]:
    """Return the configured sources, not started yet; failures are told of. Raises SourceStartError."""
    return [Kept(source, config.on_source_failure == "restart", tell) for source in with_spools(config).sources]


async def serve(loaded: Loaded, load: Load, number: int = 1, seconds: float = 0.0) -> tuple[Exit, Tally]:
    """
    Run until a signal, the end of all sources or what ends the service; return how it ended and what was found.

    Args:
        loaded: Configuration and rules.
        load: Loads them anew, when they are to change.
        number: Of the process among the workers.
        seconds: After which it stops; 0 for never.
    """
    config, counters = loaded.config, Counter[str]()
    repeats = Repeats({K8S_AUDIT: request_of}) if config.collapse_repeats else None
    silencer = Silencer(state_directory() / SILENCES, build_catalog(hostname(), config.static_fields))
    detector = Detector(Engine(loaded.ruleset, config.rule_matching), hostname(), repeats, silencer)
    _spare_collector()
    stopping, grace = asyncio.Event(), _Grace(config.shutdown_grace)
    if seconds:
        asyncio.get_running_loop().call_later(seconds, stopping.set)
    with _signals(stopping):
        async with _custody(config, counters, grace) as custody, watching(config.enrichment):
            pipeline = Pipeline(detector, custody)
            sources = make_sources(config, _teller(custody))
            reloader = Reloader(loaded, load, detector, sources, custody)
            live = Live(reloader, detector, pipeline, custody, sources, counters)
            async with serving(_shared_port(config, number), live):
                status = await _run_sources(live, stopping, grace)
    return status, detector.tally


def _teller(custody: Custody) -> Tell:
    """Return what makes alerts of sources that failed."""

    async def tell(name: str, why: str) -> None:
        message = f"Source {name} failed and is started again: {why}"
        with contextlib.suppress(Exception):
            await custody.take([internal_alert("source failed", Priority.ERROR, message, {"source.name": name})])

    return tell


def _shared_port(config: Config, number: int) -> Config:
    """Give each worker a port of its own for metrics: Prometheus asks every process."""
    port = config.webserver.listen_port
    return replace(config, webserver=replace(config.webserver, listen_port=port + number - 1 if port else 0))


def _spare_collector() -> None:
    """Keep the garbage collector from going over the rules again and again, and from running within a batch."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


@dataclass(slots=True)
class _Grace:
    """The seconds that sources, and outputs after them, have together for their end."""

    seconds: float
    _began: float = 0.0

    def begin(self) -> None:
        """Let it run from now on."""
        self._began = time.monotonic()

    def left(self, share: float = 1.0) -> float:
        """Return how many seconds of a share of it are left."""
        return max(0.0, share * self.seconds - (time.monotonic() - self._began))


@contextlib.asynccontextmanager
async def _custody(config: Config, counters: Counter[str], grace: _Grace) -> AsyncIterator[Custody]:
    """Open outputs and outbox; at the end, let what is held go out."""
    outputs = leaving(make_outputs(config, counters), counters)
    async with contextlib.AsyncExitStack() as opened:
        for output in outputs:
            await output.start()
            opened.push_async_callback(output.close)
        custody = _open_custody(config, outputs, counters)
        try:
            with _reopening(outputs):
                yield custody
        finally:
            left = await custody.close(grace.left())
            if left:
                _log.warning("%s left in the outbox, to go out at the next start", counted(left, "alert"))


@contextlib.contextmanager
def _reopening(outputs: Sequence[Leaving]) -> Iterator[None]:
    """Have outputs open their files anew, and start their programs anew, on SIGUSR1."""
    loop = asyncio.get_running_loop()

    def reopen() -> None:
        _log.info("outputs open anew what they write to")
        for output in outputs:
            output.reopen()

    loop.add_signal_handler(signal.SIGUSR1, reopen)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGUSR1)


def _open_custody(config: Config, outputs: Sequence[Output], counters: Counter[str]) -> Custody:
    if config.outbox.path == NO_OUTBOX:
        return Direct(outputs, counters)
    path = Path(config.outbox.path) if config.outbox.path else state_directory() / "outbox.sqlite"
    outbox = Outbox(path, [output.name for output in outputs], config.outbox.max_alerts)
    return Durable(outbox, outputs, counters)


async def _run_sources(live: Live, stopping: asyncio.Event, grace: _Grace) -> Exit:
    loaded, custody = live.reloader.loaded, live.custody
    for configured in loaded.config.sources:
        for note in configured.notes:
            _log.info("source %s: %s", configured.name, note)
    started: list[Kept] = []
    consumers: list[asyncio.Task[None]] = []
    with _reloading(live.reloader):
        try:
            for source in live.sources:
                await source.start(loaded.ruleset)
                started.append(source)
            consumers = [asyncio.create_task(source.run(live.pipeline), name=source.name) for source in live.sources]
            _log.info("running: %s", ", ".join(source.name for source in live.sources))
            await _until_end(consumers, custody, stopping)
        finally:
            grace.begin()
            await _stop(started, consumers, grace)
            for name, counters in (*((source.name, source.counters) for source in started), _batches(live)):
                counted = ", ".join(f"{what} {count}" for what, count in sorted(counters.items()))
                _log.info("%s: %s", name, counted or "-")
    if _failed(consumers):
        return Exit.SOURCE
    if custody.closed.is_set():
        _log.error("ended, as no output is left that takes alerts")
        return Exit.OUTPUT
    return Exit.OK


def _batches(live: Live) -> tuple[str, Counter[str]]:
    return "batches", live.pipeline.counters


@contextlib.contextmanager
def _reloading(reloader: Reloader) -> Iterator[None]:
    """Change the rules on SIGHUP, and when their files change if that is wanted."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[object]] = set()

    def begin() -> None:
        task = loop.create_task(reloader.reload())
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop.add_signal_handler(signal.SIGHUP, begin)
    if reloader.loaded.config.watch_config_files:
        tasks.add(loop.create_task(reloader.watch()))
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in tasks:
            task.cancel()


async def _until_end(consumers: Sequence["asyncio.Task[None]"], custody: Custody, stopping: asyncio.Event) -> None:
    """Wait for a signal, for an output that was closed, for the end of all sources or the failure of one."""
    ends: list[asyncio.Task[object]] = [
        asyncio.create_task(stopping.wait()),
        asyncio.create_task(custody.closed.wait()),
        asyncio.create_task(asyncio.wait(consumers, return_when=asyncio.FIRST_EXCEPTION)),
    ]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for end in ends:
            end.cancel()


async def _stop(sources: Sequence[Kept], consumers: Sequence["asyncio.Task[None]"], grace: _Grace) -> None:
    """Stop all sources; what they have begun is still evaluated and settled meanwhile."""
    seconds = grace.left(_SOURCES_SHARE)
    for result in await asyncio.gather(*(source.stop(seconds) for source in sources), return_exceptions=True):
        if isinstance(result, Exception):
            _log.error("a source did not stop in order: %s", result)
    if consumers:
        _, late = await asyncio.wait(consumers, timeout=grace.left(_CONSUMERS_SHARE))
        for consumer in late:
            consumer.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _failed(consumers: Sequence["asyncio.Task[None]"]) -> bool:
    failures = [(task, task.exception()) for task in consumers if task.done() and not task.cancelled()]
    for task, error in failures:
        if error:
            _log.error("source %s failed: %s", task.get_name(), error, exc_info=error)
    return any(error for _, error in failures)


@contextlib.contextmanager
def _signals(stopping: asyncio.Event) -> Iterator[None]:
    """Let SIGINT and SIGTERM end the service in order, and another one later at once."""
    loop = asyncio.get_running_loop()
    first = math.inf

    def stop(number: int) -> None:
        nonlocal first
        if loop.time() > first + _SAME_SIGNAL:
            os._exit(128 + number)
        if not stopping.is_set():
            first = loop.time()
            _log.info("stopping: %s; once more to stop at once", signal.Signals(number).name)
            stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
