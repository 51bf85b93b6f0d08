import pytest

from ingest.syscalls.call import Call, Descriptor
from tests.ingest.syscalls.host import AT_FDCWD, SHELL, Host, field

O_CLOEXEC, O_DIRECTORY, UPPER, LOWER = 4096, 1024, 32768, 65536


def opened(host: Host, num: int) -> Descriptor:
    return host.thread(SHELL).descriptors[num]


def test_an_opened_file_has_its_absolute_name() -> None:
    host = Host()
    call = host.call("openat", 3, AT_FDCWD, "../you//./x", 1, 0, 0xFD02, 77)
    expected = {
        "fd.num": 3,
        "fd.name": "/home/you/x",
        "fd.nameraw": "../you/./x",
        "fd.directory": "/home/you",
        "fd.filename": "x",
        "fd.typechar": "f",
        "fd.type": "file",
        "fd.dev": 0xFD02,
        "fd.dev.major": 0xFD,
        "fd.dev.minor": 2,
        "fd.ino": 77,
        "fd.uid": "1003",
        "fd.name_changed": True,
        "fd.l4proto": "<NA>",
        "fd.sip": None,
        "fd.types": ["file"],
        "fd.is_upper_layer": False,
    }
    assert {name: field(call, name) for name in expected} == expected


def test_a_path_is_relative_to_the_directory_of_a_descriptor() -> None:
    host = Host()
    host.call("open", 5, "/etc", 1 | O_DIRECTORY)
    assert field(host.call("openat", 6, 5, "passwd", 1), "fd.name") == "/etc/passwd"
    assert field(host.call("openat", 7, 44, "passwd", 1), "fd.name") == "<UNKNOWN>/passwd"
    assert field(host.call("fstat", 0, 5), "fd.directory") == "/etc"
    assert field(host.call("fstat", 0, 5), "fd.type") == "directory"


def test_what_the_driver_resolved_counts() -> None:
    host = Host()
    call = Call("openat", (3, 5, "x", 1, 0, None, None), host.now, SHELL)
    call.fd = Descriptor(3, "f", "/real/x", "x", real_path="/mnt/real/x")
    host.state.apply(call)
    assert (field(call, "fd.name"), field(call, "fd.realpath")) == ("/real/x", "/mnt/real/x")
    relative = Call("unlinkat", (0, 5, "x", 0), host.now, SHELL)
    relative.extra = {"dirfd": "/told"}
    assert field(host.state.apply(relative), "fs.path.name") == "/told/x"


def test_a_failed_open_has_a_name_and_no_descriptor() -> None:
    call = Host().call("openat", -2, AT_FDCWD, "/etc/none", 1)
    expected = {
        "fd.num": -1,
        "fd.name": "/etc/none",
        "fd.directory": "/etc",
        "fd.typechar": "f",
        "fd.type": None,
        "fd.filename": None,
        "fd.connected": None,
        "evt.res": "ENOENT",
        "evt.is_open_read": True,
        "fs.path.name": None,
    }
    assert {name: field(call, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("open", (3, "/f", 3 | UPPER)),
        ("openat", (3, AT_FDCWD, "/f", 3 | UPPER)),
        ("openat2", (3, AT_FDCWD, "/f", 3 | UPPER, 0, 0)),
        ("open_by_handle_at", (3, 9, 3 | UPPER, "/f")),
        ("creat", (3, "/f", 0o755, None, None, 1)),
    ],
)
def test_every_way_to_open_a_file_is_known(name: str, values: tuple[object, ...]) -> None:
    call = Host().call(name, *values)
    assert (field(call, "fd.name"), field(call, "fd.is_upper_layer"), field(call, "fd.is_lower_layer")) == (
        "/f",
        True,
        False,
    )


@pytest.mark.parametrize(
    ("name", "values", "char", "word"),
    [
        ("eventfd", (3, 0, 0), "e", "event"),
        ("eventfd2", (3, 0, 0), "e", "event"),
        ("signalfd4", (3, 0, -1, 0), "s", "signalfd"),
        ("timerfd_create", (3, 0, 0), "t", "timerfd"),
        ("inotify_init1", (3, 0), "i", "inotify"),
        ("epoll_create1", (3, 0), "l", "eventpoll"),
        ("userfaultfd", (3, 0), "u", "userfaultfd"),
        ("io_uring_setup", (3, 8), "r", "io_uring"),
        ("bpf", (3, 5), "b", "bpf"),
        ("memfd_create", (3, "x", 1), "m", "memfd"),
        ("pidfd_open", (3, 1, 0), "P", "pidfd"),
        ("socket", (3, 16, 3, 0), "n", "netlink"),
        ("socket", (3, 17, 3, 0), "o", "<NA>"),
    ],
)
def test_kinds_of_descriptors(name: str, values: tuple[object, ...], char: str, word: str) -> None:
    host = Host()
    call = host.call(name, *values)
    assert (field(call, "fd.typechar"), field(call, "fd.type"), field(call, "fd.num")) == (char, word, 3)
    failed = host.call(name, -13, *values[1:])
    assert (field(failed, "fd.num"), field(failed, "fd.type")) == (-1, None)
    assert field(host.call("read", 0, None, 3, 1), "fd.typechar") == char


def test_bpf_commands_without_a_descriptor_make_none() -> None:
    host = Host()
    host.call("bpf", 0, 2)
    assert 0 not in host.thread(SHELL).descriptors


def test_names_of_descriptors_that_are_no_files() -> None:
    host = Host()
    assert field(host.call("memfd_create", 3, "evil", 0), "fd.name") == "evil"
    assert field(host.call("pidfd_open", 4, 1, 0), "fd.name") == "/proc/1"
    host.thread(1).descriptors[8] = Descriptor(8, "f", "/secret")
    assert field(host.call("pidfd_getfd", 9, 4, 8), "fd.name") == "/secret"


def test_both_ends_of_a_pipe() -> None:
    host = Host()
    call = host.call("pipe2", 0, 3, 4, 99, O_CLOEXEC)
    assert (field(call, "fd.num"), field(call, "fd.ino"), field(call, "fd.name"), field(call, "fd.type")) == (
        4,
        99,
        "",
        "pipe",
    )
    assert opened(host, 3).typechar == "p"


def test_copies_are_what_their_original_is() -> None:
    host = Host()
    host.call("open", 3, "/x", 1 | O_CLOEXEC)
    for call, num in [
        (host.call("dup", 4, 3), 4),
        (host.call("dup2", 1, 3, 1), 1),
        (host.call("dup3", 5, 3, 5, O_CLOEXEC), 5),
    ]:
        assert (field(call, "fd.num"), field(call, "fd.name")) == (num, "/x")
    host.call("fcntl", 6, 3, 1, 0)
    host.call("fcntl", 7, 3, 26, 0)
    assert [num for num in (1, 3, 4, 5, 6, 7) if opened(host, num).flags & O_CLOEXEC] == [3, 5, 7]


def test_a_failed_copy_copies_nothing() -> None:
    host = Host()
    host.call("open", 3, "/x", 1)
    call = host.call("dup2", -9, 3, 8)
    assert 8 not in host.thread(SHELL).descriptors
    assert field(call, "fd.name") == "/x"


def test_a_flag_may_be_changed_later() -> None:
    host = Host()
    host.call("open", 3, "/x", 1)
    host.call("fcntl", 0, 3, 3, 1)
    assert opened(host, 3).flags & O_CLOEXEC


def test_a_closed_descriptor_is_told_and_gone() -> None:
    host = Host()
    host.call("open", 3, "/x", 1)
    call = host.call("close", 0, 3)
    assert (field(call, "fd.name"), field(call, "proc.fdopencount")) == ("/x", 1)
    assert field(host.call("read", -9, None, 3, 1), "fd.name") is None
    host.call("open", 3, "/y", 1)
    host.call("close", -5, 3)
    assert 3 in host.thread(SHELL).descriptors


def test_a_range_is_closed_or_marked() -> None:
    host = Host()
    for num in range(3, 9):
        host.call("open", num, f"/{num}", 1)
    host.call("close_range", 0, 4, 5, 0)
    host.call("close_range", 0, 7, 4294967295, 4)
    assert sorted(host.thread(SHELL).descriptors) == [3, 6, 7, 8]
    assert [num for num in (3, 6, 7, 8) if opened(host, num).flags & O_CLOEXEC] == [7, 8]


def test_a_descriptor_that_nobody_knows() -> None:
    call = Host().call("read", 1, b"x", 9, 1)
    expected = {
        "fd.num": 9,
        "fd.typechar": "o",
        "fd.type": None,
        "fd.name": None,
        "fd.directory": None,
        "fd.uid": "1009",
    }
    assert {name: field(call, name) for name in expected} == expected


def test_what_an_event_holds_is_not_changed_by_later_events() -> None:
    host = Host()
    call = host.call("socket", 3, 2, 1, 0)
    host.call("bind", 0, None, 3)
    before = call.fd
    host.call("open", 3, "/x", 1)
    assert call.fd is before
    assert field(call, "fd.type") == "ipv4"


def test_calls_that_touch_no_descriptor_have_none() -> None:
    call = Host().call("unlink", 0, "/x")
    assert [field(call, name) for name in ("fd.num", "fd.typechar", "fd.name", "fd.types", "fd.uid")] == [None] * 5
