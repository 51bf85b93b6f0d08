"""Protocol Buffers' wire format, as much of it as Terraform's plugin protocol 5 needs."""

from collections.abc import Iterable

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
Value = bytes | str | int | None


def encode(*fields: tuple[int, Value]) -> bytes:
    """Encode a message; fields that are empty, zero or None are left out, as the format has it."""
    return b"".join(_field(number, value) for number, value in fields if value)


def repeated(number: int, values: Iterable[bytes]) -> list[tuple[int, Value]]:
    return [(number, value) for value in values]


def mapping(number: int, values: dict[str, bytes]) -> list[tuple[int, Value]]:
    """Encode a map as the messages of key and value that it is."""
    return [(number, encode((1, key), (2, value))) for key, value in values.items()]


def decode(data: bytes) -> dict[int, bytes]:
    """Return the bytes fields of a message by number; the last of each, numbers left out."""
    fields, at = {}, 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == _VARINT:
            _, at = _varint(data, at)
        elif kind == _BYTES:
            size, at = _varint(data, at)
            fields[key >> 3], at = data[at : at + size], at + size
        else:
            at += {_FIXED64: 8, _FIXED32: 4}[kind]
    return fields


def _field(number: int, value: Value) -> bytes:
    if isinstance(value, int):
        return _number(number << 3 | _VARINT) + _number(value)
    data = value.encode() if isinstance(value, str) else value or b""
    return _number(number << 3 | _BYTES) + _number(len(data)) + data


def _number(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 127) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 128:
            return value, at
