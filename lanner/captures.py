"""Capture files of host events among the files that are read: told by their content, decoded in turn."""

import io
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, cast

from ingest.base import Decoded

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_HEAD = 512
_MAGIC = (b"\x0a\x0d\x0d\x0a", b"\x1f\x8b")
_SOURCE = "syscall"


class UnreadableCapture(Exception):
    """
    A capture cannot be read, or not to its end.

    Attributes:
        detail: Why, for people.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Peekable(io.RawIOBase):
    """A stream without a buffer, such as standard input, of which the first bytes can be looked at."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._held = b""

    def readable(self) -> bool:
        """Answer yes."""
        return True

    def peek(self, size: int) -> bytes:
        """Return what one reading gives, once; it stays to be read."""
        self._held = self._held or self._stream.read(size) or b""
        return self._held

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill a buffer with what was looked at, or else with what one reading gives."""
        view = memoryview(buffer).cast("B")
        data = self._held[: len(view)] or self._stream.read(len(view)) or b""
        self._held = self._held[len(view) :]
        view[: len(data)] = data
        return len(data)


def peekable(stream: IO[bytes]) -> IO[bytes]:
    """Return an open file as one of which the first bytes can be looked at."""
    return stream if isinstance(stream, io.BufferedReader) else cast("IO[bytes]", Peekable(stream))


def is_capture(stream: IO[bytes]) -> bool:
    """Tell from the first bytes of an open file, which stay unread, whether it is a capture."""
    assert isinstance(stream, io.BufferedReader | Peekable)
    head = stream.peek(_HEAD)[:_HEAD]
    if not head.startswith(_MAGIC):
        return False
    from ingest.syscalls.scap.blocks import is_capture as is_capture_head

    return is_capture_head(head)


def capture_events(stream: IO[bytes], path: str, source: str, advance: Callable[[int], object]) -> Iterator[Decoded]:
    """
    Yield the events of an open capture; those of a piece must be done with before the next is asked for.

    Args:
        stream: The file, from its start.
        path: Where the events come from, for people.
        source: The event source that was asked for; "" for any.
        advance: Called with the number of stored bytes whenever some were read.

    Raises:
        UnreadableCapture: The file, or the rest of it, cannot be read, or its events are of another source.
    """
    from ingest.syscalls.scap.blocks import CaptureError
    from ingest.syscalls.scap.decode import decode

    if source not in ("", _SOURCE):
        raise UnreadableCapture(f"it is a capture of host events, not of {source}")
    try:
        yield from decode(io.BufferedReader(_Counted(stream, advance), 1 << 18), path)
    except CaptureError as error:
        raise UnreadableCapture(f"the capture cannot be read to its end: {error}") from None


class _Counted(io.RawIOBase):
    """A stream that tells how much was read of it."""

    def __init__(self, stream: IO[bytes], advance: Callable[[int], object]) -> None:
        self._stream = stream
        self._advance = advance

    def readable(self) -> bool:
        """Answer yes."""
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Fill a buffer as far as the stream has bytes."""
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view)) or b""
        view[: len(data)] = data
        self._advance(len(data))
        return len(data)
