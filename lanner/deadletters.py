"""
Dead letters, the alerts that destinations refused: read, sent again, dropped, also while the service adds more.

A file is moved aside while its letters are worked on, so that the service begins a new one; what is left of them is
put back at the end. After a kill the file aside is still read, and worked on the next time.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from engine.alert import Alert
from lanner.alertjson import alert_of
from lanner.errors import OutputError, UserError
from lanner.outputs.base import Output, Undelivered

_SUFFIX, _ASIDE = ".jsonl", ".claimed"
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Letter:
    """
    One alert that an output's destination refused.

    Attributes:
        output: Name of the output.
        why: What the destination said.
        at: When, seconds since the epoch.
        alert: The alert; None when the line cannot be read.
        line: As the file has it, without its end.
    """

    output: str
    why: str
    at: float
    alert: Alert | None
    line: str

    def refused_again(self, why: str) -> "Letter":
        """Return it with another reason."""
        told = {**json.loads(self.line), "refused": why}
        return replace(self, why=why, line=json.dumps(told, ensure_ascii=False))


@dataclass(slots=True)
class Retried:
    """
    What became of letters that were sent again.

    Attributes:
        taken: How many the destination has now.
        left: The others.
        why: What ended the attempt before all were tried; "" when nothing did.
    """

    taken: int
    left: list[Letter]
    why: str = ""


def read(folder: Path) -> list[Letter]:
    """Return all letters of a folder, oldest first; none when it is not there. Raises OSError."""
    letters: list[Letter] = []
    for path in _files(folder):
        with contextlib.suppress(FileNotFoundError):  # somebody has just worked on it
            letters += _letters(path)
    return sorted(letters, key=lambda letter: letter.at)


@contextlib.contextmanager
def claimed(folder: Path) -> Iterator[list[Letter]]:
    """
    Yield all letters of a folder, to be taken out of the list; those still there at the end are put back.

    Raises:
        UserError: Another process works on them.
        OSError: The files cannot be read or written.
    """
    if not folder.is_dir():
        yield []
        return
    with _alone(folder):
        held = {aside: _letters(aside) for aside in map(_claim, _names(folder))}
        letters = sorted((letter for found in held.values() for letter in found), key=lambda letter: letter.at)
        try:
            yield letters
        finally:
            for aside, found in held.items():
                mine = {letter.output for letter in found}
                _put_back(aside, [letter for letter in letters if letter.output in mine])


async def send_again(output: Output, letters: Sequence[Letter]) -> Retried:
    """Deliver letters through an output that is not started, and close it."""
    done = Retried(0, [letter for letter in letters if letter.alert is None])
    try:
        await output.start()
        try:
            await _send(output, [letter for letter in letters if letter.alert is not None], done)
        finally:
            await output.close()
    except OutputError as error:
        done.why = str(error)
        done.left = list(letters)
    return done


async def _send(output: Output, waiting: list[Letter], done: Retried) -> None:
    while waiting:
        taken, refused = len(waiting), False
        try:
            await output.deliver([letter.alert for letter in waiting if letter.alert is not None])
        except Undelivered as failure:
            taken, refused, done.why = failure.taken, failure.refused, str(failure)
        except Exception as error:  # of a library: whatever it is, the letters stay
            taken, done.why = 0, str(error) or type(error).__name__
        done.taken += taken
        waiting = waiting[taken:]
        if refused and waiting:
            done.left.append(waiting.pop(0).refused_again(done.why))
            done.why = ""
        elif done.why:
            break
    done.left += waiting


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(f"{folder}: another lanner outbox works on these; try again when it is done") from None
    finally:
        os.close(descriptor)


def _names(folder: Path) -> list[Path]:
    """Return the files of outputs, as the service names them, that are there or aside."""
    return sorted({path.with_name(path.name.removesuffix(_ASIDE)) for path in _files(folder)})


def _files(folder: Path) -> list[Path]:
    return [*folder.glob(f"*{_SUFFIX}{_ASIDE}"), *folder.glob(f"*{_SUFFIX}")]


def _claim(path: Path) -> Path:
    """Move a file aside; behind what a killed process has left there, if so. Return the file aside."""
    aside = path.with_name(f"{path.name}{_ASIDE}")
    if path.exists():
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # a service that writes holds it, and looks afterwards where the file is
            if aside.exists():
                _append(aside, file.read())
                path.unlink()
            else:
                path.rename(aside)
    return aside


def _put_back(aside: Path, letters: Sequence[Letter]) -> None:
    if letters:
        text = "".join(f"{letter.line}\n" for letter in letters)
        _append(aside.with_name(aside.name.removesuffix(_ASIDE)), text.encode("utf-8", "surrogateescape"))
    aside.unlink()


def _append(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _letters(path: Path) -> list[Letter]:
    text = path.read_text("utf-8", "surrogateescape")
    return [_letter(line, path) for line in text.split("\n") if line.strip()]


def _letter(line: str, path: Path) -> Letter:
    output = path.name.removesuffix(_ASIDE).removesuffix(_SUFFIX)
    try:
        told: dict[str, Any] = json.loads(line)
        return Letter(str(told["output"]), str(told["refused"]), float(told["at"]), alert_of(told["alert"]), line)
    except (ValueError, KeyError, TypeError):
        return Letter(output, "this line cannot be read", 0.0, None, line)
