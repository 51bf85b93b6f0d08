"""
Domain names of addresses: the names that rules compare ``fd.sip.name`` and its like with, looked up forward.

A name is asked for by a thread of its own, again and again, less often as long as its addresses stay the same. Until
its first answer no address has it (spec: fields 6.3).
"""

import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from engine.ruleset import RuleSet
from engine.typed import FieldValue, Test, walk

FIRST_S, LAST_S = 5.0, 320.0
"""Seconds after which a name is asked for again: the least, doubled with every same answer up to the most."""

MAX_NAMES = 4096
"""Names that are asked for."""

FIELDS = frozenset({"fd.cip.name", "fd.sip.name", "fd.lip.name", "fd.rip.name"})
_IDLE_S = 0.25

Resolve = Callable[[str], frozenset[bytes]]


def resolve(name: str) -> frozenset[bytes]:
    """Return the packed addresses of a name; none when it has none or nobody answers."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    families = (socket.AF_INET, socket.AF_INET6)
    pairs = [(family, str(address[0]).partition("%")[0]) for family, _, _, _, address in found if family in families]
    return frozenset(socket.inet_pton(family, text) for family, text in pairs)


def names_in(ruleset: RuleSet) -> frozenset[str]:
    """Return the names that enabled rules compare addresses with."""
    nodes = walk(*(rule.condition for rule in ruleset.enabled))
    tests = (node for node in nodes if isinstance(node, Test))
    return frozenset(
        text
        for test in tests
        if isinstance(test.left, FieldValue) and test.left.field.name in FIELDS
        for text in test.constants
        if isinstance(text, str)
    )


@dataclass(frozen=True, slots=True)
class _Known:
    addresses: frozenset[bytes]
    due: float
    pause: float


class Domains:
    """Names by address, for the names that somebody wants."""

    def __init__(self, ask: Resolve = resolve) -> None:
        """
        Know nothing yet.

        Args:
            ask: Gives the addresses of a name; may take its time.
        """
        self._ask = ask
        self._known: dict[str, _Known] = {}
        self._by_address: dict[bytes, tuple[str, ...]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="domains", daemon=True)

    def of(self, ip: bytes) -> tuple[str, ...]:
        """Return the wanted names that have an address."""
        return self._by_address.get(ip, ())

    def want(self, names: Iterable[str]) -> None:
        """Ask for these names from now on, and for no others."""
        chosen = sorted(name for name in set(names) if name)[:MAX_NAMES]
        self._known = {name: self._known.get(name, _Known(frozenset(), 0.0, FIRST_S)) for name in chosen}
        self._index()

    def start(self) -> None:
        """Begin to ask."""
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; a question that is open may still end."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_IDLE_S):
            self.refresh(time.monotonic())

    def refresh(self, now: float) -> None:
        """Ask for the names that are due; ``now`` is in seconds of a steady clock."""
        for name, old in list(self._known.items()):
            if old.due <= now and not self._stopping.is_set():
                self._take(name, old, self._ask(name), now)

    def _take(self, name: str, old: _Known, found: frozenset[bytes], now: float) -> None:
        pause = min(2 * old.pause, LAST_S) if found == old.addresses else FIRST_S
        if name in self._known:
            self._known = self._known | {name: replace(old, addresses=found, due=now + pause, pause=pause)}
            self._index()

    def _index(self) -> None:
        found: dict[bytes, tuple[str, ...]] = {}
        for name, known in self._known.items():
            for address in known.addresses:
                found[address] = (*found.get(address, ()), name)
        self._by_address = found
