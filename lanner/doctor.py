"""A look at everything that a service needs here, from its configuration to its outputs: what fails, and what to do."""

import ctypes
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from engine.render import render_text
from engine.ruleset import RuleSet
from ingest.cloudtrail.findings import Finding, State, failed, ok, warning
from lanner import config as configuration
from lanner import deadletters, pidfile, sourcecheck
from lanner.config import NO_OUTBOX, Config
from lanner.errors import ConfigError, RulesError, UserError
from lanner.outputreach import reached
from lanner.outputset import dead_letter_folder
from lanner.service import load_ruleset
from lanner.statedir import state_directory
from lanner.summary import counted
from lanner.waiting import look, outbox_paths

_ROOM = 256 << 20  # bytes of free disk below which a warning is due
_UNSYNCHRONISED = 5  # what ntp_adjtime answers when nobody sets the clock (TIME_ERROR)
_TIMEX = 512  # bytes, more than struct timex has anywhere


async def examine(path: str | None, overrides: Sequence[str], rules: Sequence[str] = ()) -> AsyncIterator[Finding]:
    """
    Look at everything between the events and the outputs, and say what is found as it is found.

    Nothing is started, and no alert is sent. What a service that runs has taken already, such as ports, is no failure.

    Args:
        path: Of the configuration; None for the usual one.
        overrides: Set over it.
        rules: Instead of those of the configuration, if any.
    """
    yield clock()
    try:
        loaded = configuration.load_all(path, overrides)
    except ConfigError as error:
        _, *lines = str(error).split("\n")
        for line in lines or [str(error)]:
            yield failed("configuration", line, "the keys are described by lanner config sample")
        return
    for finding in (*_configuration(loaded), *_rules(loaded.config, rules), *_state(loaded.config)):
        yield finding
    number = _running(loaded.config)
    if number:
        yield ok("service", f"runs as process {number}")
    async for finding in sourcecheck.examine(loaded.config, bool(number)):
        yield finding
    async for finding in reached(loaded.config):
        yield finding


def clock() -> Finding:
    """Look whether something sets the clock: signatures of AWS, and times of alerts, depend on it."""
    try:
        state = ctypes.CDLL(None, use_errno=True).ntp_adjtime(ctypes.create_string_buffer(_TIMEX))
    except (OSError, AttributeError):
        state = -1
    if state < 0:
        return Finding("clock", State.SKIPPED, "the kernel does not tell whether something sets it")
    if state == _UNSYNCHRONISED:
        return warning(
            "clock", "the kernel says that nothing sets it", "run chrony or systemd-timesyncd on this machine"
        )
    return ok("clock", "is kept right")


def _configuration(loaded: configuration.Loaded) -> Iterator[Finding]:
    names = ", ".join(name for name, _ in loaded.files) or "the command line"
    yield ok("configuration", f"{names}: nothing is wrong")
    for note in loaded.notes:
        yield warning("configuration", note, "take the key out, or see lanner config check --strict")


def _rules(config: Config, rules: Sequence[str]) -> Iterator[Finding]:
    config = replace(config, rules_files=tuple(rules)) if rules else config
    try:
        ruleset = load_ruleset(config)
    except RulesError as error:
        first = render_text(error.report.errors[:1], error.texts).split("\n")[0]
        yield failed("rules", f"{error}, such as {first}", "lanner rules check shows each with its place")
        return
    except UserError as error:
        yield failed("rules", str(error), "see rules_files")
        return
    yield ok("rules", f"{len(ruleset.enabled)} enabled of {len(ruleset.rules)}")
    yield from _without_rules(config, ruleset)


def _without_rules(config: Config, ruleset: RuleSet) -> Iterator[Finding]:
    """Find sources whose events no rule is for."""
    for source in config.sources:
        try:
            given = source.open().event_source
        except UserError:
            continue
        if given and all(rule.source != given for rule in ruleset.enabled):
            advice = "add rules for it to rules_files, such as those that are shipped: bundled"
            yield warning("rules", f"none is for {given}, which source {source.name} gives", advice)


def _running(config: Config) -> int | None:
    path = pidfile.beside_outbox(config)
    try:
        return pidfile.running(path) if path else None
    except UserError:
        return None


def _state(config: Config) -> Iterator[Finding]:
    if config.outbox.path == NO_OUTBOX:
        yield warning("state", "the outbox is off", "without outbox.path batches come again when an output fails")
        return
    folder = Path(config.outbox.path).parent if config.outbox.path else state_directory()
    yield _writable(folder)
    yield from _outboxes(config)
    yield from _dead_letters(config)


def _writable(folder: Path) -> Finding:
    """Try to write where the service will; of a folder that is not there, where it will be made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(there).free
    except OSError as error:
        advice = f"let user {os.geteuid()} write there, or name another place with outbox.path"
        return failed("state", f"{there}: cannot be written to: {error.strerror}", advice)
    if free < _ROOM:
        advice = "make room: without it batches go back to their sources"
        return warning("state", f"{there}: {free >> 20} MiB are free", advice)
    return ok("state", f"{folder}: can be written to, {free >> 20:,} MiB are free")


def _outboxes(config: Config) -> Iterator[Finding]:
    for path in outbox_paths(config):
        try:
            rows = look(path)
        except UserError as error:
            yield warning(
                "outbox", str(error), "the next start sets a damaged file aside and goes on with what is readable"
            )
            continue
        waiting = [f"{counted(row.count, 'alert')} for {row.output}" for row in rows if row.count]
        if waiting:
            advice = "see the log for why, and lanner outbox list"
            yield warning("outbox", f"{path}: waiting: {', '.join(waiting)}", advice)
        else:
            yield ok("outbox", f"{path}: nothing waits")


def _dead_letters(config: Config) -> Iterator[Finding]:
    try:
        letters = deadletters.read(dead_letter_folder(config))
    except OSError as error:
        yield failed("dead letters", f"cannot be read: {error}", "let this user read the folder")
        return
    if letters:
        advice = "lanner outbox list says why, lanner outbox retry sends them again"
        yield warning("dead letters", f"{counted(len(letters), 'alert')} that destinations refused", advice)
