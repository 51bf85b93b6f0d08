"""
What the host agent costs: those it watches, and itself.

    python benchmarks/host.py [--rounds N] [--seconds S]

As root, on a kernel with BTF. Loads run pinned to one processor, with and without an agent on another, interleaved;
told are the smallest and the median ratio to the processor time they take without. The loads are loops of machine code,
so that nothing but the calls counts: opening and closing a file, reading and writing one byte, getppid; and starting
/bin/true, and compiling a small C file, where there is a compiler. The agents:

    full       all calls seen at one place, none of those events wanted
    fast       calls seen at their own tracepoints, none of those events wanted
    full-all   all opens sent and read
    fast-all   the same, at their own tracepoints
    shipped    lanner agent, with the rules for hosts that come with it
    bpftrace   the calls that a load consists of printed by bpftrace, where it is installed

And: how long attaching takes with and without a compiled program in the cache; memory; what share of many events a
second is lost, read, decoded and put in the state engine by one processor.
"""

import argparse
import ctypes
import mmap
import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ingest.syscalls.ebpf.decode import Decoder  # noqa: E402
from ingest.syscalls.ebpf.driver import Driver, DriverOptions  # noqa: E402
from ingest.syscalls.ebpf.loader import Filter  # noqa: E402
from ingest.syscalls.ebpf.numbers import NUMBERS  # noqa: E402
from ingest.syscalls.ebpf.probe import reasons  # noqa: E402
from ingest.syscalls.state import State  # noqa: E402

OPENS = tuple(NUMBERS[name] for name in ("open", "openat", "openat2", "creat"))
NOBODY = Filter(
    declarations="struct f_name { char c[16]; };\nBPF_HASH(f_names, struct f_name, u8, 64);",
    early="struct f_name n; __builtin_memcpy(&n, v->comm, 16); return f_names.lookup(&n) != 0;",
    contents={"f_names": [(b"no-such-program".ljust(16, b"\0"), b"\1")]},
)
RATES = (50_000, 100_000, 150_000, 200_000, 0)
CALLS = {"open": 200_000, "read": 300_000, "getppid": 1_000_000, "exec": 300, "compile": 10}
if shutil.which("cc") is None:
    del CALLS["compile"]
PRINTED = {
    "open": ("openat", "close"),
    "read": ("read", "write"),
    "getppid": ("getppid",),
    "exec": ("execve",),
    "compile": ("openat", "close", "execve"),
}
"""What bpftrace prints of each load."""

_CALL = b"\x0f\x05"
_OPEN_CLOSE = (
    b"\x48\xc7\xc7\x9c\xff\xff\xff"  # mov rdi, -100
    b"\x4c\x89\xe6\x31\xd2\x45\x31\xd2"  # mov rsi, r12; xor edx, edx; xor r10d, r10d
    b"\xb8\x01\x01\x00\x00" + _CALL +  # openat
    b"\x89\xc7\xb8\x03\x00\x00\x00" + _CALL  # mov edi, eax; close
)  # fmt: skip
_READ_WRITE = (
    b"\x31\xff\x4c\x89\xe6\xba\x01\x00\x00\x00\x31\xc0" + _CALL +  # read(0, r12, 1)
    b"\xbf\x01\x00\x00\x00\x4c\x89\xe6\xba\x01\x00\x00\x00\xb8\x01\x00\x00\x00" + _CALL  # write(1, r12, 1)
)  # fmt: skip
_GETPPID = b"\xb8\x6e\x00\x00\x00" + _CALL


def loop(body: bytes) -> Callable[[int, bytes], None]:
    """Return a function that runs machine code many times; r12 points to its text."""
    start = b"\x53\x41\x54\x48\x89\xfb\x49\x89\xf4"  # push rbx, r12; mov rbx, rdi; mov r12, rsi
    back = -(len(body) + 3 + 6)
    code = start + body + b"\x48\xff\xcb\x0f\x85" + struct.pack("<i", back) + b"\x41\x5c\x5b\xc3"
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page[: len(code)] = code
    function = ctypes.CFUNCTYPE(None, ctypes.c_long, ctypes.c_char_p)(ctypes.addressof(ctypes.c_char.from_buffer(page)))

    def run(count: int, text: bytes, _page: mmap.mmap = page) -> None:
        function(count, text)

    return run


def load(name: str) -> None:
    """Run a load in this process and print the seconds of processor time it took."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    if name == "read":
        os.dup2(os.open("/dev/zero", os.O_RDONLY), 0)
        told = os.fdopen(os.dup(1), "w")
        os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    else:
        told = sys.stdout
    if name == "exec":
        run: Callable[[int, bytes], None] = spawn
    elif name == "compile":
        run = compile_c
    else:
        run = loop({"open": _OPEN_CLOSE, "read": _READ_WRITE, "getppid": _GETPPID}[name])
    text = b"/etc/hostname\0" if name == "open" else b"x" * 8
    run(CALLS[name] // 10, text)
    begin = processor_time()
    run(CALLS[name], text)
    print(processor_time() - begin, file=told, flush=True)


def processor_time() -> float:
    """Return the seconds of processor time of this process and its children; the machine's others do not count."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def spawn(count: int, _text: bytes) -> None:
    """Start a program many times."""
    for _ in range(count):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def compile_c(count: int, _text: bytes) -> None:
    """Compile a small program many times."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "small.c")
        source.write_text('#include <stdio.h>\n#include <stdlib.h>\nint main(void) { return puts(getenv("HOME")); }\n')
        for _ in range(count):
            subprocess.run(["cc", "-O1", "-c", str(source), "-o", os.devnull], check=True)


def measured(name: str) -> float:
    """Run a load in a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--load", name], capture_output=True, text=True, check=True)
    return float(done.stdout)


@contextmanager
def nobody(_load: str) -> Iterator[None]:
    """No agent."""
    yield


@contextmanager
def agent(mode: str, chosen: Filter, _load: str) -> Iterator[None]:
    """Attach, and read what comes on the first processor."""
    driver = Driver(DriverOptions(mode=mode))
    driver.load(OPENS, chosen)
    decoder, state, stop = Decoder(), State(), threading.Event()

    def read() -> None:
        os.sched_setaffinity(threading.get_native_id(), {min(os.sched_getaffinity(0))})
        while not stop.is_set():
            driver.wait(0.02)
            for batch, starts in driver.take():
                for call, _ in decoder.decode(batch, starts):
                    state.apply(call)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield
    finally:
        stop.set()
        reader.join()
        driver.close()


@contextmanager
def shipped(_load: str) -> Iterator[None]:
    """Run the agent as it is, on the first processor."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "lanner.yaml")
        config.write_text("rules_files: [bundled/host]\noutbox: {path: ':none'}\n")
        command = [sys.executable, "-m", "lanner", "agent", "-c", str(config)]
        pinned = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
        with subprocess.Popen(
            [*pinned, *command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as service:
            assert service.stderr is not None
            while "running: syscall" not in (line := service.stderr.readline()):
                if not line:
                    sys.exit("lanner agent ended")
            try:
                yield
            finally:
                service.terminate()
                service.communicate()


@contextmanager
def bpftrace(load: str) -> Iterator[None]:
    """Have bpftrace print the calls of a load, but not its own."""
    probes = ",".join(f"tracepoint:syscalls:sys_exit_{name}" for name in PRINTED[load])
    program = f'{probes} /comm != "bpftrace"/ {{ printf("%s %d %d\\n", comm, pid, args->ret); }}'
    with subprocess.Popen(["bpftrace", "-e", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tracer:
        time.sleep(2)
        try:
            yield
        finally:
            tracer.terminate()


def ratios(rounds: int) -> None:
    """Tell what each agent makes of each load."""
    agents: dict[str, Callable[[str], AbstractContextManager[None]]] = {
        "full": partial(agent, "full", NOBODY),
        "fast": partial(agent, "fast", NOBODY),
        "full-all": partial(agent, "full", Filter()),
        "fast-all": partial(agent, "fast", Filter()),
        "shipped": shipped,
    }
    if not Path("/sys/kernel/tracing/events/syscalls").is_dir():
        agents = {name: make for name, make in agents.items() if not name.startswith("fast")}
    if shutil.which("bpftrace"):
        agents["bpftrace"] = bpftrace
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for each in CALLS:
            for name, make in (("none", nobody), *agents.items()):
                with make(each):
                    found.setdefault((name, each), []).append(measured(each))
    print(f"{'agent':10}" + "".join(f"{each:>22}" for each in CALLS) + "   smallest and median ratio")
    for name in agents:
        cells = []
        for each in CALLS:
            base, times = found["none", each], found[name, each]
            middle = statistics.median(one / other for one, other in zip(times, base, strict=True))
            cells.append(f"x{min(times) / min(base):.2f}  x{middle:.2f}")
        print(f"{name:10}" + "".join(f"{cell:>22}" for cell in cells))


def throughput(seconds: float) -> None:
    """Tell what share of many events a second is lost, and what reading, decoding and the state engine take."""
    print("\nasked for  delivered/s     lost   processor time each")
    for rate in RATES:
        count, took, used, lost = consumed(Filter(), rate, seconds)
        shown = f"{rate:,}" if rate else "all it can"
        print(f"{shown:>10} {count / took:12,.0f} {lost / (count + lost):8.1%} {used / count * 1e6:15.2f} us")
    _, took, used, _ = consumed(NOBODY, 100_000, seconds)
    print(f"   100,000 held back by the kernel: {used / took:.1%} of a processor")


def consumed(chosen: Filter, rate: int, seconds: float) -> tuple[int, float, float, int]:
    """Take what a process makes; returns the number of events, seconds, seconds of processor time, and losses."""
    driver = Driver(DriverOptions(mode="full"))
    driver.load([NUMBERS["getppid"]], chosen)
    decoder, state, count = Decoder(), State(), 0
    maker = subprocess.Popen([sys.executable, __file__, "--make", str(seconds), "--rate", str(rate)])
    begin, used = time.perf_counter(), time.process_time()
    while maker.poll() is None:
        taken = driver.take()
        for batch, starts in taken:
            for call, _ in decoder.decode(batch, starts):
                state.apply(call)
                count += 1
        if not taken:
            driver.wait(0.02)
    took, used = time.perf_counter() - begin, time.process_time() - used
    lost = driver.counts()["dropped:bulk"]
    driver.close()
    return count, took, used, lost


def make(seconds: float, rate: int) -> None:
    """Make calls, ``rate`` a second or as many as there can be."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    run, begin, made = loop(_GETPPID), time.monotonic(), 0
    while (now := time.monotonic()) < begin + seconds:
        if not rate or made < (now - begin) * rate:
            run(500, b"")
            made += 500
        else:
            time.sleep(0.001)


ATTACH = """
import os, resource, sys, time
began = time.perf_counter()
from ingest.syscalls.ebpf.driver import Driver, DriverOptions
imported = time.perf_counter()
driver = Driver(DriverOptions(mode="full"))
driver.load(range(400))
print(time.perf_counter() - imported, time.perf_counter() - began, driver.cached)
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(int(status["VmRSS"].split()[0]) // 1024, int(status["RssAnon"].split()[0]) // 1024)
"""


def attaching() -> None:
    """Tell how long attaching takes, and how much memory an agent has that only takes events."""
    with tempfile.TemporaryDirectory() as cache:
        for what in ("cold", "cached", "cached", "cached"):
            done = subprocess.run(
                [sys.executable, "-c", ATTACH],
                env=os.environ | {"XDG_CACHE_HOME": cache},
                cwd=ROOT, capture_output=True, text=True, check=True,
            )  # fmt: skip
            times, memory = done.stdout.splitlines()
            attach, whole, _ = times.split()
            resident, own = memory.split()
            print(f"{what:7} attached in {float(attach) * 1000:6.0f} ms ({float(whole) * 1000:.0f} with imports);"
                  f" {resident} MB resident, {own} MB of it its own")  # fmt: skip


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--load", help=argparse.SUPPRESS)
    parser.add_argument("--make", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        load(options.load)
    elif options.make:
        make(options.make, options.rate)
    elif found := reasons():
        print("nothing to measure here:", *found, sep="\n  ")
    else:
        attaching()
        throughput(options.seconds)
        print()
        if options.rounds:
            ratios(options.rounds)


if __name__ == "__main__":
    main()
