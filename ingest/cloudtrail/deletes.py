"""Deleting messages together, up to ten per request, and again when that fails."""

import asyncio
import contextlib
import logging
from collections import Counter
from typing import NamedTuple

from ingest.cloudtrail.queue import Held, Queue

logger = logging.getLogger("lanner.cloudtrail")

_MOST = 10
_DELAY = 0.2
_ATTEMPTS = 3


class _Delete(NamedTuple):
    held: Held
    done: "asyncio.Future[bool]"


class Deletes:
    """
    The deletes of one queue.

    Args:
        counters: Gets ``deletes_failed``.
    """

    def __init__(self, queue: Queue, counters: Counter[str]) -> None:
        self._queue = queue
        self._counters = counters
        self._waiting: asyncio.Queue[_Delete] = asyncio.Queue()

    async def delete(self, held: Held) -> bool:
        """Delete a message; False when that failed, so that it may come again."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait(_Delete(held, done))
        return await done

    async def run(self) -> None:
        """Send the deletes until cancelled."""
        while True:
            batch = await self._collect()
            try:
                await self._send(batch)
            except Exception as error:  # an answer nobody expected must not end the deleting
                self._counters["internal_errors"] += 1
                logger.error("deleting: %s: %s", type(error).__name__, error)
            finally:
                self._settle(batch, False)

    async def _collect(self) -> list[_Delete]:
        """Wait for a message, and a little for more."""
        batch = [await self._waiting.get()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DELAY):
                while len(batch) < _MOST:
                    batch.append(await self._waiting.get())
        return batch

    async def _send(self, batch: list[_Delete]) -> None:
        for attempt in range(_ATTEMPTS):
            failed = await self._queue.delete([delete.held for delete in batch])
            self._settle([delete for delete in batch if delete.held not in failed], True)
            batch = [delete for delete in batch if failed.get(delete.held)]
            if not batch:
                return
            await asyncio.sleep(_DELAY * 2**attempt)

    def _settle(self, batch: list[_Delete], deleted: bool) -> None:
        for held, done in batch:
            if done.done():
                continue
            held.lost = held.lost or deleted  # a heartbeat on its way may meet a deleted message
            done.set_result(deleted)
            if not deleted:
                self._counters["deletes_failed"] += 1
                logger.warning("message %s could not be deleted and may come again", held.id)
