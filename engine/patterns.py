"""
The pattern operators ``glob``, ``pmatch`` and ``regex``: from the text of a rule to a function that answers.

All run in time linear, or nearly so, in the input: rules and events are both untrusted.
Source: spec rule-language 2.4.
"""

import functools
import re
from collections.abc import Callable, Iterable

import re2

from engine.globs import glob_regex

Predicate = Callable[[str], bool]

_SHORT = 256
"""Characters of a glob that is remembered when compiled: the right side may come from events."""

_NO_ESCAPE = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def utf8(text: str) -> bytes:
    """Encode a value; bytes that were no UTF-8 (held as surrogates) come back as they were, other surrogates do not."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return _NO_ESCAPE.sub("\ufffd", text).encode("utf-8", "surrogateescape")


def glob(pattern: str, ignore_case: bool = False) -> Predicate:
    """
    Return the test for a POSIX ``fnmatch`` pattern (flags 0) against a whole string.

    Stars cross slashes. ``?`` and brackets match one byte, so with them both sides are compared as bytes.
    """
    return (_remembered if len(pattern) <= _SHORT else _glob)(pattern, ignore_case)


def _glob(pattern: str, ignore_case: bool) -> Predicate:
    by_byte = "?" in pattern or "[" in pattern
    match = glob_regex(utf8(pattern).decode("latin-1") if by_byte else pattern, ignore_case).fullmatch
    if by_byte:
        return lambda text: match(text if text.isascii() else utf8(text).decode("latin-1")) is not None
    return lambda text: match(text) is not None


_remembered = functools.lru_cache(maxsize=4096)(_glob)


def _components(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)


_GLOB_CHARS = frozenset("*?[")


def pmatch(paths: Iterable[str]) -> Predicate:
    """
    Return the test whether some path is a component-wise prefix of a string.

    Components with ``*``, ``?`` or ``[`` are globs within their component.
    """
    literal: dict[int, set[tuple[str, ...]]] = {}
    globs: list[tuple[Predicate, ...]] = []
    for path in paths:
        parts = _components(path)
        if any(c in _GLOB_CHARS for part in parts for c in part):
            globs.append(tuple(_component(part) for part in parts))
        else:
            literal.setdefault(len(parts), set()).add(parts)
    lengths = sorted(literal)

    def matches(text: str) -> bool:
        parts = _components(text)
        for length in lengths:
            if length <= len(parts) and parts[:length] in literal[length]:
                return True
        return any(
            len(tests) <= len(parts) and all(test(part) for test, part in zip(tests, parts, strict=False))
            for tests in globs
        )

    return matches


def _component(part: str) -> Predicate:
    return glob(part) if any(c in _GLOB_CHARS for c in part) else part.__eq__


class BadPattern(ValueError):
    """RE2 refuses the pattern; the text says why."""


def _options() -> "re2.Options":
    options = re2.Options()
    options.posix_syntax = True
    options.longest_match = True
    options.never_capture = True
    options.log_errors = False
    return options


@functools.lru_cache(maxsize=4096)
def regex(pattern: str) -> Predicate:
    """
    Return the test for a POSIX regular expression (RE2) against a whole string.

    Raises:
        BadPattern: The pattern is not in the POSIX dialect, or too large.
    """
    try:
        compiled = re2.compile(utf8(pattern), _options())
    except re2.error as problem:
        reason = problem.args[0]
        raise BadPattern(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
    fullmatch = compiled.fullmatch

    def matches(text: str) -> bool:
        try:
            data = text.encode()
        except UnicodeEncodeError:
            data = utf8(text).decode("utf-8", "replace").encode()
        return fullmatch(data) is not None

    return matches


def simple_glob(pattern: str) -> tuple[str, str] | None:
    """Return the operator and text that say the same as a glob with stars at its ends only, or None."""
    inner = pattern.strip("*")
    if any(c in "*?[\\" for c in inner):
        return None
    match pattern.startswith("*"), pattern.endswith("*"):
        case False, False:
            return "=", inner
        case False, True:
            return "startswith", inner
        case True, False:
            return "endswith", inner
        case _:
            return "contains", inner
