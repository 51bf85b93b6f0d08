"""What is left of a condition when some of its comparisons are decided, and the URLs that it asks for."""

import re
from collections.abc import Callable

from engine.typed import FALSE, TRUE, All, Checked, Const, Either, Negation, Shared, Test

_SPECIAL = re.compile(r"[*%]")  # a wildcard in a policy; the beginning of an escape in a URI

Decide = Callable[[Test], bool | None]
"""Says how a comparison ends, None if that is not known."""


def assume(node: Checked, decide: Decide, memo: dict[int, Checked] | None = None) -> Checked:
    """Return a condition with the comparisons replaced whose end is known."""
    memo = {} if memo is None else memo
    match node:
        case Test():
            known = decide(node)
            return node if known is None else TRUE if known else FALSE
        case Negation(item):
            here = assume(item, decide, memo)
            return (FALSE if here.value else TRUE) if isinstance(here, Const) else Negation(here)
        case All(items):
            return _joined([assume(item, decide, memo) for item in items], All)
        case Either(items):
            return _joined([assume(item, decide, memo) for item in items], Either)
        case Shared(name, body):
            if id(node) not in memo:
                here = assume(body, decide, memo)
                memo[id(node)] = here if isinstance(here, Const | Test) else Shared(name, here)
            return memo[id(node)]
        case _:
            return node


def _joined(items: list[Checked], kind: type[All] | type[Either]) -> Checked:
    decided = kind is Either
    if any(isinstance(item, Const) and item.value == decided for item in items):
        return TRUE if decided else FALSE
    kept = [item for item in items if not isinstance(item, Const)]
    if not kept:
        return FALSE if decided else TRUE
    return kept[0] if len(kept) == 1 else kind(tuple(kept))


def urls(node: Checked, is_uri: Callable[[Test], bool]) -> tuple[str, ...] | None:
    """
    Return patterns that hold for the URL of every request for which a condition can hold; None if there are none.

    Args:
        node: The condition.
        is_uri: Tells whether a comparison is about the request's URI.
    """
    match node:
        case Shared(_, body):
            return urls(body, is_uri)
        case All(items):
            found = [here for item in items if (here := urls(item, is_uri)) is not None]
            return min(found, key=len, default=None)
        case Either(items):
            parts = [urls(item, is_uri) for item in items]
            return tuple(dict.fromkeys(url for part in parts for url in part or ())) if None not in parts else None
        case Test() if is_uri(node) and node.right is None:
            return _patterns(node)
        case _:
            return None


def _patterns(test: Test) -> tuple[str, ...] | None:
    texts = [text for text in test.constants if isinstance(text, str) and text.startswith("/")]
    if len(texts) < len(test.constants) or test.modifier not in ("", "anyof"):
        return None
    if test.op not in ("=", "in", "startswith"):
        return None
    return tuple(_pattern(text, whole=test.op != "startswith") for text in texts)


def _pattern(text: str, whole: bool) -> str:
    """Return a policy's pattern for a URI or its beginning; a policy sees the path alone, with escapes resolved."""
    path, query, _ = text.partition("?")
    plain = _SPECIAL.split(path)[0]
    if plain != path:
        return f"{plain}*"
    return path if whole or query else f"{path}*"
