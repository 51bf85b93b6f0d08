"""Programs traced for real: what tests of the tracer share."""

import asyncio
import platform
import subprocess
import sys
from collections.abc import Iterable

import pytest

from engine.event import Event
from ingest.syscalls.call import Call
from ingest.syscalls.layouts import layout
from ingest.syscalls.ptrace.source import TraceOptions, TraceSource

_TRIES = """
from ingest.syscalls.ptrace.tracer import Tracer
raise SystemExit(Tracer([], lambda record: None).run("/bin/true", ["true"]))
"""


def _reason() -> str:
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "tracing is for Linux on x86-64"
    tried = subprocess.run([sys.executable, "-c", _TRIES], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"nothing can be traced here: {tried.stderr.strip()[-200:]}"


_WHY = _reason()
needs_ptrace = pytest.mark.skipif(bool(_WHY), reason=_WHY)


def traced(*command: str) -> tuple[list[Event], TraceSource]:
    """Run a program to its end and return its events."""

    async def run() -> tuple[list[Event], TraceSource]:
        source = TraceSource(TraceOptions(command))
        await source.start()
        found = [event async for batch in source.batches() for event in batch.events]
        return found, source

    return asyncio.run(run())


def python(code: str) -> tuple[list[Event], TraceSource]:
    """Run Python code as the traced program."""
    return traced(sys.executable, "-I", "-c", code)


def calls(events: Iterable[Event], *names: str) -> list[Call]:
    """Return the calls of some names."""
    return [event.record for event in events if event.record.name in names]  # type: ignore[attr-defined]


def told(call: Call) -> dict[str, object]:
    """Return the parameters of a call by name."""
    known = layout(call.name)
    assert known is not None
    return {param.name: value for param, value in zip(known.params, call.params, strict=False)}
