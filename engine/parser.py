"""
Condition text to syntax tree, with lark.

The grammar is in ``grammar.lark``; here are the nodes it builds and the escapes of quoted strings; what is said of text
that is no condition is in ``syntax``. Knows no fields: whether ``ct.nme`` exists is ``check``'s question.
"""

import re
import threading
from importlib import resources
from typing import Any, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedInput

from engine.diagnostics import SourceText
from engine.syntax import explain, failure
from engine.tree import (
    MAX_LEVELS,
    And,
    At,
    Compare,
    FieldRef,
    Items,
    Literal,
    MacroRef,
    Node,
    Not,
    Operand,
    Or,
    Transform,
    Values,
    below,
)
from engine.words import QUOTED_OR_PAREN

MAX_DEPTH = 200
"""Nested parentheses a condition may have (upstream stops at about as many, spec: rule-language 1.2)."""
_LEVELS = 3
"""Levels of a tree that one parenthesis can make: 'or', 'and' and 'not'."""


def parse_condition(text: SourceText) -> Node:
    """
    Parse a whole condition.

    Raises:
        ParseFailure: With the first syntax error.
    """
    return cast("Node", _parse(text, "condition"))


def parse_item(text: SourceText) -> Literal:
    """
    Parse one value as it may stand in a list: a quoted or a bare string.

    Raises:
        ParseFailure: It is neither.
    """
    return cast("Literal", _parse(text, "item"))


def parse_left(text: SourceText) -> FieldRef | Transform:
    """
    Parse a field or transformer expression alone, as exceptions and output tokens hold it.

    Raises:
        ParseFailure: It is neither.
    """
    return cast("FieldRef | Transform", _parse(text, "template"))


def parse_value(text: SourceText) -> Literal | FieldRef | Transform:
    """
    Parse the right side of a scalar comparison: a string, a transformer or ``val(field)``.

    Raises:
        ParseFailure: It is none of these.
    """
    return cast("Literal | FieldRef | Transform", _parse(text, "value"))


def parse_values(text: SourceText) -> Values:
    """
    Parse a list in parentheses.

    Raises:
        ParseFailure: It is none.
    """
    return cast("Values", _parse(text, "values"))


_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "\\": "\\", "/": "/", " ": "\\"}
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|.)", re.DOTALL)


def _unquote(raw: str, at: At) -> str:
    quote, body = raw[0], raw[1:-1]
    if "\\" not in body:
        return body

    def decode(found: re.Match[str]) -> str:
        escape = found[1]
        if len(escape) == 3:
            return bytes([int(escape[1:], 16)]).decode("utf-8", "surrogateescape")
        if escape == quote:
            return quote
        if escape in _ESCAPES:
            return _ESCAPES[escape]
        here = At(at.text, at.start + 1 + found.start(), at.start + 1 + found.end())
        hint = r"write \\ for a backslash, or leave the quotes away"
        raise failure("bad-escape", f"the escape '\\{escape[:1]}' does not exist", here, hint)

    decoded = _ESCAPE.sub(decode, body)
    # Neighbouring \xHH escapes may spell one UTF-8 character between them.
    return decoded.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def split_argument(raw: str, at: At) -> tuple[str, str | None]:
    """Cut ``name[arg]`` into name and argument; quotes around the argument are removed."""
    name, bracket, rest = raw.partition("[")
    if not bracket:
        return name, None
    argument = rest[:-1]
    if argument[0] in "\"'":
        start = at.start + len(name) + 1
        argument = _unquote(argument, At(at.text, start, start + len(argument)))
    return name, argument


_Parts = list[Any]
"""What a grammar rule is made of: nodes, and the tokens that the lexer found."""


class _Builder(Transformer[Token, Any]):
    """Nodes from grammar rules; ``text`` is the text being parsed."""

    text = SourceText("")

    def _at(self, token: Token) -> At:
        start = cast("int", token.start_pos)
        return At(self.text, start, start + len(token))

    def _between(self, first: Any, last: Any) -> At:
        """Return the place from one node or token to another."""
        begins = self._at(first) if isinstance(first, Token) else first.at
        ends = self._at(last) if isinstance(last, Token) else last.at
        return At(self.text, begins.start, ends.end)

    def or_expr(self, parts: _Parts) -> Or:
        return Or(tuple(parts[::2]), self._between(parts[0], parts[-1]))

    def and_expr(self, parts: _Parts) -> And:
        return And(tuple(parts[::2]), self._between(parts[0], parts[-1]))

    def nots(self, parts: _Parts) -> tuple[int, Token]:
        return (1, parts[0]) if len(parts) == 1 else (parts[0][0] + 1, parts[0][1])

    def negation(self, parts: _Parts) -> Node:
        (count, first), node = parts
        return Not(node, self._between(first, node)) if count % 2 else cast("Node", node)

    def paren(self, parts: _Parts) -> Node:
        return cast("Node", parts[1])

    def macro(self, parts: _Parts) -> MacroRef:
        return MacroRef(str(parts[0]), self._at(parts[0]))

    def exists(self, parts: _Parts) -> Compare:
        return Compare(parts[0], "exists", "", None, self._between(*parts))

    def compare(self, parts: _Parts) -> Compare:
        left, op, right = parts
        return Compare(left, "=" if op == "==" else str(op), "", right, self._between(left, right))

    def compare_modified(self, parts: _Parts) -> Compare:
        left, op, modifier, right = parts
        return Compare(left, "=" if op == "==" else str(op), str(modifier), right, self._between(left, right))

    def field(self, parts: _Parts) -> FieldRef:
        at = self._at(parts[0])
        return FieldRef(*split_argument(str(parts[0]), at), at)

    def transformer(self, parts: _Parts) -> Transform:
        args = tuple([part for part in parts if not isinstance(part, Token)])
        selector, last = None, parts[-1]
        if last.type == "SELECTOR":
            selector = split_argument(str(last), self._at(last))[1]
        return Transform(str(parts[0])[:-1], args, selector, self._between(parts[0], last))

    def items(self, parts: _Parts) -> Items:
        return Items(tuple([part for part in parts if not isinstance(part, Token)]), self._between(parts[0], parts[-1]))

    def val(self, parts: _Parts) -> FieldRef:
        word, name, close = parts
        return FieldRef(*split_argument(str(name), self._at(name)), self._between(word, close))

    def named_list(self, parts: _Parts) -> Values:
        name = self.bare(parts)
        return Values((name,), name.value, name.at)

    def list(self, parts: _Parts) -> Values:
        items = tuple([part for part in parts if not isinstance(part, Token)])
        return Values(items, None, self._between(parts[0], parts[-1]))

    def bare(self, parts: _Parts) -> Literal:
        return Literal(str(parts[0]), "bare", self._at(parts[0]))

    def quoted(self, parts: _Parts) -> Literal:
        at = self._at(parts[0])
        return Literal(_unquote(str(parts[0]), at), "quoted", at)

    def number(self, parts: _Parts) -> Literal:
        return Literal(str(parts[0]), "number", self._at(parts[0]))


_local = threading.local()


def _machine() -> tuple[Lark, _Builder]:
    """Return this thread's parser; the builder holds the text of the parse under way."""
    if not hasattr(_local, "machine"):
        builder = _Builder()
        grammar = resources.files("engine").joinpath("grammar.lark").read_text("utf-8")
        lark = Lark(
            grammar,
            start=["condition", "item", "template", "value", "values"],
            parser="lalr",
            lexer="contextual",
            transformer=builder,
            maybe_placeholders=False,
        )
        _local.machine = (lark, builder)
    return cast("tuple[Lark, _Builder]", _local.machine)


def _parens(text: SourceText) -> int:
    """Count how deep parentheses are nested, so that what is too deep is told before it is parsed."""
    depth = deepest = 0
    for found in QUOTED_OR_PAREN.finditer(text.text):
        depth += {"(": 1, ")": -1}.get(found[0], 0)
        deepest = max(deepest, depth)
        if depth > MAX_DEPTH:
            at = At(text, found.start(), found.end())
            raise failure("too-deep", f"parentheses are nested more than {MAX_DEPTH} deep", at)
    return deepest


def _parse(text: SourceText, start: str) -> Any:
    depth = _parens(text)
    lark, builder = _machine()
    builder.text = text
    try:
        tree: Any = lark.parse(text.text, start=start)
    except UnexpectedInput as problem:
        raise explain(text, problem) from None
    finally:
        builder.text = SourceText("")
    found = below(tree, MAX_LEVELS) if (depth + 2) * _LEVELS > MAX_LEVELS else None
    if found is not None:
        message = f"'and', 'or', 'not' and transformers are nested more than {MAX_LEVELS} levels deep"
        raise failure("too-deep", message, found.at)
    return tree


def operand_fields(operand: Operand | Items) -> list[FieldRef]:
    """Return all field references inside an operand, in order."""
    match operand:
        case FieldRef():
            return [operand]
        case Transform(_, args):
            return [ref for arg in args for ref in operand_fields(arg)]
        case Items(items):
            return [ref for item in items for ref in operand_fields(item)]
        case _:
            return []
