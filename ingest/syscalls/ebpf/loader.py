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
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.syscalls.ebpf import bpf
from ingest.syscalls.ebpf.btf import BTF, BtfError, read_btf
from ingest.syscalls.ebpf.numbers import NUMBERS, PROCEXIT, TASK_RENAME
from ingest.syscalls.ebpf.offsets import offsets

_HERE = Path(__file__).resolve().parent
_KERNEL = _HERE / "kernel"
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

STAGES = (
    *("read_arguments", "walk_path", "read_cgroups", "read_argv", "read_memory", "read_descriptors"),
    "identify_thread",
)
"""Programs by their number in the tail call map, from 1 (``TAIL_*`` in common.c)."""

_CALLS = {False: "on_sys_exit", True: "on_call_exit"}
"""The program that sees calls: all at one place, or at tracepoints of their own."""

_NEEDS = {
    "NEEDS_COMM": ("->comm",),
    "NEEDS_UID": ("->uid",),
    "NEEDS_IDS": ("->tgid", "->tid"),
    "NEEDS_OPEN": ("->open_flags", "->mode"),
    "NEEDS_ARGUMENTS": ("->arg", "->open_flags", "->mode"),
}
"""What the program finds out before it asks the predicates, by the words in them that make use of it."""

FIRST_PIDNS = 0xEFFFFFFC
"""Inode number of the first pid namespace (Linux: PROC_PID_INIT_INO)."""


class LoadError(Exception):
    """The program cannot be compiled or loaded; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Filter:
    """
    Which events rules may want, in C; see the view in kernel/hooks.c (``struct view``) for what it can look at.

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
class Source:
    """
    One part of the program before it is compiled.

    Attributes:
        text: C.
        functions: Names of the programs in it.
    """

    text: str
    functions: tuple[str, ...]


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


def _text(numbers: Mapping[str, int], part: str) -> str:
    defines = "".join(f"#define {name} {value}\n" for name, value in numbers.items())
    return "".join((defines, *((_KERNEL / f"{name}.c").read_text("utf-8") for name in ("common", part))))


def stages_source(known: Mapping[str, int], snaplen: int) -> Source:
    """Return what does not depend on rules, for the kernel whose members are at the known places."""
    numbers = {"SNAPLEN": snaplen, "WATERMARK": 1024, "FIRST_PIDNS": FIRST_PIDNS, "NR_CHDIR": NUMBERS["chdir"]}
    return Source(_text({**known, **numbers}, "stages"), STAGES)


def hooks_source(known: Mapping[str, int], chosen: Filter, generation: int, fast: bool) -> Source:
    """Return what depends on rules: hooks and predicates, of a generation (1 or 2)."""
    numbers = {**known, "GENERATION": generation, "NR_EXIT": PROCEXIT, "NR_RENAME": TASK_RENAME}
    if fast:
        numbers["FAST"] = 1
    conditions = chosen.early + chosen.late + chosen.declarations
    numbers |= {name: 1 for name, words in _NEEDS.items() if any(word in conditions for word in words)}
    predicates = (
        f"{chosen.declarations}\n"
        f"static __always_inline int wanted_early(struct view *v)\n{{\n{chosen.early}\n}}\n"
        f"static __always_inline int wanted(struct view *v)\n{{\n{chosen.late}\n}}\n"
    )
    return Source(_text(numbers, "hooks").replace("//PREDICATES//", predicates), (_CALLS[fast], *HOOKS))


def cache_folder() -> Path:
    """Return where compiled programs are kept."""
    base = os.environ.get("CACHE_DIRECTORY") or os.environ.get("XDG_CACHE_HOME")
    if base is None:
        base = "/var/cache" if os.geteuid() == 0 else os.path.expanduser("~/.cache")
    return Path(base) / "lanner" / "ebpf"


def _trusted(path: Path) -> bool:
    """Tell whether only this user and root could have written there."""
    found = path.stat()
    return found.st_uid in (0, os.geteuid()) and not found.st_mode & 0o022


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
        if all(map(_trusted, (path, path.parent, path.parent.parent))):
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


def compiled(source: Source) -> Compiled:
    """Return instructions from the cache or from the compiler. Raises LoadError."""
    found = find_bcc()
    version = _bcc_version(found[1]) if found else ""
    parts = "\0".join((platform.release(), platform.version(), version, source.text))
    path = cache_folder() / f"program-{hashlib.sha256(parts.encode()).hexdigest()[:32]}"
    answer = _read(path)
    if answer is not None:
        return _instructions(answer, cached=True)
    if found is None:
        raise LoadError("bcc is not installed: on Debian and Ubuntu, apt-get install python3-bpfcc")
    answer = _compile(*found, source)
    _write(path, json.dumps(answer))
    return _instructions(answer, cached=False)


def _instructions(answer: dict[str, Any], cached: bool) -> Compiled:
    functions = {name: bytes.fromhex(code) for name, code in answer["functions"].items()}
    return Compiled(answer["maps"], functions, cached)


def _compile(interpreter: str, folder: str, source: Source) -> dict[str, Any]:
    """Have a child compile. Raises LoadError."""
    job = {"bcc": folder, "include": str(_KERNEL / "include"), "text": source.text, "functions": source.functions}
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
    Programs in the kernel, and the maps made for them.

    Attributes:
        maps: Descriptors of all maps by name, those handed in among them.
        programs: Descriptors of programs by name and type.
    """

    def __init__(self, what: Compiled, kinds: Mapping[str, Sequence[int]], shared: Mapping[str, int]) -> None:
        """
        Make the maps that are not handed in and load programs; nothing is attached yet. Raises LoadError.

        Args:
            what: Instructions.
            kinds: Types of program to load each function as; those left out are not loaded.
            shared: Maps that exist already, by name.
        """
        self.maps: dict[str, int] = dict(shared)
        self.programs: dict[tuple[str, int], int] = {}
        self._own: list[int] = []
        try:
            for each in what.maps:
                if each["name"] not in self.maps and each["name"] != "tails":
                    self.maps[each["name"]] = self._map(each)
            for name, types in kinds.items():
                for kind in types:
                    self._load(what, name, kind)
        except bpf.BpfError as error:
            self.close()
            raise LoadError(_explained(error)) from None

    def _map(self, each: Mapping[str, Any]) -> int:
        made = bpf.create_map(each["type"], each["key"], each["value"], each["entries"], each["flags"], each["name"])
        self._own.append(made)
        return made

    def _load(self, what: Compiled, name: str, kind: int) -> None:
        """Load a program, its maps' descriptors in place; tail calls stay among programs of one type."""
        code = bytearray(what.functions[name])
        for at in range(0, len(code), 8):
            if code[at] == 0x18 and code[at + 1] >> 4 == 1:
                table = what.maps[struct.unpack_from("<i", code, at + 4)[0]]["name"]
                fd = self.maps[tails(kind) if table == "tails" else table]
                struct.pack_into("<i", code, at + 4, fd)
        loaded = self.programs[name, kind] = bpf.load_program(kind, bytes(code), name)
        self._own.append(loaded)

    def attach(self, tracepoints: Sequence[int]) -> list[str]:
        """
        Attach hooks; returns those this kernel does not have. Raises LoadError.

        Args:
            tracepoints: Numbers of the calls' own tracepoints; empty to see all calls at one place.
        """
        missing = []
        try:
            for name, hook in HOOKS.items():
                try:
                    self._own.append(bpf.attach_raw(self.programs[name, bpf.RAW_TRACEPOINT], hook))
                except bpf.BpfError:
                    if name != "on_io_uring":
                        raise
                    missing.append(hook)
            whole = self.programs.get(("on_sys_exit", bpf.RAW_TRACEPOINT))
            if whole is not None:
                self._own.append(bpf.attach_raw(whole, "sys_exit"))
            for number in tracepoints:
                self._own.append(bpf.attach_tracepoint(self.programs["on_call_exit", bpf.TRACEPOINT], number))
        except bpf.BpfError as error:
            raise LoadError(_explained(error)) from None
        return missing

    def adopt(self, fds: Iterable[int]) -> None:
        """Free these, too, at the end."""
        self._own = [*fds, *self._own]

    def close(self) -> None:
        """Detach, and free all but the maps that were handed in."""
        bpf.close_all(list(reversed(self._own)))
        self._own = []


def tails(kind: int) -> str:
    """Return the name of the map of tail calls of a type of program."""
    return f"tails{kind}"


def load_stages(what: Compiled, fast: bool, ring_bytes: Mapping[str, int]) -> Loaded:
    """Load the programs that do not depend on rules, and make the maps of all. Raises LoadError."""
    kinds = [bpf.RAW_TRACEPOINT, bpf.TRACEPOINT] if fast else [bpf.RAW_TRACEPOINT]
    made: dict[str, int] = {}
    try:
        for kind in kinds:
            made[tails(kind)] = bpf.create_map(bpf.PROG_ARRAY, 4, 4, len(STAGES) + 1, 0, tails(kind))
        for name, size in ring_bytes.items():
            made[name] = bpf.create_map(bpf.RINGBUF, 0, 0, size, 0, name)
        loaded = Loaded(what, dict.fromkeys(STAGES, kinds), made)
    except (bpf.BpfError, LoadError) as error:
        bpf.close_all(list(made.values()))
        raise LoadError(str(error)) from None
    loaded.adopt(made.values())
    for (name, kind), fd in loaded.programs.items():
        bpf.update(made[tails(kind)], struct.pack("<I", STAGES.index(name) + 1), struct.pack("<I", fd))
    return loaded


def load_hooks(what: Compiled, fast: bool, shared: Mapping[str, int]) -> Loaded:
    """Load the programs of a set of rules. Raises LoadError."""
    kinds = {name: [bpf.RAW_TRACEPOINT] for name in HOOKS}
    kinds[_CALLS[fast]] = [bpf.TRACEPOINT if fast else bpf.RAW_TRACEPOINT]
    return Loaded(what, kinds, shared)


def _explained(error: bpf.BpfError) -> str:
    log = error.log.strip().rsplit("\n", 3)
    return f"{error}" + (f" (the verifier: {' '.join(log[-2:])})" if error.log else "")
