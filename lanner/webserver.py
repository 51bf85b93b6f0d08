"""Health, versions and metrics of a running service by HTTP (spec: surface 1.7)."""

import asyncio
import hmac
import logging
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from lanner.config import Config, WebserverConfig
from lanner.errors import Exit, UserError
from lanner.live import Live
from lanner.versions import versions

_log = logging.getLogger("lanner.webserver")

_LOOK = 10.0  # seconds between looks at the certificate


class WebserverError(UserError):
    """The web server cannot be started."""

    status = Exit.SOURCE


@asynccontextmanager
async def serving(config: Config, live: Live) -> AsyncIterator[None]:
    """Serve until the context ends; nothing when the configuration has it off. Raises WebserverError."""
    options = config.webserver
    if not options.enabled:
        yield
        return
    runner = web.AppRunner(_app(config, live), access_log=None)
    await runner.setup()
    tls = _context(options) if options.ssl_enabled else None
    watch = asyncio.create_task(_watch(tls, options.ssl_certificate)) if tls else None
    try:
        await web.TCPSite(runner, options.listen_address, options.listen_port, ssl_context=tls).start()
        address = runner.addresses[0]
        _log.info("health and metrics on %s://%s:%d", "https" if tls else "http", address[0], address[1])
        yield
    except OSError as error:
        where = f"{options.listen_address}:{options.listen_port}"
        raise WebserverError(f"webserver: cannot listen on {where}: {error.strerror or error}") from None
    finally:
        if watch:
            watch.cancel()
        await runner.cleanup()


def _app(config: Config, live: Live) -> web.Application:
    app = web.Application(middlewares=[_guard(config.webserver.token)])
    app.router.add_get(config.webserver.k8s_healthz_endpoint, _alive)
    for path in {"/healthz", "/livez"} - {config.webserver.k8s_healthz_endpoint}:
        app.router.add_get(path, _alive)
    app.router.add_get("/readyz", lambda _request: _ready(live))
    app.router.add_get("/versions", _versions)
    if config.webserver.prometheus_metrics_enabled:
        from lanner import metrics

        registry = metrics.registry(live, config.metrics.falco_compat)

        async def scraped(_request: web.Request) -> web.Response:
            text = metrics.exposition(registry)
            return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

        app.router.add_get("/metrics", scraped)
    return app


def _guard(token: str) -> Middleware:
    """Return what asks for the token where more is told than that the service lives."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        asked = token and request.path in ("/metrics", "/versions")
        if asked and not hmac.compare_digest(given, f"Bearer {token}".encode()):
            return web.json_response({"error": "a bearer token is wanted"}, status=401)
        return await handler(request)

    return guard


async def _alive(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


async def _ready(live: Live) -> web.Response:
    problems = live.problems()
    if problems:
        return web.json_response({"status": "not ready", "sources": problems}, status=503)
    return web.json_response({"status": "ok"})


async def _versions(_request: web.Request) -> web.Response:
    return web.json_response(versions())


def _context(options: WebserverConfig) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        made.load_cert_chain(options.ssl_certificate)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or error
        raise WebserverError(f"webserver.ssl_certificate: {options.ssl_certificate} cannot be used: {why}") from None
    return made


async def _watch(tls: ssl.SSLContext, path: str) -> None:
    """Take a certificate that was replaced for the connections to come."""
    known = _changed(path)
    while True:
        await asyncio.sleep(_LOOK)
        now = _changed(path)
        if now == known:
            continue
        known = now
        try:
            tls.load_cert_chain(path)
            _log.info("%s: the new certificate is in use", path)
        except (OSError, ssl.SSLError) as error:
            _log.error("%s: the certificate cannot be used, the old one stays: %s", path, error)


def _changed(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
