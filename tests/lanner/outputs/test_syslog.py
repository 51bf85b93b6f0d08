"""Syslog as its RFCs have it, received by sockets of this machine."""

import asyncio
import re
import socket
import ssl
from pathlib import Path

import pytest

from engine.priority import Priority
from lanner.errors import OutputError
from lanner.outputs.base import Undelivered
from lanner.outputs.http import TlsClientOptions
from lanner.outputs.syslog import SyslogOptions, SyslogOutput
from tests.ingest.k8saudit import certs
from tests.lanner.outputs.receiver import alert


def datagrams(family: int, address: object) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    made.bind(address)  # type: ignore[arg-type]
    made.settimeout(5)
    return made


async def test_udp() -> None:
    with datagrams(socket.AF_INET, ("127.0.0.1", 0)) as server:
        output = SyslogOutput("s", SyslogOptions(host="127.0.0.1", port=server.getsockname()[1], facility="local3"))
        await output.start()
        await output.deliver([alert(hostname="h 1"), alert(priority=Priority.DEBUG)])
        first, second = server.recv(65536).decode(), server.recv(65536).decode()
        await output.close()
    assert re.fullmatch(
        r"<154>1 2025-10-09T08:53:20\.123456Z h_1 lanner \d+ aws_cloudtrail - \S+: Critical alice stopped <b>.*", first
    )
    assert second.startswith("<159>1 ")


async def test_the_machines_own_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with datagrams(socket.AF_UNIX, path) as server:
        output = SyslogOutput("s", SyslogOptions(socket=path))
        await output.start()
        await output.deliver([alert()])
        assert re.match(r"<10>Oct  9 \d\d:53:20 lanner\[\d+\]: \S+: Critical alice", server.recv(65536).decode())
        await output.close()


async def test_without_a_syslog_the_start_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no syslog on this machine; 'host' names a server"):
        await SyslogOutput("s", SyslogOptions(socket=str(tmp_path / "none"))).start()


class Server:
    """Takes octet-counted messages; a connection can be cut."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self.connections: list[asyncio.StreamWriter] = []

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while length := await reader.readuntil(b" "):
                self.messages.put_nowait((await reader.readexactly(int(length))).decode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


async def test_tcp_counts_octets_and_connects_again() -> None:
    server = Server()
    async with await asyncio.start_server(server.take, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        output = SyslogOutput("s", SyslogOptions(host="127.0.0.1", port=port, protocol="tcp", format="falco-json"))
        await output.start()
        await output.deliver([alert(message="ä\nb"), alert()])
        assert '"output_fields"' in await server.messages.get()
        await server.messages.get()
        server.connections[0].close()
        await asyncio.sleep(0.05)
        await output.deliver([alert(uid="after")])
        assert '"after"' in await server.messages.get()
        assert len(server.connections) == 2
        await output.close()


async def test_tls_trusts_whom_it_is_told_to(tmp_path: Path) -> None:
    authority = certs.Authority()
    ca = tmp_path / "ca.pem"
    ca.write_bytes(authority.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certs.write(tmp_path, authority.issue("server", ip="127.0.0.1")))
    server = Server()
    async with await asyncio.start_server(server.take, "127.0.0.1", 0, ssl=context) as listening:
        port = listening.sockets[0].getsockname()[1]
        to = {"host": "127.0.0.1", "port": port}
        trusting = SyslogOutput("s", SyslogOptions(**to, protocol="tls", tls=TlsClientOptions(ca_file=str(ca))))  # type: ignore[arg-type]
        await trusting.start()
        await trusting.deliver([alert()])
        assert (await server.messages.get()).startswith("<10>1 ")
        await trusting.close()
        other = SyslogOutput("s", SyslogOptions(**to, protocol="tls"))  # type: ignore[arg-type]
        await other.start()
        with pytest.raises(Undelivered, match="certificate verify failed"):
            await other.deliver([alert()])


async def test_a_server_that_is_not_there_or_does_not_read_is_told() -> None:
    gone = SyslogOutput("s", SyslogOptions(host="127.0.0.1", port=1, protocol="tcp"))
    with pytest.raises(Undelivered, match=r"syslog at 127.0.0.1:1: .*"):
        await gone.deliver([alert()])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        options = SyslogOptions(host="127.0.0.1", port=silent.getsockname()[1], protocol="tcp", timeout=0.3)
        output = SyslogOutput("s", options)
        with pytest.raises(Undelivered, match=r"not taken within 0.3 s"):
            await output.deliver([alert(message="x" * 100_000)] * 200)
        await output.close()


def test_an_unknown_facility_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="unknown facility 'users'; one of kern, user"):
        SyslogOutput("s", SyslogOptions(facility="users"))
