"""
Diagnostics as text for people and as GitHub annotations.

Rule files are untrusted: characters that a terminal would obey never get through.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import replace

from engine.diagnostics import ERROR, Diagnostic, Span
from engine.sourcefile import SourceFile

WIDTH = 120
"""Terminal cells of a source line that are shown; longer lines are cut around the place."""
SHOWN = 1000
"""Findings that are shown as text; of more only the number is told."""
USERS = 8
"""Macros and rules that are told of one finding, as those that pull its text in."""
_CUT = "..."
_JOINERS = "\u200c\u200d"
_RESET, _BOLD, _RED, _YELLOW, _BLUE = "\033[0m", "\033[1m", "\033[31m", "\033[33m", "\033[34m"


def render_text(diagnostics: Iterable[Diagnostic], texts: Mapping[str, str], color: bool = False) -> str:
    """
    Return diagnostics for a terminal or a log: place, message, source line with carets, hint, users.

    Args:
        diagnostics: In any order; they are shown by file and place.
        texts: Texts of the files by name, in order of loading.
        color: Whether to colour it with ANSI escapes.
    """
    files = {name: SourceFile.of(name, text) for name, text in texts.items()}
    found = merged(in_order(diagnostics, texts))
    blocks = [_block(diagnostic, files, color) for diagnostic in found[:SHOWN]]
    return "\n\n".join([*blocks, *[f"... and {len(found) - SHOWN} more"] * (len(found) > SHOWN)])


def in_order(diagnostics: Iterable[Diagnostic], texts: Mapping[str, str]) -> list[Diagnostic]:
    """Sort diagnostics by file, in order of loading, and place."""
    rank = {name: number for number, name in enumerate(texts)}

    def place(diagnostic: Diagnostic) -> tuple[int, int, int]:
        span = diagnostic.span
        return rank.get(span.file, len(rank)), span.line, span.col

    return sorted(diagnostics, key=place)


def merged(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Make one of findings that say the same of one place, as of a macro that several rules use, with all users."""
    groups: dict[Diagnostic, list[Diagnostic]] = {}
    for diagnostic in found:
        groups.setdefault(replace(diagnostic, via=(), item=("", "")), []).append(diagnostic)
    return [
        replace(same[0], via=tuple(dict.fromkeys(user for one in same for user in one.via))) for same in groups.values()
    ]


def _block(diagnostic: Diagnostic, files: Mapping[str, SourceFile], color: bool) -> str:
    tone = _RED if diagnostic.severity == ERROR else _YELLOW

    def paint(text: str, code: str) -> str:
        return f"{code}{text}{_RESET}" if color else text

    span = diagnostic.span
    head = f"{diagnostic.severity}[{diagnostic.slug}]"
    code = f" ({diagnostic.code})" if diagnostic.code else ""
    lines = [f"{paint(_place(span), _BOLD)}: {paint(head, _BOLD + tone)} {printable(diagnostic.message)}{code}"]
    excerpt = source_excerpt(span, files.get(span.file), WIDTH)
    if excerpt is not None:
        number = f"{span.line} |"
        lines.append(f"  {paint(number, _BLUE)} {excerpt[0]}")
        lines.append(f"  {paint('|'.rjust(len(number)), _BLUE)} {excerpt[1]}{paint(excerpt[2], tone)}")
    lines += [f"  = hint: {printable(diagnostic.hint)}"] * bool(diagnostic.hint)
    lines += [f"  = used by {printable(who)} at {_place(at)}" for who, at in diagnostic.via[:USERS]]
    lines += [f"  = used by {len(diagnostic.via) - USERS} more"] * (len(diagnostic.via) > USERS)
    return "\n".join(lines)


def _place(span: Span) -> str:
    return f"{printable(span.file)}:{span.line}:{span.col}"


def source_excerpt(span: Span, file: SourceFile | None, width: int) -> tuple[str, str, str] | None:
    """
    Return the first line of a span for a fixed-width font, with what stands below it: blanks, then carets.

    A line of more than ``width`` cells is cut around the span. None if the file or the line is not there.
    """
    if file is None or not 1 <= span.line <= len(file.starts):
        return None
    begin = file.starts[span.line - 1]
    limit = file.starts[span.line] if span.line < len(file.starts) else len(file.text)
    # A cell is never less than a character but for combining ones, so this is enough of a line of any length.
    low, high = max(begin, begin + span.col - 1 - 2 * width), min(limit, begin + span.col - 1 + 2 * width)
    raw = file.text[low:high].rstrip("\r\n") if high == limit else file.text[low:high]
    start = min(begin + span.col - 1 - low, len(raw))
    stop = begin + span.end_col - 1 - low if span.end_line == span.line else len(raw)
    return _cut(raw, start, max(start + 1, stop), (low > begin, high < limit), width)


def _cut(raw: str, start: int, stop: int, more: tuple[bool, bool], width: int) -> tuple[str, str, str]:
    shown = [_visible(character) for character in raw]
    cells = [_cells(character) for character in shown]
    left, right = _window(cells, start, width, more)
    before = _CUT if left or more[0] else ""
    after = _CUT if right < len(raw) or more[1] else ""
    blanks = " " * (len(before) + sum(cells[left:start]))
    carets = "^" * max(1, sum(cells[start : min(stop, right)]))
    return f"{before}{''.join(shown[left:right])}{after}", blanks, carets


def _window(cells: list[int], start: int, width: int, more: tuple[bool, bool]) -> tuple[int, int]:
    """Choose the characters to show: all if they fit, else some before and the rest of the width after the start."""
    if sum(cells) <= width and not any(more):
        return 0, len(cells)
    room = width - 2 * len(_CUT)
    left, used = start, 0
    while left and used + cells[left - 1] <= room // 3:
        left -= 1
        used += cells[left]
    right = start
    while right < len(cells) and used + cells[right] <= room:
        used += cells[right]
        right += 1
    while left and used + cells[left - 1] <= room:
        left -= 1
        used += cells[left]
    return left, right


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS


def _visible(character: str) -> str:
    """Return one character to show for one of a source line."""
    if character == "\t":
        return " "
    return "\ufffd" if _is_control(character) else character


def _cells(character: str) -> int:
    """Count terminal cells; wide characters take two, combining ones none."""
    if character in _JOINERS or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def printable(text: str) -> str:
    """Return a text with its control characters written as escapes."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(character) if _is_control(character) else character for character in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def render_github(diagnostics: Iterable[Diagnostic], texts: Mapping[str, str]) -> str:
    """Return diagnostics as workflow commands, one a line, which GitHub shows beside the lines they are about."""
    return "\n".join(_annotation(diagnostic) for diagnostic in merged(in_order(diagnostics, texts)))


def _annotation(diagnostic: Diagnostic) -> str:
    span = diagnostic.span
    properties = {"file": span.file, "line": span.line, "endLine": span.end_line, "col": span.col}
    if span.end_line == span.line:
        properties["endColumn"] = max(span.col, span.end_col - 1)
    properties["title"] = diagnostic.slug
    listed = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    lines = [f"{diagnostic.message} ({diagnostic.code})"]
    lines += [f"hint: {diagnostic.hint}"] * bool(diagnostic.hint)
    lines += [f"used by {who} at {at.file}:{at.line}:{at.col}" for who, at in diagnostic.via[:USERS]]
    return f"::{diagnostic.severity} {listed}::{'%0A'.join(_data(line) for line in lines)}"


def _data(text: str) -> str:
    return printable(text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A"))


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
