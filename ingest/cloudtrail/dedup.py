"""Repeats, seen in two phases: a key is reserved while its events are under way, remembered once these are safe."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable


class Claim:
    """
    Keys that are settled together.

    Attributes:
        settled: Becomes True when the keys were committed, False when they were released.
        waits_for: Claims of others that hold keys this one met: only if they succeed were those repeats.
    """

    __slots__ = ("_keys", "settled", "waits_for")

    def __init__(self) -> None:
        self._keys: list[tuple[Seen, Hashable]] = []
        self.waits_for: set[Claim] = set()
        self.settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def commit(self) -> None:
        """Remember the keys: whoever brings them again brings a repeat."""
        for seen, key in self._keys:
            seen._commit(key)
        self._settle(True)

    def release(self) -> None:
        """Forget the keys: whoever brings them again brings something new."""
        for seen, key in self._keys:
            seen._release(key)
        self._settle(False)

    def _settle(self, done: bool) -> None:
        self._keys.clear()
        if not self.settled.done():
            self.settled.set_result(done)


class Seen:
    """
    A bounded memory of keys, the oldest forgotten first.

    Args:
        limit: Most keys remembered; keys under way are not counted.
        ttl: Seconds a key is remembered.
    """

    def __init__(self, limit: int, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._ttl = ttl
        self._clock = clock
        self._pending: dict[Hashable, Claim] = {}
        self._done: OrderedDict[Hashable, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._done)

    def reserve(self, key: Hashable, claim: Claim) -> bool:
        """
        Reserve a key for a claim; False when it is a repeat.

        A key that another claim holds is a repeat too, but only if that claim succeeds: it is added to ``waits_for``.
        """
        owner = self._pending.get(key)
        if owner is not None:
            if owner is not claim:
                claim.waits_for.add(owner)
            return False
        if self._remembers(key):
            return False
        self._pending[key] = claim
        claim._keys.append((self, key))
        return True

    def _remembers(self, key: Hashable) -> bool:
        since = self._done.get(key)
        return since is not None and self._clock() - since < self._ttl

    def _commit(self, key: Hashable) -> None:
        self._pending.pop(key, None)
        now = self._clock()
        self._done[key] = now
        self._done.move_to_end(key)
        while self._done and (len(self._done) > self._limit or self._oldest() <= now - self._ttl):
            self._done.popitem(last=False)

    def _oldest(self) -> float:
        return next(iter(self._done.values()))

    def _release(self, key: Hashable) -> None:
        self._pending.pop(key, None)
