"""
Constants of conditions: text to typed value, for each field type (spec: rule-language 2.1).
"""

import ipaddress
import re
from dataclasses import dataclass

from engine.fields import Type
from engine.patterns import utf8

Constant = str | bytes | int | float | bool | tuple[int, int, int]
"""A value of a condition. A network is (address length in bytes, bits to drop, remaining prefix as a number)."""

_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]+|[0-9]+)")
_DECIMAL = re.compile(r"[+-]?[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?")
_MASKED = re.compile(r"[0-9A-Fa-f.:]+/[0-9]{1,3}")

_DIGITS = 40
"""Digits of a number that are looked at; no number that fits a field has as many."""

SERVICES = {
    "ftp": 21,
    "ssh": 22,
    "telnet": 23,
    "smtp": 25,
    "domain": 53,
    "tftp": 69,
    "http": 80,
    "kerberos": 88,
    "pop3": 110,
    "sunrpc": 111,
    "ntp": 123,
    "imap2": 143,
    "snmp": 161,
    "bgp": 179,
    "ldap": 389,
    "https": 443,
    "microsoft-ds": 445,
    "submission": 587,
    "ldaps": 636,
    "imaps": 993,
    "pop3s": 995,
    "mysql": 3306,
    "postgresql": 5432,
    "amqp": 5672,
    "redis": 6379,
}
"""Service names a port may be written as; a fixed table, since the engine reads no files of the host."""


@dataclass(frozen=True, slots=True)
class BadLiteral(Exception):
    """A constant that does not fit the type of its field."""

    message: str
    hint: str = ""


def parse_constant(text: str, kind: Type) -> Constant:
    """
    Turn the text of a constant into the value that fields of a type are compared with.

    Raises:
        BadLiteral: The text is no such value.
    """
    match kind:
        case Type.STRING:
            if "\0" in text:
                raise BadLiteral("a text value cannot hold a NUL character")
            return text
        case Type.BYTES:
            return utf8(text)
        case Type.BOOL:
            if text not in ("true", "false"):
                raise BadLiteral(f"{text!r} is neither 'true' nor 'false'")
            return text == "true"
        case Type.PORT:
            return _port(text)
        case Type.DOUBLE:
            return _double(text)
        case Type.IPADDR:
            return _address(text)
        case Type.IPNET:
            return network(text)
        case Type.INT:
            return _integer(text, -(2**63), 2**63 - 1)
        case _:
            return _integer(text, 0, 2**64 - 1)


def _integer(text: str, low: int, high: int) -> int:
    if not _NUMBER.fullmatch(text):
        raise BadLiteral(f"{text!r} is not a whole number")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    number = sign * (int(digits[:_DIGITS], 16) if digits[:2] in ("0x", "0X") else int(digits[:_DIGITS]))
    if not low <= number <= high or len(digits) > _DIGITS:
        raise BadLiteral(f"{text} is out of range, {low} to {high}")
    return number


def _double(text: str) -> float:
    if not _DECIMAL.fullmatch(text):
        raise BadLiteral(f"{text!r} is not a number")
    return float(text)


def _port(text: str) -> int:
    if not text:
        return 0
    if not _NUMBER.fullmatch(text):
        if text not in SERVICES:
            raise BadLiteral(f"{text!r} is neither a port number nor a known service", "write the number")
        return SERVICES[text]
    return _integer(text, 0, 65535)


def _address(text: str) -> bytes:
    kind = ipaddress.IPv4Address if "." in text and ":" not in text else ipaddress.IPv6Address
    try:
        if "%" in text:
            raise ValueError
        return kind(text).packed
    except ValueError:
        network = "for a network use a field of type ipnet, or 'in' with one"
        hint = network if "/" in text else "write it as in 192.0.2.1 or 2001:db8::1"
        raise BadLiteral(f"{text!r} is not an IP address", hint) from None


def network(text: str) -> tuple[int, int, int]:
    """
    Read a network in CIDR notation; bits of the host part are ignored.

    Raises:
        BadLiteral: It is none.
    """
    if "/" not in text:
        raise BadLiteral(f"{text!r} is not a network", "write it with its mask, as in 10.0.0.0/8")
    try:
        if not _MASKED.fullmatch(text):
            raise ValueError
        net = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise BadLiteral(f"{text!r} is not a network in CIDR notation", "write it as in 10.0.0.0/8") from None
    shift = net.max_prefixlen - net.prefixlen
    return net.max_prefixlen // 8, shift, int(net.network_address) >> shift


def in_network(address: bytes, net: tuple[int, int, int]) -> bool:
    """Tell whether a packed address lies in a network; families never mix."""
    length, shift, prefix = net
    return len(address) == length and int.from_bytes(address, "big") >> shift == prefix


def hex_bytes(text: str) -> bytes:
    """
    Read the hexadecimal constant of ``bcontains`` and ``bstartswith``.

    Raises:
        BadLiteral: An odd number of digits, or something else than digits.
    """
    try:
        if any(c.isspace() for c in text):
            raise ValueError
        return bytes.fromhex(text)
    except ValueError:
        raise BadLiteral(f"{text!r} is not an even number of hexadecimal digits", "two digits are a byte") from None
