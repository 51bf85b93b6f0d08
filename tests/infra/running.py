"""``lanner run`` as a process of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Service:
    """
    A running service.

    Args:
        output: File that its standard output goes to.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.process = process
        self._output = output

    def alerts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._output.read_bytes().splitlines() if line.startswith(b"{")]

    def wait_for(self, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 30
        while not condition():
            assert self.process.poll() is None, "lanner run has ended"
            assert time.monotonic() < until, "it did not happen in 30 seconds"
            time.sleep(0.1)


@contextlib.contextmanager
def service(configuration: Path, *options: str) -> Iterator[Service]:
    """Run the service with a configuration, and options set over it; ended by SIGTERM, which it has to obey."""
    output = configuration.parent / "stdout"
    words = [word for option in options for word in ("-o", option)]
    with output.open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-m", "lanner", "run", *words],
            stdout=stdout,
            env={**os.environ, "LANNER_CONFIG": str(configuration)},
            cwd=ROOT,
        )
        try:
            yield Service(process, output)
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
