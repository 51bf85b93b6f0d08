"""
Several processes of one service: they share the rules in memory and the port, and else nothing.

Each has an outbox of its own. The first process only starts them, passes signals on, and starts anew what died.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from lanner.config import NO_OUTBOX, Config
from lanner.errors import ConfigError, Exit, UserError
from lanner.sources import SourceConfig
from lanner.spooling import with_spools
from lanner.statedir import state_directory

_log = logging.getLogger("lanner.workers")

_NO_END = (signal.SIGHUP, signal.SIGUSR1)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, *_NO_END)
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_HEALTHY = 60.0  # seconds of life after which a death is no reason to wait longer before the next start


def share(config: Config, number: int) -> Config:
    """
    Return the configuration of one worker, numbers from 1; the first one's outbox is that of a service without workers.

    Raises:
        ConfigError: A source cannot be shared among processes.
    """
    config = with_spools(config)
    path = config.outbox.path or str(state_directory() / "outbox.sqlite")
    if path != NO_OUTBOX and number > 1:
        path = str(Path(path).with_stem(f"{Path(path).stem}-{number}"))
    sources = tuple(_shared(source, number) for source in config.sources)
    return replace(config, outbox=replace(config.outbox, path=path), sources=sources)


def _shared(source: SourceConfig, number: int) -> SourceConfig:
    if source.type == "cloudtrail":
        return source
    if source.type != "k8saudit":
        raise ConfigError(f"workers: source {source.name} reads alone; use one worker, or another service for it")
    if source.options.listen.port == 0:
        raise ConfigError(f"workers: source {source.name} needs a port, which the workers share")
    spool = source.options.spool
    if spool.path and number > 1:
        spool = replace(spool, path=f"{spool.path}-{number}")
    listen = replace(source.options.listen, reuse_port=True)
    return replace(source, options=replace(source.options, listen=listen, spool=spool))


@dataclass(slots=True)
class _Worker:
    number: int
    pid: int = 0
    began: float = 0.0
    pause: float = _FIRST_PAUSE
    due: float = 0.0  # when it is to be started again


def supervise(count: int, work: Callable[[int], Exit]) -> Exit:
    """
    Run ``work(number)`` in processes until a signal, or until one ends by itself or cannot start; return the worst.

    Call it before there are threads or an event loop: it forks.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    alive, watch = os.pipe()
    workers = [_Worker(number) for number in range(1, count + 1)]

    def start(worker: _Worker) -> None:
        worker.began, worker.due = time.monotonic(), 0.0
        worker.pid = os.fork()
        if not worker.pid:
            os.close(watch)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _child(worker.number, work, alive)

    try:
        for worker in workers:
            start(worker)
        return _watch(workers, start)
    finally:
        os.close(alive)
        os.close(watch)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _child(number: int, work: Callable[[int], Exit], alive: int) -> None:
    """Work, and end the process; also in order when the first process is gone."""
    threading.Thread(target=_end_with, args=(alive,), daemon=True).start()
    status = 70  # an accident; started again
    try:
        status = work(number)
    except UserError as error:
        _log.error("worker %d: %s", number, error)
        status = error.status
    except Exception:
        _log.exception("worker %d failed", number)
    finally:
        os._exit(status)


def _end_with(alive: int) -> None:
    os.read(alive, 1)  # nobody writes: it returns when the writing end is closed
    os.kill(os.getpid(), signal.SIGTERM)


def _watch(workers: list[_Worker], start: Callable[[_Worker], None]) -> Exit:
    status, stopping = Exit.OK, False
    while any(worker.pid for worker in workers) or not stopping:
        told = signal.sigtimedwait(_SIGNALS, _until_due(workers))
        if told and told.si_signo != signal.SIGCHLD:
            stopping = stopping or told.si_signo not in _NO_END
            _pass_on(workers, told.si_signo)
        for worker, ended in _ended(workers):
            reason = _final(ended)
            if reason is not None and not stopping:
                stopping = True
                _pass_on(workers, signal.SIGTERM)
            elif not stopping:
                _plan(worker, ended)
            status = max(status, reason or Exit.OK)
        for worker in workers:
            if worker.due and not stopping and time.monotonic() >= worker.due:
                start(worker)
    return status


def _until_due(workers: list[_Worker]) -> float:
    now = time.monotonic()
    return max(0.0, min([3600.0, *(worker.due - now for worker in workers if worker.due)]))


def _pass_on(workers: list[_Worker], number: int) -> None:
    for worker in workers:
        if worker.pid:
            os.kill(worker.pid, number)


def _ended(workers: list[_Worker]) -> list[tuple[_Worker, int]]:
    """Return the workers that have ended, each with its exit status or the negative number of a signal."""
    found = []
    for worker in workers:
        pid, status = os.waitpid(worker.pid, os.WNOHANG) if worker.pid else (0, 0)
        if pid:
            worker.pid = 0
            found.append((worker, os.waitstatus_to_exitcode(status)))
    return found


def _final(ended: int) -> Exit | None:
    """Return the status with which all end because of how one has ended; None when it was an accident."""
    return Exit(ended) if ended in (Exit.OK, Exit.USAGE, Exit.OUTPUT, Exit.SOURCE) else None


def _plan(worker: _Worker, ended: int) -> None:
    """Have a worker started again, later each time it dies young."""
    now = time.monotonic()
    if now - worker.began > _HEALTHY:
        worker.pause = _FIRST_PAUSE
    worker.due = now + worker.pause
    how = signal.Signals(-ended).name if ended < 0 else f"status {ended}"
    _log.error("worker %d ended by %s; starting it again in %.1f s", worker.number, how, worker.pause)
    worker.pause = min(2 * worker.pause, _LONGEST_PAUSE)
