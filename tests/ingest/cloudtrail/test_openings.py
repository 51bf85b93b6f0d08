"""Ports that a request opens to the world."""

from typing import Any

import pytest

from engine.event import Event
from tests.ingest.cloudtrail.samples import ask, event


def rule(first: Any = 22, last: Any = 22, *networks: str, protocol: str = "tcp") -> dict[str, Any]:
    found: dict[str, Any] = {
        "ipProtocol": protocol,
        "ipRanges": {"items": [{"cidrIp": each} for each in networks if ":" not in each]},
        "ipv6Ranges": {"items": [{"cidrIpv6": each} for each in networks if ":" in each]},
    }
    return found | ({} if first is None else {"fromPort": first, "toPort": last})


def ingress(*rules: dict[str, Any]) -> Event:
    return event(requestParameters={"groupId": "sg-1", "ipPermissions": {"items": list(rules)}})


@pytest.mark.parametrize(
    ("network", "world"),
    [
        ("0.0.0.0/0", True),
        ("::/0", True),
        ("0.0.0.0/1", True),
        ("128.0.0.0/1", True),
        ("2000::/3", True),
        ("10.0.0.0/8", False),
        ("203.0.113.0/24", False),
        ("198.51.100.7/32", False),
        ("fd00::/16", False),
        ("nowhere", False),
    ],
)
def test_the_world_is_a_network_that_no_organisation_has(network: str, world: bool) -> None:
    assert ask("ct.opened.ports", ingress(rule(22, 22, network))) == (["22"] if world else None)


@pytest.mark.parametrize(
    ("found", "ports"),
    [
        (ingress(rule(20, 25, "0.0.0.0/0")), ["20-25"]),
        (ingress(rule(22, 22, "203.0.113.0/24"), rule(443, 443, "::/0")), ["443"]),
        (ingress(rule(None, None, "0.0.0.0/0", protocol="-1")), ["0-65535"]),
        (ingress(rule(-1, -1, "0.0.0.0/0")), ["0-65535"]),
        (ingress(rule(None, None, "0.0.0.0/0")), ["0-65535"]),
        (ingress(rule(8, 0, "0.0.0.0/0", protocol="icmp")), None),
        (event(requestParameters={"ipProtocol": "udp", "fromPort": 53, "toPort": 53, "cidrIp": "0.0.0.0/0"}), ["53"]),
        (
            event(
                requestParameters={
                    "ModifySecurityGroupRulesRequest": {
                        "SecurityGroupRule": {
                            "SecurityGroupRule": {
                                "IpProtocol": "tcp",
                                "FromPort": 1,
                                "ToPort": 9,
                                "CidrIpv4": "0.0.0.0/0",
                            }
                        }
                    }
                }
            ),
            ["1-9"],
        ),
        (
            event(
                requestParameters={
                    "aclProtocol": "6",
                    "portRange": {"from": 22, "to": 23},
                    "cidrBlock": "0.0.0.0/0",
                    "egress": False,
                    "ruleAction": "allow",
                }
            ),
            ["22-23"],
        ),
        (event(requestParameters={"aclProtocol": "-1", "cidrBlock": "0.0.0.0/0", "ruleAction": "deny"}), None),
        (event(requestParameters={"aclProtocol": "-1", "cidrBlock": "0.0.0.0/0", "egress": True}), None),
        (event(requestParameters=None), None),
        (event(requestParameters={"ipPermissions": {"items": [None, 7, {"ipRanges": {"items": [3]}}]}}), None),
    ],
)
def test_ports_are_read_from_every_kind_of_rule(found: Event, ports: list[str] | None) -> None:
    assert ask("ct.opened.ports", found) == ports


def test_a_port_is_asked_for_alone_or_with_others() -> None:
    found = ingress(rule(20, 25, "0.0.0.0/0"))

    assert ask("ct.opened.port[22]", found) is True
    assert ask("ct.opened.port[3389]", found) is False
    assert ask("ct.opened.port[3389,25]", found) is True
    assert ask("ct.opened.port[ssh]", found) is None
    assert ask("ct.opened.port[22]", ingress(rule(22, 22, "10.0.0.0/8"))) is None
