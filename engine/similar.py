"""The known word that a mistyped one most likely means."""

import difflib
from collections.abc import Collection

_LONG_NAME = 120
_MANY_NAMES = 1000
MAX_HINTS = 100
"""Findings after which mistyped names are no longer compared with the known ones, which takes time."""


def near(word: str, known: Collection[str]) -> str:
    """Return "did you mean" with the most similar known word; "" if there is none, or too much to compare."""
    if len(word) > _LONG_NAME or len(known) > _MANY_NAMES:
        return ""
    found = difflib.get_close_matches(word, [other for other in known if other != word], n=1, cutoff=0.7)
    return f"did you mean '{found[0]}'?" if found else ""
