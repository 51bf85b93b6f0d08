"""Repeats, seen in two phases: a key is reserved while its events are under way, remembered once these are safe."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence


class Claim:
    """
    Keys that are settled together.

    Attributes:
        settled: Becomes True when the keys were committed, False when they were released.
        waits_for: Claims of others that hold keys this one met: only if they succeed were those repeats.
    """

    __slots__ = ("_keys", "settled", "waits_for")

    def __init__(self) -> None:
        self._keys: list[tuple[Seen, Sequence[Hashable]]] = []
        self.waits_for: set[Claim] = set()
        self.settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def commit(self) -> None:
        """Remember the keys: whoever brings them again brings a repeat."""
        for seen, keys in self._keys:
            seen._commit(keys)
        self._settle(True)

    def release(self) -> None:
        """Forget the keys: whoever brings them again brings something new."""
        for seen, keys in self._keys:
            seen._release(keys)
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
        """Reserve a key for a claim; False when it is a repeat."""
        return bool(self.reserve_all((key,), claim))

    def reserve_all(self, keys: Iterable[Hashable], claim: Claim) -> list[int]:
        """
        Reserve keys for a claim, and return the places of those that are no repeats.

        A key that another claim holds is a repeat too, but only if that claim succeeds: it is added to ``waits_for``.
        """
        pending, done = self._pending, self._done
        oldest = self._clock() - self._ttl
        places: list[int] = []
        reserved: list[Hashable] = []
        for place, key in enumerate(keys):
            owner = pending.get(key)
            if owner is not None:
                if owner is not claim:
                    claim.waits_for.add(owner)
            elif done.get(key, oldest) <= oldest:
                pending[key] = claim
                reserved.append(key)
                places.append(place)
        if reserved:
            claim._keys.append((self, reserved))
        return places

    def _commit(self, keys: Sequence[Hashable]) -> None:
        pending, done = self._pending, self._done
        now = self._clock()
        for key in keys:
            pending.pop(key, None)
            if key in done:  # it was forgotten only by its age
                done.move_to_end(key)
            done[key] = now
        while self._done and (len(self._done) > self._limit or self._oldest() <= now - self._ttl):
            self._done.popitem(last=False)

    def _oldest(self) -> float:
        return next(iter(self._done.values()))

    def _release(self, keys: Sequence[Hashable]) -> None:
        for key in keys:
            self._pending.pop(key, None)
