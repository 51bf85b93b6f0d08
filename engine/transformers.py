"""
The transformers of the condition language: what each takes, gives and does (spec: rule-language 1.5).

One row a transformer; ``check`` reads the types, ``generate`` calls the function. A function gets values that are
present and returns None when the result is absent.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.fields import Type
from engine.patterns import utf8

_LOWER = {c: c + 32 for c in range(ord("A"), ord("Z") + 1)}
_UPPER = {c: c - 32 for c in range(ord("a"), ord("z") + 1)}


def lower(text: str) -> str:
    """Lower the ASCII letters of a text."""
    return text.lower() if text.isascii() else text.translate(_LOWER)


def upper(text: str) -> str:
    """Raise the ASCII letters of a text."""
    return text.upper() if text.isascii() else text.translate(_UPPER)


def decode_base64(value: str | bytes) -> str | bytes | None:
    """Decode standard base64, padding optional; None for anything else, also for bits that belong to no byte."""
    data = utf8(value) if isinstance(value, str) else value
    data = data.rstrip(b"=")
    try:
        decoded = base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    if base64.b64encode(decoded).rstrip(b"=") != data:
        return None
    return decoded.decode("utf-8", "surrogateescape") if isinstance(value, str) else decoded


def basename(path: str) -> str:
    """Return what follows the last slash."""
    return path.rpartition("/")[2]


def length(value: str | bytes) -> int:
    """Return the length in bytes."""
    if isinstance(value, str) and not value.isascii():
        return len(utf8(value))
    return len(value)


def count(values: Sequence[Any]) -> int:
    """Return the number of elements."""
    return len(values)


def join(separator: str, values: Sequence[Any]) -> str | None:
    """Join elements, numbers as text; None when one is missing."""
    if None in values:
        return None
    return separator.join(value if isinstance(value, str) else str(value) for value in values)


def concat(*values: str) -> str:
    """Join texts."""
    return "".join(values)


def getopt(argv: Sequence[str], options: str, selector: str | None) -> Any:
    """
    Scan an argument list as ``getopt`` does.

    Returns:
        With a selector the value of the last occurrence of that option (the option's letter for a flag), or None;
        without, the list of all options and values seen, or None when there are none.
    """
    takes = _options(options)
    found: list[str] = []
    last: dict[str, str] = {}
    tokens = iter(argv)
    for token in tokens:
        if not token.startswith("-") or token in ("-", "--"):
            break
        if not token.startswith("--"):
            _cluster(token[1:], takes, tokens, found, last)
    return (found or None) if selector is None else last.get(selector)


def _options(text: str) -> dict[str, bool]:
    text = text.removeprefix(":")
    return {c: text[i + 1 : i + 2] == ":" for i, c in enumerate(text) if c != ":"}


def _cluster(letters: str, takes: dict[str, bool], rest: Any, found: list[str], last: dict[str, str]) -> None:
    for at, letter in enumerate(letters):
        if letter not in takes:
            found.append("?")
        elif not takes[letter]:
            found.append(letter)
            last[letter] = letter
        else:
            value = letters[at + 1 :] or next(rest, None)
            found.extend([""] if value is None else [letter, value])
            last[letter] = value or ""
            return


@dataclass(frozen=True, slots=True)
class Transformer:
    """
    One transformer.

    Attributes:
        name: As conditions spell it.
        takes: Human description of the arguments.
        least, most: Number of arguments.
        accepts: Types of the first argument of a one-argument transformer.
        elementwise: Whether a list goes in element by element and a list comes out.
        apply: The function.
    """

    name: str
    takes: str
    least: int
    most: int
    accepts: frozenset[Type]
    elementwise: bool
    apply: Callable[..., Any]


_STRING = frozenset({Type.STRING})
_TEXT = frozenset({Type.STRING, Type.BYTES})

TRANSFORMERS = {
    row.name: row
    for row in (
        Transformer("tolower", "a string", 1, 1, _STRING, True, lower),
        Transformer("toupper", "a string", 1, 1, _STRING, True, upper),
        Transformer("b64", "a string or bytes", 1, 1, _TEXT, True, decode_base64),
        Transformer("basename", "a string", 1, 1, _STRING, True, basename),
        Transformer("len", "a string, bytes or a list", 1, 1, _TEXT, False, length),
        Transformer("join", "a separator and a list", 2, 2, _STRING, False, join),
        Transformer("concat", "two or more strings", 2, 1000, _STRING, False, concat),
        Transformer("getopt", "a list of strings and the options", 2, 2, _STRING, False, getopt),
    )
}
