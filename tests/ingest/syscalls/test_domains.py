import socket
import time
from collections import Counter
from itertools import pairwise

import pytest

from engine.alert import make_alert
from engine.evaluate import Engine
from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.syscalls.call import Address, Ends
from ingest.syscalls.domains import FIRST_S, LAST_S, Domains, names_in, resolve
from ingest.syscalls.host_event import host_event
from lanner.catalog import build_catalog
from tests.ingest.syscalls.host import Host, field

HERE, THERE = b"\n\0\0\1", b"\1\2\3\4"


class Names:
    """A directory that counts what it is asked for."""

    def __init__(self) -> None:
        self.addresses = {"good.example": frozenset({THERE}), "also.example": frozenset({THERE, HERE})}
        self.asked: Counter[str] = Counter()

    def __call__(self, name: str) -> frozenset[bytes]:
        self.asked[name] += 1
        return self.addresses.get(name, frozenset())


def known(names: Names, *wanted: str) -> Domains:
    domains = Domains(names)
    domains.want(wanted)
    domains.refresh(0.0)
    return domains


def test_addresses_have_the_names_that_are_wanted() -> None:
    domains = known(Names(), "good.example", "also.example", "none.example")
    assert domains.of(THERE) == ("also.example", "good.example")
    assert domains.of(HERE) == ("also.example",)
    domains.want(["good.example"])
    assert (domains.of(THERE), domains.of(HERE)) == (("good.example",), ())


def test_names_are_asked_for_ever_more_rarely_until_they_change() -> None:
    names = Names()
    domains = known(names, "good.example")
    now, times = 0.0, []
    while now < 2000:
        now += 1
        before = names.asked["good.example"]
        domains.refresh(now)
        times += [now] * (names.asked["good.example"] - before)
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[0] <= 4 * FIRST_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LAST_S
    names.addresses["good.example"] = frozenset({HERE})
    domains.refresh(now + LAST_S)
    assert domains.of(HERE) == ("good.example",)
    domains.refresh(now + LAST_S + FIRST_S)
    assert names.asked["good.example"] == len(times) + 3


RULES = """
- list: allowed
  items: [good.example, other.example]
- rule: r
  desc: d
  condition: evt.type = connect and fd.sip.name in (allowed)
  output: to %fd.sip.name from %fd.cip.name
  priority: INFO
- rule: s
  desc: d
  condition: evt.type = connect and fd.rip.name = also.example
  output: o
  priority: INFO
- rule: t
  desc: d
  condition: evt.type = connect and fd.sip.name != good.example
  output: o
  priority: INFO
- rule: off
  desc: d
  enabled: false
  condition: evt.type = connect and fd.sip.name = unused.example
  output: o
  priority: INFO
"""


def test_rules_compare_addresses_with_names() -> None:
    result = load_rules([RuleFile("r.yaml", RULES)], build_catalog("h"))
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    wanted = names_in(result.ruleset)
    assert wanted == {"good.example", "other.example", "also.example"}
    host = Host()
    host.table.domains = known(Names(), *wanted)
    host.call("socket", 3, 2, 1, 0)
    ends = Ends(2, Address(2, b"\n\0\0\2", 4000), Address(2, THERE, 443))
    call = host.call("connect", 0, ends, 3)
    matches = Engine(result.ruleset).evaluate(host_event(call))
    assert [match.rule.name for match in matches] == ["r", "s"]
    assert "to also.example, good.example from <NA>" in make_alert(matches[0], hostname="h").message
    assert field(host.call("socket", 4, 2, 1, 0), "fd.sip.name") is None


def test_names_are_looked_up_in_the_background() -> None:
    domains = Domains()
    domains.want(["localhost"])
    domains.start()
    try:
        end = time.monotonic() + 20
        while not domains.of(b"\x7f\0\0\1") and time.monotonic() < end:
            time.sleep(0.02)
        assert domains.of(b"\x7f\0\0\1") == ("localhost",)
    finally:
        domains.stop()


@pytest.mark.parametrize("name", ["", "no such name", "x" * 300, "\udcff"])
def test_odd_names_have_no_addresses(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "no such name":
        monkeypatch.setattr(socket, "getaddrinfo", _fails)
    assert isinstance(resolve(name), frozenset)


def _fails(*_args: object, **_named: object) -> None:
    raise socket.gaierror
