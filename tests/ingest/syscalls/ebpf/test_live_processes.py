"""Programs and processes on a real kernel."""

import os
import shutil
from pathlib import Path

from ingest.syscalls.flags import constants
from ingest.syscalls.layouts import layout
from tests.ingest.syscalls.ebpf.live import Watch, needs_ebpf, status

pytestmark = needs_ebpf


def test_a_new_program_is_told_of_in_full(watch: Watch, tmp_path: Path) -> None:
    program = tmp_path / "some-unusual-name"
    shutil.copy("/bin/true", program)
    seen = watch.run(
        f"import os; os.chdir('/usr'); os.execve({str(program)!r}, ['zero', 'one', 'two words'], {{'A': 'b'}})"
    )
    call = seen.one("execve", str(program))
    row = layout("execve")
    assert row is not None
    told = dict(zip(row.position, call.params, strict=True))
    assert (told["res"], told["exe"], told["args"]) == (0, "zero", b"one\0two words\0")
    assert (told["tid"], told["pid"], told["ptid"]) == (seen.pid, seen.pid, os.getpid())
    assert (told["cwd"], told["comm"], told["env"]) == ("/usr", "some-unusual-na", b"A=b\0")
    assert (told["trusted_exepath"], told["filename"]) == (str(program), str(program))
    assert (told["uid"], told["gid"]) == (os.geteuid(), os.getegid())
    found = program.stat()
    assert (told["exe_ino"], told["exe_ino_mtime"], told["exe_ino_ctime"]) == (
        found.st_ino, found.st_mtime_ns, found.st_ctime_ns,
    )  # fmt: skip
    own = status("self")
    assert told["cap_effective"] == int(own["CapEff"], 16)
    assert told["cap_permitted"] == int(own["CapPrm"], 16)
    assert told["cap_inheritable"] == int(own["CapInh"], 16)
    assert told["pgid"] == os.getpgid(0)
    login = int(Path("/proc/self/loginuid").read_text())
    assert told["loginuid"] == (-1 if login == 2**32 - 1 else login)
    assert told["flags"] & 1  # root may write it
    limit = next(line for line in Path("/proc/self/limits").read_text().splitlines() if "open files" in line)
    assert told["fdlimit"] == int(limit.split()[3])
    assert told["vm_size"] > 0


def test_control_groups_are_those_of_proc(watch: Watch) -> None:
    seen = watch.run("import os; os.execv('/bin/true', ['true'])")
    told = dict(pair.split("=") for pair in seen.one("execve", "true").params[14].decode().rstrip("\0").split("\0"))
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    for _, controllers, path in lines:
        for name in controllers.split(","):
            if name in told:
                assert told[name] == path
    assert "memory" in told


def test_a_program_in_a_pid_namespace_has_both_numbers(watch: Watch) -> None:
    seen = watch.run("import os; os.execv('/usr/bin/unshare', ['unshare', '-pf', '/bin/true', 'inner'])")
    call = seen.one("execve", b"inner\0")
    assert call.params[3] != 1
    births = [each for each in seen.all("clone") + seen.all("fork") if each.params[0] == 0 and each.tid == call.tid]
    assert births[0].params[18:20] == (1, 1)


def test_a_failed_exec_tells_what_was_asked_for(watch: Watch) -> None:
    code = "import os\ntry: os.execv('/nowhere/at/all', ['first', 'second'])\nexcept OSError: pass"
    call = watch.run(code).one("execve", "/nowhere/at/all")
    assert call.params[:3] == (-2, "first", b"second\0")
    assert call.params[13] == "python3"


def test_a_program_run_from_memory_is_marked(watch: Watch) -> None:
    code = """
import os
fd = os.memfd_create('hidden')
os.write(fd, open('/bin/true', 'rb').read())
os.execve(fd, ['shown'], {})
"""
    seen = watch.run(code)
    call = next(call for call in seen.calls if call.name in ("execve", "execveat") and call.params[1] == "shown")
    assert call.params[19] & 4
    assert call.params[27] == "memfd:hidden"
    made = seen.one("memfd_create")
    assert made.params[1] == "hidden"
    assert made.fd is not None
    assert (made.fd.typechar, made.fd.name) == ("m", "hidden")


def test_births_and_ends_are_told_of(watch: Watch) -> None:
    seen = watch.run("import os\npid = os.fork()\nif not pid: os._exit(7)\nos.waitpid(pid, 0)\nprint(pid)")
    child = int(seen.printed)
    sides = seen.all("clone")
    assert {(call.tid, call.params[0]) for call in sides} == {(seen.pid, child), (child, 0)}
    ended = next(call for call in seen.all("procexit") if call.tid == child)
    assert ended.params[:4] == (7 << 8, 7, 0, 0)


def test_a_thread_that_takes_another_name_is_known_by_it(watch: Watch) -> None:
    seen = watch.run("open('/proc/self/comm', 'w').write('renamed'); import os; os.stat('/after')")
    call = next(call for call in seen.calls if call.params[1:2] == ("/after",) or "/after" in call.params)
    assert call.seen is not None
    assert call.seen.comm == "renamed"
    assert any(each.name == "task_rename" for each in seen.calls)


def test_identities_are_those_of_the_moment(watch: Watch) -> None:
    code = "import os; os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534); os.getcwd()"
    seen = watch.run(code)
    assert seen.one("setresuid").params == (0, 65534, 65534, 65534)
    assert seen.one("setresgid").params == (0, 65534, 65534, 65534)
    after = seen.one("getcwd")
    assert after.seen is not None
    assert (after.seen.uid, after.seen.gid) == (65534, 65534)


def test_tracing_is_told_of(watch: Watch) -> None:
    seen = watch.run("import ctypes; ctypes.CDLL(None).ptrace(0, 0, 0, 0)")
    assert seen.one("ptrace").params == (0, 0, 0, constants("ptrace_requests")["PTRACE_TRACEME"], 0)


def test_starts_of_threads_identify_them(watch: Watch) -> None:
    """The start is that of /proc, where it is rounded down to clock ticks."""
    code = "import os; os.getcwd(); print(open('/proc/self/stat').read().rsplit(') ')[1].split()[19])"
    seen = watch.run(code)
    call = seen.one("getcwd")
    assert call.seen is not None
    boot = next(
        int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime")
    )
    ticks = os.sysconf("SC_CLK_TCK")
    assert abs(call.seen.start_ns / 1e9 - boot - int(seen.printed) / ticks) < 1.1


def test_capabilities_given_up_are_told(watch: Watch) -> None:
    code = """
import ctypes, struct
libc = ctypes.CDLL(None)
libc.capset(struct.pack('<Ii', 0x20080522, 0), struct.pack('<6I', 1, 3, 0, 0, 1, 0))
"""
    assert watch.run(code).one("capset").params == (0, 0, 1 << 32 | 3, 1)


def test_use_of_io_uring_is_counted(watch: Watch) -> None:
    """One operation that does nothing goes past all system calls."""
    code = """
import ctypes, mmap, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
params = ctypes.create_string_buffer(120)
fd = libc.syscall(425, 4, params)
if fd < 0: sys.exit(print('none'))
numbers = struct.unpack('<30I', params.raw)
entries, tail, mask, array = numbers[0], numbers[11], numbers[12], numbers[16]
ring = mmap.mmap(fd, array + 4 * entries, offset=0)
sqes = mmap.mmap(fd, 64 * entries, offset=0x10000000)
sqes[0:64] = bytes(64)
ring[array:array + 4] = struct.pack('<I', 0)
ring[tail:tail + 4] = struct.pack('<I', 1)
print(libc.syscall(426, fd, 1, 0, 0, None, 0))
"""
    before = watch.driver.io_uring().get(0, 0)
    seen = watch.run(code)
    if seen.printed == "none":
        assert seen.one("io_uring_setup").params[0] < 0
        return
    assert seen.printed == "1"
    assert watch.driver.io_uring()[0] == before + 1
    assert seen.one("io_uring_setup").params[1] == 4
    assert seen.one("io_uring_enter").params[2] == 1


def test_numbers_in_the_header_are_the_thread_s_own(watch: Watch) -> None:
    seen = watch.run("import os, threading\nt = threading.Thread(target=os.getcwd); t.start(); t.join()")
    call = seen.one("getcwd")
    assert call.seen is not None
    assert call.seen.pid == seen.pid
    assert call.tid != seen.pid
