"""Listens for HTTP: sockets, TLS with changing certificate files, and connections that say nothing or are too many."""

import asyncio
import contextlib
import logging
import os
import ssl
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from ingest.base import SourceError
from ingest.k8saudit.tls import TlsOptions, file_state, load_files, server_context

log = logging.getLogger("lanner.k8saudit")

_KEEP_ALIVE = 300.0  # longer than the 90 s after which Go's HTTP client drops an idle connection
_LINGERING = 5.0  # how long a body that nobody reads is taken off the wire, so that the refusal is read
_MAX_HEADER_LINE = 16_384
_BACKLOG = 512


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """
    Where and how to listen.

    Attributes:
        host: Address or name to bind.
        port: TCP port; 0 lets the system choose.
        tls: None for plain HTTP.
        reuse_port: Whether several processes share the port.
        max_connections: For a connection beyond it that one is closed that has said nothing for longest, or if all
            others have, the new one.
        header_timeout: Seconds from connecting to the end of the first request's header, and of the TLS handshake.
        tls_check: Seconds between two looks at the certificate files.
    """

    host: str = "127.0.0.1"
    port: int = 9765
    tls: TlsOptions | None = None
    reuse_port: bool = False
    max_connections: int = 512
    header_timeout: float = 15.0
    tls_check: float = 10.0


def _reason(error: OSError) -> str:
    """Return why, without the address again that asyncio puts around it."""
    number = error.errno or 0  # negative where a name was not found
    return os.strerror(number) if number > 0 else error.strerror or str(error)


class _Refuse(asyncio.Protocol):
    """Closes the connection that was just made."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


class _Quiet(logging.LoggerAdapter[logging.Logger]):
    """Counts what aiohttp has to say of strangers' broken HTTP, and tells it without traceback when debugging."""

    def __init__(self, logger: logging.Logger, counters: Counter[str]) -> None:
        super().__init__(logger)
        self.counters = counters

    def log(self, level: int, msg: object, *args: object, **more: Any) -> None:
        error = more.get("exc_info")
        if level >= logging.WARNING:
            self.counters["requests_refused:bad-http"] += 1
        self.logger.debug("%s: %s", str(msg) % args if args else msg, error)


@dataclass(slots=True)
class Listener:
    """Serves a web application from ``open`` to ``close``."""

    options: ListenOptions
    counters: Counter[str]
    _runner: web.AppRunner | None = None
    _server: asyncio.Server | None = None
    _watch: asyncio.Task[None] | None = None
    _silent: dict[web.RequestHandler, None] = field(default_factory=dict)  # the longest first

    @property
    def port(self) -> int:
        """The bound port, the configured one while not listening."""
        return self._server.sockets[0].getsockname()[1] if self._server and self._server.sockets else self.options.port

    async def open(self, app: web.Application) -> None:
        """
        Listen and serve the application.

        Raises:
            SourceError: The address cannot be bound or a TLS file cannot be used.
        """
        options = self.options
        context = server_context(options.tls) if options.tls else None
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_Quiet(log, self.counters),
            keepalive_timeout=_KEEP_ALIVE,
            lingering_time=_LINGERING,
            max_field_size=_MAX_HEADER_LINE,
            shutdown_timeout=1.0,
        )
        await self._runner.setup()
        try:
            self._server = await self._bind(context)
        except OSError as error:
            await self._runner.cleanup()
            raise SourceError(f"cannot listen on {options.host}:{options.port}: {_reason(error)}") from None
        if context and options.tls:
            self._watch = asyncio.create_task(self._follow_files(context, options.tls))

    def heard(self, request: web.Request) -> None:
        """Note that a connection has brought a request."""
        self._silent.pop(request.protocol, None)

    def refuse_new(self) -> None:
        """Accept no further connections; those that are open stay."""
        if self._server:
            self._server.close()

    async def close(self) -> None:
        """Close all connections, busy ones once they are answered."""
        self.refuse_new()
        if self._watch:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        if self._runner:
            await self._runner.cleanup()

    async def _bind(self, context: ssl.SSLContext | None) -> asyncio.Server:
        options = self.options
        return await asyncio.get_running_loop().create_server(
            self._connection,
            options.host,
            options.port,
            ssl=context,
            ssl_handshake_timeout=options.header_timeout if context else None,
            reuse_port=options.reuse_port or None,
            backlog=_BACKLOG,
        )

    def _connection(self) -> asyncio.BaseProtocol:
        server = self._runner.server if self._runner else None
        if server is None or (len(server.connections) >= self.options.max_connections and not self._make_room()):
            self.counters["connections_refused:too-many"] += 1
            return _Refuse()
        protocol = server()
        self._silent[protocol] = None
        asyncio.get_running_loop().call_later(self.options.header_timeout, self._expect_request, protocol)
        return protocol

    def _make_room(self) -> bool:
        """Close the connection that has said nothing for longest; those in a TLS handshake have other limits."""
        for protocol in self._silent:
            if protocol.transport is not None:
                self._expect_request(protocol)
                return True
        return False

    def _expect_request(self, protocol: web.RequestHandler) -> None:
        if protocol in self._silent:
            del self._silent[protocol]
            if protocol.transport is not None:
                self.counters["connections_closed:no-request"] += 1
                protocol.force_close()

    async def _follow_files(self, context: ssl.SSLContext, tls: TlsOptions) -> None:
        state = file_state(tls)
        while True:
            await asyncio.sleep(self.options.tls_check)
            now = file_state(tls)
            if now != state:
                state = now
                self._reload(context, tls)

    def _reload(self, context: ssl.SSLContext, tls: TlsOptions) -> None:
        try:
            server_context(tls)  # a pair that does not fit must not get into the context in use
            load_files(context, tls)
        except SourceError as error:
            self.counters["tls_reload:failed"] += 1
            log.error("%s; the certificate in use stays", error)
        else:
            self.counters["tls_reload:ok"] += 1
            log.info("new TLS certificate from %s is in use", tls.cert)
