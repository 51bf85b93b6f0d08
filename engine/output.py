"""
Output templates: ``%field`` text of a rule, checked when rules are loaded, filled when one matches.

Source: spec rule-language 5.1 and 5.3. A literal percent sign is ``%%``.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from engine.diagnostics import WARNING, Diagnostic, Report, SourceText
from engine.event import Event
from engine.fields import Type
from engine.generate import value_getter, values_getter
from engine.operands import Operands, Rejected
from engine.parser import parse_left
from engine.syntax import ParseFailure
from engine.tree import At, FieldRef, Transform
from engine.typed import FieldValue, TransformValue, operands
from engine.words import QUOTED_OR_PAREN

CODE = "LOAD_ERR_COMPILE_OUTPUT"
ABSENT = "<NA>"


@dataclass(frozen=True, eq=False)
class Token:
    """
    One ``%`` token.

    Attributes:
        key: Its text without percent sign and width, the key in ``output_fields``.
        width: Number of characters to pad or cut to; 0 for none.
        value: What it names.
        get: ``get(event)``: the value or None.
        plain: Whether a text that ``get`` answers is shown and told as it is.
    """

    key: str
    width: int
    value: FieldValue | TransformValue
    get: Callable[[Event], Any]

    @cached_property
    def plain(self) -> bool:
        """As in the list of attributes; found out once."""
        value = self.value
        if self.width or not isinstance(value, FieldValue) or value.type is not Type.STRING or value.is_list:
            return False
        row = value.field
        return not (row.text or row.filter_only or row.display is not None) and _key(value) == self.key


@dataclass(frozen=True, eq=False)
class Template:
    """An output format: literal text and tokens in order; ``text`` is as written."""

    text: str
    parts: tuple[str | Token, ...]

    @cached_property
    def tokens(self) -> list[Token]:
        """The tokens in order."""
        return [part for part in self.parts if isinstance(part, Token)]

    @cached_property
    def fill(self) -> Callable[[Event], tuple[str, dict[str, Any]]]:
        """``fill(event)``: what ``render`` and ``fields`` return, each field read once; made on first use."""
        return _filler(self)

    def render(self, event: Event) -> str:
        """Return the text for an event; a missing value prints ``<NA>``."""
        return "".join([part if isinstance(part, str) else _shown(part, part.get(event)) for part in self.parts])

    def fields(self, event: Event) -> dict[str, Any]:
        """Return the typed values of the tokens; for a transformed one also those of the fields inside."""
        return self.fill(event)[1]


def _filler(template: Template) -> Callable[[Event], tuple[str, dict[str, Any]]]:
    tokens = template.tokens
    inner = [value for token in tokens for value in operands(token.value) if value is not token.value]
    read = values_getter([*(token.value for token in tokens), *inner])
    keys = [token.key for token in tokens]
    special = [(at, token) for at, token in enumerate(tokens) if not token.plain]
    frame = "".join(part.replace("%", "%%") if isinstance(part, str) else "%s" for part in template.parts)

    def fill(event: Event) -> tuple[str, dict[str, Any]]:
        values = read(event)
        found = dict(zip(keys, values, strict=False))
        shown = [ABSENT if value is None else value for value in values[: len(keys)]]
        for at, token in special:
            shown[at] = _shown(token, values[at])
            found[token.key] = typed_value(token.value, values[at], event)
            if isinstance(token.value, FieldValue):
                found[_key(token.value)] = found[token.key]
        for at, operand in enumerate(inner, len(keys)):
            found[_key(operand)] = typed_value(operand, values[at], event)
        return frame % tuple(shown), found

    return fill


def _key(value: FieldValue) -> str:
    return value.field.name if value.arg is None else f"{value.field.name}[{value.arg}]"


def _shown(token: Token, value: Any) -> str:
    text = shown_value(token.value, value)
    return f"{text:<{token.width}}"[: token.width] if token.width else text


def shown_value(operand: FieldValue | TransformValue, value: Any) -> str:
    """Render a value as output text."""
    if value is None or (isinstance(operand, FieldValue) and operand.field.filter_only):
        return ABSENT
    if isinstance(operand, FieldValue) and operand.field.display is not None:
        return operand.field.display(value)
    style = operand.field.text if isinstance(operand, FieldValue) else ""
    if isinstance(value, list | tuple):
        return f"({','.join([_scalar_text(item, operand.type, style) for item in value])})"
    return _scalar_text(value, operand.type, style)


def _scalar_text(value: Any, kind: Type, style: str) -> str:
    match kind:
        case Type.BOOL:
            return "true" if value else "false"
        case Type.DOUBLE:
            return f"{value:.1f}"
        case Type.IPADDR | Type.IPNET:
            return str(ipaddress.ip_address(value))
        case Type.BYTES:
            return "".join(chr(b) if 32 <= b < 127 else "." for b in value)
        case Type.STRING:
            return str(value)
        case _:
            return f"{value:X}" if style == "hex" else f"{value:09d}" if style == "pad9" else str(value)


def typed_value(operand: FieldValue | TransformValue, value: Any, event: Event) -> Any:
    """Return a value as JSON alerts hold it: numbers, booleans and lists typed, times in ns, absent as None."""
    if isinstance(operand, FieldValue):
        if operand.field.text == "time":
            return event.time_ns
        if operand.field.filter_only:
            return None
        if operand.field.text or operand.field.display is not None:
            return None if value is None else shown_value(operand, value)
    if isinstance(value, list | tuple):
        return [_typed_scalar(item, operand.type) for item in value]
    return _typed_scalar(value, operand.type)


def _typed_scalar(value: Any, kind: Type) -> Any:
    if value is None or kind not in (Type.IPADDR, Type.IPNET, Type.BYTES):
        return value
    return _scalar_text(value, kind, "")


_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*(?:\.[a-zA-Z][a-zA-Z0-9_]*)+")
_ARGUMENT = re.compile(r"""\[(?:"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*'|[^\]\["'\s]+)\]""", re.DOTALL)
_CALL = re.compile(r"[a-z0-9]+\(")
_WIDTH = re.compile(r"[0-9]*")
MAX_WIDTH = 4096
"""Characters that all widths of an output may ask for together."""


def parse_template(text: SourceText, checker: Operands) -> Template:
    """
    Read an output format; what is wrong goes to the checker's report.

    Raises:
        Rejected: It is wrong.
    """
    reader = _Reader(text, checker)
    if not text.text:
        raise reader.reject("the output is empty", 0, 1, "say what happened, with fields as in %evt.time")
    return Template(text.text, tuple(reader.parts()))


class _Hopeless(Rejected):
    """What is wrong concerns all of the rest, so that only it is told."""


@dataclass(slots=True)
class _Reader:
    text: SourceText
    checker: Operands
    width: int = 0

    def reject(self, message: str, start: int, end: int, hint: str = "", slug: str = "bad-output") -> Rejected:
        span = At(self.text, start, end).span
        self.checker.report.add(Diagnostic(slug, CODE, message, span, hint=hint, item=self.checker.item))
        return Rejected()

    def parts(self) -> list[str | Token]:
        found: list[str | Token] = []
        failed = False
        text, at = self.text.text, 0
        while at < len(text):
            start = text.find("%", at)
            start = len(text) if start < 0 else start
            found += [text[at:start]] if start > at else []
            if start == len(text):
                break
            if text.startswith("%%", start):
                found.append("%")
                at = start + 2
                continue
            try:
                token, at = self._token(start)
                found.append(token)
            except _Hopeless:
                raise Rejected from None
            except Rejected:
                failed, at = True, start + 1
        if failed:
            raise Rejected
        return found

    def _token(self, percent: int) -> tuple[Token, int]:
        width = _WIDTH.match(self.text.text, percent + 1)
        assert width is not None
        start = width.end()
        wide = int(width[0].lstrip("0")[:9] or 0)
        self.width += wide
        if self.width > MAX_WIDTH:
            self.reject(f"widths are {MAX_WIDTH} at most, all together", percent, start)
            raise _Hopeless
        call = _CALL.match(self.text.text, start)
        value, end = self._call(start) if call else self._field(start, percent)
        return Token(self.text.text[start:end], wide, value, value_getter(value)), end

    def _call(self, start: int) -> tuple[FieldValue | TransformValue, int]:
        depth = 0
        for found in QUOTED_OR_PAREN.finditer(self.text.text, start):
            depth += {"(": 1, ")": -1}.get(found[0], 0)
            if depth == 0 and found[0] == ")":
                selector = _ARGUMENT.match(self.text.text, found.end())
                end = selector.end() if selector else found.end()
                return self._checked(start, end), end
        self.reject("the parenthesis of a transformer is not closed", start, start + 1, "close it with ')'")
        raise _Hopeless

    def _field(self, start: int, percent: int) -> tuple[FieldValue | TransformValue, int]:
        """Read the longest text from here on that is a field of the source; what follows it is text."""
        name = _NAME.match(self.text.text, start)
        if name is None:
            braces = self.text.text[start : start + 1] == "{"
            hint = "write the field without braces" if braces else "write %% for a percent sign"
            raise self.reject("expected a field or transformer after '%'", percent, start + 1, hint)
        end = self._end_of_name(start, name.end())
        argument = _ARGUMENT.match(self.text.text, end) if end == name.end() else None
        if argument is None:
            value = self._checked(start, end)
            self._warn_of_rest(start, end, name.end())
            return value, end
        outer, self.checker.report = self.checker.report, Report()
        try:
            return self._checked(start, argument.end()), argument.end()
        except Rejected:
            if self._stands_alone(start, end):
                self.checker.report = outer
                self._warn_of_rest(start, end, argument.end())
                return self._checked(start, end), end
            for found in self.checker.report.diagnostics:
                outer.add(found)
            raise
        finally:
            self.checker.report = outer

    def _warn_of_rest(self, start: int, end: int, whole: int) -> None:
        """Tell of text that goes on behind a field as if it were part of its name."""
        if end < whole:
            field, rest = self.text.text[start:end], self.text.text[end:whole]
            message = f"'{field}' is the field here, and '{rest}' behind it is text"
            like = self.checker.like(f"{field}{rest}")
            hint = like if like and f"'{field}'" not in like else "a blank between makes that plain"
            at, item = At(self.text, end, whole).span, self.checker.item
            code = "LOAD_WARNING_EXTENSION"
            self.checker.report.add(Diagnostic("text-after-field", code, message, at, WARNING, hint, item=item))

    def _stands_alone(self, start: int, end: int) -> bool:
        """Tell whether the field is one without the argument behind it."""
        name = self.text.text[start:end]
        if not self.checker.knows(name):
            return False
        row, _ = self.checker.lookup(FieldRef(name, None, At(self.text, start, end)))
        return not row.arg_required

    def _end_of_name(self, start: int, end: int) -> int:
        """Return the end of the longest known field name; of all of it when none is known."""
        text, checker = self.text.text, self.checker
        if checker.knows(text[start:end]):
            return end
        longest = max(len(name) for table in checker.catalog.tables.values() for name in table.fields)
        shorter = range(min(end - 1, start + longest), start, -1)
        return next((at for at in shorter if checker.knows(text[start:at])), end)

    def _checked(self, start: int, end: int) -> FieldValue | TransformValue:
        piece = self.text.text[start:end]
        at = self.text.place(start)
        text = SourceText(piece, (0,), (at,))
        before = len(self.checker.report.diagnostics)
        try:
            node: FieldRef | Transform = parse_left(text)
            return self.checker.operand(node)
        except ParseFailure as failure:
            raise self.reject(failure.diagnostic.message, start, end, failure.diagnostic.hint) from None
        except Rejected:
            self._as_output(before)
            raise

    def _as_output(self, since: int) -> None:
        """Give findings made by the condition checker the code of outputs."""
        found = self.checker.report.diagnostics
        found[since:] = [_recoded(diagnostic) for diagnostic in found[since:]]


def _recoded(found: Diagnostic) -> Diagnostic:
    slug = "bad-output" if found.slug == "unknown-field" else found.slug
    return Diagnostic(slug, CODE, found.message, found.span, found.severity, found.hint, found.via, found.item)
