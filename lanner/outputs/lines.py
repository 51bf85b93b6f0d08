"""Alerts as lines: the forms that standard output and files share."""

from collections.abc import Callable
from dataclasses import dataclass

from engine.alert import Alert
from lanner.terminal import painted


@dataclass(frozen=True, slots=True)
class LineForm:
    """
    How an alert is written.

    Attributes:
        json: Falco's JSON instead of text.
        iso_8601: Times in text as ISO 8601 in UTC instead of the local time of day.
        colour: Whether text is coloured by priority; JSON never is.
        uid: Whether JSON has the alert's uid, which Falco's has not.
        without: Keys that JSON lacks.
        message: Whether JSON has the message alone.
    """

    json: bool = False
    iso_8601: bool = False
    colour: bool = False
    uid: bool = False
    without: frozenset[str] = frozenset()
    message: bool = False


def line_writer(form: LineForm) -> Callable[[Alert], str]:
    """Return the function that makes a line, with its end, of an alert."""
    if form.json:
        return lambda alert: f"{alert.json(form.iso_8601, form.uid, form.without, form.message)}\n"
    if form.colour:
        return lambda alert: f"{painted(alert.text(form.iso_8601), alert.priority)}\n"
    return lambda alert: f"{alert.text(form.iso_8601)}\n"
