"""Files to events: each file opened, cut, told by its content and decoded."""

import time
from collections.abc import Callable, Iterator

from engine.event import Receipt
from ingest.base import Content, Sifted
from ingest.payload import PayloadError, json_values
from lanner.captures import UnreadableCapture, capture_events, is_capture, peekable
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
) -> Iterator[Content]:
    """
    Yield the events of a file, piece by piece.

    Args:
        path: Of the file; ``-`` for standard input.
        source: Event source of its records; "" to tell it by the content.
        advance: Called with the number of stored bytes whenever some were read.

    Raises:
        Unreadable: The file, or the rest of it, cannot be read; what could be was yielded before.
    """
    unknown = ""
    try:
        with opened(path) as file:
            stream = peekable(file)
            if is_capture(stream):
                yield from capture_events(stream, path, source, advance)
                return
            for piece in pieces(stream, advance):
                known = FORMATS[source] if source else tell(piece.data)
                if known:
                    yield _decoded(piece, path, known)
                else:
                    unknown = unknown or why_unknown(piece.data)
    except (PayloadError, UnreadableCapture) as error:
        raise Unreadable(path, error.detail) from None
    except OSError as error:
        raise Unreadable(path, error.strerror or str(error)) from None
    if unknown:
        raise Unreadable(path, unknown)


def stamped(decoded: Content, replay: bool) -> Content:
    """Say of the events of a piece that they were received now, as a replay or not, and return it."""
    receipt = Receipt(time.time_ns(), replay)
    if isinstance(decoded.events, Sifted):
        decoded.events.receipt = receipt
    else:
        for event in decoded.events:
            event.receipt = receipt
    return decoded


def _decoded(piece: Piece, path: str, known: Format) -> Content:
    decoded = known.decode(piece.data, path)
    if piece.line > 1:
        decoded.skipped = [(reason, f"from line {piece.line}: {detail}") for reason, detail in decoded.skipped]
    return decoded


def why_unknown(data: bytes) -> str:
    """Say why no format was told; nothing is said of blanks."""
    first = next(json_values(data), None)
    if first is None:
        return ""
    if first.error:
        return f"not JSON: {first.where}: {first.error}"
    return f"holds no records of {' or '.join(FORMATS)}; --source says what it holds"
