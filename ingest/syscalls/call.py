"""
One host event as every driver makes it: a system call, a tracepoint or a note of the agent itself.

A driver (eBPF, capture file, audit, ptrace) decodes to ``Call``; the state engine gives it the thread and the
descriptor it concerns; the fields read from it. A thread or descriptor that a call holds is never changed afterwards:
the state engine replaces objects in its tables, so that an event keeps telling what was true when it happened.
"""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

UNKNOWN = -1
"""A namespaced id, login uid or descriptor number that nobody knows."""


@dataclass(frozen=True, slots=True)
class Address:
    """
    One end of a socket.

    Attributes:
        family: AF_UNIX 1, AF_INET 2, AF_INET6 10; another one when only the family is known.
        ip: Packed address, 4 or 16 bytes; empty for other families.
        port: TCP or UDP port.
        path: Path of a UNIX socket, "" else; an abstract one begins with "@".
    """

    family: int
    ip: bytes = b""
    port: int = 0
    path: str = ""


@dataclass(frozen=True, slots=True)
class Ends:
    """
    Both ends of a connection, from client to server (spec: fields 6.3).

    Attributes:
        family: As in ``Address``.
        source, destination: The ends; of a UNIX socket only the path of the destination says something.
        source_id, destination_id: Kernel addresses of a UNIX socket's ends, 0 when unknown.
    """

    family: int
    source: Address
    destination: Address
    source_id: int = 0
    destination_id: int = 0


@dataclass(slots=True)
class Descriptor:
    """
    An open descriptor.

    Attributes:
        num: Number in its process; -1 for the descriptor of a failed open.
        typechar: As ``fd.typechar`` answers: f file, d directory, 4, 6, u, p ...; "o" when unknown.
        name: As ``fd.name`` answers.
        name_raw: Path as the caller gave it.
        real_path: Path that the kernel resolved, "" when nobody asked it.
        flags: Open flags in Falco's numbering (spec: fields 5.6).
        dev, ino: Device and inode numbers, 0 when unknown.
        l4: Layer 4 protocol "tcp", "udp", "icmp", "raw" or "".
        ends: Of a connected socket; None before.
        address: Of a bound or listening socket; None else.
        server: Whether the process is the server side; None when unknown.
        listening, connected, name_changed, upper_layer, lower_layer: As the fields of these names.
        kind: Word of ``fd.type`` where the character stands for two (``userfaultfd``); "" else.
    """

    num: int = UNKNOWN
    typechar: str = "o"
    name: str = ""
    name_raw: str = ""
    real_path: str = ""
    flags: int = 0
    dev: int = 0
    ino: int = 0
    l4: str = ""
    ends: Ends | None = None
    address: Address | None = None
    server: bool | None = None
    listening: bool = False
    connected: bool = False
    name_changed: bool = False
    upper_layer: bool = False
    lower_layer: bool = False
    kind: str = ""


@dataclass(slots=True)
class Thread:
    """
    A thread, with what its process did at its last exec (spec: fields 6.2).

    Attributes:
        tid, pid: Thread and process id in the host's namespace.
        start_ns: Start of the thread, nanoseconds since the epoch; 0 when unknown. With ``tid`` it is the identity.
        ptid: Thread id of the parent process's thread that made it, 0 when unknown.
        comm: Kernel name, 15 bytes at most.
        exe: argv[0]; ``args`` is argv[1:].
        exe_path: Executable as the kernel resolved it.
        cwd: Working directory, without trailing "/" except for the root.
        uid, gid, login_uid: Effective ids and audit login uid (-1 unset).
        sid, pgid, vpgid, vtid, vpid: Session and group ids, and ids in the thread's own pid namespace.
        tty: Encoded device of the terminal, 0 for none.
        caps: Inheritable, permitted and effective sets as bits.
        cgroups: (subsystem, path) pairs.
        root: Root directory, "/" unless changed.
        env: KEY=VALUE texts.
        exe_flags: Bits of execve's ``flags`` parameter (spec: events.yaml, execve_flags).
        exe_ino, exe_ctime_ns, exe_mtime_ns: Of the executable's inode.
        pidns_start_ns: Start of the first process of its pid namespace.
        fd_limit, vm_size, vm_rss, vm_swap, faults_major, faults_minor: As of the last exec or clone; sizes in kB.
        container_id: Full id, "" for the host, None when not looked up yet.
        exited_ns: When it ended; 0 while it lives.
        subreaper: Whether it takes in the orphans among its descendants.
        since_ns: Time of the event from which on these facts hold; 0 for what was there before the first event.
        previous: The same thread before that, kept for a short while for events that are evaluated later; else None.
        descriptors: By number; shared by the threads of one process. Empty where the driver resolves at event time.
    """

    tid: int
    pid: int
    start_ns: int = 0
    ptid: int = 0
    comm: str = ""
    exe: str = ""
    exe_path: str = ""
    args: tuple[str, ...] = ()
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    login_uid: int = UNKNOWN
    sid: int = UNKNOWN
    pgid: int = UNKNOWN
    vpgid: int = UNKNOWN
    vtid: int = UNKNOWN
    vpid: int = UNKNOWN
    tty: int = 0
    caps: tuple[int, int, int] = (0, 0, 0)
    cgroups: tuple[tuple[str, str], ...] = ()
    root: str = "/"
    env: tuple[str, ...] = ()
    exe_flags: int = 0
    exe_ino: int = 0
    exe_ctime_ns: int = 0
    exe_mtime_ns: int = 0
    pidns_start_ns: int = 0
    fd_limit: int = 0
    vm_size: int = 0
    vm_rss: int = 0
    vm_swap: int = 0
    faults_major: int = 0
    faults_minor: int = 0
    container_id: str | None = None
    exited_ns: int = 0
    subreaper: bool = False
    since_ns: int = 0
    previous: "Thread | None" = field(default=None, repr=False, compare=False)
    descriptors: dict[int, Descriptor] = field(default_factory=dict)


class Seen(NamedTuple):
    """
    What the kernel said of the thread when the event happened; wins over what the tables remember.

    Attributes:
        pid: Its process.
        start_ns: Its start, nanoseconds since the epoch.
        ptid: Thread id of its process's parent.
        uid, gid: Effective ids.
        login_uid: Audit login uid, -1 unset.
        comm: Kernel name, "" when not told.
        vtid, vpid, sid: As in ``Thread``.
    """

    pid: int
    start_ns: int
    ptid: int
    uid: int
    gid: int
    login_uid: int = UNKNOWN
    comm: str = ""
    vtid: int = UNKNOWN
    vpid: int = UNKNOWN
    sid: int = UNKNOWN


class Call:
    """
    One host event.

    Attributes:
        name: As ``evt.type`` answers, ``openat``.
        params: Native values in the order of the event's layout (spec: events.yaml): ``int`` for numbers (flags in
            Falco's numbering), ``str`` for texts and paths (bytes that are no UTF-8 as surrogate escapes), ``bytes``
            for buffers, ``Address``, ``Ends``; None for an empty parameter. () when the event has no layout.
        time_ns: Nanoseconds since the epoch.
        tid, cpu: Where it ran.
        thread: The thread at that time; None when unknown.
        fd: The descriptor that the call touched (the new one for calls that make one); None when none or unknown.
        num: Position in a capture file, 0 for live events.
        seen: Facts of the thread that the driver got with the event; None when it has none.
        extra: Facts that only some drivers know, by field name (``fd.realpath``, ``proc.cwd``); the directory of a
            parameter that holds a descriptor under that parameter's name (``dirfd``). None when there are none.
        table: The state engine's thread table, for ancestors.
        resolved: Whether the driver says itself which descriptor it was, so that the tables are not asked.
    """

    resolved = False

    __slots__ = ("cpu", "extra", "fd", "name", "num", "params", "seen", "table", "thread", "tid", "time_ns")

    def __init__(self, name: str, params: tuple[Any, ...], time_ns: int, tid: int, cpu: int = 0) -> None:
        self.name = name
        self.params = params
        self.time_ns = time_ns
        self.tid = tid
        self.cpu = cpu
        self.thread: Thread | None = None
        self.fd: Descriptor | None = None
        self.num = 0
        self.seen: Seen | None = None
        self.extra: dict[str, Any] | None = None
        self.table: Any = None
