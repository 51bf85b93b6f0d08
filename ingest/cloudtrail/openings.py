"""
Which ports a request opens to the world: the ``ct.opened.*`` fields.

Read from security group rules (new, legacy and modified ones) and network ACL entries. The world is any network so wide
that it holds more than one organisation's addresses: IPv4 shorter than /8, IPv6 shorter than /16.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from engine.event import Event
from engine.fields import Arg, Field, Type
from ingest.cloudtrail.policies import listed

WORLD_BELOW = {4: 8, 6: 16}
"""Prefix lengths by IP version; a shorter one is the world."""

LONGEST_NETWORK = 60
"""Characters of an IPv6 network with a zone, written out; a longer text is no network."""

LAST_PORT = 65535
_ALL_PROTOCOLS = ("-1", "all")
_WITH_PORTS = ("tcp", "udp", "6", "17", "sctp", "132")


@dataclass(frozen=True, slots=True)
class Ports:
    """A range of ports, both ends included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


EVERY_PORT = Ports(0, LAST_PORT)


@lru_cache(maxsize=1)  # several fields of one event ask
def opened(event: Event) -> list[Ports]:
    """Return the ranges of ports that the request lets the world reach."""
    asked = event.record.get("requestParameters")
    if not isinstance(asked, dict):
        return []
    return [ports for rule in _rules(asked) if _to_world(rule) and (ports := _ports(rule)) is not None]


def _rules(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rules of a request, each with lower-case keys of the first letter."""
    yield _plain(asked)
    permissions = asked.get("ipPermissions")
    changed = asked.get("ModifySecurityGroupRulesRequest")
    for item in listed(permissions.get("items")) if isinstance(permissions, dict) else ():
        if isinstance(item, dict):
            yield _plain(item)
    for item in listed(changed.get("SecurityGroupRule")) if isinstance(changed, dict) else ():
        rule = item.get("SecurityGroupRule", item) if isinstance(item, dict) else None
        if isinstance(rule, dict):
            yield _plain(rule)


def _plain(rule: dict[str, Any]) -> dict[str, Any]:
    return {key[:1].lower() + key[1:]: value for key, value in rule.items()}


def _to_world(rule: dict[str, Any]) -> bool:
    if rule.get("egress") is True or rule.get("isEgress") is True or rule.get("ruleAction") == "deny":
        return False
    return any(map(_is_world, _networks(rule)))


def _networks(rule: dict[str, Any]) -> Iterator[Any]:
    yield from (rule.get(key) for key in ("cidrIp", "cidrIpv4", "cidrIpv6", "cidrBlock", "ipv6CidrBlock"))
    for key, inner in (("ipRanges", "cidrIp"), ("ipv6Ranges", "cidrIpv6")):
        ranges = rule.get(key)
        for item in listed(ranges.get("items")) if isinstance(ranges, dict) else ():
            yield item.get(inner) if isinstance(item, dict) else None


def _is_world(text: Any) -> bool:
    return isinstance(text, str) and len(text) <= LONGEST_NETWORK and _is_wide(text)


@lru_cache(1024)
def _is_wide(text: str) -> bool:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return False
    return network.prefixlen < WORLD_BELOW[network.version]


def _ports(rule: dict[str, Any]) -> Ports | None:
    protocol = str(rule.get("ipProtocol", rule.get("aclProtocol", ""))).lower()
    if protocol in _ALL_PROTOCOLS:
        return EVERY_PORT
    if protocol not in _WITH_PORTS:
        return None
    span = rule.get("portRange")
    inner = span if isinstance(span, dict) else {}
    first = _number(rule.get("fromPort", inner.get("from")))
    last = _number(rule.get("toPort", inner.get("to")))
    if first is None or last is None or first < 0:
        return EVERY_PORT
    return Ports(first, last)


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _ranges(event: Event) -> list[str] | None:
    return list(dict.fromkeys(map(str, opened(event)))) or None


@lru_cache(256)  # rules write few lists of ports
def _wanted(arg: str) -> list[int]:
    return [port for port in map(_number, arg.split(",")) if port is not None]


def _port(event: Event, arg: str) -> bool | None:
    wanted, ranges = _wanted(arg), opened(event)
    if not ranges or not wanted:
        return None
    return any(ports.first <= port <= ports.last for ports in ranges for port in wanted)


FIELDS = (
    Field(
        "ct.opened.ports",
        Type.STRING,
        "Ports that the request lets the world reach, as 22 or 8000-8999; from security group and network ACL rules.",
        _ranges,
        is_list=True,
    ),
    Field(
        "ct.opened.port",
        Type.BOOL,
        "Whether a given port, or one of several with commas between, is among those the request opens to the world.",
        _port,
        arg=Arg.KEY,
        arg_required=True,
    ),
)
