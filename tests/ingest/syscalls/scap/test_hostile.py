"""Damaged, cut and malicious files end in a clear message, never in a traceback, and never in much memory."""

import gzip
import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fields import Arg
from ingest.syscalls import layouts
from ingest.syscalls.layouts import layout
from ingest.syscalls.scap.blocks import CaptureError, is_capture
from ingest.syscalls.scap.codes import codes, numbers
from ingest.syscalls.scap.decode import decode
from ingest.syscalls.scap.reader import Capture
from ingest.syscalls.scap.values import TEXTS, WIDTHS
from lanner.catalog import build_catalog
from tests.ingest.syscalls.scap.made import SECTION, START, block, calls, event, file_of, number, text, written

GOOD = written(calls())


def drained(data: bytes) -> tuple[int, str]:
    """Return the number of events of a file and the message it ended in."""
    found = 0
    try:
        for decoded in decode(io.BytesIO(data)):
            found += len(decoded.events)
    except CaptureError as error:
        return found, str(error)
    return found, ""


def test_a_good_file_ends_without_a_message() -> None:
    assert drained(GOOD) == (len(calls()), "")
    assert drained(gzip.compress(GOOD, mtime=0)) == (len(calls()), "")


@given(st.integers(1, len(GOOD) - 1))
@settings(max_examples=200, deadline=None)
def test_a_file_cut_anywhere_gives_its_events_until_there(size: int) -> None:
    found, message = drained(GOOD[:size])
    assert found <= len(calls())
    assert message or found < len(calls())


@given(st.integers(1, len(gzip.compress(GOOD, mtime=0)) - 1))
@settings(max_examples=60, deadline=None)
def test_a_compressed_file_cut_anywhere_says_so(size: int) -> None:
    found, message = drained(gzip.compress(GOOD, mtime=0)[:size])
    assert found <= len(calls())
    assert message


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(1, 255)), min_size=1, max_size=8))
@settings(max_examples=400, deadline=None)
def test_a_file_with_flipped_bits_never_ends_in_a_traceback(flips: list[tuple[int, int]]) -> None:
    data = bytearray(GOOD)
    for place, bits in flips:
        data[place] ^= bits
    drained(bytes(data))


@given(st.binary(max_size=400), st.integers(0x201, 0x222))
@settings(max_examples=300, deadline=None)
def test_blocks_of_noise_never_end_in_a_traceback(noise: bytes, kind: int) -> None:
    drained(SECTION + block(kind, noise) + event(5, [number(0)]))


@given(st.integers(0, 429), st.lists(st.binary(max_size=30), max_size=35))
@settings(max_examples=400, deadline=None)
def test_events_with_any_parameters_never_end_in_a_traceback(code: int, params: list[bytes]) -> None:
    drained(written([])[:] + event(code, params, tid=100) + event(code | 1, params, tid=100))


MESSAGES = [
    (b"", "it does not begin as a capture file"),
    (b"hello world, this is text", "it does not begin as a capture file"),
    (SECTION[:8] + SECTION[11:7:-1] + SECTION[12:], "other byte order"),
    (SECTION[:12] + b"\7\0" + SECTION[14:], "its format has version 7.2"),
    (SECTION + struct.pack("<II", 0x204, 0xFFFFFFF0), "which no block of its kind has"),
    (SECTION + struct.pack("<II", 0x215, 0x7FFFFFFF), "it ends in the middle of the block at byte 28"),
    (SECTION + struct.pack("<II", 0x7777, 11), "which no block of its kind has"),
    (SECTION + struct.pack("<II", 0x204, 16) + bytes(8), "its two lengths differ"),
    (b"\x1f\x8b\x08\x00garbage and more of it", "the compressed data"),
]


@pytest.mark.parametrize(("data", "message"), MESSAGES)
def test_the_message_says_what_is_wrong_and_where(data: bytes, message: str) -> None:
    if message.startswith("it ends in the middle"):
        data = SECTION + struct.pack("<II", 0x215, 1 << 20)
    with pytest.raises(CaptureError, match=message):
        Capture(io.BytesIO(data))


def test_a_bomb_of_zeros_costs_no_memory() -> None:
    bomb = SECTION + struct.pack("<II", 0x7777, 1 << 27) + bytes(1 << 26)
    with pytest.raises(CaptureError, match="it ends in the middle"):
        Capture(io.BytesIO(gzip.compress(bomb, 1, mtime=0)))


def test_what_waits_for_an_exit_is_bounded_by_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.syscalls.scap.convert.MAX_PENDING_BYTES", 1000)
    code = numbers()["rename"] - 1
    entries = [event(4, [number(tid) + bytes(92)], tid=tid) for tid in range(50)]
    capture = Capture(file_of(*entries, event(code, [], tid=7)))
    list(capture.calls())
    assert len(capture._converter._pending) <= 11
    assert capture._converter._bytes == 100 * (len(capture._converter._pending) - 1)


def test_what_a_capture_begins_with_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    group = b"\1" + number(2, 4) + b"\1\0g"
    user = b"\1" + number(3, 4) + b"\1\0h"
    monkeypatch.setattr("ingest.syscalls.scap.reader.MAX_KNOWN", 1)
    capture = Capture(file_of(block(0x206, group + user)))
    assert (capture.groups, capture.skipped) == ({2: "g"}, {"too-many": 1})
    monkeypatch.setattr("ingest.syscalls.scap.reader.MAX_LISTS", 20)
    capture = Capture(file_of(block(0x206, group), block(0x206, user), block(0x206, user)))
    assert (capture.groups, capture.skipped) == ({2: "g"}, {"too-many": 2})


def test_a_program_is_told_with_bounded_arguments() -> None:
    params = [number(0), b"x" * 60_000, b"a\0" * 30_000]
    (call,) = Capture(file_of(event(13, params))).calls()
    assert (len(call.params[1]), len(call.params[2])) == (4096, 4096)


def test_an_error_before_the_first_event_leaves_nothing_and_one_after_it_leaves_the_events() -> None:
    assert drained(SECTION + b"\1\2\3")[0] == 0
    found, message = drained(SECTION + event(5, [number(0)]) + b"\1\2\3")
    assert (found, message) == (1, f"it ends in the middle of the block at byte {28 + len(event(5, [number(0)]))}")


def test_unknown_blocks_are_stepped_over() -> None:
    capture = Capture(
        file_of(block(0x999, b"x" * 1000), event(5, [number(0)]), block(0x5555, b"y"), event(5, [number(0)]))
    )
    assert len(list(capture.calls())) == 2


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (GOOD[:64], True),
        (gzip.compress(GOOD, mtime=0)[:200], True),
        (b"", False),
        (b'{"Records": []}', False),
        (gzip.compress(b'{"Records": []}', mtime=0), False),
        (b"\x0a\x0d\x0d\x0a" + bytes(20), False),
        (b"\x1f\x8b\x08", False),
    ],
)
def test_a_capture_is_told_by_its_first_bytes(head: bytes, expected: bool) -> None:
    assert is_capture(head) is expected


KINDS: dict[str, list[bytes]] = {
    **{
        kind: [text(word) for word in ("/etc/passwd", "a/../b", "", "..", "x" * 5000)] + [b"\xff\xfe\0"]
        for kind in TEXTS
    },
    "socktuple": [bytes([2]) + bytes(12), bytes([10]) + bytes(36), b"\1" + bytes(16) + b"/x\0", b"\1", b"\x11abc"],
    "sockaddr": [bytes([2]) + bytes(6), b"\1/x\0", bytes([10]) + bytes(18), b"\x0a"],
    "fdlist": [b"\2\0" + bytes(20), b"\xff\xff", b"\1\0" + number(3) + b"\1\0"],
}
NUMBERS = [0, 1, 3, 7, 100, 101, -1, -2, -100, -115, 1 << 31, (1 << 63) - 1]
BUFFERS = [b"a\0b\0", b"A=1\0", b"cpu=/x\0", b"=\0", bytes(40), b'{"container":{"id":5}}\0', b"{\0"]


def hostile_value(draw: st.DrawFn, kind: str) -> bytes:
    usual = [number(value, WIDTHS[kind]) for value in NUMBERS] if kind in WIDTHS else []
    usual = usual or KINDS.get(kind, BUFFERS)
    return draw(st.sampled_from([*usual, b""]) | st.binary(max_size=20))


@st.composite
def hostile_event(draw: st.DrawFn) -> bytes:
    code = draw(st.integers(0, len(codes()) - 1))
    known = codes()[code]
    shape = layout(known.name) if known is not None else None
    if known is None or shape is None:
        params = draw(st.lists(st.binary(max_size=4), max_size=3))
    elif known.params is None:
        params = [hostile_value(draw, param.type) for param in shape.params]
    else:
        params = [hostile_value(draw, KIND_OF.get(name, "uint64")) for name in known.params]
    return event(code, params, tid=draw(st.sampled_from([100, 101, 5])), time_ns=START + draw(st.integers(0, 10**10)))


KIND_OF = layouts.parameter_types()


@given(st.lists(hostile_event(), min_size=1, max_size=12))
@settings(max_examples=150, deadline=None)
def test_every_field_answers_every_hostile_event(blocks: list[bytes]) -> None:
    for decoded in decode(io.BytesIO(written([]) + b"".join(blocks))):
        for made in decoded.events:
            for field in FIELDS:
                given = [] if field.arg is Arg.NONE else [ARGUMENTS.get(field.name)]
                found = field.get(made, *given)
                if field.display and found is not None:
                    field.display(found)


FIELDS = [field for field in build_catalog("h").tables["syscall"].fields.values() if field.get]
ARGUMENTS = {"evt.arg": "fd", "evt.type.is": "open", "thread.cgroup": "cpu", "proc.env": "A", "evt.around": 5}
