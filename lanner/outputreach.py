"""Whether the destinations of outputs can be reached from here; no alert is sent."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from engine.priority import Priority
from ingest.cloudtrail.findings import Finding, State, failed, ok
from lanner.config import Config
from lanner.errors import OutputError
from lanner.internal import internal_alert
from lanner.outputs.base import Output
from lanner.outputs.file import FileOutput
from lanner.outputs.http import HttpOutput, context
from lanner.outputset import opened

_SECONDS = 5.0


class _Place(NamedTuple):
    host: str
    port: int
    tls: ssl.SSLContext | None


async def reached(config: Config) -> AsyncIterator[Finding]:
    """Connect to what each output would send to, with TLS where that comes first."""
    options = {output.name: output.options for output in config.all_outputs}
    filename = config.file_output.filename
    for name, _, output, _ in opened(config):
        if name == "stdout":
            continue
        if isinstance(output, FileOutput):
            yield _file(f"output {name}", getattr(options.get(name), "filename", filename))
        else:
            yield await _reached(f"output {name}", output, options[name])


def _file(name: str, path: str) -> Finding:
    there = Path(path) if os.path.exists(path) else Path(path).absolute().parent
    if os.access(there, os.W_OK):
        return ok(name, f"{path} can be written to")
    why = "cannot be written to" if there.exists() else "is not there"
    return failed(name, f"{there} {why}", f"make it, or let user {os.geteuid()} write there")


async def _reached(name: str, output: Output, options: Any) -> Finding:
    try:
        await output.start()
        try:
            place = _place(output, options)
        finally:
            await output.close()
    except OutputError as error:
        return failed(name, str(error), "see the keys of its type in docs/outputs")
    if place is None:
        return Finding(name, State.SKIPPED, "it can be started; lanner outputs test sends a test alert")
    where = f"{place.host}:{place.port}"
    try:
        async with asyncio.timeout(_SECONDS):
            server = place.host if place.tls else None
            _, writer = await asyncio.open_connection(place.host, place.port, ssl=place.tls, server_hostname=server)
        writer.transport.abort()
    except TimeoutError:
        return failed(
            name, f"{where}: no connection within {_SECONDS:g} s", "a firewall may drop it, or the host is wrong"
        )
    except ssl.SSLError as error:
        return failed(name, f"{where}: {error}", "tls.ca_file names the certificates to trust")
    except OSError as error:
        return failed(
            name, f"{where}: {error.strerror or error}", "is the destination up, and its name and port right?"
        )
    return ok(name, f"{where} can be reached; lanner outputs test sends a test alert")


def _place(output: Output, options: Any) -> _Place | None:
    """Return where a connection would go to; None when that is not known from here."""
    if isinstance(output, HttpOutput):
        parts = urlsplit(output.url(internal_alert("test", Priority.DEBUG, "")))
        tls = context(options.tls) if parts.scheme == "https" else None
        return _Place(parts.hostname or "", parts.port or (443 if tls else 80), tls)
    host, port = getattr(options, "host", ""), getattr(options, "port", 0)
    if not host or not port or getattr(options, "protocol", "") == "udp":
        return None
    return _Place(host, port, None)
