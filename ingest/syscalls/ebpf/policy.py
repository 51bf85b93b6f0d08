"""
What the program does with each system call: which arguments it reads, how, and which ring the event takes.

A letter for each argument: ``p`` path, ``t`` text, ``f`` descriptor, ``d`` directory of the path after it, ``s``
structure of the size given, ``a`` address (its length is the next argument), ``A`` address the call wrote, ``o`` and
``i`` buffer written to and read from by the process, ``V`` and ``v`` vectors of such, ``M`` and ``m`` messages, ``l``
what poll asks, ``2`` two new descriptors, ``.`` a number. Then ``R`` when the result is a descriptor, ``!`` for the
ring that floods of file and network events do not reach, ``E`` when a tracepoint tells success.
"""

import struct
from collections.abc import Iterable
from functools import cache

from ingest.syscalls.ebpf.numbers import COMPAT, NUMBERS, SIZE, SOCKETCALL, SUBCALLS

PRIORITY, RET_FD, STATE, WANTED, ARGV, HOW, ENOUGH, OTHERS = 4, 8, 16, 32, 64, 128, 256, 512
"""Bits of ``flags``, as in kernel/common.c; 1 and 2 say which generation of programs takes the event."""

_KINDS = ".tpfdsaoiVvMml2A"
"""The position is the number in kernel/common.c."""

_ENTRY = struct.Struct("<I6sHI")
_NO_PATH = 7

_CALLS = """
open p.. R
creat p. R
openat dp.. R
openat2 dps. R 24 H
open_by_handle_at d.. R !
read fi.
write fo.
pread64 fi..
pwrite64 fo..
readv fv.
writev fV.
preadv fv..
pwritev fV..
sendfile ff..
socket ... R
bind fa.
connect fa.
listen f.
accept f.. R
accept4 f... R
sendto fo..a.
recvfrom fi..A.
sendmsg fM.
recvmsg fm.
sendmmsg fM..
recvmmsg fm...
shutdown f.
socketpair ...2
setsockopt f..o.
getsockopt f..s. 8
pipe 2
pipe2 2.
dup f R
dup2 f. R
dup3 f.. R
fcntl f..
ioctl f..
stat p.
lstat p.
stat64 p.
lstat64 p.
fstat f.
newfstatat dp..
access p.
lseek f..
_llseek f....
getcwd t.
chdir p !
fchdir f !
rename pp
renameat dpdp
renameat2 dpdp.
mkdir p.
mkdirat dp.
rmdir p
link pp
linkat dpdp.
unlink p
unlinkat dp.
symlink tp
symlinkat tdp
chmod p.
fchmod f.
fchmodat dp.
chown p..
lchown p..
fchown f..
fchownat dp...
mknod p..
mknodat dp..
mount tpt.. !
umount p !
umount2 p. !
chroot p !
getdents f..
getdents64 f..
flock f.
kill .. !
tkill .. !
tgkill ... !
ptrace .... !
getrlimit .s 16
setrlimit .s 16
prlimit64 ..ss 16
setuid . !
setgid . !
setreuid .. !
setregid .. !
setresuid ... !
setresgid ... !
getresuid sss 4
getresgid sss 4
setns f. !
unshare . !
setsid !
setpgid .. !
capset .s 24 !
seccomp ... !
bpf ... R !
fsconfig f.tt. !
init_module o.t !
finit_module ft. !
delete_module t. !
keyctl ..... !
prctl .....
memfd_create t. R !
pidfd_open .. R
pidfd_getfd f.. R !
eventfd . R
eventfd2 .. R
signalfd ... R
signalfd4 .... R
timerfd_create .. R
inotify_init R
inotify_init1 . R
epoll_create . R
epoll_create1 . R
userfaultfd . R !
io_uring_setup .s R 120 !
io_uring_enter f.....
io_uring_register f...
mmap ....f.
mmap2 ....f.
poll l..
ppoll l.ss. 16
nanosleep s. 16
splice f.f...
copy_file_range f.f...
process_vm_readv .v.... !
process_vm_writev .V.... !
semop .s. 12
quotactl .t..
execve p.. E X !
execveat dp... E X !
clone ..... E !
clone3 .. E !
fork E !
vfork E !
procexit !
task_rename !
"""

STATE_NUMBERS = frozenset(
    NUMBERS[name]
    for name in (
        *("execve", "execveat", "clone", "clone3", "fork", "vfork", "procexit", "task_rename"),
        *("chdir", "fchdir", "chroot", "setsid", "setpgid", "capset"),
    )
)
"""Events that keep the thread table right, whether or not rules ask for them."""


def _read(line: str) -> tuple[int, bytes, int, int]:
    """Return number, kinds of arguments, flags and size of structures."""
    name, *words = line.split()
    kinds, flags, size = b"", 0, 0
    for word in words:
        if word.isdigit() and word != "2":
            size = int(word)
        elif word in _FLAGS:
            flags |= _FLAGS[word]
        else:
            kinds = bytes(_KINDS.index(letter) for letter in word)
    return NUMBERS[name], kinds, flags, size


_FLAGS = {"R": RET_FD, "!": PRIORITY, "E": ENOUGH, "X": ARGV, "H": HOW}
_TABLE: dict[int, tuple[bytes, int, int]] = {
    number: (kinds, flags, size) for number, kinds, flags, size in map(_read, _CALLS.strip().split("\n"))
}


def entry(number: int, flags: int) -> bytes:
    """
    Return what the policy map holds for a call.

    Args:
        number: Of the call.
        flags: ``STATE``, ``WANTED`` and the generations; what the table says comes on top. Of failed calls that a
            tracepoint would tell, ``ENOUGH`` is one.
    """
    kinds, own, size = _TABLE.get(number, (b"", 0, 0))
    path = next((index for index, kind in enumerate(kinds) if kind == _KINDS.index("p")), _NO_PATH)
    return _ENTRY.pack(flags | own if flags else 0, kinds.ljust(6, b"\0"), size, path)


_FD_KINDS = frozenset((_KINDS.index("f"), _KINDS.index("d"), _KINDS.index("2")))
_RESULT = 7


@cache
def fd_index(number: int) -> int:
    """Return the index of the argument that is the descriptor of the event; 7 for the result, -1 for none."""
    if number == NUMBERS["close"]:  # gone when the call is over: only who looks before it can tell
        return 0
    kinds, flags, _size = _TABLE.get(number, (b"", 0, 0))
    if flags & RET_FD:
        return _RESULT
    return next((index for index, kind in enumerate(kinds) if kind in _FD_KINDS), -1)


def entries(wanted: Iterable[int], generation: int) -> dict[int, bytes]:
    """Return the policy of all numbers; ``generation`` is 1 or 2."""
    chosen = frozenset(wanted)
    taken = chosen | STATE_NUMBERS
    others = frozenset(
        SOCKETCALL if number > SUBCALLS else number for number, meant in enumerate(COMPAT) if meant in taken
    )
    found = {}
    for number in range(SIZE):
        flags = (WANTED if number in chosen else 0) | (STATE if number in STATE_NUMBERS else 0)
        mine = entry(number, flags | generation if flags else 0)
        found[number] = _marked(mine) if number in others else mine
    return found


def _marked(entry: bytes) -> bytes:
    """Say of a number that a 32-bit program means a call by it that is taken."""
    flags, kinds, size, path = _ENTRY.unpack(entry)
    return _ENTRY.pack(flags | OTHERS, kinds, size, path)
