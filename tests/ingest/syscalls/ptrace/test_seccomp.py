"""The seccomp program hands exactly the chosen calls to the tracer."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from ingest.syscalls.ptrace.kernel import ARCH_X86_64
from ingest.syscalls.ptrace.seccomp import program

TRACE, ALLOW = 0x7FF00000, 0x7FFF0000
I386 = 0x40000003


def decide(code: bytes, number: int, arch: int = ARCH_X86_64) -> tuple[int, int]:
    """Run a program as the kernel does; returns its decision and how many instructions it took."""
    loaded = {0: number, 4: arch}
    accumulator = at = steps = 0
    while True:
        kind, if_true, if_false, value = struct.unpack_from("<HBBI", code, at * 8)
        at, steps = at + 1, steps + 1
        if kind == 0x20:
            accumulator = loaded[value]
        elif kind == 0x15:
            at += if_true if accumulator == value else if_false
        elif kind == 0x35:
            at += if_true if accumulator >= value else if_false
        elif kind == 0x05:
            at += value
        else:
            assert kind == 0x06
            return value, steps


@given(st.sets(st.integers(0, 500)))
def test_exactly_the_chosen_calls_are_traced(numbers: set[int]) -> None:
    code = program(numbers)
    for number in range(520):
        assert decide(code, number)[0] == (TRACE if number in numbers else ALLOW), number


def test_all_calls_of_other_architectures_are_traced() -> None:
    code = program({1})
    assert decide(code, 2, I386)[0] == TRACE
    assert decide(code, 0x40000002)[0] == TRACE
    assert decide(code, 2)[0] == ALLOW


def test_the_decision_takes_few_instructions() -> None:
    code = program(range(0, 460, 2))
    assert max(decide(code, number)[1] for number in range(500)) < 30
