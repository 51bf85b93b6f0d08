"""The seccomp program that hands some system calls to the tracer and lets all others pass at full speed."""

import struct
from collections.abc import Iterable

from ingest.syscalls.ptrace.kernel import ARCH_X86_64

_LOAD, _EQUAL, _AT_LEAST, _JUMP, _RETURN = 0x20, 0x15, 0x35, 0x05, 0x06
_NUMBER_AT, _ARCH_AT = 0, 4
_TRACE, _ALLOW = 0x7FF00000, 0x7FFF0000
_X32 = 0x40000000

Instruction = tuple[int, int, int, int]


def program(numbers: Iterable[int]) -> bytes:
    """
    Return a program that hands calls of these numbers to the tracer.

    So are all calls of 32-bit programs, and of 64-bit ones that call as if they were: what they mean is told later.
    """
    head: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, ARCH_X86_64),
        (_RETURN, 0, 0, _TRACE),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    bounds = _bounds(sorted(set(numbers)))
    tree = _tree([*bounds, _X32], 0, len(bounds) + 1)
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in head + tree)


def _bounds(numbers: list[int]) -> list[int]:
    """Return where traced and untraced numbers meet: each first traced one, and each first after it."""
    bounds: list[int] = []
    for number in numbers:
        if bounds and bounds[-1] == number:
            bounds[-1] = number + 1
        else:
            bounds += [number, number + 1]
    return bounds


def _tree(bounds: list[int], first: int, last: int) -> list[Instruction]:
    """Return a search for the region of a number; regions are between bounds, every second one is traced."""
    if first == last:
        return [(_RETURN, 0, 0, _TRACE if first % 2 else _ALLOW)]
    middle = (first + last + 1) // 2
    left, right = _tree(bounds, first, middle - 1), _tree(bounds, middle, last)
    return [(_AT_LEAST, 0, 1, bounds[middle - 1]), (_JUMP, 0, 0, len(left)), *left, *right]
