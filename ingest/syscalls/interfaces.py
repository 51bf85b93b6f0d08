"""Addresses of the host's network interfaces: which end of a connection is this machine (spec: fields 6.3)."""

import ipaddress
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple


class Interface(NamedTuple):
    """
    One address of an interface.

    Attributes:
        ip: Packed address, 4 or 16 bytes.
        bits: Length of the network's prefix.
    """

    ip: bytes
    bits: int


class Interfaces:
    """The addresses of a host; those of the loopback interface are always among them."""

    def __init__(self, found: Iterable[Interface] = ()) -> None:
        self.replace(found)

    def replace(self, found: Iterable[Interface]) -> None:
        """Take other addresses."""
        self._found = tuple(found)
        self._local = frozenset(one.ip for one in self._found)

    def is_local(self, ip: bytes) -> bool:
        """Tell whether an address belongs to the host."""
        return ip in self._local or is_loopback(ip)

    def source_for(self, ip: bytes) -> bytes:
        """Return the host's address on the network of a peer, or its first one beside loopback; b"" if unknown."""
        if is_loopback(ip):
            return ip
        same = [one for one in self._found if len(one.ip) == len(ip) and not is_loopback(one.ip)]
        for one in same:
            shift = 8 * len(ip) - one.bits
            if int.from_bytes(ip, "big") >> shift == int.from_bytes(one.ip, "big") >> shift:
                return one.ip
        return same[0].ip if same else b""


def is_loopback(ip: bytes) -> bool:
    """Tell whether an address is one of loopback."""
    return ip[:1] == b"\x7f" if len(ip) == 4 else ip == b"\0" * 15 + b"\1"


def read_interfaces(proc: Path) -> list[Interface]:
    """Read the addresses of a live host from /proc; what cannot be read is left out."""
    return list({*_version_4(_text(proc / "net/fib_trie")), *_version_6(_text(proc / "net/if_inet6"))})


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""


def _version_4(text: str) -> Iterable[Interface]:
    address = ""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            yield Interface(ipaddress.IPv4Address(address).packed, 32)


def _version_6(text: str) -> Iterable[Interface]:
    for words in map(str.split, text.splitlines()):
        if len(words) >= 3:
            yield Interface(bytes.fromhex(words[0]), int(words[2], 16))
