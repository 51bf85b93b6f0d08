"""A running service asked for other rules from outside, and whether it took them, by its metrics."""

import os
import signal
import ssl
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lanner import pidfile
from lanner.config import Config, WebserverConfig
from lanner.errors import UserError

_LOOK = 0.1  # seconds between looks
_TAKEN, _REFUSED, _RULES = "lanner_reloads_total", "lanner_reload_failures_total", "lanner_rules_enabled"
_SELF = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - nothing listens here


@dataclass(frozen=True, slots=True)
class Reloaded:
    """
    What became of it.

    Attributes:
        taken: Whether the rules were taken; None when that cannot be seen from here.
        rules: How many are in force, if that can be seen.
        why: Why it cannot be seen.
    """

    taken: bool | None
    rules: int = 0
    why: str = ""


def process(config: Config, path: str | None) -> int:
    """Return the number of the service, by the file named or by that beside the outbox. Raises UserError."""
    file = Path(path) if path else pidfile.beside_outbox(config)
    if file is None:
        raise UserError(
            "without an outbox there is no file for the process number; name the process, or a file with -P"
        )
    number = pidfile.running(file)
    if number is None:
        raise UserError(f"{file}: no lanner run is going that wrote this file; name its process")
    return number


def reload(config: Config, number: int, seconds: float) -> Reloaded:
    """
    Ask a process for other rules, and wait until it has taken or refused them.

    Args:
        config: Its configuration, which says where its metrics are.
        number: Of the process.
        seconds: To wait at most.

    Raises:
        UserError: There is no such process, or it is somebody else's.
    """
    before, why = _all_counts(config)
    try:
        os.kill(number, signal.SIGHUP)
    except (ProcessLookupError, PermissionError) as error:
        raise UserError(f"process {number} cannot be asked: {error.strerror}") from None
    if why:
        return Reloaded(None, why=why)
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        now, why = _all_counts(config)
        if not why and all(map(_answered, before, now)):
            refused = any(new[_REFUSED] > old[_REFUSED] for old, new in zip(before, now, strict=True))
            return Reloaded(not refused, int(now[0][_RULES]))
        time.sleep(_LOOK)
    return Reloaded(None, why=why or f"it has not answered within {seconds:g} s")


def _answered(old: Mapping[str, float], new: Mapping[str, float]) -> bool:
    return new[_TAKEN] + new[_REFUSED] > old[_TAKEN] + old[_REFUSED]


def _all_counts(config: Config) -> tuple[list[Mapping[str, float]], str]:
    """Return the counts of every worker, or why they cannot be had."""
    options = config.webserver
    if not (options.enabled and options.prometheus_metrics_enabled):
        return [], "webserver is off, so only its log says whether it took them"
    try:
        return [_counts(options, options.listen_port + at) for at in range(config.workers)], ""
    except (OSError, ValueError, KeyError) as error:
        return [], f"its metrics cannot be read ({error}), so only its log says whether it took them"


def _counts(options: WebserverConfig, port: int) -> Mapping[str, float]:
    host = _SELF.get(options.listen_address, options.listen_address)
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    request = urllib.request.Request(f"{'https' if options.ssl_enabled else 'http'}://{where}/metrics")  # noqa: S310
    if options.token:
        request.add_header("Authorization", f"Bearer {options.token}")
    with urllib.request.urlopen(request, timeout=5, context=_context(options)) as answer:  # noqa: S310 - of ours
        lines = [line.rpartition(" ") for line in answer.read().decode().split("\n")]
    found = {name: float(value) for name, _, value in lines if name in (_TAKEN, _REFUSED, _RULES)}
    return {name: found[name] for name in (_TAKEN, _REFUSED, _RULES)}


def _context(options: WebserverConfig) -> ssl.SSLContext | None:
    """Trust the certificate of the configuration, and no other."""
    if not options.ssl_enabled:
        return None
    made = ssl.create_default_context(cafile=options.ssl_certificate)
    made.check_hostname = False
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return made
