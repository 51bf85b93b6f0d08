"""Priorities of rules and alerts."""

from enum import IntEnum


class Priority(IntEnum):
    """How bad it is; a smaller number is more severe (spec: rule-language 3.2)."""

    EMERGENCY = 0
    ALERT = 1
    CRITICAL = 2
    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFORMATIONAL = 6
    DEBUG = 7

    @property
    def label(self) -> str:
        """The spelling in alerts: ``Warning``."""
        return _LABELS[self]

    @classmethod
    def parse(cls, text: str) -> "Priority":
        """
        Read a priority in any case; ``info`` is short for informational.

        Raises:
            ValueError: No such priority.
        """
        name = text.strip().upper()
        try:
            return cls["INFORMATIONAL" if name == "INFO" else name]
        except KeyError:
            known = ", ".join(p.name.lower() for p in cls)
            raise ValueError(f"unknown priority {text!r}; one of {known}") from None


_LABELS = tuple(priority.name.capitalize() for priority in Priority)
