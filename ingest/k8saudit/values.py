"""Lists in a decoded audit event: their elements, and the texts of them. Nothing here raises on an odd record."""

from typing import Any

from engine.event import Record
from engine.jsontext import text
from ingest.jsonfields import value_at

SUBJECTS = ("requestObject", "subjects")


def elements(value: Any, index: int | None = None) -> list[Any]:
    """Return the elements of a JSON array, or only the one of an index; nothing when there is no such array or one."""
    if not isinstance(value, list):
        return []
    return value if index is None else value[index : index + 1]


def texts(values: list[Any]) -> list[str] | None:
    """Return each value as a field shows it, nulls left out; None when nothing is left."""
    for value in values:
        if type(value) is not str:
            return [found for each in values if (found := text(each)) is not None] or None
    return values or None


def subjects(record: Record, kind: str) -> list[Any]:
    """Return the subjects of one kind of a requested role binding."""
    return [subject for subject in elements(value_at(record, *SUBJECTS)) if value_at(subject, "kind") == kind]
