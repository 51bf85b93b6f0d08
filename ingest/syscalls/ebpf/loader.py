"""
Brings the program into the kernel: compiled by the distribution's bcc in a child, or from a cache; loaded with bpf(2).

The child hands over instructions, not descriptors, so that what comes from it and from the cache is loaded the same
way and LLVM never enters this process. Nothing outlives the process: programs and maps go with the descriptors.
"""

import hashlib
import json
import os
import platform
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.syscalls.ebpf import bpf
from ingest.syscalls.ebpf.btf import BTF, BtfError, read_btf
from ingest.syscalls.ebpf.numbers import NUMBERS, PROCEXIT, TASK_RENAME
from ingest.syscalls.ebpf.offsets import offsets

_HERE = Path(__file__).resolve().parent
_COMPILE_TIMEOUT = 120
_INTERPRETERS = ("/usr/bin/python3", "/usr/local/bin/python3")
_PACKAGES = (
    "/usr/lib/python3/dist-packages/bcc",
    *(f"/usr/lib/python3.{minor}/site-packages/bcc" for minor in range(6, 20)),
    *(f"/usr/lib64/python3.{minor}/site-packages/bcc" for minor in range(6, 20)),
)

HOOKS = {
    "on_exec": "sched_process_exec",
    "on_fork": "sched_process_fork",
    "on_exit": "sched_process_exit",
    "on_rename": "task_rename",
    "on_io_uring": "io_uring_submit_req",
}
"""Programs at raw tracepoints, beside those of system calls."""

TAILS = (
    *("read_arguments", "walk_path", "read_cgroups", "read_argv", "read_memory", "read_descriptors"),
    "identify_thread",
)
"""Programs by their number in the tail call map (``TAIL_*`` in program.c)."""

_FUNCTIONS = ("on_sys_exit", "on_call_exit", *HOOKS, *TAILS)


_NEEDS = {"NEEDS_COMM": ("->comm",), "NEEDS_UID": ("->uid",), "NEEDS_OPEN": ("->open_flags", "->mode")}
"""What the program finds out before it asks the predicates, by the words in them that make use of it."""

_FIRST_PIDNS = 0xEFFFFFFC  # inode number of the first pid namespace (Linux: PROC_PID_INIT_INO)


class LoadError(Exception):
    """The program cannot be compiled or loaded; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Filter:
    """
    Which events rules may want, in C; see the view in program.c (``struct view``) for what it can look at.

    Attributes:
        early: Body of ``int wanted_early(struct view *v)``: 0 only when no rule can match; knows all but the path.
        late: Body of ``int wanted(struct view *v)``, asked after ``early``; ``v->path_len`` is 0 when unknown.
        declarations: Maps and functions of theirs, put before them; names begin with ``f_``.
        contents: Keys and values by map; changed later with ``Driver.put`` and ``Driver.remove``.
    """

    early: str = "return 1;"
    late: str = "return 1;"
    declarations: str = ""
    contents: Mapping[str, Sequence[tuple[bytes, bytes]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Compiled:
    """
    Instructions and the maps they need.

    Attributes:
        maps: ``name``, ``type``, ``key``, ``value``, ``entries`` and ``flags`` of each map.
        functions: Instructions by name; a map's descriptor is its index in ``maps``.
        cached: Whether nothing had to be compiled.
    """

    maps: Sequence[Mapping[str, Any]]
    functions: Mapping[str, bytes]
    cached: bool


def program_text(known: Mapping[str, int], generation: int, chosen: Filter, snaplen: int) -> str:
    """Return the C text for a kernel, a generation (1 or 2) and what is wanted."""
    numbers = dict(known) | {"GENERATION": generation, "SNAPLEN": snaplen, "WATERMARK": 256}
    numbers |= {"NR_EXIT": PROCEXIT, "NR_RENAME": TASK_RENAME, "NR_CHDIR": NUMBERS["chdir"]}
    numbers["FIRST_PIDNS"] = _FIRST_PIDNS
    conditions = chosen.early + chosen.late + chosen.declarations
    numbers |= {name: 1 for name, words in _NEEDS.items() if any(word in conditions for word in words)}
    predicates = (
        f"{chosen.declarations}\n"
        f"static __always_inline int wanted_early(struct view *v)\n{{\n{chosen.early}\n}}\n"
        f"static __always_inline int wanted(struct view *v)\n{{\n{chosen.late}\n}}\n"
    )
    defines = "".join(f"#define {name} {value}\n" for name, value in numbers.items())
    return defines + (_HERE / "program.c").read_text("utf-8").replace("//PREDICATES//", predicates)


def cache_folder() -> Path:
    """Return where compiled programs are kept."""
    base = os.environ.get("CACHE_DIRECTORY") or os.environ.get("XDG_CACHE_HOME")
    if base is None:
        base = "/var/cache" if os.geteuid() == 0 else os.path.expanduser("~/.cache")
    return Path(base) / "lanner" / "ebpf"


def _trusted(path: Path) -> bool:
    """Tell whether only this user could have written there."""
    found = path.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def _write(path: Path, text: str) -> None:
    """Keep a text for later; a cache that cannot be written is no failure."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}")
        scratch.write_text(text, "utf-8")
        scratch.chmod(0o600)
        scratch.replace(path)
    except OSError:
        return


def _read(path: Path) -> Any:
    """Return what was kept, None when there is nothing to trust."""
    try:
        if _trusted(path.parent) and _trusted(path):
            return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        pass
    return None


def kernel_offsets() -> dict[str, int]:
    """Return where the running kernel's members are. Raises LoadError."""
    try:
        size = BTF.stat().st_size
        text = f"{platform.release()} {platform.version()} {size} {(_HERE / 'offsets.py').read_text('utf-8')}"
        path = cache_folder() / f"offsets-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        known = _read(path)
        if known is None:
            known = offsets(read_btf())
            _write(path, json.dumps(known))
    except OSError as error:
        raise LoadError(f"the kernel gives no type information ({BTF}: {error.strerror})") from None
    except BtfError as error:
        raise LoadError(str(error)) from None
    return dict(known)


def find_bcc() -> tuple[str, str] | None:
    """Return an interpreter and the folder of the bcc package, None when it is not installed."""
    folder = next((each for each in _PACKAGES if os.path.isfile(f"{each}/libbcc.py")), None)
    interpreter = next((each for each in _INTERPRETERS if os.access(each, os.X_OK)), None)
    return (interpreter, folder) if folder and interpreter else None


def _bcc_version(folder: str) -> str:
    try:
        return Path(folder, "version.py").read_text("utf-8")
    except OSError:
        return ""


def is_cached() -> bool:
    """Tell whether some program was compiled for this user before."""
    try:
        return any(cache_folder().glob("program-*"))
    except OSError:
        return False


def compiled(text: str) -> Compiled:
    """Return instructions from the cache or from the compiler. Raises LoadError."""
    found = find_bcc()
    version = _bcc_version(found[1]) if found else ""
    key = hashlib.sha256(f"{platform.release()}\0{platform.version()}\0{version}\0{text}".encode()).hexdigest()[:32]
    path = cache_folder() / f"program-{key}"
    answer = _read(path)
    if answer is not None:
        return _instructions(answer, cached=True)
    if found is None:
        raise LoadError("bcc is not installed: on Debian and Ubuntu, apt-get install python3-bpfcc")
    answer = _compile(*found, text)
    _write(path, json.dumps(answer))
    return _instructions(answer, cached=False)


def _instructions(answer: dict[str, Any], cached: bool) -> Compiled:
    functions = {name: bytes.fromhex(code) for name, code in answer["functions"].items()}
    return Compiled(answer["maps"], functions, cached)


def _compile(interpreter: str, folder: str, text: str) -> dict[str, Any]:
    """Have a child compile. Raises LoadError."""
    job = {"bcc": folder, "include": str(_HERE / "include"), "text": text, "functions": _FUNCTIONS}
    try:
        done = subprocess.run(  # noqa: S603 (a fixed program of the system, and our own script)
            [interpreter, "-I", str(_HERE / "compile_child.py")],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=_COMPILE_TIMEOUT,
            check=False,
        )
        answer: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise LoadError(f"the BPF compiler gave no answer: {error}") from None
    if "error" in answer:
        raise LoadError(f"the BPF program cannot be compiled: {answer['error']}\n{done.stderr[-4000:]}")
    return answer


class Loaded:
    """
    Programs of one generation in the kernel.

    Attributes:
        maps: Descriptors of all maps by name, those handed in among them.
        fds: Descriptors of programs and attachments.
    """

    def __init__(self, what: Compiled, shared: Mapping[str, int], sizes: Mapping[str, int], fast: bool) -> None:
        """
        Make maps and load programs; nothing is attached yet.

        Args:
            what: Instructions.
            shared: Maps that exist already, by name.
            sizes: Bytes of the rings by name.
            fast: Whether system calls are seen at tracepoints of their own.
        """
        self.maps: dict[str, int] = dict(shared)
        self.fds: list[int] = []
        self._own: list[int] = []
        self._programs: dict[tuple[str, int], int] = {}
        self._what = what
        self._kinds = (bpf.RAW_TRACEPOINT, bpf.TRACEPOINT) if fast else (bpf.RAW_TRACEPOINT,)
        try:
            self._make_maps(sizes)
            for kind in self._kinds:
                self._load_all(kind, fast)
        except bpf.BpfError as error:
            self.close()
            raise LoadError(_explained(error)) from None

    def _make_maps(self, sizes: Mapping[str, int]) -> None:
        for each in self._what.maps:
            name = each["name"]
            if name in self.maps:
                continue
            names = [name] if name != "tails" else [f"tails{kind}" for kind in self._kinds]
            for one in names:
                entries = sizes.get(name, each["entries"])
                made = bpf.create_map(each["type"], each["key"], each["value"], entries, each["flags"], one)
                self.maps[one] = made
                self._own.append(made)

    def _load_all(self, kind: int, fast: bool) -> None:
        """Load the programs of one type and the tail calls between them."""
        first = "on_call_exit" if kind == bpf.TRACEPOINT else "on_sys_exit"
        hooks = [] if kind == bpf.TRACEPOINT else list(HOOKS)
        calls = [] if fast and kind == bpf.RAW_TRACEPOINT else [first]
        for name in (*TAILS, *hooks, *calls):
            self._programs[name, kind] = self._load(name, kind)
        for index, name in enumerate(TAILS, 1):
            fd = self._programs[name, kind]
            bpf.update(self.maps[f"tails{kind}"], struct.pack("<I", index), struct.pack("<I", fd))

    def _load(self, name: str, kind: int) -> int:
        code = bytearray(self._what.functions[name])
        for at in range(0, len(code), 8):
            if code[at] == 0x18 and code[at + 1] >> 4 == 1:
                table = self._what.maps[struct.unpack_from("<i", code, at + 4)[0]]["name"]
                fd = self.maps[f"tails{kind}" if table == "tails" else table]
                struct.pack_into("<i", code, at + 4, fd)
        loaded = bpf.load_program(kind, bytes(code), name)
        self.fds.append(loaded)
        return loaded

    def attach(self, tracepoints: Sequence[int]) -> list[str]:
        """
        Attach everything; returns the hooks this kernel does not have. Raises LoadError.

        Args:
            tracepoints: Numbers of the calls' own tracepoints; empty to see all calls at one place.
        """
        missing = []
        try:
            for name, hook in HOOKS.items():
                try:
                    self.fds.append(bpf.attach_raw(self._programs[name, bpf.RAW_TRACEPOINT], hook))
                except bpf.BpfError:
                    if hook != HOOKS["on_io_uring"]:
                        raise
                    missing.append(hook)
            if bpf.TRACEPOINT not in self._kinds:
                self.fds.append(bpf.attach_raw(self._programs["on_sys_exit", bpf.RAW_TRACEPOINT], "sys_exit"))
            for number in tracepoints:
                self.fds.append(bpf.attach_tracepoint(self._programs["on_call_exit", bpf.TRACEPOINT], number))
        except bpf.BpfError as error:
            self.close()
            raise LoadError(_explained(error)) from None
        return missing

    def close(self) -> None:
        """Detach, and free all but the maps that were handed in."""
        bpf.close_all([*reversed(self.fds), *self._own])
        self.fds, self._own = [], []


def _explained(error: bpf.BpfError) -> str:
    log = error.log.strip().rsplit("\n", 3)
    return f"{error}" + (f" (the verifier: {' '.join(log[-2:])})" if error.log else "")
