"""Requests that were answered before their batch was settled: the sender repeats these, byte for byte."""

import asyncio
import time
from dataclasses import dataclass, field
from hashlib import blake2b

Settled = asyncio.Future[str]
"""Becomes "" once a batch is in durable custody, else the reason why it is not."""

_SECONDS = 900.0  # an API server gives a batch up after four to five minutes
_MOST = 1000


@dataclass(slots=True)
class Repeats:
    """
    The batches of such requests, by a hash of cluster and body.

    A repeated request shares the fate of the batch that is already on its way, instead of being evaluated twice. A
    batch that failed is forgotten: its repetition is the second try. Costs nothing while every answer comes in time.
    """

    _batches: dict[bytes, tuple[float, Settled]] = field(default_factory=dict)

    def remember(self, cluster: str, body: bytes, settled: Settled) -> None:
        """Keep the batch of a request whose sender was not told how it ended."""
        self._forget_old()
        self._batches[_digest(cluster, body)] = (time.monotonic(), settled)

    def find(self, cluster: str, body: bytes) -> Settled | None:
        """Return the batch of an equal request, None if there is none or it failed."""
        if not self._batches:
            return None
        self._forget_old()
        digest = _digest(cluster, body)
        found = self._batches.get(digest)
        if found and found[1].done() and found[1].result():
            del self._batches[digest]
            return None
        return found[1] if found else None

    def _forget_old(self) -> None:
        oldest = time.monotonic() - _SECONDS
        while self._batches:
            digest, (since, _) = next(iter(self._batches.items()))
            if since > oldest and len(self._batches) <= _MOST:
                return
            del self._batches[digest]


def _digest(cluster: str, body: bytes) -> bytes:
    return blake2b(body, digest_size=16, person=blake2b(cluster.encode(), digest_size=16).digest()).digest()
