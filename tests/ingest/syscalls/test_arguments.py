import time
from typing import Any

import pytest

from ingest.syscalls.call import Address, Call, Ends
from ingest.syscalls.users import User
from tests.ingest.syscalls.host import AT_FDCWD, SHELL, Host, field

INET = Ends(2, Address(2, b"\n\0\0\1", 4000), Address(2, b"\1\2\3\4", 443))


def arg(call: Call, which: str) -> Any:
    return field(call, f"evt.arg[{which}]" if which.isdecimal() else f"evt.arg.{which}")


def test_all_parameters_are_shown_in_order_with_their_symbolic_form() -> None:
    host = Host()
    call = host.call("openat", 3, AT_FDCWD, "/etc/hosts", 4097, 0, 0xFD00, 77)
    assert field(call, "evt.args") == (
        "fd=3(<f>/etc/hosts) dirfd=-100(AT_FDCWD) name=/etc/hosts flags=4097(O_RDONLY|O_CLOEXEC) mode=0 dev=FD00 ino=77"
    )
    assert field(call, "evt.info") == field(call, "evt.args")


def test_one_parameter_is_symbolic_if_it_can_be() -> None:
    call = Host().call("openat", -2, AT_FDCWD, "hosts", 3, 0o644, None, None)
    values = {"fd": "ENOENT", "dirfd": "AT_FDCWD", "name": "/home/me/hosts", "flags": "O_RDWR", "mode": "0644"}
    assert {name: arg(call, name) for name in values} == values
    assert [arg(call, which) for which in ("dev", "ino", "0", "2", "7", "path")] == [
        *("<NA>", "<NA>", "ENOENT", "/home/me/hosts"),
        *(None, None),
    ]


def test_empty_parameters() -> None:
    host = Host()
    assert field(host.call("write", 0, None, 9, None), "evt.args") == "res=0 data=NULL fd=9 size=<NA>"
    assert arg(host.call("connect", -111, None, 3, None), "tuple") == "NULL"


def test_births_show_the_program_that_goes_on() -> None:
    call = Host().call("fork", 101, None, None, SHELL, SHELL, 1)
    assert field(call, "evt.args").startswith(
        "res=101(bash) exe=-bash args=-l. tid=100(bash) pid=100(bash) ptid=1(systemd)"
    )
    assert (arg(call, "exe"), arg(call, "args"), arg(call, "cwd")) == ("-bash", "-l.", "<NA>")


def test_ids_are_shown_with_names() -> None:
    host = Host()
    host.table.accounts.add_user("", 5, User("test", "/home/test", "/bin/sh"))
    host.table.accounts.add_group("", 6, "staff")
    assert field(host.call("setuid", 0, 5), "evt.args") == "res=0 uid=5(test)"
    assert arg(host.call("setgid", 0, 6), "gid") == "staff"
    assert arg(host.call("setgid", 0, 7), "gid") == "<NA>"
    assert field(host.call("setresuid", 0, 4294967295, 5, 77), "evt.args") == (
        "res=0 ruid=-1(<NONE>) euid=5(test) suid=77(<NA>)"
    )


def test_processes_and_signals_are_shown_with_names() -> None:
    host = Host()
    assert field(host.call("kill", 0, SHELL, 9), "evt.args") == f"res=0 pid={SHELL}(bash) sig=9(SIGKILL)"
    assert arg(host.call("kill", -3, 4242, 0), "pid") == "4242"
    assert arg(host.call("io_uring_enter", 0, 3, 1, 1, 0, 1 << 8 | 1 << 14), "sig") == "SIGKILL SIGTERM"


@pytest.mark.parametrize(
    ("event", "values", "name", "shown"),
    [
        ("chmod", (0, "/x", 0o4755), "mode", "S_IXOTH|S_IROTH|S_IXGRP|S_IRGRP|S_IXUSR|S_IWUSR|S_IRUSR|S_ISUID"),
        ("socket", (3, 1, 1, 0, 0), "domain", "AF_LOCAL|AF_UNIX"),
        ("socket", (3, 44, 1, 0, 0), "domain", "44"),
        ("unshare", (0, 64 | 32), "flags", "CLONE_NEWNS|CLONE_NEWPID"),
        ("mmap", (4096, 1, 1, 1, 0xABC, 10, 7, 0, -1, 0), "addr", "ABC"),
        ("mmap", (4096, 1, 1, 1, 0xABC, 10, 7, 0, -1, 0), "prot", "PROT_READ|PROT_WRITE|PROT_EXEC"),
        ("mmap", (4096, 1, 1, 1, 0xABC, 10, 7, 0, -1, 0), "fd", "EPERM"),
        ("nanosleep", (0, 1_500_000_000), "interval", "1.5s"),
        ("nanosleep", (0, 2**64 - 1), "interval", "none"),
        ("bpf", (3, 5), "cmd", "BPF_PROG_LOAD"),
        ("ptrace", (0, None, None, 11, 5), "request", "PTRACE_ATTACH"),
        ("ptrace", (0, b"\0" + (0xBEEF).to_bytes(8, "little"), b"\1\x09", 11, 5), "addr", "BEEF"),
        ("setsockopt", (0, 3, 1, 4, b"\1" + (-2).to_bytes(8, "little", signed=True), 4), "val", "-2(ENOENT)"),
        ("setsockopt", (0, 3, 1, 2, b"\2" + (1).to_bytes(4, "little"), 4), "val", "1"),
        ("setsockopt", (0, 3, 1, 2, b"\0a\0b", 4), "val", "a.b"),
        ("connect", (0, INET, 3, None), "tuple", "10.0.0.1:4000->1.2.3.4:443"),
        ("bind", (0, Address(1, path="/run/x"), 3), "addr", "/run/x"),
        ("write", (3, b"a\nb", 9, 3), "data", "a.b"),
        ("poll", (1, ((7, 4), (8, 1)), 0), "fds", "7:o4 8:o1"),
        ("poll", (0, (), 0), "fds", ""),
        ("semget", (0, 0x1F, 1, 24576), "key", "1F"),
        ("mkdir", (0, "/x", 0o755), "mode", "1ED"),
    ],
)
def test_forms_of_types(event: str, values: tuple[Any, ...], name: str, shown: str) -> None:
    assert arg(Host().call(event, *values), name) == shown


def test_times_are_local() -> None:
    call = Host().execve(SHELL, "x", exe_ino_ctime=1_700_000_000_000_000_005)
    start = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1_700_000_000))
    assert arg(call, "exe_ino_ctime").startswith(f"{start}.000000005 ")


def test_sockets_show_their_protocol_when_they_have_a_peer() -> None:
    host = Host()
    host.call("socket", 3, 2, 1, 0)
    assert arg(host.call("fstat", 0, 3), "fd") == "<4>"
    host.call("connect", 0, INET, 3)
    assert arg(host.call("fstat", 0, 3), "fd") == "<4t>10.0.0.1:4000->1.2.3.4:443"


def test_polled_descriptors() -> None:
    host = Host()
    host.call("socket", 3, 2, 1, 0)
    host.call("connect", 0, INET, 3)
    host.call("open", 4, "/x", 1)
    call = host.call("poll", 2, ((3, 4), (4, 1), (9, 1)), 0)
    expected = {
        "evt.args": "res=2 fds=3:44 4:f1 9:o1 timeout=0",
        "fdlist.nums": "3,4,9",
        "fdlist.names": "10.0.0.1:4000->1.2.3.4:443,/x,<NA>",
        "fdlist.cips": "10.0.0.1",
        "fdlist.sips": "1.2.3.4",
        "fdlist.cports": "4000",
        "fdlist.sports": "443",
    }
    assert {name: field(call, name) for name in expected} == expected
    assert field(host.call("poll", 0, (), 0), "fdlist.nums") is None
    assert field(host.call("getuid", 0), "fdlist.nums") is None


def test_native_values_have_the_type_of_their_field() -> None:
    host = Host()
    call = host.call("connect", -111, INET, 3, Address(2, b"\1\2\3\4", 443))
    assert field(call, "evt.rawarg.res") == -111
    assert field(call, "evt.rawarg.tuple") == b"10.0.0.1:4000->1.2.3.4:443"
    assert field(call, "evt.rawarg.addr") == b"1.2.3.4:443"
    assert field(call, "evt.rawarg.flags") is None
    assert field(host.call("mount", 0, "/dev/sda", "/mnt", "ext4", 1), "evt.rawarg.type") is None
    assert field(host.call("write", 3, b"abc", 9, 3), "evt.rawarg.data") == b"abc"


def test_calls_known_by_name_only_have_no_parameters() -> None:
    call = Host().call("setxattr")
    assert (field(call, "evt.args"), arg(call, "0"), field(call, "evt.res")) == ("", None, None)
