"""
One line of the format of 2016, its condition rewritten into today's language (spec: rule-language 6).

Only what means something else today is rewritten: values of ``in`` and of comparisons, and macro names that begin with
an underscore. Every character keeps its place in the file.
"""

import re
from dataclasses import dataclass, field

from engine.diagnostics import SourceText
from engine.sourcefile import SourceFile, SourceMap, trimmed

_BLANKS = re.compile(r"[ \t]*")
_MACRO = re.compile(r"[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*:")
_WORD = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\[[^\]\s]*\])?", re.ASCII)
_OPERATOR = re.compile(r"==|!=|<=|>=|=|<|>|(?:icontains|contains|in|exists)(?!\w)", re.ASCII)
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][+-]?[0-9]+)?")
_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_BARE = re.compile(r"[^\s(),=]+")
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", "'": "'", '"': '"'}
_TAIL = re.compile(r"\|(?![A-Za-z0-9_])[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*(.*)")
_KEYWORDS = frozenset(("and", "or", "not"))


class BadLine(Exception):
    """The line is not of the format; carries the message, a hint, and the offsets to point at."""

    def __init__(self, message: str, start: int, end: int, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.start, self.end, self.hint = message, start, end, hint


@dataclass(frozen=True, slots=True)
class Line:
    """
    A line that holds a macro or a rule.

    Attributes:
        macro: Name of the macro, "" for a rule; ``name_start`` and ``name_end`` are its offsets in the file.
        condition: In today's language.
        uses: Names of the macros in it, each with its place.
        priority: Offsets of the priority in the file, None if there is none.
        output: Offsets of the output.
    """

    macro: str
    name_start: int
    name_end: int
    condition: SourceText
    uses: tuple[tuple[str, int, int], ...]
    priority: tuple[int, int] | None
    output: tuple[int, int]


def read_line(file: SourceFile, start: int, end: int) -> Line:
    """
    Read the line from offset ``start`` to before ``end``, which is no comment and not empty.

    Raises:
        BadLine: It is neither macro nor rule.
    """
    name = _MACRO.match(file.text, start, end)
    if name is None:
        return _rule(file, start, end)
    if name.end() < end and (file.text[name.end()].isalnum() or file.text[name.end()] == "_"):
        raise BadLine("a blank must follow the colon of a macro", name.end() - 1, name.end() + 1)
    rewriter = _Rewriter(file, name.end(), end)
    rewriter.condition()
    if rewriter.at < end:
        raise BadLine("a macro has no priority and no output", rewriter.at, rewriter.at + 1)
    condition = rewriter.result(name.start(1), name.end(1))
    return Line(macro_name(name[1]), name.start(1), name.end(1), condition, tuple(rewriter.uses), None, (end, end))


def _rule(file: SourceFile, start: int, end: int) -> Line:
    rewriter = _Rewriter(file, start, end)
    rewriter.condition()
    condition = rewriter.result(start, end)
    if rewriter.at == end:
        return Line("", start, end, condition, tuple(rewriter.uses), None, (end, end))
    tail = _TAIL.match(file.text, rewriter.at, end)
    if tail is None:
        hint = "write a blank, a priority and the output after it, like '| WARNING Shell started'"
        raise BadLine("a priority is wanted after '|'", rewriter.at, rewriter.at + 1, hint)
    return Line("", start, end, condition, tuple(rewriter.uses), tail.span(1), tail.span(2))


def macro_name(name: str) -> str:
    """Return the name by which today's language can refer to a macro."""
    return f"legacy{name}" if name.startswith("_") else name


@dataclass(slots=True)
class _Rewriter:
    """Goes through a condition from left to right and writes it anew."""

    file: SourceFile
    at: int
    end: int
    pieces: list[str] = field(default_factory=list)
    uses: list[tuple[str, int, int]] = field(default_factory=list)
    places: SourceMap = field(init=False)

    def __post_init__(self) -> None:
        self.places = SourceMap(self.file)

    def result(self, start: int, end: int) -> SourceText:
        """Return what was written; it must not be empty."""
        text = "".join(self.pieces)
        if not text.strip():
            raise BadLine("a condition is missing", start, end)
        return trimmed(self.places.source_text(text))

    def condition(self) -> None:
        """Rewrite up to the end of the line or a ``|`` that is no part of a value."""
        self._blanks()
        while self.at < self.end and self.file.text[self.at] != "|":
            word = _WORD.match(self.file.text, self.at, self.end)
            if word is None and self.file.text[self.at] not in "()":
                found = self.file.text[self.at]
                hint = "a comment stands on a line of its own" if found == "#" else ""
                message = f"expected a field, a macro or a parenthesis, found '{found}'"
                raise BadLine(message, self.at, self.at + 1, hint)
            if word is None:
                self._copy(self.at + 1)
            elif "." in word[0]:
                self._comparison(word)
            else:
                self._name(word)
            self._blanks()

    def _name(self, word: re.Match[str]) -> None:
        if word[0] in _KEYWORDS:
            self._copy(word.end())
            return
        name = macro_name(word[0])
        self.uses.append((name, word.start(), word.end()))
        self._write(name[: len(name) - len(word[0])], self.at)
        self._copy(word.end())

    def _comparison(self, name: re.Match[str]) -> None:
        self._copy(name.end())
        self._blanks()
        operator = _OPERATOR.match(self.file.text, self.at, self.end)
        if operator is None:
            hint = "it is one of = == != < <= > >= contains icontains in exists"
            raise BadLine(f"expected an operator after '{name[0]}'", name.start(), name.end(), hint)
        self._copy(operator.end())
        if operator[0] == "exists":
            return
        if operator[0][-1].isalpha() and not self._blanks():
            self._write(" ", operator.end() - 1)
        self._blanks()
        if operator[0] == "in":
            self._list(operator)
        else:
            self._value(operator[0])

    def _list(self, operator: re.Match[str]) -> None:
        opening = self.at
        if self._here() != "(":
            raise BadLine("expected '(' after 'in'", operator.start(), operator.end())
        self._copy(self.at + 1)
        self._blanks()
        comma: int | None = opening
        empty = True
        while (here := self._here()) not in (")", ""):
            if here == ",":
                comma, self.at = self.at, self.at + 1
            elif comma is None:
                raise BadLine("expected ',' or ')' in this list", self.at, self.at + 1)
            else:
                self._write("" if empty else ",", comma)
                self._value("in")
                comma, empty = None, False
            self._blanks()
        if not self._here():
            raise BadLine("this list is not closed", opening, self.end)
        self._copy(self.at + 1)

    def _here(self) -> str:
        return self.file.text[self.at : min(self.at + 1, self.end)]

    def _value(self, operator: str) -> None:
        text = self.file.text
        number, quoted = _NUMBER.match(text, self.at, self.end), _QUOTED.match(text, self.at, self.end)
        bare = _BARE.match(text, self.at, self.end)
        if number is not None:
            self._number(number)
        elif quoted is not None:
            self._quoted(quoted)
        elif bare is None or bare[0] == "|":
            raise BadLine(f"expected a value after '{operator}'", self.at, self.at + 1)
        elif operator[0] in "<>":
            self._copy(bare.end())
        else:
            self._quote([(c, self.at + i) for i, c in enumerate(bare[0])], bare.end())

    def _number(self, number: re.Match[str]) -> None:
        rest = _BARE.match(self.file.text, number.end(), self.end)
        if rest is not None and not rest[0].startswith("|"):
            whole = self.file.text[number.start() : rest.end()]
            message = f"'{whole}' begins like a number but is none"
            raise BadLine(message, number.start(), rest.end(), f"put it in quotes: '{whole}'")
        if number[0][:2] in ("0x", "0X"):
            self._write(str(int(number[0], 16)), self.at)
            self.at = number.end()
        else:
            self._copy(number.end())

    def _quoted(self, quoted: re.Match[str]) -> None:
        characters: list[tuple[str, int]] = []
        at = quoted.start() + 1
        while at < quoted.end() - 1:
            escape = _ESCAPE.match(self.file.text, at)
            if escape is not None and escape[1] not in _ESCAPES:
                raise BadLine(f"the escape '{escape[0]}' does not exist", at, at + 2, r"write \\ for a backslash")
            characters.append((_ESCAPES[escape[1]] if escape else self.file.text[at], at))
            at += 2 if escape else 1
        self._quote(characters, quoted.end())

    def _quote(self, characters: list[tuple[str, int]], end: int) -> None:
        """Write a string in double quotes, with today's escapes."""
        self._write('"', self.at)
        for character, at in characters:
            if character in '"\\':
                self._write(f"\\{character}", at)
            else:
                self._write(character if character >= " " else f"\\x{ord(character):02x}", at)
        self._write('"', end - 1)
        self.at = end

    def _blanks(self) -> bool:
        found = _BLANKS.match(self.file.text, self.at, self.end)
        assert found is not None
        self._copy(found.end())
        return bool(found[0])

    def _copy(self, end: int) -> None:
        if end > self.at:
            self._write(self.file.text[self.at : end], self.at)
            self.at = end

    def _write(self, text: str, index: int) -> None:
        """Write text whose first character stands at an offset of the file."""
        if text:
            self.pieces.append(text)
            self.places.add(len(text), index)
