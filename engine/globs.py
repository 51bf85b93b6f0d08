"""
Globs to regular expressions: POSIX ``fnmatch`` with flags 0, as glibc reads patterns in the C locale.

The work is linear in the pattern, whatever it holds.
"""

import re
import string
from collections.abc import Sequence

_CLASSES = {
    "alpha": string.ascii_letters,
    "digit": string.digits,
    "alnum": string.ascii_letters + string.digits,
    "upper": string.ascii_uppercase,
    "lower": string.ascii_lowercase,
    "space": string.whitespace,
    "blank": " \t",
    "punct": string.punctuation,
    "print": "".join(map(chr, range(32, 127))),
    "graph": "".join(map(chr, range(33, 127))),
    "cntrl": "".join(map(chr, (*range(32), 127))),
    "xdigit": string.hexdigits,
}
_CLASS = re.compile(r"\[:([a-z]+):\]")
_ANY, _NOTHING = "(?s:.)", "(?!)"


def glob_regex(pattern: str, fold: bool) -> re.Pattern[str]:
    """
    Compile a glob; ``?`` and brackets in it match one character each.

    Args:
        pattern: The glob; with brackets in it, of characters below 256.
        fold: Whether the case of ASCII letters is ignored.
    """
    # A star before a fixed run takes the first place where the run fits and never another one: an atomic group keeps
    # that choice, so a pattern of many stars cannot make the matcher try all combinations.
    runs = _runs(pattern, fold)
    text = runs[0]
    if len(runs) > 1:
        text += "".join([f"(?>{_ANY}*?{run})" for run in runs[1:-1] if run]) + f"{_ANY}*{runs[-1]}"
    return re.compile(text, re.IGNORECASE | re.ASCII if fold else 0)


def _runs(pattern: str, fold: bool) -> list[str]:
    """Return regular expressions for what stands between the stars of a glob."""
    runs: list[list[str]] = [[]]
    dead: set[int] = set()
    at = 0
    while at < len(pattern):
        c = pattern[at]
        at += 1
        if c == "*":
            runs.append([])
        elif c == "?":
            runs[-1].append(_ANY)
        elif c == "\\":
            runs[-1].append(re.escape(pattern[at]) if at < len(pattern) else _NOTHING)
            at += 1
        elif c == "[" and (bracket := _bracket(pattern, at, fold, dead)):
            text, at = bracket
            runs[-1].append(text)
        else:
            runs[-1].append(re.escape(c))
    return ["".join(run) for run in runs]


def _bracket(pattern: str, at: int, fold: bool, dead: set[int]) -> tuple[str, int] | None:
    """
    Read a bracket expression.

    Args:
        pattern: The glob.
        at: Offset after the opening bracket.
        fold: Whether case is ignored.
        dead: Offsets from which no closing bracket was found; this call adds its own.

    Returns:
        A regular expression for one character, and the offset after the closing bracket; None when there is none.
    """
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    start = at
    members: set[int] = set()
    seen: list[int] = []
    while at == start or pattern[at : at + 1] != "]":
        if at >= len(pattern) or at in dead:
            dead.update(seen)
            return None
        seen += [at] if at > start else []  # what stands first is read otherwise: a closing bracket is a member
        found, at = _members(pattern, at, fold)
        if found is None:
            return _NOTHING, at
        members.update(found)
    if fold:
        members.update([ord(both) for c in map(chr, members) if c.isascii() for both in (c.lower(), c.upper())])
    return _one_of(set(range(256)) - members if negated else members), at + 1


def _one_of(members: set[int]) -> str:
    return "[" + "".join([rf"\x{c:02x}" for c in sorted(members)]) + "]" if members else _NOTHING


def _members(pattern: str, at: int, fold: bool) -> tuple[Sequence[int] | None, int]:
    """Read a class, a range or a character; None stands for a class that does not exist, which matches nothing."""
    if named := _CLASS.match(pattern, at):
        return (list(map(ord, _CLASSES[named[1]])) if named[1] in _CLASSES else None), named.end()
    low, at = _character(pattern, at)
    high = low
    if pattern[at : at + 1] == "-" and pattern[at + 1 : at + 2] not in ("", "]"):
        high, at = _character(pattern, at + 1)
    if fold:
        low, high = low.lower(), high.lower()
    return (range(ord(low), ord(high) + 1) if low and high else []), at


def _character(pattern: str, at: int) -> tuple[str, int]:
    at += pattern[at : at + 1] == "\\"
    return pattern[at : at + 1], at + 1
