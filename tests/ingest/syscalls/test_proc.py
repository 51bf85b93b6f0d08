"""The procfs of this very machine, asked about this process and ones it starts."""

import os
import select
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ingest.syscalls.call import Call, Seen
from ingest.syscalls.proc import Procfs, live_table, scan
from ingest.syscalls.state import State
from tests.ingest.syscalls.host import field

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="procfs is Linux's")
ME = os.getpid()


def me() -> Call:
    state = State(live_table())
    return state.apply(Call("getuid", (0,), time.time_ns(), ME))


def test_this_process_is_as_it_is() -> None:
    call = me()
    expected = {
        "proc.pid": ME,
        "proc.ppid": os.getppid(),
        "proc.exepath": os.readlink("/proc/self/exe"),
        "proc.cwd": f"{Path.cwd()}/",
        "user.uid": os.geteuid(),
        "group.gid": os.getegid(),
        "proc.pgid": os.getpgid(0),
        "proc.env[PATH]": os.environ["PATH"],
        "thread.ismain": True,
        "proc.exe_ino": Path("/proc/self/exe").stat().st_ino,
        "proc.nthreads": len(os.listdir("/proc/self/task")),
    }
    assert {name: field(call, name) for name in expected} == expected
    assert field(call, "proc.name") == Path("/proc/self/comm").read_text().rstrip("\n")
    assert field(call, "proc.exeline") == Path("/proc/self/cmdline").read_text().removesuffix("\0").replace("\0", " ")
    assert 0 < field(call, "proc.duration") < 3600 * 10**9
    assert field(call, "proc.vmrss") > 1000
    assert "systemd" not in field(call, "proc.aname")[:1]


def test_a_process_that_was_started_is_found_with_its_arguments() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "arg"], env={"A": "1"}) as child:
        try:
            end = time.monotonic() + 10
            thread = Procfs().thread(child.pid)
            while thread is not None and thread.args[-1:] != ("arg",) and time.monotonic() < end:
                thread = Procfs().thread(child.pid)
            assert thread is not None
            assert (thread.args[-1], thread.ptid, thread.env, thread.vpid) == ("arg", ME, ("A=1",), thread.vpid)
            before = time.time_ns()
            assert before - 60 * 10**9 < thread.start_ns < before
        finally:
            child.kill()
    assert Procfs().thread(child.pid) is None


def test_all_processes_are_taken_in_once() -> None:
    table = live_table()
    count = scan(table)
    assert count == len(table) > 1
    assert table.get(ME) is not None
    kept = table.get(ME)
    scan(table)
    assert table.get(ME) is kept


def test_a_thread_is_derived_from_its_process() -> None:
    state = State(live_table())
    scan(state.table)
    found: list[Call] = []

    def run() -> None:
        call = Call("getuid", (0,), time.time_ns(), threading.get_native_id())
        call.seen = Seen(ME, time.time_ns(), os.getppid(), os.geteuid(), os.getegid(), comm="worker")
        found.append(state.apply(call))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert (field(found[0], "proc.pid"), field(found[0], "thread.ismain")) == (ME, False)
    assert field(found[0], "proc.name") == "worker"
    assert field(found[0], "proc.exepath") == os.readlink("/proc/self/exe")


def test_descriptors_are_told_by_their_links(tmp_path: Path) -> None:
    file = (tmp_path / "file").open("w")
    folder = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    reader, writer = os.pipe()
    poll = select.epoll()
    memory = os.memfd_create("secret")
    procfs = Procfs()
    found = {num: procfs.descriptor(ME, num) for num in (file.fileno(), folder, reader, poll.fileno(), memory)}
    kinds = [(fd.typechar, fd.name) for fd in found.values() if fd is not None]
    assert kinds[:2] == [("f", str(tmp_path / "file")), ("d", str(tmp_path))]
    assert kinds[2][0] == "p"
    assert kinds[3:] == [("l", ""), ("m", "secret")]
    assert procfs.descriptor(ME, 9999) is None
    for num in (folder, reader, writer, memory):
        os.close(num)
    file.close()
    poll.close()


@pytest.mark.parametrize(
    ("family", "host", "char"), [(socket.AF_INET, "127.0.0.1", "4"), (socket.AF_INET6, "::1", "6")]
)
def test_sockets_are_found_in_the_kernels_lists(family: socket.AddressFamily, host: str, char: str) -> None:
    with socket.socket(family) as server:
        try:
            server.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} on this machine")
        server.listen()
        port = server.getsockname()[1]
        with socket.create_connection((host, port)) as client:
            procfs = Procfs()
            listening, connected = procfs.descriptor(ME, server.fileno()), procfs.descriptor(ME, client.fileno())
            assert listening is not None
            assert connected is not None
            assert (listening.typechar, listening.name, listening.listening) == (char, f"{host}:{port}", True)
            assert connected.ends is not None
            ports = {connected.ends.source.port, connected.ends.destination.port}
            assert ports == {port, client.getsockname()[1]}


def test_standard_input_is_looked_up_when_a_rule_asks() -> None:
    reader, writer = os.pipe()
    with subprocess.Popen(["sleep", "60"], stdin=reader) as child:
        try:
            call = State(live_table()).apply(Call("getuid", (0,), time.time_ns(), child.pid))
            assert field(call, "proc.stdin.type") == "pipe"
        finally:
            child.kill()
    os.close(reader)
    os.close(writer)


def test_a_procfs_that_is_not_there_has_nobody(tmp_path: Path) -> None:
    assert list(Procfs(str(tmp_path)).processes()) == []
    assert Procfs(str(tmp_path)).thread(1) is None
    assert Procfs(str(tmp_path)).descriptor(1, 1) is None


def test_an_entry_of_odd_content_is_nobody(tmp_path: Path) -> None:
    (tmp_path / "5").mkdir()
    (tmp_path / "5/stat").write_text("5 (x) S 1")
    (tmp_path / "5/status").write_text("Name:\tx\n")
    assert list(Procfs(str(tmp_path)).processes()) == []
