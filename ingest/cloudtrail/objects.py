"""Reading one S3 object: download within the byte budget, decode, and say what went wrong."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.event import Event
from ingest.base import Content, SourceError
from ingest.cloudtrail import aws, files
from ingest.cloudtrail.aws import Clients, Fault
from ingest.cloudtrail.budget import Budget
from ingest.cloudtrail.messages import ObjectRef
from ingest.cloudtrail.options import ObjectOptions

logger = logging.getLogger("lanner.cloudtrail")

_INFLATES = 9  # times the stored size that trail files become, where the file itself does not say it
_HEAP = 6  # times its JSON text that a file occupies at most: the text, and the records as Python objects
_STORED_SHARE = 4  # of the budget: files downloaded and not decoded yet
_GZIP = b"\x1f\x8b"
_UNKNOWN_SIZE = 1 << 20
_DECODED_AT_ONCE = 1 << 20
"""Bytes of JSON that are decoded on the event loop; the decoding of more leaves it."""
_DAMAGE = frozenset({"truncated-gzip", "bad-gzip", "bomb", "too-large", "not-json"})


@dataclass(slots=True)
class Loaded:
    """
    What an object held.

    Attributes:
        damage: Why not all of it could be read, a slug; "" when it could.
        detail: The same for people.
        taken: Bytes of the budget it occupies; whoever settles the events gives them back.
    """

    events: Sequence[Event] = ()
    damage: str = ""
    detail: str = ""
    taken: int = 0


class ObjectError(Exception):
    """An object could not be read at all."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
        self.detail = detail


class Objects:
    """
    Reads objects, a bounded number of bytes and downloads at a time.

    Args:
        counters: Gets ``objects:<result>``, ``bytes`` and ``records_skipped:<reason>``.
    """

    def __init__(self, clients: Clients, options: ObjectOptions, counters: Counter[str]) -> None:
        self._clients = clients
        self._options = options
        self._counters = counters
        # Two budgets, as a file that holds of one what it needs to wait for more of it could wait for ever.
        self._stored = Budget(options.memory_budget // _STORED_SHARE)
        self.budget = Budget(options.memory_budget - self._stored.total)
        self.wanted = key_filter(options)

    async def load(self, ref: ObjectRef) -> Loaded:
        """
        Download and decode an object; a damaged one is downloaded once more before it is believed to be.

        Raises:
            ObjectError: It could not be downloaded.
        """
        decoded, taken = await self._read(ref)
        if _damage(decoded)[0]:
            self._counters["objects:read_again"] += 1
            self.budget.give(taken)
            decoded, taken = await self._read(ref)
        damage, detail = _damage(decoded)
        self._note(ref, decoded, told=bool(damage))
        self._counters[f"objects:{'damaged' if damage else 'ok'}"] += 1
        return Loaded(decoded.events, damage, detail, taken)

    async def _read(self, ref: ObjectRef) -> tuple[Content, int]:
        stored = await self._stored.take(ref.size or _UNKNOWN_SIZE)
        try:
            data = await self._download(ref)
            stored = self._stored.resize(stored, len(data))
            return await self._decode_within_budget(data, ref.uri)
        finally:
            self._stored.give(stored)

    async def _decode_within_budget(self, data: bytes, origin: str) -> tuple[Content, int]:
        taken = await self.budget.take(decoded_weight(data, self._options))
        try:
            return await self._decode(data, origin), taken
        except BaseException:
            self.budget.give(taken)
            raise

    async def _decode(self, data: bytes, origin: str) -> Content:
        limits = {"max_bytes": self._options.max_object_bytes, "max_ratio": self._options.max_ratio}
        if decoded_weight(data, self._options) <= _DECODED_AT_ONCE * _HEAP < self._options.max_object_bytes * _HEAP:
            decoded = files.decode(data, origin, max_bytes=_DECODED_AT_ONCE, max_ratio=self._options.max_ratio)
            if _damage(decoded)[0] not in ("bomb", "too-large"):
                return decoded
        return await asyncio.to_thread(files.decode, data, origin, **limits)

    def _note(self, ref: ObjectRef, decoded: Content, told: bool) -> None:
        """Leave a trace of what was not used; of a damaged object the message's own line tells."""
        self._counters.update(f"records_skipped:{slug}" for slug, _ in decoded.skipped)
        if decoded.skipped and not told:
            slug, detail = decoded.skipped[0]
            logger.info("%s: %d parts were not used, the first: %s, %s", ref.uri, len(decoded.skipped), slug, detail)

    async def _download(self, ref: ObjectRef) -> bytes:
        try:
            return await self._get(ref, ref.key)
        except ObjectError as error:
            if error.fault is not Fault.MISSING or not ref.encoded_key:
                raise
        # Some relays and emulators decode the key themselves, so that decoding it again names another object.
        data = await self._get(ref, ref.encoded_key)
        self._counters["objects:key_as_written"] += 1
        return data

    async def _get(self, ref: ObjectRef, key: str) -> bytes:
        try:
            client = await self._clients.s3(ref.region)
            response = await client.get_object(Bucket=ref.bucket, Key=key)
            return await self._body(response, ref)
        except aws.call_errors() as error:
            raise ObjectError(aws.fault_of(error), f"{ref.uri}: {aws.describe(error)}") from error

    async def _body(self, response: dict[str, Any], ref: ObjectRef) -> bytes:
        length = response.get("ContentLength", 0)
        async with response["Body"] as stream:
            if length > self._options.max_object_bytes:
                raise ObjectError(
                    Fault.TOO_LARGE, f"{ref.uri}: {length} bytes, at most {self._options.max_object_bytes}"
                )
            data: bytes = await stream.read()
        if len(data) < length:
            raise ObjectError(Fault.RETRY, f"{ref.uri}: {len(data)} of {length} bytes came")
        self._counters["bytes"] += len(data)
        return data


def decoded_weight(data: bytes, options: ObjectOptions) -> int:
    """Return how many bytes a file will occupy when it is decoded; gzip files tell their size at their end."""
    if not data.startswith(_GZIP):
        return len(data) * _HEAP
    told = int.from_bytes(data[-4:], "little")
    most = min(options.max_object_bytes, len(data) * options.max_ratio)
    return min(max(told, len(data) * _INFLATES), most) * _HEAP


def _damage(decoded: Content) -> tuple[str, str]:
    """Return slug and detail of the first thing that speaks against the object itself; a bad record does not."""
    for slug, detail in decoded.skipped:
        if slug in _DAMAGE or slug.startswith("unsupported:"):
            return slug, detail
    return "", ""


def _patterns(texts: Iterable[str]) -> list[re.Pattern[str]]:
    patterns = []
    for text in texts:
        try:
            patterns.append(re.compile(text))
        except re.error as error:
            raise SourceError(f"{text!r} is no regular expression for keys: {error}") from None
    return patterns


def key_filter(options: ObjectOptions) -> Callable[[str], bool]:
    """Make the test of keys that are worth a download; raises SourceError for a bad pattern."""
    include, exclude = _patterns(options.include_keys), _patterns(options.exclude_keys)

    def wanted(key: str) -> bool:
        if any(pattern.search(key) for pattern in exclude):
            return False
        return any(pattern.search(key) for pattern in include) if include else files.is_candidate_key(key)

    return wanted
