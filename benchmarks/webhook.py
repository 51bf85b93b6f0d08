"""
The audit webhook under load, beside a bare aiohttp handler that only reads each body and decodes it with orjson.

    python benchmarks/webhook.py [--rounds N] [--seconds S] [--workers N] [--events N] [--connections N]

Both servers run as processes of their own, the load comes from another one over plain sockets: EventLists of 400 real
audit events, every event with an audit id of its own. Two kinds of traffic: ``install``, a cluster while Helm charts
are installed, where one event in 22 raises an alert and one in ten is a pod that is created, with its body; and
``steady``, the same without the installer's own requests, where one event in 110 raises an alert. The service is
``lanner run`` with Falco's audit rules, a file output and the outbox; an answer of 200 means that the alerts are on
disk. Rounds alternate between the servers; medians are told, of events per second and of processor time, which the
machine's other load disturbs less. Then, for the first kind, the answer time at 70 % of the service's median rate, and
its memory over at least ``--events`` events. With ``--workers`` that many are compared with one, in rounds that
alternate too.

Limits (a miss makes the exit status 1): 0.8 times the events per second of the bare handler with the first kind of
traffic; 99 of 100 answers within 250 ms; memory that does not grow by more than 20 MiB after the first 100,000 events.
"""

import argparse
import gzip
import json
import multiprocessing
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
BATCH, LISTS = 400, 20
LIMIT, SLOWEST, GROWTH = 0.8, 0.25, 20.0
INSTALLER = (
    *("secrets", "serviceaccounts", "clusterroles", "clusterrolebindings", "roles", "rolebindings", "configmaps"),
    *("services", "deployments", "namespaces"),
)
"""Resources that the installation of the recorded cluster reads, makes and removes."""
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Round:
    """What a stretch of load came to: events, seconds, CPU seconds of the server, answer times in seconds."""

    events: int
    seconds: float
    cpu: float
    answers: list[float]

    @property
    def rate(self) -> float:
        """Events per second."""
        return self.events / self.seconds


def event_lists(traffic: str) -> list[list[bytes]]:
    """Return EventLists, each cut where the audit ids go."""
    draw = random.Random(1)
    plain = _events([SHARED / "k8saudit/perfspec-shared.jsonl.gz"])
    if traffic == "steady":
        plain = [event for event in plain if not _of_installer(event)]
    bodies = [
        event for event in _events(sorted((SHARED / "k8saudit/falco").glob("*.json"))) if "requestObject" in event
    ]
    quiet = _events([SHARED / "k8saudit/falco/create_nginx_pod_unprivileged.json"])
    kinds = [(plain, 0.9), (quiet, 0.095), (bodies, 0.005)]
    return [_cut([draw.choice(kind) for kind in _drawn(draw, kinds)]) for _ in range(LISTS)]


def _of_installer(event: Any) -> bool:
    return event.get("objectRef", {}).get("resource") in INSTALLER and event["verb"] not in ("list", "watch")


def _drawn(draw: random.Random, kinds: list[tuple[list[Any], float]]) -> list[list[Any]]:
    return draw.choices([kind for kind, _ in kinds], [weight for _, weight in kinds], k=BATCH)


def _events(files: list[Path]) -> list[Any]:
    data = [gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes() for file in files]
    found = [json.loads(line) for text in data for line in text.splitlines() if b'"auditID"' in line]
    return [event for event in found if event.get("kind") == "Event"]


def _cut(events: list[Any]) -> list[bytes]:
    items = [event | {"kind": "Event", "apiVersion": "audit.k8s.io/v1", "auditID": "@ID@"} for event in events]
    text = orjson.dumps({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items})
    return text.split(b"@ID@")


def fill(parts: list[bytes], ids: Iterator[bytes]) -> bytes:
    """Return an EventList with fresh audit ids."""
    filled = [piece for part in parts for piece in (part, next(ids))]
    return b"".join(filled[:-1])


def _ids() -> Iterator[bytes]:
    prefix, number = str(uuid.uuid4())[:24], 0
    while True:
        number += 1
        yield f"{prefix}{number:012x}".encode()


def _head(size: int) -> bytes:
    return (
        f"POST /k8s-audit?timeout=30s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {size}\r\n\r\n"
    ).encode()


def post(connection: socket.socket, body: bytes) -> None:
    """Send a body and wait for 200."""
    connection.sendall(_head(len(body)) + body)
    answer = b""
    while not answer.endswith(b"\r\n\r\n"):
        more = connection.recv(65536)
        if not more:
            raise SystemExit("the server closed the connection")
        answer += more
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise SystemExit(f"answered {answer[:60]!r}")


@dataclass(frozen=True)
class Load:
    """What is sent: kind of traffic, connections, seconds, events per second or 0 for as many as go."""

    traffic: str
    connections: int
    seconds: float
    rate: float = 0.0


def generate(port: int, what: Load, answer: Any) -> None:
    """Send; runs in a process of its own."""
    lists, times, lock = event_lists(what.traffic), [], threading.Lock()
    start = time.monotonic() + 0.2
    due = (start + n * BATCH / what.rate for n in range(1 << 40)) if what.rate else None

    def send() -> None:
        ids, draw = _ids(), random.Random()
        connection = socket.create_connection(("127.0.0.1", port), 60)
        while True:
            body = fill(draw.choice(lists), ids)
            with lock:
                began = next(due) if due else time.monotonic()
            if began > start + what.seconds:
                return
            time.sleep(max(0.0, began - time.monotonic()))
            post(connection, body)
            times.append(time.monotonic() - began)

    threads = [threading.Thread(target=send) for _ in range(what.connections)]
    time.sleep(max(0.0, start - time.monotonic()))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer.send((len(times) * BATCH, time.monotonic() - start, times))


def load(pid: int, port: int, what: Load) -> Round:
    """Put load on a server from another process."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=generate, args=(port, what, there))
    before = cpu_seconds(pid)
    process.start()
    there.close()
    events, took, times = here.recv()
    process.join()
    return Round(events, took, cpu_seconds(pid) - before, times)


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process and its children have used."""
    stats = [Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split() for one in family(pid)]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / _TICKS


def rss(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE") / (1 << 20)


def serve_bare(port: int) -> None:
    """Run the bare handler."""
    from aiohttp import web

    async def post(request: web.Request) -> web.Response:
        orjson.loads(await request.read())
        return web.Response()

    app = web.Application(client_max_size=64 << 20)
    app.router.add_post("/k8s-audit", post)
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


@contextmanager
def server(command: list[str], port: int) -> Iterator[int]:
    """Run a server and yield its process id once it answers."""
    process = subprocess.Popen([sys.executable, *command], cwd=ROOT, env={**os.environ, "LANNER_HOSTNAME": "bench"})
    try:
        for _ in range(1200):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit("the server did not start") from None
                time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def service(folder: Path, port: int, **more: Any) -> list[str]:
    """Return the command of the service."""
    config = {
        "rules_files": [str(SHARED / "falco-rules/plugins/k8saudit")],
        "json_output": True,
        "stdout_output": {"enabled": False},
        "file_output": {"enabled": True, "filename": str(folder / "alerts.jsonl")},
        "outbox": {"path": str(folder / "outbox.sqlite")},
        "sources": [{"type": "k8saudit", "listen": {"port": port}}],
        **more,
    }
    path = folder / f"lanner-{port}.yaml"
    path.write_text(json.dumps(config))
    return ["-m", "lanner", "run", "-c", str(path)]


def free_port() -> int:
    """Return a TCP port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def both(folder: Path) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Run the bare handler and the service, both warm; yield the process id and port of each."""
    bare_port, port = free_port(), free_port()
    with server([__file__, "--bare", str(bare_port)], bare_port) as bare, server(service(folder, port), port) as lanner:
        for pid, at in ((bare, bare_port), (lanner, port)):
            load(pid, at, Load("install", 4, 1.0))
        yield (bare, bare_port), (lanner, port)


def compare(servers: tuple[tuple[int, int], tuple[int, int]], rounds: int, what: Load) -> tuple[float, float]:
    """Measure one worker beside the bare handler; return the ratio of their rates and the rate of the service."""
    bare, lanner = servers
    found = [(load(*bare, what), load(*lanner, what)) for _ in range(rounds)]
    print(f"{what.traffic} traffic, {what.connections} connections:")
    tell("bare handler", [pair[0] for pair in found])
    rate = tell("service", [pair[1] for pair in found])
    ratio = statistics.median(pair[1].rate / pair[0].rate for pair in found)
    per_cpu = statistics.median(a.cpu / a.events / (b.cpu / b.events) for a, b in found)
    print(f"  ratio of events/s {ratio:.2f}, of events per CPU second {per_cpu:.2f}")
    return ratio, rate


def answers(lanner: tuple[int, int], what: Load) -> float:
    """Measure the answer times at a rate; return the 99th percentile in seconds."""
    paced = load(*lanner, what)
    told = " ".join(f"p{p} {1000 * quantile(paced.answers, p):.1f} ms" for p in (50, 90, 99))
    print(f"at {paced.rate:,.0f} events/s, 70 % of the service's rate: {told}")
    return quantile(paced.answers, 99)


def memory(lanner: tuple[int, int], events: int, what: Load) -> float:
    """Measure the memory over many events; return its growth in MiB after the first 100,000."""
    sizes, total = [], 0
    while total < events or len(sizes) < 2:
        total += load(*lanner, what).events
        if total >= 100_000:
            sizes.append(rss(lanner[0]))
    print(f"memory {sizes[0]:.0f} MiB after 100,000 events, {max(sizes):.0f} at most, {sizes[-1]:.0f} after {total:,}")
    return max(sizes) - sizes[0]


def scale(folders: tuple[Path, Path], workers: int, rounds: int, what: Load) -> None:
    """Measure several workers beside one."""
    ports = free_port(), free_port()
    with (
        server(service(folders[0], ports[0]), ports[0]) as one,
        server(service(folders[1], ports[1], workers=workers), ports[1]) as several,
    ):
        pairs = [(load(one, ports[0], what), load(several, ports[1], what)) for _ in range(rounds + 1)][1:]
    ratio = statistics.median(b.rate / a.rate for a, b in pairs)
    cost = statistics.median(b.cpu / b.events / (a.cpu / a.events) for a, b in pairs)
    print(
        f"{workers} workers on {os.cpu_count()} cores, the load generator included: {ratio:.2f} times the rate of one, "
        f"{cost:.2f} times the CPU per event"
    )


def quantile(values: list[float], percent: int) -> float:
    """Return a percentile."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def tell(name: str, found: list[Round]) -> float:
    """Print the medians of a server; return its rate."""
    rate = statistics.median(one.rate for one in found)
    cost = statistics.median(1e6 * one.cpu / one.events for one in found)
    best = max(one.rate for one in found)
    print(f"  {name:12} {rate:9,.0f} events/s (best {best:,.0f}), {cost:5.1f} us CPU per event")
    return rate


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--events", type=int, default=1_000_000, help="events over which memory is measured")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="also compare N workers with one")
    parser.add_argument("--bare", type=int, metavar="PORT", help="only run the bare handler")
    options = parser.parse_args()
    if options.bare:
        serve_bare(options.bare)
        return 0
    if not SHARED.is_dir():
        print(f"{SHARED} is not there: nothing to measure with")
        return 0
    install, steady = (Load(traffic, options.connections, options.seconds) for traffic in ("install", "steady"))
    with tempfile.TemporaryDirectory() as folder:
        with both(Path(folder)) as servers:
            ratio, rate = compare(servers, options.rounds, install)
            compare(servers, options.rounds, steady)
            slow = answers(servers[1], replace(install, seconds=3 * options.seconds, rate=0.7 * rate, connections=32))
            grown = memory(servers[1], options.events, install)
        alerts = sum(1 for _ in (Path(folder) / "alerts.jsonl").open("rb"))
        print(f"alerts written: {alerts:,}")
    if options.workers > 1:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as several:
            scale((Path(one), Path(several)), options.workers, options.rounds, install)
    return 0 if ratio >= LIMIT and slow <= SLOWEST and grown <= GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
