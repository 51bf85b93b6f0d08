"""
Syntax errors of conditions, told: what was expected where, what stands there, and what to write in its place.

The hints are a table: mistakes that people make, told by the word before and by what stands there.
"""

import re
from dataclasses import dataclass

from lark import Token
from lark.exceptions import UnexpectedInput

from engine.diagnostics import Diagnostic, SourceText
from engine.similar import near
from engine.transformers import TRANSFORMERS
from engine.tree import At
from engine.words import MODIFIERS, OPERATORS, QUOTED_OR_PAREN

CODE = "LOAD_ERR_COMPILE_CONDITION"


class ParseFailure(Exception):
    """The text is no condition; ``diagnostic`` says why and where."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


def failure(slug: str, message: str, at: At, hint: str = "") -> ParseFailure:
    """Make the exception for a syntax error at a piece of text."""
    return ParseFailure(Diagnostic(slug, CODE, message, at.span, hint=hint))


_EXPECTED = (
    # (terminals that may come next, slug, sentence): the first row whose terminals are all possible tells.
    ({"EXISTS"}, "expected-operator", "expected an operator after the field"),
    ({"IDENT", "NOT"}, "expected-condition", "expected a comparison, a macro, 'not' or '('"),
    ({"BARE", "VAL"}, "expected-value", "expected a value after the operator"),
    ({"BARE"}, "expected-value", "expected a value in the list"),
    ({"NUMBER", "VAL"}, "expected-number", "expected a number after the operator"),
    ({"IDENT", "LPAR"}, "expected-list", "expected a list in parentheses or the name of a list"),
    ({"NUMBER", "QUOTED"}, "expected-argument", "expected a field, a transformer, a quoted string or a number"),
    ({"FIELD"}, "expected-field", "expected a field"),
    ({"AND", "RPAR"}, "leftover", "expected 'and', 'or' or ')'"),
    ({"AND"}, "leftover", "expected 'and', 'or' or the end of the condition"),
    ({"COMMA"}, "expected-paren", "expected ',' or ')'"),
    ({"RPAR"}, "expected-paren", "expected ')'"),
    ({"LPAR"}, "expected-list", "expected a list in parentheses"),
    ({"$END"}, "leftover", "expected nothing more"),
)
_CALL = "|".join(TRANSFORMERS)
_KEYWORDS = frozenset({"and", "or", "not", "val", *OPERATORS, *MODIFIERS, *TRANSFORMERS})
_WORD = re.compile(r"[A-Za-z0-9_.]+|[^ \t\r\n\b]?")
_NEAR = 200
"""Characters after an error that hints look at."""

_IN_QUOTES = "put a value that holds '{found}' in quotes"
_STRAIGHT = "quotes are straight: ' or \""
_COMMENT = "a condition has no comments; '#' begins one only between the lines of a rule file"
_PARENTHESES = "a list stands in parentheses, also one of one value"
_HINTS = (
    # (slug, kind and text of the word before, what stands there, hint): the first row that fits tells.
    ("", "IDENT|BARE", "AND|OR|NOT", "", "keywords are lower case: '{lower}'"),
    ("", "", "", r"[\u2018\u2019\u201c\u201d]", _STRAIGHT),
    ("", "", "", r"[^\S \t\r\n]", "this only looks like a blank; type it again"),
    ("", "", "", "#", _COMMENT),
    ("expected-operator", "", "", r"(?:equals?|eq|is)\b", "write '='"),
    ("expected-operator", "", "", r"(?:ne|neq|isnt|!|\u2260)(?!\w)", "write '!='"),
    ("expected-operator", "", "", r"(?:[gl][te]e?)\b", "write '<', '<=', '>' or '>='"),
    ("expected-operator", "", "", r"(?:r?like|match(?:es)?|~)(?!\w)", "for a pattern use 'glob' or 'regex'"),
    ("expected-operator", "", "", r"(?:has|includes?)\b", "use 'contains', or 'intersects' for a list"),
    ("expected-operator", "", "", r"between\b", "write two comparisons and 'and' between them"),
    ("expected-operator", "", "", r"not\b", "'not' stands before the field"),
    ("", "", "", r"\.?[^\x00-\x7f]", "names and operators are ASCII; this is {code}"),
    ("expected-operator", "FIELD", "", "-", "names have letters, digits and '_', and dots between them"),
    ("expected-operator", "", "", r"(?:and|or)\b|\)|\Z", "'exists' after the field asks whether it has a value"),
    ("expected-value", "WORDOP", "regex", r"\(", "put a pattern with parentheses in quotes"),
    (
        *("expected-value", "EQOP|WORDOP", "", r"\("),
        "for a list use 'in', or a modifier such as 'anyof' between the operator and the list",
    ),
    ("expected-value", "EQOP", "", "[=!<>]", "operators are = != < <= > >="),
    ("expected-value", "COMMA|LPAR", "", r"\(", "a list holds no lists; put a value with parentheses in quotes"),
    ("expected-value", "COMMA", "", r"\)", "take the comma before it away"),
    ("expected-value", "", "", r"[,)]|\Z", 'an empty text is written ""'),
    ("expected-number", "", "<", ">", "write '!='"),
    ("expected-number", "", "", "[\"']", "write the number without quotes"),
    ("expected-number", "", "", "", "'<' and '>' take a number on the right"),
    ("expected-list", "", "", "", _PARENTHESES),
    ("expected-condition", "", "", "!", "write 'not'"),
    ("expected-condition", "", "", "[%$@]", "write the field without '{found}'"),
    ("expected-condition", "", "", "[\"'0-9]", "the field stands on the left of the operator, without quotes"),
    ("expected-field", "", "", r"val\(", "val() stands on the right of an operator"),
    ("expected-argument", "", "", "[A-Za-z]", "a text stands in quotes, and the name of a field has a dot"),
    ("expected-paren", "BARE", f"val|{_CALL}", r"\(", "a list holds constants only"),
    (
        "expected-paren",
        "BARE|QUOTED",
        "",
        r"(?!(?:and|or)\b)[\w\"']",
        "put commas between values; quote what has blanks",
    ),
    ("expected-paren", "", "", ".", "is ')' missing before '{found}'?"),
    ("leftover", "", "", r"(?:and|or)\b", "'{found}' needs a blank or '(' after it"),
    ("leftover", "", "", "&|[|]", "write 'and' or 'or'"),
    ("leftover", "", "", r"\)", "there is no '(' for it"),
    ("leftover", "EXISTS", "", "", "'exists' takes no value"),
    ("leftover", "IDENT", "and|or", "", "a comparison is missing before '{last}'"),
    ("leftover", "IDENT", "exists", "", "'exists' stands after the field"),
    ("leftover", "IDENT", "val", r"\(", "val() stands on the right of an operator"),
    ("leftover", "IDENT", _CALL, r"\(", "no blank may stand before the '(' of {last}()"),
    ("leftover", "IDENT", "", r"\(", "transformers are " + ", ".join(TRANSFORMERS)),
    ("leftover", "IDENT", "", "-", "names have letters, digits and '_'"),
    ("leftover", "IDENT", "", "[=!<>]", "'{last}' is no field: the name of a field has a dot"),
    ("leftover", "IDENT", "", "[A-Za-z]", "put 'and' or 'or' between, or an operator after a field"),
    ("leftover", "BARE", "and|or|not|exists", "", "'{last}' was taken for the value; is one missing before it?"),
    ("leftover", "BARE", "any|all|one", r"\(", "did you mean '{last}of'?"),
    ("leftover", "BARE", "oneof|anyof|allof", "", "'{last}' takes a list in parentheses, after a blank"),
    ("leftover", "BARE", "~", "", "for a pattern use 'regex' or 'glob'"),
    ("leftover", "BARE", "[!<>]", "", "operators are = != < <= > >="),
    ("leftover", "BARE|IDENT", "", ",", _PARENTHESES),
    ("leftover", "BARE", "[\u2018\u2019\u201c\u201d].*", "", _STRAIGHT),
    ("leftover", "BARE", "", "[(=\"']", _IN_QUOTES),
    ("leftover", "BARE|NUMBER|HEX", "", "", "put 'and' or 'or' before it, or quotes around a value with blanks"),
    ("leftover", "QUOTED", "", r"(?<=[\"'])\S", "inside of quotes a quote is written with a backslash before it"),
    ("leftover", "QUOTED", "", "", "put 'and' or 'or' before it"),
)


@dataclass(frozen=True, slots=True)
class _Wrong:
    """Where parsing ended: the place, what stands there, and kind and text of the word before."""

    text: SourceText
    start: int
    found: str
    kind: str
    last: str

    @property
    def at(self) -> At:
        return At(self.text, self.start, self.start + max(1, len(self.found)))

    def shows(self, pattern: str) -> bool:
        """Tell whether a pattern matches what stands there; at the end of the text nothing does."""
        if not self.found:
            return re.match(pattern, "") is not None
        return re.compile(pattern).match(self.text.text, self.start, self.start + _NEAR) is not None


def explain(text: SourceText, problem: UnexpectedInput) -> ParseFailure:
    """Turn the parser's exception into the one that says it to people."""
    if not text.text.strip():
        hint = "write a comparison, such as evt.num > 0 for every event"
        return failure("empty-condition", "the condition is empty", At(text, 0, 1), hint)
    wrong = _wrong(text, problem)
    allowed = problem.interactive_parser.accepts()  # type: ignore[no-untyped-call]
    _, slug, sentence = next(row for row in _EXPECTED if row[0] <= allowed)
    return _special(wrong, slug) or _told(wrong, slug, sentence)


def _wrong(text: SourceText, problem: UnexpectedInput) -> _Wrong:
    token = getattr(problem, "token", None)
    at_end = problem.pos_in_stream is None or (token is not None and token.type == "$END")
    start = len(text.text.rstrip()) if at_end else problem.pos_in_stream
    assert start is not None
    found = _WORD.match(text.text, start)
    stack = problem.interactive_parser.parser_state.value_stack
    last = stack[-1] if stack else None
    kind, word = (last.type, str(last)) if isinstance(last, Token) else ("", "")
    return _Wrong(text, start, found[0] if found else "", kind, word)


def _special(wrong: _Wrong, slug: str) -> ParseFailure | None:
    """Return the error whose sentence depends on more than what was expected."""
    if slug == "expected-operator" and wrong.found == "[" and wrong.text.text[wrong.start - 1 : wrong.start].strip():
        hint = f"write {wrong.last}[...], with quotes for what holds blanks or brackets"
        return failure("bad-argument", "the argument in brackets is empty, not closed or holds blanks", wrong.at, hint)
    if wrong.found in ('"', "'") and "value" in slug:
        hint = f"put {wrong.found} at its end; inside of it a quote is written \\{wrong.found}"
        return failure("open-quote", "the quoted string is not closed", wrong.at, hint)
    return None


def _told(wrong: _Wrong, slug: str, sentence: str) -> ParseFailure:
    shown = f"{sentence}, found {_shown(wrong.found)}"
    opened = "" if wrong.found or "')'" not in sentence else _opened(wrong)
    return failure("expected-paren" if opened else slug, shown, wrong.at, opened or _hint(wrong, slug))


def _shown(found: str) -> str:
    if not found:
        return "the end"
    return repr(found) if found.isprintable() else f"the character U+{ord(found[0]):04X}"


def _code(wrong: _Wrong) -> str:
    """Return the number of the first character that is not ASCII, as in U+0430."""
    rest = wrong.text.text[wrong.start : wrong.start + _NEAR]
    return next((f"U+{ord(character):04X}" for character in rest if not character.isascii()), "")


def _opened(wrong: _Wrong) -> str:
    """Say which parenthesis is still open at the end."""
    stack: list[int] = []
    for found in QUOTED_OR_PAREN.finditer(wrong.text.text, 0, wrong.start):
        if found[0] == "(":
            stack.append(found.start())
        elif found[0] == ")" and stack:
            stack.pop()
    _, line, col = wrong.text.place(stack[-1] if stack else 0)
    return f"the '(' in line {line}, column {col} is not closed"


def _hint(wrong: _Wrong, slug: str) -> str:
    lower = wrong.found.lower()
    if lower in _KEYWORDS and wrong.found != lower:
        return f"keywords are lower case: '{lower}'"
    for only, kind, last, there, hint in _HINTS:
        if (
            only in ("", slug)
            and (not kind or wrong.kind in kind.split("|"))
            and (not last or re.fullmatch(last, wrong.last, re.DOTALL))
            and wrong.shows(there)
        ):
            return hint.format(found=wrong.found, last=wrong.last, lower=wrong.last.lower(), code=_code(wrong))
    if slug == "expected-operator":
        return near(wrong.found, OPERATORS) or f"operators are {' '.join(OPERATORS)}"
    return ""
