from typing import Any

import pytest

from engine.alert import make_alert
from engine.evaluate import Engine
from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.syscalls.host_event import host_event
from lanner.catalog import build_catalog
from tests.ingest.syscalls.host import AT_FDCWD, START, Host, field

O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_DIRECTORY, O_TMPFILE, O_F_CREATED = 1, 2, 3, 4, 1024, 8192, 16384


@pytest.mark.parametrize(
    ("event", "values", "kinds"),
    [
        ("open", (3, "/x", O_RDONLY, 0), "read"),
        ("openat", (3, AT_FDCWD, "/x", O_RDWR, 0), "read write"),
        ("openat2", (-13, AT_FDCWD, "/x", O_WRONLY, 0, 0), "write"),
        ("open_by_handle_at", (3, 5, O_WRONLY, "/x"), "write"),
        ("open", (3, "/x", O_WRONLY | O_CREAT | O_F_CREATED, 0o755), "write create exec"),
        ("open", (3, "/x", O_WRONLY | O_CREAT, 0o644), "write"),
        ("open", (3, "/x", O_RDONLY | O_DIRECTORY | O_TMPFILE, 0), "read"),
        ("open", (3, "/tmp", O_RDWR | O_TMPFILE, 0o600), "read write create"),
        ("open", (-1, "/tmp", O_RDWR | O_TMPFILE, 0o700), "read write exec"),
        ("creat", (3, "/x", 0o700), "exec"),
        ("read", (0, None, 3, 0), ""),
    ],
)
def test_what_an_open_is_for(event: str, values: tuple[Any, ...], kinds: str) -> None:
    call = Host().call(event, *values)
    found = [kind for kind in ("read", "write", "create", "exec") if field(call, f"evt.is_open_{kind}")]
    assert found == kinds.split()


@pytest.mark.parametrize(
    ("result", "text", "failed"),
    [(0, "SUCCESS", False), (7, "SUCCESS", False), (-13, "EACCES", True), (-9999, "", True)],
)
def test_results(result: int, text: str, failed: bool) -> None:
    call = Host().call("unlink", result, "/x")
    assert [field(call, f"evt.{name}") for name in ("rawres", "res", "failed")] == [result, text, failed]
    assert [field(call, f"evt.{name}") for name in ("count.error", "count.error.other")] == [int(failed)] * 2


def test_what_is_no_call_has_no_result() -> None:
    call = Host().call("procexit", 1, 0, 0, 0, 1)
    expected = {
        "evt.type": "procexit",
        "syscall.type": None,
        "evt.dir": ">",
        "evt.res": None,
        "evt.failed": None,
        "evt.count.exit": None,
        "evt.count.error": None,
        "evt.category": "process",
    }
    assert {name: field(call, name) for name in expected} == expected


def test_calls_are_told_by_name() -> None:
    call = Host().call("unlink", 0, "/x")
    assert (field(call, "syscall.type"), field(call, "evt.dir"), field(call, "evt.count.exit")) == ("unlink", "<", 1)
    assert (field(call, "evt.type.is.unlink"), field(call, "evt.type.is.open")) == (1, 0)


@pytest.mark.parametrize(
    ("opener", "category"),
    [
        (("open", 3, "/x", 1), "file"),
        (("socket", 3, 2, 1, 0), "net"),
        (("socket", 3, 1, 1, 0), "ipc"),
        (("eventfd", 3, 0, 0), "ipc"),
        (("epoll_create1", 3, 0), "unknown"),
    ],
)
def test_the_category_of_a_transfer_is_that_of_its_descriptor(opener: tuple[Any, ...], category: str) -> None:
    host = Host()
    host.call(*opener)
    assert field(host.call("read", 1, b"x", 3, 1), "evt.category") == category


def test_transfers() -> None:
    host = Host()
    host.call("open", 3, "/x", 1)
    read = host.call("read", 2, b"ab", 3, 80)
    expected = {
        "evt.is_io": True,
        "evt.is_io_read": True,
        "evt.is_io_write": False,
        "evt.io_dir": "read",
        "evt.buffer": b"ab",
        "evt.buflen": 2,
        "evt.buflen.in": 2,
        "evt.buflen.out": None,
        "evt.buflen.file.in": 2,
        "evt.buflen.net": None,
        "evt.count.error.file": 0,
        "evt.count.error.net": None,
    }
    assert {name: field(read, name) for name in expected} == expected
    failed = host.call("write", -9, None, 3, 80)
    assert [field(failed, f"evt.{name}") for name in ("buflen", "io_dir", "count.error.file")] == [None, "write", 1]
    assert field(host.call("unlink", 0, "/x"), "evt.io_dir") is None


@pytest.mark.parametrize(
    ("event", "values", "plain", "src", "dst"),
    [
        ("unlinkat", (0, AT_FDCWD, "x", 0), "/home/me/x", None, None),
        ("mkdirat", (-1, AT_FDCWD, "/a/../x", 0), "/x", None, None),
        ("symlinkat", (0, "target", AT_FDCWD, "x"), "/home/me/x", None, None),
        ("renameat2", (0, AT_FDCWD, "x", 9, "y", 0), "/home/me/x", "/home/me/x", "<UNKNOWN>/y"),
        ("linkat", (0, AT_FDCWD, "x", AT_FDCWD, "/y", 0), "/home/me/x", "/home/me/x", "/y"),
        ("open_by_handle_at", (3, 5, 1, "/x"), "/x", None, None),
        ("open_by_handle_at", (-1, 5, 1, "/x"), None, None, None),
        ("open", (3, "/x", 1), None, None, None),
    ],
)
def test_absolute_paths(event: str, values: tuple[Any, ...], plain: str, src: str, dst: str) -> None:
    call = Host().call(event, *values)
    assert [field(call, name) for name in ("evt.abspath", "evt.abspath.src", "evt.abspath.dst")] == [plain, src, dst]


PATHS = ("name", "nameraw", "source", "sourceraw", "target", "targetraw")


@pytest.mark.parametrize(
    ("event", "values", "found"),
    [
        ("unlink", (0, "x"), {"name": "/home/me/x", "nameraw": "x"}),
        ("unlink", (-2, "x"), {}),
        ("openat", (3, AT_FDCWD, "x", 1), {"name": "/home/me/x", "nameraw": "x"}),
        ("openat", (-13, AT_FDCWD, "x", 1), {}),
        ("chmod", (0, "/x", 0), {"name": "/x", "nameraw": "/x"}),
        ("umount2", (0, "/mnt", 0), {"name": "/mnt", "nameraw": "/mnt"}),
        ("fchownat", (0, AT_FDCWD, "x", 0, 0, 0), {"name": "/home/me/x", "nameraw": "x"}),
        (
            "rename",
            (0, "a", "/b"),
            {"source": "/home/me/a", "sourceraw": "a", "target": "/b", "targetraw": "/b"},
        ),
        (
            "linkat",
            (0, AT_FDCWD, "old", AT_FDCWD, "new", 0),
            {"source": "/home/me/new", "sourceraw": "new", "target": "/home/me/old", "targetraw": "old"},
        ),
        (
            "symlink",
            (0, "../up", "x"),
            {"source": "/home/me/x", "sourceraw": "x", "target": "../up", "targetraw": "../up"},
        ),
        (
            "mount",
            (0, "/dev/sda", "mnt", "ext4", 0),
            {"source": "/dev/sda", "sourceraw": "/dev/sda", "target": "/home/me/mnt", "targetraw": "mnt"},
        ),
        ("read", (0, None, 3, 1), {}),
    ],
)
def test_paths_that_a_call_acted_on(event: str, values: tuple[Any, ...], found: dict[str, str]) -> None:
    call = Host().call(event, *values)
    assert {name: field(call, f"fs.path.{name}") for name in PATHS} == dict.fromkeys(PATHS) | found


def test_the_path_of_a_descriptor_that_a_call_acted_on() -> None:
    host = Host()
    host.call("open", 3, "/x", 1)
    assert field(host.call("fchmod", 0, 3, 0), "fs.path.name") == "/x"
    assert field(host.call("fchmod", -1, 3, 0), "fs.path.name") is None


def matches(condition: str, *events: tuple[Any, ...]) -> list[bool]:
    text = f"- rule: r\n  desc: d\n  condition: {condition}\n  output: o\n  priority: INFO\n"
    result = load_rules([RuleFile("r.yaml", text)], build_catalog("h"))
    assert result.ruleset is not None, [d.message for d in result.report.errors]
    engine, host = Engine(result.ruleset), Host()
    found = [bool(engine.evaluate(host_event(host.call(*event)))) for event in events]
    assert not engine.failures
    return found


def test_around_is_a_window() -> None:
    events = [("getuid", 0)] * 5
    condition = f"evt.around[{START + 3_000_000}] = 1"
    assert matches(condition, *events) == [False, True, True, True, False]


def test_rules_over_calls() -> None:
    condition = "evt.type in (openat, open) and evt.is_open_write=true and fd.typechar='f' and fd.name startswith /etc/"
    events = [
        ("openat", 3, AT_FDCWD, "/etc/passwd", O_WRONLY),
        ("openat", 3, AT_FDCWD, "/etc/passwd", O_RDONLY),
        ("open", -13, "/etc/passwd", O_RDWR),
        ("unlink", 0, "/etc/passwd"),
    ]
    assert matches(f'"{condition}"', *events) == [True, False, True, False]
    assert matches("proc.aname = systemd and proc.pname = systemd", ("getuid", 0)) == [True]
    assert matches("evt.arg.flags contains O_WRONLY", events[0], events[1]) == [True, False]
    assert matches("evt.rawarg.flags = 2", events[0], events[1]) == [True, False]


def test_ancestors_are_shown_joined() -> None:
    host = Host()
    host.fork(101)
    text = "- {rule: r, desc: d, condition: evt.type = getuid, priority: INFO, output: '%proc.aname %proc.aname[1]'}\n"
    result = load_rules([RuleFile("r.yaml", text)], build_catalog("h"))
    assert result.ruleset is not None
    [match] = Engine(result.ruleset).evaluate(host_event(host.call("getuid", 0, on=101)))
    alert = make_alert(match, hostname="h")
    assert alert.message.endswith("bash systemd bash")
    assert alert.output_fields["proc.aname"] == "bash systemd"


def test_the_gap_to_the_event_before_is_the_same_however_often_it_is_asked() -> None:
    host = Host()
    table = build_catalog("h").tables["syscall"]
    get = table.fields["evt.deltatime"].get
    assert get is not None
    events = [host_event(host.call("getuid", 0)) for _ in range(3)]
    assert [get(event) for event in (events[0], events[1], events[1], events[2])] == [
        0,
        1_000_000,
        1_000_000,
        1_000_000,
    ]
