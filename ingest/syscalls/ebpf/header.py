"""
What the eBPF driver says about the thread behind every event, read from the kernel at that moment.

``decode`` gives of it what ``ingest.syscalls.call.Seen`` holds to every call: the thread's start is exact to the
nanosecond, while /proc tells it in hundredths of a second.
"""

from enum import IntEnum, IntFlag
from typing import NamedTuple


class Kind(IntEnum):
    """What made an event."""

    SYSCALL = 0
    EXEC = 1
    FORK = 2
    EXIT = 3
    RENAME = 4


class Mark(IntFlag):
    """Circumstances of an event."""

    COMPAT = 1  # a 32-bit call; number and arguments are those of the 64-bit call
    TRUNCATED = 2  # a text or buffer was cut, or a path was deeper than is walked
    FAULT = 4  # memory of the process could not be read
    WANTED = 8  # rules may want it; without this mark it only keeps the thread table right
    NAMESPACED = 16  # the thread is not in the first pid namespace


class Header(NamedTuple):
    """
    Facts of the thread at the time of the event; the order is that of the record in the ring.

    Attributes:
        boot_ns: Time of the event since boot, suspension included.
        thread_start_boot_ns: Start of the thread since boot.
        start_boot_ns: Start of the process (its main thread) since boot; with ``tgid`` its identity.
        parent_start_boot_ns: Likewise of the parent process as it is now (``ppid``); 0 when there is none.
        ret: Return value of the call; 0 for events that are none.
        arg0, arg1, arg2, arg3, arg4, arg5: Arguments of the call as unsigned 64-bit numbers.
        cgroup_id: Of the cgroup version 2 hierarchy; 1 for everybody where it is not used.
        tid, tgid, ppid: Thread, process and parent process in the first pid namespace.
        vtid, vpid: Thread and process id in the thread's own pid namespace.
        sid: Session id in the thread's own pid namespace.
        uid, euid, gid, egid: Real and effective ids in the first user namespace.
        login_uid: Audit login uid, 2**32-1 when unset.
        session: Audit session, 2**32-1 when unset.
        pidns: Inode number of the pid namespace.
        nr: Number of the 64-bit call; of events that are none, the number in ``table``.
        kind: Number as in ``Kind``.
        marks: Bits as in ``Mark``.
        cpu: Where it ran.
        size: Bytes of what follows the header in the ring.
        comm: Name of the thread, filled up with NULs.
    """

    boot_ns: int
    thread_start_boot_ns: int
    start_boot_ns: int
    parent_start_boot_ns: int
    ret: int
    arg0: int
    arg1: int
    arg2: int
    arg3: int
    arg4: int
    arg5: int
    cgroup_id: int
    tid: int
    tgid: int
    ppid: int
    vtid: int
    vpid: int
    sid: int
    uid: int
    euid: int
    gid: int
    egid: int
    login_uid: int
    session: int
    pidns: int
    nr: int
    kind: int
    marks: int
    cpu: int
    size: int
    comm: bytes
