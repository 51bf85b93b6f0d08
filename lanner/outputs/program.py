"""Alerts to a program's standard input."""

import asyncio
import contextlib
import shlex
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from engine.alert import Alert
from lanner.errors import OutputError
from lanner.outputs.base import Undelivered
from lanner.outputs.forms import FormName, form

_ENDING = 2.0  # seconds between asking a program to end and making it


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramOptions:
    """
    A program.

    Attributes:
        command: The program and its arguments, a list; with "shell" a list of one text, which a shell reads.
        shell: Whether a shell reads the command. Alerts never become part of it, they are on standard input.
        keep_alive: Whether one process takes all alerts, a line each; else each alert gets a process of its own, and is
            delivered when that ends with status 0.
        format: Form of an alert: falco-json, text, ecs, ocsf or cef.
        timeout: Seconds in which a process takes an alert.
    """

    command: tuple[str, ...]
    shell: bool = False
    keep_alive: bool = True
    format: FormName = "falco-json"
    timeout: float = 30.0


class ProgramOutput:
    """
    Writes a line for each alert to a program.

    Raises:
        ValueError: There is no command.
    """

    def __init__(self, name: str, options: ProgramOptions) -> None:
        if not options.command or not options.command[0].strip():
            raise ValueError("command: a program is wanted, such as [/usr/local/bin/notify, --now]")
        self.name = name
        self._options = options
        self._argv = ["/bin/sh", "-c", " ".join(options.command)] if options.shell else list(options.command)
        self._line = form(options.format)
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Look whether the program is there. Raises OutputError."""
        if shutil.which(self._argv[0]) is None:
            raise OutputError(f"{self._argv[0]}: no such program, or it cannot be run")

    async def deliver(self, alerts: Sequence[Alert]) -> None:
        """Hand over alerts in order. Raises Undelivered."""
        if self._options.keep_alive:
            await self._to_one(alerts)
            return
        for at, alert in enumerate(alerts):
            try:
                await self._to_its_own(alert)
            except Undelivered as failure:
                failure.taken = at
                raise

    async def close(self) -> None:
        """Close the program's input, and wait a moment for its end."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            process.stdin.close()
            await _ended(process)

    def reopen(self) -> None:
        """Let the next alert have a new process, as after SIGUSR1."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()

    async def _to_one(self, alerts: Sequence[Alert]) -> None:
        process = await self._running()
        assert process.stdin is not None
        data = "".join(f"{self._line(alert)}\n" for alert in alerts).encode("utf-8", "replace")
        try:
            async with asyncio.timeout(self._options.timeout):
                process.stdin.write(data)
                await process.stdin.drain()
        except TimeoutError:
            await self._give_up(process)
            raise Undelivered(f"{self._shown} does not read its input") from None
        except (BrokenPipeError, ConnectionResetError):
            self._process = None
            status = await _ended(process)
            raise Undelivered(f"{self._shown} ended with status {status} and takes no more") from None

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is not None:
            status, self._process = self._process.returncode, None
            raise Undelivered(f"{self._shown} ended with status {status}; it is started again")
        if self._process is None:
            self._process = await self._started()
        return self._process

    async def _started(self) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self._argv, stdin=asyncio.subprocess.PIPE, start_new_session=True
            )
        except OSError as error:
            raise Undelivered(f"{self._shown}: cannot be started: {error.strerror}") from None

    async def _to_its_own(self, alert: Alert) -> None:
        process = await self._started()
        try:
            async with asyncio.timeout(self._options.timeout):
                await process.communicate(f"{self._line(alert)}\n".encode("utf-8", "replace"))
        except TimeoutError:
            await self._give_up(process)
            raise Undelivered(f"{self._shown} did not end within {self._options.timeout:g} s") from None
        if process.returncode:
            raise Undelivered(f"{self._shown} ended with status {process.returncode}")

    async def _give_up(self, process: asyncio.subprocess.Process) -> None:
        self._process = None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()

    @property
    def _shown(self) -> str:
        return shlex.join(self._options.command)


async def _ended(process: asyncio.subprocess.Process) -> int | None:
    """Wait for the end of a process that has no more input; one that does not end is made to."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_ENDING):
                return await process.wait()
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
    return await process.wait()
