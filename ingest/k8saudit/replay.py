"""A spool beside an event loop: appends while requests wait, and gives what is held back in order."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ingest.base import SourceError
from ingest.k8saudit.spool import Spool, Spooled, SpoolOptions

log = logging.getLogger("lanner.k8saudit")

T = TypeVar("T")

_PAUSE = 1.0  # seconds before a request that could not be settled is tried again


class Replay:
    """
    Replays a spool, one request at a time, from ``start`` to ``stop``.

    Args:
        options: Of the spool.
        settle: Evaluates a request; tells whether its alerts are safe, so that it need not be kept.
    """

    def __init__(self, options: SpoolOptions, settle: Callable[[Spooled], Awaitable[bool]]) -> None:
        self._options = options
        self._settle = settle
        self._thread = ThreadPoolExecutor(1, "spool")
        self._added = asyncio.Event()
        self._ending = False

    async def start(self) -> None:
        """Open the spool and begin. Raises SourceError when its folder cannot be used."""
        try:
            self._spool = await self._run(lambda: Spool(self._options))
        except OSError as error:
            path = Path(self._options.path)
            raise SourceError(f"{path}: the spool cannot be used: {error.strerror or error}") from None
        self._task = asyncio.create_task(self._replay())

    async def append(self, cluster: str, origin: str, body: bytes) -> None:
        """Keep a request; raises SpoolFull or OSError when it is not."""
        await self._run(lambda: self._spool.append(cluster, origin, body))
        self._added.set()

    async def stop(self, grace: float) -> None:
        """Let the request that is being settled end, for ``grace`` seconds at most; the others stay on disk."""
        self._ending = True
        self._added.set()
        await asyncio.wait((self._task,), timeout=grace)
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._run(lambda: self._spool.close())
        self._thread.shutdown()

    async def _replay(self) -> None:
        while not self._ending:
            try:
                await self._step()
            except OSError as error:
                log.error("%s: the spool cannot be read, trying again: %s", self._options.path, error)
                await asyncio.sleep(_PAUSE)

    async def _step(self) -> None:
        self._added.clear()
        found = await self._run(lambda: self._spool.next())
        if found is None:
            await self._added.wait()
        elif await self._settle(found):
            await self._run(lambda: self._spool.done(found))
        elif not self._ending:
            await asyncio.sleep(_PAUSE)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
