"""
The receiver of the API server's audit webhook: each request is one batch, answered once the batch is settled.

The API server repeats a request for any answer but 2xx, five times, and then drops it. So what is usable is never
refused for the sake of what is not, and overload is told by 429 or 503 with ``Retry-After``.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web

from engine.event import Event, Receipt
from ingest.base import Batch, Health, SourceError
from ingest.k8saudit.auth import Token, token_of
from ingest.k8saudit.glance import Sieve, note_all, outline
from ingest.k8saudit.listener import Listener, ListenOptions
from ingest.k8saudit.record import SOURCE
from ingest.k8saudit.repeats import Repeats, Settled
from ingest.k8saudit.replay import Replay
from ingest.k8saudit.shapes import IGNORED, MAX_EVENT_BYTES, MAX_ITEMS, decode
from ingest.k8saudit.spool import Spooled, SpoolFull, SpoolOptions
from ingest.k8saudit.tls import client_names

log = logging.getLogger("lanner.k8saudit")

_MEDIA_TYPES = frozenset({"application/json", "application/x-ndjson", "application/jsonl"})
_ENCODINGS = frozenset({"identity", "gzip", "deflate"})
_IN_THREAD = 1 << 20  # bodies from this size on would hold up all other requests while they are read
_WARN_EVERY = 60.0
_MAX_RETRY_AFTER = 10


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """
    Settings of a webhook.

    Attributes:
        listen: Address, port, TLS.
        path: Path of the requests; ``path/CLUSTER`` names the cluster of a sender.
        tokens: Bearer tokens, one of which must be shown; empty demands none.
        max_body_bytes: Size of an inflated body beyond which it is refused.
        max_held_bytes: Bytes of bodies received and not yet settled beyond which requests are refused.
        max_queue: Batches waiting beyond which requests are refused.
        body_timeout: Seconds in which a body must have arrived.
        ack_timeout: Seconds after which an unsettled request is answered 503; its batch goes on.
        ack: When a request is answered 200: "evaluated" once the alerts of its events are safe, "spooled" once its
            body is; then nothing about its content is told to the sender.
        malformed: Whether a body that holds nothing of use is refused with 400, for the API server to repeat it five
            times and log that, or accepted with 200 and counted.
        overload: What becomes of requests when too many wait to be evaluated: "spool" keeps them where there is a
            spool, "shed" refuses them.
        spool: Where requests are kept for "spooled" and "spool".
    """

    listen: ListenOptions = field(default_factory=ListenOptions)
    path: str = "/k8s-audit"
    tokens: tuple[Token, ...] = ()
    max_body_bytes: int = 64 << 20
    max_held_bytes: int = 128 << 20
    max_queue: int = 64
    body_timeout: float = 25.0
    ack_timeout: float = 10.0
    ack: Literal["evaluated", "spooled"] = "evaluated"
    malformed: Literal["refuse", "accept"] = "refuse"
    overload: Literal["spool", "shed"] = "spool"
    spool: SpoolOptions = field(default_factory=SpoolOptions)


class _Refused(Exception):
    """A request gets another answer than 200."""

    def __init__(self, status: int, slug: str, message: str, retry_after: int = 0, close: bool = False) -> None:
        super().__init__(message)
        self.status, self.slug, self.message = status, slug, message
        self.retry_after, self.close = retry_after, close


_Found = tuple[Sequence[Event], Sequence[tuple[str, str]]]
"""The usable events of a body, and for each part that is not usable the reason in one word and in many."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """
    A request that waits to be evaluated.

    Attributes:
        body: Bytes; a large one is decoded ahead, away from the loop.
        settled: How its batch ended.
        found: What a large one held.
        rejected: Number of entries that were not usable, once decoded.
        refused: What to answer when nothing was.
    """

    cluster: str
    origin: str
    body: bytes
    settled: Settled
    found: _Found | None = None
    rejected: int = 0
    refused: _Refused | None = None


class WebhookSource:
    """
    The webhook as a source.

    A request is decoded right before its events are evaluated: what waits takes no more memory than it came with, and
    what was decoded is still in the processor's caches.

    Attributes:
        name: Instance name.
        event_source: ``k8s_audit``.
        counters: ``requests``, ``bytes``, ``events``, ``records_skipped:<reason>``, ``records_ignored:<reason>``,
            ``requests_refused:<reason>``, ``requests_malformed:<reason>``, ``requests_repeated``, ``requests_spooled``,
            ``connections_refused:<reason>``, ``connections_closed:<reason>``, ``tls_reload:<result>``.
    """

    event_source = SOURCE

    def __init__(self, options: WebhookOptions, name: str = "k8saudit") -> None:
        self.name = name
        self.counters: Counter[str] = Counter()
        self._options = options
        self._listener = Listener(options.listen, self.counters)
        self._queue: asyncio.Queue[_Waiting | None] = asyncio.Queue()
        self._pending: set[Settled] = set()
        self._sieve = Sieve()
        self._repeats = Repeats()
        self._replay = Replay(options.spool, self._replayed) if options.spool.path else None
        self._held = 0
        self._answering = 0
        self._all_answered = asyncio.Event()
        self._state = "starting"
        self._warned: dict[str, float] = {}

    @property
    def port(self) -> int:
        """The TCP port it listens on."""
        return self._listener.port

    @property
    def waiting(self) -> int:
        """The number of requests that wait to be evaluated."""
        return self._queue.qsize()

    async def start(self) -> None:
        """Listen. Raises SourceError when the settings, the address or a TLS file cannot be used."""
        _check(self._options)
        if self._replay:
            await self._replay.start()
        try:
            await self._listener.open(self._application())
        except SourceError:
            if self._replay:
                await self._replay.stop(0)
            raise
        self._state = "open"
        scheme = "https" if self._options.listen.tls else "http"
        log.info("%s listens on %s://%s:%d%s", self.name, scheme, self._options.listen.host, self.port, self._path())

    async def batches(self) -> AsyncIterator[Batch]:
        """Yield one batch per request until ``stop``."""
        while (waiting := await self._queue.get()) is not None:
            if batch := self._opened(waiting):
                yield batch

    async def stop(self, grace: float) -> None:
        """Refuse new requests with 503, answer those begun, close; what is not settled in time is answered 503."""
        if self._state != "open":
            return
        self._state = "stopping"
        self._listener.refuse_new()
        began = time.monotonic()
        answered = await self._answered(grace)
        if self._replay:
            await self._replay.stop(max(0.0, grace - (time.monotonic() - began)))
        if not answered:
            for settled in [pending for pending in self._pending if not pending.done()]:
                settled.set_result("the receiver stops")
            await self._answered(1.0)
        self._queue.put_nowait(None)
        await self._listener.close()
        self._state = "stopped"

    def health(self) -> Health:
        """Say whether requests are taken now."""
        if self._state != "open":
            return Health(False, f"{self.name} is {self._state}")
        if self._behind() and self._sheds():
            return Health(False, f"{self.name}: {self.waiting} batches wait to be evaluated")
        return Health()

    def _path(self) -> str:
        return self._options.path.rstrip("/")

    def _application(self) -> web.Application:
        app, path = web.Application(), self._path()
        for route in (path, f"{path}/", f"{path}/{{cluster}}", f"{path}/{{cluster}}/"):
            app.router.add_post(route or "/", self._post)
        for route in ("/healthz", "/livez"):
            app.router.add_get(route, self._live)
        app.router.add_get("/readyz", self._ready)
        return app

    async def _live(self, request: web.Request) -> web.Response:
        self._listener.heard(request)
        return web.json_response({"live": True})

    async def _ready(self, request: web.Request) -> web.Response:
        self._listener.heard(request)
        health = self.health()
        answer = {"ready": health.ok, "detail": health.detail, "events": self.counters["events"]}
        return web.json_response(answer, status=200 if health.ok else 503)

    async def _answered(self, seconds: float) -> bool:
        """Wait until no request is unanswered; False when the time is over."""
        self._all_answered.clear()
        if not self._answering:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._all_answered.wait()
        except TimeoutError:
            return False
        return True

    async def _post(self, request: web.Request) -> web.Response:
        self._listener.heard(request)
        self.counters["requests"] += 1
        self._answering += 1
        try:
            rejected = await self._receive(request)
            return self._accepted(rejected)
        except _Refused as refused:
            return self._refusal(refused, request)
        except ConnectionError:
            return self._refusal(_Refused(400, "client-gone", "the sender closed the connection", close=True), request)
        except Exception:
            log.exception("%s: a request could not be handled", self.name)
            return self._refusal(_Refused(500, "internal-error", "internal error"), request)
        finally:
            self._answering -= 1
            if not self._answering:
                self._all_answered.set()

    def _accepted(self, rejected: int) -> web.Response:
        response = web.Response(headers={"X-Lanner-Rejected": str(rejected)} if rejected else None)
        if self._state != "open":
            response.force_close()
        return response

    async def _receive(self, request: web.Request) -> int:
        """Take a request in and wait until its batch is settled; return the number of entries that were not usable."""
        cluster = self._admit(request)
        body = await self._read(request)
        if self._replay and (self._options.ack == "spooled" or self._behind()):
            return await self._keep(self._replay, cluster, request.remote or "", body)
        origin = request.remote or ""
        settled = self._repeats.find(cluster, body)
        if settled:
            self.counters["requests_repeated"] += 1
            self._held -= len(body)
            await self._wait(settled, request, cluster, body)
            return 0
        waiting = await self._enqueue(cluster, origin, body)
        await self._wait(waiting.settled, request, cluster, body)
        return self._forgiven(waiting.refused) if waiting.refused else waiting.rejected

    def _forgiven(self, refused: _Refused) -> int:
        """Raise a refusal, or where malformed bodies are accepted note it and return how many were not usable: all."""
        if refused.status != 400 or self._options.malformed == "refuse":
            raise refused
        self.counters[f"requests_malformed:{refused.slug}"] += 1
        self._warn(refused.slug, f"accepted a request that holds nothing of use: {refused.message}")
        return 1

    def _sheds(self) -> bool:
        return self._options.overload == "shed" or self._replay is None

    def _behind(self) -> bool:
        return self.waiting >= self._options.max_queue

    async def _keep(self, replay: Replay, cluster: str, origin: str, body: bytes) -> int:
        """Put a request into the spool; it is decoded later, so nothing of it counts as not usable."""
        try:
            await replay.append(cluster, origin, body)
        except SpoolFull as full:
            raise self._overloaded(str(full)) from None
        except OSError as error:
            raise _Refused(503, "not-spooled", f"the spool cannot be written: {error.strerror}", 10) from None
        finally:
            self._held -= len(body)
        self.counters["requests_spooled"] += 1
        return 0

    async def _replayed(self, spooled: Spooled) -> bool:
        """Evaluate a request from the spool; tell whether it need not be kept."""
        self._held += len(spooled.body)
        waiting = await self._enqueue(spooled.cluster, spooled.origin, spooled.body)
        reason = await waiting.settled
        if waiting.refused:
            self._warn(waiting.refused.slug, f"a spooled request holds nothing of use: {waiting.refused.message}")
        return not reason

    def _admit(self, request: web.Request) -> str:
        """Check what is known before the body is read; return the sender's cluster, "" if unknown."""
        if self._state != "open":
            raise _Refused(503, "stopping", f"the receiver is {self._state}", retry_after=2, close=True)
        cluster = self._authorize(request) or request.match_info.get("cluster", "")
        if request.content_type not in _MEDIA_TYPES:
            raise _Refused(415, "media-type", "Content-Type must be application/json or application/x-ndjson")
        if request.headers.get("Content-Encoding", "identity").lower() not in _ENCODINGS:
            raise _Refused(415, "encoding", "Content-Encoding must be gzip or deflate")
        if (request.content_length or 0) > self._options.max_body_bytes:
            raise self._too_large()
        if self._behind() and self._sheds():
            raise self._overloaded("too many requests wait to be evaluated")
        return cluster

    def _authorize(self, request: web.Request) -> str:
        """Return the cluster that the sender's token stands for."""
        options = self._options
        if options.listen.tls and options.listen.tls.allowed_names:
            names = client_names(request.get_extra_info("ssl_object").getpeercert())
            if names.isdisjoint(options.listen.tls.allowed_names):
                raise _Refused(403, "client-name", "the client certificate's name is not allowed to send")
        if not options.tokens:
            return ""
        token = token_of(request.headers.get("Authorization"), options.tokens)
        if token is None:
            raise _Refused(401, "token", "a valid bearer token is required")
        return token.cluster

    async def _read(self, request: web.Request) -> bytes:
        """Return the inflated body; its bytes count as held."""
        most, parts, size = self._options.max_body_bytes, [], 0
        held = min(request.content_length or 0, most)
        self._hold(held)
        try:
            async with asyncio.timeout(self._options.body_timeout):
                async for part in request.content.iter_any():
                    parts.append(part)
                    size += len(part)
                    if size > most:
                        raise self._too_large()
                    if size > held:
                        self._hold(size - held)
                        held = size
        except TimeoutError:
            raise _Refused(408, "slow-body", "the body did not arrive in time", close=True) from None
        except web.RequestPayloadError:
            raise _Refused(400, "bad-encoding", "the body's encoding is broken", close=True) from None
        finally:
            self._held -= held
        self._held += size
        return b"".join(parts)

    def _hold(self, size: int) -> None:
        if self._held + size > self._options.max_held_bytes:
            raise self._overloaded("too many bytes wait to be evaluated")
        self._held += size

    def _found(self, body: bytes, origin: str) -> _Found:
        receipt = Receipt(time.time_ns())
        seen = outline(body, origin, receipt, self._sieve) if len(body) <= MAX_EVENT_BYTES else None
        if seen is not None and len(seen) <= MAX_ITEMS:
            return seen, ()
        decoded = decode(body, origin)
        return decoded.events, decoded.skipped

    def _usable(self, events: Sequence[Event], skipped: Iterable[tuple[str, str]]) -> int:
        """Count what was found; return how many entries were not usable, or refuse if none was."""
        self.counters["events"] += len(events)
        rejected = []
        for slug, detail in skipped:
            if slug in IGNORED:
                self.counters[f"records_ignored:{slug}"] += 1
            else:
                self.counters[f"records_skipped:{slug}"] += 1
                rejected.append((slug, detail))
        if not rejected:
            return 0
        slug, detail = rejected[0]
        if not events:
            raise _Refused(400, slug, detail)
        self._warn(slug, f"{len(rejected)} entries of a request were left out, the first: {detail}")
        return len(rejected)

    async def _enqueue(self, cluster: str, origin: str, body: bytes) -> _Waiting:
        """Have a request evaluated; its bytes, which count as held already, do so until it is settled."""
        size = len(body)
        found: _Found | None = None
        if size >= _IN_THREAD:
            with contextlib.suppress(Exception):  # it comes again, and is told, where small bodies are decoded
                found = await asyncio.to_thread(self._found, body, origin)
        waiting = _Waiting(cluster, origin, body, asyncio.get_running_loop().create_future(), found)

        def release(_settled: Settled) -> None:
            self._held -= size
            self._pending.discard(waiting.settled)

        self._pending.add(waiting.settled)
        waiting.settled.add_done_callback(release)
        self._queue.put_nowait(waiting)
        return waiting

    def _opened(self, waiting: _Waiting) -> Batch | None:
        """Return the batch of a request; without events there is none, and nothing to wait for."""
        self.counters["bytes"] += len(waiting.body)
        settled = waiting.settled

        def settle(reason: str) -> None:
            if not settled.done():
                settled.set_result(reason)

        async def ack() -> None:
            settle("")

        async def nack(reason: str) -> None:
            settle(reason or "the pipeline gave no reason")

        events: Sequence[Event] = ()
        try:
            events, skipped = waiting.found or self._found(waiting.body, waiting.origin)
            waiting.rejected = self._usable(events, skipped)
        except _Refused as refused:
            waiting.refused = refused
        except Exception:
            log.exception("%s: a request could not be decoded", self.name)
            waiting.refused = _Refused(500, "internal-error", "internal error")
        waiting.found, waiting.body = None, b""
        if not events:
            settle("")
            return None
        if waiting.cluster:
            note_all(events, "cluster_name", waiting.cluster)
        return Batch(events, ack, nack, independent=True)

    async def _wait(self, settled: Settled, request: web.Request, cluster: str, body: bytes) -> None:
        await asyncio.wait((settled,), timeout=self._options.ack_timeout)
        if not settled.done():
            self._repeats.remember(cluster, body, settled)
            raise _Refused(503, "not-settled-in-time", "the events are not yet evaluated", self._retry_after())
        if settled.result():
            raise _Refused(503, "not-settled", settled.result(), self._retry_after())
        if request.transport is None or request.transport.is_closing():
            self._repeats.remember(cluster, body, settled)

    def _too_large(self) -> _Refused:
        return _Refused(413, "too-large", f"the body is larger than {self._options.max_body_bytes} bytes", close=True)

    def _overloaded(self, message: str) -> _Refused:
        return _Refused(429, "overloaded", message, self._retry_after())

    def _retry_after(self) -> int:
        """Return seconds, more the fuller the receiver is."""
        options = self._options
        fill = max(self._held / options.max_held_bytes, self.waiting / options.max_queue)
        return 1 + int(min(fill, 1.0) * (_MAX_RETRY_AFTER - 1))

    def _refusal(self, refused: _Refused, request: web.Request) -> web.Response:
        self.counters[f"requests_refused:{refused.slug}"] += 1
        self._warn(refused.slug, f"refused a request of {request.remote} with {refused.status}: {refused.message}")
        headers = {"Retry-After": str(refused.retry_after)} if refused.retry_after else {}
        if refused.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        answer = {"reason": refused.slug, "message": refused.message}
        response = web.json_response(answer, status=refused.status, headers=headers)
        if refused.close:
            response.force_close()
        return response

    def _warn(self, slug: str, text: str) -> None:
        """Log a warning, repetitions of one reason only once a minute."""
        now = time.monotonic()
        if now - self._warned.get(slug, -_WARN_EVERY) >= _WARN_EVERY:
            self._warned[slug] = now
            log.warning("%s: %s", self.name, text)
        else:
            log.debug("%s: %s", self.name, text)


def _check(options: WebhookOptions) -> None:
    for token in options.tokens:
        if len(token.sha256) != 64 or not set(token.sha256.lower()) <= set("0123456789abcdef"):
            raise SourceError(f"bearer token {token.name!r}: sha256 is not 64 hex digits")
    if options.max_held_bytes < options.max_body_bytes:
        raise SourceError("max_held_bytes is less than max_body_bytes, so the largest bodies would never be taken")
    if options.max_queue < 1:
        raise SourceError("max_queue is less than 1, so no request would ever be taken")
    if not options.spool.path and options.ack == "spooled":
        raise SourceError("requests are to be spooled, but spool.path names no folder")
    if not options.path.startswith("/"):
        raise SourceError(f"path {options.path!r} does not begin with /")
