"""
The bpf(2) system call, as far as the driver needs it.

Source of numbers and structures: Linux include/uapi/linux/bpf.h.
"""

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator, Sequence

_SYSCALL = 321  # x86-64
_PERF_EVENT_OPEN = 298

MAP_CREATE, MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY, PROG_LOAD = range(6)
PROG_NEXT_ID = 11
RAW_TRACEPOINT_OPEN = 17
MAP_UPDATE_BATCH = 26

ARRAY, PROG_ARRAY, PERCPU_ARRAY, RINGBUF = 2, 3, 6, 27
TRACEPOINT, RAW_TRACEPOINT = 5, 17

_LICENSE = b"GPL\0"
_LOG_SIZE = 1 << 20
_PERF_TRACEPOINT = 2
_PERF_SET_BPF = 0x40042408
_PERF_ENABLE = 0x2400
_CLOSE_ON_EXEC = 8

_libc = ctypes.CDLL(None, use_errno=True)


class BpfError(Exception):
    """The kernel refused; the text says what and why. ``number`` is the errno, ``log`` what the verifier said."""

    def __init__(self, what: str, number: int, log: str = "") -> None:
        super().__init__(f"{what}: {os.strerror(number)}")
        self.number = number
        self.log = log


def _bpf(command: int, attributes: bytes, what: str) -> int:
    """Return the result of a call. Raises BpfError."""
    buffer = ctypes.create_string_buffer(attributes, max(len(attributes), 128))
    size = max(len(attributes), 48)
    result = _libc.syscall(ctypes.c_long(_SYSCALL), ctypes.c_long(command), ctypes.byref(buffer), ctypes.c_ulong(size))
    if result < 0:
        raise BpfError(what, ctypes.get_errno())
    return int(result)


def _address(buffer: "ctypes.Array[ctypes.c_char]") -> int:
    return ctypes.addressof(buffer)


def create_map(kind: int, key: int, value: int, entries: int, flags: int, name: str) -> int:
    """Return the descriptor of a new map. Raises BpfError."""
    attributes = struct.pack("<IIIIIII16s", kind, key, value, entries, flags, 0, 0, name.encode()[:15])
    return _bpf(MAP_CREATE, attributes, f"map {name} cannot be made")


def update(map_fd: int, key: bytes, value: bytes) -> None:
    """Put a value into a map. Raises BpfError."""
    keys, values = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(value, len(value))
    attributes = struct.pack("<IIQQQ", map_fd, 0, _address(keys), _address(values), 0)
    _bpf(MAP_UPDATE, attributes, "a map cannot be written")


def update_all(map_fd: int, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
    """Put many values into a map, each at once, not all at once. Raises BpfError."""
    key_buffer, value_buffer = (
        ctypes.create_string_buffer(b"".join(keys)),
        ctypes.create_string_buffer(b"".join(values)),
    )
    attributes = struct.pack("<QQQQIIQQ", 0, 0, _address(key_buffer), _address(value_buffer), len(keys), map_fd, 0, 0)
    _bpf(MAP_UPDATE_BATCH, attributes, "a map cannot be written")


def delete(map_fd: int, key: bytes) -> bool:
    """Take a key out of a map; tell whether it was there."""
    keys = ctypes.create_string_buffer(key, len(key))
    try:
        _bpf(MAP_DELETE, struct.pack("<IIQ", map_fd, 0, _address(keys)), "a map cannot be written")
    except BpfError as error:
        if error.number == errno.ENOENT:
            return False
        raise
    return True


def lookup(map_fd: int, key: bytes, size: int) -> bytes:
    """Return a value of ``size`` bytes; of maps per processor, those of all. Raises BpfError."""
    keys, values = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(size)
    attributes = struct.pack("<IIQQQ", map_fd, 0, _address(keys), _address(values), 0)
    _bpf(MAP_LOOKUP, attributes, "a map cannot be read")
    return values.raw


def processors() -> int:
    """Return how many values a map per processor holds: one for each processor that could be there."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        return sum(int(last or first) - int(first) + 1 for first, _, last in _ranges(file.read()))


def _ranges(text: str) -> Iterator[tuple[str, str, str]]:
    return (part.partition("-") for part in text.strip().split(","))


def load_program(kind: int, code: bytes, name: str) -> int:
    """Return the descriptor of a program the verifier accepted. Raises BpfError, with the verifier's words."""
    try:
        return _load(kind, code, name, None)
    except BpfError as error:
        if error.number == errno.EPERM:
            raise
    log = ctypes.create_string_buffer(_LOG_SIZE)
    try:
        return _load(kind, code, name, log)
    except BpfError as error:
        error.log = log.value.decode("utf-8", "replace")
        raise


def _load(kind: int, code: bytes, name: str, log: "ctypes.Array[ctypes.c_char] | None") -> int:
    instructions = ctypes.create_string_buffer(code, len(code))
    license_ = ctypes.create_string_buffer(_LICENSE)
    logging = (1, _LOG_SIZE, _address(log)) if log else (0, 0, 0)
    attributes = struct.pack(
        "<IIQQIIQII16s",
        kind,
        len(code) // 8,
        _address(instructions),
        _address(license_),
        *logging,
        0,
        0,
        name.encode()[:15],
    )
    return _bpf(PROG_LOAD, attributes, f"program {name} cannot be loaded")


def attach_raw(program: int, tracepoint: str) -> int:
    """Return the descriptor that keeps a program at a raw tracepoint. Raises BpfError."""
    name = ctypes.create_string_buffer(tracepoint.encode())
    return _bpf(RAW_TRACEPOINT_OPEN, struct.pack("<QI", _address(name), program), f"{tracepoint} cannot be attached to")


def attach_tracepoint(program: int, number: int) -> int:
    """Return the descriptor that keeps a program at the tracepoint of that number in tracefs. Raises BpfError."""
    attributes = ctypes.create_string_buffer(
        struct.pack("<IIQQQQQ", _PERF_TRACEPOINT, 112, number, 1, 0, 0, 0).ljust(112, b"\0"), 112
    )
    fd = _libc.syscall(
        ctypes.c_long(_PERF_EVENT_OPEN),
        ctypes.byref(attributes),
        ctypes.c_long(-1),
        ctypes.c_long(0),
        ctypes.c_long(-1),
        ctypes.c_ulong(_CLOSE_ON_EXEC),
    )
    if fd < 0:
        raise BpfError(f"tracepoint {number} cannot be opened", ctypes.get_errno())
    try:
        fcntl.ioctl(fd, _PERF_SET_BPF, program)
        fcntl.ioctl(fd, _PERF_ENABLE, 0)
    except OSError as error:
        os.close(fd)
        raise BpfError(f"tracepoint {number} cannot be attached to", error.errno or 0) from None
    return int(fd)


def program_ids() -> list[int]:
    """Return the ids of all programs in the kernel. Raises BpfError."""
    ids: list[int] = []
    last = 0
    while True:
        buffer = ctypes.create_string_buffer(struct.pack("<II", last, 0), 128)
        result = _libc.syscall(
            ctypes.c_long(_SYSCALL), ctypes.c_long(PROG_NEXT_ID), ctypes.byref(buffer), ctypes.c_ulong(16)
        )
        if result < 0:
            if ctypes.get_errno() == errno.ENOENT:
                return ids
            raise BpfError("programs cannot be listed", ctypes.get_errno())
        last = struct.unpack_from("<I", buffer, 4)[0]
        ids.append(last)


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors; what only they held leaves the kernel."""
    for fd in fds:
        os.close(fd)
