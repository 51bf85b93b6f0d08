"""Fields one after another in a list entry, as the lists of processes, descriptors and accounts are packed."""

import struct


class Short(Exception):
    """An entry ends before a field that it must have."""


class Fields:
    """A cursor over little-endian fields of a part of a block."""

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data = data
        self.at = at
        self.end = len(data) if end is None else min(end, len(data))

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return self.end - self.at

    def number(self, width: int, signed: bool = False) -> int:
        """Read a number of 1 to 8 bytes."""
        return int.from_bytes(self.take(width), "little", signed=signed)

    def take(self, size: int) -> bytes:
        """Read bytes; raises Short when there are fewer."""
        if size > self.left:
            raise Short
        self.at += size
        return self.data[self.at - size : self.at]

    def buffer(self) -> bytes:
        """Read bytes after their u16 length."""
        return self.take(self.number(2))

    def text(self) -> str:
        """Read a text after its u16 length; bytes that are no UTF-8 become surrogate escapes."""
        return self.buffer().split(b"\0", 1)[0].decode("utf-8", "surrogateescape")

    def part(self, size: int) -> "Fields":
        """Return a cursor over the next bytes and step over them; raises Short when there are fewer."""
        if size > self.left:
            raise Short
        self.at += size
        return Fields(self.data, self.at - size, self.at)


class Packer:
    """Bytes of a list entry in the making."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def number(self, value: int, width: int) -> "Packer":
        """Add a number, cut to its width."""
        self._parts.append((value & ((1 << 8 * width) - 1)).to_bytes(width, "little"))
        return self

    def raw(self, data: bytes) -> "Packer":
        """Add bytes as they are."""
        self._parts.append(data)
        return self

    def buffer(self, data: bytes) -> "Packer":
        """Add bytes after their u16 length, cut to what it can tell."""
        data = data[:0xFFFF]
        self._parts.append(struct.pack("<H", len(data)) + data)
        return self

    def text(self, value: str) -> "Packer":
        """Add a text after its u16 length."""
        return self.buffer(value.replace("\0", "").encode("utf-8", "surrogateescape"))

    def entry(self) -> bytes:
        """Return the entry with its u32 length before it, which counts itself."""
        data = b"".join(self._parts)
        return struct.pack("<I", len(data) + 4) + data
