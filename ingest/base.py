"""What a source gives to the pipeline: batches of events, each with a way to settle it; all that ``lanner`` sees."""

from abc import abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from engine.event import Event, Receipt, Record
from engine.ruleset import RuleSet


async def _nothing() -> None:
    return None


async def _nothing_failed(reason: str) -> None:
    return None


class Sifted(Sequence[Event]):
    """
    Events of one source that are made when they are asked for, each time anew.

    Attributes:
        source: Event source of all of them.
        receipt: How they came in; None when nobody has said.
    """

    source: str
    receipt: Receipt | None = None

    @abstractmethod
    def candidates(self, admits: Callable[[str, Record], bool]) -> list[tuple[int, Event]]:
        """
        Return the events that some rule could match, each with its place among all, from 0.

        Args:
            admits: Tells for source and head of an event whether that is so; equal functions answer equally.
        """


@dataclass(slots=True)
class Batch:
    """
    Events that are settled together.

    Attributes:
        events: In the order of the input.
        ack: Call once all alerts of the batch are in durable custody.
        nack: Call with a reason when they could not be; the source delivers the events again if its transport can.
        independent: Whether the source goes on, and later batches may be settled first, while this one is not settled.
    """

    events: Sequence[Event]
    ack: Callable[[], Awaitable[None]] = _nothing
    nack: Callable[[str], Awaitable[None]] = _nothing_failed
    independent: bool = False


@dataclass(slots=True)
class Health:
    """
    Whether a source works.

    Attributes:
        ok: Whether it does.
        detail: One line that says why not.
        gauges: Measurements of now, such as ``queue_messages_waiting``; names end in their unit.
    """

    ok: bool = True
    detail: str = ""
    gauges: Mapping[str, float] = field(default_factory=dict)


class Source(Protocol):
    """
    A running input.

    Attributes:
        name: Instance name for logs and metrics, ``cloudtrail`` or ``cloudtrail/archive``.
        event_source: Event source of what it yields, ``aws_cloudtrail``.
        counters: Counts by reason: ``events``, ``records_skipped:<reason>``, ``objects:<result>`` ...
    """

    name: str
    event_source: str
    counters: Counter[str]

    async def start(self) -> None:
        """Open what the source listens on or reads from. Raises SourceError when it cannot work as configured."""

    def batches(self) -> AsyncIterator[Batch]:
        """Yield batches until the input ends or ``stop`` was called and everything begun is yielded."""

    async def stop(self, grace: float) -> None:
        """Take no more input; return when the input is closed, after ``grace`` seconds at most."""

    def health(self) -> Health:
        """Say whether the source works now."""


@runtime_checkable
class FollowsRules(Protocol):
    """A source that takes only what rules want."""

    async def follow(self, ruleset: RuleSet) -> None:
        """Take what these rules want: before ``start``, and whenever the rules change. Raises SourceError."""


class SourceError(Exception):
    """A source cannot start or go on; the text says what, where and what to do."""


@dataclass(slots=True)
class Content:
    """
    What one payload (file, object, request body) held.

    Attributes:
        events: The usable records as events, in order.
        skipped: One (reason, detail) for each record or part that was not usable. Reasons are short slugs
            (``not-json``, ``no-event-time``); details are for people and name the position.
    """

    events: Sequence[Event] = ()
    skipped: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Decoded(Content):
    """What one payload held, all of it decoded."""

    events: list[Event] = field(default_factory=list)
