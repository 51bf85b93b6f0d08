"""
Layouts of host events: parameters, category and traits of every event a rule can see (spec: events.yaml).

``layout(name)`` is what a rule sees, ``entry_layout(name)`` what the five calls report on entry whose arguments another
thread could change meanwhile. A layout is made from its line of the table when somebody asks for it.

Source of the facts: Falco libs, driver/event_table.c.
"""

import re
from dataclasses import dataclass, field
from functools import cache

_TABLE = """
open > file creates state | name:fspath flags:flags32/hex/file_flags mode:uint32/oct
open < file creates state | fd:fd name:fspath flags:flags32/hex/file_flags mode:uint32/oct dev:uint32/hex ino:uint64
close < io_other uses destroys state | res:errno fd:fd
read < io_read ignored uses read | res:errno data:bytebuf fd:fd size:uint32
write < io_write ignored uses write | res:errno data:bytebuf fd:fd size:uint32
socket < net creates state | fd:fd domain:enumflags32/socket_families type:uint32 proto:uint32
  flags:flags32/hex/file_flags
bind < net uses state | res:errno addr:sockaddr fd:fd
connect > net uses state | fd:fd addr:sockaddr
connect < net uses state | res:errno tuple:socktuple fd:fd addr:sockaddr
listen < net uses | res:errno fd:fd backlog:int32
send < io_write ignored uses write | res:errno data:bytebuf fd:fd size:uint32 tuple:socktuple
sendto < io_write uses write state | res:errno data:bytebuf fd:fd size:uint32 tuple:socktuple
recv < io_read ignored uses read | res:errno data:bytebuf fd:fd size:uint32 tuple:socktuple
recvfrom < io_read uses read state | res:errno data:bytebuf tuple:socktuple fd:fd size:uint32
shutdown < net uses state | res:errno fd:fd how:enumflags8/hex/shutdown_how
getsockname < net |
getpeername < net |
socketpair < ipc creates state | res:errno fd1:fd fd2:fd source:uint64/hex peer:uint64/hex
  domain:enumflags32/socket_families type:uint32 proto:uint32
setsockopt < net uses | res:errno fd:fd level:enumflags8/sockopt_levels optname:enumflags8/sockopt_options
  val:dyn/sockopt_dynamic_param optlen:uint32
getsockopt < net uses state | res:errno fd:fd level:enumflags8/sockopt_levels optname:enumflags8/sockopt_options
  val:dyn/sockopt_dynamic_param optlen:uint32
sendmsg < io_write uses write state | res:errno data:bytebuf fd:fd size:uint32 tuple:socktuple
sendmmsg < io_write uses write state | res:errno fd:fd size:uint32 data:bytebuf tuple:socktuple
recvmsg < io_read uses read state | res:errno size:uint32 data:bytebuf tuple:socktuple msgcontrol:bytebuf fd:fd
recvmmsg < io_read uses read state | res:errno fd:fd size:uint32 data:bytebuf tuple:socktuple msgcontrol:bytebuf
creat > file creates state | name:fspath mode:uint32/oct
creat < file creates state | fd:fd name:fspath mode:uint32/oct dev:uint32/hex ino:uint64
  creat_flags:flags16/hex/creat_flags
pipe < ipc creates state | res:errno fd1:fd fd2:fd ino:uint64
eventfd < ipc creates state | res:fd initval:uint64 flags:uint32/hex
futex < ipc | res:errno addr:uint64/hex op:flags16/hex/futex_operations val:uint64
stat < file | res:errno path:fspath
lstat < file | res:errno path:fspath
fstat < file uses | res:errno fd:fd
stat64 < file | res:errno path:fspath
lstat64 < file | res:errno path:fspath
fstat64 < file | res:errno
epoll_wait < wait waits | res:errno maxevents:errno
poll < wait waits | res:errno fds:fdlist timeout:int64
select < wait waits | res:errno
lseek < file uses | res:errno fd:fd offset:uint64 whence:enumflags8/lseek_whence
llseek < file uses =_llseek | res:errno fd:fd offset:uint64 whence:enumflags8/lseek_whence
getcwd < file | res:errno path:charbuf
chdir < file state | res:errno path:charbuf
fchdir < file uses state | res:errno fd:fd
pread < io_read ignored uses read =pread64 | res:errno data:bytebuf fd:fd size:uint32 pos:uint64
pwrite < io_write ignored uses write =pwrite64 | res:errno data:bytebuf fd:fd size:uint32 pos:uint64
readv < io_read ignored uses read | res:errno size:uint32 data:bytebuf fd:fd
writev < io_write ignored uses write | res:errno data:bytebuf fd:fd size:uint32
preadv < io_read ignored uses read | res:errno size:uint32 data:bytebuf fd:fd pos:uint64
pwritev < io_write ignored uses write | res:errno data:bytebuf fd:fd size:uint32 pos:uint64
signalfd < signal creates state | res:fd fd:fd mask:uint32/hex flags:uint8/hex
kill < signal | res:errno pid:pid sig:sigtype
tkill < signal | res:errno tid:pid sig:sigtype
tgkill < signal | res:errno pid:pid tid:pid sig:sigtype
nanosleep < sleep waits | res:errno interval:reltime
timerfd_create < time creates state | res:fd clockid:uint8 flags:uint8/hex
inotify_init < ipc creates state | res:fd flags:uint8/hex
getrlimit < process =ugetrlimit | res:errno cur:int64 max:int64 resource:enumflags8/rlimit_resources
setrlimit < process | res:errno cur:int64 max:int64 resource:enumflags8/rlimit_resources
prlimit < process =prlimit64 | res:errno newcur:int64 newmax:int64 oldcur:int64 oldmax:int64 pid:int64
  resource:enumflags8/rlimit_resources
drop + internal | ratio:uint32
drop - internal | ratio:uint32
fcntl < io_other uses state =fcntl64 | res:fd fd:fd cmd:enumflags8/fcntl_commands arg:uint64/hex
switch * scheduler =sched_switch | next:pid pgft_maj:uint64 pgft_min:uint64 vm_size:uint32 vm_rss:uint32
  vm_swap:uint32
brk < memory | res:uint64/hex vm_size:uint32 vm_rss:uint32 vm_swap:uint32 addr:uint64/hex
mmap < memory uses | res:errno/hex vm_size:uint32 vm_rss:uint32 vm_swap:uint32 addr:uint64/hex length:uint64
  prot:flags32/hex/prot_flags flags:flags32/hex/mmap_flags fd:fd offset:uint64
mmap2 < memory uses | res:errno/hex vm_size:uint32 vm_rss:uint32 vm_swap:uint32 addr:uint64/hex length:uint64
  prot:flags32/hex/prot_flags flags:flags32/hex/mmap_flags fd:fd pgoffset:uint64
munmap < memory | res:errno vm_size:uint32 vm_rss:uint32 vm_swap:uint32 addr:uint64/hex length:uint64
splice < io_other uses | res:errno fd_in:fd fd_out:fd size:uint64 flags:flags32/hex/splice_flags
ptrace < process | res:errno addr:dyn/hex/ptrace_dynamic_param data:dyn/hex/ptrace_dynamic_param
  request:enumflags16/ptrace_requests pid:pid
ioctl < io_other uses | res:errno fd:fd request:uint64/hex argument:uint64/hex
rename < file | res:errno oldpath:fspath newpath:fspath
renameat < file | res:errno olddirfd:fd oldpath:fsrelpath@1 newdirfd:fd newpath:fsrelpath@3
symlink < file | res:errno target:charbuf linkpath:fspath
symlinkat < file uses | res:errno target:charbuf linkdirfd:fd linkpath:fsrelpath@2
procexit * process state =sched_process_exit | status:errno ret:errno sig:sigtype core:uint8 reaper_tid:pid
sendfile < io_write ignored uses =sendfile64 | res:errno offset:uint64 out_fd:fd in_fd:fd size:uint64
quotactl < user | res:errno special:charbuf quotafilepath:charbuf dqb_bhardlimit:uint64 dqb_bsoftlimit:uint64
  dqb_curspace:uint64 dqb_ihardlimit:uint64 dqb_isoftlimit:uint64 dqb_btime:reltime dqb_itime:reltime
  dqi_bgrace:reltime dqi_igrace:reltime dqi_flags:flags8/quotactl_dqi_flags quota_fmt_out:flags8/quotactl_quota_fmts
  cmd:flags16/quotactl_cmds type:flags8/quotactl_types id:uint32 quota_fmt:flags8/quotactl_quota_fmts
setresuid < user state =setresuid32 | res:errno ruid:uid euid:uid suid:uid
setresgid < user state =setresgid32 | res:errno rgid:gid egid:gid sgid:gid
close_range < io_other state | res:errno first:uint32 last:uint32 flags:flags32/hex/close_range_flags
setuid < user state =setuid32 | res:errno uid:uid
setgid < user state =setgid32 | res:errno gid:gid
getuid < user =getuid32 | uid:uid
geteuid < user =geteuid32 | euid:uid
getgid < user =getgid32 | gid:gid
getegid < user =getegid32 | egid:gid
getresuid < user =getresuid32 | res:errno ruid:uid euid:uid suid:uid
getresgid < user =getresgid32 | res:errno rgid:gid egid:gid sgid:gid
clone < process state | res:pid exe:charbuf args:bytebuf tid:pid pid:pid ptid:pid cwd:charbuf fdlimit:int64
  pgft_maj:uint64 pgft_min:uint64 vm_size:uint32 vm_rss:uint32 vm_swap:uint32 comm:charbuf cgroups:bytebuf
  flags:flags32/hex/clone_flags uid:uint32 gid:uint32 vtid:pid vpid:pid pidns_init_start_ts:uint64
fork < process state | res:pid exe:charbuf args:bytebuf tid:pid pid:pid ptid:pid cwd:charbuf fdlimit:int64
  pgft_maj:uint64 pgft_min:uint64 vm_size:uint32 vm_rss:uint32 vm_swap:uint32 comm:charbuf cgroups:bytebuf
  flags:flags32/hex/clone_flags uid:uint32 gid:uint32 vtid:pid vpid:pid pidns_init_start_ts:uint64
vfork < process state | res:pid exe:charbuf args:bytebuf tid:pid pid:pid ptid:pid cwd:charbuf fdlimit:int64
  pgft_maj:uint64 pgft_min:uint64 vm_size:uint32 vm_rss:uint32 vm_swap:uint32 comm:charbuf cgroups:bytebuf
  flags:flags32/hex/clone_flags uid:uint32 gid:uint32 vtid:pid vpid:pid pidns_init_start_ts:uint64
signaldeliver * signal =signal_deliver | spid:pid dpid:pid sig:sigtype
procinfo + internal | cpu_usr:uint64 cpu_sys:uint64
getdents < file uses | res:errno fd:fd
getdents64 < file uses | res:errno fd:fd
setns < process uses | res:errno fd:fd nstype:flags32/hex/clone_flags
flock < file uses | res:errno fd:fd operation:flags32/hex/flock_flags
cpu_hotplug + system state | cpu:uint32 action:uint32
accept < net creates state | fd:fd tuple:socktuple queuepct:uint8 queuelen:uint32 queuemax:uint32
semop < process | res:errno nsops:uint32 sem_num_0:uint16 sem_op_0:int16 sem_flg_0:flags16/hex/semop_flags
  sem_num_1:uint16 sem_op_1:int16 sem_flg_1:flags16/hex/semop_flags semid:int32
semctl < process | res:errno semid:int32 semnum:int32 cmd:flags16/hex/semctl_commands val:int32
ppoll < wait waits | res:errno fds:fdlist timeout:reltime sigmask:sigset
mount < file state | res:errno dev:charbuf dir:fspath type:charbuf flags:flags32/hex/mount_flags
semget < process | res:errno key:int32/hex nsems:int32 semflg:flags32/hex/semget_flags
access < file | res:errno name:fspath mode:flags32/hex/access_flags
chroot < process state | res:errno path:fspath
setsid < process state | res:pid
mkdir < file | res:errno path:fspath mode:uint32/hex
rmdir < file | res:errno path:fspath
notification + other | id:charbuf desc:charbuf
unshare < process | res:errno flags:flags32/hex/clone_flags
infra + internal | source:charbuf name:charbuf description:charbuf scope:charbuf
page_fault * other =page_fault_user =page_fault_kernel | addr:uint64/hex ip:uint64/hex error:flags32/hex/pf_flags
execve < process state | res:errno exe:charbuf args:bytebuf tid:pid pid:pid ptid:pid cwd:charbuf fdlimit:uint64
  pgft_maj:uint64 pgft_min:uint64 vm_size:uint32 vm_rss:uint32 vm_swap:uint32 comm:charbuf cgroups:bytebuf
  env:bytebuf tty:uint32 vpgid:pid loginuid:uid flags:flags32/hex/execve_flags cap_inheritable:uint64/hex
  cap_permitted:uint64/hex cap_effective:uint64/hex exe_ino:uint64 exe_ino_ctime:abstime exe_ino_mtime:abstime
  uid:uid trusted_exepath:fspath pgid:pid gid:gid filename:fspath
setpgid < process | res:errno pid:pid pgid:pid
seccomp < other | res:errno op:uint64 flags:uint64/hex
unlink < file | res:errno path:fspath
unlinkat < file uses | res:errno dirfd:fd name:fsrelpath@1 flags:flags32/hex/unlinkat_flags
mkdirat < file uses | res:errno dirfd:fd path:fsrelpath@1 mode:uint32/hex
openat > file creates state | dirfd:fd name:fsrelpath@0 flags:flags32/hex/file_flags mode:uint32/oct
openat < file creates state | fd:fd dirfd:fd name:fsrelpath@1 flags:flags32/hex/file_flags mode:uint32/oct
  dev:uint32/hex ino:uint64
link < file | res:errno oldpath:fspath newpath:fspath
linkat < file | res:errno olddir:fd oldpath:fsrelpath@1 newdir:fd newpath:fsrelpath@3 flags:flags32/hex/linkat_flags
fchmodat < file uses | res:errno dirfd:fd filename:fsrelpath@1 mode:mode/oct/chmod_mode
chmod < file | res:errno filename:fspath mode:mode/oct/chmod_mode
fchmod < file uses | res:errno fd:fd mode:mode/oct/chmod_mode
renameat2 < file | res:errno olddirfd:fd oldpath:fsrelpath@1 newdirfd:fd newpath:fsrelpath@3
  flags:flags32/hex/renameat2_flags
userfaultfd < file creates state | res:errno flags:flags32/hex/file_flags
pluginevent + other | plugin_id:uint32 event_data:bytebuf
container + process state | json:charbuf
openat2 > file creates state | dirfd:fd name:fsrelpath@0 flags:flags32/hex/file_flags mode:uint32/oct
  resolve:flags32/hex/openat2_flags
openat2 < file creates state | fd:fd dirfd:fd name:fsrelpath@1 flags:flags32/hex/file_flags mode:uint32/oct
  resolve:flags32/hex/openat2_flags dev:uint32/hex ino:uint64
mprotect < memory | res:errno addr:uint64/hex length:uint64 prot:flags32/hex/prot_flags
execveat < process state | res:errno exe:charbuf args:bytebuf tid:pid pid:pid ptid:pid cwd:charbuf fdlimit:uint64
  pgft_maj:uint64 pgft_min:uint64 vm_size:uint32 vm_rss:uint32 vm_swap:uint32 comm:charbuf cgroups:bytebuf
  env:bytebuf tty:uint32 vpgid:pid loginuid:uid flags:flags32/hex/execve_flags cap_inheritable:uint64/hex
  cap_permitted:uint64/hex cap_effective:uint64/hex exe_ino:uint64 exe_ino_ctime:abstime exe_ino_mtime:abstime
  uid:uid trusted_exepath:fspath pgid:pid gid:gid
copy_file_range < file uses read write | res:errno fdout:fd offout:uint64 fdin:fd offin:uint64 len:uint64
clone3 < process state | res:pid exe:charbuf args:bytebuf tid:pid pid:pid ptid:pid cwd:charbuf fdlimit:int64
  pgft_maj:uint64 pgft_min:uint64 vm_size:uint32 vm_rss:uint32 vm_swap:uint32 comm:charbuf cgroups:bytebuf
  flags:flags32/hex/clone_flags uid:uint32 gid:uint32 vtid:pid vpid:pid pidns_init_start_ts:uint64
open_by_handle_at < file creates state | fd:fd mountfd:fd flags:flags32/hex/file_flags path:fspath dev:uint32/hex
  ino:uint64
io_uring_setup < io_other creates state | res:errno entries:uint32 sq_entries:uint32 cq_entries:uint32
  flags:flags32/hex/io_uring_setup_flags sq_thread_cpu:uint32 sq_thread_idle:uint32
  features:flags32/hex/io_uring_setup_feats
io_uring_enter < io_other uses | res:errno fd:fd to_submit:uint32 min_complete:uint32
  flags:flags32/hex/io_uring_enter_flags sig:sigset
io_uring_register < io_other uses | res:errno fd:fd opcode:enumflags16/io_uring_register_opcodes arg:uint64/hex
  nr_args:uint32
mlock < memory | res:errno addr:uint64/hex len:uint64
munlock < memory | res:errno addr:uint64/hex len:uint64
mlockall < memory | res:errno flags:flags32/hex/mlockall_flags
munlockall < memory | res:errno
capset < process state | res:errno cap_inheritable:uint64/hex cap_permitted:uint64/hex cap_effective:uint64/hex
useradded + process state | uid:uint32 gid:uint32 name:charbuf home:charbuf shell:charbuf container_id:charbuf
userdeleted + process state | uid:uint32 gid:uint32 name:charbuf home:charbuf shell:charbuf container_id:charbuf
groupadded + process state | gid:uint32 name:charbuf container_id:charbuf
groupdeleted + process state | gid:uint32 name:charbuf container_id:charbuf
dup2 < io_other creates uses state | res:fd oldfd:fd newfd:fd
dup3 < io_other creates uses state | res:fd oldfd:fd newfd:fd flags:flags32/hex/file_flags
dup < io_other creates uses state | res:fd oldfd:fd
bpf < other creates | fd:fd cmd:enumflags32/bpf_commands
mlock2 < memory | res:errno addr:uint64/hex len:uint64 flags:flags32/hex/mlock2_flags
fsconfig < system uses | res:errno fd:fd cmd:enumflags32/fsconfig_cmds key:charbuf value_bytebuf:bytebuf
  value_charbuf:charbuf aux:int32
epoll_create < wait creates state | res:errno size:int32
epoll_create1 < wait creates state | res:errno flags:flags32/hex/epoll_create1_flags
chown < file | res:errno path:fspath uid:uint32 gid:uint32
lchown < file | res:errno path:fspath uid:uint32 gid:uint32
fchown < file uses | res:errno fd:fd uid:uint32 gid:uint32
fchownat < file uses | res:errno dirfd:fd pathname:fsrelpath@1 uid:uint32 gid:uint32
  flags:flags32/hex/fchownat_flags
umount < file state | res:errno name:fspath
accept4 < net creates state | fd:fd tuple:socktuple queuepct:uint8 queuelen:uint32 queuemax:uint32 flags:int32/hex
umount2 < file state | res:errno name:fspath flags:flags32/hex/umount_flags
pipe2 < ipc creates state | res:errno fd1:fd fd2:fd ino:uint64 flags:flags32/hex/file_flags
inotify_init1 < ipc creates state | res:fd flags:flags16/hex/file_flags
eventfd2 < ipc creates state | res:fd flags:flags16/hex/file_flags initval:uint64
signalfd4 < signal creates state | res:fd flags:flags16/hex/file_flags fd:fd mask:uint32/hex
prctl < process state | res:errno option:enumflags32/prctl_options arg2_str:charbuf arg2_int:int64
asyncevent + other | plugin_id:uint32 name:charbuf data:bytebuf
memfd_create < memory creates state | fd:fd name:charbuf flags:flags32/hex/memfd_create_flags
pidfd_getfd < process creates state | fd:fd pid_fd:fd target_fd:fd flags:uint32/hex
pidfd_open < process creates state | fd:fd pid:pid flags:flags32/hex/pidfd_open_flags
init_module < other | res:errno img:bytebuf length:uint64 uargs:charbuf
finit_module < other uses read | res:errno fd:fd uargs:charbuf flags:flags32/hex/finit_module_flags
mknod < other | res:errno path:fspath mode:mode/oct/mknod_mode dev:uint32
mknodat < other uses | res:errno dirfd:fd path:fsrelpath@1 mode:mode/oct/mknod_mode dev:uint32
newfstatat < file uses | res:errno dirfd:fd path:fsrelpath@1 flags:flags32/hex/newfstatat_flags
process_vm_readv < ipc | res:int64 pid:pid data:bytebuf
process_vm_writev < ipc | res:int64 pid:pid data:bytebuf
delete_module < other | res:errno name:charbuf flags:flags32/hex/delete_module_flags
setreuid < user state | res:errno ruid:uid euid:uid
setregid < user state | res:errno rgid:uid egid:uid
keyctl < other | res:errno operation:enumflags32/keyctl_operations arg2:dyn/keyctl_dynamic_param
  arg3:dyn/keyctl_dynamic_param arg4:dyn/keyctl_dynamic_param arg5:dyn/keyctl_dynamic_param
"""
# NAME KIND CATEGORY TRAITS... | PARAMETER:TYPE[/FORMAT][/FLAG TABLE][@POSITION OF ITS DIRECTORY'S DESCRIPTOR]...
# KIND: > entry and < exit of a system call, * tracepoint, + and - note of user space (typed as entry and as exit).
# TRAITS: creates, uses, destroys a descriptor; read, write; state: changes what is known of threads; waits: may block;
# ignored: so frequent that it is captured on demand only; =NAME: a kernel name that shares the event.


@dataclass(frozen=True, slots=True)
class Param:
    """
    A parameter.

    Attributes:
        name: As ``evt.arg`` takes it.
        type: Type word of events.yaml: fd, errno, flags32, fspath ...
        format: "dec", "hex" or "oct" for numbers.
        table: Table of ``ingest.syscalls.flags`` with symbolic names, "" for none.
        dirfd: Position of the parameter that a relative path starts from, -1 for none.
    """

    name: str
    type: str
    format: str = "dec"
    table: str = ""
    dirfd: int = -1


@dataclass(frozen=True, slots=True)
class Layout:
    """
    What an event consists of.

    Attributes:
        name: As ``evt.type`` answers.
        kind: "syscall", "tracepoint" or "meta".
        entry: Whether ``evt.dir`` is ">".
        category: Of the event; for io_read, io_write and io_other ``evt.category`` depends on the descriptor.
        traits: Of creates, uses, destroys, read, write, state, waits, ignored.
        params: In order.
        position: Of each parameter, by name.
    """

    name: str
    kind: str
    entry: bool
    category: str
    traits: frozenset[str]
    params: tuple[Param, ...]
    position: dict[str, int] = field(hash=False)


_KINDS = {">": "syscall", "<": "syscall", "*": "tracepoint", "+": "meta", "-": "meta"}
_LINES = [line.split(" ", 2) for line in _TABLE.replace("\n  ", " ").strip().split("\n")]
_ENTRIES = {name: f"{mark} {rest}" for name, mark, rest in _LINES if mark == ">"}
_SHOWN = {name: f"{mark} {rest}" for name, mark, rest in _LINES if mark in "<*" or mark == "+"}


def names(kind: str) -> frozenset[str]:
    """Return the names of all events of a kind: "syscall", "tracepoint" or "meta"."""
    return frozenset(name for name, text in _SHOWN.items() if _KINDS[text[0]] == kind)


def synonyms() -> dict[str, str]:
    """Return kernel names of calls and tracepoints that share the event of another name, with that name."""
    return {word[1:]: name for name, _, rest in _LINES for word in rest.split(" |")[0].split() if word[0] == "="}


def parameter_types() -> dict[str, str]:
    """Return the type word of each parameter name, that of the first event which has one so named."""
    found: dict[str, str] = {}
    for name, kind in re.findall(r"(\w+):(\w+)", _TABLE):
        found.setdefault(name, kind)
    return found


@cache
def layout(name: str) -> Layout | None:
    """Return the layout of the event as rules see it; None for an event without parameters known to anybody."""
    text = _SHOWN.get(name)
    return _parse(name, text) if text is not None else None


@cache
def entry_layout(name: str) -> Layout | None:
    """Return the layout of the call's entry event, None where none is used."""
    text = _ENTRIES.get(name)
    return _parse(name, text) if text is not None else None


def _parse(name: str, text: str) -> Layout:
    """Read one line of the table, without its name."""
    head, _, tail = text.partition("|")
    mark, category, *traits = head.split()
    params = parse_params(tail)
    return Layout(
        name=name,
        kind=_KINDS[mark],
        entry=mark not in "<-",
        category=category,
        traits=frozenset(word for word in traits if word[0] != "="),
        params=params,
        position={param.name: index for index, param in enumerate(params)},
    )


def parse_params(text: str) -> tuple[Param, ...]:
    """Read parameters as the tables write them."""
    return tuple(_param(word) for word in text.split())


def _param(word: str) -> Param:
    name, _, rest = word.partition(":")
    rest, _, dirfd = rest.partition("@")
    kind, *more = rest.split("/")
    form = next((part for part in more if part in ("hex", "oct")), "dec")
    table = next((part for part in more if part not in ("hex", "oct")), "")
    return Param(name, kind, form, table, int(dirfd) if dirfd else -1)
