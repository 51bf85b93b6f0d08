"""Captures made by the tests themselves: bytes of blocks and events, and files written by the writer."""

import io
import struct
from collections.abc import Iterable, Sequence

from ingest.syscalls.call import Address, Call, Descriptor, Ends, Thread
from ingest.syscalls.interfaces import Interface
from ingest.syscalls.scap.lists import Machine
from ingest.syscalls.scap.writer import CaptureWriter
from ingest.syscalls.users import User

START = 1_700_000_000_000_000_000

SECTION = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 2, -1, 28)


def block(kind: int, body: bytes) -> bytes:
    """Return a block as it stands in a file."""
    padded = body + b"\0" * (-len(body) % 4)
    return struct.pack("<II", kind, len(padded) + 12) + padded + struct.pack("<I", len(padded) + 12)


def event(code: int, params: Sequence[bytes], tid: int = 7, time_ns: int = START, kind: int = 0x216) -> bytes:
    """Return the block of an event; of the kinds 0x204 and 0x208 without a count of parameters."""
    wide = code in (322, 324, 402)
    sizes = struct.pack(f"<{len(params)}{'I' if wide else 'H'}", *map(len, params))
    body = sizes + b"".join(params)
    if kind not in (0x204, 0x208):
        body = struct.pack("<I", len(params)) + body
    head = struct.pack("<QQIH", time_ns, tid, 22 + len(body), code)
    flags = b"\1\0\0\0" if kind in (0x208, 0x217, 0x222) else b""
    return block(kind, struct.pack("<H", 3) + flags + head + body)


def number(value: int, width: int = 8) -> bytes:
    """Return a number's bytes."""
    return (value & ((1 << 8 * width) - 1)).to_bytes(width, "little")


def text(value: str) -> bytes:
    """Return a text's bytes."""
    return value.encode() + b"\0"


def file_of(*blocks: bytes) -> io.BytesIO:
    """Return a capture file of these blocks."""
    return io.BytesIO(SECTION + b"".join(blocks))


MACHINE = Machine(4, 8 << 30, "host-1", START - 10**15)
USERS = {0: User("root", "/root", "/bin/bash"), 1000: User("ana", "/home/ana", "/bin/zsh")}
GROUPS = {0: "root", 1000: "ana"}
INTERFACES = [Interface(bytes((10, 0, 0, 5)), 24), Interface(bytes(15) + b"\1", 128)]


def threads() -> list[Thread]:
    """Return a shell with descriptors of many kinds, and a second thread of it."""
    v4 = Ends(2, Address(2, bytes((10, 0, 0, 5)), 4000), Address(2, bytes((1, 2, 3, 4)), 443))
    unix = Ends(1, Address(1), Address(1, path="/run/x.sock"), 0xFFFF888800001000, 0xFFFF888800002000)
    bound = Descriptor(6, "6", l4="tcp", address=Address(10, bytes(16), 80), server=True, listening=True)
    found = [
        Descriptor(0, "f", "/dev/null", flags=3, dev=5, ino=9),
        Descriptor(3, "4", l4="tcp", ends=v4),
        Descriptor(4, "u", "/run/x.sock", ends=unix),
        Descriptor(5, "p", "pipe:[77]", ino=77),
        bound,
        Descriptor(7, "e"),
        Descriptor(8, "d", "/tmp"),
        Descriptor(9, "n"),
    ]
    shell = Thread(
        100,
        100,
        ptid=1,
        comm="bash",
        exe="-bash",
        exe_path="/usr/bin/bash",
        args=("-i", "a b", ""),
        cwd="/home/ana",
        uid=1000,
        gid=1000,
        login_uid=1000,
        sid=100,
        pgid=100,
        vpgid=100,
        vtid=100,
        vpid=100,
        tty=34816,
        caps=(1, 2, 4),
        cgroups=(("cpu", "/user.slice"), ("", "/x")),
        env=("A=1", "PATH=/bin"),
        exe_flags=5,
        exe_ino=12,
        exe_ctime_ns=START - 2,
        exe_mtime_ns=START - 3,
        pidns_start_ns=4,
        fd_limit=1024,
        vm_size=10,
        vm_rss=5,
        vm_swap=1,
        faults_major=2,
        faults_minor=3,
    )
    shell.descriptors = {one.num: one for one in found}
    return [shell, Thread(101, 100, ptid=1, comm="worker", exe="-bash", login_uid=-1)]


def calls() -> list[Call]:
    """Return calls whose parameters have every kind of type."""
    v6 = Ends(10, Address(10, bytes(15) + b"\1", 4001), Address(10, bytes(15) + b"\2", 8080))
    unix = Ends(1, Address(1), Address(1, path="/run/x.sock"), 17, 18)
    rows: list[tuple[str, tuple[object, ...]]] = [
        ("openat", (10, -100, "etc/\udcffpasswd", 4097, 0o644, 2049, 77)),
        ("openat", (-2, 8, "missing", 1, 0, None, None)),
        ("read", (3, b"\x00a\xff", 10, 4096)),
        ("close", (0, 10)),
        ("connect", (-115, v6, 3, Address(10, bytes(15) + b"\2", 8080))),
        ("accept4", (12, unix, 0, 0, 128, 2048)),
        ("bind", (0, Address(1, path="/run/y.sock"), 3)),
        ("bind", (0, Address(16), 3)),
        ("poll", (1, ((3, 1), (4, 0x10)), -1)),
        ("kill", (-3, 200, 9)),
        ("setuid", (0, 1000)),
        ("chmod", (0, "/tmp/x", 0o4755)),
        ("nanosleep", (0, 1_500_000_000)),
        ("lseek", (5, 10, 5, 1)),
        ("mprotect", (0, 1 << 47, 4096, 7)),
        ("procinfo", (5, 6)),
        ("dup", (11, 3)),
        ("getcpu", ()),
        ("mkdir", (0, "/tmp/d", 0o755)),
        ("splice", (10, 5, 6, 100, 3)),
    ]
    made = []
    for place, (name, params) in enumerate(rows):
        made.append(Call(name, params, START + place, 100, cpu=place % 3))
    return made


def written(found: Iterable[Call], compressed: bool = False) -> bytes:
    """Return a capture file with the threads above and some calls."""
    file = io.BytesIO()
    writer = CaptureWriter(file, compressed)
    writer.machine(MACHINE)
    writer.interfaces(INTERFACES)
    writer.accounts(USERS, GROUPS)
    writer.threads(threads())
    for call in found:
        writer.call(call)
    writer.close()
    return file.getvalue()
