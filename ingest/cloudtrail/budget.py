"""A byte budget that downloads wait for, so that memory stays bounded whatever the objects' sizes."""

import asyncio
from collections import deque


class Budget:
    """Bytes that may be in use at once; waiting is first come, first served."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, amount: int) -> int:
        """Wait until ``amount`` bytes are free; more than there is waits for all. Return what was taken."""
        amount = min(amount, self.total)
        if not self._waiting and self.used + amount <= self.total:
            self.used += amount
            return amount
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, turn))
        try:
            await turn
        except asyncio.CancelledError:
            self._abandon(amount, turn)
            raise
        return amount

    def resize(self, taken: int, actual: int) -> int:
        """Correct an estimate without waiting; the sum may exceed the total for a while. Return ``actual``."""
        self.used += actual - taken
        self._wake()
        return actual

    def give(self, amount: int) -> None:
        """Return bytes."""
        self.used -= amount
        self._wake()

    def _abandon(self, amount: int, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            self.give(amount)
        else:
            self._waiting = deque(entry for entry in self._waiting if entry[1] is not turn)
            self._wake()

    def _wake(self) -> None:
        while self._waiting:
            amount, turn = self._waiting[0]
            if self.used > 0 and self.used + amount > self.total:
                return
            self._waiting.popleft()
            if not turn.cancelled():
                self.used += amount
                turn.set_result(None)
