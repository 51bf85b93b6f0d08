"""Sockets on a real kernel: both ends of connections, without any state."""

import socket
from pathlib import Path

from ingest.syscalls.call import Address, Call, Ends
from tests.ingest.syscalls.ebpf.live import Watch, needs_ebpf

pytestmark = needs_ebpf
LOCAL = b"\x7f\0\0\1"


def ends(call: Call) -> Ends:
    assert call.fd is not None
    assert call.fd.ends is not None
    return call.fd.ends


def test_both_sides_of_a_tcp_connection_agree(watch: Watch) -> None:
    code = """
import socket
server = socket.create_server(('127.0.0.1', 0), backlog=7)
port = server.getsockname()[1]
client = socket.create_connection(('127.0.0.1', port))
other, _ = server.accept()
client.sendall(b'hello')
other.recv(10)
print(port, client.getsockname()[1])
"""
    seen = watch.run(code)
    port, own = map(int, seen.printed.split())
    expected = Ends(2, Address(2, LOCAL, own), Address(2, LOCAL, port))
    connected, accepted = seen.one("connect"), seen.one("accept4")
    assert ends(connected) == ends(accepted) == connected.params[1] == accepted.params[1] == expected
    assert connected.fd is not None
    assert accepted.fd is not None
    assert (connected.fd.name, connected.fd.typechar, connected.fd.l4) == (
        f"127.0.0.1:{own}->127.0.0.1:{port}",
        "4",
        "tcp",
    )
    assert (connected.fd.server, accepted.fd.server) == (False, True)
    assert connected.fd.name_changed
    assert accepted.fd.name_changed
    assert connected.params[3] == Address(2, LOCAL, port)
    assert accepted.params[4] == 7
    assert seen.one("bind").params[1] == Address(2, LOCAL, 0)
    assert seen.one("listen").params[2] == 7
    sent = seen.one("sendto")
    assert sent.params[:2] == (5, b"hello")
    assert sent.params[4] == expected
    assert sent.fd is not None
    assert not sent.fd.name_changed


def test_a_connection_that_is_being_made_has_its_ends(watch: Watch) -> None:
    code = """
import socket
made = socket.socket()
made.setblocking(False)
print(made.connect_ex(('127.1.2.3', int(sys.argv[1]))))
"""
    with socket.create_server(("127.1.2.3", 0)) as server:
        port = server.getsockname()[1]
        seen = watch.run(code, str(port))
    call = seen.one("connect")
    assert call.params[0] == -int(seen.printed) == -115
    assert ends(call).destination == Address(2, b"\x7f\1\2\3", port)


def test_a_connection_that_fails_tells_where_it_was_to_go(watch: Watch) -> None:
    code = "import socket; socket.socket(socket.AF_INET6).connect_ex(('::1', 1))"
    call = watch.run(code).one("connect")
    assert call.params[0] < 0
    assert call.params[1] is None
    assert call.params[3] == Address(10, socket.inet_pton(socket.AF_INET6, "::1"), 1)


def test_datagrams_tell_from_where_to_where(watch: Watch) -> None:
    code = """
import socket
one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
for each in (one, other): each.bind(('127.0.0.1', 0))
one.sendto(b'ping', other.getsockname())
other.recvfrom(10)
print(one.getsockname()[1], other.getsockname()[1])
"""
    seen = watch.run(code)
    first, second = map(int, seen.printed.split())
    expected = Ends(2, Address(2, LOCAL, first), Address(2, LOCAL, second))
    sent, received = seen.one("sendto"), seen.one("recvfrom")
    assert sent.params[4] == expected
    assert received.params[2] == expected
    assert received.params[1] == b"ping"
    assert sent.fd is not None
    assert sent.fd.l4 == "udp"


def test_unix_sockets_have_their_path(watch: Watch, tmp_path: Path) -> None:
    code = """
import socket
server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen()
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
other, _ = server.accept()
hidden = socket.socket(socket.AF_UNIX)
hidden.bind('\\0abstract')
"""
    path = str(tmp_path / "socket")
    seen = watch.run(code, path)
    connected, accepted = seen.one("connect"), seen.one("accept4")
    assert ends(connected).destination == ends(accepted).destination == Address(1, path=path)
    assert ends(connected).source_id == ends(accepted).source_id != 0
    assert connected.fd is not None
    assert connected.fd.name.endswith(f" {path}")
    assert connected.params[3] == Address(1, path=path)
    assert [call.params[1].path for call in seen.all("bind")] == [path, "@abstract"]
    assert connected.fd.typechar == "u"


def test_pairs_of_sockets_have_two_ends(watch: Watch) -> None:
    seen = watch.run("import socket; one, other = socket.socketpair(); print(one.fileno(), other.fileno())")
    call = seen.one("socketpair")
    first, second = map(int, seen.printed.split())
    assert call.params[:3] == (0, first, second)
    assert call.params[3]
    assert call.params[4]
    assert call.params[5:7] == (1, 1)


def test_messages_are_read_through_their_vectors(watch: Watch) -> None:
    code = """
import socket
one, other = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
other.bind(('127.0.0.1', 0))
one.sendmsg([b'first', b'second'], [], 0, other.getsockname())
other.recvmsg(20)
print(other.getsockname()[1])
"""
    seen = watch.run(code)
    port = int(seen.printed)
    sent, received = seen.one("sendmsg"), seen.one("recvmsg")
    assert sent.params[:2] == (11, b"first")
    assert sent.params[4].destination == Address(2, LOCAL, port)
    assert received.params[2] == b"firstsecond"
    assert received.params[3].destination.port == port


def test_options_of_sockets_are_told(watch: Watch) -> None:
    code = "import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)"
    seen = watch.run(code)
    call = seen.one("setsockopt")
    assert call.params[2:] == (1, 2, 1, 4)
    assert seen.one("socket").params[1:4] == (2, 1, 0)
