"""Parameters of calls of all kinds on a real kernel, each in the place and numbering of its layout."""

import os

import pytest

from ingest.syscalls.ebpf.params import PARAMS
from ingest.syscalls.flags import constants
from ingest.syscalls.layouts import layout
from tests.ingest.syscalls.ebpf.live import Watch, needs_ebpf

pytestmark = needs_ebpf
PRELUDE = """
import ctypes, os, resource, signal, struct
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    return libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in (number, *args)))
"""
M1 = 2**64 - 1


def flag(table: str, *words: str) -> int:
    return sum(constants(table)[word] for word in words)


CASES = [
    ("kill", "os.kill(os.getpid(), 0)", (0, "PID", 0)),
    ("tgkill", "call(234, os.getpid(), os.getpid(), 0)", (0, "PID", "PID", 0)),
    ("setpgid", "os.setpgid(0, 0)", (0, 0, 0)),
    ("setsid", "os.setsid()", ("PID",)),
    ("setuid", "os.setuid(0)", (0, 0)),
    ("setgid", "os.setgid(0)", (0, 0)),
    ("setreuid", "os.setreuid(0, 0)", (0, 0, 0)),
    ("getresuid", "os.getresuid()", (0, 0, 0, 0)),
    ("geteuid", "os.geteuid()", (0,)),
    ("getcwd", "os.chdir('/usr'); os.getcwd()", (5, "/usr")),
    ("chdir", "os.chdir('/usr/../etc')", (0, "/usr/../etc")),
    ("chroot", "os.chroot('/')", (0, "/")),
    ("access", "os.access('/etc', os.R_OK | os.X_OK)", (0, "/etc", 5)),
    ("umount2", "call(166, b'/nowhere', 8)", (-2, "/nowhere", flag("umount_flags", "NOFOLLOW"))),
    ("mount", "call(165, b'a', b'/nowhere', b'b', 0x1001, None)", (-2, "a", "/nowhere", "b", 0x1001)),
    ("setns", "call(308, 999, 0x20000)", (-9, 999, flag("clone_flags", "CLONE_NEWNS"))),
    ("unshare", "call(272, 0x400)", (0, flag("clone_flags", "CLONE_FILES"))),
    ("bpf", "call(321, 999, None, 0)", (-22, 999)),
    ("init_module", "call(175, b'image', 5, b'args')", ("ERROR", b"image", 5, "args")),
    ("finit_module", "call(313, 999, b'args', 1)", ("ERROR", 999, "args", 1)),
    ("delete_module", "call(176, b'none', 0o4000)", ("ERROR", "none", flag("delete_module_flags", "O_NONBLOCK"))),
    ("prctl", "call(157, 15, b'new-name')", (0, 15, "new-name", "ANY")),
    ("seccomp", "call(317, 99, 3, None)", (-22, 99, 3)),
    ("keyctl", "call(250, 999, 1, 2, 3, 4)", ("ERROR", 999, 1, 2, 3, 4)),
    ("ioctl", "call(16, 0, 0x5413, 7)", ("ERROR", 0, 0x5413, 7)),
    ("fcntl", "call(72, 0, 1, 50)", ("ANY", 0, flag("fcntl_commands", "F_GETFD"), 50)),
    ("flock", "call(73, 0, 2)", (0, 0, flag("flock_flags", "LOCK_EX"))),
    ("mprotect", "call(10, 4096, 1, 5)", ("ERROR", 4096, 1, flag("prot_flags", "PROT_READ", "PROT_EXEC"))),
    ("munlockall", "call(152)", (0,)),
    ("dup3", "call(292, 0, 40, 0o2000000)", (40, 0, 40, flag("file_flags", "O_CLOEXEC"))),
    ("prlimit", "resource.prlimit(0, 7, (100, 200))", (0, 100, 200, "ANY", "ANY", 0, 7)),
    ("process_vm_readv", "call(310, 1, None, 0, None, 0, 0)", ("ANY", 1, None)),
    ("openat2", "call(437, -100, b'/etc', struct.pack('<QQQ', 0o200000, 0, 4), 24)",
     ("ANY", -100, "/etc", flag("file_flags", "O_RDONLY", "O_DIRECTORY", "O_TMPFILE"), 0,
      flag("openat2_flags", "RESOLVE_NO_SYMLINKS"), "ANY", "ANY")),
    ("copy_file_range", "call(326, 998, None, 999, None, 10, 0)", (-9, 999, 0, 998, 0, 10)),
    ("close_range", "call(436, 900, 999, 4)", (0, 900, 999, flag("close_range_flags", "CLOSE_RANGE_CLOEXEC"))),
    ("memfd_create", "call(319, b'name', 1)", ("ANY", "name", flag("memfd_create_flags", "MFD_CLOEXEC"))),
    ("pidfd_open", "os.pidfd_open(os.getpid())", ("ANY", "PID", 0)),
    ("nanosleep", "call(35, struct.pack('<QQ', 0, 5000), None)", (0, 5000)),
    ("futex", "call(202, ctypes.create_string_buffer(4), 129, 3)", (0, "ANY", 129, 3)),
    ("lseek", "call(8, 999, 5, 1)", (-9, 999, 5, 1)),
    ("semget", "call(64, 7, 1, 0)", ("ANY", 7, 1, 0)),
    ("fsconfig", "call(431, 999, 1, b'key', b'value', 3)", ("ERROR", 999, 1, "key", None, "value", 3)),
    ("poll", "os.pipe(); os.dup2(3, 70); os.dup2(4, 71); call(7, struct.pack('<ihhihh', 70, 1, 0, 71, 4, 0), 2, 5)",
     (1, ((71, flag("poll_flags", "POLLOUT")),), 5)),
    ("poll", "call(7, struct.pack('<ihh', 999, 1, 0) * 17, 17, 5)",  # the first sixteen are told
     (17, ((999, flag("poll_flags", "POLLNVAL")),) * 16, 5)),
    ("ppoll", "call(271, struct.pack('<ihh', 999, 1, 0), 1, struct.pack('<QQ', 1, 2), struct.pack('<QQ', 514, 0), 8)",
     (1, ((999, flag("poll_flags", "POLLNVAL")),), "ANY", 514)),
    ("name_to_handle_at", "call(303, -100, b'/', None, None, 0)", ()),
]  # fmt: skip


@pytest.mark.parametrize(("name", "code", "expected"), CASES, ids=[case[0] for case in CASES])
def test_parameters_are_what_was_asked(watch: Watch, name: str, code: str, expected: tuple[object, ...]) -> None:
    seen = watch.run(f"{PRELUDE}{code}\n")
    wanted = tuple(seen.pid if value == "PID" else value for value in expected)
    told = [call.params for call in seen.all(name)]
    assert any(len(params) == len(wanted) and all(map(fits, params, wanted)) for params in told), told


def fits(found: object, value: object) -> bool:
    return value == "ANY" or (isinstance(found, int) and found < 0 if value == "ERROR" else found == value)


def test_every_event_with_a_layout_can_be_decoded() -> None:
    assert all(layout(name) is not None for name in PARAMS)
    assert os.sysconf("SC_PAGE_SIZE") == 4096  # sizes of memory are told in pages of this size
