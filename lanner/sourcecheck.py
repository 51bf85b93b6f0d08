"""Whether the configured sources can work here: ports, files, the kernel, queues."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator, Iterator

from ingest.base import SourceError
from ingest.cloudtrail.findings import Finding, failed, ok
from lanner.config import Config
from lanner.errors import UserError
from lanner.sources import SourceConfig


async def examine(config: Config, running: bool) -> AsyncIterator[Finding]:
    """
    Look at each source, and at the port for health and metrics.

    Args:
        config: The configuration.
        running: Whether the service runs, and its ports are in use.
    """
    options = config.webserver
    if options.enabled:
        for number in range(config.workers if options.listen_port else 1):
            yield _port("webserver", options.listen_address, options.listen_port + number, running)
    for source in config.sources:
        async for finding in _source(source, running):
            yield finding


async def _source(source: SourceConfig, running: bool) -> AsyncIterator[Finding]:
    name = f"source {source.name}"
    try:
        source.open()
    except UserError as error:
        yield failed(name, str(error), "see the keys of its type in lanner config sample")
        return
    if source.type == "cloudtrail":
        async for finding in _queue(source, name):
            yield finding
    elif source.type == "k8saudit":
        yield _port(name, source.options.listen.host, source.options.listen.port, running)
    elif source.type == "syscall":
        for finding in await asyncio.to_thread(lambda: list(_kernel(name))):
            yield finding
    elif source.type in ("files", "k8saudit-log"):
        paths = source.options.paths if source.type == "files" else (source.options.path,)
        for path in paths:
            yield _readable(name, path)
    else:
        yield ok(name, "its options make sense; what it reads from was not asked")


async def _queue(source: SourceConfig, name: str) -> AsyncIterator[Finding]:
    from ingest.cloudtrail.doctor import examine as examine_queue

    try:
        async for finding in examine_queue(source.options):
            yield Finding(f"{name}: {finding.check}", finding.state, finding.text, finding.advice)
    except SourceError as error:
        yield failed(name, str(error), "lanner cloudtrail doctor looks at it alone")


def _kernel(name: str) -> Iterator[Finding]:
    from ingest.syscalls.ebpf.probe import reasons

    found = reasons()
    for reason in found:
        what, _, advice = reason.partition(": ")
        yield failed(name, what, advice or "one program can be watched without eBPF: lanner agent --trace -- COMMAND")
    if not found:
        yield ok(name, "the kernel takes eBPF programs")


def _readable(name: str, path: str) -> Finding:
    if path == "-" or "://" in path or os.access(path, os.R_OK):
        return ok(name, f"{path} can be read" if os.path.exists(path) else f"{path} is read when the service runs")
    why = "cannot be read by this user" if os.path.exists(path) else "is not there"
    return failed(name, f"{path} {why}", f"put it right for user {os.geteuid()}, or name another")


def _port(name: str, host: str, port: int, running: bool) -> Finding:
    """Try to listen, as the service will."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if not port:
        return ok(name, f"{host}: the system chooses a port")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(address)
            tried.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and running:
            return ok(name, f"{where} is in use, and the service runs")
        return failed(name, f"{where}: {error.strerror}", _ADVICE.get(error.errno or 0, "name another address or port"))
    return ok(name, f"{where} is free")


_ADVICE = {
    errno.EADDRINUSE: "ss -ltnp tells which process listens there; end that, or take another port",
    errno.EACCES: "ports below 1024 want CAP_NET_BIND_SERVICE; take a higher one",
    errno.EADDRNOTAVAIL: "no interface here has this address; 0.0.0.0 stands for all",
}
