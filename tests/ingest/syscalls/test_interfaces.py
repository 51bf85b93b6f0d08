import ipaddress
from pathlib import Path

from ingest.syscalls.interfaces import Interface, Interfaces, is_loopback, read_interfaces

FIB = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 10.0.0.0
        /24 link UNICAST
     |-- 10.0.0.5
        /32 host LOCAL
     |-- 10.0.0.255
        /32 link BROADCAST
"""


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def test_the_hosts_addresses_are_read_from_procfs(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/fib_trie").write_text(FIB)
    (tmp_path / "net/if_inet6").write_text("20010db8000000000000000000000001 02 40 00 80 eth0\nodd\n")
    found = Interfaces(read_interfaces(tmp_path))
    local = [text for text in ("10.0.0.5", "10.0.0.6", "2001:db8::1", "2001:db8::2") if found.is_local(packed(text))]
    assert local == ["10.0.0.5", "2001:db8::1"]


def test_a_host_without_procfs_has_loopback_only(tmp_path: Path) -> None:
    found = Interfaces(read_interfaces(tmp_path))
    assert [found.is_local(packed(text)) for text in ("127.0.0.1", "127.9.9.9", "::1", "10.0.0.1")] == [
        *[True] * 3,
        False,
    ]


def test_the_source_towards_a_peer_is_on_its_network_else_the_first() -> None:
    found = Interfaces(
        Interface(packed(ip), bits) for ip, bits in (("127.0.0.1", 8), ("10.0.0.5", 24), ("192.168.1.5", 16))
    )
    towards = {"192.168.9.9": "192.168.1.5", "10.0.0.9": "10.0.0.5", "8.8.8.8": "10.0.0.5", "127.0.0.1": "127.0.0.1"}
    assert {peer: str(ipaddress.ip_address(found.source_for(packed(peer)))) for peer in towards} == towards
    assert found.source_for(packed("2001:db8::1")) == b""


def test_loopback() -> None:
    assert [is_loopback(packed(text)) for text in ("127.0.0.1", "128.0.0.1", "::1", "::2")] == [
        True,
        False,
        True,
        False,
    ]
