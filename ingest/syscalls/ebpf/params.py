"""
Parameters of events in the order of their layout, read from records (spec: events.yaml).

A word for each parameter: ``R`` result; ``dN`` descriptor, ``iN`` signed, ``uN`` unsigned 32-bit, ``lN`` and ``qN``
64-bit argument N; ``tN`` text, ``bN`` buffer; ``N:table`` flags; ``N:table*`` flags that are the type's upper bits;
``dev.N`` and ``ino.N`` of a descriptor; ``pN`` the kernel's own path of one; ``aN`` address; ``-`` nothing; other words
are functions of this module.
"""

import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from ingest.syscalls.call import Address, Ends
from ingest.syscalls.ebpf.descriptors import (
    address,
    descriptor,
    device,
    falco_flags,
    inet_ends,
    open_flags,
    unix_address,
)
from ingest.syscalls.ebpf.header import Mark
from ingest.syscalls.ebpf.record import CONTROL, RET, SENDER, UNIX, Record

Getter = Callable[[Record], Any]

_EVENTS = """
open R t0 opened u2 dev.7 ino.7
creat R t0 u1 dev.7 ino.7 created
openat R d0 t1 opened u3 dev.7 ino.7
openat2 R d0 t1 opened how_mode resolve dev.7 ino.7
open_by_handle_at R d0 opened p7 dev.7 ino.7
close R d0
read R b1 d0 u2
write R b1 d0 u2
pread R b1 d0 u2 q3
pwrite R b1 d0 u2 q3
readv R total b1 d0
writev R b1 d0 total
preadv R total b1 d0 q3
pwritev R b1 d0 total q3
sendfile R q2 d0 d1 q3
socket R u0 socket_type u2 socket_flags
bind R a1 d0
connect R connected d0 a1
listen R d0 i1
accept R accepted queue_share queue queue_max
accept4 R accepted queue_share queue queue_max i3
send R b1 d0 u2 sent
recv R b1 d0 u2 received
sendto R b1 d0 u2 sent
recvfrom R b1 received d0 u2
sendmsg R b1 d0 total sent
recvmsg R total b1 received control d0
sendmmsg R d0 total b1 sent
recvmmsg R d0 total b1 received control
shutdown R d0 u1
socketpair R pair_first pair_second pair_source pair_peer u0 socket_type u2
setsockopt R d0 1:sockopt_levels option option_value u4
getsockopt R d0 1:sockopt_levels option option_value option_size
getsockname
getpeername
pipe R pipe_first pipe_second ino.0
pipe2 R pipe_first pipe_second ino.0 1:file_flags*
dup R d0
dup2 R d0 d1
dup3 R d0 d1 2:file_flags*
fcntl R d0 1:fcntl_commands q2
ioctl R d0 q1 q2
stat R t0
lstat R t0
stat64 R t0
lstat64 R t0
fstat R d0
fstat64 R
newfstatat R d0 t1 3:newfstatat_flags
access R t0 1:access_flags
lseek R d0 q1 2:lseek_whence
llseek R d0 far_offset 4:lseek_whence
getcwd R t0
chdir R t0
fchdir R d0
rename R t0 t1
renameat R d0 t1 d2 t3
renameat2 R d0 t1 d2 t3 4:renameat2_flags
mkdir R t0 u1
mkdirat R d0 t1 u2
rmdir R t0
link R t0 t1
linkat R d0 t1 d2 t3 4:linkat_flags
unlink R t0
unlinkat R d0 t1 2:unlinkat_flags
symlink R t0 t1
symlinkat R t0 d1 t2
chmod R t0 1:chmod_mode
fchmod R d0 1:chmod_mode
fchmodat R d0 t1 2:chmod_mode
chown R t0 u1 u2
lchown R t0 u1 u2
fchown R d0 u1 u2
fchownat R d0 t1 u2 u3 4:fchownat_flags
mknod R t0 1:mknod_mode u2
mknodat R d0 t1 2:mknod_mode u3
mount R t0 t1 t2 3:mount_flags
umount R t0
umount2 R t0 1:umount_flags
chroot R t0
getdents R d0
getdents64 R d0
flock R d0 1:flock_flags
kill R i0 u1
tkill R i0 u1
tgkill R i0 i1 u2
ptrace R q2 q3 0:ptrace_requests i1
getrlimit R limit_soft limit_hard 0:rlimit_resources
setrlimit R limit_soft limit_hard 0:rlimit_resources
prlimit R limit_soft limit_hard old_soft old_hard i0 1:rlimit_resources
setuid R u0
setgid R u0
setreuid R u0 u1
setregid R u0 u1
setresuid R u0 u1 u2
setresgid R u0 u1 u2
getuid R
geteuid R
getgid R
getegid R
getresuid R word0 word1 word2
getresgid R word0 word1 word2
setns R d0 1:clone_flags
unshare R 0:clone_flags
setsid R
setpgid R i0 i1
capset R set_inheritable set_permitted set_effective
seccomp R q0 q1
bpf R u0
fsconfig R d0 u1 t2 - t3 i4
init_module R b0 q1 t2
finit_module R d0 t1 2:finit_module_flags
delete_module R t0 1:delete_module_flags
keyctl R u0 l1 l2 l3 l4
prctl R u0 new_name l1
memfd_create R t0 1:memfd_create_flags
pidfd_open R i0 1:pidfd_open_flags
pidfd_getfd R d0 d1 u2
eventfd R q0 -
eventfd2 R 1:file_flags* q0
signalfd R d0 - -
signalfd4 R 3:file_flags* d0 -
timerfd_create R - -
inotify_init R -
inotify_init1 R 0:file_flags*
epoll_create R i0
epoll_create1 R 0:epoll_create1_flags
epoll_wait R i2
userfaultfd R 0:file_flags*
io_uring_setup R u0 ring0 ring1 ring_flags ring3 ring4 ring_features
io_uring_enter R d0 u1 u2 3:io_uring_enter_flags -
io_uring_register R d0 1:io_uring_register_opcodes q2 u3
brk R - - - q0
mmap R - - - q0 q1 2:prot_flags 3:mmap_flags d4 q5
mmap2 R - - - q0 q1 2:prot_flags 3:mmap_flags d4 q5
munmap R - - - q0 q1
mprotect R q0 q1 2:prot_flags
mlock R q0 q1
munlock R q0 q1
mlockall R 0:mlockall_flags
munlockall R
mlock2 R q0 q1 2:mlock2_flags
futex R q0 1:futex_operations u2
nanosleep R interval0
poll R polled i2
ppoll R polled interval2 mask3
select R
splice R d0 d2 q4 5:splice_flags
copy_file_range R d2 q3 d0 q1 q4
close_range R u0 u1 2:close_range_flags
process_vm_readv R i0 b1
process_vm_writev R i0 b1
semget R i0 i1 2:semget_flags
semctl R i0 i1 2:semctl_commands i3
semop R u2 operation0 operation1 operation2 operation3 operation4 operation5 i0
quotactl R t1 - - - - - - - - - - - - quota_command quota_type u2 -
"""

_U64 = struct.Struct("<Q")


def _s32(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - 0x100000000 if value & 0x80000000 else value


def _result(record: Record) -> int:
    return record.head.ret


def _signed(record: Record, at: int) -> int:
    return _s32(record.args[at])


def _unsigned(record: Record, at: int) -> int:
    value = record.args[at]
    return value & 0xFFFFFFFF


def _long(record: Record, at: int) -> int:
    value = record.args[at]
    return value - (1 << 64) if value >> 63 else value


def _unsigned_long(record: Record, at: int) -> int:
    return record.args[at]


def _flags(record: Record, at: int, table: str) -> int:
    return falco_flags(table, record.args[at] & 0xFFFFFFFF)


def _only_flags(record: Record, at: int, table: str) -> int:
    """Return file flags of a call that opens nothing: no access mode is meant."""
    return falco_flags(table, record.args[at] & 0xFFFFFFFF) & ~3


def _device(record: Record, at: int) -> int:
    info = record.fd(at)
    return device(info.dev) if info else 0


def _inode(record: Record, at: int) -> int:
    info = record.fd(at)
    return info.ino if info else 0


def _address(record: Record, at: int) -> Address | None:
    return address(record.bytes(at))


def _numbers(record: Record, at: int, form: str) -> tuple[Any, ...]:
    """Return the numbers of a structure that the call pointed to; () when it could not be read."""
    raw = record.bytes(at)
    if raw is None or len(raw) < struct.calcsize(form):
        return ()
    return struct.unpack_from(form, raw)


def _number(record: Record, at: int, form: str, which: int) -> Any:
    found = _numbers(record, at, form)
    return found[which] if found else None


# Opens


def _kernel_open_flags(record: Record) -> int:
    head = record.head
    if head.nr == 437:
        return int(_number(record, 2, "<QQQ", 0) or 0)
    return (head.arg1 if head.nr == 2 else head.arg2) & 0xFFFFFFFF


def _opened(record: Record) -> int:
    return open_flags(record.fd(RET), _kernel_open_flags(record))


def _created(record: Record) -> int:
    info = record.fd(RET)
    return info.layer if info else 0


def _resolve(record: Record) -> int:
    return falco_flags("openat2_flags", int(_number(record, 2, "<QQQ", 2) or 0))


# Sockets


def _own_ends(record: Record, at: int, role: str) -> Ends | None:
    found = descriptor(record, at, role)
    return found.ends if found else None


def _connected(record: Record) -> Ends | None:
    if record.head.ret < 0 and record.head.ret != -115:
        return None
    return _own_ends(record, 0, "client")


def _accepted(record: Record) -> Ends | None:
    return _own_ends(record, RET, "server")


def _datagram(record: Record, sends: bool) -> Ends | None:
    """Return from where to where a datagram went: the address given, else the socket's own ends."""
    found = record.socket(0)
    if found is None:
        return None
    name = record.bytes(4) if record.head.nr in (44, 45) else record.bytes(1 | SENDER)
    far = address(name)
    if found.family not in (2, 10):
        if far is not None and far.path:
            here = unix_address(record.parts.get(UNIX, b""))
            return Ends(1, here, far, found.sk, found.peer) if sends else Ends(1, far, here, found.peer, found.sk)
        return _own_ends(record, 0, "")
    here, there = inet_ends(found)
    far = far if far is not None and far.ip else there
    if not far.port and not any(far.ip):
        return None
    if len(here.ip) != len(far.ip):
        here = Address(far.family, b"\0" * len(far.ip), here.port)
    return Ends(far.family, here, far) if sends else Ends(far.family, far, here)


def _socket_flags(record: Record) -> int:
    return falco_flags("file_flags", record.head.arg1 & 0o2004000) & ~3


def _queue(record: Record, which: str) -> int | None:
    found = record.socket(0)
    if found is None:
        return None
    if which == "share":
        return min(100, found.backlog * 100 // found.backlog_max) if found.backlog_max else 0
    return found.backlog if which == "length" else found.backlog_max


def _option(record: Record) -> int:
    option = record.head.arg2 & 0xFFFFFFFF
    return falco_flags("sockopt_options", option) if record.head.arg1 & 0xFFFFFFFF == 1 else 0


def _option_value(record: Record) -> int | bytes | None:
    """Return a socket option's value: a number where it is one, else the bytes."""
    raw = record.bytes(3)
    return struct.unpack("<i", raw[:4])[0] if raw and len(raw) in (4, 8) else raw


def _pair(record: Record, which: str) -> int:
    found = record.socket(3)
    return getattr(found, which) if found else 0


def _ring(record: Record, which: int) -> int | None:
    found = _numbers(record, 1, "<10I")
    return found[which] if found else None


def _new_name(record: Record) -> str | None:
    """Return the name that prctl(PR_SET_NAME) set: by then the thread has it."""
    if record.head.arg0 != 15:
        return None
    return record.head.comm.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _interval(record: Record, at: int) -> int | None:
    found = _numbers(record, at, "<II" if record.head.marks & Mark.COMPAT else "<QQ")
    return found[0] * 1_000_000_000 + found[1] if found else None


def _polled(record: Record) -> tuple[tuple[int, int], ...] | None:
    """Return the descriptors that poll found something for, and what; the first fifteen are looked at."""
    raw = record.bytes(0)
    if raw is None:
        return None
    entries = struct.iter_unpack("<ihh", raw[: len(raw) & ~7])
    return tuple((num, falco_flags("poll_flags", found & 0xFFFF)) for num, _, found in entries if found)


def _limit(record: Record, at: int, which: int) -> int | None:
    found = _numbers(record, at, "<II" if record.head.marks & Mark.COMPAT else "<qq")
    return found[which] if found else None


def _soft_or_hard(record: Record, which: int) -> int | None:
    return _limit(record, 2 if record.head.nr == 302 else 1, which)


def _total(record: Record) -> int | None:
    """Return the size of a transfer of several buffers: what was transferred, as nobody sums up the vectors."""
    return record.head.ret if record.head.ret >= 0 else None


def _far_offset(record: Record) -> int:
    return (record.head.arg1 & 0xFFFFFFFF) << 32 | record.head.arg2 & 0xFFFFFFFF


def _capabilities(record: Record, which: int) -> int | None:
    found = _numbers(record, 1, "<6I")
    return found[which] | found[which + 3] << 32 if found else None


_NAMED: dict[str, Getter] = {
    "R": _result,
    "-": lambda record: None,
    "opened": _opened,
    "created": _created,
    "how_mode": lambda record: _number(record, 2, "<QQQ", 1),
    "resolve": _resolve,
    "total": _total,
    "connected": _connected,
    "accepted": _accepted,
    "sent": partial(_datagram, sends=True),
    "received": partial(_datagram, sends=False),
    "control": lambda record: record.bytes(1 | CONTROL),
    "queue": partial(_queue, which="length"),
    "queue_max": partial(_queue, which="most"),
    "queue_share": partial(_queue, which="share"),
    "socket_type": lambda record: record.head.arg1 & 0xF,
    "socket_flags": _socket_flags,
    "pair_first": lambda record: _number(record, 3, "<ii", 0),
    "pair_second": lambda record: _number(record, 3, "<ii", 1),
    "pair_source": partial(_pair, which="sk"),
    "pair_peer": partial(_pair, which="peer"),
    "pipe_first": lambda record: _number(record, 0, "<ii", 0),
    "pipe_second": lambda record: _number(record, 0, "<ii", 1),
    "option": _option,
    "option_value": _option_value,
    "option_size": lambda record: None,
    "far_offset": _far_offset,
    "limit_soft": partial(_soft_or_hard, which=0),
    "limit_hard": partial(_soft_or_hard, which=1),
    "old_soft": partial(_limit, at=3, which=0),
    "old_hard": partial(_limit, at=3, which=1),
    **{f"word{at}": partial(_number, at=at, form="<I", which=0) for at in range(3)},
    "set_effective": partial(_capabilities, which=0),
    "set_permitted": partial(_capabilities, which=1),
    "set_inheritable": partial(_capabilities, which=2),
    "new_name": _new_name,
    "ring0": partial(_ring, which=0),
    "ring1": partial(_ring, which=1),
    "ring3": partial(_ring, which=3),
    "ring4": partial(_ring, which=4),
    "ring_flags": lambda record: falco_flags("io_uring_setup_flags", _ring(record, 2) or 0),
    "ring_features": lambda record: falco_flags("io_uring_setup_feats", _ring(record, 5) or 0),
    "polled": _polled,
    "mask3": partial(_number, at=3, form="<I", which=0),
    "interval0": partial(_interval, at=0),
    "interval2": partial(_interval, at=2),
    **{f"operation{which}": partial(_number, at=1, form="<HhHHhH", which=which) for which in range(6)},
    "quota_command": lambda record: falco_flags("quotactl_cmds", (record.head.arg0 & 0xFFFFFFFF) >> 8),
    "quota_type": lambda record: falco_flags("quotactl_types", record.head.arg0 & 0xFF),
}

_BY_LETTER: dict[str, Callable[..., Any]] = {
    "d": _signed,
    "i": _signed,
    "u": _unsigned,
    "l": _long,
    "q": _unsigned_long,
    "a": _address,
}


def _getter(word: str) -> Getter:
    if word in _NAMED:
        return _NAMED[word]
    letter, rest = word[0], word[1:]
    if ":" in word:
        table = word[2:]
        if table.endswith("*"):
            return partial(_only_flags, at=int(letter), table=table[:-1])
        return partial(_flags, at=int(letter), table=table)
    if word.startswith(("dev.", "ino.")):
        return partial(_device if letter == "d" else _inode, at=int(word[4:]))
    at = int(rest)
    if letter == "t":
        return lambda record: record.text(at)
    if letter == "b":
        return lambda record: record.bytes(at)
    if letter == "p":
        return lambda record: record.path(at)
    return partial(_BY_LETTER[letter], at=at)


_LINES = [line.split() for line in _EVENTS.strip().split("\n")]

PARAMS: dict[str, tuple[Getter, ...]] = {
    name: tuple(_getter(word) for word in words)
    for name, *words in (line.split() for line in _EVENTS.strip().split("\n"))
}
"""What reads the parameters of each event, in order; events without are not decoded."""


def _directories(words: list[str]) -> tuple[tuple[int, int], ...]:
    return tuple((int(word[1]), at) for at, word in enumerate(words) if word[0] == "d" and word[1:].isdecimal())


DIRECTORIES: dict[str, tuple[tuple[int, int], ...]] = {
    name: found for name, *words in _LINES if (found := _directories(words)) and any(word[0] == "t" for word in words)
}
"""Pairs of argument and parameter that are descriptors of directories, by event."""
