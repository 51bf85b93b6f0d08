import pytest

from ingest.syscalls.call import Call, Descriptor
from ingest.syscalls.lifecycle import ALL_CAPABILITIES, NOBODY, cgroup_pairs, texts
from tests.ingest.syscalls.host import CLONE_THREAD, SHELL, Host, field

CLONE_FILES, CLONE_NEWUSER, CLONE_CHILD_IN_PIDNS = 1, 1_048_576, 536_870_912
DOCKER = "a" * 64


def test_a_child_is_what_its_maker_was() -> None:
    host = Host()
    child = host.fork(101)
    values = {name: field(child, name) for name in ("proc.name", "proc.exepath", "proc.args", "proc.cwd", "proc.sid")}
    assert values == {
        "proc.name": "bash",
        "proc.exepath": "/bin/bash",
        "proc.args": "-l",
        "proc.cwd": "/home/me/",
        "proc.sid": SHELL,
    }
    assert field(child, "proc.env[HOME]") == "/home/me"
    assert (field(child, "proc.pid"), field(child, "proc.ppid"), field(child, "proc.pid.ts")) == (
        101,
        SHELL,
        host.now - 1_000_000,
    )


def test_what_the_child_reports_of_itself_counts() -> None:
    host = Host()
    facts = {"tid": 101, "pid": 101, "ptid": SHELL, "comm": "worker", "cwd": "/srv/", "uid": 33, "vm_size": 7}
    child = host.call("clone", 0, on=101, **facts, cgroups=f"memory=/docker/{DOCKER}\0cpu_cgroup=/x\0".encode())
    assert (field(child, "proc.name"), field(child, "proc.cwd"), field(child, "user.uid")) == ("worker", "/srv/", 33)
    assert field(child, "thread.cgroup.cpu") == "/x"
    assert field(child, "container.id") == "a" * 12


def test_the_makers_event_alone_makes_the_child() -> None:
    host = Host()
    host.call("fork", 101)
    assert host.thread(101).ptid == SHELL
    assert host.thread(101).vpid == 101


@pytest.mark.parametrize("flags", [CLONE_CHILD_IN_PIDNS])
def test_a_child_that_its_maker_knows_by_another_number_waits_for_its_own_event(flags: int) -> None:
    host = Host()
    host.call("clone", 5, flags=flags)
    assert host.table.get(5) is None
    host.call("clone", 0, on=105, tid=105, pid=105, ptid=SHELL, vtid=5, vpid=5)
    assert (host.thread(105).vtid, host.thread(105).ptid) == (5, SHELL)


def test_descriptors_are_copied_to_a_process_and_shared_with_a_thread() -> None:
    host = Host()
    host.thread(SHELL).descriptors[3] = Descriptor(3, "f", "/x")
    host.fork(101)
    host.fork(102, flags=CLONE_THREAD)
    host.fork(103, flags=CLONE_FILES)
    host.call("close", 0, 3)
    assert [3 in host.thread(tid).descriptors for tid in (101, 102, 103)] == [True, False, False]


def test_an_exec_tells_the_new_program_before_rules_see_it() -> None:
    host = Host()
    host.fork(101)
    call = host.execve(
        101,
        "curl",
        "-s",
        "http://x",
        env=b"A=1\0B=\0",
        tty=34816,
        loginuid=1000,
        uid=1000,
        gid=100,
        flags=3,
        cap_effective=1 << 21,
        exe_ino=9,
        exe_ino_ctime=5,
    )
    expected = {
        "proc.name": "curl",
        "proc.cmdline": "curl -s http://x",
        "proc.exeline": "curl -s http://x",
        "proc.exepath": "/usr/bin/curl",
        "proc.pname": "bash",
        "proc.env[A]": "1",
        "proc.env[B]": "",
        "proc.env[C]": None,
        "proc.tty": 34816,
        "user.uid": 1000,
        "user.loginuid": 1000,
        "group.gid": 100,
        "proc.is_exe_writable": True,
        "proc.is_exe_upper_layer": True,
        "proc.is_exe_from_memfd": False,
        "thread.cap_effective": "CAP_SYS_ADMIN",
        "proc.exe_ino": 9,
        "proc.exe_ino.ctime": 5,
        "proc.exe_ino.mtime": None,
        "proc.args[1]": "http://x",
        "proc.args[2]": "",
        "proc.cmdnargs": 2,
        "proc.cmdlenargs": 10,
    }
    assert {name: field(call, name) for name in expected} == expected


def test_a_failed_exec_is_told_of_the_caller() -> None:
    host = Host()
    call = host.call("execve", -2, comm="nope", exe="nope", filename="/nope")
    assert (field(call, "proc.name"), field(call, "evt.res")) == ("bash", "ENOENT")


def test_an_unset_login_uid_is_minus_one() -> None:
    host = Host()
    assert field(host.execve(SHELL, "id", loginuid=NOBODY), "user.loginuid") == -1


@pytest.mark.parametrize(
    ("trusted", "filename", "path"),
    [
        ("/usr/bin/x (deleted)", None, "/usr/bin/x"),
        (None, "./x", "/home/me/x"),
        ("memfd:x", "/proc/self/fd/3", "memfd:x"),
        (None, None, ""),
    ],
)
def test_the_programs_path_is_the_kernels_else_the_callers(trusted: str, filename: str, path: str) -> None:
    call = Host().execve(SHELL, "x", trusted_exepath=trusted, filename=filename)
    assert field(call, "proc.exepath") == path


def test_an_exec_closes_what_is_marked_for_it() -> None:
    host = Host()
    host.call("open", 3, "/a", 1)
    host.call("open", 4, "/b", 4097)
    host.execve(SHELL, "x")
    assert set(host.thread(SHELL).descriptors) == {3}


def test_a_thread_known_by_nothing_but_its_exec_is_known_then() -> None:
    call = Host().execve(999, "x", cwd="/srv/")
    assert (field(call, "proc.name"), field(call, "proc.cwd"), field(call, "user.name")) == ("x", "/srv/", "<NA>")


def test_a_thread_of_which_a_capture_tells_nothing_has_no_name() -> None:
    host = Host()
    assert field(host.call("open", 3, "/etc/passwd", 1, on=999), "proc.name") == "<NA>"
    assert field(host.call("read", 5, b"hello", 3, 80, on=999), "fd.name") == "/etc/passwd"


def test_reports_of_user_space_make_no_thread() -> None:
    host = Host()
    assert host.call("procinfo", 1, 2, on=999).thread is None
    assert host.table.get(999) is None


def test_working_directories_are_followed() -> None:
    host = Host()
    for path in ("/etc", "ssh", "../ssl/certs"):
        host.call("chdir", 0, path)
    assert host.thread(SHELL).cwd == "/etc/ssl/certs"
    host.call("chdir", -2, "/nowhere")
    host.call("openat", 5, -100, "/var", 1 | 1024)
    call = host.call("fchdir", 0, 5)
    assert field(call, "proc.cwd") == "/var/"


def test_a_new_root_is_below_the_old_one() -> None:
    host = Host()
    host.call("chroot", 0, "/jail")
    host.call("chdir", 0, "/")
    host.call("chroot", 0, "inner")
    assert host.thread(SHELL).root == "/jail/inner"


def test_a_new_session_has_its_maker_as_leader() -> None:
    host = Host()
    host.fork(101)
    call = host.call("setsid", 101, on=101)
    assert field(call, "proc.is_sid_leader")
    assert field(call, "proc.is_vpgid_leader")
    assert field(call, "proc.is_pgid_leader")
    assert field(call, "proc.sname") == "bash"


def test_process_groups_are_followed() -> None:
    host = Host()
    host.fork(101)
    host.execve(101, "job")
    host.fork(102, parent=101)
    host.call("setpgid", 0, 101, 101)
    call = host.call("setpgid", 0, 0, 101, on=102)
    assert (field(call, "proc.pgid"), field(call, "proc.vpgid"), field(call, "proc.pgid.name")) == (101, 101, "job")
    host.call("setpgid", -1, 0, 5, on=102)
    assert host.thread(102).pgid == 101


@pytest.mark.parametrize(
    ("name", "values", "attribute", "expected"),
    [
        ("setuid", (0, 33), "uid", 33),
        ("setuid", (-1, 33), "uid", 0),
        ("setgid", (0, 34), "gid", 34),
        ("setresuid", (0, 1, 2, 3), "uid", 2),
        ("setresuid", (0, 1, NOBODY, 3), "uid", 0),
        ("setresgid", (0, 1, 2, 3), "gid", 2),
        ("setreuid", (0, 1, 2), "uid", 2),
        ("setregid", (0, 1, 2), "gid", 2),
        ("capset", (0, 1, 2, 4), "caps", (1, 2, 4)),
        ("unshare", (0, CLONE_NEWUSER), "caps", (ALL_CAPABILITIES,) * 3),
        ("setns", (0, 3, CLONE_NEWUSER), "caps", (ALL_CAPABILITIES,) * 3),
        ("prctl", (0, 15, "a long thread name", 0), "comm", "a long thread n"),
        ("prctl", (0, 36, None, 1), "subreaper", True),
        ("setrlimit", (0, 512, 1024, 7), "fd_limit", 512),
        ("setrlimit", (0, 512, 1024, 3), "fd_limit", 0),
        ("prlimit", (0, 256, 256, 1, 1, 0, 7), "fd_limit", 256),
        ("prlimit", (0, -1, -1, 1, 1, 0, 7), "fd_limit", 0),
        ("brk", (0, 10, 20, 30, 0), "vm_rss", 20),
        ("switch", (7, 3, 4, 10, 20, 30), "faults_minor", 4),
    ],
)
def test_calls_change_their_thread(name: str, values: tuple[object, ...], attribute: str, expected: object) -> None:
    host = Host()
    call = host.call(name, *values)
    assert getattr(host.thread(SHELL), attribute) == expected
    assert call.thread is host.thread(SHELL)


def test_unshared_descriptors_are_ones_own() -> None:
    host = Host()
    host.fork(101, flags=CLONE_FILES)
    host.call("unshare", 0, CLONE_FILES, on=101)
    host.call("open", 3, "/x", 1)
    assert 3 not in host.thread(101).descriptors


def test_the_end_of_a_thread_is_told_with_its_facts() -> None:
    host = Host()
    host.fork(101)
    host.execve(101, "curl")
    call = host.call("procexit", 0, 0, 0, 0, 1, on=101)
    assert (field(call, "proc.name"), field(call, "proc.pname"), field(call, "evt.rawres")) == ("curl", "bash", None)


def test_accounts_that_a_capture_notes_are_known() -> None:
    host = Host()
    host.call("useradded", 7, 8, "joe", "/home/joe", "/bin/sh", "", on=0)
    host.call("groupadded", 8, "users", "", on=0)
    call = host.execve(SHELL, "id", uid=7, gid=8)
    names = ("user.name", "user.homedir", "user.shell", "group.name")
    assert [field(call, name) for name in names] == ["joe", "/home/joe", "/bin/sh", "users"]
    host.call("userdeleted", 7, 8, "joe", "/home/joe", "/bin/sh", "", on=0)
    host.call("groupdeleted", 8, "users", "", on=0)
    assert (field(call, "user.name"), field(call, "group.name")) == ("<NA>", "<NA>")


def test_buffers_of_texts() -> None:
    assert texts(b"a\0\0b\0") == ("a", "", "b")
    assert texts(b"a\0b") == ("a", "b")
    assert texts(b"\0") == ()
    assert texts(None) == ()
    assert texts(b"\xff\0") == ("\udcff",)
    assert cgroup_pairs(b"perf=/a\0mem_cgroup=/b\0io=/c\0") == (
        ("perf_event", "/a"),
        ("memory", "/b"),
        ("blkio", "/c"),
    )


@pytest.mark.parametrize(
    "name", ["execve", "clone", "open", "openat", "connect", "accept", "procexit", "fcntl", "prctl"]
)
def test_an_event_without_parameters_harms_nothing(name: str) -> None:
    host = Host()
    host.state.apply(Call(name, (), host.now, SHELL))
    assert host.table.get(SHELL) is not None
