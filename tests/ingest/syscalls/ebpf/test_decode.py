"""Records as bytes, without a kernel: what becomes of them, damaged ones among them."""

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.syscalls.call import Address
from ingest.syscalls.ebpf.decode import Decoder
from ingest.syscalls.ebpf.header import Header, Kind, Mark
from ingest.syscalls.ebpf.numbers import COMPAT, EVENTS, NONE, NUMBERS, SUBCALLS, numbers_of
from ingest.syscalls.ebpf.params import PARAMS
from ingest.syscalls.ebpf.policy import OTHERS, STATE, STATE_NUMBERS, WANTED, entries
from ingest.syscalls.ebpf.record import BYTES, FD, HEADER, PATH, RET, TEXT
from ingest.syscalls.layouts import layout, names
from ingest.syscalls.state import State

PROCESSES = {"execve", "execveat", "clone", "clone3", "fork", "vfork"}


SINCE_EPOCH = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
BOOT_NS = 1_000_000_000_000


def part(key: int, value: bytes) -> bytes:
    return struct.pack("<BBH", key >> 8, key & 0xFF, len(value)) + value


def record(nr: int, ret: int, args: tuple[int, ...], *parts: bytes, marks: int = Mark.WANTED) -> bytes:
    body = b"".join(parts)
    head = Header(
        boot_ns=BOOT_NS, thread_start_boot_ns=5, start_boot_ns=5,
        parent_start_boot_ns=1, ret=ret, arg0=args[0], arg1=args[1], arg2=args[2], arg3=args[3], arg4=args[4],
        arg5=args[5], cgroup_id=1, tid=11, tgid=10, ppid=9, vtid=3, vpid=2, sid=1, uid=1000, euid=0, gid=100, egid=0,
        login_uid=0xFFFFFFFF, session=0xFFFFFFFF, pidns=1, nr=nr, kind=Kind.SYSCALL, marks=marks, cpu=1,
        size=len(body), comm=b"some\0",
    )  # fmt: skip
    return HEADER.pack(*head) + body


def fd_info(num: int, mode: int = 0o100644, dev: int = 8 << 20 | 1, ino: int = 77) -> bytes:
    return struct.pack("<Q8I", ino, num, mode, dev, 0, 0x100000, 0xEF53, 0, 0)


OPENAT = record(
    NUMBERS["openat"],
    3,
    (0xFFFFFFFFFFFFFF9C, 0, 0o101, 0o600, 0, 0),
    part(TEXT + 1, b"/tmp/../etc/x"),
    part(FD + RET, fd_info(3)),
    part(PATH + RET, b"/real/x"),
)


def test_an_open_has_all_its_parts() -> None:
    ((call, wanted),) = Decoder().decode(OPENAT, [0])
    assert wanted
    assert (call.name, call.tid, call.cpu) == ("openat", 11, 1)
    assert abs(call.time_ns - BOOT_NS - SINCE_EPOCH) < 3600 * 10**9  # a clock may be set while tests run
    flags = 4 | 2 | 16384  # O_CREAT, O_WRONLY, made by this open
    assert call.params == (3, -100, "/tmp/../etc/x", flags, 0o600, 0x801, 77)
    assert call.fd is not None
    assert (call.fd.name, call.fd.real_path, call.fd.typechar, call.fd.ino) == ("/etc/x", "/real/x", "f", 77)
    seen = call.seen
    assert seen is not None
    assert (seen.pid, seen.ptid, seen.uid, seen.gid, seen.login_uid, seen.comm) == (10, 9, 0, 0, -1, "some")
    assert (seen.vtid, seen.vpid, seen.sid) == (3, 2, 1)


def test_events_that_only_keep_the_tables_right_are_told_apart() -> None:
    data = record(NUMBERS["chdir"], 0, (0,) * 6, part(TEXT, b"/tmp"), marks=0)
    ((call, wanted),) = Decoder().decode(data, [0])
    assert not wanted
    assert call.params == (0, "/tmp")


def test_a_path_that_is_gone_says_so() -> None:
    data = record(0, 1, (3, 0, 1, 0, 0, 0), part(FD, fd_info(3)), part(PATH | 0x80, b"/tmp/gone"))
    ((call, _),) = Decoder().decode(data, [0])
    assert call.fd is not None
    assert call.fd.name == "/tmp/gone (deleted)"


def test_an_address_that_is_no_address_is_none() -> None:
    good = struct.pack("<H", 2) + struct.pack(">H4s", 80, b"\1\2\3\4") + bytes(8)
    for raw, expected in ((good, Address(2, b"\1\2\3\4", 80)), (b"\2", None), (b"\x10\0", Address(16))):
        data = record(NUMBERS["bind"], -22, (3, 0, 0, 0, 0, 0), part(BYTES + 1, raw))
        ((call, _),) = Decoder().decode(data, [0])
        assert call.params[1] == expected


@pytest.mark.parametrize("length", [0, 10, 175, 176, 180, len(OPENAT) - 1])
def test_a_record_that_is_cut_off_costs_itself_alone(length: int) -> None:
    decoder = Decoder()
    cut = OPENAT[:length]
    found = decoder.decode(cut + bytes(0), [0]) + decoder.decode(OPENAT, [0])
    assert len(found) == 1
    assert decoder.damaged == 1


PARTS = st.lists(
    st.builds(
        lambda tag, index, value: struct.pack("<BBH", tag, index, len(value)) + value,
        st.integers(0, 15), st.sampled_from([*range(10), 0x10, 0x20, 0x40, 0x80, 0x87]), st.binary(max_size=150),
    )
).map(b"".join)  # fmt: skip


@given(PARTS | st.binary(max_size=300), st.sampled_from(sorted(EVENTS)), st.integers(0, 6), st.integers(-200, 50))
def test_no_bytes_raise_anything(body: bytes, nr: int, kind: int, ret: int) -> None:
    head = Header._make(HEADER.unpack_from(OPENAT))._replace(nr=nr, kind=kind, size=len(body), ret=ret)
    decoder = Decoder()
    for call, _ in decoder.decode(HEADER.pack(*head) + body, [0]):
        assert isinstance(call.params, tuple)
        assert call.extra is None or isinstance(call.extra, dict)
        assert call.fd is None or isinstance(call.fd.name, str)
    state = State()
    for call, _ in decoder.decode(HEADER.pack(*head) + body, [0]):
        state.apply(call)


def test_parameters_are_as_many_as_the_layout_says() -> None:
    for name in sorted(names("syscall") - PROCESSES):
        row = layout(name)
        assert row is not None
        assert len(PARAMS[name]) == len(row.params), name


def test_every_event_has_a_number() -> None:
    assert {name for name in names("syscall") if not numbers_of(name)} == set()


def test_numbers_of_32_bit_calls_are_translated() -> None:
    assert COMPAT[5] == NUMBERS["open"]
    assert COMPAT[11] == NUMBERS["execve"]
    assert COMPAT[213] == NUMBERS["setuid"]
    assert COMPAT[22] == NUMBERS["umount"] != NUMBERS["umount2"] == COMPAT[52]
    assert COMPAT[SUBCALLS + 3] == NUMBERS["connect"]
    assert COMPAT[222] == NONE


def test_the_policy_marks_what_is_wanted_what_is_needed_and_what_32_bit_programs_mean() -> None:
    found = {number: struct.unpack_from("<I", entry)[0] for number, entry in entries([NUMBERS["open"]], 2).items()}
    assert found[NUMBERS["open"]] & (WANTED | 3) == WANTED | 2
    assert all(found[number] & STATE for number in STATE_NUMBERS)
    assert found[5] == OTHERS  # fstat of 64-bit programs, open of 32-bit ones
    assert found[NUMBERS["getppid"]] & ~OTHERS == 0
