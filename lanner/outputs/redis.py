"""
Alerts to Redis, Valkey and what speaks their protocol: a list, a channel or a stream.

Sources: Redis commands RPUSH, LTRIM, PUBLISH, XADD and MULTI.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from engine.alert import Alert
from lanner.alertfields import BadText, alert_text
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import FormName, form
from lanner.outputs.http import TlsClientOptions, context
from lanner.outputs.libraries import library

_PORT = 6379
_SHOWN = 200
_COMMAND = re.compile(r"^Command # .* of pipeline caused error: ", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions:
    """
    A server of Redis.

    Attributes:
        url: Of the server: redis://HOST:PORT, rediss://HOST:PORT with TLS, or unix:///PATH.
        mode: A list that alerts are pushed to at its end, a channel, or a stream. A channel keeps nothing: who is not
            subscribed when an alert comes does not get it.
        key: Of the list or stream, or the channel, with %alert.rule and the like.
        max_length: Entries that a list or stream keeps, the oldest go; 0 for all. A stream may keep some more.
        format: Form of an alert: falco-json, text, ecs, ocsf or cef.
        database: Number of the database.
        username: For authentication, where the server has users.
        password: For authentication; none when not given.
        batch: Alerts in one transaction at most.
        timeout: Seconds for a connection, and for an answer.
        tls: TLS towards the server, for rediss.
    """

    url: str
    mode: Literal["list", "channel", "stream"] = "stream"
    key: str = "lanner"
    max_length: int = 0
    format: FormName = "falco-json"
    database: int = 0
    username: str = ""
    password: str = ""
    batch: int = 100
    timeout: float = 10.0
    tls: TlsClientOptions = field(default_factory=TlsClientOptions)


class RedisOutput:
    """
    Sends alerts in transactions, so that none of one is there when the connection breaks within.

    Raises:
        ValueError: An option makes no sense, or the library is not installed.
    """

    def __init__(self, name: str, options: RedisOptions) -> None:
        self.name = name
        self._redis = library("redis.asyncio", "redis")
        _check(options)
        try:
            self._key = alert_text(options.key)
        except BadText as error:
            raise ValueError(f"key: {error}") from None
        self._options = options
        self._line = form(options.format)
        self._client: Any = None

    async def start(self) -> None:
        """Look at the files of TLS. Raises OutputError."""
        if self._options.url.startswith("rediss:"):
            context(self._options.tls)

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send alerts in order. Raises Undelivered."""
        if self._client is None:
            self._client = self._redis.Redis(**self._connection())
        for at in range(0, len(alerts), self._options.batch):
            batch = alerts[at : at + self._options.batch]
            try:
                answers = await self._send(batch)
            except (self._redis.RedisError, OSError) as error:
                raise self._failure(error, at) from None
            for position, answer in enumerate(answers):
                if isinstance(answer, Exception):
                    raise self._failure(answer, at + min(position, len(batch)))

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _send(self, alerts: Sequence[Alert]) -> list[Any]:
        """Return an answer for each alert, and perhaps some more."""
        async with self._client.pipeline(transaction=True) as commands:
            for alert in alerts:
                self._add(commands, self._key(alert), alert)
            if self._options.mode == "list" and self._options.max_length:
                for key in dict.fromkeys(map(self._key, alerts)):
                    commands.ltrim(key, -self._options.max_length, -1)
            answers: list[Any] = await commands.execute(raise_on_error=False)
        return answers

    def _add(self, commands: Any, key: str, alert: Alert) -> None:
        body = self._line(alert).encode("utf-8", "replace")
        if self._options.mode == "list":
            commands.rpush(key, body)
        elif self._options.mode == "channel":
            commands.publish(key, body)
        else:
            entry = {"uid": alert.uid, "rule": alert.rule, "priority": alert.priority.name.lower(), "alert": body}
            commands.xadd(key, entry, maxlen=self._options.max_length or None, approximate=True)

    def _connection(self) -> dict[str, Any]:
        options, parts = self._options, urlsplit(self._options.url)
        common = {
            "db": options.database,
            "username": options.username or None,
            "password": options.password or None,
            "socket_timeout": options.timeout,
            "socket_connect_timeout": options.timeout,
            "protocol": 2,  # what servers before version 6 speak as well
            "retry": None,  # a repeat within the library would send alerts twice and hide that the server is away
            "client_name": "lanner",
            "encoding_errors": "replace",
        }
        if parts.scheme == "unix":
            return {**common, "unix_socket_path": parts.path}
        tls = _tls(options.tls) if parts.scheme == "rediss" else {}
        return {**common, **tls, "host": parts.hostname, "port": parts.port or _PORT}

    def _failure(self, error: Exception, taken: int) -> Undelivered:
        return Undelivered(f"{self._options.url}: {_said(error)}", taken)


def _tls(tls: TlsClientOptions) -> dict[str, Any]:
    return {
        "ssl": True,
        "ssl_ca_certs": tls.ca_file or None,
        "ssl_certfile": tls.cert_file or None,
        "ssl_keyfile": tls.key_file or tls.cert_file or None,
        "ssl_cert_reqs": "none" if tls.insecure else "required",
        "ssl_check_hostname": not tls.insecure,
    }


def _check(options: RedisOptions) -> None:
    parts = urlsplit(options.url)
    if not (parts.hostname if parts.scheme in ("redis", "rediss") else parts.scheme == "unix" and parts.path):
        raise ValueError("url: wanted is redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH")
    if parts.username is not None or parts.query or (parts.scheme != "unix" and parts.path.strip("/")):
        raise ValueError("url: name, password, database and the like have keys of their own; a URL is shown in logs")
    if options.max_length < 0 or options.batch < 1 or options.database < 0:
        raise ValueError("max_length and database are 0 or more, and batch 1 or more")
    if options.max_length and options.mode == "channel":
        raise ValueError("max_length: a channel keeps nothing")


def _said(error: Exception) -> str:
    text = str(getattr(error, "strerror", None) or error or type(error).__name__)
    return _COMMAND.sub("", text)[:_SHOWN]
