"""What was seen and found, told to people at the end."""

from collections.abc import Iterator

from engine.render import printable
from lanner.detect import Tally
from lanner.scan import Outcome
from lanner.terminal import painted


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 event``, ``2,093 events``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def tally_lines(tally: Tally, colour: bool = False) -> Iterator[str]:
    """Yield events by source, alerts by priority and rule, and failures; priorities coloured if asked for."""
    yield f"events: {tally.events.total():,}"
    for source, number in sorted(tally.events.items()):
        yield f"  {number:>7,}  {source}"
    yield f"alerts: {tally.alerts.total():,}"
    for (priority, rule), number in sorted(tally.alerts.items(), key=lambda item: (item[0][0], -item[1], item[0][1])):
        label = f"{priority.label:<13}"
        yield f"  {number:>7,}  {painted(label, priority) if colour else label}  {printable(rule)}"
    for why, number in sorted(tally.repeats.items()):
        yield f"not told again: {counted(number, 'alert')}: {why}"
    for silence, number in sorted(tally.silenced.items()):
        yield f"hidden: {counted(number, 'alert')}: silence {silence}"
    for rule, number in tally.failures.items():
        yield f"rule {rule!r} failed on {counted(number, 'event')}: please report this as a defect of Lanner"


def scan_lines(tally: Tally, outcome: Outcome, colour: bool = False) -> Iterator[str]:
    """Yield the statistics of a scan; priorities coloured if asked for."""
    total = tally.events.total()
    speed = f", {total / outcome.seconds:,.0f} events/s" if outcome.seconds else ""
    yield f"scanned {counted(outcome.files, 'file')} in {outcome.seconds:.1f} s{speed}"
    yield from tally_lines(tally, colour)
    for reason, number in sorted(outcome.skipped.items()):
        yield f"skipped: {counted(number, 'record')}: {reason}"
        yield from (f"  {printable(detail)}" for detail in outcome.details[reason])
        if number > len(outcome.details[reason]) > 0:
            yield f"  and {number - len(outcome.details[reason]):,} more"
    yield from (f"unreadable: {printable(what)}" for what in outcome.unreadable)
