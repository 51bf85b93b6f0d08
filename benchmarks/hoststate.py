"""
What a host event costs after its driver: state engine, event, evaluation; in microseconds of CPU time.

    python benchmarks/hoststate.py RULES.yaml... [--events N] [--rounds R]

Events are made beforehand; told is the least of the rounds. Cases are events that no rule names, and such that are
candidates of many rules and match none. Descriptors come resolved, as from the eBPF driver, but for one case.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from engine.evaluate import Engine  # noqa: E402
from engine.load import load_rules  # noqa: E402
from engine.rulefile import RuleFile  # noqa: E402
from ingest.syscalls.call import Address, Call, Descriptor, Ends, Seen, Thread  # noqa: E402
from ingest.syscalls.host_event import host_event  # noqa: E402
from ingest.syscalls.proc import live_table  # noqa: E402
from ingest.syscalls.state import State  # noqa: E402
from lanner.catalog import build_catalog  # noqa: E402

START = 1_700_000_000_000_000_000
SHELL = 4_000_000  # more than the kernel gives out, so that no process of this machine has it
SEEN = Seen(SHELL, START, 1, 0, 0, -1, "bash")
FILE = Descriptor(3, "f", "/usr/lib/libx.so", "/usr/lib/libx.so", flags=1)
ENDS = Ends(2, Address(2, b"\n\0\0\1", 5000), Address(2, b"\n\0\0\2", 443))
SOCKET = Descriptor(3, "4", "10.0.0.1:5000->10.0.0.2:443", l4="tcp", ends=ENDS, server=False, connected=True)


@dataclass(frozen=True)
class Case:
    """Events of one kind."""

    label: str
    name: str
    params: tuple[Any, ...]
    fd: Descriptor | None = None


CASES = (
    Case("close, no rule names it", "close", (0, 3), FILE),
    Case("openat of a library", "openat", (3, -100, "/usr/lib/libx.so", 1, 0, 5, 6), FILE),
    Case("the same, descriptor unresolved", "openat", (3, -100, "/usr/lib/libx.so", 1, 0, 5, 6)),
    Case("connect", "connect", (0, ENDS, 3, ENDS.destination), SOCKET),
    Case("unlinkat", "unlinkat", (0, -100, "/tmp/x", 0)),
    Case("failed execve", "execve", (-2, "x", *(None,) * 29)),
)


def calls(case: Case, count: int) -> list[Call]:
    """Return fresh calls of a case, a microsecond apart."""
    found = []
    for number in range(count):
        call = Call(case.name, case.params, START + 1000 * number, SHELL)
        call.seen, call.fd = SEEN, case.fd
        found.append(call)
    return found


def measure(state: State, engine: Engine, made: list[Call]) -> tuple[float, float, float]:
    """Return CPU seconds for the state engine, for making events and for their evaluation."""
    begin = time.process_time()
    for call in made:
        state.apply(call)
    applied = time.process_time()
    events = [host_event(call) for call in made]
    wrapped = time.process_time()
    engine.evaluate_batch(events)
    return applied - begin, wrapped - applied, time.process_time() - wrapped


def results(engine: Engine, events: int, rounds: int) -> Iterator[tuple[str, list[float]]]:
    """Yield for each case its label and microseconds an event of the three steps."""
    state = State(live_table())
    state.table.put(Thread(SHELL, SHELL, START, ptid=1, comm="bash", exe="bash", container_id=""))
    for case in CASES:
        taken = [measure(state, engine, calls(case, events)) for _ in range(rounds)]
        yield case.label, [min(step) / events * 1e6 for step in zip(*taken, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rules", nargs="+", type=Path)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    files = [RuleFile(path.name, path.read_text("utf-8")) for path in options.rules]
    loaded = load_rules(files, build_catalog("benchmark"))
    if loaded.ruleset is None:
        sys.exit("\n".join(error.message for error in loaded.report.errors))
    print(f"{'':34} state  event  evaluation   sum (us)")
    for label, steps in results(Engine(loaded.ruleset), options.events, options.rounds):
        print(f"{label:34} {steps[0]:5.2f}  {steps[1]:5.2f}  {steps[2]:10.2f}  {sum(steps):9.2f}")


if __name__ == "__main__":
    main()
