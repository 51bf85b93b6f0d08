"""The calls of the kernel that a tracer needs, through ctypes; x86-64 Linux."""

import ctypes
import os
import struct
from functools import cache
from typing import NamedTuple

ARCH_X86_64 = 0xC000003E

CONT, SYSCALL, GETEVENTMSG, SEIZE, LISTEN, GET_SYSCALL_INFO = 7, 24, 0x4201, 0x4206, 0x4208, 0x420E
FORK, VFORK, CLONE, EXEC, EXIT, SECCOMP, STOP = 1, 2, 3, 4, 6, 7, 128
OPTIONS = 1 | 1 << FORK | 1 << VFORK | 1 << CLONE | 1 << EXEC | 1 << EXIT | 1 << SECCOMP | 0x100000
"""Stops of system calls are marked, births, execs and exits are told, and no traced process outlives its tracer."""

ANY_CHILD = 0x40000000 | 0x20000000
"""Options for waitpid: threads too, and only what this thread started or traces."""

_INFO_SIZE = 96
_INFO = struct.Struct("<B3xIQQ7Q")
_EXIT_INFO = struct.Struct("<B3xIQQqB")
_AT_EXIT = 2
_PAGE = 4096
_PIDFD_GETFD = 438


class Entered(NamedTuple):
    """
    A system call that a thread entered.

    Attributes:
        arch: Whose numbers it uses.
        number: Its number there.
        args: Its six arguments, unsigned.
    """

    arch: int
    number: int
    args: tuple[int, ...]


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    pointer, number = ctypes.c_void_p, ctypes.c_ulong
    libc.process_vm_readv.argtypes = [ctypes.c_long, pointer, number, pointer, number, number]
    libc.process_vm_readv.restype = ctypes.c_ssize_t
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_long, ctypes.c_long]
    libc.syscall.restype = ctypes.c_long
    return libc


def ptrace(request: int, tid: int, address: int = 0, data: int = 0) -> int:
    """Call ptrace; raises OSError, ProcessLookupError for a thread that is gone."""
    found: int = _libc().ptrace(request, tid, address, data)
    if found == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return found


def event_message(tid: int) -> int:
    """Return what an event of a stopped thread told: a new thread's id, an exit code."""
    found = ctypes.c_ulong()
    ptrace(GETEVENTMSG, tid, 0, ctypes.addressof(found))
    return found.value


def _info(tid: int) -> bytes:
    buffer = ctypes.create_string_buffer(_INFO_SIZE)
    ptrace(GET_SYSCALL_INFO, tid, _INFO_SIZE, ctypes.addressof(buffer))
    return buffer.raw


def entered(tid: int) -> Entered:
    """Return the call that a stopped thread is about to make."""
    _, arch, _, _, number, *args = _INFO.unpack_from(_info(tid))
    return Entered(arch, number, tuple(args))


def result(tid: int) -> int | None:
    """Return the result of the call that a stopped thread made; None when it stopped elsewhere."""
    operation, _, _, _, value, _ = _EXIT_INFO.unpack_from(_info(tid))
    return int(value) if operation == _AT_EXIT else None


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("size", ctypes.c_size_t))


def read(tid: int, address: int, size: int) -> bytes:
    """Return memory of a traced thread, less at the end of what is mapped; b"" when nothing can be read."""
    if size <= 0 or not 0 < address < 1 << 63:
        return b""
    buffer = ctypes.create_string_buffer(size)
    ours = _Vector(ctypes.addressof(buffer), size)
    pages = _pages(address, size)
    theirs = (_Vector * len(pages))(*(_Vector(*page) for page in pages))
    found = _libc().process_vm_readv(tid, ctypes.addressof(ours), 1, ctypes.addressof(theirs), len(pages), 0)
    return buffer.raw[:found] if found > 0 else b""


def _pages(address: int, size: int) -> list[tuple[int, int]]:
    """Cut a range at the borders of pages, since what is read in part is whole pieces."""
    pieces = []
    while size:
        piece = min(size, _PAGE - address % _PAGE)
        pieces.append((address, piece))
        address, size = address + piece, size - piece
    return pieces


def read_text(tid: int, address: int, limit: int = 4096) -> bytes | None:
    """Return the bytes of a text before its NUL, as far as the limit; None when it cannot be read."""
    found = b""
    while len(found) < limit:
        part = read(tid, address + len(found), min(256, limit - len(found)))
        end = part.find(b"\0")
        if end >= 0:
            return found + part[:end]
        if not part:
            return None
        found += part
    return found


def borrow(pid: int, number: int) -> int:
    """Return a copy of a traced process's descriptor; raises OSError. The caller closes it."""
    process = os.pidfd_open(pid)
    try:
        found: int = _libc().syscall(_PIDFD_GETFD, process, number, 0)
        if found == -1:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return found
    finally:
        os.close(process)
