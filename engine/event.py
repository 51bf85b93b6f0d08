"""
The one event model: what every source makes and the engine reads.

An event is a decoded record with its source, time and identity; field values are read from it on demand by the
getters of the source's fields, never copied into it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Record = dict[str, Any]
"""A decoded JSON object (or, for host events, the parameters of one call)."""

LATE_AFTER_NS = 24 * 3600 * 1_000_000_000
"""Nanoseconds from an event until it was received beyond which it is late, unless the source is told otherwise."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """
    How events came in; all events of a payload share one.

    Attributes:
        time_ns: When they were received, nanoseconds since the Unix epoch.
        replay: Whether they were read back from an archive, so that their time says nothing about their way.
        late_after_ns: Nanoseconds from an event until then beyond which it is late.
    """

    time_ns: int
    replay: bool = False
    late_after_ns: int = LATE_AFTER_NS


class Event:
    """
    One thing that happened.

    Attributes:
        source: Event source as rules spell it, such as ``aws_cloudtrail``.
        time_ns: When it happened, nanoseconds since the Unix epoch.
        record: The decoded record. Read only.
        head: A record of at least what the source's discriminators read; another one than ``record`` only where
            decoding the whole can wait until a rule asks for it.
        early: A record of at least the keys that ``FieldTable.early`` names; another one than ``record`` only where
            decoding the rest can wait until a rule asks for it, or matches.
        num: Sequence number in this run, from 1; given by the pipeline.
        origin: Where the record came from, for people (file, object key, peer); "" when unknown.
        receipt: How it came in; None when nobody has said.
    """

    __slots__ = ("_uid", "early", "head", "num", "origin", "receipt", "record", "source", "time_ns")

    def __init__(
        self,
        source: str,
        time_ns: int,
        record: Record,
        uid: str | Callable[[Record], str],
        origin: str = "",
    ) -> None:
        self.source = source
        self.time_ns = time_ns
        self.record = record
        self.head = self.early = record
        self.origin = origin
        self.num = 1
        self.receipt: Receipt | None = None
        self._uid = uid

    @property
    def uid(self) -> str:
        """The identity for deduplication; computed on first use when the source gave a function."""
        if not isinstance(self._uid, str):
            self._uid = self._uid(self.record)
        return self._uid

    def __repr__(self) -> str:
        return f"Event({self.source}, {self.time_ns}, uid={self.uid!r})"
