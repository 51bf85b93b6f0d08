"""
Where the members of kernel structures are, read from the kernel's own type information (BTF).

Source of the format: Linux Documentation/bpf/btf.rst.
"""

import struct
from array import array
from collections.abc import Iterator
from pathlib import Path

BTF = Path("/sys/kernel/btf/vmlinux")

_MAGIC = 0xEB9F
_HEADER = struct.Struct("<HBBIIIII")
_TYPE = struct.Struct("<III")
_MEMBER = struct.Struct("<III")
_ARRAY = struct.Struct("<III")

_ARRAY_KIND, _STRUCT, _UNION, _ENUM = 3, 4, 5, 6
_TRANSPARENT = {8, 9, 10, 11, 18}  # typedef, volatile, const, restrict, type tag
_FIXED = {1: 4, 3: 12, 14: 4, 17: 4}  # bytes after the type: int, array, variable, declaration tag
_PER_ENTRY = {4: 12, 5: 12, 6: 8, 13: 8, 15: 12, 19: 12}  # struct, union, enum, prototype, section, 64-bit enum
_LAST_KIND = 19


class BtfError(Exception):
    """The type information cannot be read, or the kernel has no such member; the text says which."""


class Btf:
    """Type information of one kernel. Raises BtfError when ``data`` is none."""

    def __init__(self, data: bytes) -> None:
        if len(data) < _HEADER.size:
            raise BtfError("type information ends within its header")
        magic, version, _flags, header, types, types_size, strings, strings_size = _HEADER.unpack_from(data)
        if magic != _MAGIC or version != 1:
            raise BtfError("not type information of a little-endian kernel (BTF version 1)")
        if header + max(types + types_size, strings + strings_size) > len(data):
            raise BtfError("type information is cut off")
        self._data = data
        self._strings = header + strings
        self._at = array("I", [0])
        self._named: dict[tuple[bool, str], list[int]] = {}
        try:
            self._scan(header + types, header + types + types_size)
        except (struct.error, ValueError):
            raise BtfError("type information is damaged") from None

    def _scan(self, at: int, end: int) -> None:
        """Note where each type begins, and the ids of structures and enumerations by the place of their names."""
        data, places, unpack = self._data, self._at, _TYPE.unpack_from
        while at < end:
            name, info, _size = unpack(data, at)
            kind = info >> 24 & 0x1F
            if kind > _LAST_KIND:
                raise BtfError(f"type information of a kind not known: {kind}")
            if name and _STRUCT <= kind <= _ENUM:
                self._named.setdefault((kind == _ENUM, self._text(name)), []).append(len(places))
            places.append(at)
            at += 12 + _FIXED.get(kind, 0) + _PER_ENTRY.get(kind, 0) * (info & 0xFFFF)

    def _text(self, at: int) -> str:
        begin = self._strings + at
        return self._data[begin : self._data.index(b"\0", begin)].decode("ascii", "replace")

    def _find(self, name: str, enum: bool = False) -> int:
        """Return the id of the largest structure or enumeration of that name."""
        found = self._named.get((enum, name))
        if not found:
            raise BtfError(f"this kernel has no {name}")
        return max(found, key=lambda number: self._type(number)[2])

    def _type(self, number: int) -> tuple[int, int, int]:
        """Return kind, number of entries, and size or referenced type."""
        _name, info, size = _TYPE.unpack_from(self._data, self._at[number])
        return info >> 24 & 0x1F, info & 0xFFFF, size

    def _resolve(self, number: int) -> int:
        """Follow typedefs and qualifiers."""
        kind, _count, target = self._type(number)
        while kind in _TRANSPARENT:
            number = target
            kind, _count, target = self._type(number)
        return number

    def _members(self, number: int) -> Iterator[tuple[str, int, int]]:
        """Yield name, type and position in bits; members of unnamed parts as if they were the structure's own."""
        _kind, count, _size = self._type(number)
        bitfields = _TYPE.unpack_from(self._data, self._at[number])[1] >> 31
        for index in range(count):
            name, member, position = _MEMBER.unpack_from(self._data, self._at[number] + 12 + index * 12)
            bits = position & 0xFFFFFF if bitfields else position
            if name:
                yield self._text(name), member, bits
            else:
                inner = self._resolve(member)
                if self._type(inner)[0] in (_STRUCT, _UNION):
                    yield from ((each, kind, bits + more) for each, kind, more in self._members(inner))

    def _walk(self, structure: str, path: str) -> tuple[int, int]:
        """Return the position in bits and the type at the end of a path of members."""
        number, bits = self._find(structure), 0
        for part in path.split("."):
            for name, member, position in self._members(self._resolve(number)):
                if name == part:
                    number, bits = member, bits + position
                    break
            else:
                raise BtfError(f"this kernel has no {structure}.{path}")
        return bits, number

    def offset(self, structure: str, path: str) -> int:
        """Return the bytes from the start of a structure to a member, ``thread_info.status``. Raises BtfError."""
        return self._walk(structure, path)[0] // 8

    def size(self, structure: str) -> int:
        """Return the size of a structure in bytes. Raises BtfError."""
        return self._type(self._find(structure))[2]

    def element_size(self, structure: str, path: str) -> int:
        """Return the size in bytes of one element of an array of structures; 0 for a member that is none."""
        kind, _count, _size = self._type(array_type := self._resolve(self._walk(structure, path)[1]))
        if kind != _ARRAY_KIND:
            return 0
        element = self._resolve(_ARRAY.unpack_from(self._data, self._at[array_type] + 12)[0])
        return self._type(element)[2]

    def enumeration(self, name: str) -> dict[str, int]:
        """Return the numbers of an enumeration by name. Raises BtfError."""
        number = self._find(name, enum=True)
        _kind, count, _size = self._type(number)
        begin = self._at[number] + 12
        entries = (struct.unpack_from("<Ii", self._data, begin + index * 8) for index in range(count))
        return {self._text(at): value for at, value in entries}


def read_btf(path: Path = BTF) -> Btf:
    """Return the running kernel's type information. Raises BtfError when there is none."""
    try:
        return Btf(path.read_bytes())
    except OSError as error:
        raise BtfError(f"the kernel gives no type information ({path}: {error.strerror})") from None
