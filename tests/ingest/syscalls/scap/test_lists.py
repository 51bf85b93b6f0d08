"""The lists before the events: every version of an entry is read, what is cut costs only itself."""

import io
import struct

import pytest

from ingest.syscalls.call import Descriptor
from ingest.syscalls.interfaces import Interface
from ingest.syscalls.scap.blocks import PROCESSES
from ingest.syscalls.scap.reader import Capture
from ingest.syscalls.threads import ThreadTable
from ingest.syscalls.users import User
from tests.ingest.syscalls.scap.made import (
    GROUPS,
    INTERFACES,
    MACHINE,
    USERS,
    block,
    calls,
    file_of,
    number,
    threads,
    written,
)


def buffer(data: bytes) -> bytes:
    return struct.pack("<H", len(data)) + data


def entry(version: int) -> bytes:
    """Return a process as the list of a version has it, without a length."""
    parts = [number(5), number(4), number(1)]
    parts += [number(2)] if version >= 6 else []
    parts += [number(3)] if version >= 8 else []
    parts += [buffer(b"sh"), buffer(b"-sh")]
    parts += [buffer(b"/bin/sh")] if version >= 7 else []
    parts += [buffer(b"-c\0ls\0"), buffer(b"/home/"), number(1024), number(0, 4), number(1000, 4), number(100, 4)]
    if version >= 2:
        parts += [number(10, 4), number(11, 4), number(12, 4), number(13), number(14)]
    parts += [buffer(b"A=1\0B=2\0")] if version >= 3 else []
    parts += [number(50), number(40), buffer(b"cpu=/a=b\0name=systemd=/c\0bad\0")] if version >= 4 else []
    parts += [buffer(b"/jail")] if version >= 5 else []
    return b"".join(parts)


@pytest.mark.parametrize("version", range(1, 10))
def test_every_version_of_a_process_is_read(version: int) -> None:
    body = entry(version)
    if version == 9:
        body = number(len(body) + 4, 4) + body
    capture = Capture(file_of(block(PROCESSES[version - 1], body + body.replace(number(5), number(6), 1))))
    assert list(capture.threads) == [5, 6]
    found = capture.threads[5]
    assert (found.tid, found.pid, found.ptid, found.comm, found.exe, found.args) == (5, 4, 1, "sh", "-sh", ("-c", "ls"))
    assert (found.cwd, found.fd_limit, found.uid, found.gid) == ("/home", 1024, 1000, 100)
    assert found.sid == (2 if version >= 6 else -1)
    assert found.vpgid == (3 if version >= 8 else -1)
    assert found.exe_path == ("/bin/sh" if version >= 7 else "")
    assert (found.vm_size, found.faults_minor) == ((10, 14) if version >= 2 else (0, 0))
    assert found.env == (("A=1", "B=2") if version >= 3 else ())
    assert (found.vtid, found.vpid) == ((50, 40) if version >= 4 else (-1, -1))
    assert found.cgroups == ((("cpu", "/a=b"), ("name=systemd", "/c"), ("bad", "")) if version >= 4 else ())
    assert found.root == ("/jail" if version >= 5 else "/")
    assert not capture.skipped


def test_entries_may_be_longer_than_what_is_known_of_them() -> None:
    body = entry(9) + number(7) + number(34816, 4) + number(1000, 4) + b"\1" + number(1) + number(2) + number(4)
    body += b"\0" + number(9) + number(8) + number(7) + b"\1\0" + number(33) + b"what comes after"
    capture = Capture(file_of(block(0x215, number(len(body) + 4, 4) + body)))
    found = capture.threads[5]
    assert (found.pidns_start_ns, found.tty, found.login_uid, found.exe_flags, found.caps) == (
        7,
        34816,
        1000,
        5,
        (1, 2, 4),
    )
    assert (found.exe_ino, found.exe_ctime_ns, found.exe_mtime_ns, found.pgid) == (9, 8, 7, 33)


def test_old_accounts_interfaces_and_descriptors_have_no_lengths() -> None:
    user = b"\0" + number(1, 4) + number(2, 4) + buffer(b"ana") + buffer(b"/home/ana") + buffer(b"/bin/sh")
    group = b"\1" + number(2, 4) + buffer(b"staff")
    v4 = struct.pack("<HH", 1, 2) + b"\x7f\0\0\1" + b"\xff\0\0\0" + bytes(12) + b"lo"
    v6 = struct.pack("<HH", 2, 2) + bytes(15) + b"\1" + b"\xff" * 16 + bytes(24) + b"lo"
    file = number(3) + number(9) + b"\x10" + number(1, 4) + buffer(b"/etc/passwd")
    pipe = number(4) + number(8) + b"\7" + buffer(b"pipe:[8]")
    capture = Capture(
        file_of(
            block(0x206, user + group),
            block(0x205, v4 + v6),
            block(0x202, entry(1)),
            block(0x203, number(5) + file + pipe),
            block(0x203, number(999) + file),
        )
    )
    assert capture.users == {1: User("ana", "/home/ana", "/bin/sh")}
    assert capture.groups == {2: "staff"}
    assert capture.interfaces == [Interface(b"\x7f\0\0\1", 8), Interface(bytes(15) + b"\1", 128)]
    assert capture.threads[5].descriptors == {
        3: Descriptor(3, "f", "/etc/passwd", flags=1, ino=9),
        4: Descriptor(4, "p", "pipe:[8]", ino=8),
    }


def test_the_first_years_had_other_numbers_for_blocks() -> None:
    capture = Capture(file_of(block(0x8000ABCE, entry(1))))
    assert list(capture.threads) == [5]


def test_what_the_writer_wrote_is_read_back() -> None:
    capture = Capture(io.BytesIO(written(calls())))
    assert capture.machine == MACHINE
    assert (capture.users, capture.groups, capture.interfaces) == (USERS, GROUPS, INTERFACES)
    assert list(capture.threads.values()) == threads()


def test_a_table_of_threads_starts_as_the_machine_was() -> None:
    table = Capture(io.BytesIO(written([]))).table()
    assert isinstance(table, ThreadTable)
    shell = table.get(100)
    assert shell is not None
    assert shell.comm == "bash"
    assert table.accounts.user("", 1000, 100) == USERS[1000]
    assert table.accounts.group("", 1000, 100) == "ana"
    assert table.interfaces.is_local(bytes((10, 0, 0, 5)))


@pytest.mark.parametrize("cut", [1, 20, 60, 90])
def test_a_list_that_is_cut_keeps_what_came_before(cut: int) -> None:
    body = entry(5) + entry(5).replace(number(5), number(6), 1)[:-cut]
    capture = Capture(
        file_of(block(0x211, body[: len(body) // 4 * 4]), block(0x206, b"\1" + number(2, 4) + buffer(b"staff")))
    )
    assert list(capture.threads) == [5]
    assert capture.skipped == {"damaged-list": 1}
    assert capture.groups == {2: "staff"}
