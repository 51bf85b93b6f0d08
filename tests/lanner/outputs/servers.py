"""Real servers of other programs on loopback, that can be stopped and started again."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        port: int = made.getsockname()[1]
        return port


def binary(name: str, package: str) -> str:
    """Return the path of a program, or skip the test."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on PATH (Debian: apt-get install {package})")
    return found


class Server:
    """A program that listens on a port."""

    def __init__(self, command: Sequence[str], port: int, folder: Path, ready: bytes = b"") -> None:
        self.port = port
        self._command = command
        self._log = folder / f"server-{port}.log"
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 30) -> None:
        self._log.write_bytes(b"")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        until = time.monotonic() + seconds
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise AssertionError(f"{self._command[0]} does not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            self._process.kill()
            self._process.wait()
            self._process = None

    def _is_ready(self) -> bool:
        if self._ready not in self._log.read_bytes():
            return False
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False
