"""
Harmless versions of what attackers do on a host, so that anyone can watch rules fire.

Most rules look at names and arguments: for these a copy of a program that does nothing is started under the name, in a
folder of its own. Files that an action makes elsewhere hold a comment and are removed at once; nothing that is there is
changed. Every action names the shipped rule that it is about.
"""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_TRUE, _SHELL = "/bin/true", "/bin/sh"
_NOTE = "# made by lanner events generate, and removed again\n"
_ID = "3ad7b26ded6d".ljust(64, "0")
_CGROUP = "docker"


class Skipped(Exception):
    """An action cannot be done here; the text says why."""


@dataclass(frozen=True, slots=True)
class Action:
    """
    One action.

    Attributes:
        name: As it is asked for.
        rule: Name of the shipped rule that it makes fire.
        does: What it does.
        act: Does it, in a folder of its own. Raises Skipped, OSError.
        in_container: Whether it is done in a control group named as a container's.
    """

    name: str
    rule: str
    does: str
    act: Callable[[Path], None]
    in_container: bool = False


def perform(action: Action, folder: Path) -> None:
    """Do an action in a folder that is empty. Raises Skipped, OSError."""
    if not action.in_container:
        action.act(folder)
        return
    with _container():
        pid = os.fork()
        if pid == 0:
            status = 1
            with contextlib.suppress(BaseException):
                _enter()
                action.act(folder)
                status = 0
            os._exit(status)
        _, status = os.waitpid(pid, 0)
    if status:
        raise Skipped("the control group of a container could not be used")


# Programs under other names


def copy(folder: Path, name: str, program: str = _TRUE) -> str:
    """Copy a program under another name and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, path)
    path.chmod(0o755)
    return str(path)


def call(command: Sequence[str], **options: object) -> None:
    """Run a program to its end, whatever that is; its output goes nowhere."""
    done = {"check": False, "capture_output": True, "timeout": 20, **options}
    subprocess.run(command, **done)  # type: ignore[call-overload]  # noqa: S603 - programs of this module alone


def named(name: str, *args: str, env: dict[str, str] | None = None) -> Callable[[Path], None]:
    """Return what starts a program that does nothing under a name."""

    def act(folder: Path) -> None:
        call([copy(folder, name), *args], env={**os.environ, **(env or {})})

    return act


def under(parent: str, name: str, *args: str) -> Callable[[Path], None]:
    """Return what has a parent of a name start a program of a name that does nothing."""

    def act(folder: Path) -> None:
        above, below = copy(folder, parent, _SHELL), copy(folder, name)
        call([above, "-c", '"$0" "$@"; true', below, *args])

    return act


def shell_line(line: str) -> Callable[[Path], None]:
    """Return what starts a program called sh with a command line, and does nothing of it."""
    return named("sh", "-c", line)


# Files


@contextlib.contextmanager
def _brief(path: str) -> Iterator[str]:
    """Have a file for a moment, and the folders that are missing above it."""
    file = Path(path)
    if file.exists():
        raise Skipped(f"{path} is there, and is left alone")
    made = [parent for parent in file.parents if not parent.exists()]
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield path
    finally:
        file.unlink(missing_ok=True)
        for parent in made:
            parent.rmdir()


def written(path: str, by: str = "") -> Callable[[Path], None]:
    """Return what writes a comment into a file for a moment; ``by`` a shell of that name, else by this program."""

    def act(folder: Path) -> None:
        with _brief(path):
            if by:
                call([copy(folder, by, _SHELL), "-c", 'echo "$1" > "$0"', path, _NOTE])
            else:
                Path(path).write_text(_NOTE)

    return act


def in_folder(name: str, by: str = "") -> Callable[[Path], None]:
    """Return what writes a file of a name in the action's own folder."""
    return lambda folder: written(str(folder / name), by)(folder)


def read(path: str) -> Callable[[Path], None]:
    """Return what reads a file that is there with cat."""

    def act(_folder: Path) -> None:
        if not os.access(path, os.R_OK):
            raise Skipped(f"{path} cannot be read")
        call(["cat", path])

    return act


def read_made(path: str) -> Callable[[Path], None]:
    """Return what makes a file for a moment and reads it with cat."""

    def act(_folder: Path) -> None:
        with _brief(path):
            Path(path).write_text(_NOTE)
            call(["cat", path])

    return act


# Calls


def fileless(_folder: Path) -> None:
    """Run a copy of a program that does nothing from memory."""
    descriptor = os.memfd_create("lanner-generated")
    with open(_TRUE, "rb") as source:
        os.write(descriptor, source.read())
    call([f"/proc/{os.getpid()}/fd/{descriptor}"])
    os.close(descriptor)


def reverse(_folder: Path) -> None:
    """Put standard input of a process of our own onto a connection to ourselves."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        code = f"import os,socket; s=socket.create_connection({address!r}); os.dup2(s.fileno(),0)"
        call([sys.executable, "-I", "-S", "-c", code])


def _child() -> int:
    pid = os.fork()
    if pid == 0:
        signal.pause()
        os._exit(0)
    return pid


_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17


def attached(_folder: Path) -> None:
    """Attach to a child of our own, and let it go."""
    libc, pid = ctypes.CDLL(None, use_errno=True), _child()
    try:
        if libc.ptrace(_PTRACE_ATTACH, pid, None, None):
            raise Skipped("ptrace is not allowed here")
        os.waitpid(pid, 0)
        libc.ptrace(_PTRACE_DETACH, pid, None, None)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def wrote_memory(_folder: Path) -> None:
    """Write a byte of the memory of a child of our own, the one that is there."""
    word = ctypes.create_string_buffer(b"lanner")
    there = _Iovec(ctypes.addressof(word), 6)
    libc, pid = ctypes.CDLL(None, use_errno=True), _child()
    try:
        if libc.process_vm_writev(pid, ctypes.byref(there), 1, ctypes.byref(there), 1, 0) < 0:
            raise Skipped("process_vm_writev is not allowed here")
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def opened_memory(_folder: Path) -> None:
    """Open the memory of a child of our own."""
    pid = _child()
    try:
        os.close(os.open(f"/proc/{pid}/mem", os.O_RDONLY))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def set_owner_bit(folder: Path) -> None:
    """Set the bit of the owner on a text file."""
    path = folder / "program"
    path.write_text(_NOTE)
    path.chmod(0o4755)


def history(folder: Path) -> None:
    """Remove a file that is called as the history of a shell."""
    path = folder / ".bash_history"
    path.write_text(_NOTE)
    path.unlink()


def metadata(_folder: Path) -> None:
    """Begin a connection to the metadata address with a program called curl, without waiting for it."""
    code = "import socket; s=socket.socket(); s.setblocking(False); s.connect_ex(('169.254.169.254',80))"
    call([sys.executable, "-I", "-S", "-c", f"open('/proc/self/comm','w').write('curl'); {code}"])


# Containers


def _cgroups() -> list[Path]:
    """Return the control groups that a process in the pretended container is in, one for each hierarchy."""
    base = Path("/sys/fs/cgroup")
    roots = (
        [base] if (base / "cgroup.procs").exists() else [base / name for name in ("memory", "cpu", "cpuset", "pids")]
    )
    return [root / _CGROUP / _ID for root in roots if (root / "cgroup.procs").exists()]


@contextlib.contextmanager
def _container() -> Iterator[None]:
    """Have control groups named as those of a container of Docker, for a moment."""
    groups, made = _cgroups(), list[Path]()
    if not groups:
        raise Skipped("there are no control groups here")
    try:
        for group in groups:
            for path in (group.parent, group):
                if not path.exists():
                    path.mkdir()
                    made.append(path)
        yield
    except OSError as error:
        raise Skipped(f"a control group cannot be made: {error.strerror}") from None
    finally:
        for path in reversed(made):
            with contextlib.suppress(OSError):
                path.rmdir()


def _enter() -> None:
    """Put this process into the container's control groups."""
    for group in _cgroups():
        for name in ("cpuset.cpus", "cpuset.mems"):
            with contextlib.suppress(OSError):
                above = (group.parent.parent / name).read_text()
                for path in (group.parent / name, group / name):
                    path.write_text(above)
        (group / "cgroup.procs").write_text(str(os.getpid()))


def terminal(folder: Path) -> None:
    """Start a program called sh with a terminal."""
    import pty

    path = copy(folder, "sh")
    pid, master = pty.fork()
    if pid == 0:
        os.execv(path, [path])  # noqa: S606 - a copy of a program that does nothing
    os.waitpid(pid, 0)
    os.close(master)
