"""What a look at a set-up found: one line for each thing that was checked, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

from ingest.cloudtrail import aws


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    """It works now, and may not later."""
    FAILED = "failed"
    """Events do not arrive, or are lost."""
    SKIPPED = "skipped"
    """It could not be looked at, which the service does not need to."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One check.

    Attributes:
        check: What was looked at, one word.
        state: How it came out.
        text: What was found.
        advice: What to do; "" when nothing.
    """

    check: str
    state: State
    text: str
    advice: str = ""


def ok(check: str, text: str) -> Finding:
    """Return that something is as it should be."""
    return Finding(check, State.OK, text)


def warning(check: str, text: str, advice: str) -> Finding:
    """Return that something works and may not later."""
    return Finding(check, State.WARNING, text, advice)


def failed(check: str, text: str, advice: str) -> Finding:
    """Return that something does not work."""
    return Finding(check, State.FAILED, text, advice)


def skipped(check: str, call: str, error: BaseException) -> Finding:
    """Return that a call which only the doctor makes is not allowed, or does not work."""
    why = "is not allowed" if aws.fault_of(error) is aws.Fault.ACCESS else f"failed: {aws.describe(error)}"
    return Finding(check, State.SKIPPED, f"{call} {why}; the service does not need it")
