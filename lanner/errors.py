"""What can go wrong for the operator, and the exit status that tells it to scripts."""

from enum import IntEnum

from engine.diagnostics import Report
from engine.render import merged


class Exit(IntEnum):
    """Exit status of the command; the meaning is the same for every verb."""

    OK = 0
    FOUND = 1
    USAGE = 2
    RULES = 3
    SOURCE = 4
    OUTPUT = 5


EXIT_MEANING: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.FOUND: "done, and what was asked to fail on was found",
    Exit.USAGE: "the command line or the configuration is wrong",
    Exit.RULES: "a rule file is wrong",
    Exit.SOURCE: "a source cannot start or ended with an error",
    Exit.OUTPUT: "an output or the outbox cannot be opened",
}


class UserError(Exception):
    """
    Something the operator can put right.

    The text says what is wrong, where, and what to do; it is shown without a traceback.
    """

    status = Exit.USAGE


class ConfigError(UserError):
    """The configuration is wrong; one line per finding, ``file:line: key: what to do``."""


class OutputError(UserError):
    """An output cannot be opened, or did not take alerts."""

    status = Exit.OUTPUT


class RulesError(UserError):
    """
    Rules do not load.

    Attributes:
        report: The findings.
        texts: Text of each rule file by name, for the carets.
    """

    status = Exit.RULES

    def __init__(self, report: Report, texts: dict[str, str]) -> None:
        number = len(merged(report.errors))
        super().__init__(f"{number} {'error' if number == 1 else 'errors'} in the rules")
        self.report = report
        self.texts = texts
