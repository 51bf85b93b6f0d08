"""Files to events: each file opened, cut, told by its content and decoded."""

from collections.abc import Callable, Iterator

from ingest.base import Decoded
from ingest.payload import PayloadError, json_values
from lanner.errors import UserError
from lanner.formats import FORMATS, Format, tell
from lanner.payloads import Piece, opened, pieces


class Unreadable(UserError):
    """
    A file cannot be read, or not to its end.

    Attributes:
        path: Of the file.
        why: For people.
    """

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


def read_events(
    path: str, source: str = "", advance: Callable[[int], object] = lambda _size: None
) -> Iterator[Decoded]:
    """
    Yield the events of a file, piece by piece.

    Args:
        path: Of the file; ``-`` for standard input.
        source: Event source of its records; "" to tell it by the content.
        advance: Called with the number of stored bytes whenever some were read.

    Raises:
        Unreadable: The file, or the rest of it, cannot be read; what could be was yielded before.
    """
    try:
        with opened(path) as stream:
            for piece in pieces(stream, advance):
                yield _decoded(piece, path, source)
    except PayloadError as error:
        raise Unreadable(path, error.detail) from None
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from None


def _decoded(piece: Piece, path: str, source: str) -> Decoded:
    known = FORMATS[source] if source else _told(piece, path)
    decoded = known.decode(piece.data, path)
    if piece.line > 1:
        decoded.skipped = [(reason, f"from line {piece.line}: {detail}") for reason, detail in decoded.skipped]
    return decoded


def _told(piece: Piece, path: str) -> Format:
    known = tell(piece.data)
    if known:
        return known
    if not piece.data.strip():
        raise Unreadable(path, "the file is empty")
    first = next(json_values(piece.data))
    if first.error:
        raise Unreadable(path, f"not JSON: {first.where}: {first.error}")
    raise Unreadable(path, f"holds no records of {' or '.join(FORMATS)}; --source says what it holds")
