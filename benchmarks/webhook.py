"""
The audit webhook under load, beside a bare aiohttp handler that only reads each body and decodes it with orjson.

    python benchmarks/webhook.py [--rounds N] [--seconds S] [--workers N]

Both servers run as processes of their own, the load comes from another one: EventLists of 400 real audit events, one in
ten a pod that a controller creates, with its body, one in 200 an attack, every event with an audit id of its own, over
four connections. The service is ``lanner run`` with Falco's audit rules, a file output and the outbox; an answer of 200
means that the alerts are on disk. Rounds alternate between the servers; medians are told. Then the answer time at 70 %
of the service's median rate, and its memory from the first round to the last. With ``--workers`` that many are compared
with one, in rounds that alternate too.

Limit (a miss makes the exit status 1): 0.8 times the events per second of the bare handler.
"""

import argparse
import gzip
import http.client
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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"
BATCH, LISTS, CONNECTIONS = 400, 20, 4
LIMIT = 0.8
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


def event_lists() -> list[list[bytes]]:
    """Return EventLists, each cut where the audit ids go."""
    draw = random.Random(1)
    plain = _events([SHARED / "k8saudit/perfspec-shared.jsonl.gz"])
    bodies = [
        event for event in _events(sorted((SHARED / "k8saudit/falco").glob("*.json"))) if "requestObject" in event
    ]
    quiet = _events([SHARED / "k8saudit/falco/create_nginx_pod_unprivileged.json"])
    kinds = [(plain, 0.9), (quiet, 0.095), (bodies, 0.005)]
    return [_cut([draw.choice(kind) for kind in _drawn(draw, kinds)]) for _ in range(LISTS)]


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


def generate(port: int, seconds: float, rate: float, answer: Any) -> None:
    """Send for some seconds, as fast as it goes or ``rate`` events a second; runs in a process of its own."""
    lists, times, lock = event_lists(), [], threading.Lock()
    start = time.monotonic() + 0.2
    due = (start + n * BATCH / rate for n in range(1 << 40)) if rate else None

    def send() -> None:
        ids, draw = _ids(), random.Random()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while True:
            body = fill(draw.choice(lists), ids)
            with lock:
                began = next(due) if due else time.monotonic()
            if began > start + seconds:
                return
            time.sleep(max(0.0, began - time.monotonic()))
            connection.request("POST", "/k8s-audit?timeout=30s", body, {"Content-Type": "application/json"})
            got = connection.getresponse()
            got.read()
            assert got.status == 200, got.status
            times.append(time.monotonic() - began)

    threads = [threading.Thread(target=send) for _ in range(CONNECTIONS if not rate else 4 * CONNECTIONS)]
    time.sleep(max(0.0, start - time.monotonic()))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answer.send((len(times) * BATCH, time.monotonic() - start, times))


def load(pids: list[int], port: int, seconds: float, rate: float = 0.0) -> Round:
    """Put load on a server from another process."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=generate, args=(port, seconds, rate, there))
    before = sum(map(cpu_seconds, pids))
    process.start()
    there.close()
    events, took, times = here.recv()
    process.join()
    return Round(events, took, sum(map(cpu_seconds, pids)) - before, times)


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that a process has used."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / _TICKS


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


def compare(folder: Path, rounds: int, seconds: float) -> float:
    """Measure one worker beside the bare handler; return the ratio of their rates."""
    bare_port, port = free_port(), free_port()
    with server([__file__, "--bare", str(bare_port)], bare_port) as bare, server(service(folder, port), port) as lanner:
        load([bare], bare_port, 1)
        load([lanner], port, 1)
        first, found = (
            rss(lanner),
            [(load([bare], bare_port, seconds), load([lanner], port, seconds)) for _ in range(rounds)],
        )
        rate = tell("bare handler", [pair[0] for pair in found]), tell("service", [pair[1] for pair in found])
        ratio = statistics.median(pair[1].rate / pair[0].rate for pair in found)
        per_cpu = statistics.median(a.cpu / a.events / (b.cpu / b.events) for a, b in found)
        paced = load([lanner], port, 2 * seconds, 0.7 * rate[1])
        print(f"ratio of events/s {ratio:.2f} (limit {LIMIT}), of events per CPU second {per_cpu:.2f}")
        told = " ".join(f"p{p} {1000 * quantile(paced.answers, p):.1f} ms" for p in (50, 90, 99))
        print(f"at {paced.rate:,.0f} events/s, 70 % of the service's rate: {told}")
        total = sum(pair[1].events for pair in found) + paced.events
        print(f"memory of the service {first:.0f} MiB at first, {rss(lanner):.0f} MiB after {total:,} events")
    alerts = sum(1 for _ in (folder / "alerts.jsonl").open("rb"))
    print(f"alerts written: {alerts:,}")
    return ratio


def scale(folders: tuple[Path, Path], workers: int, rounds: int, seconds: float) -> None:
    """Measure several workers beside one."""
    ports = free_port(), free_port()
    with (
        server(service(folders[0], ports[0]), ports[0]) as one,
        server(service(folders[1], ports[1], workers=workers), ports[1]) as several,
    ):
        pairs = [(load([one], ports[0], seconds), load([several], ports[1], seconds)) for _ in range(rounds + 1)][1:]
    ratio = statistics.median(b.rate / a.rate for a, b in pairs)
    print(
        f"{workers} workers on {os.cpu_count()} cores, the load generator included: {ratio:.2f} times the rate of one"
    )


def quantile(values: list[float], percent: int) -> float:
    """Return a percentile."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


def tell(name: str, found: list[Round]) -> float:
    """Print the medians of a server; return its rate."""
    rate = statistics.median(one.rate for one in found)
    cost = statistics.median(1e6 * one.cpu / one.events for one in found)
    best = max(one.rate for one in found)
    print(f"{name:14} {rate:9,.0f} events/s (best {best:,.0f}), {cost:5.1f} us CPU per event")
    return rate


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="also compare N workers with one")
    parser.add_argument("--bare", type=int, metavar="PORT", help="only run the bare handler")
    options = parser.parse_args()
    if options.bare:
        serve_bare(options.bare)
        return 0
    if not SHARED.is_dir():
        print(f"{SHARED} is not there: nothing to measure with")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        ratio = compare(Path(folder), options.rounds, options.seconds)
    if options.workers > 1:
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as several:
            scale((Path(one), Path(several)), options.workers, options.rounds, options.seconds)
    return 0 if ratio >= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
