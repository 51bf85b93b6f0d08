"""
Indicators of compromise: addresses, names, digests and paths, wherever in a record they stand.

A record is walked once, when the first of the lists is asked for, and the lists are kept until another record is.
"""

import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from engine.event import Event, Record
from engine.fields import Getter

_USER_KEYS = frozenset({"username", "user", "sourceidentity", "rolesessionname", "principalname", "login"})
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_HASH = re.compile(r"(?:md5:|sha1:|sha256:)?([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64})")
_DOMAIN = re.compile(r"(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?\.)+[a-zA-Z][a-zA-Z0-9-]{0,61}[a-zA-Z]\.?")
_URL_HOST = re.compile(r"[a-z][a-z0-9+.-]*://(?:[^/?#@\s]*@)?(\[[0-9a-fA-F:.]+\]|[^/?#:\s]+)", re.IGNORECASE)
_PATH = re.compile(r"/[^\s?#]+")
_NO_HOST_KEYS = frozenset({"errorcode", "reason"})  # Client.UnauthorizedOperation has the form of a name
_LONGEST = 2048  # characters; what is longer is a document and no indicator


@lru_cache(8192)
def packed_ip(text: str) -> bytes | None:
    """Return the packed form of an IPv4 or IPv6 address, 4 or 16 bytes; None for any other text."""
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)
    except (OSError, ValueError):
        return None


class _Indicators:
    """The lists of one record, without repeats, in the order of the record."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.found: dict[str, dict[Any, None]] = {name: {} for name in _NAMES}
        self.walk()

    def walk(self) -> None:
        """Look at every text in the record; without recursion, as records may be nested deeply."""
        rest: list[tuple[str, Any]] = [("", self.record)]
        while rest:
            key, value = rest.pop()
            if isinstance(value, str):
                if 0 < len(value) <= _LONGEST:
                    self.look(key, value)
            elif isinstance(value, dict):
                rest.extend(reversed(value.items()))
            elif isinstance(value, list):
                rest.extend((key, item) for item in reversed(value))

    def look(self, key: str, value: str) -> None:
        found = self.found
        lower = key.lower()
        if lower in _USER_KEYS:
            found["evt.users"][value] = None
        if value.startswith("arn:") and value.count(":") >= 5:
            found["evt.arns"][value] = None
            if _ACCOUNT.fullmatch(account := value.split(":", 5)[4]):
                found["evt.accounts"][account] = None
        elif ("account" in lower or "owner" in lower) and _ACCOUNT.fullmatch(value):
            found["evt.accounts"][value] = None
        elif _PATH.fullmatch(value):
            found["evt.paths"][value] = None
        elif digest := _HASH.fullmatch(value):
            found["evt.hashes"][digest[1].lower()] = None
        elif lower not in _NO_HOST_KEYS:
            self.look_for_host(value)

    def look_for_host(self, value: str) -> None:
        url = _URL_HOST.match(value)
        host = url[1].strip("[]") if url else value
        address = packed_ip(host)
        if address is not None:
            self.found["evt.ips"][address] = None
        elif _DOMAIN.fullmatch(host):
            self.found["evt.domains"][host.rstrip(".").lower()] = None


_NAMES = ("evt.ips", "evt.users", "evt.arns", "evt.accounts", "evt.domains", "evt.hashes", "evt.paths")
_last = _Indicators({})


def _getter(name: str) -> Getter:
    def get(event: Event) -> list[Any] | None:
        global _last
        last = _last
        if last.record is not event.record:
            last = _last = _Indicators(event.record)
        return list(last.found[name]) or None

    return get


INDICATORS: Mapping[str, Getter] = {name: _getter(name) for name in _NAMES}
"""The getters of the canonical fields that list indicators, for any source whose records are JSON objects."""
