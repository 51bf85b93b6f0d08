"""Real programs under the tracer: every selected call, birth, exec and end is told; they run as they would alone."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine.evaluate import Engine
from engine.load import load_rules
from engine.rulefile import RuleFile
from ingest.base import SourceError
from ingest.syscalls.ptrace.source import TraceOptions, TraceSource
from lanner.catalog import build_catalog
from tests.ingest.syscalls.ptrace.live import calls, needs_ptrace, python, told, traced

pytestmark = needs_ptrace

ROOT = Path(__file__).resolve().parents[4]


def test_a_shell_and_its_children_are_told_from_birth_to_end(tmp_path: Path) -> None:
    file = tmp_path / "made"
    events, source = traced("sh", "-c", f"echo hi > {file}; cat {file}; rm {file}; exit 3")
    assert source.status == 3
    assert source.counters["records_damaged"] == 0
    started = [told(call) for call in calls(events, "execve") if call.params[0] == 0]
    assert [row["exe"] for row in started] == ["sh", "cat", "rm"]
    assert started[1]["args"] == f"{file}\0".encode()
    assert started[1]["trusted_exepath"] == os.path.realpath(str(shutil.which("cat")))
    assert len({call.tid for call in calls(events, "procexit")}) == 3
    (made,) = [call for call in calls(events, "openat") if call.fd and call.fd.name == str(file) and call.fd.flags & 4]
    assert told(made)["name"] == str(file)
    assert calls(events, "unlinkat")[0].params[2] == str(file)


def test_threads_and_parents_are_known_to_the_fields() -> None:
    events, _ = traced("sh", "-c", "(exec true); exit 0")
    table = build_catalog("h").tables["syscall"]
    started = [one for one in events if one.record.name == "execve" and one.record.params[0] == 0]
    event = next(one for one in started if one.record.params[1] == "true")
    answer = {name: table.fields[name].get(event) for name in ("proc.name", "proc.pname", "proc.exepath", "user.uid")}
    assert answer == {
        "proc.name": "true",
        "proc.pname": "sh",
        "proc.exepath": os.path.realpath(str(shutil.which("true"))),
        "user.uid": os.getuid(),
    }


def test_a_program_that_cannot_be_started_is_told() -> None:
    events, _ = python("import os\ntry: os.execv('/no/such/program', ['a', 'b c'])\nexcept OSError: pass")
    failed = [told(call) for call in calls(events, "execve") if call.params[0] == -2]
    assert [(row["filename"], row["exe"], row["args"]) for row in failed] == [("/no/such/program", "a", b"b c\0")]


def test_both_ends_of_a_connection_are_told() -> None:
    events, _ = python(
        "import socket\n"
        "l = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(l.getsockname()); a, _ = l.accept()\n"
        "c.sendall(b'hey'); assert a.recv(9) == b'hey'\n"
        "u = socket.socket(socket.AF_UNIX); u.bind('\\0lanner-test'); u.listen(1)\n"
        "v = socket.socket(socket.AF_UNIX); v.connect('\\0lanner-test')\n"
        "d = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); d.sendto(b'x', ('127.0.0.1', 9))\n"
    )
    inet, unix = calls(events, "connect")
    port = told(calls(events, "accept4")[0])["tuple"].destination.port
    assert (told(inet)["tuple"].destination.ip, told(inet)["tuple"].destination.port) == (b"\x7f\0\0\1", port)
    assert inet.fd.server is False
    accepted = calls(events, "accept4")[0]
    assert accepted.fd.server is True
    assert accepted.fd.name == inet.fd.name
    assert told(unix)["addr"].path == "@lanner-test"
    assert told(calls(events, "sendto")[-1])["tuple"].destination.port == 9
    assert told(calls(events, "sendto")[0])["data"] == b"hey"


def test_what_poll_found_is_told_of_the_first_fifteen() -> None:
    events, _ = python(
        "import os, select\n"
        "r, w = os.pipe(); p = select.poll(); p.register(r, select.POLLIN); p.register(w, select.POLLOUT); p.poll(7)\n"
        "for _ in range(20): p.register(os.dup(w), select.POLLOUT)\n"
        "p.poll(8); p.unregister(w)\n"
    )
    few, many = [told(call) for call in calls(events, "poll") if told(call)["timeout"] in (7, 8)]
    (found,) = few["fds"]
    assert (few["res"], found[1], len(few["fds"])) == (1, 4, 1)
    assert (many["res"], many["fds"][0], len(many["fds"])) == (21, found, 14)


def test_relative_paths_are_told_with_their_directories(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    events, _ = python(
        f"import os\nos.chdir({str(tmp_path)!r})\n"
        "open('a', 'w').close()\n"
        "d = os.open('below', os.O_RDONLY | os.O_DIRECTORY)\n"
        "os.close(os.open('b', os.O_CREAT, dir_fd=d)); os.rename('a', 'below/c')\n"
    )
    names = [call.fd.name for call in calls(events, "openat") if call.fd and call.fd.name.startswith(str(tmp_path))]
    assert names == [f"{tmp_path}/a", f"{tmp_path}/below", f"{tmp_path}/below/b"]
    closed = [call.fd.name for call in calls(events, "close") if call.fd and call.fd.name.startswith(str(tmp_path))]
    assert f"{tmp_path}/below/b" in closed
    assert calls(events, "rename")[0].extra["proc.cwd"] == str(tmp_path)


def test_a_path_that_cannot_be_read_is_unknown_and_not_invented() -> None:
    events, source = python("import ctypes\nctypes.CDLL(None).syscall(257, -100, 1, 0)\n")
    assert [told(call)["name"] for call in calls(events, "openat") if call.params[0] == -14] == [None]
    assert source.counters["records_damaged"] == 0


def test_a_32_bit_call_of_a_64_bit_program_does_not_hide_an_open() -> None:
    code = """
import ctypes, mmap
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
at = libc.mmap(None, 4096, 7, 0x62, -1, 0)
path = b"/etc/hostname\\0"
ctypes.memmove(at + 256, path, len(path))
# push rbx; mov eax, 5; mov ebx, path; xor ecx, ecx; int 0x80; pop rbx; ret
body = b"\\x53\\xb8\\x05\\0\\0\\0\\xbb" + (at + 256).to_bytes(4, "little") + b"\\x31\\xc9\\xcd\\x80\\x5b\\xc3"
ctypes.memmove(at, body, len(body))
print(ctypes.CFUNCTYPE(ctypes.c_int)(at)())
"""
    events, source = python(code)
    if source.status == -signal.SIGSEGV + 128 or source.status == 128 + signal.SIGSEGV:
        pytest.skip("this kernel runs no 32-bit calls")
    assert "/etc/hostname" in [told(call)["name"] for call in calls(events, "open")]


def test_signals_reach_the_program_and_its_end_by_one_is_told() -> None:
    _, source = traced("sh", "-c", "kill -TERM $$; sleep 9")
    assert source.status == 128 + signal.SIGTERM
    _, source = traced("sh", "-c", "trap 'exit 7' USR1; kill -USR1 $$; exit 1")
    assert source.status == 7


def test_a_stopped_program_stays_stopped_until_it_is_let_go_on() -> None:
    _, source = traced("sh", "-c", "(sleep 0.2; kill -CONT $$) & kill -STOP $$; exit 5")
    assert source.status == 5


def test_an_exec_by_a_second_thread_is_told_of_the_process() -> None:
    events, source = python(
        "import os, threading, time\n"
        "threading.Thread(target=lambda: os.execv('/bin/sh', ['sh', '-c', 'exit 6'])).start(); time.sleep(9)\n"
    )
    assert source.status == 6
    shell = [call for call in calls(events, "execve") if call.params[1] == "sh"]
    assert shell[-1].tid == shell[-1].params[4]


def test_events_keep_the_order_of_many_processes() -> None:
    events, source = traced("sh", "-c", "for i in 1 2 3 4 5 6 7 8; do /bin/true & done; wait")
    assert source.status == 0
    assert len([call for call in calls(events, "execve") if call.params[0] == 0]) == 9
    times = [event.time_ns for event in events]
    assert times == sorted(times)


def test_stopping_the_source_ends_the_program() -> None:
    async def run() -> int | None:
        source = TraceSource(TraceOptions(("sleep", "60")))
        await source.start()
        seen = 0
        async for batch in source.batches():
            seen += len(batch.events)
            if any(event.record.name == "execve" for event in batch.events):
                asyncio.get_running_loop().create_task(source.stop(5))
        return source.status

    assert asyncio.run(run()) == 128 + signal.SIGTERM


def test_stopping_the_source_ends_what_outlives_the_program() -> None:
    async def run() -> list[str]:
        source = TraceSource(TraceOptions(("sh", "-c", "trap '' TERM; sleep 60 & (trap '' TERM; sleep 61) & exit 0")))
        await source.start()
        ends = []
        async for batch in source.batches():
            ends += [event.record.name for event in batch.events if event.record.name == "procexit"]
            if len(ends) == 1:
                asyncio.get_running_loop().create_task(source.stop(0.2))
        return ends

    assert len(asyncio.run(run())) >= 3


def test_rules_fire_on_what_a_traced_program_does(tmp_path: Path) -> None:
    text = f"""
- rule: secret
  desc: d
  condition: evt.type in (open, openat) and evt.is_open_read=true and fd.name = {tmp_path}/secret and proc.name = cat
  output: "%proc.cmdline of %proc.pname read %fd.name"
  priority: INFO
"""
    (tmp_path / "secret").write_text("x")
    result = load_rules([RuleFile("r", text)], build_catalog("h"))
    assert result.ruleset is not None

    async def run() -> list[str]:
        source = TraceSource(TraceOptions(("sh", "-c", f"cat {tmp_path}/secret; true")))
        await source.follow(result.ruleset)
        await source.start()
        engine = Engine(result.ruleset)
        found = [match async for batch in source.batches() for match in engine.evaluate_batch(batch.events)]
        return [match.rule.name for match in found]

    assert asyncio.run(run()) == ["secret"]


def test_a_program_that_is_not_there_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="there is no program 'no-such-program'"):
        TraceSource(TraceOptions(("no-such-program",)))
    with pytest.raises(ValueError, match="missing"):
        TraceSource(TraceOptions(()))


def test_a_file_that_is_no_program_ends_with_the_status_of_a_shell(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("no program")
    file.chmod(0o755)
    _, source = traced(str(file))
    assert source.status == 127


def test_a_failure_to_trace_is_the_sources_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> int:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr("ingest.syscalls.ptrace.kernel.ptrace", refused)
    with pytest.raises(SourceError, match="cannot be traced: Operation not permitted"):
        traced("true")


@pytest.mark.skipif(os.getuid() != 0, reason="the test gives up the rights of root, and has none")
def test_no_privilege_is_needed() -> None:
    code = (
        "from ingest.syscalls.ptrace.tracer import Tracer\n"
        "seen = []\n"
        "status = Tracer([257], seen.append).run('/bin/cat', ['cat', '/etc/hostname'])\n"
        "print(status, len(seen) > 2)\n"
    )
    interpreter = "/usr/bin/python3"
    given = subprocess.run([interpreter, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True)
    if given.stdout.strip() != b"True":
        pytest.skip(f"{interpreter} is not there, or older than Python 3.11")
    done = subprocess.run(
        [interpreter, "-c", code], cwd=ROOT, user=65534, group=65534, extra_groups=[], capture_output=True, text=True
    )
    if "Permission denied" in done.stderr or "ModuleNotFoundError" in done.stderr:
        pytest.skip("nobody may not read this checkout")
    assert done.stdout.endswith("0 True\n"), done.stderr
    assert sys.version_info >= (3, 11)
