"""All watches of a cluster together: started and stopped with the service, one thread for each kind."""

import asyncio
import logging
import threading
import time
from typing import Any

from ingest.kubernetes.client import LISTINGS, Door, Refused, Unreachable, configuration
from ingest.kubernetes.cluster import Cluster
from ingest.kubernetes.objects import read_object, read_pod, read_service
from ingest.kubernetes.options import KINDS, EnrichmentOptions
from ingest.kubernetes.reflector import Read, Reflector

log = logging.getLogger("lanner.kubernetes")

_JOIN = 2.0  # seconds for threads to end; they are daemons, so that none keeps the process


class ClusterWatch:
    """
    Fills a cluster.

    Attributes:
        counters: As the reflectors count, and ``<kind>:objects`` and ``<kind>:left_out`` once it is stopped.
    """

    def __init__(self, options: EnrichmentOptions, cluster: Cluster, first_pause: float = 1.0) -> None:
        check(options)
        self.counters = cluster.counters
        self._options = options
        self._cluster = cluster
        self._first_pause = first_pause
        self._reflectors: list[Reflector] = []
        self._threads: list[threading.Thread] = []
        self._trouble = _Trouble(options.kinds)

    async def start(self) -> None:
        """
        Begin to watch; return when each kind is listed or has failed once, after ``start_wait`` seconds at most.

        An API server that cannot be asked is told in the log, and tried again; it never keeps anything from running.
        """
        self._cluster.name = self._options.cluster
        try:
            configured = await asyncio.to_thread(configuration, self._options)
        except Unreachable as error:
            log.warning("%s; the fields k8smeta.* stay absent", error)
            return
        self._reflectors = [self._reflector(kind, configured) for kind in dict.fromkeys(self._options.kinds)]
        self._threads = [
            threading.Thread(target=reflector.run, name=f"watch-{reflector.kind}", daemon=True)
            for reflector in self._reflectors
        ]
        for thread in self._threads:
            thread.start()
        await asyncio.to_thread(self._trouble.all_tried.wait, self._options.start_wait)
        if self._trouble.all_work:
            found = ", ".join(f"{len(reflector.store)} {reflector.kind}" for reflector in self._reflectors)
            log.info("the API server's metadata is here: %s", found)

    async def stop(self) -> None:
        """End all watches."""
        for reflector in self._reflectors:
            reflector.stop()
            self.counters[f"{reflector.kind}:objects"] = len(reflector.store)
            if reflector.store.left_out:
                self.counters[f"{reflector.kind}:left_out"] = reflector.store.left_out
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        end = time.monotonic() + _JOIN
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def _reflector(self, kind: str, configured: Any) -> Reflector:
        store, read = self._cluster.stores[kind], _READ.get(kind, read_object)
        selector = f"spec.nodeName={self._options.node}" if kind == "pods" and self._options.node else ""
        return Reflector(
            kind,
            Door(kind, configured, selector),
            store,
            read,
            frozenset(self._options.labels),
            self._trouble.tell,
            self.counters,
            self._first_pause,
        )


def check(options: EnrichmentOptions) -> None:
    """Raise ValueError when options make no sense."""
    unknown = [kind for kind in options.kinds if kind not in LISTINGS]
    if unknown:
        raise ValueError(f"kinds: {unknown[0]!r} cannot be watched; known are {', '.join(KINDS)}")


_READ: dict[str, Read] = {"pods": read_pod, "services": read_service}


class _Trouble:
    """Tells of failures once: one line when the API server is not there, one for each kind that it refuses."""

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self.all_tried = threading.Event()
        self._wrong: dict[str, str | None] = {}
        self._kinds = frozenset(kinds)
        self._lock = threading.Lock()

    @property
    def all_work(self) -> bool:
        """Whether each kind was listed and none has failed since."""
        with self._lock:
            return self._wrong.keys() == self._kinds and not any(self._wrong.values())

    def tell(self, kind: str, error: Exception | None) -> None:
        """Take note that a kind works, or why not; log what is new."""
        with self._lock:
            before, known = self._wrong.get(kind), set(self._wrong.values())
            what = _what(kind, error) if error else None
            self._wrong[kind] = what
            if error and what not in known:
                log.warning("%s; what it would tell stays absent until it answers", _sentence(kind, error))
            elif error:
                log.debug("%s", _sentence(kind, error))
            elif before and before not in self._wrong.values():
                log.info("the API server answers again (%s)", kind)
            if self._wrong.keys() == self._kinds:
                self.all_tried.set()


def _what(kind: str, error: Exception) -> str:
    """Return what is told once: failures of the connection are one thing whatever kind meets them."""
    return f"{kind} {error.status}" if isinstance(error, Refused) and error.status else "connection"


def _sentence(kind: str, error: Exception) -> str:
    if isinstance(error, Refused) and error.status in (401, 403):
        return f"the API server does not let {kind} be listed and watched: {error}"
    if isinstance(error, Refused):
        return f"the API server refuses to list or watch {kind}: {error}"
    return f"the API server's {kind} cannot be read: {type(error).__name__}: {' '.join(str(error).split())[:300]}"
