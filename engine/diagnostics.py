"""
What can be wrong with rules, where, and how it is told.

A ``Diagnostic`` is data; the renderers turn a list of them into text, Falco's JSON, SARIF or GitHub annotations.
Codes are Falco's (spec: rule-language 3.9), slugs are ours and stable.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Span:
    """Part of a rule file; lines and columns count from 1, ``end_col`` is the first one outside."""

    file: str
    line: int
    col: int
    end_line: int
    end_col: int


@dataclass(frozen=True, slots=True)
class SourceText:
    """
    Decoded text that remembers where each of its characters stands in its file.

    Attributes:
        text: The decoded text (a condition after YAML decoding, maybe joined from several items).
        starts: Ascending offsets into ``text``; from ``starts[i]`` on, characters stand side by side at ``places[i]``.
        places: (file, line, column) of the character at ``starts[i]``; from 1.
    """

    text: str
    starts: tuple[int, ...] = (0,)
    places: tuple[tuple[str, int, int], ...] = (("<text>", 1, 1),)

    def place(self, offset: int) -> tuple[str, int, int]:
        """Return file, line and column of the character at an offset."""
        at = max(0, bisect_right(self.starts, offset) - 1)
        file, line, col = self.places[at]
        return file, line, col + offset - self.starts[at]

    def span(self, start: int, end: int) -> Span:
        """Return where a piece of the text stands; never empty, so that a caret can be drawn."""
        file, line, col = self.place(start)
        _, end_line, end_col = self.place(max(start, end - 1))
        return Span(file, line, col, end_line, end_col + 1)

    def joined(self, other: "SourceText") -> "SourceText":
        """Return this text, one blank and another text, as ``append`` means it."""
        shift = len(self.text) + 1
        return SourceText(
            f"{self.text} {other.text}",
            self.starts + tuple(shift + start for start in other.starts),
            self.places + other.places,
        )


ERROR = "error"
WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """
    One finding about a rule file.

    Attributes:
        slug: For people and tests, ``unknown-field``.
        code: For machines, Falco's ``LOAD_ERR_COMPILE_CONDITION``.
        message: One sentence without final stop; says what is wrong in this place.
        span: Where.
        severity: ``error`` or ``warning``.
        hint: What to do, or the nearest name; "" for none.
        via: Who pulled the text in, nearest first: (description, place).
        item: (kind, name) of the enclosing item, as ``("rule", "Root used")``; both "" when outside of any.
    """

    slug: str
    code: str
    message: str
    span: Span
    severity: str = ERROR
    hint: str = ""
    via: tuple[tuple[str, Span], ...] = ()
    item: tuple[str, str] = ("", "")


MAX_MESSAGE = 500


def _cut(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}..."


@dataclass(slots=True)
class Report:
    """Findings as they are collected, in order."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    _seen: set[Diagnostic] = field(default_factory=set)

    def add(self, diagnostic: Diagnostic) -> None:
        """Keep a finding unless the very same was made before; what quotes a huge text is cut."""
        if max(len(diagnostic.message), len(diagnostic.hint)) > MAX_MESSAGE:
            diagnostic = replace(diagnostic, message=_cut(diagnostic.message), hint=_cut(diagnostic.hint))
        if diagnostic not in self._seen:
            self._seen.add(diagnostic)
            self.diagnostics.append(diagnostic)

    @property
    def errors(self) -> Sequence[Diagnostic]:
        """The findings that forbid the rules."""
        return [d for d in self.diagnostics if d.severity == ERROR]

    @property
    def warnings(self) -> Sequence[Diagnostic]:
        """The findings that do not."""
        return [d for d in self.diagnostics if d.severity == WARNING]
