"""
Keeps the objects of one kind as an API server has them: a list first, then what changes, in a thread of its own.

A version that the server no longer knows (410) means another list, whose absentees are removed, and so does a watch
that tells of an error or what cannot be read. A connection that breaks is made anew and goes on from the last version
seen. Source: the Kubernetes API, "Efficient detection of changes".
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ingest.kubernetes.client import Door, Refused
from ingest.kubernetes.cluster import Store
from ingest.kubernetes.objects import Change, Object, Page, Status, version_of

PAGE = 500
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_GONE = 410
_BRIEF = 1.0  # seconds; a watch that ends sooner and brought nothing is as good as refused
_SHORTEST_WATCH, _LONGEST_WATCH = 240, 360

_pages = msgspec.json.Decoder(Page)
_changes = msgspec.json.Decoder(Change)
_statuses = msgspec.json.Decoder(Status)

Read = Callable[[msgspec.Raw, Collection[str]], Any]


class _Expired(Exception):
    """The server knows the version no longer."""


@dataclass(slots=True)
class Reflector:
    """
    One kind.

    Attributes:
        kind: As RBAC names it.
        door: To the API server.
        store: Filled here only.
        read: Makes an object of its JSON.
        labels: Keys of the labels that are kept; empty for all.
        told: Called with the kind and what is wrong, None when it works.
        counters: ``<kind>:lists``, ``:watches``, ``:changes``, ``:expired``, ``:errors``, ``:unreadable``.
        first_pause: Seconds before the first try after a failure.
    """

    kind: str
    door: Door
    store: Store[Any]
    read: Read
    labels: Collection[str]
    told: Callable[[str, Exception | None], None]
    counters: Counter[str]
    first_pause: float = _FIRST_PAUSE
    stopping: threading.Event = field(default_factory=threading.Event)
    _pause: float = 0.0
    _version: str = ""

    def run(self) -> None:
        """List and watch until ``stop``."""
        while not self.stopping.is_set():
            try:
                self._list() if not self._version else self._watch()
            except _Expired:
                self._version = ""
                self._count("expired")
                self._wait(self._next_pause())
            except Exception as error:
                if not self.stopping.is_set():
                    self._failed(error)

    def stop(self) -> None:
        """End the thread soon; from another one."""
        self.stopping.set()
        self.door.shut()

    def _list(self) -> None:
        """Take over the whole list, page by page, each of one state of the cluster."""
        version, after, seen = "", "", set()
        while True:
            page = _pages.decode(self._page(after))
            version = version or page.metadata.resource_version
            for raw in page.items or ():
                if found := self._object(raw):
                    self.store.put(found)
                    seen.add(found.uid)
            after = page.metadata.continue_
            if not after or self.stopping.is_set():
                break
        if not after:
            self.store.keep_only(seen)
            self._version = version
            self._count("lists")
            self.told(self.kind, None)

    def _page(self, after: str) -> bytes:
        try:
            return self.door.page(PAGE, after)
        except Refused as refused:
            if refused.status == _GONE and after:
                raise _Expired from None
            raise

    def _watch(self) -> None:
        """Follow the changes until the server ends the watch."""
        self._count("watches")
        began, changes = time.monotonic(), 0
        seconds = random.randint(_SHORTEST_WATCH, _LONGEST_WATCH)  # noqa: S311 - only spreads the watches
        try:
            for line in self.door.lines(self._version, seconds):
                self._line(line)
                if not changes:
                    self.told(self.kind, None)
                changes += 1
                self._pause = 0.0
                if self.stopping.is_set():
                    return
        except Refused as refused:
            if refused.status == _GONE:
                raise _Expired from None
            raise
        if changes or time.monotonic() - began > _BRIEF:
            self._pause = 0.0
            self.told(self.kind, None)
        else:
            self._wait(self._next_pause())

    def _line(self, line: bytes) -> None:
        try:
            self._change(_changes.decode(line))
        except (ValueError, Refused):
            self._version = ""
            raise

    def _change(self, change: Change) -> None:
        if change.type == "ERROR":
            status = _statuses.decode(change.object)
            if status.code == _GONE:
                raise _Expired
            raise Refused(status.code, f"{status.code} {status.message[:200]}")
        version = version_of(change.object)
        if change.type != "BOOKMARK":
            self._count("changes")
            self._take(change)
        self._version = version or self._version

    def _take(self, change: Change) -> None:
        found = self._object(change.object)
        if not found:
            return
        if change.type == "DELETED":
            self.store.remove(found.uid)
        else:
            self.store.put(found)

    def _object(self, raw: msgspec.Raw) -> Object | None:
        """Return an object, None when it is not as the API has it."""
        try:
            found: Object = self.read(raw, self.labels)
        except ValueError:
            self._count("unreadable")
            return None
        return found

    def _failed(self, error: Exception) -> None:
        self._count("errors")
        self.told(self.kind, error)
        wanted = error.retry_after if isinstance(error, Refused) else 0.0
        self._wait(max(self._next_pause(), min(wanted, _LONGEST_PAUSE)))

    def _next_pause(self) -> float:
        self._pause = min(2 * self._pause, _LONGEST_PAUSE) if self._pause else self.first_pause
        return self._pause * random.uniform(0.8, 1.2)  # noqa: S311 - only spreads the tries

    def _wait(self, seconds: float) -> None:
        self.stopping.wait(seconds)

    def _count(self, what: str) -> None:
        self.counters[f"{self.kind}:{what}"] += 1
