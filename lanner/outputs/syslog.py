"""
Alerts to syslog: the machine's own socket, or a server by UDP, TCP or TLS.

Sources: RFC 5424 (message), RFC 5426 (UDP), RFC 6587 3.4.1 and RFC 5425 (octet counting over TCP and TLS). The local
socket is spoken to as the C library does, since that is what its readers expect.
"""

import asyncio
import os
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine import times
from engine.alert import Alert
from lanner.errors import OutputError
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import FormName, form
from lanner.outputs.http import TlsClientOptions, context

_FIRST = ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv")
FACILITIES = {name: number for number, name in enumerate(_FIRST)} | {
    f"local{number}": 16 + number for number in range(8)
}

_PORTS = {"udp": 514, "tcp": 514, "tls": 6514}
LOCAL = "/dev/log"
"""Where programs leave messages for this machine's syslog."""

_NOT_NAME = re.compile(r"[^!-~]+")
_DATAGRAM = 65_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogOptions:
    """
    A receiver of syslog.

    Attributes:
        host: Of the server; "" for this machine's own socket.
        port: Of the server; 514, or 6514 with TLS, when not given.
        protocol: How the server is spoken to.
        facility: Facility of the messages.
        format: Form of an alert: text, falco-json, ecs, ocsf or cef.
        socket: Path of this machine's socket.
        timeout: Seconds for a connection, and for taking messages.
        tls: TLS towards the server, for protocol tls.
    """

    host: str = ""
    port: int = 0
    protocol: Literal["udp", "tcp", "tls"] = "udp"
    facility: str = "user"
    format: FormName = "text"
    socket: str = LOCAL
    timeout: float = 10.0
    tls: TlsClientOptions = field(default_factory=TlsClientOptions)


class SyslogOutput:
    """
    Sends a message for each alert.

    Raises:
        ValueError: An option makes no sense.
    """

    def __init__(self, name: str, options: SyslogOptions) -> None:
        if options.facility not in FACILITIES:
            raise ValueError(f"facility: unknown facility {options.facility!r}; one of {', '.join(FACILITIES)}")
        self.name = name
        self._options = options
        self._line = form(options.format)
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._datagrams: socket.socket | None = None

    async def start(self) -> None:
        """Look at what is local: the socket, the files of TLS. Raises OutputError."""
        _look(self._options)

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Send alerts in order. Raises Undelivered."""
        try:
            async with asyncio.timeout(self._options.timeout):
                await (self._by_stream(alerts) if self._is_stream else self._by_datagrams(alerts))
        except TimeoutError:
            await self._drop()
            raise Undelivered(f"{self._where}: messages are not taken within {self._options.timeout:g} s") from None
        except OSError as error:
            await self._drop()
            raise Undelivered(f"{self._where}: {error.strerror or error}") from None

    async def close(self) -> None:
        """Close the connection."""
        await self._drop()

    @property
    def _is_stream(self) -> bool:
        return bool(self._options.host) and self._options.protocol != "udp"

    @property
    def _where(self) -> str:
        options = self._options
        return f"syslog at {options.host}:{self._port}" if options.host else f"syslog at {options.socket}"

    @property
    def _port(self) -> int:
        return self._options.port or _PORTS[self._options.protocol]

    async def _by_stream(self, alerts: Sequence[Alert]) -> None:
        reader, writer = await self._connected()
        for alert in alerts:
            message = self._rfc5424(alert)
            writer.write(b"%d %s" % (len(message), message))
        await writer.drain()
        if reader.at_eof():
            raise ConnectionResetError(0, "the server has closed the connection")

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._stream is not None and (self._stream[0].at_eof() or self._stream[1].is_closing()):
            await self._drop()
        if self._stream is None:
            tls = context(self._options.tls) if self._options.protocol == "tls" else None
            self._stream = await asyncio.open_connection(self._options.host, self._port, ssl=tls)
        return self._stream

    async def _by_datagrams(self, alerts: Sequence[Alert]) -> None:
        loop = asyncio.get_running_loop()
        if self._datagrams is None:
            self._datagrams = await self._open_datagrams(loop)
        make = self._rfc5424 if self._options.host else self._local
        for alert in alerts:
            await loop.sock_sendall(self._datagrams, make(alert)[:_DATAGRAM])

    async def _open_datagrams(self, loop: asyncio.AbstractEventLoop) -> socket.socket:
        if not self._options.host:
            return _connected_socket(socket.AF_UNIX, self._options.socket)
        found = await loop.getaddrinfo(self._options.host, self._port, type=socket.SOCK_DGRAM)
        family, _, _, _, address = found[0]
        return _connected_socket(family, address)

    async def _drop(self) -> None:
        if self._stream is not None:
            self._stream[1].close()
            self._stream = None
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None

    def _priority(self, alert: Alert) -> int:
        return FACILITIES[self._options.facility] * 8 + int(alert.priority)

    def _rfc5424(self, alert: Alert) -> bytes:
        when = f"{times.utc_json(alert.time_ns)[:26]}Z"
        host = _NOT_NAME.sub("_", alert.hostname)[:255] or "-"
        source = _NOT_NAME.sub("_", alert.source)[:32] or "-"
        head = f"<{self._priority(alert)}>1 {when} {host} lanner {os.getpid()} {source} - "
        return head.encode() + self._line(alert).encode("utf-8", "replace")

    def _local(self, alert: Alert) -> bytes:
        when = time.strftime("%b %e %H:%M:%S", time.localtime(alert.time_ns // 1_000_000_000))
        head = f"<{self._priority(alert)}>{when} lanner[{os.getpid()}]: "
        return head.encode() + self._line(alert).encode("utf-8", "replace")


def _look(options: SyslogOptions) -> None:
    if not options.host and not os.path.exists(options.socket):
        raise OutputError(f"{options.socket}: there is no syslog on this machine; 'host' names a server")
    if options.protocol == "tls" and options.host:
        context(options.tls)


def _connected_socket(family: int, address: object) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.connect(address)  # type: ignore[arg-type]
    except OSError:
        made.close()
        raise
    return made
