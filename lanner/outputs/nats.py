"""
Alerts to NATS: published to a subject, with or without the acknowledgement of a JetStream.

Sources: NATS client protocol (PUB, PING, -ERR), JetStream API (publish acknowledgement, Nats-Msg-Id, error 10054).
"""

import asyncio
import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import msgspec

from engine.alert import Alert
from lanner.alertfields import AlertText, BadText, alert_text
from lanner.errors import OutputError
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import FormName, form
from lanner.outputs.http import TlsClientOptions, context
from lanner.outputs.libraries import library

_SCHEMES = ("nats", "tls")
_ID = "Nats-Msg-Id"
_HEAD = len(f"NATS/1.0\r\n{_ID}: \r\n\r\n")
_TOO_LARGE = 10054
_CLOSING = 1.0  # seconds
_NOT_TOKEN = re.compile(r"[^\w-]+")
_NOT_SUBJECT = re.compile(r"[\s*<>]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NatsOptions:
    """
    A server or cluster of NATS.

    Attributes:
        servers: URLs, tried in turn, a list; nats://HOST:PORT, or tls://HOST:PORT where nothing goes in clear.
        subject: Subject, with %alert.rule and the like; dots and spaces in values become "_".
        jetstream: Whether only what a stream has acknowledged counts. Without, an alert that nobody subscribes to is
            gone once the server has it.
        format: Form of an alert: falco-json, text, ecs, ocsf or cef.
        username: For authentication; none when not given.
        password: For authentication.
        token: Instead of them.
        credentials_file: Instead of them, a file of NATS credentials with a JWT and its seed.
        timeout: Seconds for a connection, and for an answer.
        tls: TLS towards the server.
    """

    servers: tuple[str, ...]
    subject: str = "lanner.%alert.priority.%alert.rule"
    jetstream: bool = False
    format: FormName = "falco-json"
    username: str = ""
    password: str = ""
    token: str = ""
    credentials_file: str = ""
    timeout: float = 10.0
    tls: TlsClientOptions = field(default_factory=TlsClientOptions)


class NatsOutput:
    """
    Publishes a message for each alert, with the alert's uid as the message's id.

    Raises:
        ValueError: An option makes no sense, or the library is not installed.
    """

    def __init__(self, name: str, options: NatsOptions) -> None:
        self.name = name
        self._library = library("nats.aio.client", "nats")
        self._errors = library("nats.errors", "nats")
        if options.credentials_file:
            library("nkeys", "nats")
        _check_servers(options.servers)
        self._options = options
        self._subject = _subject(options.subject)
        self._line = form(options.format)
        self._client: Any = None
        self._denied: list[str] = []

    async def start(self) -> None:
        """Look at the files of TLS and of credentials. Raises OutputError."""
        context(self._options.tls)
        if self._options.credentials_file:
            _look(self._options.credentials_file)

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Publish alerts in order. Raises Undelivered."""
        await self._connect()
        publish = self._acknowledged if self._options.jetstream else self._flushed
        try:
            await publish(alerts)
        except Undelivered as failure:
            if not failure.refused:
                await self.close()
            raise

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await _closed(client)

    async def _connect(self) -> None:
        if self._client is not None and self._client.is_connected:
            return
        await self.close()
        for at, server in enumerate(self._options.servers, 1):
            try:
                async with asyncio.timeout(self._options.timeout):
                    self._client = await self._connected(server)
                return
            except (self._errors.Error, OSError) as error:
                if at == len(self._options.servers):
                    raise Undelivered(f"NATS server {server}: {_said(error)}") from None

    async def _connected(self, server: str) -> Any:
        options = self._options
        secure = server.startswith("tls:") or options.tls != TlsClientOptions()
        client = _secured(self._library.Client, self._errors)() if secure else self._library.Client()
        try:
            await client.connect(
                server,
                name="lanner",
                allow_reconnect=False,
                connect_timeout=options.timeout,
                error_cb=self._keep_error,
                tls=context(options.tls) if secure else None,
                user=options.username or None,
                password=options.password or None,
                token=options.token or None,
                user_credentials=options.credentials_file or None,
            )
        except BaseException:
            await _closed(client)
            raise
        return client

    async def _keep_error(self, error: Exception) -> None:
        """
        Keep what the server says about a publication: the protocol has no other answer to one.

        While there is no connection yet the error is raised, or the library would go on trying.
        """
        if self._client is None:
            raise error
        if "permissions violation" in str(error).lower():
            self._denied.append(_said(error))

    async def _flushed(self, alerts: Sequence[Alert]) -> None:
        """Publish; the server answers a PING after it has read all that came before."""
        subjects: list[str] = []
        self._denied.clear()
        for at, alert in enumerate(alerts):
            body = self._body(alert)
            if self._is_too_large(alert, body):
                await self._flush(subjects)
                raise self._too_large(body, at)
            subjects.append(self._subject(alert))
            try:
                await self._client.publish(subjects[-1], body, headers={_ID: alert.uid})
            except (self._errors.Error, OSError) as error:
                raise self._failure(error) from None
        await self._flush(subjects)

    async def _flush(self, subjects: Sequence[str]) -> None:
        try:
            await self._written()
            await self._client.flush(self._options.timeout)
            if not self._client.is_connected:
                raise self._errors.ConnectionClosedError
        except (self._errors.Error, OSError) as error:
            raise self._failure(error) from None
        if self._denied:
            taken = next((at for at, subject in enumerate(subjects) if f'"{subject.lower()}"' in self._denied[0]), 0)
            raise self._failure(self._denied[0], taken)

    async def _written(self) -> None:
        """Have the library write what it holds: its PING goes to the connection at once, past what waits for that."""
        await self._client.flush(self._options.timeout)
        while self._client.pending_data_size:
            await self._client.flush(self._options.timeout)

    async def _acknowledged(self, alerts: Sequence[Alert]) -> None:
        """Publish one after the other: a stream keeps them in order, whatever becomes of one."""
        stream = self._client.jetstream(timeout=self._options.timeout)
        self._denied.clear()
        for at, alert in enumerate(alerts):
            body = self._body(alert)
            if self._is_too_large(alert, body):
                raise self._too_large(body, at)
            subject = self._subject(alert)
            try:
                await stream.publish(subject, body, headers={_ID: alert.uid})
            except (self._errors.Error, OSError) as error:
                raise self._unacknowledged(error, subject, at) from None

    def _unacknowledged(self, error: Exception, subject: str, at: int) -> Undelivered:
        if type(error).__name__ == "NoStreamResponseError":
            return self._failure(f"no stream takes the subject {subject}", at)
        refused = getattr(error, "err_code", None) == _TOO_LARGE
        return self._failure(self._denied[0] if self._denied else error, at, refused)

    def _body(self, alert: Alert) -> bytes:
        return self._line(alert).encode("utf-8", "replace")

    def _is_too_large(self, alert: Alert, body: bytes) -> bool:
        """Say so before the server does: it would close the connection, and with it what is under way."""
        return len(body) + len(alert.uid) + _HEAD > int(self._client.max_payload)

    def _too_large(self, body: bytes, at: int) -> Undelivered:
        return self._failure(f"{len(body)} bytes are more than it takes, {self._client.max_payload}", at, True)

    def _failure(self, why: Exception | str, taken: int = 0, refused: bool = False) -> Undelivered:
        where = self._client.connected_url.netloc if self._client.connected_url else self._options.servers[0]
        return Undelivered(f"NATS server {where}: {_said(why)}", taken, refused=refused)


async def _closed(client: Any) -> None:
    """Close a client; the library waits for ever for a connection whose TLS has failed."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_CLOSING):
            await client.close()


def _secured(client: Any, errors: Any) -> Any:
    """Return a client that tells nothing to a server without TLS; the library's own goes on in clear then."""

    class Secured(client):  # type: ignore[misc]
        async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
            if initial_connection and not info.get("tls_required"):
                raise errors.SecureConnWantedError
            await super()._process_info(info, initial_connection)

    return Secured


def _check_servers(servers: Sequence[str]) -> None:
    if not servers:
        raise ValueError("servers: at least one URL is wanted")
    for server in servers:
        parts = urlsplit(server)
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise ValueError("servers: wanted are URLs that begin with nats:// or tls://")
        if parts.username is not None:
            raise ValueError("servers: a URL is shown in logs; names and passwords have keys of their own")


def _subject(template: str) -> AlertText:
    if _NOT_SUBJECT.search(template) or "" in template.split("."):
        raise ValueError(f"subject: {template!r} is none; parts between dots, without spaces, '*' and '>'")
    try:
        made = alert_text(template)
    except BadText as error:
        raise ValueError(f"subject: {error}") from None
    return lambda alert: _NOT_SUBJECT.sub("_", made(_in_tokens(alert)))


def _in_tokens(alert: Alert) -> Alert:
    """Return an alert whose values are one part of a subject each, so that no event decides how many there are."""
    fields = {name: value if value is None else _token(value) for name, value in alert.output_fields.items()}
    return msgspec.structs.replace(
        alert,
        rule=_token(alert.rule),
        source=_token(alert.source),
        hostname=_token(alert.hostname),
        message=_token(alert.message),
        tags=tuple(map(_token, alert.tags)),
        output_fields=fields,
    )


def _token(value: Any) -> str:
    return _NOT_TOKEN.sub("_", str(value)) or "_"


def _look(path: str) -> None:
    try:
        with open(path, "rb"):
            pass
    except OSError as error:
        raise OutputError(f"{path}: credentials of NATS cannot be read: {error.strerror}") from None


def _said(error: Exception | str) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or error).removeprefix("nats: ") or type(error).__name__
