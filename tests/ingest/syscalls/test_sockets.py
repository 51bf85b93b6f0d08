import ipaddress
from typing import Any

import pytest

from ingest.syscalls.call import Address, Call, Descriptor, Ends
from ingest.syscalls.interfaces import Interface, Interfaces
from ingest.syscalls.sockets import show_address, show_ends, swapped
from tests.ingest.syscalls.host import SHELL, Host, field

UNIX, INET, INET6 = 1, 2, 10
TCP, UDP = 1, 2


def end(text: str, port: int) -> Address:
    ip = ipaddress.ip_address(text).packed
    return Address(INET if len(ip) == 4 else INET6, ip, port)


def ends(source: str, sport: int, destination: str, dport: int) -> Ends:
    one, other = end(source, sport), end(destination, dport)
    return Ends(one.family, one, other)


def host() -> Host:
    made = Host()
    made.table.interfaces = Interfaces([Interface(ipaddress.ip_address("10.0.0.5").packed, 24)])
    return made


def shown(call: Call, *names: str) -> list[Any]:
    values = [field(call, f"fd.{name}") for name in names]
    return [str(ipaddress.ip_address(value)) if isinstance(value, bytes) else value for value in values]


def test_a_connection_from_here() -> None:
    here = host()
    here.call("socket", 3, INET, TCP, 0)
    call = here.call("connect", 0, ends("10.0.0.5", 4000, "1.2.3.4", 443), 3)
    assert shown(call, "name", "type", "l4proto", "sockfamily") == ["10.0.0.5:4000->1.2.3.4:443", "ipv4", "tcp", "ip"]
    assert shown(call, "cip", "sip", "lip", "rip") == ["10.0.0.5", "1.2.3.4", "10.0.0.5", "1.2.3.4"]
    assert shown(call, "cport", "sport", "lport", "rport") == [4000, 443, 4000, 443]
    assert shown(call, "is_server", "connected", "name_changed", "sproto") == [False, True, True, "443"]
    assert field(call, "fd.ip") == (end("10.0.0.5", 0).ip, end("1.2.3.4", 0).ip)
    assert field(call, "fd.port") == (4000, 443)
    assert shown(here.call("write", 1, b"x", 3, 1), "connected", "name_changed") == [True, False]


def test_a_connection_that_is_only_begun_counts_until_it_fails() -> None:
    here = host()
    here.call("socket", 3, INET, TCP, 0)
    assert shown(here.call("connect", -115, ends("10.0.0.5", 4000, "1.2.3.4", 443), 3), "connected") == [True]
    assert shown(here.call("getsockopt", 0, 3, 1, 4, 111, 4), "connected") == [False]


def test_a_refused_connection_leaves_the_socket_as_it_was() -> None:
    here = host()
    here.call("socket", 3, INET, TCP, 0)
    call = here.call("connect", -111, ends("10.0.0.5", 4000, "1.2.3.4", 443), 3)
    assert shown(call, "name", "cip", "connected", "l4proto") == ["", None, False, "<NA>"]


def test_a_server_and_its_connections() -> None:
    here = host()
    here.call("socket", 3, INET, TCP, 0)
    bound = here.call("bind", 0, end("0.0.0.0", 80), 3)
    assert shown(bound, "name", "sport", "cport", "is_server", "l4proto") == ["0.0.0.0:80", 80, None, True, "tcp"]
    assert shown(bound, "snet", "cnet", "lip") == ["0.0.0.0", None, None]
    accepted = here.call("accept4", 4, ends("9.9.9.9", 5000, "10.0.0.5", 80), 0, 0, 0, 0)
    assert shown(accepted, "num", "name", "is_server") == [4, "9.9.9.9:5000->10.0.0.5:80", True]
    assert shown(accepted, "cip", "sip", "lip", "rip") == ["9.9.9.9", "10.0.0.5", "10.0.0.5", "9.9.9.9"]


def test_a_port_given_by_the_kernel_is_no_address_yet() -> None:
    here = host()
    here.call("socket", 3, INET, TCP, 0)
    assert shown(here.call("bind", 0, end("10.0.0.5", 0), 3), "name", "sport", "is_server") == [
        "10.0.0.5:0",
        None,
        False,
    ]


def test_ipv4_written_as_ipv6_is_ipv4() -> None:
    here = host()
    here.call("socket", 3, INET6, TCP, 0)
    call = here.call("connect", 0, ends("::ffff:10.0.0.5", 4000, "::ffff:1.2.3.4", 443), 3)
    assert shown(call, "name", "typechar") == ["10.0.0.5:4000->1.2.3.4:443", "4"]


def test_datagrams_tell_the_peer_each_time() -> None:
    here = host()
    here.call("socket", 3, INET, UDP, 0)
    first = here.call("sendto", 5, b"x", 3, 5, ends("0.0.0.0", 5000, "8.8.8.8", 53))
    assert field(first, "fd.connected") is False
    assert shown(first, "name", "l4proto", "is_server", "name_changed") == [
        "10.0.0.5:5000->8.8.8.8:53",
        "udp",
        False,
        True,
    ]
    again = here.call("sendto", 5, b"x", 3, 5, ends("0.0.0.0", 5000, "8.8.8.8", 53))
    assert shown(again, "name_changed") == [False]
    answer = here.call("recvfrom", 5, b"x", ends("8.8.8.8", 53, "10.0.0.5", 5000), 3, 5)
    assert shown(answer, "name", "name_changed") == ["10.0.0.5:5000->8.8.8.8:53", False]
    other = here.call("sendmsg", 5, b"x", 3, 5, ends("0.0.0.0", 5000, "1.1.1.1", 53))
    assert shown(other, "name", "sip", "name_changed") == ["10.0.0.5:5000->1.1.1.1:53", "1.1.1.1", True]


def test_who_reads_first_or_holds_the_port_is_the_server() -> None:
    here = host()
    here.call("socket", 3, INET, UDP, 0)
    read = here.call("recvfrom", 5, b"x", ends("9.9.9.9", 6000, "10.0.0.5", 53), 3, 5)
    assert shown(read, "name", "cip", "is_server") == ["9.9.9.9:6000->10.0.0.5:53", "9.9.9.9", True]
    here.call("socket", 4, INET, UDP, 0)
    here.call("bind", 0, end("10.0.0.5", 5353), 4)
    here.call("socket", 5, INET, UDP, 0)
    sent = here.call("sendto", 5, b"x", 5, 5, ends("10.0.0.5", 7000, "10.0.0.5", 5353))
    assert shown(sent, "is_server") == [True]


def test_a_datagram_through_an_unknown_socket_tells_what_it_is() -> None:
    call = host().call("sendto", 5, b"x", 9, 5, ends("10.0.0.5", 5000, "8.8.8.8", 53))
    assert shown(call, "num", "type", "sport") == [9, "ipv4", 53]


def test_unix_sockets() -> None:
    here = host()
    here.call("socket", 3, UNIX, TCP, 0)
    pair = Ends(UNIX, Address(UNIX), Address(UNIX, path="/run/docker.sock"), 0xAB, 0xCD)
    call = here.call("connect", 0, pair, 3)
    assert shown(call, "name", "type", "sockfamily", "sip", "sport") == [
        *("ab->cd /run/docker.sock", "unix", "unix"),
        *(None, None),
    ]
    here.call("socket", 4, UNIX, TCP, 0)
    assert shown(here.call("bind", 0, Address(UNIX, path="/run/x"), 4), "name", "is_server") == ["/run/x", False]
    both = here.call("socketpair", 0, 5, 6, 1, 2, UNIX, 1, 0)
    assert shown(both, "num", "name", "connected") == [6, "2->1", True]
    here.call("socket", 7, UNIX, UDP, 0)
    sent = Ends(UNIX, Address(UNIX), Address(UNIX, path="/dev/log"))
    call = here.call("sendto", 5, b"x", 7, 5, sent)
    assert (shown(call, "name"), field(call, "evt.is_syslog")) == (["/dev/log"], True)


def test_ends_without_ports_and_odd_families() -> None:
    pair = ends("10.0.0.5", 0, "8.8.8.8", 0)
    assert show_ends(pair, "icmp") == "10.0.0.5->8.8.8.8"
    assert show_ends(pair) == "10.0.0.5:0->8.8.8.8:0"
    assert show_address(Address(17)) == "family 17"
    assert show_address(end("2001:db8::1", 80)) == "2001:db8::1:80"


def test_the_protocol_is_told_by_number_else_by_kind() -> None:
    here = host()
    kinds = {
        (TCP, 0): "tcp",
        (UDP, 0): "udp",
        (3, 1): "icmp",
        (3, 255): "raw",
        (TCP | 0o2004000, 6): "tcp",
        (5, 132): "",
    }
    for number, (kind, protocol) in enumerate(kinds, 20):
        here.call("socket", number, INET, kind, protocol)
    found = [here.thread(SHELL).descriptors[number].l4 for number in range(20, 20 + len(kinds))]
    assert found == list(kinds.values())


def resolved(here: Host, event: str, *values: Any, ino: int = 77, port: int = 5000) -> Call:
    """Take in a datagram of a socket that the driver resolved: it is bound, and that is all the kernel knows."""
    here.now += 1
    call = Call(event, values, here.now, SHELL)
    bound = Address(INET, b"\0\0\0\0", port)
    call.fd = Descriptor(3, "4", f"0.0.0.0:{port}", ino=ino, l4="udp", address=bound)
    return here.state.apply(call)


def test_datagrams_of_sockets_that_the_driver_resolved_tell_the_peer() -> None:
    here = host()
    query = ends("0.0.0.0", 50000, "8.8.8.8", 53)
    first = resolved(here, "sendto", 5, b"x", 3, 5, query, port=50000)
    assert shown(first, "name", "sip", "sport", "lport", "is_server", "connected", "name_changed") == [
        *("10.0.0.5:50000->8.8.8.8:53", "8.8.8.8", 53, 50000),
        *(False, False, True),
    ]
    assert shown(resolved(here, "sendto", 5, b"x", 3, 5, query, port=50000), "name_changed") == [False]
    answer = resolved(here, "recvfrom", 5, b"x", swapped(query), 3, 5, port=50000)
    assert shown(answer, "name", "name_changed") == ["0.0.0.0:50000->8.8.8.8:53", False]
    other = resolved(here, "sendto", 5, b"x", 3, 5, ends("0.0.0.0", 50000, "1.1.1.1", 53), port=50000)
    assert shown(other, "sip", "name_changed") == ["1.1.1.1", True]


def test_an_answer_of_a_service_is_no_connection_of_its_own() -> None:
    here = host()
    reply = resolved(here, "sendto", 5, b"x", 3, 5, ends("10.0.0.5", 53, "9.9.9.9", 40000), port=53)
    assert shown(reply, "name", "cip", "sip", "is_server") == [
        "9.9.9.9:40000->10.0.0.5:53",
        "9.9.9.9",
        "10.0.0.5",
        True,
    ]


def test_a_failed_or_connected_transfer_tells_nothing_new() -> None:
    here = host()
    failed = resolved(here, "sendto", -1, None, 3, 5, ends("0.0.0.0", 50000, "8.8.8.8", 53), port=50000)
    assert shown(failed, "name", "sip") == ["0.0.0.0:50000", "0.0.0.0"]
    silent = resolved(here, "sendto", 5, b"x", 3, 5, None, port=50000)
    assert shown(silent, "name") == ["0.0.0.0:50000"]


def test_remembered_peers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.syscalls.threads.MAX_PEERS", 5)
    here = host()
    for ino in range(50):
        resolved(here, "sendto", 5, b"x", 3, 5, ends("10.0.0.5", 50000, "8.8.8.8", 53), ino=ino)
    assert here.table.peer(49) == (end("8.8.8.8", 53), False)
    assert here.table.peer(44) is None
