from typing import Any

import pytest

from ingest.syscalls.call import Call, Thread
from tests.ingest.syscalls.host import CLONE_THREAD, SECOND, SHELL, START, Host, field


def lineage() -> tuple[Host, Call]:
    """Return an event of ``cat``, started by ``script``, started by the shell."""
    host = Host()
    host.fork(101)
    host.execve(101, "script", "-x", env=b"STEP=1\0HOME=/root\0")
    host.fork(102, parent=101)
    return host, host.execve(102, "cat", "/etc/hosts", env=b"STEP=2\0")


def test_ancestors_by_number_and_all_together() -> None:
    _, call = lineage()
    expected = {
        "proc.aname": ("script", "bash", "systemd"),
        "proc.aname[0]": "cat",
        "proc.aname[1]": "script",
        "proc.aname[3]": "systemd",
        "proc.aname[4]": None,
        "proc.apid": (101, SHELL, 1),
        "proc.apid[2]": SHELL,
        "proc.aexe[2]": "-bash",
        "proc.aexepath[1]": "/usr/bin/script",
        "proc.acmdline": ("script -x", "bash -l", "systemd"),
        "proc.aargs": ("-x", "-l", ""),
        "proc.pcmdline": "script -x",
        "proc.pexe": "script",
        "proc.pexepath": "/usr/bin/script",
        "proc.pvpid": 101,
        "proc.aenv[STEP]": "1",
        "proc.aenv[HOME]": "/root",
        "proc.aenv[PATH]": "/bin",
        "proc.aenv[NONE]": None,
        "proc.aenv[1]": "STEP=1 HOME=/root",
        "proc.env": "STEP=2",
    }
    assert {name: field(call, name) for name in expected} == expected


def test_a_process_without_a_known_parent_has_no_ancestors() -> None:
    call = Host().call("getuid", 0, on=1)
    assert [field(call, name) for name in ("proc.pname", "proc.aname", "proc.ppid", "proc.aname[1]")] == [None] * 4


def test_the_login_shell_is_the_oldest_shell() -> None:
    host, call = lineage()
    assert field(call, "proc.loginshellid") == SHELL
    host.execve(SHELL, "python3")
    host.execve(101, "zsh")
    assert field(host.call("getuid", 0, on=102), "proc.loginshellid") == 101
    assert field(host.call("getuid", 0, on=1), "proc.loginshellid") is None


def test_ages_count_from_the_start() -> None:
    host, call = lineage()
    own, parent = host.thread(102).start_ns, host.thread(101).start_ns
    expected = {
        "proc.pid.ts": own,
        "proc.duration": call.time_ns - own,
        "proc.ppid.ts": parent,
        "proc.ppid.duration": call.time_ns - parent,
    }
    assert {name: field(call, name) for name in expected} == expected
    host.table.put(Thread(200, 200, ptid=201, comm="x"))
    host.table.put(Thread(201, 201, comm="y"))
    unknown = host.call("getuid", 0, on=200)
    assert [field(unknown, name) for name in expected] == [None] * 4
    assert field(unknown, "proc.pname") == "y"


@pytest.mark.parametrize(
    ("ctime", "namespace", "at_start", "after_namespace"),
    [
        (START - 5 * SECOND, START - 9 * SECOND, 4 * SECOND, 4 * SECOND),
        (START - 5 * SECOND, START, 4 * SECOND, None),
        (START + 5 * SECOND, 0, None, None),
        (0, START, None, None),
    ],
)
def test_ages_of_the_program(ctime: int, namespace: int, at_start: int | None, after_namespace: int | None) -> None:
    host = Host()
    host.table.put(
        Thread(200, 200, START - SECOND, ptid=1, comm="x", exe_ctime_ns=ctime, pidns_start_ns=namespace, exe_ino=7)
    )
    call = host.call("getuid", 0, on=200)
    names = ("ctime_duration_proc_start", "ctime_duration_pidns_start")
    assert [field(call, f"proc.exe_ino.{name}") for name in names] == [at_start, after_namespace]
    assert field(call, "proc.pidns_init_start_ts") == (namespace or None)


def test_leaders_of_sessions_in_a_namespace_are_found_among_the_ancestors() -> None:
    host = Host()
    facts: dict[str, Any] = {"start_ns": START, "sid": 1, "vpgid": 7, "pgid": 307}
    host.table.put(Thread(300, 300, ptid=SHELL, comm="init", exe="/init", vtid=1, vpid=1, **facts))
    host.table.put(Thread(307, 307, ptid=300, comm="job", exe_path="/job", vtid=7, vpid=7, **facts))
    host.table.put(Thread(308, 308, ptid=307, comm="worker", vtid=8, vpid=8, **facts))
    call = host.call("getuid", 0, on=308)
    expected = {
        "proc.sname": "init",
        "proc.sid.exe": "/init",
        "proc.vpgid.name": "init",
        "proc.pgid.name": "job",
        "proc.pgid.exepath": "/job",
        "proc.is_sid_leader": False,
        "proc.vpid": 8,
        "thread.vtid": 8,
    }
    assert {name: field(call, name) for name in expected} == expected
    init = host.call("getuid", 0, on=300)
    assert (field(init, "proc.is_sid_leader"), field(init, "proc.sname")) == (True, "init")


def test_a_session_whose_leader_is_gone_has_none() -> None:
    host = Host()
    host.table.put(Thread(300, 300, START, ptid=1, comm="x", vtid=300, vpid=300, sid=250, vpgid=-1))
    call = host.call("getuid", 0, on=300)
    names = ("proc.sid", "proc.sname", "proc.sid.exepath", "proc.vpgid", "proc.vpgid.name")
    assert [field(call, name) for name in names] == [250, "", "", -1, ""]


def test_threads_and_their_process() -> None:
    host = Host()
    host.execve(SHELL, "server", fdlimit=200, vm_size=7, vm_rss=5, vm_swap=3, pgft_maj=1, pgft_min=2)
    for tid in (101, 102):
        host.fork(tid, flags=CLONE_THREAD)
    host.call("open", 3, "/x", 1, on=101)
    host.call("open", 4, "/y", 1)
    call = host.call("prctl", 0, 15, "worker", 0, on=102)
    expected = {
        "thread.tid": 102,
        "thread.ismain": False,
        "thread.nametid": "worker102",
        "proc.name": "worker",
        "proc.aname[0]": "server",
        "proc.pid": SHELL,
        "proc.pname": "systemd",
        "proc.nthreads": 3,
        "proc.nchilds": 2,
        "proc.fdopencount": 2,
        "proc.fdlimit": 200,
        "proc.fdusage": 1.0,
        "thread.vmsize": 0,
        "proc.vmsize": 7,
    }
    assert {name: field(call, name) for name in expected} == expected
    main = host.call("getuid", 0)
    sizes = ("thread.vmsize", "thread.vmrss.b", "proc.vmswap", "thread.pfmajor", "thread.pfminor")
    assert [field(main, name) for name in sizes] == [7, 5 * 1024, 3, 1, 2]
    host.call("procexit", 0, on=101)
    assert field(host.call("getuid", 0), "proc.nthreads") == 2


def test_standard_streams() -> None:
    host = Host()
    host.call("open", 0, "/dev/pts/0", 1)
    host.call("pipe", 0, 1, 2, 9)
    call = host.call("getuid", 0)
    assert [field(call, f"proc.std{name}") for name in ("in.type", "in.name", "out.type", "err.name")] == [
        *("file", "/dev/pts/0"),
        *("pipe", ""),
    ]


def test_cgroups_and_capabilities() -> None:
    host = Host()
    call = host.execve(SHELL, "x", cgroups=b"perf=/p\0io=/i\0", cap_permitted=1 << 0 | 1 << 40, cap_inheritable=0)
    expected = {
        "thread.cgroups": "perf_event=/p blkio=/i",
        "thread.cgroup.blkio": "/i",
        "thread.cgroup.cpu": None,
        "thread.cap_permitted": "CAP_CHOWN CAP_CHECKPOINT_RESTORE",
        "thread.cap_inheritable": "",
    }
    assert {name: field(call, name) for name in expected} == expected
    assert field(Host().call("getuid", 0), "thread.cgroups") is None
