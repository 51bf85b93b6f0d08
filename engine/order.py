"""Names in the order of their use: each after those that it needs, however long the chain is."""

from collections.abc import Callable, Collection, Iterable, Iterator


def dependencies_first(start: str, needs: Callable[[str], Iterable[str]]) -> Iterator[tuple[str, Collection[str]]]:
    """
    Yield a name and all that it needs, directly and through others.

    Args:
        start: The name.
        needs: What a name needs itself.

    Yields:
        The name, and those that wait for it, outermost first; where a name needs itself, one that it needs comes
        before it is ready.
    """
    waiting = {start: iter(needs(start))}
    done: set[str] = set()
    while waiting:
        here, rest = next(reversed(waiting.items()))
        found = next((name for name in rest if name not in waiting and name not in done), None)
        if found is None:
            del waiting[here]
            done.add(here)
            yield here, waiting
        else:
            waiting[found] = iter(needs(found))


def loop(name: str, needed: str, waiting: Collection[str]) -> str:
    """Print the way from a needed name that waits for this one around to itself, ``a > b > a``."""
    way = [*waiting, name]
    return " > ".join([*way[way.index(needed) :], needed])
