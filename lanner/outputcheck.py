"""Outputs tried out and explained: a test alert to each, and which of them would get an alert, and why."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from engine.alert import Alert
from engine.priority import Priority
from lanner.config import Config
from lanner.errors import OutputError
from lanner.internal import internal_alert
from lanner.outputs.base import Output
from lanner.outputset import opened
from lanner.routes import wanted

_TEST = "test"


@dataclass(frozen=True, slots=True)
class Answer:
    """
    What one output did with a test alert.

    Attributes:
        output: Its name.
        wrong: Why it did not take it; "" when it did.
    """

    output: str
    wrong: str


@dataclass(frozen=True, slots=True)
class Choice:
    """
    Whether an output gets an alert.

    Attributes:
        output: Its name.
        gets: Whether it does.
        why: The reasons, one sentence each.
    """

    output: str
    gets: bool
    why: Sequence[str]


async def try_out(config: Config, names: Sequence[str], seconds: float) -> AsyncIterator[Answer]:
    """
    Send one test alert to each output, or to those named, whatever routes and priorities say.

    Args:
        config: The configuration.
        names: Of outputs; none for all.
        seconds: That each has.
    """
    for name, _, output, _ in opened(config):
        if name in names or not names:
            yield Answer(name, await _wrong(output, seconds))


async def _wrong(output: Output, seconds: float) -> str:
    message = "Somebody tries out the outputs; there is nothing to do"
    try:
        async with asyncio.timeout(seconds):
            await output.start()
            try:
                await output.deliver([internal_alert(_TEST, Priority.DEBUG, message)])
            finally:
                await output.close()
    except TimeoutError:
        return f"no answer within {seconds:g} s"
    except OutputError as error:
        return str(error)
    except Exception as error:  # of a library
        return f"{type(error).__name__}: {error}"
    return ""


def explain(config: Config, alert: Alert) -> list[Choice]:
    """Return for each output whether it gets an alert, and why."""
    found = []
    for name, least, _, throttle in opened(config):
        why = [*_by_routes(config, name, alert), _by_priority(least, alert)]
        if throttle:
            why.append("it has a throttle, which may hold it back when it comes again")
        found.append(Choice(name, wanted(name, least, config.routes)(alert), why))
    return found


def _by_routes(config: Config, name: str, alert: Alert) -> list[str]:
    routes = [(at, route) for at, route in enumerate(config.routes) if name in route.to]
    if not routes:
        return ["no route names it, so it gets every alert"]
    return [
        f"routes[{at}] {'holds' if route.match.holds(alert) else 'does not hold'}: {route.match.text}"
        for at, route in routes
    ]


def _by_priority(least: Priority, alert: Alert) -> str:
    enough = "at least" if alert.priority <= least else "less than"
    return f"{alert.priority.name.lower()} is {enough} {least.name.lower()}, its minimum_priority"
