"""
The text of a rule file by line and column, and texts that were cut out of it.

Lines end where editors end them, at LF, CR LF and CR; lines and columns count from 1, columns in characters. A byte
order mark is no part of the text.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field

from engine.diagnostics import Diagnostic, SourceText, Span

_LINE_END = re.compile(r"\r\n|\n|\r")
# The characters that YAML can be printed with; no text needs the others, and terminals obey some of them.
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_SURROGATES = range(0xDC80, 0xDD00)


@dataclass(frozen=True, slots=True, eq=False)
class SourceFile:
    """
    A rule file.

    Attributes:
        name: As diagnostics show it.
        text: All of it, without byte order mark.
        starts: Offset of the first character of each line.
    """

    name: str
    text: str
    starts: list[int] = field(repr=False)

    @classmethod
    def of(cls, name: str, text: str) -> "SourceFile":
        """Cut a text into lines."""
        text = text.removeprefix("\ufeff")
        return cls(name, text, [0, *(end.end() for end in _LINE_END.finditer(text))])

    def place(self, index: int) -> tuple[int, int]:
        """Return line and column of the character at an offset."""
        line = bisect_right(self.starts, index)
        return line, index - self.starts[line - 1] + 1

    def span(self, start: int, end: int) -> Span:
        """Return where the characters from ``start`` to before ``end`` stand; at least one."""
        line, col = self.place(start)
        end_line, end_col = self.place(max(start, end - 1))
        return Span(self.name, line, col, end_line, end_col + 1)

    def line(self, number: int) -> str | None:
        """Return a line without its end, None if there is no such line."""
        if not 1 <= number <= len(self.starts):
            return None
        end = self.starts[number] if number < len(self.starts) else len(self.text)
        return self.text[self.starts[number - 1] : end].rstrip("\r\n")

    def piece(self, start: int, end: int) -> SourceText:
        """Return characters of one line as a text of its own."""
        line, col = self.place(start)
        return SourceText(self.text[start:end], (0,), ((self.name, line, col),))


def bad_character(file: SourceFile) -> Diagnostic | None:
    """Tell of the first character that must not stand in a rule file; a lone surrogate is a byte that is no UTF-8."""
    found = _UNPRINTABLE.search(file.text)
    if found is None:
        return None
    code = ord(found[0])
    slug, message = "control-character", f"the character U+{code:04X} must not stand in a rule file"
    hint = f"write it as an escape in double quotes: \\x{code:02x}" if code < 0x80 else "take it out"
    if code in _SURROGATES:
        slug, message, hint = "not-utf-8", f"the byte 0x{code - 0xDC00:02x} is not UTF-8 text", "save the file as UTF-8"
    return Diagnostic(slug, "LOAD_ERR_YAML_PARSE", message, file.span(found.start(), found.end()), hint=hint)


@dataclass(slots=True)
class SourceMap:
    """Collects, from left to right, where the characters of a text stand in a file."""

    file: SourceFile
    length: int = 0
    starts: list[int] = field(default_factory=list)
    places: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, length: int, index: int) -> None:
        """Let the next ``length`` characters stand side by side from offset ``index`` of the file on."""
        line, col = self.file.place(index)
        if not self._goes_on(line, col):
            self.starts.append(self.length)
            self.places.append((self.file.name, line, col))
        self.length += length

    def _goes_on(self, line: int, col: int) -> bool:
        if not self.starts:
            return False
        _, last_line, last_col = self.places[-1]
        return line == last_line and col - last_col == self.length - self.starts[-1]

    def source_text(self, text: str) -> SourceText:
        """Return a text with the places of its characters."""
        return SourceText(text, tuple(self.starts), tuple(self.places))


def trimmed(source: SourceText) -> SourceText:
    """Return a text without blanks at its ends."""
    left = len(source.text) - len(source.text.lstrip())
    text = source.text.strip()
    if not left:
        return source if text == source.text else SourceText(text, source.starts, source.places)
    first = max(0, bisect_right(source.starts, left) - 1)
    starts = (0, *(start - left for start in source.starts[first + 1 :]))
    return SourceText(text, starts, (source.place(left), *source.places[first + 1 :]))
