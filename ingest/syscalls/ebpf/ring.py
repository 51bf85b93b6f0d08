"""
The consumer's side of a BPF ring buffer: read in batches from shared memory, without a system call per event.

Source of the format: Linux Documentation/bpf/ringbuf.rst and kernel/bpf/ringbuf.c.
"""

import mmap
import os
import struct

_PAGE = os.sysconf("SC_PAGE_SIZE")
_BUSY, _DISCARDED = 1 << 31, 1 << 30
_LENGTH = struct.Struct("<I")
_HEADER = 8


class Ring:
    """
    A mapped ring.

    Attributes:
        size: Bytes it holds.
        fd: Descriptor of its map, readable when the kernel says so.
    """

    def __init__(self, fd: int, size: int) -> None:
        """Map the ring of ``size`` bytes behind a map's descriptor. Raises OSError."""
        self.fd, self.size = fd, size
        self._consumer = mmap.mmap(fd, _PAGE, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        self._producer = mmap.mmap(fd, _PAGE + 2 * size, mmap.MAP_SHARED, mmap.PROT_READ, offset=_PAGE)
        self._data = memoryview(self._producer)[_PAGE:]
        self._read = memoryview(self._consumer).cast("Q")
        self._written = memoryview(self._producer)[:8].cast("Q")

    def pending(self) -> int:
        """Return how many bytes wait."""
        return self._written[0] - self._read[0]

    def take(self, limit: int = 1 << 20) -> tuple[bytes, list[int]]:
        """
        Return what waits, ``limit`` bytes at most (one record at least), and where in it the records begin.

        The space is free for the kernel again when this returns.
        """
        begin = self._read[0]
        size = min(self._written[0] - begin, limit)
        if not size:
            return b"", []
        at = begin & (self.size - 1)
        if size == limit:
            size = max(size, _HEADER + ((_LENGTH.unpack_from(self._data, at)[0] & 0x3FFFFFFF) + 7 & ~7))
        batch = bytes(self._data[at : at + size])
        starts, end = _records(batch)
        self._read[0] = begin + end
        return batch, starts

    def close(self) -> None:
        """Unmap."""
        for view in (self._data, self._read, self._written):
            view.release()
        self._consumer.close()
        self._producer.close()


def _records(batch: bytes) -> tuple[list[int], int]:
    """Return where payloads begin and where the first record begins that is not whole or not yet written."""
    starts: list[int] = []
    position, size, unpack = 0, len(batch), _LENGTH.unpack_from
    while position + _HEADER <= size:
        (length,) = unpack(batch, position)
        if length & _BUSY:
            break
        after = position + (((length & 0x3FFFFFFF) + 15) & ~7)
        if after > size:
            break
        if not length & _DISCARDED:
            starts.append(position + _HEADER)
        position = after
    return starts, position
