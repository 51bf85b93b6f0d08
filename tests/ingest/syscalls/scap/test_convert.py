"""Events of old captures become those of today: the exit gets what the entry told, new parameters are empty."""

import json
import struct

import pytest

from ingest.syscalls import events
from ingest.syscalls.call import Address, Call, Ends
from ingest.syscalls.layouts import layout
from ingest.syscalls.scap.codes import CALLS, call_numbers, codes, numbers
from ingest.syscalls.scap.reader import Capture
from tests.ingest.syscalls.scap.made import event, file_of, number, text


def calls_of(*blocks: bytes) -> list[Call]:
    return list(Capture(file_of(*blocks)).calls())


def told(call: Call) -> dict[str, object]:
    known = layout(call.name)
    return {param.name: value for param, value in zip(known.params, call.params, strict=False)}


def test_what_the_entry_told_goes_to_the_exit_of_the_same_thread() -> None:
    calls = calls_of(
        event(4, [number(3)], tid=7),
        event(4, [number(9)], tid=8),
        event(5, [number(0)], tid=8),
        event(5, [number(-9)], tid=7),
    )
    assert [(call.tid, call.name, call.params) for call in calls] == [(8, "close", (0, 9)), (7, "close", (-9, 3))]
    assert [call.num for call in calls] == [1, 2]


def test_a_switch_between_entry_and_exit_does_not_lose_the_entry() -> None:
    calls = calls_of(
        event(6, [number(3), number(10, 4)]), event(152, [number(9)] + [b""] * 5), event(7, [number(4), b"data"])
    )
    assert calls[1].params == (4, b"data", 3, 10)


@pytest.mark.parametrize("entry", [[], [event(6, [number(3), number(10, 4)])], [event(4, [number(3)], tid=99)]])
def test_an_exit_without_its_entry_keeps_what_it_told_itself(entry: list[bytes]) -> None:
    (call,) = calls_of(*entry, event(5, [number(0)]))
    assert told(call) == {"res": 0, "fd": None}


def test_entries_that_falco_counts_are_counted_and_not_shown() -> None:
    path = [text("/etc/passwd"), number(1, 4), number(0, 4)]
    calls = calls_of(
        event(2, path), event(3, [number(3), *path, number(5, 4)]), event(4, [number(3)]), event(5, [number(0)])
    )
    assert [(call.name, call.num) for call in calls] == [("open", 2), ("close", 3)]
    assert told(calls[0]) == {"fd": 3, "name": "/etc/passwd", "flags": 1, "mode": 0, "dev": 5, "ino": None}


OLD = [
    pytest.param(102, 103, [number(-100), text("a"), number(1, 4), number(0, 4)], [number(4)], "openat",
                 {"fd": 4, "dirfd": -100, "name": "a", "flags": 1, "mode": 0, "dev": None, "ino": None}, id="openat"),
    pytest.param(104, 105, [text("/a"), text("/b")], [number(0)], "link",
                 {"res": 0, "oldpath": "/a", "newpath": "/b"}, id="link"),
    pytest.param(110, 111, [number(-100), text("x")], [number(-2)], "unlinkat",
                 {"res": -2, "dirfd": -100, "name": "x", "flags": None}, id="unlinkat"),
    pytest.param(124, 125, [number(3)], [number(4)], "dup", {"res": 4, "oldfd": 3}, id="dup"),
    pytest.param(248, 249, [number(2048, 4)], [number(5), b"", number(1, 1), number(2, 4), number(3, 4)], "accept4",
                 {"fd": 5, "tuple": None, "queuepct": 1, "queuelen": 2, "queuemax": 3, "flags": 2048}, id="accept4"),
    pytest.param(26, 27, [], [number(5), b"", number(1, 1)], "accept",
                 {"fd": 5, "tuple": None, "queuepct": 1, "queuelen": 0, "queuemax": 0}, id="accept"),
    pytest.param(296, 297, [number(5)], [number(9)], "bpf", {"fd": 9, "cmd": 5}, id="bpf"),
    pytest.param(18, 19, [number(2, 4), number(1, 4), number(6, 4)], [number(3)], "socket",
                 {"fd": 3, "domain": 2, "type": 1, "proto": 6, "flags": 0}, id="socket"),
    pytest.param(150, 151, [number(3), number(2, 1)], [number(0)], "fcntl",
                 {"res": 0, "fd": 3, "cmd": 2, "arg": 0}, id="fcntl"),
    pytest.param(98, 99, [text("/d"), number(0o755, 4)], [number(0)], "mkdir",
                 {"res": 0, "path": "/d", "mode": 0o755}, id="mkdir"),
    pytest.param(188, 189, [number(4), number(5), number(6), number(7)], [number(7), number(13)], "sendfile",
                 {"res": 7, "offset": 13, "out_fd": 4, "in_fd": 5, "size": 7}, id="sendfile"),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "code", "before", "after", "name", "expected"), OLD)
def test_an_old_event_has_the_parameters_of_today(entry, code, before, after, name, expected) -> None:
    (call,) = calls_of(event(entry, before, kind=0x204), event(code, after, kind=0x204))
    assert call.name == name
    assert told(call) == expected


EXEC = ["res", "exe", "args", "tid", "pid", "ptid", "cwd", "fdlimit"]


def test_the_oldest_exec_and_clone_keep_their_parameters_by_name() -> None:
    first = [number(0), text("ls"), b"-l\0", number(7), number(7), number(1), text("/"), number(1024)]
    execve, clone = calls_of(event(13, first), event(15, [*first, number(8192, 4), number(5, 4), number(6, 4)]))
    found = told(execve)
    assert [found[name] for name in EXEC] == [0, "ls", b"-l\0", 7, 7, 1, "/", 1024]
    assert all(found[name] is None for name in found if name not in EXEC)
    assert (told(clone)["flags"], told(clone)["uid"], told(clone)["gid"], told(clone)["comm"]) == (8192, 5, 6, None)


def test_exec_of_2019_gets_its_file_name_from_the_entry() -> None:
    params = [number(0), text("ls"), b"", number(7), number(7), number(1), text("/"), number(1024)]
    params += [number(0)] * 2 + [number(0, 4)] * 3 + [text("ls"), b"", b"", number(0, 4), number(7), number(1000, 4)]
    (call,) = calls_of(event(292, [text("/bin/ls")]), event(293, params))
    found = told(call)
    assert (found["vpgid"], found["loginuid"], found["filename"], found["flags"]) == (7, 1000, "/bin/ls", None)


def test_events_that_are_no_calls_have_only_what_they_told() -> None:
    (call,) = calls_of(event(186, [number(0)]))
    assert (call.name, call.params) == ("procexit", (0,))


def test_calls_that_told_nothing_have_no_parameters() -> None:
    code = numbers()["setsockopt"]
    (call,) = calls_of(event(code - 1, []), event(code, []))
    assert (call.name, call.params) == ("setsockopt", ())


def test_calls_known_by_name_only_are_named_by_either_number() -> None:
    calls = calls_of(
        event(0, [number(75, 2), number(10, 2)]), event(1, [number(75, 2)]),
        event(0, [number(0, 2), number(221, 2)]), event(1, [number(0, 2)]),
        event(1, [number(9999, 2)]),
    )  # fmt: skip
    assert [(call.name, call.params) for call in calls] == [("mprotect", ()), ("fadvise64", ()), ("unknown", ())]


def test_a_note_on_a_container_tells_the_state_and_is_no_event() -> None:
    old = [text("0123456789ab"), number(0, 4), text("web"), text("nginx:1")]
    one, other = calls_of(event(228, old), event(272, [text('{"id":"x"}')]))
    assert (one.name, one.num, other.num) == ("container", 0, 0)
    assert json.loads(one.params[0]) == {"id": "0123456789ab", "type": 0, "name": "web", "image": "nginx:1"}
    assert other.params == ('{"id":"x"}',)


def test_what_the_container_plugin_tells_is_a_note_on_a_container_and_an_event() -> None:
    note = b'{"container":{"id":"abc"}}\0'
    calls = calls_of(
        event(402, [number(5, 4), text("container"), note], kind=0x221),
        event(402, [number(5, 4), text("container_removed"), note], kind=0x221),
        event(402, [number(5, 4), text("other"), b"x"], kind=0x221),
    )
    assert [(call.name, call.params, call.num) for call in calls] == [
        ("container", (note[:-1].decode(),), 1),
        ("container_removed", (), 2),
        ("asyncevent", (5, "other", b"x"), 3),
    ]


def test_addresses_and_ends_are_read() -> None:
    v4 = bytes((2, 10, 0, 0, 1)) + number(4000, 2) + bytes((1, 2, 3, 4)) + number(443, 2)
    unix = b"\1" + number(17) + number(18) + text("/run/x")
    calls = calls_of(
        event(23, [number(0), v4, number(3), v4[:1] + v4[7:]]),
        event(23, [number(0), unix]),
        event(23, [number(0), v4[:9]]),
    )
    ends = Ends(2, Address(2, bytes((10, 0, 0, 1)), 4000), Address(2, bytes((1, 2, 3, 4)), 443))
    assert calls[0].params == (0, ends, 3, Address(2, bytes((1, 2, 3, 4)), 443))
    assert calls[1].params[1] == Ends(1, Address(1), Address(1, path="/run/x"), 17, 18)
    assert calls[2].params[1] is None


@pytest.mark.parametrize("kind", [0x204, 0x208, 0x216, 0x217, 0x221, 0x222])
def test_every_frame_of_an_event_is_read(kind: int) -> None:
    (call,) = calls_of(event(175, [number(0), text("/a"), text("/b")], kind=kind))
    assert (call.name, call.params, call.cpu, call.tid) == ("rename", (0, "/a", "/b"), 3, 7)


def test_a_large_payload_has_wide_lengths() -> None:
    (call,) = calls_of(event(322, [number(999, 4), b"x" * 100_000], kind=0x221))
    assert call.params == (999, b"x" * 100_000)


def test_unknown_numbers_are_counted_and_left_out() -> None:
    capture = Capture(file_of(event(60_000, []), event(269, []), event(5, [number(0)])))
    assert [call.name for call in capture.calls()] == ["close"]
    assert capture.skipped == {"unknown-event": 2}


def test_lengths_that_contradict_each_other_cost_the_event_alone() -> None:
    good = event(5, [number(0)])
    bad = bytearray(good)
    struct.pack_into("<H", bad, 8 + 2 + 26, 60_000)
    capture = Capture(file_of(bytes(bad), good))
    assert len(list(capture.calls())) == 1
    assert capture.skipped == {"damaged-event": 1}


def test_entries_that_never_end_are_forgotten_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.syscalls.scap.convert.MAX_PENDING", 10)
    blocks = [event(4, [number(3)], tid=tid) for tid in range(50)]
    calls = calls_of(*blocks, event(5, [number(0)], tid=0), event(5, [number(0)], tid=49))
    assert [call.params for call in calls] == [(0, None), (0, 3)]


def test_numbers_are_consistent() -> None:
    for name, code in numbers().items():
        known = layout(name)
        assert known is not None
        assert code % 2 == (known.kind == "syscall"), name
    assert len(codes()) == 430
    assert set(CALLS) - {"-"} <= events.NAMES
    assert call_numbers()["setuid"] == CALLS.index("setuid")
